//! Random durations, so that many clients do not do the same thing at the same moment.
//!
//! Nothing here is secret or has to be: whoever guesses the number learns when a stranger reconnects.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;
use std::time::Duration;

/// Draws a duration from `range`, uniformly, in whole milliseconds; an empty range gives its start.
pub(crate) fn within(range: &Range<Duration>) -> Duration {
    let width = u64::try_from(range.end.saturating_sub(range.start).as_millis()).unwrap_or(u64::MAX);
    if width == 0 {
        return range.start;
    }
    // Each `RandomState` has keys of its own, seeded by the system; the standard library has no other dice.
    let dice = RandomState::new().build_hasher().finish();
    range.start + Duration::from_millis(dice % width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_within_the_range_and_differ() {
        let range = Duration::from_millis(10)..Duration::from_secs(2);
        let draws: Vec<_> = (0..100).map(|_| within(&range)).collect();
        assert!(draws.iter().all(|draw| range.contains(draw)));
        assert!(draws.iter().any(|draw| *draw != draws[0]));
    }

    #[test]
    fn an_empty_range_gives_its_start() {
        let second = Duration::from_secs(1);
        assert_eq!(within(&(second..second)), second);
        assert_eq!(within(&(second..Duration::ZERO)), second);
    }
}
