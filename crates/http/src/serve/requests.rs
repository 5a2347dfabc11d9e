//! The requests of an HTTP/2 connection that are being answered: so that it can be closed when it has had none for a while, and
//! an answer be ended of which the client takes nothing.
//!
//! It closes nothing itself. A request counts until the last byte of its answer has left hyper, or was waited for in vain: what
//! the library of HTTP/2 has in full can be ended with the connection alone, which it must not keep then.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long to wait at least before all are looked at again.
const LOOK_AFTER: Duration = Duration::from_millis(1);

/// The requests of one connection.
pub(crate) struct Requests(Mutex<State>);

struct State {
    /// By their numbers, in the order in which they came.
    open: BTreeMap<u64, Answer>,
    /// How many there have been.
    begun: u64,
    /// When the last one went, or the connection began.
    idle_since: Instant,
}

/// How it stands with the answer to a request.
#[derive(Default)]
struct Answer {
    /// What ends it, if it is to be taken in time.
    cut: Option<CancellationToken>,
    /// Since when some of it has waited without any being taken.
    untaken_since: Option<Instant>,
}

/// A request that is being answered, until this is dropped.
pub(crate) struct Open {
    requests: Arc<Requests>,
    number: u64,
}

impl Requests {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { open: BTreeMap::new(), begun: 0, idle_since: Instant::now() })))
    }

    pub(crate) fn begin(self: &Arc<Self>) -> Open {
        let mut state = self.state();
        state.begun += 1;
        let number = state.begun;
        state.open.insert(number, Answer::default());
        drop(state);
        Open { requests: self.clone(), number }
    }

    /// Since when there is none.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        state.open.is_empty().then_some(state.idle_since)
    }

    /// Ends answers of which the client takes nothing for so long, and counts them no more.
    pub(crate) async fn hurry(&self, patience: Duration) -> Infallible {
        let mut again = patience;
        loop {
            tokio::time::sleep(again.max(LOOK_AFTER)).await;
            again = self.give_up(patience);
        }
    }

    /// Says when there may be the next one to give up.
    fn give_up(&self, patience: Duration) -> Duration {
        let now = Instant::now();
        let (mut untaken, mut again) = (Vec::new(), patience);
        let mut state = self.state();
        state.open.retain(|_, answer| {
            let (Some(cut), Some(since)) = (&answer.cut, answer.untaken_since) else { return true };
            let left = patience.saturating_sub(now - since);
            if left.is_zero() {
                untaken.push(cut.clone());
                return false;
            }
            again = again.min(left);
            true
        });
        if !untaken.is_empty() {
            state.idle_since = now;
        }
        drop(state);
        // Whoever is woken may come back here.
        untaken.iter().for_each(CancellationToken::cancel);
        again
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Has `cut` cancelled when the client takes nothing of the answer for too long.
    pub(crate) fn is_to_be_taken(&self, cut: CancellationToken) {
        self.with(|answer| answer.cut = Some(cut));
    }

    /// Notes that some of the answer waits from now on, or that of what waits the client has just taken some.
    pub(crate) fn waits(&self) {
        self.with(|answer| answer.untaken_since = Some(Instant::now()));
    }

    /// Notes that nothing of the answer waits.
    pub(crate) fn was_taken(&self) {
        self.with(|answer| answer.untaken_since = None);
    }

    fn with(&self, change: impl FnOnce(&mut Answer)) {
        // One that was given up is not there any more.
        if let Some(answer) = self.requests.state().open.get_mut(&self.number) {
            change(answer);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.requests.state();
        state.open.remove(&self.number);
        state.idle_since = Instant::now();
    }
}
