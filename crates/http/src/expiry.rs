//! Ends streams when the wall clock says that their token is over, also where somebody has set that clock.
//!
//! A stream has a timer for its end, and timers know nothing of the wall clock. So one task for all looks at it once a second, and wakes
//! the streams only when it went ahead of the time that has passed. Setting it back prolongs nothing: the timers stay. Rule: M-060.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How often the wall clock is looked at, and how far it may go ahead before anybody is woken.
const LOOK: Duration = Duration::from_secs(1);

/// Sees the wall clock leap.
#[derive(Debug, Default)]
pub(crate) struct WallClock(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What both clocks said when the wall clock leapt last, or was first looked at.
    since: Option<(SystemTime, Instant)>,
    /// What the wall clock said last.
    seen: Option<SystemTime>,
    /// Cancelled by the next leap.
    leap: CancellationToken,
    is_watched: bool,
}

impl WallClock {
    /// Takes note of what the clocks say.
    pub(crate) fn look(&self, wall: SystemTime, now: Instant) {
        let mut state = self.lock();
        state.seen = Some(wall);
        let (wall_before, before) = *state.since.get_or_insert((wall, now));
        match wall.duration_since(wall_before).map(|went| went.checked_sub(now - before)) {
            // A clock that goes a little fast adds up.
            Ok(Some(ahead)) if ahead < LOOK => {}
            Ok(Some(_)) => {
                state.since = Some((wall, now));
                std::mem::take(&mut state.leap).cancel();
            }
            // It was set back, or goes slow: what it goes forward from here counts.
            Ok(None) | Err(_) => state.since = Some((wall, now)),
        }
    }

    /// Begins to look, unless somebody does; as long as the runtime and the clock are there.
    fn watch(self: &Arc<Self>) {
        if std::mem::replace(&mut self.lock().is_watched, true) {
            return;
        }
        self.look(SystemTime::now(), Instant::now());
        let watcher = Watcher(Arc::downgrade(self));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let Some(clock) = watcher.0.upgrade() else { return };
                clock.look(SystemTime::now(), Instant::now());
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever looks; if its runtime ends, another one may.
struct Watcher(Weak<WallClock>);

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(clock) = self.0.upgrade() {
            clock.lock().is_watched = false;
        }
    }
}

/// When a stream is over by the wall clock.
#[derive(Debug)]
pub(crate) struct Expiry {
    at: SystemTime,
    clock: Arc<WallClock>,
    leap: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Expiry {
    pub(crate) fn new(at: SystemTime, clock: Arc<WallClock>) -> Self {
        Self { at, clock, leap: None }
    }

    pub(crate) fn at(&self) -> SystemTime {
        self.at
    }

    /// Whether the clock was seen to have passed the end.
    pub(crate) fn is_over(&self) -> bool {
        self.clock.lock().seen.is_some_and(|seen| seen >= self.at)
    }

    /// Ready when the clock was seen to have passed the end.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(leap) = &mut self.leap {
                ready!(leap.as_mut().poll(cx));
            } else {
                self.clock.watch();
            }
            let state = self.clock.lock();
            if state.seen.is_some_and(|seen| seen >= self.at) {
                return Poll::Ready(());
            }
            self.leap = Some(Box::pin(state.leap.clone().cancelled_owned()));
        }
    }
}

impl Clone for Expiry {
    /// The same end, for whoever else waits for it.
    fn clone(&self) -> Self {
        Self::new(self.at, self.clock.clone())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::runtime::Handle;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Whether a stream that may be read for an hour ends when the clocks go on like this, in minutes: the wall clock, and in truth.
    async fn ends_after(steps: &[(i32, u32)]) -> bool {
        let clock = Arc::new(WallClock::default());
        // Nobody else is to look.
        clock.lock().is_watched = true;
        let (mut wall, mut now) = (SystemTime::now(), Instant::now());
        clock.look(wall, now);
        let mut expiry = Expiry::new(wall + 60 * MINUTE, clock.clone());
        let mut over = std::pin::pin!(std::future::poll_fn(|cx| expiry.poll_over(cx)));
        assert!(poll!(&mut over).is_pending());
        for &(by_wall, in_truth) in steps {
            let went = MINUTE * by_wall.unsigned_abs();
            wall = if by_wall < 0 { wall - went } else { wall + went };
            now += MINUTE * in_truth;
            clock.look(wall, now);
            if poll!(&mut over).is_ready() {
                return true;
            }
        }
        false
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_past_the_end_ends_the_stream_m060() {
        assert!(ends_after(&[(61, 0)]).await);
        assert!(ends_after(&[(1, 1), (30, 0), (1, 1), (30, 1)]).await);
        assert!(ends_after(&[(-600, 0), (659, 0), (2, 0)]).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_has_not_come_to_the_end_ends_nothing() {
        assert!(!ends_after(&[(59, 0)]).await);
        assert!(!ends_after(&[(-60, 0), (100, 1)]).await);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_woken_while_the_clocks_agree() {
        let clock = WallClock::default();
        let (wall, now) = (SystemTime::now(), Instant::now());
        clock.look(wall, now);
        let leap = clock.lock().leap.clone();
        for minutes in 1..1_000 {
            clock.look(wall + MINUTE * minutes + LOOK / 2, now + MINUTE * minutes);
        }
        assert!(!leap.is_cancelled());
        clock.look(wall + MINUTE * 1_000 + LOOK, now + MINUTE * 1_000);
        assert!(leap.is_cancelled(), "what it is ahead adds up");
    }

    #[tokio::test(start_paused = true)]
    async fn one_task_looks_for_all_and_ends_with_the_clock() {
        let tasks = || Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        let clock = Arc::new(WallClock::default());
        for _ in 0..100 {
            clock.watch();
        }
        assert_eq!(tasks(), before + 1);
        drop(clock);
        tokio::time::sleep(LOOK * 2).await;
        assert_eq!(tasks(), before);
    }
}
