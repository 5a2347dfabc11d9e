//! [`serve`]: writes a whole answer from the thread that calls it.
//!
//! It drives what an [`Sse`] is elsewhere driven by a runtime: the stream, keep-alives, and whatever ends it. What these are, they decide
//! themselves.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderValue, Method};
use http_body::Body;

use super::{IntoResponse, Socket, response_head};
use crate::life::Life;
#[cfg(feature = "tokio")]
use crate::limits::Ends;
use crate::{BoxError, Closed, KeepAlive, KeepAliveState, Sse, head, offer};

/// How often a thread looks up whose client takes nothing: it cannot be woken then.
const LOOK_UP_EVERY: Duration = Duration::from_secs(1);

/// Answers a request that was made with `method`, and comes back when the answer is over and the connection has ended.
///
/// The head is completed as [`Connection::open_with`](super::Connection::open_with) does it, and an answer that is no stream says its
/// length if that is known. All that is said about an [`Sse`] holds, with the same defaults: a comment line after 15 s without
/// traffic, and 30 s for a client that takes nothing. Of a `HEAD` there is the head alone. That a client is gone is found by what is written
/// to it: one of a quiet stream without a keep-alive has its thread until there is something.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidInput`], with nothing written, for a stream with a status whose response has no body. [`io::ErrorKind::TimedOut`] when the
/// client took nothing for the write deadline. What writing or the end of the connection reports; and what the stream failed with, unless
/// somebody hears of that ([`on_error`](Sse::on_error)). The stream is over in any case, and who wants to hear why has heard.
pub fn serve<A>(socket: impl Socket, method: &Method, answer: A) -> io::Result<()>
where
    A: IntoResponse,
    A::Body: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let (mut parts, body) = answer.into_response(method).into_parts();
    let mut stream = offer::taken_from(&parts.extensions);
    // Whatever its head says that it is: the body here is empty now, and says nothing of what is written.
    let is_stream = stream.is_some() || parts.headers.get(CONTENT_TYPE).is_some_and(head::is_event_stream);
    parts.headers.remove(TRANSFER_ENCODING);
    if is_stream {
        response_head::check_body(parts.status)?;
    } else if let Some(length) = body.size_hint().exact().filter(|_| response_head::has_body(parts.status)) {
        parts.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    let head = response_head::bytes(parts.status, parts.headers);
    let mut tending = stream.as_mut().map_or_else(Tending::default, Tending::of);
    let mut writer = Writer::begin(socket, tending.write_deadline)?;
    let mut sent = writer.write(&head, &mut tending);
    if sent.is_ok() && method != Method::HEAD {
        sent = match stream {
            Some(sse) => write_stream(&mut writer, sse, tending),
            None => write_body(&mut writer, pin!(body), &mut tending),
        };
    }
    sent.and_then(|()| writer.socket.end())
}

/// Writes a stream to its end, or until it is cut.
fn write_stream<S: Socket>(writer: &mut Writer<S>, mut sse: Sse, mut tending: Tending) -> io::Result<()> {
    let sleeper = Sleeper::here();
    let waker = Waker::from(sleeper.clone());
    let cx = &mut Context::from_waker(&waker);
    let mut shutdown = Some(Box::pin(tending.shutdown()));
    loop {
        let look_again = tending.look();
        match Pin::new(&mut sse).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                writer.write(&frame.into_data().unwrap_or_default(), &mut tending)?;
                tending.quiet.traffic(Instant::now());
            }
            Poll::Ready(Some(Err(error))) => return Err(io::Error::other(error)),
            Poll::Ready(None) => return Ok(()),
            Poll::Pending if tending.quiet.take_due(Instant::now()) => {
                let keep_alive = sse.around.compressed.code(tending.keep_alive.to_frame());
                writer.write(&keep_alive, &mut tending)?;
            }
            Poll::Pending => {
                if shutdown.as_mut().is_some_and(|begun| begun.as_mut().poll(cx).is_ready()) {
                    // There is a time for its end now.
                    shutdown = None;
                } else {
                    sleeper.sleep_until(tending.quiet.due().into_iter().chain(look_again).min());
                }
            }
        }
    }
}

/// Writes whatever else answers.
fn write_body<S, B>(writer: &mut Writer<S>, mut body: Pin<&mut B>, tending: &mut Tending) -> io::Result<()>
where
    S: Socket,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let sleeper = Sleeper::here();
    let waker = Waker::from(sleeper.clone());
    let cx = &mut Context::from_waker(&waker);
    loop {
        match body.as_mut().poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => writer.write(&frame.into_data().unwrap_or_default(), tending)?,
            Poll::Ready(Some(Err(error))) => return Err(io::Error::other(error)),
            Poll::Ready(None) => return Ok(()),
            Poll::Pending => sleeper.sleep_until(None),
        }
    }
}

