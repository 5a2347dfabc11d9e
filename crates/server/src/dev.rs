//! What the page of `--dev` asks besides the hub: what a token says and whether it would be taken, and a token to try with.
//!
//! It tells what clients are never told, so it is there on loopback alone; and it signs with the key that everybody knows,
//! never with one that was configured.

use std::error::Error;
use std::time::{Duration, SystemTime};

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use fanfare_http::Revocations;
use fanfare_http::token::{
    self, Algorithm, Claims, Detail, Explanation, Language, SigningKey, TopicMatcher, Verifier,
};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::access::{Access, DEVELOPMENT_ISSUER};
use crate::causes::causes;
use crate::token::bare;

/// Longer ones are no tokens; the hub takes shorter ones only.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Whom the answers are about.
#[derive(Clone)]
pub(crate) struct Dev {
    verifier: Verifier,
    revocations: Revocations,
    hub_url: Url,
    /// Whether tokens from before Mercure 1.0 are taken.
    is_legacy: bool,
    /// None: the keys are somebody's own, so no token is made.
    minting: Option<Minting>,
}

/// How tokens are made.
#[derive(Clone)]
struct Minting {
    /// Everybody knows it.
    key: &'static str,
    /// What stands in `aud`.
    audience: String,
}

impl Dev {
    pub(crate) fn new(access: &Access, verifier: Verifier, revocations: Revocations, hub_url: Url) -> Self {
        let audience = access.resource_identifier.clone();
        let audience = audience.or_else(|| access.public_urls.first().map(Url::to_string));
        let minting = access.development_key.zip(audience).map(|(key, audience)| Minting { key, audience });
        Self { verifier, revocations, hub_url, is_legacy: access.legacy.is_some(), minting }
    }

    /// Serves `/dev/hub`, `/dev/token/explain`, and `/dev/token/mint` if there is a key for it.
    pub(crate) fn router(self) -> Router {
        let about =
            About { path: self.hub_url.path().to_owned(), explains: true, mints: self.minting.is_some() };
        let mut router = Router::new().route("/dev/token/explain", post(explain));
        if about.mints {
            router = router.route("/dev/token/mint", post(mint));
        }
        router.layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(self).merge(about.router())
    }

    /// Serves `/dev/hub` alone: where strangers could ask, nothing is told of tokens.
    pub(crate) fn only_where(hub_url: &Url) -> Router {
        About { path: hub_url.path().to_owned(), explains: false, mints: false }.router()
    }
}

/// What the page has to know of its hub.
#[derive(Clone, Serialize)]
struct About {
    /// Where it is on this server.
    path: String,
    explains: bool,
    mints: bool,
}

impl About {
    fn router(self) -> Router {
        Router::new().route("/dev/hub", get(async move || fresh(Json(self))))
    }
}

/// An answer about now, that nobody keeps.
fn fresh(answer: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], answer).into_response()
}

/// What a token says. Genuine or not: only the verdicts are to be believed.
#[derive(Serialize)]
struct Explained {
    /// Why it cannot be read; the rest is then empty.
    unreadable: Option<String>,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    legacy: bool,
    grants: Vec<Grant>,
    /// Why its grants cannot be read.
    defect: Option<String>,
    verdicts: Vec<Verdict>,
    /// Whose tokens are taken.
    trusted_issuers: Vec<String>,
}

#[derive(Serialize)]
struct Grant {
    publish: bool,
    subscribe: bool,
    topics: Vec<Topic>,
    payload: Option<Value>,
}

#[derive(Serialize)]
struct Topic {
    /// `exact`, `urlpattern` or `selector`.
    language: &'static str,
    text: String,
}

#[derive(Serialize)]
struct Verdict {
    /// `publisher` or `subscriber`.
    role: String,
    /// Why it would be refused; null if it would not.
    refused: Option<String>,
}

