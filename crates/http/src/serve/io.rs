//! A socket whose client has to take bytes in time, and is counted when it does not.
//!
//! How it is held to that, [`WriteDeadline`] knows; nothing here looks at a byte.

use std::time::Duration;

use fanfare_stream::WriteDeadline;
use tokio::net::TcpStream;

use super::ServeCounts;

/// Right above the socket and below TLS.
pub(crate) type Impatient = WriteDeadline<TcpStream>;

/// Gives a client `write_timeout` to take something, and counts it when it is given up, by us or by the kernel.
pub(crate) fn impatient(socket: TcpStream, write_timeout: Duration, counts: ServeCounts) -> Impatient {
    WriteDeadline::new(socket, write_timeout).on_cut(move |_| counts.cut())
}

/// Has the end of a connection throw away what its peer has not taken.
pub(crate) fn reset_on_drop(socket: &TcpStream) {
    // One that refuses is a dead one.
    let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
}
