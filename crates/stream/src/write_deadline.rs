//! [`WriteDeadline`]: a connection that gives its peer up when that takes nothing for too long.
//!
//! No HTTP library does: hyper waits for ever for a peer that reads nothing. It stands right above the socket, below TLS, which would
//! take bytes that no peer has, and it never looks at them.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::Shutdown;

/// Does something to a connection that is given up.
type OnCut<IO> = Box<dyn FnOnce(&IO) + Send>;

/// A connection that fails with [`io::ErrorKind::TimedOut`] when its peer has taken no byte for a while in which some waited.
///
/// A slow peer that makes progress is left alone, and so is one for which there is nothing. What has been taken is what the socket
/// says: a kernel has a buffer of its own, of some megabytes on a fast connection, and tells only when a third of it has become free.
///
/// hyper ends the connection then, and drops the streams on it. Give a connection somewhat longer than its streams have
/// ([`Sse::write_deadline`](crate::Sse::write_deadline)): these end first then, and say why.
///
/// ```
/// use std::time::Duration;
///
/// use fanfare_stream::WriteDeadline;
/// use hyper_util::rt::TokioIo;
/// use tokio::net::TcpStream;
///
/// fn io(socket: TcpStream) -> TokioIo<WriteDeadline<TcpStream>> {
///     let deadline = WriteDeadline::new(socket, Duration::from_secs(40));
///     // What the kernel still holds for a peer that takes nothing goes at once.
///     TokioIo::new(deadline.on_cut(|socket| _ = socket.set_zero_linger()))
/// }
/// ```
///
/// For axum it is what an `axum::serve::Listener` of one's own accepts; the example `shutdown_axum` has one.
pub struct WriteDeadline<IO> {
    io: IO,
    deadline: Duration,
    on_cut: Option<OnCut<IO>>,
    /// Runs while bytes wait; costs nothing while the peer keeps up.
    waiting: Option<Pin<Box<Sleep>>>,
    /// When it is cut, whatever its peer does.
    last_moment: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<IO> WriteDeadline<IO> {
    /// Gives `io`'s peer `deadline` to take something, again and again.
    pub fn new(io: IO, deadline: Duration) -> Self {
        Self { io, deadline, on_cut: None, waiting: None, last_moment: None }
    }

    /// Gives the peer up at the [last moment](Shutdown::last_moment) of `shutdown`, too, whatever it takes.
    #[must_use]
    pub fn cut_by(mut self, shutdown: &Shutdown) -> Self {
        self.last_moment = Some(Box::pin(shutdown.clone().last_moment()));
        self
    }

    /// Calls `hook` when the peer is given up, before anybody hears of it: by this, or by the kernel, if it was told to
    /// (`tcp::cut_stalled`) and is first.
    #[must_use]
    pub fn on_cut(mut self, hook: impl FnOnce(&IO) + Send + 'static) -> Self {
        self.on_cut = Some(Box::new(hook));
        self
    }

    /// The connection below.
    pub fn get_ref(&self) -> &IO {
        &self.io
    }

    /// The connection below, without a deadline.
    pub fn into_inner(self) -> IO {
        self.io
    }

    /// Passes on how a write went, or fails it when the peer has taken nothing for too long.
    fn judge(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.waiting = None;
            return self.note(written);
        }
        let deadline = self.deadline;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(deadline)));
        if waiting.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(self.cut("the client took no bytes for too long")));
        }
        self.poll_last_moment(cx).map(Err)
    }

    /// The error of the last moment, once that has come.
    fn poll_last_moment(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(last_moment) = &mut self.last_moment else { return Poll::Pending };
        ready!(last_moment.as_mut().poll(cx));
        // Whoever asks again hears the same.
        self.last_moment = Some(Box::pin(std::future::ready(())));
        Poll::Ready(self.cut("the server has shut down"))
    }

    fn cut(&mut self, why: &'static str) -> io::Error {
        self.give_up();
        io::Error::new(io::ErrorKind::TimedOut, why)
    }

    /// Passes on what the connection says. That the kernel has given the peer up it tells whoever asks first.
    fn note<T>(&mut self, said: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(&said, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut) {
            self.give_up();
        }
        said
    }

    fn give_up(&mut self) {
        if let Some(hook) = self.on_cut.take() {
            hook(&self.io);
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for WriteDeadline<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_read(cx, buffer) {
            // A connection over HTTP/2 may wait for its client's word before it writes.
            Poll::Pending => self.poll_last_moment(cx).map(Err),
            read @ Poll::Ready(_) => self.note(read),
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for WriteDeadline<IO> {
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

impl<IO: fmt::Debug> fmt::Debug for WriteDeadline<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteDeadline")
            .field("io", &self.io)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::mpsc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_and_the_hook_is_called_once() {
        let (ours, _theirs) = duplex(4);
        let (told, heard) = mpsc::channel();
        let mut ours =
            WriteDeadline::new(ours, Duration::from_secs(30)).on_cut(move |_| told.send(()).unwrap());
        let begun = tokio::time::Instant::now();
        for _ in 0..2 {
            let error = ours.write_all(b"more than four bytes").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
        assert_eq!(begun.elapsed().as_secs(), 30);
        assert_eq!(heard.try_iter().count(), 1);
    }

    /// A connection whose peer the kernel has given up.
    struct GivenUp;

    impl AsyncRead for GivenUp {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        }
    }

    impl AsyncWrite for GivenUp {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_peer_that_the_kernel_has_given_up_is_told_to_the_hook_once_whoever_hears_of_it_first() {
        for reads_first in [true, false] {
            let (told, heard) = mpsc::channel();
            let mut ours =
                WriteDeadline::new(GivenUp, Duration::from_secs(30)).on_cut(move |_| told.send(()).unwrap());
            for reads in [reads_first, !reads_first] {
                let failed = if reads { ours.read_u8().await.map(drop) } else { ours.write_u8(7).await };
                assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::TimedOut);
                assert_eq!(heard.try_iter().count(), usize::from(reads == reads_first));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_a_byte_now_and_then_is_left_alone() {
        let (ours, mut theirs) = duplex(1);
        let mut ours = WriteDeadline::new(ours, Duration::from_secs(30));
        let reader = tokio::spawn(async move {
            for _ in 0..20 {
                sleep(Duration::from_secs(29)).await;
                theirs.read_u8().await.unwrap();
            }
        });
        ours.write_all(&[7; 20]).await.unwrap();
        reader.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_for_which_there_is_nothing_has_all_the_time() {
        let (ours, mut theirs) = duplex(4);
        let mut ours = WriteDeadline::new(ours, Duration::from_secs(30));
        for _ in 0..3 {
            ours.write_all(b"four").await.unwrap();
            sleep(Duration::from_secs(1_000)).await;
            theirs.read_exact(&mut [0; 4]).await.unwrap();
        }
    }
}
