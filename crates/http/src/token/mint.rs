//! Makes tokens: for tests, for scripts, and for applications that have no library for it.
//!
//! It asks nobody whether the token should exist. Source: requirements M-095, M-101 to M-103, M-110 to M-114 and M-199.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::crypto;
use super::details::{DETAIL_TYPE, Detail, Language, TopicMatcher};
use super::signing_key::SigningKey;

/// What a new token says.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use fanfare_http::token::{Algorithm, Language, Mint, SigningKey, TopicMatcher};
///
/// let key = SigningKey::secret(Algorithm::Hs256, "a secret of more than thirty-two bytes")?;
/// let token = Mint::modern("https://shop.test", "https://push.test/.well-known/mercure")
///     .publish([TopicMatcher::new(Language::Exact, "https://shop.test/orders/41")?])
///     .subject("svc-orders")
///     .lifetime(Duration::from_secs(600))
///     .sign(&key, SystemTime::now())?;
/// assert_eq!(token.split('.').count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Mint {
    kind: Kind,
    details: Vec<Detail>,
    payload: Option<Value>,
    subject: Option<String>,
    lifetime: Option<Duration>,
    key_id: Option<String>,
}

#[derive(Clone, Debug)]
enum Kind {
    Modern { issuer: String, audience: String },
    Legacy,
}

/// Why no token was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MintError {
    /// A matcher is of a language that this kind of token cannot hold: selectors are legacy, patterns are modern.
    Language {
        /// That of the matcher.
        language: Language,
    },
    /// A payload of a modern token is not an object.
    Payload,
    /// There is a payload, but nothing to subscribe to.
    PayloadWithoutSubscription,
    /// The clock stands before 1970.
    Clock,
    /// The key could not sign, or the system has no random numbers.
    Signing,
}

/// How long a modern token holds unless it says otherwise.
const LIFETIME: Duration = Duration::from_secs(3600);

impl Mint {
    /// A token of the present protocol, from `issuer`, for the hub with this resource identifier. It holds for an hour
    /// unless [`lifetime`](Self::lifetime) says otherwise.
    pub fn modern(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self::new(Kind::Modern { issuer: issuer.into(), audience: audience.into() }, Some(LIFETIME))
    }

    /// A token of the protocol before 1.0. It holds for ever unless [`lifetime`](Self::lifetime) says otherwise.
    pub fn legacy() -> Self {
        Self::new(Kind::Legacy, None)
    }

    fn new(kind: Kind, lifetime: Option<Duration>) -> Self {
        Self { kind, details: Vec::new(), payload: None, subject: None, lifetime, key_id: None }
    }

    /// Grants publishing to `topics`.
    pub fn publish(self, topics: impl IntoIterator<Item = TopicMatcher>) -> Self {
        self.grant(true, topics)
    }

    /// Grants reading private updates of `topics`.
    pub fn subscribe(self, topics: impl IntoIterator<Item = TopicMatcher>) -> Self {
        self.grant(false, topics)
    }

    fn grant(mut self, publish: bool, topics: impl IntoIterator<Item = TopicMatcher>) -> Self {
        let topics: Vec<_> = topics.into_iter().collect();
        if !topics.is_empty() {
            self.details.push(Detail { publish, subscribe: !publish, topics, payload: None });
        }
        self
    }

    /// What others see of the subscriber in subscription events.
    pub fn payload(mut self, payload: Value) -> Self {
        self.payload = Some(payload);
        self
    }

    /// For whom the token is.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// How long it holds; fractions of a second are dropped.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Which of the issuer's keys it is to be checked with.
    pub fn key_id(mut self, id: impl Into<String>) -> Self {
        self.key_id = Some(id.into());
        self
    }

    /// Makes the token, dated `now`, with a random `jti`.
    pub fn sign(&self, key: &SigningKey, now: SystemTime) -> Result<String, MintError> {
        let kind = match self.kind {
            Kind::Modern { .. } => "at+jwt",
            Kind::Legacy => "JWT",
        };
        let mut header = json!({ "alg": key.algorithm().name(), "typ": kind });
        if let Some(id) = &self.key_id {
            header["kid"] = json!(id);
        }
        let claims = Value::Object(self.claims(now)?);
        let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = key.sign(signed.as_bytes()).ok_or(MintError::Signing)?;
        Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }

