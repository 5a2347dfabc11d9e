//! A worker's one clock: coarse ticks, at each of which a part of the connections is looked at.
//!
//! No connection has a timer. Within [`SWEEP`] ticks each was looked at once, so everything that is due happens within a
//! second. The clock is told the time; what the wall clock says is looked at once in a tick, for what ends by that.

use std::ops::Range;
use std::time::{Duration, Instant, SystemTime};

/// How long a tick is.
pub(crate) const TICK: Duration = Duration::from_millis(125);
/// How many ticks a look at all connections takes: a second.
const SWEEP: u32 = 8;

/// A moment, in ticks since the worker began.
pub(crate) type Tick = u32;
/// A moment that never comes.
pub(crate) const NEVER: Tick = Tick::MAX;

/// A moment of the wall clock, in seconds since 1970. Ticks since some beginning would not do: this clock may be set back before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WallSecond(u32);

impl WallSecond {
    /// A moment that never comes.
    pub(crate) const NEVER: Self = Self(u32::MAX);

    /// The second in which `at` lies.
    pub(crate) fn of(at: SystemTime) -> Self {
        let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        Self(u32::try_from(seconds).unwrap_or(u32::MAX).min(u32::MAX - 1))
    }
}

pub(crate) struct Clock {
    begun: Instant,
    now: Tick,
    wall: WallSecond,
}

impl Clock {
    pub(crate) fn new(begun: Instant, wall: SystemTime) -> Self {
        Self { begun, now: 0, wall: WallSecond::of(wall) }
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

    /// What the wall clock said last.
    pub(crate) fn wall(&self) -> WallSecond {
        self.wall
    }

    /// Takes note of what the wall clock says; it may be anything.
    pub(crate) fn see_wall(&mut self, wall: SystemTime) {
        self.wall = WallSecond::of(wall);
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

    /// The tick from which on everybody has been looked at once by `at`.
    pub(crate) fn sweep_before(&self, at: Instant) -> Tick {
        self.tick(at).saturating_sub(SWEEP)
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
    fn who_is_due_when_a_sweep_begins_is_looked_at_in_time_m060() {
        let begun = Instant::now();
        let clock = Clock::new(begun, SystemTime::UNIX_EPOCH);
        for at in [TICK * SWEEP, TICK * 50, TICK * 50 + TICK / 2, TICK * 51] {
            let due = clock.sweep_before(begun + at);
            let last = due + SWEEP - 1;
            assert!(duration(last) < at && at <= duration(last + 2), "{at:?}: {due} to {last}");
        }
        // Too late for that: at once.
        assert_eq!(clock.sweep_before(begun + TICK * SWEEP / 2), 0);
    }

    #[test]
    fn a_tick_passes_once_however_often_it_is_asked() {
        let begun = Instant::now();
        let mut clock = Clock::new(begun, SystemTime::UNIX_EPOCH);
        assert!(!clock.advance(begun + TICK / 2));
        assert_eq!(clock.until_next(begun), TICK);
        assert!(clock.advance(begun + TICK));
        assert!(!clock.advance(begun + TICK));
        assert_eq!((clock.now(), clock.after(TICK * 3), clock.since(0)), (1, 4, 1));
    }

    #[test]
    fn the_wall_clock_goes_where_it_is_set_and_never_to_the_end() {
        let (day, today) =
            (Duration::from_secs(86_400), SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 31));
        let mut clock = Clock::new(Instant::now(), today);
        let tomorrow = WallSecond::of(today + day);
        assert!(clock.wall() < tomorrow);
        clock.see_wall(today + day);
        assert!(clock.wall() >= tomorrow);
        // Back before the beginning.
        clock.see_wall(today - day);
        assert!(clock.wall() < WallSecond::of(today));
        clock.see_wall(today + day * 100_000);
        assert!(clock.wall() < WallSecond::NEVER);
    }

    #[test]
    fn half_a_tick_counts_as_one() {
        assert_eq!((ticks(Duration::ZERO), ticks(TICK / 2), ticks(TICK), ticks(TICK * 2)), (0, 1, 1, 2));
    }
}
