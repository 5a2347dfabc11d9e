//! A socket that hyper works on and that can be taken from it.
//!
//! hyper keeps what it was given until its connection is over. So it is given a [`Lent`], which passes everything on to
//! the socket, and [`Owner::take`] leaves it with one that has come to its end. It never looks at the bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The socket as whoever works on it sees it.
pub(crate) struct Lent<S> {
    /// What was read before it was lent.
    first: Bytes,
    shared: Arc<Shared<S>>,
}

/// The way to get the socket back.
pub(crate) struct Owner<S>(Arc<Shared<S>>);

struct Shared<S> {
    socket: Mutex<Option<S>>,
    flushed: AtomicBool,
}

/// Lends a socket of which `first` was read already.
pub(crate) fn lend<S>(socket: S, first: Bytes) -> (Lent<S>, Owner<S>) {
    let shared = Arc::new(Shared { socket: Mutex::new(Some(socket)), flushed: AtomicBool::new(false) });
    (Lent { first, shared: shared.clone() }, Owner(shared))
}

impl<S: Unpin> Shared<S> {
    fn socket(&self) -> MutexGuard<'_, Option<S>> {
        // Nothing panics while it is locked, and an option is never half changed.
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, work: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &mut *self.socket() {
            Some(socket) => work(Pin::new(socket)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl<S: Unpin> Owner<S> {
    /// Forgets that it was ever flushed.
    pub(crate) fn await_flush(&self) {
        self.shared().flushed.store(false, Ordering::Relaxed);
    }

    /// Whether it was flushed since, which hyper does only when it has written all that it had.
    pub(crate) fn was_flushed(&self) -> bool {
        self.shared().flushed.load(Ordering::Relaxed)
    }

    /// Takes the socket back. `None` if that was done before.
    pub(crate) fn take(&self) -> Option<S> {
        self.shared().socket().take()
    }

    fn shared(&self) -> &Shared<S> {
        &self.0
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lent<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return self.shared.with(|socket| socket.poll_read(cx, buffer));
        }
        let count = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..count]);
        self.first.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lent<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.with(|socket| socket.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.with(|socket| socket.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.shared.with(|socket| socket.poll_flush(cx));
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.shared.flushed.store(true, Ordering::Relaxed);
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.with(|socket| socket.poll_shutdown(cx))
    }
}
