//! What is not kept any longer.
//!
//! It moves the oldest position on and says which segments are all behind it. It deletes nothing itself.

use std::sync::Arc;
use std::time::Duration;

use fanfare_hub::Position;

use super::state::{Sealed, Shared, State};

/// How much is kept. Whichever is reached first counts.
///
/// Presence comes in floods that nobody reads for long, so its places shorten nobody's history: events are counted without them, and
/// in bytes they have a tenth besides.
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
        let by_events = self.events.and_then(|events| shared.oldest_of(events)).unwrap_or(0);
        let mut state = shared.lock();
        let oldest = by_events.max(self.by_bytes(&state)).max(by_age);
        state.oldest = state.oldest.max(oldest);
        let mut removed = Vec::new();
        while state.sealed.front().is_some_and(|first| first.next() <= state.oldest) {
            removed.extend(state.sealed.pop_front());
        }
        removed
    }

    /// Segments go while events take too much, or all together a tenth more; and those of presence alone while that takes more than
    /// its tenth.
    fn by_bytes(&self, state: &State) -> Position {
        let presence_max = self.bytes / 10;
        let (mut bytes, mut presence) = (state.bytes(), state.presence_bytes());
        let mut oldest = 0;
        for sealed in &state.sealed {
            let is_too_much =
                bytes.saturating_sub(presence) > self.bytes || bytes > self.bytes + presence_max;
            if !is_too_much && (presence <= presence_max || sealed.events() > 0) {
                break;
            }
            bytes -= sealed.bytes();
            presence -= sealed.presence_bytes();
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
