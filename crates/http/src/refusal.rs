//! The answer to a request that is not served: a status, and one plain sentence for whoever reads it.
//!
//! The sentence names what was wrong in the words of the request and tells nothing of our insides. Section 10 of the
//! protocol lays down the status codes.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// A status and a sentence, and for those who may come back a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) sentence: Cow<'static, str>,
    retry_after: Option<Duration>,
    allow: Option<&'static str>,
}

impl Refusal {
    fn new(status: StatusCode, sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { status, sentence: sentence.into(), retry_after: None, allow: None }
    }

    /// 400: the request says something that cannot be meant.
    pub(crate) fn bad(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }

    /// 401: whoever asks has to say who it is.
    pub(crate) fn unauthorized(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, sentence)
    }

    /// 403: whoever asks may not have it.
    pub(crate) fn forbidden(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, sentence)
    }

    /// 404: there is nothing.
    pub(crate) fn not_found(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, sentence)
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

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        tracing::debug!(status = self.status.as_u16(), "{}", self.sentence);
        // What was wrong is wrong for this request alone; nobody may keep the answer for another.
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        let mut response = (self.status, headers, format!("{}\n", self.sentence)).into_response();
        if let Some(after) = self.retry_after {
            // Whole seconds, and never zero, which would mean at once.
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if let Some(allow) = self.allow {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

/// Begins a sentence with what is written like the middle of one.
pub(crate) fn sentence(words: impl fmt::Display) -> String {
    let words = words.to_string();
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
