//! The connections that are not plainly members of a crowd: bytes that go first, and subscriptions that have to be asked
//! themselves, because they resume from further back than memory reaches or have a gap to tell.
//!
//! Each goes back to the crowd as soon as it can.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::clock;
use crate::collected::Turn;
use crate::connection::Aside;
use crate::inbox::Command;
use crate::socket::{self, Wrote};
use crate::worker::Worker;
use crate::{Ended, bell};

/// How many bytes are collected from a subscription before they are written.
const COLLECTED_BYTES: usize = 64 * 1024;
/// How often one connection is written to before others have their turn.
const TURNS: usize = 16;
/// How many of those who waited to collect are called before everything else is looked at again.
const CALLS: usize = 128;

/// Where a connection stands after one step.
enum Tended {
    /// Something else may be due at once.
    GoOn,
    /// The socket, or the subscription, says when to go on; or nothing is left to do.
    Rest,
}

impl Worker {
    /// Writes what goes first, then asks the subscription, until one of them has to be waited for.
    pub(crate) fn tend(&mut self, key: usize) {
        for _ in 0..TURNS {
            let Some(connection) = self.connections.get_mut(key) else { return };
            let Some(aside) = &connection.aside else { return };
            if connection.state.full {
                return;
            }
            let tended = if !aside.rest().is_empty() {
                self.write_owed(key)
            } else if aside.last_words {
                let how = connection.ending();
                return self.end(key, how);
            } else if connection.state.leaving {
                return self.farewell(key);
            } else if connection.is_over(&self.clock) {
                return self.time_is_over(key);
            } else {
                self.ask(key)
            };
            if matches!(tended, Tended::Rest) {
                return;
            }
        }
        // Nobody but this worker takes it out, so it is there to be put into.
        let _ = self.inbox.put(Command::Tend { key });
    }

    fn write_owed(&mut self, key: usize) -> Tended {
        let connection = &mut self.connections[key];
        let Some(aside) = &mut connection.aside else { return Tended::Rest };
        match socket::write(&connection.socket, aside.rest()) {
            Wrote::Bytes(written) => {
                aside.wrote(written);
                connection.progress_at = self.clock.now();
                connection.state.asked_again = false;
                if !aside.rest().is_empty() {
                    self.is_full(key);
                    return Tended::Rest;
                }
            }
            Wrote::Full => {
                self.is_full(key);
                return Tended::Rest;
            }
            Wrote::Again => {}
            Wrote::Gone(how) => {
                self.end(key, how);
                return Tended::Rest;
            }
        }
        Tended::GoOn
    }

    /// Goes back to the crowd, or collects what the subscription has.
    fn ask(&mut self, key: usize) -> Tended {
        let connection = &mut self.connections[key];
        let Some(aside) = &mut connection.aside else { return Tended::Rest };
        let Some(mut subscription) = aside.subscription.take() else {
            connection.aside = None;
            self.make_ready(key);
            return Tended::Rest;
        };
        let waker = bell::of_subscription(&self.inbox, key);
        let mut context = Context::from_waker(&waker);
        loop {
            let Some(room) = self.rooms.get_mut(self.connections[key].room as usize) else {
                return Tended::Rest;
            };
            // What was collected goes out before anything the crowd has.
            let has_collected =
                self.connections[key].aside.as_ref().is_some_and(|aside| !aside.rest().is_empty());
            if !has_collected {
                match room.admit(&mut self.connections, key, subscription) {
                    None => {
                        self.connections[key].aside = None;
                        return Tended::Rest;
                    }
                    Some(back) => subscription = back,
                }
                let Some(aside) = &mut self.connections[key].aside else { return Tended::Rest };
                if !self.collected.may_collect(key, &mut aside.turn) {
                    // Others may have what is kept for it meanwhile.
                    subscription.pause();
                    aside.subscription = Some(subscription);
                    return Tended::Rest;
                }
            }
            let polled = Pin::new(&mut subscription).poll_next(&mut context);
            let connection = &mut self.connections[key];
            let Some(aside) = &mut connection.aside else { return Tended::Rest };
            match polled {
                Poll::Ready(Some(Ok(delivery))) => {
                    let bytes = aside.owe_frame(&delivery.frame(), connection.form, &mut connection.sum);
                    self.collected.charge(&mut aside.charge, bytes, self.clock.now());
                    if aside.rest().len() >= COLLECTED_BYTES || !self.collected.has_room() {
                        aside.subscription = Some(subscription);
                        return Tended::GoOn;
                    }
                }
                // The client finds a clean end and comes back with its last event ID, whatever went wrong.
                Poll::Ready(Some(Err(_)) | None) => {
                    drop(subscription);
                    self.end_in_order(key);
                    return Tended::Rest;
                }
                Poll::Pending => {
                    let owes = !aside.rest().is_empty();
                    aside.subscription = Some(subscription);
                    return if owes { Tended::GoOn } else { Tended::Rest };
                }
            }
        }
    }

