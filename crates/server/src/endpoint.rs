//! The hub over HTTP, as it was configured: who gets in, where it is, what a request may hold.
//!
//! It only puts together what the flags came to; what it means is the library's matter.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;

use fanfare_http::token::{self, Fetch, FetchSetupError, KeySet, Verifier};
use fanfare_http::{Drain, Mercure, PublishRate, RequestLimits, Revocations, TokenAccess};
use fanfare_hub::Hub;
use url::Url;

use crate::access::{Access, Keys, Verification};
use crate::flags::Serve;
use crate::run::HUB_PATH;

/// Why tokens cannot be checked as configured.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A JWK set cannot be fetched as configured.
    KeySet { whose: String, error: FetchSetupError },
    /// There are issuers, and nothing says what their tokens call this hub.
    NoAudience,
    /// The parts do not fit together.
    Verifier(token::BuildError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeySet { whose, error } => write!(f, "the JWK set of {whose} cannot be fetched: {error}"),
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
    let audiences: Vec<String> = match &access.resource_identifier {
        Some(identifier) => vec![identifier.clone()],
        None => access.public_urls.iter().map(Url::to_string).collect(),
    };
    if audiences.is_empty() && !access.issuers.is_empty() {
        return Err(Failure::NoAudience);
    }
    for audience in audiences {
        builder = builder.audience(audience);
    }
    let mut sets = KeySets { fetch: None, is_internal: access.jwks_internal, known: HashMap::new() };
    for issuer in &access.issuers {
        let mut trusted = token::Issuer::new(&issuer.id);
        if let Some(keys) = &issuer.keys.publisher {
            trusted = trusted.publisher(sets.keys(keys, &issuer.id)?);
        }
        if let Some(keys) = &issuer.keys.subscriber {
            trusted = trusted.subscriber(sets.keys(keys, &issuer.id)?);
        }
        builder = builder.issuer(trusted);
    }
    if let Some(Keys { publisher, subscriber }) = &access.legacy {
        if let Some(keys) = publisher {
            builder = builder.legacy_publisher(sets.keys(keys, "publishers")?);
        }
        if let Some(keys) = subscriber {
            builder = builder.legacy_subscriber(sets.keys(keys, "subscribers")?);
        }
    }
    builder.build().map_err(Failure::Verifier)
}

/// Where JWK sets are; one that several have is read once for all of them.
struct KeySets {
    fetch: Option<Fetch>,
    is_internal: bool,
    known: HashMap<Url, KeySet>,
}

impl KeySets {
    fn at(&mut self, url: &Url) -> Result<KeySet, FetchSetupError> {
        if let Some(set) = self.known.get(url) {
            return Ok(set.clone());
        }
        let fetch = match &self.fetch {
            Some(fetch) => fetch,
            None => {
                let fetch = Fetch::new()?;
                self.fetch.insert(if self.is_internal { fetch.allow_internal() } else { fetch })
            }
        };
        let set = KeySet::from_url(url.as_str(), fetch)?;
        self.known.insert(url.clone(), set.clone());
        Ok(set)
    }

    fn keys(&mut self, keys: &Verification, whose: &str) -> Result<token::Keys, Failure> {
        match keys {
            Verification::Key { key, .. } => Ok(key.clone().into()),
            Verification::KeySet { url, algorithms } => {
                let set = self.at(url);
                let set = set.map_err(|error| Failure::KeySet { whose: whose.to_owned(), error })?;
                Ok(if algorithms.is_empty() { set } else { set.only(algorithms) }.into())
            }
        }
    }
}

/// How tokens decide.
pub(crate) fn tokens(
    flags: &Serve,
    access: &Access,
    verifier: Verifier,
    revocations: Revocations,
) -> TokenAccess {
    let told = access.issuers.iter().filter(|issuer| issuer.is_authorization_server);
    TokenAccess::new(verifier)
        .anonymous(access.anonymous || flags.dev)
        .open_publishing(flags.dev)
        .cookie(&access.cookie_name)
        .publish_origins(access.publish_origins.clone())
        .authorization_servers(told.map(|issuer| issuer.id.clone()))
        .revocations(revocations)
}

/// Puts the hub's endpoint together.
pub(crate) fn mercure(
    flags: &Serve,
    access: &Access,
    tokens: TokenAccess,
    hub: Hub,
    drain: &Drain,
    hub_url: Url,
) -> Mercure {
    let limits = RequestLimits {
        body_bytes_max: flags.max_body_bytes,
        topics_max: flags.max_topics.get(),
        matchers_max: flags.max_matchers.get(),
        ..RequestLimits::default()
    };
    let rate = access.publish_rate.map(|bucket| PublishRate {
        per_second: f64::from(bucket.rate.count.get()) / bucket.rate.per.as_secs_f64(),
        burst: bucket.burst.get(),
    });
    Mercure::new(hub)
        .hub_url(hub_url)
        .access(fanfare_http::Access::tokens(tokens))
        .cors(access.cors_origins.clone())
        .legacy(access.legacy.is_some())
        .lifetime(access.connection_lifetime_max)
        .publish_rate(rate)
        .subscriptions(access.subscriptions)
        .bookmarks(flags.bookmarks.into())
        .keep_alive(Some(flags.keep_alive).filter(|after| !after.is_zero()))
        .compression(flags.compression.codings().iter().copied())
        .limits(limits)
        .drain(drain.clone())
}

/// Where the world finds the hub; if nobody said so, where it listens.
pub(crate) fn hub_url(access: &Access, scheme: &str, addresses: &[SocketAddr]) -> Url {
    let listening = || {
        let address = addresses.first()?;
        Url::parse(&format!("{scheme}://{address}{HUB_PATH}")).ok()
    };
    let usual = || Url::parse(&format!("http://localhost{HUB_PATH}")).expect("a URL");
    access.public_urls.first().cloned().or_else(listening).unwrap_or_else(usual)
}
