//! The answer to a request that is not served: a status, and one plain sentence for whoever reads it.
//!
//! The sentence names what was wrong in the words of the request and tells nothing of our insides. Section 10 of the
//! protocol lays down the status codes.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use url::Url;

/// A status and a sentence, and for those who may come back a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) sentence: Cow<'static, str>,
    retry_after: Option<Duration>,
    allow: Option<&'static str>,
    challenge: Option<Challenge>,
}

/// What a client has to show that it did not (RFC 6750 § 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A token.
    Missing,
    /// A token that holds.
    InvalidToken,
    /// A token that grants more.
    InsufficientScope,
    /// A token, in one of the ways there are.
    InvalidRequest,
}

impl Challenge {
    /// The value of `WWW-Authenticate`, with the address of the hub's metadata if it has some (M-121).
    fn header(self, metadata: Option<&Url>) -> Option<HeaderValue> {
        let error = match self {
            Self::Missing => None,
            Self::InvalidToken => Some("error=\"invalid_token\"".to_owned()),
            Self::InsufficientScope => Some("error=\"insufficient_scope\"".to_owned()),
            Self::InvalidRequest => Some("error=\"invalid_request\"".to_owned()),
        };
        let metadata = metadata.map(|url| format!("resource_metadata=\"{url}\""));
        let parameters: Vec<String> = error.into_iter().chain(metadata).collect();
        HeaderValue::try_from(format!("Bearer {}", parameters.join(", ")).trim_end()).ok()
    }
}

impl Refusal {
    fn new(status: StatusCode, sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { status, sentence: sentence.into(), retry_after: None, allow: None, challenge: None }
    }

    /// 400: the request says something that cannot be meant.
    pub(crate) fn bad(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }

    /// 401: somebody has to say who they are.
    pub(crate) fn unauthorized(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, sentence).challenge(Challenge::Missing)
    }

    /// 403: they are known, and may not.
    pub(crate) fn forbidden(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, sentence).challenge(Challenge::InsufficientScope)
    }

    /// 404: there is nothing.
    pub(crate) fn not_found(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, sentence)
    }

    /// 429: this client has enough for now, but perhaps not `after` some time; what was sent had no effect.
    pub(crate) fn too_many(sentence: impl Into<Cow<'static, str>>, after: Duration) -> Self {
        Self { retry_after: Some(after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, sentence) }
    }

    /// Says what token is asked for.
    pub(crate) fn challenge(mut self, challenge: Challenge) -> Self {
        self.challenge = Some(challenge);
        self
    }

    /// 413: the request, or one of its fields, is too large.
    pub(crate) fn too_large(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, sentence)
    }

    /// 422: the request contradicts one from before.
    pub(crate) fn contradiction(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, sentence)
    }

    /// 408: the request did not arrive in time.
    pub(crate) fn too_slow(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, sentence)
    }

    /// 405: nothing is served by this method.
    pub(crate) fn method(allow: &'static str) -> Self {
        let sentence = format!("This URL answers only {allow}.");
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, sentence) }
    }

    /// 503: not now, but perhaps `after` some time; what was sent had no effect.
    pub(crate) fn unavailable(sentence: impl Into<Cow<'static, str>>, after: Duration) -> Self {
        Self { retry_after: Some(after), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, sentence) }
    }

    /// Whether it may be otherwise soon.
    pub(crate) fn is_for_now(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// 504: what was sent may have had its effect.
    pub(crate) fn in_doubt(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, sentence)
    }

    /// 500: our own fault.
    pub(crate) fn fault() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The hub could not serve this request.")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status.as_u16(), self.sentence)
    }
}

impl Refusal {
    /// The answer; `metadata` is where the hub says which tokens it takes.
    pub(crate) fn respond(self, metadata: Option<&Url>) -> Response {
        tracing::debug!(status = self.status.as_u16(), "{}", self.sentence);
        // What was wrong is wrong for this request alone; nobody may keep the answer for another.
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        let mut response = (self.status, headers, format!("{}\n", self.sentence)).into_response();
        if let Some(after) = self.retry_after {
            // Never zero, which would mean at once.
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
        }
        if let Some(allow) = self.allow {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(challenge) = self.challenge.and_then(|challenge| challenge.header(metadata)) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.respond(None)
    }
}

/// Rounded up: whoever comes back a little early comes for nothing.
fn whole_seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0 || after.is_zero())
}

/// Begins a sentence with what is written like the middle of one.
pub(crate) fn sentence(words: impl fmt::Display) -> String {
    let words = words.to_string();
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
