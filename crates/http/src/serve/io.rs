//! A socket whose peer has to take bytes in time.
//!
//! hyper waits for ever for a peer that reads nothing. This wrapper fails the write instead when no byte at all was
//! taken for the write timeout; a slow peer that makes progress is left alone. It stands right above the socket, below TLS,
//! which would take bytes that no peer has. It never looks at them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::ServeCounts;

/// A connection that fails with [`io::ErrorKind::TimedOut`] when its peer takes nothing for too long.
pub(crate) struct Impatient<IO> {
    io: IO,
    write_timeout: Duration,
    /// Runs while bytes wait; costs nothing while the peer keeps up.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Whether the peer has been given up, by us or by the kernel.
    given_up: bool,
    counts: ServeCounts,
}

impl<IO> Impatient<IO> {
    pub(crate) fn new(io: IO, write_timeout: Duration, counts: ServeCounts) -> Self {
        Self { io, write_timeout, deadline: None, given_up: false, counts }
    }

    /// The connection below.
    #[cfg(feature = "tls")]
    pub(crate) fn get_ref(&self) -> &IO {
        &self.io
    }

    /// The connection, without patience or lack of it.
    pub(crate) fn into_inner(self) -> IO {
        self.io
    }

    /// Passes on how a write went, or fails it when the peer has taken nothing for too long.
    fn judge(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = &written {
            self.deadline = None;
            self.note(result);
            return written;
        }
        let write_timeout = self.write_timeout;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(write_timeout)));
        std::task::ready!(deadline.as_mut().poll(cx));
        let given_up = Err(io::Error::new(io::ErrorKind::TimedOut, "the client took no bytes for too long"));
        self.note(&given_up);
        Poll::Ready(given_up)
    }

    /// Counts a peer that was given up; the kernel may be the one to say so, to whoever asks first.
    fn note<T>(&mut self, result: &io::Result<T>) {
        let timed_out = matches!(result, Err(error) if error.kind() == io::ErrorKind::TimedOut);
        if timed_out && !self.given_up {
            self.given_up = true;
            self.counts.cut();
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Impatient<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if let Poll::Ready(result) = &read {
            self.note(result);
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Impatient<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Has the end of a connection throw away what its peer has not taken.
pub(crate) fn reset_on_drop(socket: &TcpStream) {
    // One that refuses is a dead one.
    let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_p5() {
        let (ours, _theirs) = duplex(4);
        let counts = ServeCounts::default();
        let mut ours = Impatient::new(ours, Duration::from_secs(30), counts.clone());
        let writing = tokio::time::timeout(Duration::from_secs(60), ours.write_all(b"more than four bytes"));
        let error = writing.await.expect("an end").expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(counts.connections_cut(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_a_byte_now_and_then_is_left_alone() {
        let (ours, mut theirs) = duplex(1);
        let counts = ServeCounts::default();
        let mut ours = Impatient::new(ours, Duration::from_secs(30), counts.clone());
        let reader = tokio::spawn(async move {
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_secs(29)).await;
                theirs.read_u8().await.expect("a byte");
            }
        });
        ours.write_all(&[7; 20]).await.expect("the peer is slow, not gone");
        reader.await.expect("all bytes");
        assert_eq!(counts.connections_cut(), 0);
    }
}
