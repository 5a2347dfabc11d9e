//! The hub over HTTP, as it was configured: who gets in, where it is, what a request may hold.
//!
//! It only puts together what the flags came to; what it means is the library's matter.

use std::fmt;
use std::net::SocketAddr;

use fanfare_http::token::{self, Algorithm, Key, KeyError, Verifier};
use fanfare_http::{Drain, Mercure, PublishRate, RequestLimits, TokenAccess};
use fanfare_hub::Hub;
use url::Url;

use crate::access::{Access, Keys, Verification};
use crate::flags::Serve;
use crate::run::HUB_PATH;

/// Why tokens cannot be checked as configured.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A key is none.
    Key { whose: String, error: KeyError },
    /// There are issuers, and nothing says what their tokens call this hub.
    NoAudience,
    /// The parts do not fit together.
    Verifier(token::BuildError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { whose, error } => write!(f, "the key of {whose} cannot be used: {error}"),
            Self::NoAudience => f.write_str(
                "a token names the hub that it is for in its claim aud, and nothing says what that is here: set --public-url to \
                 where clients reach the hub, or --resource-identifier to what stands in the tokens",
            ),
            Self::Verifier(error) => write!(f, "tokens cannot be checked like this: {error}"),
        }
    }
}

/// Whose tokens are believed.
///
/// # Errors
/// [`Failure`]: another configuration is needed.
pub(crate) fn verifier(access: &Access) -> Result<Verifier, Failure> {
    let mut builder = Verifier::builder();
    let named = access.resource_identifier.iter().cloned();
    let audiences: Vec<String> = match access.resource_identifier {
        Some(_) => named.collect(),
        None => access.public_urls.iter().map(Url::to_string).collect(),
    };
    if audiences.is_empty() && !access.issuers.is_empty() {
        return Err(Failure::NoAudience);
    }
    for audience in audiences {
        builder = builder.audience(audience);
    }
    for issuer in &access.issuers {
        let mut trusted = token::Issuer::new(&issuer.id);
        for keys in issuer.keys.publisher.iter() {
            trusted = trusted.publisher(self::keys(keys, &issuer.id, access)?);
        }
        for keys in issuer.keys.subscriber.iter() {
            trusted = trusted.subscriber(self::keys(keys, &issuer.id, access)?);
        }
        builder = builder.issuer(trusted);
    }
    if let Some(Keys { publisher, subscriber }) = &access.legacy {
        for keys in publisher.iter() {
            builder = builder.legacy_publisher(self::keys(keys, "publishers", access)?);
        }
        for keys in subscriber.iter() {
            builder = builder.legacy_subscriber(self::keys(keys, "subscribers", access)?);
        }
    }
    builder.build().map_err(Failure::Verifier)
}

fn keys(keys: &Verification, whose: &str, _access: &Access) -> Result<token::Keys, Failure> {
    match keys {
        Verification::Key { text, algorithm } => {
            let algorithm = algorithm.to_string().parse().unwrap_or(Algorithm::Hs256);
            let key = if algorithm.is_symmetric() {
                Key::secret(algorithm, text.expose())
            } else {
                Key::pem(algorithm, text.expose())
            };
            key.map(Into::into).map_err(|error| Failure::Key { whose: whose.to_owned(), error })
        }
        Verification::KeySet { .. } => Err(Failure::NoAudience),
    }
}

/// Puts the hub's endpoint together.
pub(crate) fn mercure(
    flags: &Serve,
    access: &Access,
    verifier: Verifier,
    hub: Hub,
    drain: &Drain,
    addresses: &[SocketAddr],
) -> Mercure {
    let limits = RequestLimits {
        body_bytes_max: flags.max_body_bytes,
        topics_max: flags.max_topics.get(),
        matchers_max: flags.max_matchers.get(),
        ..RequestLimits::default()
    };
    let told = access.issuers.iter().filter(|issuer| issuer.is_authorization_server);
    let tokens = TokenAccess::new(verifier)
        .anonymous(access.anonymous || flags.dev)
        .open_publishing(flags.dev)
        .cookie(&access.cookie_name)
        .publish_origins(access.publish_origins.clone())
        .authorization_servers(told.map(|issuer| issuer.id.clone()));
    let rate = access.publish_rate.map(|bucket| PublishRate {
        per_second: f64::from(bucket.rate.count.get()) / bucket.rate.per.as_secs_f64(),
        burst: bucket.burst.get(),
    });
    Mercure::new(hub)
        .hub_url(hub_url(access, addresses))
        .access(fanfare_http::Access::tokens(tokens))
        .cors(access.cors_origins.clone())
        .legacy(access.legacy.is_some())
        .lifetime(access.connection_lifetime_max)
        .publish_rate(rate)
        .bookmarks(flags.bookmarks.into())
        .keep_alive(Some(flags.keep_alive).filter(|after| !after.is_zero()))
        .limits(limits)
        .drain(drain.clone())
}

/// Where the world finds the hub; if nobody said so, where it listens.
fn hub_url(access: &Access, addresses: &[SocketAddr]) -> Url {
    let listening = || {
        let address = addresses.first()?;
        Url::parse(&format!("http://{address}{HUB_PATH}")).ok()
    };
    let usual = || Url::parse(&format!("http://localhost{HUB_PATH}")).expect("a URL");
    access.public_urls.first().cloned().or_else(listening).unwrap_or_else(usual)
}
