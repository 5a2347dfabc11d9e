//! Finds out which version of HTTP a client begins with, where TLS has not agreed on one.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What every HTTP/2 connection begins with (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// Reads until it is certain, and gives what was read; `None` if the client left before.
///
/// # Errors
/// The connection broke.
pub(crate) async fn of(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(Version, Bytes)>> {
    let mut read = BytesMut::with_capacity(HTTP2_PREFACE.len());
    loop {
        if let Some(version) = judge(&read) {
            return Ok(Some((version, read.freeze())));
        }
        // No more than the preface, so that what follows stays with who speaks the protocol.
        let mut rest = (&mut *socket).take((HTTP2_PREFACE.len() - read.len()) as u64);
        if rest.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
    }
}

fn judge(read: &[u8]) -> Option<Version> {
    if !HTTP2_PREFACE.starts_with(read) {
        return Some(Version::Http1);
    }
    (read.len() == HTTP2_PREFACE.len()).then_some(Version::Http2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_differs_decides() {
        assert_eq!(judge(b""), None);
        assert_eq!(judge(b"P"), None);
        assert_eq!(judge(b"PO"), Some(Version::Http1));
        assert_eq!(judge(b"GET / HTTP/1.1\r\n"), Some(Version::Http1));
        assert_eq!(judge(&HTTP2_PREFACE[..23]), None);
        assert_eq!(judge(HTTP2_PREFACE), Some(Version::Http2));
    }
}
