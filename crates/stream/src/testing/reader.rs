//! [`Reader`]: reads one stream as a page does, and says what it expected where something else came.
//!
//! It asks for no stream by itself and never reconnects: that is [`EventSource`](super::EventSource)'s.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use fanfare_wire::{Decoder, EventId};
use http::Response;
use http_body::Body;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout_at};

use super::between::Way;
use super::{Between, Dispatched, Heard, assert_event_stream};
use crate::{BoxError, LastEventId};

/// How long something may not come that is expected, unless [`Reader::patience`] says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much of what came stands in a message.
const SHOWN_BYTES: usize = 2_000;

/// Reads one event stream, without a socket.
///
/// It asks the body for more only when the test asks it, as a server does whose client takes bytes; so what is sent to a test that
/// does not look waits
/// where it would wait in production. Dropped or [cut](Self::cut) it lets go of the body, which is what a server does when its
/// client is gone.
///
/// Waiting takes a tokio runtime; [`now`](Self::now) takes none.
pub struct Reader {
    way: Way,
    decoder: Decoder,
    /// What came and was not asked for yet.
    heard: VecDeque<Heard>,
    over: Option<Heard>,
    bytes: Vec<u8>,
    last_event_id: String,
    reconnection_time: Option<Duration>,
    patience: Duration,
}

impl Reader {
    /// Reads the body of a response, whose head has to be that of an event stream.
    ///
    /// # Panics
    ///
    /// If it is not: see [`assert_event_stream`].
    #[track_caller]
    #[must_use]
    pub fn of<B>(response: Response<B>) -> Self
    where
        B: Body<Error: Into<BoxError>> + Send + 'static,
    {
        assert_event_stream(&response);
        Self::behind(Between::nothing(), response)
    }

    /// Reads the body of a response through a proxy. The head is not checked: it may be that a proxy takes offence at it.
    #[must_use]
    pub fn behind<B>(between: Between, response: Response<B>) -> Self
    where
        B: Body<Error: Into<BoxError>> + Send + 'static,
    {
        Self::along(Way::from_response(between, response))
    }

    /// Reads a body alone, such as an [`Sse`](crate::Sse).
    #[must_use]
    pub fn of_body<B>(body: B) -> Self
    where
        B: Body<Error: Into<BoxError>> + Send + 'static,
    {
        Self::along(Way::from(body, Between::nothing()))
    }

    pub(super) fn along(way: Way) -> Self {
        Self {
            way,
            decoder: Decoder::new(),
            heard: VecDeque::new(),
            over: None,
            bytes: Vec::new(),
            last_event_id: String::new(),
            reconnection_time: None,
            patience: PATIENCE,
        }
    }

    /// Takes no more than `bytes_per_second` (at least one): the body is asked for the next piece when that time has passed for
    /// the one before.
    #[must_use]
    pub fn slowly(mut self, bytes_per_second: u32) -> Self {
        self.set_speed(bytes_per_second);
        self
    }

