//! The same stream on a connection of your own, written from a thread, without a runtime.
//!
//! A [`Connection`] takes over where a request has been read. It reads no request, accepts no connection and
//! starts no thread.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use fanfare_wire::Frame;
use http::header::{CONNECTION, DATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::closing::{CLOSING, close_frame};
use crate::life::LastActs;
use crate::{Closed, KeepAlive, KeepAliveState, date, head};

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

/// What a [`Connection`] writes to: a writer that can be ended.
///
/// For a TLS stream: send the `close_notify` alert in `end`, then end the `TcpStream` below.
pub trait Socket: Write {
    /// Prepares the socket, before the first byte is written.
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Ends the connection so that the client gets every byte that was written, and then the end.
    fn end(&mut self) -> io::Result<()>;
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
    pub fn open_with(mut socket: S, head: Response<()>) -> io::Result<Self> {
        let (parts, ()) = head.into_parts();
        let bytes = head_bytes(parts.status, parts.headers)?;
        socket.begin()?;
        let keep_alive = KeepAlive::default();
        let state = KeepAliveState::new(keep_alive.interval(), Instant::now());
        let mut connection =
            Self { socket, keep_alive, state, broken: false, at_the_end: AtTheEnd::default() };
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
        self.write(event.into().as_bytes())?;
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
            self.write(self.keep_alive.to_frame().as_bytes())?;
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
    pub fn close_with(mut self, data: impl Into<Cow<'static, str>>) -> io::Result<()> {
        let farewell = self.write(close_frame(data).as_bytes());
        farewell.and(self.end())
    }

    /// Ends the connection without a farewell. A browser reconnects.
    pub fn end(mut self) -> io::Result<()> {
        let ended = self.socket.end();
        self.at_the_end.0.perform(ended.as_ref().err().map_or(Closed::ByApplication, Closed::from));
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

/// The head as bytes. `http`'s types hold no line break, so nothing of the caller's can end a line early.
fn head_bytes(status: StatusCode, mut headers: HeaderMap) -> io::Result<Vec<u8>> {
    if status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        let message = format!("a response with status {} has no body", status.as_u16());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    head::complete(&mut headers);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if let (false, Some(date)) = (headers.contains_key(DATE), date::header(SystemTime::now())) {
        headers.insert(DATE, date);
    }
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(b"HTTP/1.1 ");
    bytes.extend_from_slice(status.as_str().as_bytes());
    bytes.push(b' ');
    bytes.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    for (name, value) in &headers {
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n\r\n");
    Ok(bytes)
}

/// Ends with a FIN. Each event leaves at once (`TCP_NODELAY`).
impl Socket for TcpStream {
    fn begin(&mut self) -> io::Result<()> {
        self.set_nodelay(true)
    }

    fn end(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)?;
        drain(self, |socket, left| socket.set_read_timeout(Some(left)));
        Ok(())
    }
}

#[cfg(unix)]
impl Socket for std::os::unix::net::UnixStream {
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

    fn end(&mut self) -> io::Result<()> {
        (**self).end()
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use fanfare_wire::Event;

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
