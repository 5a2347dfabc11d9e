//! Random durations, so that many clients do not do the same thing at the same moment: above all when each of them comes back (`retry`).
//!
//! Nothing here is secret or has to be: whoever guesses the number learns when a stranger reconnects.

use core::hash::{BuildHasher, Hasher};
use core::ops::Range;
use core::time::Duration;
use std::collections::hash_map::RandomState;

use crate::{Event, Frame};

/// How long a client that is sent away waits before it comes back.
const RECONNECT_AFTER: Range<Duration> = Duration::from_secs(1)..Duration::from_secs(5);

/// Draws a duration from `range`, uniformly, in whole milliseconds; an empty range gives its start.
#[must_use]
pub fn within(range: &Range<Duration>) -> Duration {
    let width = u64::try_from(range.end.saturating_sub(range.start).as_millis()).unwrap_or(u64::MAX);
    if width == 0 {
        return range.start;
    }
    // Each `RandomState` has keys of its own, seeded by the system; the standard library has no other dice.
    let dice = RandomState::new().build_hasher().finish();
    range.start + Duration::from_millis(dice % width)
}

/// How long this client should wait before it comes back.
#[must_use]
pub fn reconnection_time() -> Duration {
    within(&RECONNECT_AFTER)
}

/// The last frame of a stream that the client should open again soon: a `retry` of its own, and nothing to dispatch.
#[must_use]
pub fn come_back() -> Frame {
    come_back_within(&RECONNECT_AFTER)
}

/// As [`come_back`], with a reconnection time that is drawn from `range`.
///
/// ```
/// # use std::time::Duration;
/// let second = Duration::from_secs(1);
/// let frame = fanfare_wire::jitter::come_back_within(&(second..second));
/// assert_eq!(frame, b"retry: 1000\n\n"[..]);
/// ```
#[must_use]
pub fn come_back_within(range: &Range<Duration>) -> Frame {
    Event::without_data().retry(within(range)).to_frame()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

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

    #[test]
    fn the_farewell_is_a_retry_alone() {
        let frame = come_back();
        let text = std::str::from_utf8(frame.as_bytes()).expect("text");
        let millis: u64 = text
            .strip_prefix("retry: ")
            .and_then(|t| t.strip_suffix("\n\n"))
            .expect("a retry")
            .parse()
            .expect("digits");
        assert!((1_000..5_000).contains(&millis));
    }
}
