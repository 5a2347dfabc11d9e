//! A response's head as HTTP/1.1 writes it, on a connection that ends with the body.
//!
//! It says nothing of what the body is.

use std::io;
use std::time::SystemTime;

use http::header::{CONNECTION, DATE};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::date;

/// Whether a response with this status has a body.
pub(super) fn has_body(status: StatusCode) -> bool {
    !status.is_informational() && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Refuses to put a stream under a status whose response has no body.
pub(super) fn check_body(status: StatusCode) -> io::Result<()> {
    if has_body(status) {
        return Ok(());
    }
    let message = format!("a response with status {} has no body", status.as_u16());
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// The head as bytes. `http`'s types hold no line break, so nothing of the caller's can end a line early.
pub(super) fn bytes(status: StatusCode, mut headers: HeaderMap) -> Vec<u8> {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if let (false, Some(date)) = (headers.contains_key(DATE), date::header(SystemTime::now())) {
        headers.insert(DATE, date);
    }
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(b"HTTP/1.1 ");
    bytes.extend_from_slice(status.as_str().as_bytes());
    bytes.push(b' ');
    bytes.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    for (name, value) in &headers {
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes
}
