//! Sends everybody away without a stampede: the signal, and the stream that obeys it.
//!
//! It never closes a connection; that is for whoever serves it (see [`serve`](crate::serve())). A stream ends by itself, at
//! a moment of its own within the window, with a `retry` of its own, and its client resumes where it was. One that has a
//! deadline ends then, drain or not ([`lease`](crate::lease)).

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use fanfare_wire::Frame;
use fanfare_wire::jitter;
use futures_core::Stream;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::lease::{Deadline, Lease, Watch};
use crate::stall::StallNotice;

/// A signal that the streams of a hub are to end, spread over a window of time.
///
/// Clones are the same signal. Hand one to [`Mercure::drain`](crate::Mercure::drain) and one to whatever stops the server.
///
/// ```
/// use std::time::Duration;
/// use fanfare_http::Drain;
///
/// let drain = Drain::new();
/// assert!(!drain.has_begun());
/// drain.begin(Duration::from_secs(5));
/// assert!(drain.has_begun());
/// ```
#[derive(Clone, Default)]
pub struct Drain(Arc<Inner>);

#[derive(Default)]
struct Inner {
    begun: CancellationToken,
    window: OnceLock<Duration>,
}

impl Drain {
    /// Makes a signal that has not been given.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the streams, each at a random moment before `window` has passed; zero ends them at once.
    ///
    /// Only the first call counts.
    pub fn begin(&self, window: Duration) {
        // The window is there before anybody wakes.
        let _ = self.0.window.set(window);
        self.0.begun.cancel();
    }

    /// Whether [`begin`](Self::begin) was called.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.begun.is_cancelled()
    }

    /// Waits until [`begin`](Self::begin) is called.
    pub async fn begun(&self) {
        self.0.begun.cancelled().await;
    }

    /// Over what time the streams end; zero before the drain has begun.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.0.window.get().copied().unwrap_or_default()
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("window", &self.0.window.get()).finish()
    }
}

pin_project! {
    /// Yields the frames of `S` until the drain ends it, or its deadline has passed.
    pub(crate) struct UntilDrained<S> {
        lease: Arc<Lease<S>>,
        drain: Drain,
        #[pin]
        phase: Phase,
        watch: Option<Watch>,
        stall: Option<StallNotice>,
    }
}

