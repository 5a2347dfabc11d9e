//! What a worker has collected from subscriptions and its clients have yet to take: a budget for all of them together.
//!
//! Who finds it spent waits in order until bytes are written or thrown away. One event can always be collected, whatever
//! its size, so somebody always gets on. It knows no socket: a client that takes nothing is cut by its write deadline, and one that
//! takes a little now and then by the same deadline for all of it, while others wait; what it holds is given back then.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::clock::{self, Tick};
use crate::counts::Totals;

pub(crate) struct Collected {
    bytes_max: usize,
    held: Rc<Held>,
    /// The connections that wait. One that does not any more may still stand here.
    waiting: VecDeque<usize>,
}

struct Held {
    bytes: Cell<usize>,
    totals: Arc<Totals>,
}

/// What one connection has collected; given back when dropped.
pub(crate) struct Charge {
    held: Rc<Held>,
    bytes: usize,
    /// Since when it has held any.
    since: Tick,
}

/// Whether a connection waits to collect.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    #[default]
    Free,
    Waits,
    /// It has waited, and goes before whoever waits now.
    Called,
}

impl Collected {
    pub(crate) fn new(bytes_max: usize, totals: Arc<Totals>) -> Self {
        Self { bytes_max, held: Rc::new(Held { bytes: Cell::new(0), totals }), waiting: VecDeque::new() }
    }

    /// Whether one more event may be collected.
    pub(crate) fn has_room(&self) -> bool {
        let bytes = self.held.bytes.get();
        bytes == 0 || bytes < self.bytes_max
    }

    /// Whether this connection may collect now; it waits if it may not.
    pub(crate) fn may_collect(&mut self, key: usize, turn: &mut Turn) -> bool {
        if self.has_room() && (*turn == Turn::Called || self.waiting.is_empty()) {
            *turn = Turn::Free;
            return true;
        }
        match std::mem::replace(turn, Turn::Waits) {
            Turn::Free => self.waiting.push_back(key),
            Turn::Waits => {}
            Turn::Called => self.waiting.push_front(key),
        }
        false
    }

    /// Whether somebody waits who need not.
    pub(crate) fn is_due(&self) -> bool {
        self.has_room() && !self.waiting.is_empty()
    }

    /// Who has waited longest, if there is room.
    pub(crate) fn call(&mut self) -> Option<usize> {
        if self.has_room() { self.waiting.pop_front() } else { None }
    }

    /// Whether what a connection holds is wanted by others, and has been held for `limit`.
    pub(crate) fn is_overdue(&self, charge: Option<&Charge>, now: Tick, limit: Duration) -> bool {
        let is_wanted = !self.has_room() && !self.waiting.is_empty();
        is_wanted && charge.is_some_and(|charge| clock::duration(now.saturating_sub(charge.since)) >= limit)
    }

    /// Notes that a connection has collected so many bytes more.
    pub(crate) fn charge(&self, charge: &mut Option<Charge>, bytes: usize, now: Tick) {
        charge.get_or_insert_with(|| Charge { held: self.held.clone(), bytes: 0, since: now }).bytes += bytes;
        self.held.bytes.set(self.held.bytes.get() + bytes);
        self.held.totals.collected_bytes.fetch_add(bytes, Relaxed);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.held.bytes.set(self.held.bytes.get() - self.bytes);
        self.held.totals.collected_bytes.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_it_spent_waits_in_order_and_one_event_always_fits() {
        let mut collected = Collected::new(10, Totals::new());
        let mut turns = [Turn::Free; 4];
        let mut charge = None;
        assert!(collected.may_collect(0, &mut turns[0]));
        collected.charge(&mut charge, 1_000, 0);
        for key in [2, 1, 2] {
            assert!(!collected.may_collect(key, &mut turns[key]));
        }
        assert_eq!((collected.is_due(), collected.call()), (false, None));
        drop(charge);
        assert!(collected.is_due());
        // Not before those who waited.
        assert!(!collected.may_collect(3, &mut turns[3]));
        for key in [2, 1, 3] {
            assert_eq!(collected.call(), Some(key));
            turns[key] = Turn::Called;
            assert!(collected.may_collect(key, &mut turns[key]));
        }
        assert!(!collected.is_due());
    }

    #[test]
    fn who_was_called_and_finds_it_spent_again_stays_first() {
        let mut collected = Collected::new(10, Totals::new());
        let (mut first, mut second, mut charge) = (Turn::Free, Turn::Free, None);
        collected.charge(&mut charge, 10, 0);
        assert!(!collected.may_collect(1, &mut first) && !collected.may_collect(2, &mut second));
        charge = None;
        assert_eq!(collected.call(), Some(1));
        first = Turn::Called;
        collected.charge(&mut charge, 10, 0);
        assert!(!collected.may_collect(1, &mut first));
        drop(charge);
        assert_eq!(collected.call(), Some(1));
    }

    #[test]
    fn who_holds_something_for_long_is_overdue_only_while_others_wait_for_it() {
        let mut collected = Collected::new(10, Totals::new());
        let (mut charge, mut turn) = (None, Turn::Free);
        let (limit, begun) = (Duration::from_secs(30), 100);
        let later = begun + clock::ticks(limit);
        collected.charge(&mut charge, 5, begun);
        collected.charge(&mut charge, 5, later);
        assert!(!collected.is_overdue(charge.as_ref(), later, limit));
        assert!(!collected.may_collect(1, &mut turn));
        assert!(!collected.is_overdue(charge.as_ref(), later - 1, limit));
        assert!(collected.is_overdue(charge.as_ref(), later, limit));
        assert!(!collected.is_overdue(None, later, limit));
    }
}
