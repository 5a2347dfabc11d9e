//! Decides what the disk commits together: a clock that the committer waits at.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use fanfare_hub::Clock;

/// A clock that stands still but when something is committed by it.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    is_shut: bool,
    is_waited_at: bool,
    seconds: u64,
}

impl Gate {
    /// Hands in what is committed first, and then, before that is committed, what comes in one group behind it.
    pub fn hand_in<T, U>(&self, first: impl FnOnce() -> T, together: impl FnOnce() -> U) -> (T, U) {
        self.lock().is_shut = true;
        let first = first();
        drop(self.news().wait_while(self.lock(), |state| !state.is_waited_at).expect("no panic"));
        let together = together();
        let mut state = self.lock();
        // What is committed next is of another time.
        *state = State { seconds: state.seconds + 1, ..State::default() };
        self.news().notify_all();
        (first, together)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().expect("no panic")
    }

    fn news(&self) -> &Condvar {
        &self.0.1
    }
}

impl Clock for Gate {
    fn now(&self) -> SystemTime {
        let mut state = self.lock();
        state.is_waited_at = state.is_shut;
        self.news().notify_all();
        let state = self.news().wait_while(state, |state| state.is_shut).expect("no panic");
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + state.seconds)
    }
}
