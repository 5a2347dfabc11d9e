//! Those who wait for the log itself, and not for an entry of theirs: until it has got somewhere, or is another one.
//!
//! Who stops waiting leaves nothing behind.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use crate::Position;
use crate::feed::{Feed, State};

/// The doorbells of those who wait, by a number that is never given twice.
#[derive(Default)]
pub(crate) struct Arrivals {
    bells: BTreeMap<u64, Waker>,
    given: u64,
}

impl Arrivals {
    /// Moves all doorbells to `rung`.
    pub(crate) fn ring(&mut self, rung: &mut Vec<Waker>) {
        rung.extend(std::mem::take(&mut self.bells).into_values());
    }

    /// Hangs a doorbell under the number given before, or under a new one. Returns the one that hung there.
    fn hang(&mut self, number: &mut Option<u64>, waker: &Waker) -> Option<Waker> {
        let number = *number.get_or_insert_with(|| {
            self.given += 1;
            self.given
        });
        self.bells.insert(number, waker.clone())
    }
}

/// How a wait for a position ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// The log has got there, or the hub was closed and it never will.
    There,
    /// The log is another one: that of this epoch.
    Not(u32),
}

impl Feed {
    /// Waits until the log in memory has reached `next` of `epoch`.
    pub(crate) async fn reached(&self, epoch: u32, next: Position) -> Reached {
        self.arrival(|state| match &state.log {
            _ if state.closed => Some(Reached::There),
            Some(log) if log.epoch() != epoch => Some(Reached::Not(log.epoch())),
            Some(log) if log.next() >= next => Some(Reached::There),
            _ => None,
        })
        .await
    }

    /// Waits until the log in memory is not the one of `epoch`, or the hub is closed.
    pub(crate) async fn left(&self, epoch: u32) {
        self.arrival(|state| {
            let is_same = state.log.as_ref().is_some_and(|log| log.epoch() == epoch);
            (state.closed || !is_same).then_some(())
        })
        .await;
    }

    async fn arrival<T>(&self, ready: impl Fn(&State) -> Option<T>) -> T {
        let mut place = Place { feed: self, number: None };
        poll_fn(|context| place.poll(context, &ready)).await
    }
}

/// A place in the queue of those who wait, given back when dropped.
struct Place<'a> {
    feed: &'a Feed,
    number: Option<u64>,
}

impl Place<'_> {
    fn poll<T>(&mut self, context: &Context<'_>, ready: impl Fn(&State) -> Option<T>) -> Poll<T> {
        // Declared before the lock, so dropped after it: see `Feed::step`.
        let _replaced: Option<Waker>;
        let mut state = self.feed.lock();
        if let Some(value) = ready(&state) {
            return Poll::Ready(value);
        }
        _replaced = state.arrivals.hang(&mut self.number, context.waker());
        Poll::Pending
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let bell = self.feed.lock().arrivals.bells.remove(&number);
        // Outside the lock: see `Feed::step`.
        drop(bell);
    }
}
