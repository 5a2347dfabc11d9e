//! [`Connection`]: a stream that a loop of your own writes, event by event.
//!
//! It waits for nothing: when a keep-alive is due or the stream has lasted long enough, the loop has to ask.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_wire::Frame;
use http::Response;

use super::{Socket, response_head};
#[cfg(feature = "tokio")]
use crate::Shutdown;
use crate::closing::{CLOSING, close_frame};
use crate::compressed::Compressed;
use crate::life::LastActs;
use crate::{AcceptEncoding, Closed, KeepAlive, KeepAliveState, head};

/// An event stream on a connection whose request has been read.
///
/// Every write is flushed before it returns, and every one that fails is reported. After a failure the
/// connection writes nothing more, because half an event may have gone out: whatever is asked then fails with
/// [`io::ErrorKind::BrokenPipe`].
///
/// A client that is gone is found by the first or second write after it left, so a loop that waits for
/// something to send must not wait for ever:
///
/// ```no_run
/// use std::net::TcpStream;
/// use std::sync::mpsc::{Receiver, RecvTimeoutError};
/// use std::time::Duration;
///
/// use fanfare_stream::blocking::Connection;
/// use fanfare_wire::Event;
///
/// fn serve(client: TcpStream, events: &Receiver<Event>) -> std::io::Result<()> {
///     client.set_write_timeout(Some(Duration::from_secs(10)))?; // How long a stalled client holds this thread.
///     let mut connection = Connection::open(client)?;
///     loop {
///         match events.recv_timeout(connection.keep_alive_in().unwrap_or(Duration::MAX)) {
///             Ok(event) => connection.send(event)?,
///             Err(RecvTimeoutError::Timeout) => _ = connection.keep_alive_if_due()?,
///             Err(RecvTimeoutError::Disconnected) => return connection.close(),
///         }
///     }
/// }
/// ```
#[must_use = "a connection that is dropped ends without a farewell, and not cleanly if the client sent more"]
pub struct Connection<S: Socket> {
    socket: S,
    keep_alive: KeepAlive,
    state: KeepAliveState,
    compressed: Compressed,
    broken: bool,
    at_the_end: AtTheEnd,
}

/// Done when the stream is over, at the latest when its connection is dropped.
#[derive(Default)]
struct AtTheEnd(LastActs);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        self.0.perform(Closed::ByApplication);
    }
}

/// Answers `HEAD`: writes the head that [`Connection::open_with`] would, and ends the connection.
///
/// # Errors
///
/// As [`Connection::open_with`], or of the end.
pub fn head_only(socket: impl Socket, head: Response<()>) -> io::Result<()> {
    Connection::open_with(socket, head)?.end()
}

impl<S: Socket> Connection<S> {
    /// Writes the head of a response with status 200, and takes over the connection.
    pub fn open(socket: S) -> io::Result<Self> {
        Self::open_with(socket, Response::new(()))
    }

    /// Writes a head of your own, completed, and takes over the connection.
    ///
    /// Status and headers stay. What an event stream needs is added as
    /// [`Sse::response_with`](crate::Sse::response_with) does it; `Connection: close` is set, because the end
    /// of the connection is the end of the body; and `Date`, if it is missing.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`], with nothing written, for a status whose response has no body (1xx, 204 and 304). Else
    /// what writing reports.
    pub fn open_with(socket: S, head: Response<()>) -> io::Result<Self> {
        Self::begin(socket, head, Compressed::default())
    }

    /// As [`open_with`](Self::open_with), compressed if the client takes that; see [`Sse::compress`](crate::Sse::compress).
    ///
    /// [`end`](Self::end), [`close`](Self::close) and [`leave`](Self::leave) end the body as its coding wants it. One that is dropped breaks off.
    ///
    /// # Errors
    ///
    /// As [`open_with`](Self::open_with).
    pub fn open_compressed(socket: S, head: Response<()>, accepted: &AcceptEncoding) -> io::Result<Self> {
        Self::begin(socket, head, Compressed::for_client(accepted))
    }

    fn begin(mut socket: S, head: Response<()>, mut compressed: Compressed) -> io::Result<Self> {
        let (mut parts, ()) = head.into_parts();
        response_head::check_body(parts.status)?;
        head::complete(&mut parts.headers);
        compressed.complete(&mut parts.headers);
        let bytes = response_head::bytes(parts.status, parts.headers);
        socket.begin()?;
        let keep_alive = KeepAlive::default();
        let state = KeepAliveState::new(keep_alive.interval(), Instant::now());
        let mut connection =
            Self { socket, keep_alive, state, compressed, broken: false, at_the_end: AtTheEnd::default() };
        connection.write(&bytes)?;
        Ok(connection)
    }