    fn claims(&self, now: SystemTime) -> Result<Map<String, Value>, MintError> {
        let issued = now.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| MintError::Clock)?.as_secs();
        let mut claims = Map::new();
        let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        set("iat", json!(issued));
        set("jti", json!(token_id().ok_or(MintError::Signing)?));
        if let Some(lifetime) = self.lifetime {
            set("exp", json!(issued.saturating_add(lifetime.as_secs())));
        }
        if let Some(subject) = &self.subject {
            set("sub", json!(subject));
        }
        match &self.kind {
            Kind::Modern { issuer, audience } => {
                set("iss", json!(issuer));
                set("aud", json!(audience));
                // RFC 9068 § 2.2 asks for both; an issuer that makes tokens by hand is its own client.
                set("client_id", json!(issuer));
                set("sub", json!(self.subject.as_ref().unwrap_or(issuer)));
                set("authorization_details", self.authorization_details()?);
            }
            Kind::Legacy => {
                set("mercure", self.legacy_claim()?);
            }
        }
        Ok(claims)
    }

    fn authorization_details(&self) -> Result<Value, MintError> {
        match &self.payload {
            Some(payload) if !payload.is_object() => return Err(MintError::Payload),
            Some(_) if !self.details.iter().any(|detail| detail.subscribe) => {
                return Err(MintError::PayloadWithoutSubscription);
            }
            _ => {}
        }
        let details = self.details.iter().map(|detail| {
            let topics = detail.topics.iter().map(|topic| match topic.language {
                Language::Exact => Ok(json!({ "match": topic.text })),
                Language::UrlPattern => Ok(json!({ "match": topic.text, "match_type": "urlpattern" })),
                Language::Selector => Err(MintError::Language { language: topic.language }),
            });
            let action = if detail.publish { "publish" } else { "subscribe" };
            let topics: Vec<Value> = topics.collect::<Result<_, _>>()?;
            let mut entry = json!({ "type": DETAIL_TYPE, "actions": [action], "topics": topics });
            if let Some(payload) = self.payload.as_ref().filter(|_| detail.subscribe) {
                entry["payload"] = payload.clone();
            }
            Ok(entry)
        });
        Ok(Value::Array(details.collect::<Result<_, _>>()?))
    }

    /// An exact topic is a selector without a variable, as far as tokens can tell.
    fn legacy_claim(&self) -> Result<Value, MintError> {
        let mut claim = json!({});
        for (name, publish) in [("publish", true), ("subscribe", false)] {
            let topics = self
                .details
                .iter()
                .filter(|detail| detail.publish == publish)
                .flat_map(|detail| &detail.topics);
            let texts = topics.map(|topic| match topic.language {
                Language::Exact | Language::Selector => Ok(json!(topic.text)),
                Language::UrlPattern => Err(MintError::Language { language: topic.language }),
            });
            let texts: Vec<Value> = texts.collect::<Result<_, _>>()?;
            if !texts.is_empty() {
                claim[name] = Value::Array(texts);
            }
        }
        if let Some(payload) = &self.payload {
            claim["payload"] = payload.clone();
        }
        Ok(claim)
    }
}

/// A random UUID, as a URN.
fn token_id() -> Option<String> {
    let mut bytes = crypto::random_bytes::<16>()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    Some(format!("urn:uuid:{}", parts.join("-")))
}

impl fmt::Display for MintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Language { language: Language::UrlPattern } => {
                f.write_str("a token of the older protocol cannot hold URL Patterns; it takes URI Templates")
            }
            Self::Language { .. } => f.write_str(
                "a token of the present protocol cannot hold URI Templates; it takes URL Patterns",
            ),
            Self::Payload => f.write_str("the payload must be a JSON object"),
            Self::PayloadWithoutSubscription => {
                f.write_str("a payload means nothing without a topic to subscribe to")
            }
            Self::Clock => f.write_str("the clock stands before 1970"),
            Self::Signing => f.write_str("the key could not sign"),
        }
    }
}

impl std::error::Error for MintError {}