    /// Sets for how long it waits for what is expected. Default: 60 s, by tokio's clock.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.set_patience(patience);
        self
    }

    pub(super) fn set_speed(&mut self, bytes_per_second: u32) {
        self.way.slow_down(bytes_per_second);
    }

    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Goes on behind `id`: what an event without an id has as its last event ID, until the first one that has one.
    pub(super) fn after(mut self, id: &str) -> Self {
        if let Ok(id) = EventId::parse(id) {
            self.decoder = self.decoder.after(&id);
            id.as_str().clone_into(&mut self.last_event_id);
        }
        self
    }

    /// Goes on where the reader of the connection before was.
    pub(super) fn instead_of(mut self, before: &Self) -> Self {
        self.way.as_slow_as(&before.way);
        self.patience = before.patience;
        self.reconnection_time = before.reconnection_time;
        self.after(&before.last_event_id)
    }

    /// Waits for the next event. Comments, reconnection times and bookmarks are passed over, as a page does not see them.
    ///
    /// # Panics
    ///
    /// If the stream ends, or no event comes in time.
    #[track_caller]
    pub fn expect_event(&mut self) -> impl Future<Output = Dispatched> + Send {
        self.event_for(Location::caller())
    }

    pub(super) fn event_for(
        &mut self,
        at: &'static Location<'static>,
    ) -> impl Future<Output = Dispatched> + Send {
        self.expect(at, "an event", |heard| match heard {
            Heard::Event(event) => Verdict::Found(event),
            Heard::End | Heard::Broken(_) => Verdict::Wrong(heard),
            _ => Verdict::PassedOver,
        })
    }

    /// Waits for the next comment, such as a keep-alive, and gives its text.
    ///
    /// # Panics
    ///
    /// If an event comes first, the stream ends, or nothing comes in time.
    #[track_caller]
    pub fn expect_comment(&mut self) -> impl Future<Output = String> + Send {
        let at = Location::caller();
        self.expect(at, "a comment", |heard| match heard {
            Heard::Comment(text) => Verdict::Found(text),
            Heard::ReconnectionTime(_) | Heard::LastEventId(_) => Verdict::PassedOver,
            _ => Verdict::Wrong(heard),
        })
    }

    /// Waits for the next reconnection time. Comments and bookmarks are passed over.
    ///
    /// # Panics
    ///
    /// If an event comes first, the stream ends, or nothing comes in time.
    #[track_caller]
    pub fn expect_reconnection_time(&mut self) -> impl Future<Output = Duration> + Send {
        let at = Location::caller();
        self.expect(at, "a reconnection time", |heard| match heard {
            Heard::ReconnectionTime(time) => Verdict::Found(time),
            Heard::Comment(_) | Heard::LastEventId(_) => Verdict::PassedOver,
            _ => Verdict::Wrong(heard),
        })
    }

    /// Waits until the stream ends in order. Comments, reconnection times and bookmarks may come before.
    ///
    /// # Panics
    ///
    /// If an event comes, the stream is broken off, or goes on for too long.
    #[track_caller]
    pub fn expect_end(&mut self) -> impl Future<Output = ()> + Send {
        let at = Location::caller();
        self.expect(at, "the end of the stream", |heard| match heard {
            Heard::End => Verdict::Found(()),
            Heard::Event(_) | Heard::Broken(_) => Verdict::Wrong(heard),
            _ => Verdict::PassedOver,
        })
    }

    /// Waits until the stream is broken off, by an error of the body or by a proxy, and says why.
    ///
    /// # Panics
    ///
    /// If an event comes, the stream ends in order, or goes on for too long.
    #[track_caller]
    pub fn expect_break(&mut self) -> impl Future<Output = String> + Send {
        let at = Location::caller();
        self.expect(at, "a stream that is broken off", |heard| match heard {
            Heard::Broken(why) => Verdict::Found(why),
            Heard::Event(_) | Heard::End => Verdict::Wrong(heard),
            _ => Verdict::PassedOver,
        })
    }

    /// Waits for `time`, in which a page must not see anything: neither an event nor the end. Keep-alives may come.
    ///
    /// With a virtual clock that costs no time.
    ///
    /// # Panics
    ///
    /// If something does come, or outside a tokio runtime.
    #[track_caller]
    pub fn nothing_for(&mut self, time: Duration) -> impl Future<Output = ()> + Send {
        let at = Location::caller();
        async move {
            let begun = Instant::now();
            while let Ok(heard) = timeout_at(begun + time, self.next()).await {
                if heard.is_over() || matches!(heard, Heard::Event(_)) {
                    let after = begun.elapsed();
                    self.fail(
                        at,
                        &format!("expected nothing for {time:?}, but after {after:?} came {heard}"),
                    );
                }
            }
        }
    }

    /// Reads nothing for `time`, while whoever sends goes on.
    pub async fn stall(&mut self, time: Duration) {
        sleep(time).await;
    }

    /// Waits for whatever comes next, for as long as it takes. Behind the end it gives the end again.
    pub async fn next(&mut self) -> Heard {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Waits for the end, and gives everything up to it, the end included, as often as that is nothing else.
    pub async fn rest(&mut self) -> Vec<Heard> {
        let mut all = Vec::new();
        loop {
            let heard = self.next().await;
            let is_over = heard.is_over();
            all.push(heard);
            if is_over {
                return all;
            }
        }
    }

    /// What is there now, without waiting; `None` if that is nothing. It needs no runtime, unless the reader is slow or a proxy
    /// cuts who is quiet.
    pub fn now(&mut self) -> Option<Heard> {
        match self.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(heard) => Some(heard),
            Poll::Pending => None,
        }
    }

    pub(super) fn now_unless_over(&mut self) -> Option<Heard> {
        self.now().filter(|heard| !heard.is_over())
    }

    /// Waits for the next piece of the body as bytes; `None` at its end, however it ends.
    ///
    /// What it says is heard afterwards as well. A piece is what a server gets at once, and so, mostly, one write.
    pub async fn piece(&mut self) -> Option<Bytes> {
        poll_fn(|cx| self.poll_piece(cx)).await
    }

    /// All bytes of the body that came so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The last event ID of what the test was given so far: what a client that loses the connection *now* comes back with.
    ///
    /// What may have come behind that does not count: it is as if it was still under way.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The reconnection time that the stream said last.
    #[must_use]
    pub fn reconnection_time(&self) -> Option<Duration> {
        self.reconnection_time
    }

    /// Loses the connection behind what the test was given so far, and says with which last event ID the client comes back.
    ///
    /// Whoever sends finds its client gone. What may have come behind that is lost.
    pub fn cut(&mut self) -> LastEventId {
        self.way.cut();
        self.heard.clear();
        self.over.get_or_insert_with(|| Heard::Broken("it was cut by the test".to_owned()));
        LastEventId::parse(self.last_event_id.as_bytes())
    }

    /// Waits until `judge` has found what it looks for.
    async fn expect<T>(
        &mut self,
        at: &'static Location<'static>,
        what: &str,
        judge: fn(Heard) -> Verdict<T>,
    ) -> T {
        let deadline = Instant::now() + self.patience;
        loop {
            let Some(heard) = self.next_before(deadline).await else {
                let patience = self.patience;
                self.fail(
                    at,
                    &format!("expected {what}, but none came for {patience:?} (see `Reader::patience`)"),
                );
            };
            match judge(heard) {
                Verdict::Found(found) => return found,
                Verdict::PassedOver => {}
                Verdict::Wrong(heard) => self.fail(at, &format!("expected {what}, but there came {heard}")),
            }
        }
    }

    /// The next event, or nothing if the stream ends or none comes in time.
    pub(super) async fn event_if_any(&mut self) -> Option<Dispatched> {
        let deadline = Instant::now() + self.patience;
        loop {
            match self.next_before(deadline).await? {
                Heard::Event(event) => return Some(event),
                heard if heard.is_over() => return None,
                _ => {}
            }
        }
    }

    async fn next_before(&mut self, deadline: Instant) -> Option<Heard> {
        // Without a runtime there is no clock: who waits for nothing there waits for ever.
        if Handle::try_current().is_err() {
            return Some(self.next().await);
        }
        timeout_at(deadline, self.next()).await.ok()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                if let Some(id) = heard.last_event_id() {
                    id.clone_into(&mut self.last_event_id);
                }
                if let Heard::ReconnectionTime(time) = heard {
                    self.reconnection_time = Some(time);
                }
                return Poll::Ready(heard);
            }
            if let Some(over) = &self.over {
                return Poll::Ready(over.clone());
            }
            ready!(self.poll_piece(cx));
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.over.is_some() {
            return Poll::Ready(None);
        }
        let piece = match ready!(self.way.poll_piece(cx)) {
            Some(Ok(piece)) => piece,
            end => {
                self.way.cut();
                self.over = Some(match end {
                    Some(Err(error)) => Heard::Broken(error.to_string()),
                    _ => Heard::End,
                });
                return Poll::Ready(None);
            }
        };
        self.bytes.extend_from_slice(&piece);
        let mut rest = &piece[..];
        loop {
            match self.decoder.next(&mut rest) {
                Ok(Some(item)) => self.heard.extend(Heard::of(item)),
                Ok(None) => return Poll::Ready(Some(piece)),
                Err(error) => {
                    self.way.cut();
                    self.over = Some(Heard::Broken(error.to_string()));
                    return Poll::Ready(Some(piece));
                }
            }
        }
    }

    /// Ends the test with what was wrong, where, and what came before.
    fn fail(&self, at: &Location<'_>, what: &str) -> ! {
        let shown = self.bytes.len().saturating_sub(SHOWN_BYTES);
        let text = String::from_utf8_lossy(&self.bytes[shown..]);
        let more = if shown > 0 { "… " } else { "" };
        panic!("{at}: {what}\nso far there came {} bytes: {more}{text:?}", self.bytes.len());
    }
}

/// What something that came is to somebody who expects something.
enum Verdict<T> {
    Found(T),
    PassedOver,
    Wrong(Heard),
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("last_event_id", &self.last_event_id)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
