//! [`Closed`]: why a stream is over, and [`Closing`], the future that waits to hear of it.
//!
//! It ends nothing itself; a [`Life`] does, and says here what is known of it.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::life::Life;

/// Why a stream is over.
///
/// What ends it first is the reason, and the only one. It says how the stream ended and not what arrived: the last bytes may
/// be with the HTTP server still, and go down with the connection. What a client has seen, its last event ID says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Closed {
    /// Whoever serves the response has let go of it before its end: the client is gone, did not want a body (`HEAD`), or the
    /// server stopped.
    ByClient,
    /// The application has ended it: there are no more events, it was closed, its last sender was dropped, or what it is to
    /// last [`until`](crate::Sse::until) is done.
    ByApplication,
    /// What is streamed has failed: it yielded an error.
    Failed,
    /// The client took nothing for as long as it may.
    WriteDeadline,
    /// The client was too far behind for the application ([`send_or_end`](crate::Sender::send_or_end)).
    TooSlow,
    /// Its time is over ([`lifetime`](crate::Sse::lifetime)).
    Expired,
    /// The server shuts down ([`Shutdown`](crate::Shutdown)).
    Shutdown,
    /// Writing to the client has failed in a way that does not mean that it is gone.
    Io(io::ErrorKind),
}

impl Closed {
    /// Whether the client is to get nothing more, be it on its way.
    pub(crate) fn cuts(self) -> bool {
        matches!(self, Self::WriteDeadline | Self::Shutdown)
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByClient => f.write_str("the client is gone"),
            Self::ByApplication => f.write_str("the application has ended the stream"),
            Self::Failed => f.write_str("what was streamed has failed"),
            Self::WriteDeadline => f.write_str("the client took nothing for too long"),
            Self::TooSlow => f.write_str("the client was too far behind"),
            Self::Expired => f.write_str("the time of the stream was over"),
            Self::Shutdown => f.write_str("the server shuts down"),
            Self::Io(kind) => write!(f, "writing to the client failed: {kind}"),
        }
    }
}

impl std::error::Error for Closed {}

/// What a failed write says about the end of the stream.
///
/// A time-out is the [`WriteDeadline`](Closed::WriteDeadline); what a peer that is gone leaves behind is
/// [`ByClient`](Closed::ByClient).
impl From<&io::Error> for Closed {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::WriteDeadline,
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::WriteZero => Self::ByClient,
            kind => Self::Io(kind),
        }
    }
}

/// Waits until a stream is over, and says why. From [`Sse::closed`](crate::Sse::closed).
///
/// It needs no runtime. Clones wait for the same end, and once it is over each says so at once, as often as it is asked.
#[must_use = "a future does nothing until it is polled"]
pub struct Closing {
    life: Life,
    /// Where its waker is kept.
    seat: Option<u64>,
}

impl Closing {
    pub(crate) fn of(life: &Life) -> Self {
        Self { life: life.clone(), seat: None }
    }
}

impl Future for Closing {
    type Output = Closed;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Closed> {
        let Self { life, seat } = self.get_mut();
        life.poll_over(seat, cx)
    }
}

impl Clone for Closing {
    fn clone(&self) -> Self {
        Self::of(&self.life)
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(seat) = self.seat {
            self.life.leave(seat);
        }
    }
}

impl fmt::Debug for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closing").field("over", &self.life.why()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: io::ErrorKind, expected: Closed) {
        assert_eq!(Closed::from(&io::Error::from(kind)), expected);
    }

    #[test]
    fn what_a_failed_write_means_depends_on_its_kind() {
        check(io::ErrorKind::TimedOut, Closed::WriteDeadline);
        check(io::ErrorKind::WouldBlock, Closed::WriteDeadline);
        check(io::ErrorKind::BrokenPipe, Closed::ByClient);
        check(io::ErrorKind::ConnectionReset, Closed::ByClient);
        check(io::ErrorKind::OutOfMemory, Closed::Io(io::ErrorKind::OutOfMemory));
    }
}
