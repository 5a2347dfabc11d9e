//! Decides whether a token is genuine, for this hub, and still holds.
//!
//! It answers what the token grants, not whether that is enough for a request. Source: requirements M-095 to M-119 and
//! M-196 to M-201.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;

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
pub struct Verifier(Arc<Trust>);

#[derive(Debug)]
struct Trust {
    audiences: Vec<String>,
    issuers: HashMap<String, RoleKeys>,
    legacy: RoleKeys,
    leeway: Duration,
    limits: TokenLimits,
}

#[derive(Clone, Debug, Default)]
struct RoleKeys {
    publisher: Vec<Keys>,
    subscriber: Vec<Keys>,
}

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
    fn of(&self, role: Role) -> Option<&[Keys]> {
        let keys = match role {
            Role::Publisher => &self.publisher,
            Role::Subscriber => &self.subscriber,
        };
        if keys.is_empty() { None } else { Some(keys) }
    }
}

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
        if !self.issuers.is_empty() && self.audiences.iter().all(String::is_empty) {
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

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publisher => "publisher",
            Self::Subscriber => "subscriber",
        })
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
