//! Agrees with a client on TLS, or tells one that speaks plain HTTP where it has come to.
//!
//! It sets no time limit: whoever waits for it does, and everything that a client can hold up is in here.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Tls;
use crate::serve::io::Impatient;

/// A connection whose bytes nobody between can read.
pub(crate) type Secure = TlsStream<Impatient>;

/// The first byte of every TLS connection: a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;

const PLAIN: &str = "This port speaks TLS; the URL has to begin with https.\n";

/// How much of a plain request is read for nothing but that its sender comes to read the answer: closing a socket with
/// unread bytes resets it, and the answer is lost.
const DISCARDED_BYTES_MAX: u64 = 256 * 1024;

/// Shakes hands; `None` if nothing came of it, in which case the client was told.
pub(crate) async fn accept(mut socket: Impatient, tls: &Tls) -> Option<Secure> {
    let mut first = [0];
    if socket.get_ref().peek(&mut first).await.ok()? == 0 {
        return None;
    }
    // Every method of HTTP begins like this, and so does HTTP/2.
    if first[0].is_ascii_uppercase() {
        tracing::debug!("a client spoke plain HTTP where TLS is spoken");
        let length = PLAIN.len();
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\r\n{PLAIN}"
        );
        socket.write_all(answer.as_bytes()).await.ok()?;
        socket.shutdown().await.ok()?;
        let mut rest = socket.take(DISCARDED_BYTES_MAX);
        // Until it closes its side, or has sent too much, or the time is over.
        let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
        return None;
    }
    if first[0] != HANDSHAKE {
        tracing::debug!("a client began with something that is no TLS");
    }
    match TlsAcceptor::from(tls.config.clone()).accept(socket).await {
        Ok(secure) => Some(secure),
        Err(error) => {
            // It was told by an alert.
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
    }
}

/// Says good-bye, which tells the client that nobody on the way has cut anything off.
pub(crate) async fn leave(mut secure: Box<Secure>) {
    // One that takes nothing is given up by the write timeout; one that has gone does not matter.
    let _ = secure.shutdown().await;
}

/// Whether both have agreed on HTTP/2.
pub(crate) fn is_http2(secure: &Secure) -> bool {
    secure.get_ref().1.alpn_protocol() == Some(b"h2")
}
