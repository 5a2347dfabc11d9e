//! What a worker does with a socket: set it up, write, read away what nobody asked for, reset.
//!
//! It never waits. Partial writes are told as they are.

use std::io::{self, Read, Write};
use std::time::Duration;

use mio::net::TcpStream;
use socket2::SockRef;

use crate::{Ended, Settings};

/// How a write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// So many bytes; perhaps not all.
    Bytes(usize),
    /// None: the socket is full.
    Full,
    /// It was interrupted; to be tried again.
    Again,
    /// The connection is gone.
    Gone(Ended),
}

/// What was read away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discarded {
    /// So many bytes, and nothing more for now.
    Bytes(usize),
    /// The client has closed its side, or the connection broke.
    Gone(Ended),
}

/// The longest that the kernel takes: it counts milliseconds in 31 bits.
#[cfg(any(target_os = "linux", target_os = "android"))]
const USER_TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);

/// Tells the kernel what the socket is for. One that refuses is a dead one, which shows soon enough.
pub(crate) fn set_up(socket: &TcpStream, settings: &Settings) {
    // What is due goes out in one write, which should leave at once.
    let _ = socket.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // The kernel sizes its send buffer by how fast the way is, up to megabytes, and left alone it would fill one for
        // somebody who reads nothing. This bounds what has not been sent and leaves what is on its way alone, so it
        // costs a fast client nothing, where a fixed `SO_SNDBUF` would bound both.
        let _ = SockRef::from(socket).set_tcp_notsent_lowat(settings.unsent_bytes_max);
        // A peer that has vanished without a word acknowledges nothing. A quiet stream never fills the buffers that our
        // own timeout goes by, and left alone the kernel would try for a quarter of an hour.
        let _ =
            SockRef::from(socket).set_tcp_user_timeout(Some(settings.write_timeout.min(USER_TIMEOUT_MAX)));
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = settings;
}

/// Asks the kernel once to take `bytes`.
pub(crate) fn write(socket: &TcpStream, bytes: &[u8]) -> Wrote {
    judge((&mut &*socket).write(bytes))
}

/// What the answer to a write means.
pub(crate) fn judge(written: io::Result<usize>) -> Wrote {
    match written {
        // Of bytes that are not none: the socket takes nothing.
        Ok(0) => Wrote::Full,
        Ok(written) => Wrote::Bytes(written),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock => Wrote::Full,
            io::ErrorKind::Interrupted => Wrote::Again,
            _ => Wrote::Gone(broken(&error)),
        },
    }
}

/// The kernel may be the one who gives a client up that acknowledges nothing.
fn broken(error: &io::Error) -> Ended {
    if error.kind() == io::ErrorKind::TimedOut { Ended::WriteTimeout } else { Ended::ByClient }
}

/// Reads until there is nothing left, or more than `bytes_max` was there.
pub(crate) fn discard(socket: &TcpStream, scratch: &mut [u8], bytes_max: usize) -> Discarded {
    let mut bytes = 0;
    while bytes <= bytes_max {
        match (&mut &*socket).read(scratch) {
            Ok(0) => return Discarded::Gone(Ended::ByClient),
            Ok(read) => bytes += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Discarded::Gone(broken(&error)),
        }
    }
    Discarded::Bytes(bytes)
}

/// Makes the end of this socket a reset, which frees at once what the kernel holds for it.
pub(crate) fn reset_on_drop(socket: &TcpStream) {
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}
