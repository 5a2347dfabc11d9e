//! What many threads hand in and one takes out, all of it at once.
//!
//! It is bounded by bytes: who hands in more is told so and waits for nobody.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    news: Condvar,
    bytes_max: usize,
}

struct State<T> {
    items: Vec<T>,
    bytes: usize,
    is_closed: bool,
}

/// What was in the queue.
pub(super) struct Taken<T> {
    pub(super) items: Vec<T>,
    /// Nothing will come any more.
    pub(super) is_closed: bool,
}

/// Why something was not taken in, which is given back.
pub(super) enum Refused<T> {
    Full(T),
    Closed(T),
}

impl<T> Queue<T> {
    pub(super) fn new(bytes_max: usize) -> Self {
        let state = State { items: Vec::new(), bytes: 0, is_closed: false };
        Self { state: Mutex::new(state), news: Condvar::new(), bytes_max }
    }

    /// Hands something in that counts as so many bytes. One item always fits.
    pub(super) fn put(&self, item: T, bytes: usize) -> Result<(), Refused<T>> {
        let was_empty = {
            let mut state = self.lock();
            if state.is_closed {
                return Err(Refused::Closed(item));
            }
            if state.bytes.saturating_add(bytes) > self.bytes_max && !state.items.is_empty() {
                return Err(Refused::Full(item));
            }
            state.bytes += bytes;
            state.items.push(item);
            state.items.len() == 1
        };
        if was_empty {
            self.news.notify_one();
        }
        Ok(())
    }

    /// Takes all there is; waits for something, but not longer than `most`.
    pub(super) fn take(&self, most: Duration) -> Taken<T> {
        let state = self.lock();
        let waits = |state: &mut State<T>| state.items.is_empty() && !state.is_closed;
        let (mut state, _) =
            self.news.wait_timeout_while(state, most, waits).unwrap_or_else(PoisonError::into_inner);
        state.bytes = 0;
        Taken { items: std::mem::take(&mut state.items), is_closed: state.is_closed }
    }

    /// Takes nothing in any more.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.news.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_given_back_and_one_always_fits() {
        let queue = Queue::new(10);
        assert!(queue.put(1, 100).is_ok());
        assert!(matches!(queue.put(2, 1), Err(Refused::Full(2))));
        assert_eq!(queue.take(Duration::ZERO).items, [1]);
        assert!(queue.put(3, 1).is_ok());
    }

    #[test]
    fn a_closed_queue_still_gives_what_is_in_it() {
        let queue = Queue::new(10);
        assert!(queue.put(1, 1).is_ok());
        queue.close();
        assert!(matches!(queue.put(2, 1), Err(Refused::Closed(2))));
        let taken = queue.take(Duration::MAX);
        assert!(taken.is_closed && taken.items == [1]);
        assert!(queue.take(Duration::MAX).is_closed);
    }
}
