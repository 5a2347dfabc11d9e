//! A worker's one clock: coarse ticks, at each of which a part of the connections is looked at.
//!
//! No connection has a timer. Within [`SWEEP`] ticks each was looked at once, so everything that is due happens within a
//! second. The clock is told the time.

use std::ops::Range;
use std::time::{Duration, Instant};

/// How long a tick is.
pub(crate) const TICK: Duration = Duration::from_millis(125);
/// How many ticks a look at all connections takes: a second.
const SWEEP: u32 = 8;

/// A moment, in ticks since the worker began.
pub(crate) type Tick = u32;
/// A moment that never comes.
pub(crate) const NEVER: Tick = Tick::MAX;

pub(crate) struct Clock {
    begun: Instant,
    now: Tick,
}

impl Clock {
    pub(crate) fn new(begun: Instant) -> Self {
        Self { begun, now: 0 }
    }

    pub(crate) fn now(&self) -> Tick {
        self.now
    }

    /// Takes note of the time; tells whether a tick has passed.
    pub(crate) fn advance(&mut self, now: Instant) -> bool {
        let tick = self.tick(now);
        let passed = tick > self.now;
        self.now = self.now.max(tick);
        passed
    }

    /// How long until the next tick.
    pub(crate) fn until_next(&self, now: Instant) -> Duration {
        (self.begun + TICK * (self.now + 1)).saturating_duration_since(now)
    }

    /// The tick in which `at` lies.
    pub(crate) fn tick(&self, at: Instant) -> Tick {
        let ticks = at.saturating_duration_since(self.begun).as_millis() / TICK.as_millis();
        Tick::try_from(ticks).unwrap_or(NEVER - 1)
    }

    /// The tick that comes `after` from now; at least the next one.
    pub(crate) fn after(&self, after: Duration) -> Tick {
        self.now.saturating_add(ticks(after)).min(NEVER - 1)
    }

    /// How long ago a tick was, in ticks.
    pub(crate) fn since(&self, tick: Tick) -> u32 {
        self.now.saturating_sub(tick)
    }
}

/// A duration in ticks, rounded up.
pub(crate) fn ticks(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(TICK.as_millis())).unwrap_or(NEVER)
}

pub(crate) fn duration(ticks: u32) -> Duration {
    TICK * ticks
}

/// Goes round all slots of a table, an eighth at each tick.
#[derive(Default)]
pub(crate) struct Sweep {
    part: u32,
}

impl Sweep {
    /// The slots to look at now, of `slots`.
    pub(crate) fn next(&mut self, slots: usize) -> Range<usize> {
        let (part, parts) = (self.part as usize, SWEEP as usize);
        self.part = (self.part + 1) % SWEEP;
        slots * part / parts..slots * (part + 1) / parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_looks_at_each_slot_once() {
        for slots in [0, 1, 7, 8, 1_001] {
            let mut sweep = Sweep::default();
            let seen: Vec<usize> = (0..SWEEP).flat_map(|_| sweep.next(slots)).collect();
            assert_eq!(seen, (0..slots).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_tick_passes_once_however_often_it_is_asked() {
        let begun = Instant::now();
        let mut clock = Clock::new(begun);
        assert!(!clock.advance(begun + TICK / 2));
        assert_eq!(clock.until_next(begun), TICK);
        assert!(clock.advance(begun + TICK));
        assert!(!clock.advance(begun + TICK));
        assert_eq!((clock.now(), clock.after(TICK * 3), clock.since(0)), (1, 4, 1));
    }

    #[test]
    fn half_a_tick_counts_as_one() {
        assert_eq!((ticks(Duration::ZERO), ticks(TICK / 2), ticks(TICK), ticks(TICK * 2)), (0, 1, 1, 2));
    }
}
