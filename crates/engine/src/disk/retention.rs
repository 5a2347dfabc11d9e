//! What is not kept any longer.
//!
//! It moves the oldest position on and says which segments are all behind it. It deletes nothing itself.

use std::sync::Arc;
use std::time::Duration;

use fanfare_hub::Position;

use super::state::{Sealed, Shared, State};

/// How much is kept. Whichever is reached first counts.
#[derive(Clone, Debug)]
pub(super) struct Retention {
    pub(super) events: Option<u64>,
    pub(super) bytes: u64,
    pub(super) age: Option<Duration>,
}

impl Retention {
    /// Moves the oldest position on; returns the segments to remove, oldest first. Ages count at `now`, microseconds since 1970;
    /// without it they are not looked at, for that may read.
    pub(super) fn trim(&self, shared: &Shared, now: Option<u64>) -> Vec<Arc<Sealed>> {
        let by_age = now.zip(self.age).map_or(0, |(now, age)| oldest_by_age(shared, now, age));
        let mut state = shared.lock();
        let oldest = self.by_events(&state).max(self.by_bytes(&state)).max(by_age);
        state.oldest = state.oldest.max(oldest);
        let mut removed = Vec::new();
        while state.sealed.front().is_some_and(|first| first.next() <= state.oldest) {
            removed.extend(state.sealed.pop_front());
        }
        removed
    }

    fn by_events(&self, state: &State) -> Position {
        self.events.map_or(0, |events| state.next().saturating_sub(events))
    }

    fn by_bytes(&self, state: &State) -> Position {
        let mut bytes = state.bytes();
        let mut oldest = 0;
        for sealed in &state.sealed {
            if bytes <= self.bytes {
                break;
            }
            bytes -= sealed.bytes();
            oldest = sealed.next();
        }
        oldest
    }
}

/// The first position that is young enough.
fn oldest_by_age(shared: &Shared, now: u64, age: Duration) -> Position {
    let Some(limit) = now.checked_sub(u64::try_from(age.as_micros()).unwrap_or(u64::MAX)) else { return 0 };
    let (mut low, mut high) = {
        let state = shared.lock();
        let young = state.sealed.iter().find(|sealed| sealed.outline.newest_at >= limit);
        let (first, next) = match young {
            Some(sealed) => (sealed.outline.first, sealed.next()),
            None if state.tail.newest_at < limit => return state.next(),
            None => (state.tail.header.first, state.next()),
        };
        (first.max(state.oldest), next)
    };
    // Times never fall from one entry to the next.
    while low < high {
        let middle = low.midpoint(high);
        match shared.time_of(middle) {
            Some(at) if at < limit => low = middle + 1,
            Some(_) => high = middle,
            // What cannot be read is dropped with what is around it.
            None => high -= 1,
        }
    }
    low
}
