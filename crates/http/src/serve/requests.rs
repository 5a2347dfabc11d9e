//! Counts the requests of a connection that are being answered, so that one can be closed that has had none for a while.
//!
//! It closes nothing itself. A request counts until the last byte of its answer has left hyper.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// The requests of one connection.
pub(crate) struct Requests(Mutex<State>);

struct State {
    open: usize,
    /// When the last one went, or the connection began.
    idle_since: Instant,
}

/// A request that is being answered, until this is dropped.
pub(crate) struct Open(Arc<Requests>);

impl Requests {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { open: 0, idle_since: Instant::now() })))
    }

    pub(crate) fn begin(self: &Arc<Self>) -> Open {
        self.state().open += 1;
        Open(self.clone())
    }

    /// Since when there is none.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.open == 0).then_some(state.idle_since)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open -= 1;
        state.idle_since = Instant::now();
    }
}
