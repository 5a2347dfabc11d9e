//! Decides whether a token is genuine, for this hub, and still holds.
//!
//! It answers what the token grants, not whether that is enough for a request. Source: requirements M-095 to M-119 and
//! M-196 to M-201.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;

use super::builder::VerifierBuilder;
use super::claims::{self, Claims};
use super::error::TokenError;
use super::jws::Unverified;
use super::key_set::KeySet;
use super::key_source::KeySetError;
use super::keys::{self, Keys};
use super::limits::TokenLimits;
use super::{details, legacy};

/// What a token is presented for: it decides with whose keys it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Publishing.
    Publisher,
    /// Subscribing, and reading which subscriptions there are.
    Subscriber,
}

/// Checks tokens. Cheap to clone; clones share key sets.
///
/// ```
/// # async fn check() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::SystemTime;
/// use fanfare_http::token::{Algorithm, Issuer, Key, Role, Verifier};
///
/// let key = Key::secret(Algorithm::Hs256, "a secret of more than thirty-two bytes")?;
/// let verifier = Verifier::builder()
///     .audience("https://push.test/.well-known/mercure")
///     .issuer(Issuer::new("https://shop.test").publisher(key.clone()).subscriber(key))
///     .build()?;
/// assert!(verifier.verify("not.a.token", Role::Publisher, SystemTime::now()).await.is_err());
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(check()).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Verifier(pub(super) Arc<Trust>);

#[derive(Debug)]
pub(super) struct Trust {
    pub(super) audiences: Vec<String>,
    pub(super) issuers: HashMap<String, RoleKeys>,
    pub(super) legacy: RoleKeys,
    pub(super) leeway: Duration,
    pub(super) limits: TokenLimits,
}

#[derive(Clone, Debug, Default)]
pub(super) struct RoleKeys {
    pub(super) publisher: Vec<Keys>,
    pub(super) subscriber: Vec<Keys>,
}

impl Verifier {
    /// Starts with trust in nobody.
    pub fn builder() -> VerifierBuilder {
        VerifierBuilder::default()
    }

    /// What `token` says, if it is genuine and holds at `now`.
    ///
    /// The cost depends on the token's length, which is bounded, and on how many keys fit. This waits only where a set of
    /// keys has none with the token's `kid` and is read again, which happens once in a while for all tokens together.
    pub async fn verify(&self, token: &str, role: Role, now: SystemTime) -> Result<Claims, TokenError> {
        let trust = &*self.0;
        let token = Unverified::parse(token, &trust.limits)?;
        token.algorithm()?;
        token.refuse_critical()?;
        if trust.takes_as_legacy(&token, role)? {
            trust.verify_legacy(&token, role, now).await
        } else {
            trust.verify_modern(&token, role, now).await
        }
    }

    /// Reads all sets of keys that are not part of the configuration, once, and returns which could not be read and why.
    ///
    /// Their tokens are refused until they could. A hub may start all the same: its other issuers are not to blame.
    pub async fn load(&self) -> Vec<(String, KeySetError)> {
        let mut failures = Vec::new();
        for set in self.sets() {
            if let Err(error) = set.load().await {
                failures.push((set.source(), error));
            }
        }
        failures
    }

    /// Keeps all sets of keys like their sources, until it is dropped: files every ten seconds, others as often as their
    /// servers say. Runs in the background of a server; without it, a set is read when a token names a key that it lacks.
    pub async fn keep_fresh(&self) {
        let mut tasks = JoinSet::new();
        for set in self.sets() {
            tasks.spawn(set.keep_fresh());
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Each set once, also if several roles and issuers share it.
    fn sets(&self) -> Vec<KeySet> {
        let all = self
            .0
            .issuers
            .values()
            .chain([&self.0.legacy])
            .flat_map(|keys| keys.publisher.iter().chain(&keys.subscriber));
        let mut sets: Vec<KeySet> = Vec::new();
        for set in all.filter_map(Keys::set) {
            if !sets.iter().any(|known| known.is_same(set)) {
                sets.push(set.clone());
            }
        }
        sets
    }

    /// Whether any token can be accepted for `role`.
    #[must_use]
    pub fn has_keys(&self, role: Role) -> bool {
        self.0.legacy.of(role).is_some() || self.0.issuers.values().any(|keys| keys.of(role).is_some())
    }

    /// The hub's resource identifier, by the first of its names; what clients ask their tokens for.
    #[must_use]
    pub fn audience(&self) -> Option<&str> {
        self.0.audiences.first().map(String::as_str)
    }

    /// The names of the trusted issuers, in no order.
    pub fn issuers(&self) -> impl Iterator<Item = &str> {
        self.0.issuers.keys().map(String::as_str)
    }
}

impl Trust {
    /// A token with a Mercure entry is always modern, and so is an access token that does not hold the older claim:
    /// otherwise whoever holds it could choose the weaker check (M-200). What is left is legacy, where keys are configured
    /// for that, and is checked with those alone.
    fn takes_as_legacy(&self, token: &Unverified<'_>, role: Role) -> Result<bool, TokenError> {
        let has_claim = legacy::has_claim(&token.claims);
        if details::is_modern(&token.claims) || (token.is_access_token() && !has_claim) {
            return Ok(false);
        }
        if self.legacy.of(role).is_some() {
            return Ok(true);
        }
        if has_claim { Err(TokenError::LegacyOff { role }) } else { Ok(false) }
    }

    async fn verify_modern(
        &self,
        token: &Unverified<'_>,
        role: Role,
        now: SystemTime,
    ) -> Result<Claims, TokenError> {
        if !token.is_access_token() {
            return Err(TokenError::NotAccessToken);
        }
        let issuer = claims::text(&token.claims, "iss")?.ok_or(TokenError::MissingClaim { name: "iss" })?;
        let issuer = self.issuers.get(&issuer).ok_or(TokenError::UnknownIssuer)?;
        let keys = issuer.of(role).ok_or(TokenError::NoKeys { role })?;
        keys::check_signature(keys, token, role).await?;
        if !token.claims.contains_key("exp") {
            return Err(TokenError::MissingClaim { name: "exp" });
        }
        claims::check_dates(&token.claims, now, self.leeway)?;
        claims::check_audience(&token.claims, &self.audiences)?;
        let details = details::details(&token.claims, &self.limits)?;
        Ok(Claims { details, ..Claims::read(&token.claims, self.leeway)? })
    }

    /// Nothing is asked of `typ`, `iss` and `aud`, and `exp` may be missing (M-198).
    async fn verify_legacy(
        &self,
        token: &Unverified<'_>,
        role: Role,
        now: SystemTime,
    ) -> Result<Claims, TokenError> {
        let keys = self.legacy.of(role).ok_or(TokenError::LegacyOff { role })?;
        keys::check_signature(keys, token, role).await?;
        claims::check_dates(&token.claims, now, self.leeway)?;
        let details = legacy::details(&token.claims, &self.limits)?;
        Ok(Claims { details, legacy: true, ..Claims::read(&token.claims, self.leeway)? })
    }
}

impl RoleKeys {
    /// The keys for `role`, if there are any.
    pub(super) fn of(&self, role: Role) -> Option<&[Keys]> {
        let keys = match role {
            Role::Publisher => &self.publisher,
            Role::Subscriber => &self.subscriber,
        };
        if keys.is_empty() { None } else { Some(keys) }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publisher => "publisher",
            Self::Subscriber => "subscriber",
        })
    }
}