    /// Sets after how long without traffic a keep-alive is due, and what it is. Default: a comment line after
    /// 15 s. The silence starts anew.
    pub fn keep_alive(mut self, keep_alive: KeepAlive) -> Self {
        self.state = KeepAliveState::new(keep_alive.interval(), Instant::now());
        self.keep_alive = keep_alive;
        self
    }

    /// Calls `hook` once when the stream is over, with the reason: that of the first write that fails, or else
    /// [`Closed::ByApplication`] when the connection is closed, ended or dropped.
    ///
    /// A client that is gone is [`Closed::ByClient`], one that takes nothing for the socket's write timeout
    /// [`Closed::WriteDeadline`].
    pub fn on_close(mut self, hook: impl FnOnce(Closed) + Send + 'static) -> Self {
        self.at_the_end.0.call(Box::new(hook));
        self
    }

    /// Keeps `guard` until the stream is over, and drops it then.
    pub fn hold(mut self, guard: impl Send + 'static) -> Self {
        self.at_the_end.0.hold(Box::new(guard));
        self
    }

    /// Sends an event. Waits while the client takes no bytes, for as long as the socket's write timeout.
    pub fn send(&mut self, event: impl Into<Frame>) -> io::Result<()> {
        let bytes = self.compressed.code(event.into());
        self.write(&bytes)?;
        self.state.traffic(Instant::now());
        Ok(())
    }

    /// Sends a keep-alive if nothing has been sent for long enough, and says whether it did.
    pub fn keep_alive_if_due(&mut self) -> io::Result<bool> {
        self.keep_alive_if_due_at(Instant::now())
    }

    fn keep_alive_if_due_at(&mut self, now: Instant) -> io::Result<bool> {
        let due = self.state.take_due(now);
        if due {
            let bytes = self.compressed.code(self.keep_alive.to_frame());
            self.write(&bytes)?;
        }
        Ok(due)
    }

    /// How long until a keep-alive is due if nothing is sent until then, zero if it is; `None` if never.
    #[must_use]
    pub fn keep_alive_in(&self) -> Option<Duration> {
        self.state.due().map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Sends an event `close` whose data is `Closing the connection`, and ends the connection.
    ///
    /// The page has to listen for it and call `EventSource.close()`, else the browser reconnects.
    ///
    /// # Errors
    ///
    /// Of the event, or of the end. The connection is ended in either case.
    pub fn close(self) -> io::Result<()> {
        self.close_with(CLOSING)
    }

    /// Like [`close`](Self::close), with data of your own.
    pub fn close_with(self, data: impl Into<Cow<'static, str>>) -> io::Result<()> {
        self.end_with([close_frame(data)], Closed::ByApplication)
    }

    /// Sends what a stream says that [ends with](crate::Sse::ends_with) `shutdown`, a `retry` of its own and the farewell, and ends the connection.
    /// A browser reconnects, to whoever listens then.
    ///
    /// When to do so is the loop's to say: it sees that a shutdown [has begun](Shutdown::has_begun), but nobody wakes it, and nothing spreads
    /// its clients over the window.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    #[cfg(feature = "tokio")]
    pub fn leave(self, shutdown: &Shutdown) -> io::Result<()> {
        self.end_with(shutdown.farewell().into_iter().flatten(), Closed::Shutdown)
    }

    /// Ends the connection without a farewell. A browser reconnects.
    pub fn end(self) -> io::Result<()> {
        self.end_with([], Closed::ByApplication)
    }

    fn end_with(mut self, last: impl IntoIterator<Item = Frame>, why: Closed) -> io::Result<()> {
        let last: Vec<Bytes> = last.into_iter().map(|frame| self.compressed.code(frame)).collect();
        let last = self.compressed.end(Some(last.concat().into())).filter(|last| !last.is_empty());
        // With nothing to say, an earlier failure is no failure of the end.
        let said = last.map_or(Ok(()), |last| self.write(&last));
        let ended = said.and(self.socket.end());
        self.at_the_end.0.perform(ended.as_ref().err().map_or(why, Closed::from));
        ended
    }

    /// The socket, to look at it or to set its timeouts.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "an earlier write to the client failed"));
        }
        let written = self.socket.write_all(bytes).and_then(|()| self.socket.flush());
        if let Err(error) = &written {
            self.broken = true;
            self.at_the_end.0.perform(error.into());
        }
        written
    }
}