pin_project! {
    #[project = PhaseProjection]
    enum Phase {
        Serving { #[pin] begun: WaitForCancellationFutureOwned },
        Leaving { #[pin] at: Sleep },
        Ended,
    }
}

impl<S> UntilDrained<S> {
    pub(crate) fn new(frames: S, deadline: Deadline, drain: Drain) -> Self {
        let begun = drain.0.begun.clone().cancelled_owned();
        let lease = Arc::new(Lease::new(frames, deadline));
        Self { lease, drain, phase: Phase::Serving { begun }, watch: None, stall: None }
    }

    /// Has the stream say, when it is quiet, that the log is not available.
    pub(crate) fn telling_of_stalls(mut self, stall: Option<StallNotice>) -> Self {
        self.stall = stall;
        self
    }

    pub(crate) fn lease(&self) -> &Arc<Lease<S>> {
        &self.lease
    }

    /// The frames and their deadline, for whoever ends them by means of its own.
    ///
    /// # Errors
    /// They were taken away already.
    #[allow(clippy::result_large_err)] // It is what the caller had before.
    pub(crate) fn into_inner(self) -> Result<(S, Deadline), Self> {
        self.lease.take().ok_or(self)
    }
}

impl<S, T, E> Stream for UntilDrained<S>
where
    S: Stream<Item = Result<T, E>> + Send + Unpin + 'static,
    T: Into<Frame>,
{
    type Item = Result<Frame, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        if let PhaseProjection::Serving { begun } = this.phase.as_mut().project()
            && begun.poll(cx).is_ready()
        {
            let at = tokio::time::sleep(jitter::within(&(Duration::ZERO..this.drain.window())));
            this.phase.set(Phase::Leaving { at });
        }
        let leave = match this.phase.as_mut().project() {
            PhaseProjection::Serving { .. } => false,
            PhaseProjection::Leaving { at } => at.poll(cx).is_ready(),
            PhaseProjection::Ended => return Poll::Ready(None),
        };
        if leave {
            this.phase.set(Phase::Ended);
            return Poll::Ready(Some(Ok(jitter::come_back())));
        }
        // Only a stream that is served here, and not by our server, which watches it already.
        if this.watch.is_none() {
            *this.watch = this.lease.watch(None);
        }
        let next = match this.lease.poll_next(cx) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                let comment = this.stall.as_mut().and_then(StallNotice::take_due);
                return comment.map_or(Poll::Pending, |comment| Poll::Ready(Some(Ok(comment))));
            }
        };
        if let Some(stall) = this.stall {
            stall.traffic();
        }
        if next.is_none() {
            this.phase.set(Phase::Ended);
        }
        Poll::Ready(next.map(|frame| frame.map(Into::into)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expiry::{Expiry, WallClock};
    use fanfare_wire::Event;
    use futures_util::{StreamExt, stream};
    use std::convert::Infallible;

    fn endless() -> impl Stream<Item = Result<Frame, Infallible>> {
        stream::iter([Ok(Event::new("first").to_frame())]).chain(stream::pending())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_within_the_window_with_a_retry() {
        let drain = Drain::new();
        let mut frames = Box::pin(UntilDrained::new(endless(), Deadline::default(), drain.clone()));
        assert_eq!(frames.next().await.expect("a frame").expect("fine"), b"data: first\n\n"[..]);
        drain.begin(Duration::from_secs(10));
        let begun = tokio::time::Instant::now();
        let last = frames.next().await.expect("a frame").expect("fine");
        assert!(last.as_bytes().starts_with(b"retry: "));
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert!(frames.next().await.is_none());
        assert!(frames.next().await.is_none(), "the stream is fused");
    }

    #[tokio::test(start_paused = true)]
    async fn streams_do_not_end_together() {
        let drain = Drain::new();
        drain.begin(Duration::from_secs(10));
        let mut moments = std::collections::HashSet::new();
        for _ in 0..20 {
            let begun = tokio::time::Instant::now();
            UntilDrained::new(endless(), Deadline::default(), drain.clone()).collect::<Vec<_>>().await;
            moments.insert(begun.elapsed());
        }
        assert!(moments.len() > 10, "{moments:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_whose_time_is_limited_ends_then_and_stays_ended_m060() {
        let minute = Duration::from_secs(60);
        let begun = tokio::time::Instant::now();
        let mut frames =
            Box::pin(UntilDrained::new(endless(), Deadline::at(Some(begun + minute)), Drain::new()));
        assert_eq!(frames.next().await.expect("a frame").expect("fine"), b"data: first\n\n"[..]);
        assert!(frames.next().await.is_none());
        assert_eq!(begun.elapsed().as_secs(), 60);
        assert!(frames.next().await.is_none(), "the stream is fused");
    }

    /// M-060, P7: nothing is published meanwhile, so it has to be woken.
    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_ends_when_the_wall_clock_is_set_past_its_end_m060() {
        let hour = Duration::from_secs(3_600);
        let (wall, now) = (std::time::SystemTime::now(), tokio::time::Instant::now());
        let clock = Arc::new(WallClock::default());
        clock.look(wall, now);
        let expiry = Expiry::new(wall + hour, clock.clone());
        let deadline = Deadline::at(Some(now + hour)).expiring(Some(expiry));
        let frames = UntilDrained::new(endless(), deadline, Drain::new());
        let left = tokio::spawn(frames.collect::<Vec<_>>());
        tokio::task::yield_now().await;
        clock.look(wall + 2 * hour, now);
        assert_eq!(left.await.expect("no panic").len(), 1);
        assert!(now.elapsed() < hour);
    }

    #[tokio::test(start_paused = true)]
    async fn events_still_arrive_while_the_stream_waits_for_its_end() {
        let drain = Drain::new();
        drain.begin(Duration::from_secs(10));
        let mut frames = Box::pin(UntilDrained::new(endless(), Deadline::default(), drain));
        // The window is ten seconds wide: that this stream leaves in its first millisecond is one in ten thousand.
        let first = frames.next().await.expect("a frame").expect("fine");
        assert!(first == b"data: first\n\n"[..] || first.as_bytes().starts_with(b"retry: "));
    }
}
