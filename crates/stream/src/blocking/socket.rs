//! [`Socket`]: what a stream is written to, and how its connection ends so that the client gets all of it.
//!
//! It knows no events.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// What a stream is written to: a writer that can be ended.
///
/// For a TLS stream: send the `close_notify` alert in `end`, then end the `TcpStream` below; hand `limit_writes` on to it.
pub trait Socket: Write {
    /// Prepares the socket, before the first byte is written.
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Has a write fail, with [`io::ErrorKind::WouldBlock`] or [`io::ErrorKind::TimedOut`], of which the client takes nothing for `limit`. It
    /// may be tried again.
    ///
    /// [`serve`](super::serve) calls this once, before it writes. Of a socket that ignores it, as this does by default, a client can hold the thread for ever.
    fn limit_writes(&mut self, limit: Duration) -> io::Result<()> {
        _ = limit;
        Ok(())
    }

    /// Ends the connection so that the client gets every byte that was written, and then the end.
    fn end(&mut self) -> io::Result<()>;
}

/// Ends with a FIN. Each event leaves at once (`TCP_NODELAY`).
impl Socket for TcpStream {
    fn begin(&mut self) -> io::Result<()> {
        self.set_nodelay(true)
    }

    fn limit_writes(&mut self, limit: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(at_least_a_millisecond(limit)))
    }

    fn end(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)?;
        drain(self, |socket, left| socket.set_read_timeout(Some(left)));
        Ok(())
    }
}

#[cfg(unix)]
impl Socket for std::os::unix::net::UnixStream {
    fn limit_writes(&mut self, limit: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(at_least_a_millisecond(limit)))
    }

    fn end(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)?;
        drain(self, |socket, left| socket.set_read_timeout(Some(left)));
        Ok(())
    }
}

impl<S: Socket + ?Sized> Socket for Box<S> {
    fn begin(&mut self) -> io::Result<()> {
        (**self).begin()
    }

    fn limit_writes(&mut self, limit: Duration) -> io::Result<()> {
        (**self).limit_writes(limit)
    }

    fn end(&mut self) -> io::Result<()> {
        (**self).end()
    }
}

/// The system refuses zero, and less than it can measure is no limit.
fn at_least_a_millisecond(limit: Duration) -> Duration {
    limit.max(Duration::from_millis(1))
}

/// How long, and for how many bytes, an ended connection waits for the client to end it too.
const DRAIN_TIME: Duration = Duration::from_secs(1);
const DRAIN_BYTES: usize = 64 * 1024;

/// Reads what the client still sends, up to its end and within bounds.
///
/// A socket that is closed with unread input sends RST instead of FIN, and that takes from the client what it has
/// not read yet: the farewell first.
fn drain<S: Read>(socket: &mut S, wait_at_most: impl Fn(&S, Duration) -> io::Result<()>) {
    let start = Instant::now();
    let mut left = DRAIN_BYTES;
    let mut buffer = [0; 4096];
    while let Some(time) = DRAIN_TIME.checked_sub(start.elapsed()).filter(|time| !time.is_zero()) {
        if left == 0 || wait_at_most(socket, time).is_err() {
            return;
        }
        match socket.read(&mut buffer) {
            Ok(0) => return,
            Ok(bytes) => left = left.saturating_sub(bytes),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A timeout, or the client is gone.
            Err(_) => return,
        }
    }
}
