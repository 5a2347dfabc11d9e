//! Runs a future that nobody waits for, in whichever thread wakes it.
//!
//! It is for what is left to be done when the one who would wait is gone. It needs no runtime, so the future has to be one that is
//! soon ready and blocks nobody: whoever wakes it runs it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use crate::sync::{Mutex, lock};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Begins at once.
pub(crate) fn run(work: impl Future<Output = ()> + Send + 'static) {
    Arc::new(Detached(Mutex::new(State { work: Some(Box::pin(work)), is_woken: false }))).wake();
}

struct Detached(Mutex<State>);

struct State {
    /// `None` while it runs, and when it is done.
    work: Option<Work>,
    /// Whether it was woken since it began to run.
    is_woken: bool,
}

impl Wake for Detached {
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(self.clone());
        loop {
            let Some(mut work) = self.take() else { return };
            if work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() || !self.put_back(work) {
                return;
            }
        }
    }
}

impl Detached {
    /// Takes the work to run it, unless another one does so: that one is told to go on.
    fn take(&self) -> Option<Work> {
        let mut state = lock(&self.0);
        state.is_woken = state.work.is_none();
        state.work.take()
    }

    /// Whether to run it again: it was woken meanwhile.
    fn put_back(&self, work: Work) -> bool {
        let mut state = lock(&self.0);
        state.work = Some(work);
        state.is_woken
    }
}
