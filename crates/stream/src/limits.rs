//! Ends a stream when its time is over, or its client takes nothing, from a task of its own: the body is asked for more only while
//! the client takes bytes.
//!
//! The task looks now and then, and costs an event nothing but a note of the time. Outside a tokio runtime there is none, and
//! nothing ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::Closed;
use crate::life::Life;

/// How long a client may take nothing, unless something else is said.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// What ends a stream that would go on.
pub(crate) struct Limits {
    lifetime: Option<Duration>,
    write_deadline: Option<Duration>,
    /// Whether somebody has set one of them.
    are_own: bool,
    unasked: Unasked,
    has_begun: bool,
    /// Who sees to it.
    watch: Option<Watch>,
}

impl Limits {
    pub(crate) fn set_lifetime(&mut self, lifetime: Duration) {
        (self.lifetime, self.are_own) = (Some(lifetime), true);
    }

    pub(crate) fn set_write_deadline(&mut self, deadline: Option<Duration>) {
        (self.write_deadline, self.are_own) = (deadline, true);
    }

    pub(crate) fn are_own(&self) -> bool {
        self.are_own
    }

    /// Notes that the server asks for more; the first time is the stream's beginning.
    pub(crate) fn asked(&mut self, life: &Life) {
        self.unasked.set(None);
        if !std::mem::replace(&mut self.has_begun, true) {
            self.watch = self.begin(life);
        }
    }

    /// Notes that the server has got something.
    pub(crate) fn handed_out(&self) {
        if self.write_deadline.is_some() {
            self.unasked.set(Some(Instant::now()));
        }
    }

    fn begin(&self, life: &Life) -> Option<Watch> {
        if self.lifetime.is_none() && self.write_deadline.is_none() {
            return None;
        }
        let runtime = Handle::try_current().ok()?;
        let over = self.lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime));
        let ends = Ends { over, write_deadline: self.write_deadline, unasked: self.unasked.clone() };
        Some(Watch(runtime.spawn(ends.watch(life.clone())).abort_handle()))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lifetime: None,
            write_deadline: Some(WRITE_DEADLINE),
            are_own: false,
            unasked: Unasked::default(),
            has_begun: false,
            watch: None,
        }
    }
}

/// Since when the server has not come back for more; `None` while it waits for us.
#[derive(Clone, Default)]
struct Unasked(Arc<Mutex<Option<Instant>>>);

impl Unasked {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a stream ends that has begun.
struct Ends {
    over: Option<Instant>,
    /// How long the server may take to come back.
    write_deadline: Option<Duration>,
    unasked: Unasked,
}

impl Ends {
    async fn watch(self, life: Life) {
        loop {
            match self.look(Instant::now()) {
                Err(why) => return life.end_because(why),
                Ok(None) => return,
                Ok(Some(look_again)) => sleep_until(look_again).await,
            }
            if life.is_over() {
                return;
            }
        }
    }

    /// When to look again, if ever, or why the stream is over.
    fn look(&self, now: Instant) -> Result<Option<Instant>, Closed> {
        if self.over.is_some_and(|over| over <= now) {
            return Err(Closed::Expired);
        }
        // Who is handed something right after this is looked at before its time is over, and then in time.
        let since = self.unasked.since().unwrap_or(now);
        let patience = self.write_deadline.and_then(|deadline| since.checked_add(deadline));
        if self.unasked.since().is_some() && patience.is_some_and(|patience| patience <= now) {
            return Err(Closed::WriteDeadline);
        }
        Ok(self.over.into_iter().chain(patience).min())
    }
}

/// The task that watches, until the stream's owner drops it.
struct Watch(AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}
