//! Says whom the hub trusts, and checks that it is worth the name.
//!
//! Every check happens here, at startup; no token is looked at.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::keys::Keys;
use super::limits::TokenLimits;
use super::verifier::{Role, RoleKeys, Trust, Verifier};

/// Somebody whose tokens are believed, and the keys that they are signed with.
///
/// An issuer may have keys for one role only; then its tokens are refused for the other (M-100).
#[derive(Clone, Debug)]
pub struct Issuer {
    name: String,
    keys: RoleKeys,
}

/// Says who is trusted. See [`Verifier::builder`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct VerifierBuilder {
    audiences: Vec<String>,
    issuers: Vec<Issuer>,
    legacy: RoleKeys,
    leeway: Duration,
    limits: TokenLimits,
}

/// Why there is no verifier.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// Nobody is trusted, so every token would be refused.
    NoKeys,
    /// There are issuers, but nothing to hold a token's audience against.
    NoAudience,
    /// An issuer has no name.
    UnnamedIssuer,
    /// An issuer has no keys.
    IssuerWithoutKeys {
        /// Its name.
        issuer: String,
    },
    /// An issuer is there twice.
    IssuerTwice {
        /// Its name.
        issuer: String,
    },
    /// The leeway is longer than a minute.
    Leeway {
        /// What was asked for.
        asked: Duration,
    },
}

/// The longest leeway: clocks that differ by more are out of order.
const LEEWAY_MAX: Duration = Duration::from_secs(60);

impl Issuer {
    /// An issuer by the name that stands in its tokens' `iss`, where it is compared character by character.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), keys: RoleKeys::default() }
    }

    /// Adds keys that tokens for publishing are checked with.
    #[must_use]
    pub fn publisher(mut self, keys: impl Into<Keys>) -> Self {
        self.keys.publisher.push(keys.into());
        self
    }

    /// Adds keys that tokens for subscribing are checked with.
    #[must_use]
    pub fn subscriber(mut self, keys: impl Into<Keys>) -> Self {
        self.keys.subscriber.push(keys.into());
        self
    }
}

impl VerifierBuilder {
    /// The hub's resource identifier, which a token's `aud` must contain (M-102): its public URL, as a rule. May be called
    /// several times, for a hub that goes by several names.
    pub fn audience(mut self, resource_identifier: impl Into<String>) -> Self {
        self.audiences.push(resource_identifier.into());
        self
    }

    /// Trusts `issuer`.
    pub fn issuer(mut self, issuer: Issuer) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// Takes tokens of the older protocol that these keys signed, for publishing.
    pub fn legacy_publisher(mut self, keys: impl Into<Keys>) -> Self {
        self.legacy.publisher.push(keys.into());
        self
    }

    /// Takes tokens of the older protocol that these keys signed, for subscribing.
    pub fn legacy_subscriber(mut self, keys: impl Into<Keys>) -> Self {
        self.legacy.subscriber.push(keys.into());
        self
    }

    /// By how much the issuer's clock may differ from ours. Default: none; at most a minute. An expired token is honoured
    /// that much longer, and its streams with it.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// How large tokens may be.
    pub fn limits(mut self, limits: TokenLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Checks all of it.
    pub fn build(self) -> Result<Verifier, BuildError> {
        if self.leeway > LEEWAY_MAX {
            return Err(BuildError::Leeway { asked: self.leeway });
        }
        let legacy =
            [Role::Publisher, Role::Subscriber].into_iter().any(|role| self.legacy.of(role).is_some());
        if self.issuers.is_empty() && !legacy {
            return Err(BuildError::NoKeys);
        }
        let nameless = self.audiences.iter().all(String::is_empty);
        if !self.issuers.is_empty() && nameless {
            return Err(BuildError::NoAudience);
        }
        let mut issuers = HashMap::new();
        for Issuer { name, keys } in self.issuers {
            if name.is_empty() {
                return Err(BuildError::UnnamedIssuer);
            }
            if keys.publisher.is_empty() && keys.subscriber.is_empty() {
                return Err(BuildError::IssuerWithoutKeys { issuer: name });
            }
            if issuers.insert(name.clone(), keys).is_some() {
                return Err(BuildError::IssuerTwice { issuer: name });
            }
        }
        let audiences = self.audiences.into_iter().filter(|audience| !audience.is_empty()).collect();
        // What the JSON reader bounds by itself is not raised by a setting.
        let limits = self.limits.json_depth(self.limits.json_depth.min(100));
        Ok(Verifier(Arc::new(Trust { audiences, issuers, legacy: self.legacy, leeway: self.leeway, limits })))
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKeys => f.write_str("nobody is trusted; name an issuer and its keys, or keys for tokens of the older protocol"),
            Self::NoAudience => f.write_str(
                "tokens of issuers must name the hub in \"aud\", but the hub has no resource identifier; it is its public URL, as a rule",
            ),
            Self::UnnamedIssuer => f.write_str("an issuer has an empty name"),
            Self::IssuerWithoutKeys { issuer } => write!(f, "the issuer {issuer:?} has no keys, neither of publishers nor of subscribers"),
            Self::IssuerTwice { issuer } => write!(f, "the issuer {issuer:?} is named twice; give one all of its keys"),
            Self::Leeway { asked } => write!(f, "the leeway of {asked:?} is longer than {LEEWAY_MAX:?}"),
        }
    }
}

impl std::error::Error for BuildError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Algorithm, Key};

    #[test]
    fn trust_that_can_never_be_used_is_refused_at_the_start() {
        let key = || Key::secret(Algorithm::Hs256, "x".repeat(32)).expect("a secret");
        let hub = || Verifier::builder().audience("https://push.test/hub");
        let check = |builder: VerifierBuilder, expected: Result<(), BuildError>| {
            assert_eq!(builder.build().map(|_| ()), expected);
        };
        let name = || "https://a.test".to_owned();
        check(Verifier::builder(), Err(BuildError::NoKeys));
        check(hub(), Err(BuildError::NoKeys));
        check(hub().issuer(Issuer::new("")), Err(BuildError::UnnamedIssuer));
        check(hub().issuer(Issuer::new(name())), Err(BuildError::IssuerWithoutKeys { issuer: name() }));
        let issuer = || Issuer::new(name()).subscriber(key());
        check(hub().issuer(issuer()).issuer(issuer()), Err(BuildError::IssuerTwice { issuer: name() }));
        check(Verifier::builder().issuer(issuer()), Err(BuildError::NoAudience));
        check(Verifier::builder().audience("").issuer(issuer()), Err(BuildError::NoAudience));
        check(hub().issuer(issuer()), Ok(()));
        // Tokens of the older protocol name no audience.
        check(Verifier::builder().legacy_publisher(key()), Ok(()));
        let asked = Duration::from_secs(61);
        check(hub().issuer(issuer()).leeway(asked), Err(BuildError::Leeway { asked }));
    }

    #[test]
    fn a_verifier_knows_for_whom_it_can_speak() {
        let key = Key::secret(Algorithm::Hs256, "x".repeat(32)).expect("a secret");
        let hub = Verifier::builder().legacy_publisher(key).build().expect("a verifier");
        assert!(hub.has_keys(Role::Publisher) && !hub.has_keys(Role::Subscriber));
        assert_eq!(hub.issuers().count(), 0);
    }
}
