//! How often one publisher may publish: a token bucket for each.
//!
//! It counts by who publishes, as the rights say, and forgets whoever has been quiet for long enough not to matter. It is
//! the algorithm that networks call GCRA: of each publisher one moment is kept, at which its bucket is full again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often one publisher may publish.
///
/// ```
/// use fanfare_http::PublishRate;
///
/// // Ten a second for long, fifty at once.
/// let rate = PublishRate { per_second: 10.0, burst: 50 };
/// # let _ = rate;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublishRate {
    /// How many publications a second one publisher may make for long; above 0.
    pub per_second: f64,
    /// How many it may make at once after a rest; at least 1.
    pub burst: u32,
}

/// How many publishers are looked through at once for those who have rested.
const SWEEP_AT: usize = 1_024;

/// The buckets of all publishers. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Buckets {
    /// What one publication takes, in time.
    each: Duration,
    /// How far ahead a bucket may run.
    burst: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// When each bucket is full again; who is not in it has a full one.
    full_at: HashMap<Option<Arc<str>>, Instant>,
    /// How many there may be before those are forgotten who have rested.
    sweep_at: usize,
}

impl Buckets {
    pub(crate) fn new(rate: PublishRate) -> Self {
        let each = Duration::try_from_secs_f64(1.0 / rate.per_second).unwrap_or(Duration::from_secs(86_400));
        let state = State { full_at: HashMap::new(), sweep_at: SWEEP_AT };
        Self { each, burst: each.saturating_mul(rate.burst.max(1)), state: Arc::new(Mutex::new(state)) }
    }

    /// Takes one publication out of `who`'s bucket.
    ///
    /// # Errors
    /// It is empty; after this time there is one in it.
    pub(crate) fn take(&self, who: Option<&Arc<str>>, now: Instant) -> Result<(), Duration> {
        // Nothing panics while it is locked.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let who = who.cloned();
        let full_at = state.full_at.get(&who).map_or(now, |at| *at.max(&now));
        let then = full_at + self.each;
        let ahead = then.saturating_duration_since(now);
        if ahead > self.burst {
            return Err(ahead.saturating_sub(self.burst));
        }
        if state.full_at.len() >= state.sweep_at {
            state.full_at.retain(|_, at| *at > now);
            state.sweep_at = SWEEP_AT.max(state.full_at.len() * 2);
        }
        state.full_at.insert(who, then);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn a_burst_passes_and_then_one_at_a_time() {
        let buckets = Buckets::new(PublishRate { per_second: 2.0, burst: 3 });
        let (a, start) = (who("a"), Instant::now());
        for _ in 0..3 {
            assert_eq!(buckets.take(Some(&a), start), Ok(()));
        }
        assert_eq!(buckets.take(Some(&a), start), Err(Duration::from_millis(500)));
        let later = start + Duration::from_millis(500);
        assert_eq!(buckets.take(Some(&a), later), Ok(()));
        assert!(buckets.take(Some(&a), later).is_err());
        let rested = start + Duration::from_secs(60);
        for _ in 0..3 {
            assert_eq!(buckets.take(Some(&a), rested), Ok(()), "a rest fills the bucket, and no more");
        }
        assert!(buckets.take(Some(&a), rested).is_err());
    }

    #[test]
    fn nobody_empties_the_bucket_of_another() {
        let buckets = Buckets::new(PublishRate { per_second: 1.0, burst: 1 });
        let now = Instant::now();
        assert!(buckets.take(Some(&who("a")), now).is_ok());
        assert!(buckets.take(Some(&who("b")), now).is_ok());
        assert!(buckets.take(None, now).is_ok());
        assert!(buckets.take(Some(&who("a")), now).is_err());
    }

    #[test]
    fn whoever_has_rested_is_forgotten() {
        let buckets = Buckets::new(PublishRate { per_second: 1.0, burst: 1 });
        let now = Instant::now();
        for number in 0..10 * SWEEP_AT {
            let now = now + Duration::from_secs(2 * number as u64);
            assert!(buckets.take(Some(&who(&number.to_string())), now).is_ok());
        }
        assert!(buckets.state.lock().expect("sound").full_at.len() <= SWEEP_AT);
    }
}
