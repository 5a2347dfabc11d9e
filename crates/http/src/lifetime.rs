//! When a stream ends whatever happens: before its token expires, and after some time at any rate.
//!
//! Each ends a little earlier than it has to, by a share drawn for it alone: tokens that were made together, and clients
//! that came together, do not come back together. Rules: M-060, M-061, M-105.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use fanfare_wire::jitter;

/// How long a stream lives at the most, from `now` on: as long as the token, and `longest`. `None` for ever.
pub(crate) fn drawn(
    longest: Option<Duration>,
    until: Option<SystemTime>,
    now: SystemTime,
) -> Option<Duration> {
    let left = until.map(|until| until.duration_since(now).unwrap_or_default());
    let most = longest.into_iter().chain(left).min()?;
    Some(jitter::within(&of(most)))
}

/// From four fifths of the time on.
fn of(most: Duration) -> Range<Duration> {
    most.mul_f64(0.8)..most
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_stream_ends_in_the_last_fifth_of_what_it_may_live_m061() {
        let now = SystemTime::now();
        let draws: Vec<_> = (0..100).filter_map(|_| drawn(Some(HOUR), None, now)).collect();
        assert_eq!(draws.len(), 100);
        assert!(draws.iter().all(|draw| (HOUR.mul_f64(0.8)..HOUR).contains(draw)));
        assert!(draws.iter().any(|draw| *draw != draws[0]));
    }

    #[test]
    fn a_token_that_expires_earlier_ends_it_earlier_m060() {
        let now = SystemTime::now();
        let minute = Duration::from_secs(60);
        for longest in [Some(HOUR), None] {
            let drawn = drawn(longest, Some(now + minute), now).expect("an end");
            assert!((minute.mul_f64(0.8)..minute).contains(&drawn));
        }
        let later = drawn(Some(minute), Some(now + HOUR), now).expect("an end");
        assert!(later < minute);
    }

    #[test]
    fn one_that_has_expired_ends_it_at_once() {
        let now = SystemTime::now();
        assert_eq!(drawn(None, Some(now - HOUR), now), Some(Duration::ZERO));
    }

    #[test]
    fn without_a_limit_there_is_no_end() {
        assert_eq!(drawn(None, None, SystemTime::now()), None);
    }
}