    /// Has those go on who waited to collect, as far as there is room.
    pub(crate) fn call_collectors(&mut self) {
        for _ in 0..CALLS {
            let Some(key) = self.collected.call() else { return };
            // Its slot may be another connection's by now, to which a look does no harm.
            let aside = self.connections.get_mut(key).and_then(|connection| connection.aside.as_mut());
            if let Some(aside) = aside.filter(|aside| aside.turn == Turn::Waits) {
                aside.turn = Turn::Called;
                self.tend(key);
            }
        }
    }

    /// Has a member go on as a subscription of its own.
    pub(crate) fn send_elsewhere(&mut self, key: usize) {
        if self.connections[key].member.as_ref().is_some_and(fanfare_hub::Member::is_mid_frame) {
            return self.cut(key, Ended::LeftBehind);
        }
        let room = self.connections[key].room as usize;
        let Some(room) = self.rooms.get_mut(room) else { return };
        let Some(member) = room.take_out(&mut self.connections, key) else { return };
        let subscription = room.crowd.release(member);
        self.connections[key].aside =
            Some(Box::new(Aside { subscription: Some(subscription), ..Aside::default() }));
        self.tend(key);
    }

    /// Sends the client away, to come back soon, and ends. Only between two events.
    pub(crate) fn farewell(&mut self, key: usize) {
        self.leave_hub(key);
        let connection = &mut self.connections[key];
        let mut aside = Aside::default();
        aside.owe_frame(&fanfare_wire::jitter::come_back(), connection.form, &mut connection.sum);
        aside.owe_end(connection.form, connection.sum);
        connection.aside = Some(Box::new(aside));
        self.tend(key);
    }

    /// What happens without anybody's doing: keep-alives, deadlines, ends.
    pub(crate) fn look_after(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let is_over = connection.is_over(&self.clock);
        let state = &mut connection.state;
        state.asked_again &= state.full;
        let idle_for = clock::duration(self.clock.since(connection.progress_at));
        let is_ending = state.leaving || connection.aside.as_ref().is_some_and(|aside| aside.last_words);
        if state.full && idle_for >= self.settings.write_timeout {
            if std::mem::replace(&mut state.asked_again, true) {
                return self.cut(key, Ended::WriteTimeout);
            }
            // The poll tells of a client only when much of what the kernel holds for it has gone, and a slow one takes long for
            // that. A write is taken before.
            return self.takes_bytes_again(key);
        }
        let charge = connection.aside.as_ref().and_then(|aside| aside.charge.as_ref());
        let patience = self.settings.write_timeout;
        if state.full && self.collected.is_overdue(charge, self.clock.now(), patience) {
            return self.cut(key, Ended::WriteTimeout);
        }
        if state.full && is_ending && idle_for >= END_WITHIN {
            let how = connection.ending();
            return self.cut(key, how);
        }
        if is_over && !is_ending {
            return self.time_is_over(key);
        }
        let is_quiet = connection.keep_alive.as_ref().is_some_and(|keep_alive| idle_for >= keep_alive.after);
        if is_quiet && !state.full && !is_ending {
            match connection.aside {
                None => {
                    state.quiet = true;
                    self.make_ready(key);
                }
                Some(_) => self.write_keep_alive(key),
            }
        }
    }

    pub(crate) fn time_is_over(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        let owes = connection.aside.as_ref().is_some_and(|aside| !aside.rest().is_empty());
        let mid_frame = connection.member.as_ref().is_some_and(fanfare_hub::Member::is_mid_frame);
        if !owes && !mid_frame && !connection.state.full {
            return self.farewell(key);
        }
        if !connection.state.drained {
            // What it would take to end in order is what may not be read any more.
            return self.cut(key, Ended::Expired);
        }
        connection.state.leaving = true;
        connection.progress_at = self.clock.now();
    }
}

/// How long a client may take none of the bytes that it is to get before it is sent away.
const END_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);
