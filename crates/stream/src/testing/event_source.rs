//! [`EventSource`]: a client that comes back, as a browser's does, to a handler that is called and not connected to.
//!
//! It reconnects when the test says so and not by itself: a test knows best when a connection is over.
//! Source: [WHATWG HTML § 9.2.3](https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model).

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::time::Duration;

use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body;
use tokio::time::sleep;

use super::{Between, Reader, head};
use crate::BoxError;

/// How long browsers wait before they reconnect unless they are told: Chromium 3 s, Firefox 5 s.
const RECONNECTION_TIME: Duration = Duration::from_secs(3);

/// A browser's `EventSource` in front of a handler.
///
/// The handler is a function that answers a request: a few lines around a router's `oneshot`, or around a function of yours. What
/// comes is read as with a
/// [`Reader`], which this can be used as.
///
/// ```
/// use fanfare_stream::{LastEventId, Sse, SseBody, testing::EventSource};
/// use fanfare_wire::{Event, EventId};
/// # use futures_util::stream;
///
/// /// The numbers behind the one that the client has seen.
/// async fn numbers(request: http::Request<()>) -> http::Response<SseBody> {
///     let last = LastEventId::from_request(request.headers(), request.uri());
///     let first = last.id().map_or(1, |id| id.as_str().parse::<u32>().unwrap() + 1);
///     let events = (first..=3).map(|n| Event::new("tick").id(EventId::parse(n.to_string()).unwrap()));
///     Sse::new(stream::iter(events)).response()
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let mut page = EventSource::open(numbers, "/numbers").await;
/// assert_eq!(page.expect_event().await.last_event_id, "1");
/// page.cut();
/// page.reconnect().await;
/// assert_eq!(page.expect_event().await.last_event_id, "2");
/// # }
/// ```
pub struct EventSource<H> {
    handler: H,
    uri: Uri,
    between: Between,
    reader: Reader,
}

impl<H, F, B> EventSource<H>
where
    H: FnMut(Request<()>) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Error: Into<BoxError>> + Send + 'static,
{
    /// Connects for the first time, without a last event ID.
    ///
    /// # Panics
    ///
    /// If `uri` is none, or the answer is no event stream (see [`assert_event_stream`](super::assert_event_stream)).
    #[track_caller]
    pub fn open(handler: H, uri: &str) -> impl Future<Output = Self> {
        Self::open_behind(Between::nothing(), handler, uri)
    }

    /// Connects through a proxy, now and whenever it reconnects.
    ///
    /// # Panics
    ///
    /// As [`open`](Self::open).
    #[track_caller]
    pub fn open_behind(between: Between, mut handler: H, uri: &str) -> impl Future<Output = Self> {
        let at = Location::caller();
        let uri: Uri = uri.parse().expect("an EventSource is opened with a URI");
        async move {
            let response = handler(request(&uri, "")).await;
            head::assert_at(at, &response);
            Self { handler, uri, reader: Reader::behind(between.clone(), response), between }
        }
    }

    /// Comes back: waits for the reconnection time, and asks again with the last event ID of what the test was given.
    ///
    /// That is what a browser does when the connection was lost and when the stream has ended. If it is still open, it is
    /// [cut](Reader::cut) first.
    ///
    /// # Panics
    ///
    /// If the answer is no event stream: a browser gives up for good then.
    #[track_caller]
    pub fn reconnect(&mut self) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let response = self.ask_again().await;
            head::assert_at(at, &response);
            let reader = Reader::behind(self.between.clone(), response);
            self.reader = reader.instead_of(&self.reader);
        }
    }

    /// Comes back like [`reconnect`](Self::reconnect), and has to be told by 204 that it is not to come again.
    ///
    /// # Panics
    ///
    /// If the answer is another one.
    #[track_caller]
    pub fn expect_sent_away(&mut self) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let status = self.ask_again().await.status();
            assert!(
                status == StatusCode::NO_CONTENT,
                "{at}: expected 204, on which a browser stays away, but the answer is {status}"
            );
        }
    }

    async fn ask_again(&mut self) -> Response<B> {
        self.reader.cut();
        sleep(self.reconnection_time()).await;
        (self.handler)(request(&self.uri, self.reader.last_event_id())).await
    }
}

impl<H> EventSource<H> {
    /// Takes no more than `bytes_per_second`, as [`Reader::slowly`], also when it has come back.
    #[must_use]
    pub fn slowly(mut self, bytes_per_second: u32) -> Self {
        self.reader.set_speed(bytes_per_second);
        self
    }

    /// Sets for how long it waits for what is expected, as [`Reader::patience`], also when it has come back.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.reader.set_patience(patience);
        self
    }

    /// For how long it waits before it reconnects: what the stream said last, or 3 s.
    #[must_use]
    pub fn reconnection_time(&self) -> Duration {
        self.reader.reconnection_time().unwrap_or(RECONNECTION_TIME)
    }
}

/// What a browser asks with.
pub(super) fn request(uri: &Uri, last_event_id: &str) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = uri.clone();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if !last_event_id.is_empty() {
        let value = HeaderValue::from_bytes(last_event_id.as_bytes());
        headers.insert("last-event-id", value.expect("an id with control characters fits no header"));
    }
    request
}

impl<H> Deref for EventSource<H> {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl<H> DerefMut for EventSource<H> {
    fn deref_mut(&mut self) -> &mut Reader {
        &mut self.reader
    }
}

impl<H> fmt::Debug for EventSource<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSource")
            .field("uri", &self.uri)
            .field("between", &self.between)
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}
