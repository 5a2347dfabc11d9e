//! What is not kept any longer.
//!
//! It moves the oldest position on and says which segments are all behind it. It deletes nothing itself.

use std::ops::Range;
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
            let is_too_much = bytes.saturating_sub(presence) > self.bytes
                || bytes > self.bytes.saturating_add(presence_max);
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
    let among = {
        let state = shared.lock();
        let young = state.sealed.iter().find(|sealed| sealed.outline.newest_at >= limit);
        let (first, next) = match young {
            Some(sealed) => (sealed.outline.first, sealed.next()),
            None if state.tail.newest_at < limit => return state.next(),
            None => (state.tail.header.first, state.next()),
        };
        first.max(state.oldest)..next
    };
    first_young(
        among,
        limit,
        |position| shared.time_of(position),
        |position| shared.positions_with(position).start,
    )
}

/// The first of some positions whose time is `limit` or later. Times never fall from one to the next; `time_of` gives none for what
/// cannot be read, and `lost_from` where what cannot be read together with that begins.
fn first_young(
    among: Range<Position>,
    limit: u64,
    time_of: impl Fn(Position) -> Option<u64>,
    lost_from: impl Fn(Position) -> Position,
) -> Position {
    let (mut low, mut high) = (among.start, among.end);
    while low < high {
        let middle = low.midpoint(high);
        match time_of(middle) {
            Some(at) if at < limit => low = middle + 1,
            Some(_) => high = middle,
            // It is dropped with what is around it. That may be a million entries, so what is in front of them is looked at next.
            None => match lost_from(middle) {
                lost if lost > low => high = lost + (lost - low) - 1,
                _ => return low,
            },
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Goal: what cannot be read never makes anything go that is young, and is passed in one step.
        /// Method: entries of rising times, some of them lost in stretches.
        #[test]
        fn what_is_young_is_kept_whatever_around_it_cannot_be_read(
            stretches in prop::collection::vec((1..200_u64, 0..3_u64, any::<bool>()), 1..12),
            limit in 0..30_u64,
        ) {
            let (mut entries, mut time): (Vec<(Option<u64>, u64)>, u64) = (Vec::new(), 0);
            let mut first_young_one = None;
            for (count, later, is_lost) in &stretches {
                time += later;
                let begins = entries.len() as u64;
                first_young_one = first_young_one.or((time >= limit).then_some(begins));
                entries.extend((0..*count).map(|_| ((!is_lost).then_some(time), begins)));
            }
            let (looked, end) = (Cell::new(0), entries.len() as u64);
            let entry = |position: u64| entries[usize::try_from(position).expect("few")];
            let time_of = |position| { looked.set(looked.get() + 1); entry(position).0 };
            let found = first_young(0..end, limit, time_of, |position| entry(position).1);
            prop_assert!(found <= first_young_one.unwrap_or(end));
            if stretches.iter().all(|(_, _, is_lost)| !is_lost) {
                prop_assert_eq!(found, first_young_one.unwrap_or(end));
            }
            prop_assert!(looked.get() <= 12 + stretches.len(), "{} looks", looked.get());
        }
    }
}
