//! Ends a stream when its time is over, its client takes nothing or its server shuts down, from a task of its own: the body is asked
//! for more only while the client takes bytes.
//!
//! The task looks now and then, and costs an event nothing but a note of the time. Outside a tokio runtime there is none, and
//! nothing ends, but where `blocking` looks in its place.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use fanfare_wire::Frame;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::life::Life;
use crate::shutdown::END_WITHIN;
use crate::sse::WRITE_DEADLINE;
use crate::{Closed, Shutdown};

/// What ends a stream that would go on.
pub(crate) struct Limits {
    lifetime: Option<Duration>,
    write_deadline: Option<Duration>,
    leave: Option<Leave>,
    /// Whether somebody has set one of them.
    are_own: bool,
    serving: Serving,
    has_begun: bool,
    /// Who sees to it.
    watch: Option<Watch>,
}

/// With what a stream ends, and how.
#[derive(Clone)]
struct Leave {
    shutdown: Shutdown,
    finishes_first: bool,
}

impl Limits {
    pub(crate) fn set_lifetime(&mut self, lifetime: Duration) {
        (self.lifetime, self.are_own) = (Some(lifetime), true);
    }

    pub(crate) fn set_write_deadline(&mut self, deadline: Option<Duration>) {
        (self.write_deadline, self.are_own) = (deadline, true);
    }

    pub(crate) fn set_shutdown(&mut self, shutdown: Shutdown, finishes_first: bool) {
        (self.leave, self.are_own) = (Some(Leave { shutdown, finishes_first }), true);
    }

    pub(crate) fn are_own(&self) -> bool {
        self.are_own
    }

    /// Notes that the server asks for more; the first time is the stream's beginning. If it is time to leave, there are last
    /// frames for it.
    pub(crate) fn asked(&mut self, life: &Life) -> Option<[Option<Frame>; 2]> {
        let is_leaving = {
            let mut serving = self.serving.state();
            serving.unasked_since = None;
            serving.is_leaving
        };
        if !std::mem::replace(&mut self.has_begun, true) {
            self.watch = self.begin(life);
        }
        let leave = self.leave.as_ref().filter(|_| is_leaving)?;
        Some(leave.shutdown.farewell())
    }

    /// Notes that the server has got something.
    pub(crate) fn handed_out(&self) {
        if self.write_deadline.is_some() {
            self.serving.state().unasked_since = Some(Instant::now());
        }
    }

    fn begin(&self, life: &Life) -> Option<Watch> {
        if self.lifetime.is_none() && self.write_deadline.is_none() && self.leave.is_none() {
            return None;
        }
        let runtime = Handle::try_current().ok()?;
        Some(Watch(runtime.spawn(self.ends().watch(life.clone())).abort_handle()))
    }

    fn ends(&self) -> Ends {
        Ends {
            over: self.lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime)),
            write_deadline: self.write_deadline,
            leave: self.leave.clone(),
            leaves: Leaves::NotYet,
            serving: self.serving.clone(),
        }
    }

    /// Begins the stream for whoever looks after it in a task's place, and writes it: what ends it, and the write deadline.
    #[cfg(feature = "blocking")]
    pub(crate) fn take_over(&mut self) -> (Ends, Option<Duration>) {
        self.has_begun = true;
        let write_deadline = self.write_deadline.take();
        (self.ends(), write_deadline)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lifetime: None,
            write_deadline: Some(WRITE_DEADLINE),
            leave: None,
            are_own: false,
            serving: Serving::default(),
            has_begun: false,
            watch: None,
        }
    }
}

/// How the body and the task that watches over it stand.
#[derive(Clone, Default)]
struct Serving(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Since when the server has not come back for more; `None` while it waits for us.
    unasked_since: Option<Instant>,
    /// Whether the farewell is what comes next.
    is_leaving: bool,
}

impl Serving {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a stream ends that has begun.
pub(crate) struct Ends {
    over: Option<Instant>,
    /// How long the server may take to come back.
    write_deadline: Option<Duration>,
    leave: Option<Leave>,
    leaves: Leaves,
    serving: Serving,
}

/// When a stream leaves.
#[derive(Clone, Copy)]
enum Leaves {
    NotYet,
    At(Instant),
    /// It has been told, and is not waited for any longer than this.
    Told(Instant),
}

impl Ends {
    async fn watch(mut self, life: Life) {
        loop {
            match self.look(Instant::now(), &life) {
                Err(why) => return life.end_because(why),
                Ok(look_again) => self.wait(look_again).await,
            }
            if life.is_over() {
                return;
            }
        }
    }

    /// As [`look`](Self::look), by the clock.
    #[cfg(feature = "blocking")]
    pub(crate) fn look_now(&mut self, life: &Life) -> Result<Option<std::time::Instant>, Closed> {
        self.look(Instant::now(), life).map(|again| again.map(Instant::into_std))
    }

    /// When to look again, if ever, or why the stream is over.
    fn look(&mut self, now: Instant, life: &Life) -> Result<Option<Instant>, Closed> {
        if self.over.is_some_and(|over| over <= now) {
            return Err(Closed::Expired);
        }
        let unasked_since = self.serving.state().unasked_since;
        // Who is handed something right after this is looked at before its time is over, and then in time.
        let patience =
            self.write_deadline.and_then(|deadline| unasked_since.unwrap_or(now).checked_add(deadline));
        if unasked_since.is_some() && patience.is_some_and(|patience| patience <= now) {
            return Err(Closed::WriteDeadline);
        }
        if let (Leaves::NotYet, Some(leave)) = (self.leaves, &self.leave) {
            self.leaves = leave.moment().map_or(Leaves::NotYet, Leaves::At);
        }
        let leaves = match self.leaves {
            Leaves::NotYet => None,
            Leaves::At(at) if at <= now => {
                self.serving.state().is_leaving = true;
                life.wake_server();
                self.leaves = Leaves::Told(now + END_WITHIN);
                Some(now + END_WITHIN)
            }
            Leaves::Told(until) if until <= now => return Err(Closed::Shutdown),
            Leaves::At(at) | Leaves::Told(at) => Some(at),
        };
        Ok(self.over.into_iter().chain(patience).chain(leaves).min())
    }

    /// Waits until the shutdown begins, if there is one.
    #[cfg(feature = "blocking")]
    pub(crate) fn begun(&self) -> Option<impl Future<Output = ()> + use<>> {
        self.leave.as_ref().map(|leave| leave.shutdown.clone().begun())
    }

    /// Waits until then, or until the shutdown begins.
    async fn wait(&self, look_again: Option<Instant>) {
        let time = async {
            match look_again {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        match (&self.leave, self.leaves) {
            (Some(leave), Leaves::NotYet) => {
                let (mut time, mut begun) = (pin!(time), pin!(leave.shutdown.clone().begun()));
                poll_fn(|cx| match begun.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(()),
                    Poll::Pending => time.as_mut().poll(cx),
                })
                .await;
            }
            _ => time.await,
        }
    }
}

impl Leave {
    /// When the stream leaves, if the shutdown has begun.
    fn moment(&self) -> Option<Instant> {
        if self.finishes_first { self.shutdown.finished_by() } else { self.shutdown.draw_moment() }
    }
}

/// The task that watches, until the stream's owner drops it.
struct Watch(AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}
