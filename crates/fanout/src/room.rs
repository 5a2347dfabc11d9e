//! One hub as a worker sees it: its crowd of members here, and whose turn it is.

use fanfare_hub::{Crowd, Hub, Member, Subscription};
use slab::Slab;

use crate::connection::Connection;
use crate::rounds::Rounds;

pub(crate) struct Room {
    pub(crate) crowd: Crowd,
    pub(crate) rounds: Rounds,
    /// Room for the groups that have news, kept between two looks.
    news: Vec<u32>,
    /// How many connections belong here, members or not.
    pub(crate) connections: usize,
}

impl Room {
    pub(crate) fn new(crowd: Crowd) -> Self {
        Self { crowd, rounds: Rounds::default(), news: Vec::new(), connections: 0 }
    }

    pub(crate) fn is_of(&self, hub: &Hub) -> bool {
        self.crowd.hub().is_same(hub)
    }

    /// Hears what the hub has, and notes whose turn it therefore is.
    pub(crate) fn hear(&mut self) {
        self.crowd.news(&mut self.news);
        for &group in &self.news {
            self.rounds.news(group);
        }
    }

    /// Lets a connection's subscription read with the crowd, if it can go on from memory; gives it back otherwise.
    pub(crate) fn admit(
        &mut self,
        connections: &mut Slab<Connection>,
        key: usize,
        subscription: Subscription,
    ) -> Option<Subscription> {
        match self.crowd.admit(subscription) {
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
