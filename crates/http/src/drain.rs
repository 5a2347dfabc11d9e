//! Sends everybody away without a stampede: the signal, and the stream that obeys it.
//!
//! It never closes a connection; that is for whoever serves it (see [`serve`](crate::serve())). A stream ends by itself, at
//! a moment of its own within the window, with a `retry` of its own, and its client resumes where it was. One whose time is
//! limited ends then, drain or not, and so does one whose token is revoked.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use fanfare_wire::Frame;
use futures_core::Stream;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::expiry::Expiry;
use crate::jitter;
use crate::revocation::Ticket;

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
    /// Yields the frames of `S` until the drain ends it, or its time is over.
    pub(crate) struct UntilDrained<S> {
        #[pin]
        frames: S,
        drain: Drain,
        #[pin]
        phase: Phase,
        ends_at: Option<Instant>,
        #[pin]
        end: Option<Sleep>,
        expiry: Option<Expiry>,
        ticket: Option<Ticket>,
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
    pub(crate) fn new(frames: S, drain: Drain) -> Self {
        let begun = drain.0.begun.clone().cancelled_owned();
        let phase = Phase::Serving { begun };
        Self { frames, drain, phase, ends_at: None, end: None, expiry: None, ticket: None }
    }

    /// Ends at `ends_at`, if that is not never.
    pub(crate) fn ending(mut self, ends_at: Option<Instant>) -> Self {
        self.ends_at = ends_at;
        self
    }

    /// Ends also when the wall clock says so.
    pub(crate) fn expiring(mut self, expiry: Option<Expiry>) -> Self {
        self.expiry = expiry;
        self
    }

    /// Ends when the token is revoked that the stream lives by, if it lives by one.
    pub(crate) fn living_by(mut self, ticket: Option<Ticket>) -> Self {
        self.ticket = ticket;
        self
    }

    /// The frames, when they end by either clock, and by what they live, for whoever ends them by means of its own.
    pub(crate) fn into_inner(self) -> (S, Option<Instant>, Option<SystemTime>, Option<Ticket>) {
        (self.frames, self.ends_at, self.expiry.map(|expiry| expiry.at()), self.ticket)
    }
}

impl<S, T, E> Stream for UntilDrained<S>
where
    S: Stream<Item = Result<T, E>>,
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
        // Only a stream that is served here needs a timer.
        if let Some(at) = this.ends_at.take() {
            this.end.set(Some(tokio::time::sleep_until(at)));
        }
        let is_revoked = this.ticket.as_mut().is_some_and(|ticket| ticket.poll_cut(cx).is_ready());
        let is_expired = this.expiry.as_mut().is_some_and(|expiry| expiry.poll_over(cx).is_ready());
        if is_revoked || is_expired || this.end.as_pin_mut().is_some_and(|end| end.poll(cx).is_ready()) {
            this.phase.set(Phase::Ended);
            return Poll::Ready(None);
        }
        if leave {
            this.phase.set(Phase::Ended);
            return Poll::Ready(Some(Ok(jitter::come_back())));
        }
        let next = std::task::ready!(this.frames.poll_next(cx));
        if next.is_none() {
            this.phase.set(Phase::Ended);
        }
        Poll::Ready(next.map(|frame| frame.map(Into::into)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expiry::WallClock;
    use fanfare_wire::Event;
    use futures_util::{StreamExt, stream};
    use std::convert::Infallible;

    fn endless() -> impl Stream<Item = Result<Frame, Infallible>> {
        stream::iter([Ok(Event::new("first").to_frame())]).chain(stream::pending())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_within_the_window_with_a_retry() {
        let drain = Drain::new();
        let mut frames = Box::pin(UntilDrained::new(endless(), drain.clone()));
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
            UntilDrained::new(endless(), drain.clone()).collect::<Vec<_>>().await;
            moments.insert(begun.elapsed());
        }
        assert!(moments.len() > 10, "{moments:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_whose_time_is_limited_ends_then_and_stays_ended_m060() {
        let minute = Duration::from_secs(60);
        let begun = Instant::now();
        let mut frames = Box::pin(UntilDrained::new(endless(), Drain::new()).ending(Some(begun + minute)));
        assert_eq!(frames.next().await.expect("a frame").expect("fine"), b"data: first\n\n"[..]);
        assert!(frames.next().await.is_none());
        assert_eq!(begun.elapsed().as_secs(), 60);
        assert!(frames.next().await.is_none(), "the stream is fused");
    }

    /// M-060, P7: nothing is published meanwhile, so it has to be woken.
    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_ends_when_the_wall_clock_is_set_past_its_end_m060() {
        let hour = Duration::from_secs(3_600);
        let (wall, now) = (SystemTime::now(), Instant::now());
        let clock = Arc::new(WallClock::default());
        clock.look(wall, now);
        let expiry = Expiry::new(wall + hour, clock.clone());
        let frames =
            UntilDrained::new(endless(), Drain::new()).ending(Some(now + hour)).expiring(Some(expiry));
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
        let mut frames = Box::pin(UntilDrained::new(endless(), drain));
        // The window is ten seconds wide: that this stream leaves in its first millisecond is one in ten thousand.
        let first = frames.next().await.expect("a frame").expect("fine");
        assert!(first == b"data: first\n\n"[..] || first.as_bytes().starts_with(b"retry: "));
    }
}
