//! The headers that make a response an event stream.
//!
//! They are added to the caller's and never replace what the caller chose, but for the two that would break
//! the stream. Source: [WHATWG HTML § 9.2](https://html.spec.whatwg.org/multipage/server-sent-events.html).

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};

const EVENT_STREAM: &str = "text/event-stream";

/// nginx holds back a response of unknown length unless it is told not to, and says it will keep doing so.
pub(crate) const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Completes the caller's headers.
///
/// `Content-Type` is set unless it is `text/event-stream` already (with or without parameters), because a
/// browser gives up for good on any other. `Content-Length` and `Transfer-Encoding` are taken out: the length
/// of a stream is unknown, and how it is framed is the server's to say.
pub(crate) fn complete(headers: &mut HeaderMap) {
    if !headers.get(CONTENT_TYPE).is_some_and(is_event_stream) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    }
    // `no-transform` is what proxies and compressing middleware honour; without it some collect a block first.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, no-transform"));
    headers.entry(X_ACCEL_BUFFERING).or_insert(HeaderValue::from_static("no"));
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
}

pub(crate) fn is_event_stream(value: &HeaderValue) -> bool {
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(EVENT_STREAM.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(given: &[(&str, &str)], name: &str, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        complete(&mut headers);
        assert_eq!(headers.get(name).map(|value| value.to_str().unwrap()), expected, "{given:?}");
    }

    #[test]
    fn an_empty_head_gets_all_three_headers() {
        check(&[], "content-type", Some("text/event-stream"));
        check(&[], "cache-control", Some("no-cache, no-transform"));
        check(&[], "x-accel-buffering", Some("no"));
    }

    #[test]
    fn what_the_caller_set_stays() {
        check(&[("cache-control", "no-store")], "cache-control", Some("no-store"));
        check(&[("x-accel-buffering", "yes")], "x-accel-buffering", Some("yes"));
        check(&[("set-cookie", "a=b")], "set-cookie", Some("a=b"));
        let with_charset = "Text/Event-Stream ; charset=utf-8";
        check(&[("content-type", with_charset)], "content-type", Some(with_charset));
    }

    #[test]
    fn a_content_type_that_browsers_refuse_is_replaced() {
        check(&[("content-type", "text/plain; charset=utf-8")], "content-type", Some("text/event-stream"));
        check(&[("content-type", "text/event-streams")], "content-type", Some("text/event-stream"));
        check(&[("content-type", "")], "content-type", Some("text/event-stream"));
    }

    #[test]
    fn a_length_or_a_framing_that_cannot_be_true_is_taken_out() {
        check(&[("content-length", "12")], "content-length", None);
        check(&[("transfer-encoding", "chunked")], "transfer-encoding", None);
    }
}
