//! Who may publish, who may subscribe, and what their tokens are checked with.
//!
//! [`Access`] is what the flags, the variables and the file come to, judged once. It checks no token and answers no request.

mod flags;
mod issuer;
mod key;
mod rate;

use std::num::NonZeroU32;
use std::time::Duration;

use fanfare_http::Origins;
use url::Url;

pub(crate) use flags::AccessFlags;
pub(crate) use issuer::{Issuer, Keys};
#[cfg(any(feature = "nats", feature = "redis"))]
pub(crate) use key::read as secret;
pub(crate) use key::{Verification, text as key_text};
pub(crate) use rate::Rate;

use self::flags::Legacy;
use self::issuer::Top;
use crate::config::{Config, Failure, Note};
use crate::run::HUB_PATH;
use crate::secret::Secret;

/// What everybody can look up. It stands in the documentation of the reference hub, and in many a compose file.
pub(crate) const DEVELOPMENT_KEY: &str = "!ChangeThisMercureHubJWTSecretKey!";
pub(crate) const DEVELOPMENT_ISSUER: &str = "https://localhost";
pub(crate) const DEVELOPMENT_RESOURCE: &str = "https://localhost/.well-known/mercure";

/// Who may do what.
#[derive(Debug)]
pub(crate) struct Access {
    /// Whose tokens are taken, each with keys of its own. No two have the same name.
    pub(crate) issuers: Vec<Issuer>,
    /// What tokens without an issuer are checked with, and whether clients from before version 1.0 are understood at all.
    pub(crate) legacy: Option<Keys>,
    /// Whether JWK sets may be fetched from loopback and private addresses.
    pub(crate) jwks_internal: bool,
    /// What has to stand in `aud`. None: one of the public URLs.
    pub(crate) resource_identifier: Option<String>,
    pub(crate) cookie_name: String,
    /// Whether subscribers without a token get what is public.
    pub(crate) anonymous: bool,
    /// The hub's URLs, whole. Empty: wherever clients ask. The first is what relative topics are resolved against.
    pub(crate) public_urls: Vec<Url>,
    pub(crate) cors_origins: Origins,
    pub(crate) publish_origins: Origins,
    /// Whether active subscriptions are told.
    pub(crate) subscriptions: bool,
    /// After what time a stream ends at the latest, before jitter. None: never.
    pub(crate) connection_lifetime_max: Option<Duration>,
    pub(crate) publish_rate: Option<PublishRate>,
    /// What operators have to send.
    pub(crate) admin_token: Option<Secret>,
    /// The key that everybody knows, if nobody configured one and it is in its place.
    pub(crate) development_key: Option<&'static str>,
}

/// The bucket of each subject that publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PublishRate {
    /// What flows into it.
    pub(crate) rate: Rate,
    /// What it holds.
    pub(crate) burst: NonZeroU32,
}

impl Access {
    /// Judges what `config` says about access, and adds what its author should know to `notes`.
    ///
    /// # Errors
    /// A key cannot be read or does not go with its algorithm, or nobody could publish or subscribe.
    pub(crate) fn of(config: &Config, notes: &mut Vec<Note>) -> Result<Self, Failure> {
        let flags = &config.serve.access;
        let dev = config.serve.dev;
        let top = Top::read(config)?;
        let issuers = issuer::all(config, &top)?;
        let legacy = flags.legacy.map_or(dev || issuers.is_empty(), |legacy| legacy == Legacy::On);
        if issuers.is_empty() && !legacy && !top.keys.is_empty() {
            return Err(config.refuse(
                "legacy",
                "with it off, a token has to come from a trusted issuer, and none is named: set trusted-issuers to what stands in \
                 the claim iss of your tokens",
            ));
        }
        let is_unused = !legacy && flags.trusted_issuers.is_empty() && !top.keys.is_empty();
        if is_unused {
            notes.push(Note::warning(
                "publisher-jwt-key and subscriber-jwt-key are used for nothing: trusted-issuers names nobody, and legacy is off",
            ));
        }
        let mut access = Self {
            issuers,
            legacy: legacy.then_some(top.keys),
            jwks_internal: flags.jwks_internal,
            resource_identifier: flags.resource_identifier.clone(),
            cookie_name: flags.cookie_name.clone(),
            anonymous: flags.anonymous,
            public_urls: flags.public_url.clone(),
            cors_origins: flags.cors_origin.iter().cloned().collect(),
            publish_origins: flags.publish_origin.iter().cloned().collect(),
            subscriptions: flags.subscriptions,
            connection_lifetime_max: Some(flags.max_connection_lifetime)
                .filter(|lifetime| !lifetime.is_zero()),
            publish_rate: publish_rate(config)?,
            admin_token: admin_token(config)?,
            development_key: None,
        };
        access.check_that_key_sets_come_safely()?;
        if dev {
            if access.keys().all(Keys::is_empty) {
                access.take_development_keys();
            }
            if access.public_urls.is_empty() {
                access.resource_identifier.get_or_insert_with(|| DEVELOPMENT_RESOURCE.to_owned());
            }
            return Ok(access);
        }
        access.check_that_somebody_is_served()?;
        if access.keys().any(Keys::is_well_known) {
            notes.push(Note::warning(
                "a key is the one that stands in the documentation, so everybody can make tokens for this hub; \
                 `openssl rand -hex 32` makes one that nobody knows",
            ));
        }
        Ok(access)
    }

