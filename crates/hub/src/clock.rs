//! The time, as something that tests replace.

use std::time::{Instant, SystemTime};

/// Tells the time.
///
/// The hub reads it for the age of entries and the rhythm of bookmarks.
pub trait Clock: Send + Sync + 'static {
    /// What time it is.
    fn now(&self) -> SystemTime;
}

/// The system's wall clock as it stood at the start, moved on by a clock that never jumps.
///
/// So an age is how long something has been there, whatever is done to the wall clock meanwhile. It does not see the time that
/// a machine sleeps.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: SystemTime,
    since: Instant,
}

impl SystemClock {
    /// Starts at the wall clock's time.
    #[must_use]
    pub fn new() -> Self {
        Self { start: SystemTime::now(), since: Instant::now() }
    }

    /// Starts at the wall clock's time, or at `earliest` if that is later: a log that goes on does not go back in time
    /// because the wall clock was set back in between.
    #[must_use]
    pub fn not_before(earliest: SystemTime) -> Self {
        Self { start: SystemTime::now().max(earliest), since: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        self.start + self.since.elapsed()
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_starts_in_the_future_goes_on_from_there() {
        let earliest = SystemTime::now() + Duration::from_secs(3_600);
        let clock = SystemClock::not_before(earliest);
        let first = clock.now();
        assert!(first >= earliest && clock.now() >= first);
    }
}
