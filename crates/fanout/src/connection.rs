//! All that is kept for one connection.
//!
//! An idle one is this struct and nothing else: no buffer, no task, no timer.

use std::rc::Rc;
use std::time::Duration;

use fanfare_hub::{Form, Member, Subscription, SubscriptionKey};
use fanfare_wire::{Frame, Sum};
use mio::net::TcpStream;

use crate::clock::{Clock, Tick, WallSecond};
use crate::collected::{Charge, Turn};
use crate::rounds::{Link, Linked};
use crate::{Client, Ended};

pub(crate) struct Connection {
    pub(crate) socket: TcpStream,
    /// Its place in the crowd of `room`; none while `aside` has its subscription.
    pub(crate) member: Option<Member>,
    /// What is rare: bytes that have to be written before anything else, a subscription that is not in memory.
    pub(crate) aside: Option<Box<Aside>>,
    pub(crate) keep_alive: Option<Rc<KeepAlive>>,
    /// Dropped with the rest.
    pub(crate) client: Option<Box<Client>>,
    pub(crate) room: u32,
    pub(crate) link: Link,
    pub(crate) since: Tick,
    /// When the client last took bytes, or was last offered some.
    pub(crate) progress_at: Tick,
    /// When it ends.
    pub(crate) ends_at: Tick,
    /// When it ends at the latest, by the wall clock.
    pub(crate) expires_at: WallSecond,
    /// How many bytes the client has sent.
    pub(crate) input: u32,
    pub(crate) form: Form,
    /// What was put into its body so far, and is owed or was written.
    pub(crate) sum: Sum,
    pub(crate) state: State,
}

/// What is true of a connection at the moment.
#[derive(Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools)] // They are independent of each other.
pub(crate) struct State {
    /// The socket took less than it was offered; it says so when it takes more.
    pub(crate) full: bool,
    /// It was asked once more without having said so, before it is given up.
    pub(crate) asked_again: bool,
    /// It stands in the queue of those who are ready.
    pub(crate) queued: bool,
    /// It is part of the batch that is being written.
    pub(crate) in_batch: bool,
    /// A keep-alive is due.
    pub(crate) quiet: bool,
    /// It ends at the next place between two events, because of a drain.
    pub(crate) leaving: bool,
    /// `ends_at` is the drain's, and not the end of what the client may read.
    pub(crate) drained: bool,
    /// It ends because the hub has ended its subscription.
    pub(crate) by_hub: bool,
}

/// When a quiet stream gets what.
#[derive(PartialEq, Eq)]
pub(crate) struct KeepAlive {
    pub(crate) after: Duration,
    pub(crate) frame: Frame,
}

/// What most connections do not have.
#[derive(Default)]
pub(crate) struct Aside {
    /// To be written before anything else.
    pub(crate) owed: Vec<u8>,
    /// How much of `owed` was.
    pub(crate) written: usize,
    /// What it reads from, if it is no member of a crowd.
    pub(crate) subscription: Option<Subscription>,
    /// Whether it ends once nothing is owed.
    pub(crate) last_words: bool,
    /// What of `owed` was collected from the subscription.
    pub(crate) charge: Option<Charge>,
    /// Whether it waits for room to collect.
    pub(crate) turn: Turn,
}

impl Connection {
    /// How it ends once its last words are written.
    pub(crate) fn ending(&self) -> Ended {
        match self.state {
            State { by_hub: true, .. } => Ended::ByHub,
            State { drained: true, .. } => Ended::Drained,
            _ => Ended::Expired,
        }
    }

    /// Whether its time is over, by either clock.
    pub(crate) fn is_over(&self, clock: &Clock) -> bool {
        clock.now() >= self.ends_at || clock.wall() >= self.expires_at
    }

    /// What tells its subscription from the others of its hub, if it is told from them.
    pub(crate) fn subscription(&self) -> Option<SubscriptionKey> {
        let aside = self.aside.as_ref().and_then(|aside| aside.subscription.as_ref());
        self.member.as_ref().and_then(Member::key).or_else(|| aside.and_then(Subscription::key))
    }

    /// Whether it can be written to from the hub's log.
    pub(crate) fn takes_events(&self) -> bool {
        !self.state.full && !self.state.in_batch && self.aside.is_none()
    }
}

impl Linked for Connection {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn queued(&mut self) -> &mut bool {
        &mut self.state.queued
    }
}

impl Aside {
    /// Puts bytes behind those that are owed already.
    pub(crate) fn owe(&mut self, bytes: &[u8]) {
        self.forget_written();
        self.owed.extend_from_slice(bytes);
    }

    /// Puts a frame behind what is owed already; gives how many bytes it takes there.
    pub(crate) fn owe_frame(&mut self, frame: &Frame, form: Form, sum: &mut Sum) -> usize {
        self.forget_written();
        let before = self.owed.len();
        form.put(frame, sum, &mut self.owed);
        self.owed.len() - before
    }

    fn forget_written(&mut self) {
        if self.written == self.owed.len() {
            self.owed.clear();
            self.written = 0;
        }
    }

    /// Ends the body behind what is owed; with it written, the connection ends.
    pub(crate) fn owe_end(&mut self, form: Form, sum: Sum) {
        self.forget_written();
        form.end(sum, &mut self.owed);
        self.last_words = true;
    }

    /// Notes that so many bytes more were written. What was collected is given back when all of it was.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self.rest().is_empty() && self.charge.take().is_some() {
            (self.owed, self.written) = (Vec::new(), 0);
        }
    }

    pub(crate) fn rest(&self) -> &[u8] {
        &self.owed[self.written..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection>() <= 144, "{} bytes", size_of::<Connection>());
    }
}