    fn keys(&self) -> impl Iterator<Item = &Keys> {
        self.issuers.iter().map(|issuer| &issuer.keys).chain(&self.legacy)
    }

    fn take_development_keys(&mut self) {
        self.development_key = Some(DEVELOPMENT_KEY);
        self.issuers = vec![Issuer {
            id: DEVELOPMENT_ISSUER.to_owned(),
            keys: Keys::development(),
            is_authorization_server: false,
        }];
        if let Some(legacy) = &mut self.legacy {
            *legacy = Keys::development();
        }
    }

    fn check_that_key_sets_come_safely(&self) -> Result<(), Failure> {
        let mut all = self.keys().flat_map(|keys| [&keys.publisher, &keys.subscriber]).flatten();
        match all.find(|keys| keys.comes_without_tls()) {
            Some(keys) if !self.jwks_internal => Err(Failure::Missing(format!(
                "{keys} would be fetched without TLS, and whoever is on the way could put in a key of their own: write https://, or \
                 set --jwks-internal if the way is inside your network"
            ))),
            _ => Ok(()),
        }
    }

    fn check_that_somebody_is_served(&self) -> Result<(), Failure> {
        let has = |role: fn(&Keys) -> bool| self.keys().any(role);
        let nobody = if !has(|keys| keys.publisher.is_some()) {
            "publishers is set, so nobody could publish: set --publisher-jwt-key (or FANFARE_PUBLISHER_JWT_KEY, or \
             publisher-jwt-key in fanfare.toml) to a secret or a public key"
        } else if !self.anonymous && !has(|keys| keys.subscriber.is_some()) {
            "subscribers is set, so nobody could subscribe: set --subscriber-jwt-key (or FANFARE_SUBSCRIBER_JWT_KEY, or \
             subscriber-jwt-key in fanfare.toml) to a secret or a public key, or --anonymous to let everybody read what is public"
        } else {
            return Ok(());
        };
        Err(Failure::Missing(format!(
            "no key for {nobody}; `openssl rand -hex 32` makes a secret. To try it out without tokens, on this machine only, \
             add --dev"
        )))
    }
}

fn publish_rate(config: &Config) -> Result<Option<PublishRate>, Failure> {
    let flags = &config.serve.access;
    match (flags.publish_rate, flags.publish_burst) {
        (Some(rate), burst) => Ok(Some(PublishRate { rate, burst: burst.unwrap_or(rate.count) })),
        (None, Some(_)) => Err(config.refuse(
            "publish-burst",
            "there is no limit that it could exceed: set publish-rate, such as 100/s",
        )),
        (None, None) => Ok(None),
    }
}

fn admin_token(config: &Config) -> Result<Option<Secret>, Failure> {
    let read = config.serve.admin_token.as_ref().map(key::read).transpose();
    read.map_err(|reason| config.refuse("admin-token", &reason))
}

/// Reads a name as it stands in a token: an issuer, or an audience. Compared byte by byte, so nothing is changed.
fn identifier(text: &str) -> Result<String, String> {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control();
    if !text.is_empty() && text.chars().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("write a URL or another name without spaces, exactly as it stands in the tokens".to_owned())
    }
}

/// Reads a URL of the hub; without a path it gets the usual one.
fn hub_url(text: &str) -> Result<Url, String> {
    const EXPECTED: &str = "write a URL such as https://hub.example.com, without a query";
    let mut url = Url::parse(text).map_err(|_| EXPECTED)?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    let is_bare = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !is_web || !is_bare {
        return Err(EXPECTED.to_owned());
    }
    if url.path() == "/" {
        url.set_path(HUB_PATH);
    }
    Ok(url)
}

/// Reads the name of a cookie (RFC 6265 § 4.1.1: a token of HTTP).
fn cookie_name(text: &str) -> Result<String, String> {
    let is_token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    if !text.is_empty() && text.bytes().all(is_token) {
        Ok(text.to_owned())
    } else {
        Err("write a name of letters, digits, - and _".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_means_the_usual_one() {
        for (text, expected) in [
            ("https://hub.test", "https://hub.test/.well-known/mercure"),
            ("http://hub.test:8080/", "http://hub.test:8080/.well-known/mercure"),
            ("https://hub.test/push", "https://hub.test/push"),
        ] {
            assert_eq!(hub_url(text).map(String::from).as_deref(), Ok(expected));
        }
        for text in [
            "",
            "hub.test",
            "ftp://hub.test",
            "https://u:p@hub.test",
            "https://hub.test/?x",
            "https://hub.test/#x",
        ] {
            assert!(hub_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_kept_as_they_are_or_refused() {
        assert_eq!(identifier("https://IDP.test/").as_deref(), Ok("https://IDP.test/"));
        assert!(identifier("").is_err() && identifier("a b").is_err() && identifier("a\n").is_err());
        assert_eq!(cookie_name("__Secure-x").as_deref(), Ok("__Secure-x"));
        assert!(cookie_name("").is_err() && cookie_name("a=b").is_err() && cookie_name("a;").is_err());
    }
}