async fn explain(State(dev): State<Dev>, token: String) -> Response {
    let told = Explanation::of(bare(&token), Some(&dev.verifier), SystemTime::now()).await;
    let verdict = |(role, verdict): (token::Role, Result<Claims, token::TokenError>)| Verdict {
        role: role.to_string(),
        refused: verdict.map_or_else(|error| Some(causes(&error)), |claims| dev.refusal(&claims)),
    };
    let verdicts = told.verdicts.into_iter().map(verdict).collect();
    let (unreadable, parts) = match told.parts {
        Ok(parts) => (None, Some(parts)),
        Err(error) => (Some(causes(&error)), None),
    };
    let (header, claims, legacy, grants) = match parts {
        Some(parts) => (parts.header, parts.claims, parts.legacy, parts.grants),
        None => (Map::new(), Map::new(), false, Ok(Vec::new())),
    };
    let (grants, defect) = match grants {
        Ok(details) => (details.into_iter().map(Grant::from).collect(), None),
        Err(error) => (Vec::new(), Some(causes(&error))),
    };
    let trusted_issuers = told.trusted_issuers;
    fresh(Json(Explained { unreadable, header, claims, legacy, grants, defect, verdicts, trusted_issuers }))
}

impl Dev {
    /// Why the hub would refuse a genuine token whose grants it could use. It asks in the order of the hub.
    fn refusal(&self, claims: &Claims) -> Option<String> {
        if claims.legacy && !self.is_legacy {
            return Some("clients from before Mercure 1.0 are not served".to_owned());
        }
        if let Err(denied) = self.revocations.honours(claims) {
            // The cause is the reason; that it is not valid is what we say anyway.
            return Some(denied.source().map_or_else(|| denied.to_string(), causes));
        }
        None
    }
}

impl From<Detail> for Grant {
    fn from(Detail { publish, subscribe, topics, payload }: Detail) -> Self {
        let topic = |TopicMatcher { language, text }| Topic {
            language: language.match_type().unwrap_or("selector"),
            text,
        };
        Self { publish, subscribe, topics: topics.into_iter().map(topic).collect(), payload }
    }
}

/// What a new token is to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Whether it is one of the years before Mercure 1.0.
    #[serde(default)]
    legacy: bool,
    #[serde(default)]
    publish: Vec<WantedTopic>,
    #[serde(default)]
    subscribe: Vec<WantedTopic>,
    payload: Option<Value>,
    subject: Option<String>,
    /// None: an hour; for a legacy one, for ever.
    lifetime_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedTopic {
    #[serde(rename = "match")]
    text: String,
    /// A text is compared byte by byte; that of a legacy token may be a URI Template.
    #[serde(default)]
    is_pattern: bool,
}

async fn mint(State(dev): State<Dev>, Json(wanted): Json<Wanted>) -> Response {
    match dev.minted(wanted) {
        Ok(token) => fresh(token),
        Err(reason) => fresh((StatusCode::BAD_REQUEST, format!("No token was made: {reason}.\n"))),
    }
}

impl Dev {
    fn minted(&self, wanted: Wanted) -> Result<String, String> {
        let Minting { key, audience } = self.minting.as_ref().ok_or("the hub has keys of its own")?;
        let mut mint = if wanted.legacy {
            token::Mint::legacy()
        } else {
            token::Mint::modern(DEVELOPMENT_ISSUER, audience)
        };
        mint = mint.publish(matchers(wanted.legacy, &wanted.publish)?);
        mint = mint.subscribe(matchers(wanted.legacy, &wanted.subscribe)?);
        if let Some(payload) = wanted.payload {
            mint = mint.payload(payload);
        }
        if let Some(subject) = wanted.subject.filter(|subject| !subject.is_empty()) {
            mint = mint.subject(subject);
        }
        if let Some(seconds) = wanted.lifetime_seconds {
            mint = mint.lifetime(Duration::from_secs(seconds));
        }
        let key = SigningKey::secret(Algorithm::Hs256, key).map_err(|error| causes(&error))?;
        mint.sign(&key, SystemTime::now()).map_err(|error| causes(&error))
    }
}

fn matchers(legacy: bool, topics: &[WantedTopic]) -> Result<Vec<TopicMatcher>, String> {
    let matcher = |WantedTopic { text, is_pattern }: &WantedTopic| {
        let language = match (is_pattern, legacy) {
            (true, _) => Language::UrlPattern,
            (false, true) => Language::Selector,
            (false, false) => Language::Exact,
        };
        TopicMatcher::new(language, text).map_err(|fault| format!("the topic {text:?}: {fault}"))
    };
    topics.iter().map(matcher).collect()
}