/// What is to be seen to while an answer is written.
struct Tending {
    /// Of a stream.
    life: Option<Life>,
    keep_alive: KeepAlive,
    quiet: KeepAliveState,
    write_deadline: Option<Duration>,
    ends: Option<Ends>,
}

impl Default for Tending {
    fn default() -> Self {
        Self {
            life: None,
            keep_alive: KeepAlive::off(),
            quiet: KeepAliveState::new(None, Instant::now()),
            write_deadline: Some(crate::sse::WRITE_DEADLINE),
            ends: None,
        }
    }
}

impl Tending {
    /// Takes over what a runtime would see to, so that none does, even if there is one.
    fn of(sse: &mut Sse) -> Self {
        let keep_alive = std::mem::replace(&mut sse.around.keep_alive, KeepAlive::off());
        let quiet = KeepAliveState::new(keep_alive.interval(), Instant::now());
        let tending = Self { life: Some(sse.life.0.clone()), keep_alive, quiet, ..Self::default() };
        #[cfg(feature = "tokio")]
        let tending = {
            let (ends, write_deadline) = sse.limits.take_over();
            Self { ends: Some(ends), write_deadline, ..tending }
        };
        tending
    }

    /// Waits until the shutdown begins that the stream ends with, if there is one.
    fn shutdown(&self) -> impl Future<Output = ()> + use<> {
        let begun = self.ends.as_ref().and_then(Ends::begun);
        async {
            match begun {
                Some(begun) => begun.await,
                None => std::future::pending().await,
            }
        }
    }

    /// Ends the stream if it is time; else says when to look again, if ever.
    fn look(&mut self) -> Option<Instant> {
        let (life, ends) = (self.life.as_ref()?, self.ends.as_mut()?);
        match ends.look_now(life) {
            Ok(look_again) => look_again,
            Err(why) => {
                life.end_because(why);
                None
            }
        }
    }

    /// Whether the client is to get no more of what it has not taken.
    fn is_cut(&self) -> bool {
        self.life.as_ref().and_then(Life::why).is_some_and(Closed::cuts)
    }
}

/// Without `tokio` there is nothing to say that would end a stream.
#[cfg(not(feature = "tokio"))]
enum Ends {}

#[cfg(not(feature = "tokio"))]
impl Ends {
    fn begun(&self) -> Option<std::future::Ready<()>> {
        match *self {}
    }

    fn look_now(&mut self, _: &Life) -> Result<Option<Instant>, Closed> {
        match *self {}
    }
}

/// A socket whose client has to take something in time.
struct Writer<S> {
    socket: S,
    deadline: Option<Duration>,
}

impl<S: Socket> Writer<S> {
    fn begin(mut socket: S, deadline: Option<Duration>) -> io::Result<Self> {
        socket.begin()?;
        socket.limit_writes(deadline.unwrap_or(Duration::MAX).min(LOOK_UP_EVERY))?;
        Ok(Self { socket, deadline })
    }

    /// Writes all of it, and flushes. If that fails, the stream is over.
    fn write(&mut self, bytes: &[u8], tending: &mut Tending) -> io::Result<()> {
        let written = self.write_all(bytes, tending);
        if let (Err(error), Some(life)) = (&written, &tending.life) {
            life.end_because(error.into());
        }
        written
    }

    fn write_all(&mut self, mut bytes: &[u8], tending: &mut Tending) -> io::Result<()> {
        let mut took_last = Instant::now();
        loop {
            let taken = match bytes {
                [] => self.socket.flush().map(|()| 0),
                bytes => self.socket.write(bytes),
            };
            match taken {
                Ok(0) if bytes.is_empty() => return Ok(()),
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    bytes = bytes.get(taken..).unwrap_or_default();
                    took_last = Instant::now();
                    if bytes.is_empty() {
                        continue;
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        if self.deadline.is_some_and(|deadline| took_last.elapsed() >= deadline) {
                            return Err(io::Error::new(io::ErrorKind::TimedOut, Closed::WriteDeadline));
                        }
                    }
                    _ => return Err(error),
                },
            }
            // Also where all is with a socket that has a buffer of its own, and cannot be flushed.
            tending.look();
            if tending.is_cut() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, Closed::Shutdown));
            }
        }
    }
}

/// A thread that sleeps until somebody wakes it or it is time.
struct Sleeper {
    thread: Thread,
    /// Whoever parks the thread for reasons of its own may take the word for its own.
    is_woken: AtomicBool,
}

impl Sleeper {
    fn here() -> Arc<Self> {
        Arc::new(Self { thread: thread::current(), is_woken: AtomicBool::new(false) })
    }

    fn sleep_until(&self, at: Option<Instant>) {
        while !self.is_woken.swap(false, Ordering::AcqRel) {
            let left = at.map(|at| at.saturating_duration_since(Instant::now()));
            match left {
                Some(Duration::ZERO) => return,
                Some(left) => thread::park_timeout(left),
                None => thread::park(),
            }
        }
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