impl<S: Socket> fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("keep_alive", &self.keep_alive)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use fanfare_wire::Event;
    use http::StatusCode;
    use std::io::Write;

    /// A socket that takes so many bytes and then fails.
    #[derive(Default)]
    struct Failing {
        room: usize,
        written: Vec<u8>,
        ended: bool,
    }

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.room -= taken;
            self.written.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Socket for &mut Failing {
        fn end(&mut self) -> io::Result<()> {
            self.ended = true;
            Ok(())
        }
    }

    fn endless() -> Failing {
        Failing { room: usize::MAX, ..Failing::default() }
    }

    /// What was written after the head.
    fn body(socket: &Failing) -> String {
        let text = String::from_utf8(socket.written.clone()).unwrap();
        text.split_once("\r\n\r\n").unwrap().1.into()
    }

    #[test]
    fn the_head_is_ours_and_the_callers() {
        let mut socket = endless();
        let head = Response::builder()
            .status(StatusCode::CREATED)
            .header("connection", "keep-alive")
            .header("content-length", "3")
            .header("date", "then")
            .header("set-cookie", "a=b")
            .header("set-cookie", "c=d")
            .body(())
            .unwrap();
        Connection::open_with(&mut socket, head).unwrap().end().unwrap();
        let text = String::from_utf8(socket.written).unwrap();
        let mut lines: Vec<_> = text.strip_suffix("\r\n\r\n").unwrap().split("\r\n").collect();
        assert_eq!(lines.remove(0), "HTTP/1.1 201 Created");
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "cache-control: no-cache, no-transform",
                "connection: close",
                "content-type: text/event-stream",
                "date: then",
                "set-cookie: a=b",
                "set-cookie: c=d",
                "x-accel-buffering: no",
            ]
        );
    }

    #[test]
    fn a_status_without_a_body_is_refused_before_anything_is_written() {
        for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED, StatusCode::CONTINUE] {
            let mut socket = endless();
            let head = Response::builder().status(status).body(()).unwrap();
            let error = Connection::open_with(&mut socket, head).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(socket.written.is_empty());
        }
    }

    #[test]
    fn a_failed_write_is_reported_and_nothing_follows_half_an_event() {
        let mut head = endless();
        Connection::open(&mut head).unwrap().end().unwrap();
        let mut socket = Failing { room: head.written.len() + 3, ..Failing::default() };
        let mut connection = Connection::open(&mut socket).unwrap();
        assert_eq!(connection.send(Event::new("a")).unwrap_err().kind(), io::ErrorKind::TimedOut);
        connection.socket.room = usize::MAX;
        assert_eq!(connection.send(Event::new("b")).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(connection.close().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(body(&socket), "dat");
        assert!(socket.ended, "it is ended all the same");
    }

    #[test]
    fn a_keep_alive_is_sent_when_it_is_due_and_not_before() {
        let mut socket = endless();
        let mut connection = Connection::open(&mut socket).unwrap();
        let now = Instant::now();
        assert!(!connection.keep_alive_if_due_at(now).unwrap());
        assert!(connection.keep_alive_if_due_at(now + Duration::from_secs(15)).unwrap());
        assert!(!connection.keep_alive_if_due_at(now + Duration::from_secs(15)).unwrap());
        assert!(connection.keep_alive_in().is_some_and(|left| left > Duration::from_secs(15)));
        let mut silent = connection.keep_alive(KeepAlive::off());
        assert!(!silent.keep_alive_if_due_at(now + Duration::from_secs(1_000)).unwrap());
        assert_eq!(silent.keep_alive_in(), None);
        silent.end().unwrap();
        assert_eq!(body(&socket), ":\n");
    }

    #[test]
    fn close_says_goodbye_and_end_does_not() {
        let mut socket = endless();
        Connection::open(&mut socket).unwrap().close().unwrap();
        assert_eq!(body(&socket), "event: close\ndata: Closing the connection\n\n");
        assert!(socket.ended);

        let mut socket = endless();
        Connection::open(&mut socket).unwrap().close_with("bye").unwrap();
        assert_eq!(body(&socket), "event: close\ndata: bye\n\n");

        let mut socket = endless();
        Connection::open(&mut socket).unwrap().end().unwrap();
        assert_eq!(body(&socket), "");
        assert!(socket.ended);
    }
}
