//! Whether the head of a response lets an event stream through, and what to do where it does not.
//!
//! It looks at what any framework has: status, headers, and whether the length of the body is known. It never reads the body.

use std::fmt;
use std::panic::Location;

use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, Response, StatusCode};
use http_body::Body;

/// What is wrong with the head of a response that should be an event stream. Its text says what comes of it, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadFault {
    /// The status is not 200.
    Status(StatusCode),
    /// `Content-Type` is missing, or another one.
    ContentType(Option<String>),
    /// `Cache-Control` lets the stream be cached: it has neither `no-cache` nor `no-store`.
    Cached(Option<String>),
    /// `Cache-Control` lets the stream be compressed on its way: it has no `no-transform`.
    Transformed(Option<String>),
    /// `X-Accel-Buffering` is not `no`.
    Buffered(Option<String>),
    /// There is a `Content-Length`.
    ContentLength(String),
    /// The body knows how long it will be.
    KnownLength(u64),
    /// The body is compressed.
    Encoded(String),
    /// There is a header that is the server's to write, and that HTTP/2 forbids.
    Framing(HeaderName),
}

/// Says what is wrong with the head of an event stream; nothing if it is right.
///
/// Right is what [`Sse`](crate::Sse) sends: status 200, `Content-Type: text/event-stream`, `Cache-Control: no-cache, no-transform`
/// (or with `no-store`),
/// `X-Accel-Buffering: no`, and neither a length nor an encoding.
///
/// ```
/// use fanfare_stream::testing::{HeadFault, head_faults};
///
/// let response = http::Response::builder().status(503).header("Content-Type", "text/event-stream");
/// let faults = head_faults(&response.body(String::new())?);
/// assert_eq!(faults[0], HeadFault::Status(http::StatusCode::SERVICE_UNAVAILABLE));
/// assert!(faults[0].to_string().contains("gives up for good"));
/// # Ok::<(), http::Error>(())
/// ```
#[must_use]
pub fn head_faults<B: Body>(response: &Response<B>) -> Vec<HeadFault> {
    let headers = response.headers();
    let mut faults = Vec::new();
    if response.status() != StatusCode::OK {
        faults.push(HeadFault::Status(response.status()));
    }
    if !headers.get(CONTENT_TYPE).is_some_and(crate::head::is_event_stream) {
        faults.push(HeadFault::ContentType(text(headers, &CONTENT_TYPE)));
    }
    let caching = text(headers, &CACHE_CONTROL);
    let says = |directive| caching.as_deref().is_some_and(|value| has(value, directive));
    if !says("no-cache") && !says("no-store") {
        faults.push(HeadFault::Cached(caching.clone()));
    }
    if !says("no-transform") {
        faults.push(HeadFault::Transformed(caching.clone()));
    }
    let accel = text(headers, &crate::head::X_ACCEL_BUFFERING);
    if !accel.as_deref().is_some_and(|value| value.eq_ignore_ascii_case("no")) {
        faults.push(HeadFault::Buffered(accel));
    }
    if let Some(length) = text(headers, &CONTENT_LENGTH) {
        faults.push(HeadFault::ContentLength(length));
    } else if let Some(bytes) = response.body().size_hint().exact().filter(|bytes| *bytes > 0) {
        faults.push(HeadFault::KnownLength(bytes));
    }
    if let Some(encoding) =
        text(headers, &CONTENT_ENCODING).filter(|value| !value.eq_ignore_ascii_case("identity"))
    {
        faults.push(HeadFault::Encoded(encoding));
    }
    for name in [TRANSFER_ENCODING, CONNECTION] {
        if headers.contains_key(&name) {
            faults.push(HeadFault::Framing(name));
        }
    }
    faults
}

/// Checks that the head of a response is that of an event stream.
///
/// # Panics
///
/// If it is not, with all that [`head_faults`] finds and what to do about it.
#[track_caller]
pub fn assert_event_stream<B: Body>(response: &Response<B>) {
    assert_at(Location::caller(), response);
}

pub(super) fn assert_at<B: Body>(at: &Location<'_>, response: &Response<B>) {
    let faults = head_faults(response);
    let list: Vec<_> = faults.iter().map(|fault| format!("- {fault}")).collect();
    assert!(list.is_empty(), "{at}: this response is no good event stream:\n{}", list.join("\n"));
}

/// All values of a header, as one list.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    values.map(std::borrow::Cow::into_owned).reduce(|all, value| format!("{all}, {value}"))
}

/// Whether a list has a directive, be it with an argument.
fn has(list: &str, directive: &str) -> bool {
    list.split(',')
        .filter_map(|each| each.split('=').next())
        .any(|each| each.trim().eq_ignore_ascii_case(directive))
}

impl fmt::Display for HeadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| {
            value.as_ref().map_or_else(|| "is missing".to_owned(), |value| format!("is `{value}`"))
        };
        match self {
            Self::Status(status) => write!(
                f,
                "the status is {status}, on which a browser gives up for good: answer 200, and say in the stream what is wrong (or with `retry` when to come back)"
            ),
            Self::ContentType(value) => write!(
                f,
                "`Content-Type` {}, on which a browser gives up for good: send `text/event-stream`",
                shown(value)
            ),
            Self::Cached(value) => write!(
                f,
                "`Cache-Control` {}, so a cache may keep the stream and answer with an old one: send `no-cache, no-transform`",
                shown(value)
            ),
            Self::Transformed(value) => write!(
                f,
                "`Cache-Control` {}, so a proxy or a layer may compress the stream and hold events back: add `no-transform`",
                shown(value)
            ),
            Self::Buffered(value) => write!(
                f,
                "`X-Accel-Buffering` {}, so nginx holds events back until a buffer is full: send `no`",
                shown(value)
            ),
            Self::ContentLength(value) => write!(
                f,
                "`Content-Length` is `{value}`, but a stream has none, and its reader would stop there: remove it, and see which layer collects the body"
            ),
            Self::KnownLength(bytes) => write!(
                f,
                "the body is known to have {bytes} bytes, so it is no stream: something has collected it, or made it of a text"
            ),
            Self::Encoded(value) => write!(
                f,
                "`Content-Encoding` is `{value}`: a layer that compresses holds events back unless it flushes each; leave `text/event-stream` out of what it compresses"
            ),
            Self::Framing(name) => write!(
                f,
                "there is a header `{name}`, which is the server's to send and has no place in HTTP/2: remove it"
            ),
        }
    }
}
