//! [`Shutdown`]: the word that streams are to end, and within what time.
//!
//! It stops no server and closes no connection; it lets a graceful shutdown come to its end. How a stream obeys is written
//! [there](crate::Sse::ends_with).

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fanfare_wire::{Frame, jitter};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How long a client may take for the end of its stream.
pub(crate) const END_WITHIN: Duration = Duration::from_secs(1);

/// Ends streams, so that a server can stop which waits for its responses: axum's and hyper's graceful shutdown, and actix-web's, wait for
/// an open stream for ever, or until they give up.
///
/// Clones are the same shutdown. When it [begins](Self::begin), each stream that [ends with it](crate::Sse::ends_with) does so at a random moment
/// within the window, with a `retry` of its own: so clients do not come back all at once, neither to the other servers now nor to this one when it
/// is up again. A stream that cannot be resumed may be let [finish](crate::Sse::finishes_before) first.
///
/// ```no_run
/// use axum::{Extension, Router, routing::get};
/// use fanfare_stream::{Shutdown, Sse};
/// # use fanfare_wire::Event;
/// # use futures_util::stream;
///
/// async fn events(Extension(shutdown): Extension<Shutdown>) -> Sse {
///     Sse::new(stream::pending::<Event>()).ends_with(&shutdown)
/// }
///
/// # async fn quit() {}
/// # async fn serve(listener: tokio::net::TcpListener) -> std::io::Result<()> {
/// let shutdown = Shutdown::new();
/// let router = Router::new().route("/events", get(events)).layer(Extension(shutdown.clone()));
/// tokio::spawn({
///     let shutdown = shutdown.clone();
///     async move {
///         quit().await; // A signal, say.
///         shutdown.begin();
///     }
/// });
/// let server = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().begun());
/// // The server has ended, or the last moment has come, and what is left is cut.
/// shutdown.run(server.into_future()).await.unwrap_or(Ok(()))
/// # }
/// ```
#[derive(Clone)]
pub struct Shutdown(Arc<Inner>);

struct Inner {
    settings: ShutdownBuilder,
    /// When it began.
    begun: watch::Sender<Option<Instant>>,
}

/// How a [`Shutdown`] is to go.
#[derive(Clone, Debug)]
#[must_use]
pub struct ShutdownBuilder {
    window: Duration,
    finish_within: Option<Duration>,
    retry: Range<Duration>,
    farewell: Option<Frame>,
}

impl ShutdownBuilder {
    /// Over what time streams end. Default: 5 s. Zero ends all of them at once.
    ///
    /// Longer spreads the clients more, who all have to connect to somebody else; shorter stops sooner.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How long a stream may go on that [finishes first](crate::Sse::finishes_before). Default: as long as the window.
    pub fn finish_within(mut self, limit: Duration) -> Self {
        self.finish_within = Some(limit);
        self
    }

    /// Between which reconnection times each client's is drawn, in whole milliseconds. Default: from 1 s to 5 s.
    ///
    /// A browser keeps it for as long as the page is open, or until it hears of another.
    pub fn retry(mut self, between: Range<Duration>) -> Self {
        self.retry = between;
        self
    }

    /// Sends `farewell` as the last of each stream: an event that the page listens for, or a comment for those who read along.
    /// Default: nothing besides the `retry`.
    pub fn farewell(mut self, farewell: impl Into<Frame>) -> Self {
        self.farewell = Some(farewell.into());
        self
    }

    /// Makes a shutdown that has not begun.
    #[must_use]
    pub fn build(self) -> Shutdown {
        Shutdown(Arc::new(Inner { settings: self, begun: watch::Sender::new(None) }))
    }
}

impl Default for ShutdownBuilder {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self { window: 5 * second, finish_within: None, retry: second..5 * second, farewell: None }
    }
}

impl Shutdown {
    /// Makes a shutdown that has not begun, with a window of 5 s.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets how it is to go.
    pub fn builder() -> ShutdownBuilder {
        ShutdownBuilder::default()
    }

    /// Has streams end from now on. Only the first call counts.
    pub fn begin(&self) {
        self.0.begun.send_if_modified(|begun| {
            let is_first = begun.is_none();
            begun.get_or_insert_with(Instant::now);
            is_first
        });
    }

    /// Whether [`begin`](Self::begin) was called.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.begun.borrow().is_some()
    }

    /// Waits until [`begin`](Self::begin) is called: the signal of a graceful shutdown.
    pub async fn begun(self) {
        // The sender is here, so it does not end before.
        self.0.begun.subscribe().wait_for(Option::is_some).await.ok();
    }

    /// Waits for the last moment: by then every stream should have ended, and its client have taken the end.
    ///
    /// That is a second after the window or after the time to finish, whichever is longer, and one more for those who take nothing.
    pub async fn last_moment(self) {
        self.clone().begun().await;
        let settings = &self.0.settings;
        let limit = settings.window.max(self.finish_within()) + 2 * END_WITHIN;
        match self.begun_at().and_then(|begun| begun.checked_add(limit)) {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Runs `server` to its end, or to the [last moment](Self::last_moment); then it is dropped, and there is no output.
    ///
    /// A client that takes nothing has a connection which no graceful shutdown ends. axum and hyper drive connections by tasks, which end with the runtime,
    /// so let `main` return then. Where the runtime goes on, give each connection the same last moment
    /// ([`WriteDeadline::cut_by`](crate::WriteDeadline::cut_by)).
    pub async fn run<S: Future>(&self, server: S) -> Option<S::Output> {
        let (mut server, mut last_moment) = (pin!(server), pin!(self.clone().last_moment()));
        poll_fn(|cx| match server.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => last_moment.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    /// Draws when a stream leaves; `None` before it has begun.
    pub(crate) fn draw_moment(&self) -> Option<Instant> {
        self.begun_at()?.checked_add(jitter::within(&(Duration::ZERO..self.0.settings.window)))
    }

    /// When a stream leaves that may finish first; `None` before it has begun.
    pub(crate) fn finished_by(&self) -> Option<Instant> {
        self.begun_at()?.checked_add(self.finish_within())
    }

    /// The last that a stream sends, with a reconnection time of its own.
    pub(crate) fn farewell(&self) -> [Option<Frame>; 2] {
        let settings = &self.0.settings;
        [Some(jitter::come_back_within(&settings.retry)), settings.farewell.clone()]
    }

    fn finish_within(&self) -> Duration {
        self.0.settings.finish_within.unwrap_or(self.0.settings.window)
    }

    fn begun_at(&self) -> Option<Instant> {
        *self.0.begun.borrow()
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown")
            .field("begun", &self.has_begun())
            .field("settings", &self.0.settings)
            .finish()
    }
}
