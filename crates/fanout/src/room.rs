//! One hub as a worker sees it: its crowd of members here, and whose turn it is.

use fanfare_hub::{Crowd, Hub, Member, Subscription};
use slab::Slab;

use crate::connection::Connection;
use crate::rounds::Rounds;

/// For how many groups with news one batch passes before a room listens again.
const GROUPS_FOR_A_BATCH: usize = 256;
/// How many batches pass at most: some two thousand writes.
const REST_MAX: usize = 8;

pub(crate) struct Room {
    pub(crate) crowd: Crowd,
    pub(crate) rounds: Rounds,
    /// Room for the groups that have news, kept between two looks.
    news: Vec<u32>,
    /// How many batches pass before it listens again.
    rest: usize,
    /// It has not listened since its worker was last woken, so nobody will ring for what it would have heard.
    is_behind: bool,
    /// How many connections belong here, members or not.
    pub(crate) connections: usize,
}

impl Room {
    pub(crate) fn new(crowd: Crowd) -> Self {
        Self { crowd, rounds: Rounds::default(), news: Vec::new(), rest: 0, is_behind: false, connections: 0 }
    }

    pub(crate) fn is_of(&self, hub: &Hub) -> bool {
        self.crowd.hub().is_same(hub)
    }

    /// Hears what the hub has, and notes whose turn it therefore is. To be called before each batch.
    ///
    /// Where there was news of very many groups it lets some batches pass before it listens again, unless nobody is due:
    /// they would mostly be the same again, and have their turn with whatever has come by then.
    pub(crate) fn hear(&mut self) {
        self.is_behind = self.rest > 0 && !self.rounds.is_idle();
        if self.is_behind {
            self.rest -= 1;
            return;
        }
        self.crowd.news(&mut self.news);
        self.rest = (self.news.len() / GROUPS_FOR_A_BATCH).min(REST_MAX);
        for &group in &self.news {
            self.rounds.news(group);
        }
    }

    /// Notes that it is the turn of those who were called for themselves. To be called behind each [`hear`](Self::hear); `number` is
    /// that of this room.
    pub(crate) fn call(&mut self, connections: &mut Slab<Connection>, number: usize) {
        if self.is_behind {
            return;
        }
        for &key in self.crowd.called() {
            // Its slot may be another connection's by now.
            if connections.get(key).is_some_and(|connection| connection.room as usize == number) {
                self.rounds.ready(connections, key);
            }
        }
    }

    /// Whether nobody is due, and the bell will ring when somebody is.
    pub(crate) fn is_idle(&self) -> bool {
        self.rounds.is_idle() && !self.is_behind
    }

    /// Lets a connection's subscription read with the crowd, if it can go on from memory; gives it back otherwise.
    pub(crate) fn admit(
        &mut self,
        connections: &mut Slab<Connection>,
        key: usize,
        subscription: Subscription,
    ) -> Option<Subscription> {
        match self.crowd.admit_as(subscription, connections[key].form, key) {
            Ok(member) => {
                self.rounds.join(connections, key, member.group());
                connections[key].member = Some(member);
                self.rounds.ready(connections, key);
                None
            }
            Err(subscription) => Some(subscription),
        }
    }

    /// Takes a member out of its ring, on its way out of the crowd.
    pub(crate) fn take_out(&mut self, connections: &mut Slab<Connection>, key: usize) -> Option<Member> {
        let member = connections[key].member.take()?;
        self.rounds.leave(connections, key, member.group());
        Some(member)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::rounds::tests::table;

    #[test]
    fn a_room_that_has_not_listened_is_not_idle_although_nobody_is_due() {
        let hub = Hub::builder().build().expect("a hub");
        let mut room = Room::new(hub.crowd(Waker::noop().clone()));
        let mut connections = table(1);
        room.rounds.join(&mut connections, 0, 0);
        room.rounds.news(0);
        room.rest = 1;
        room.hear();
        while room.rounds.next(&mut connections).is_some() {}
        assert!(room.rounds.is_idle() && !room.is_idle());
        room.hear();
        assert!(room.is_idle());
    }
}
