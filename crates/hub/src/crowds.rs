//! Which crowds have members at a readership, and what news waits for each crowd.
//!
//! A publication marks a readership once for each crowd that has members there, however many those are and however
//! often it happens before the crowd looks. A pure state machine without a lock, like the router that it is part of.

use std::task::Waker;

use slab::Slab;
use smallvec::SmallVec;

use crate::interned::{self, number};

/// Everybody who reads for many: for each crowd, what it has not heard of yet.
#[derive(Default)]
pub(crate) struct Crowds(Slab<Awaited>);

struct Awaited {
    bell: Waker,
    /// Whether the bell was rung since the crowd last looked.
    rung: bool,
    /// The groups that have news, each once.
    news: Vec<u32>,
    /// Members that are to be looked at for another reason, by the numbers that their crowd gave them.
    called: Vec<usize>,
    /// The readership of each group.
    groups: Slab<usize>,
}

/// Where the crowds have members of one readership; for one crowd it needs no memory of its own.
pub(crate) type Stations = SmallVec<[Station; 1]>;

/// The members of one crowd at one readership: a *group*.
pub(crate) struct Station {
    crowd: u32,
    group: u32,
    members: u32,
    /// Whether `group` is among its crowd's news.
    has_news: bool,
}

impl Crowds {
    pub(crate) fn add(&mut self, bell: Waker) -> usize {
        let (news, called, groups) = (Vec::new(), Vec::new(), Slab::new());
        self.0.insert(Awaited { bell, rung: false, news, called, groups })
    }

    /// Returns the doorbell, to be dropped outside the lock.
    pub(crate) fn remove(&mut self, crowd: usize) -> Option<Waker> {
        self.0.try_remove(crowd).map(|awaited| awaited.bell)
    }

    /// Counts one more member of `crowd` at a readership; gives its group.
    pub(crate) fn join(&mut self, stations: &mut Stations, crowd: usize, readership: usize) -> u32 {
        if let Some(station) = stations.iter_mut().find(|station| station.crowd as usize == crowd) {
            station.members += 1;
            return station.group;
        }
        let group = number(interned::insert(&mut self.0[crowd].groups, readership));
        stations.push(Station { crowd: number(crowd), group, members: 1, has_news: false });
        group
    }

    /// Counts one member less; with its last one a group is forgotten.
    pub(crate) fn leave(&mut self, stations: &mut Stations, crowd: usize) {
        let Some(at) = stations.iter().position(|station| station.crowd as usize == crowd) else { return };
        stations[at].members -= 1;
        if stations[at].members > 0 {
            return;
        }
        let Station { group, has_news, .. } = stations.swap_remove(at);
        let awaited = &mut self.0[crowd];
        if has_news {
            // Its number may be given to another group before the crowd looks.
            awaited.news.retain(|&each| each != group);
        }
        awaited.groups.remove(group as usize);
    }

    /// Tells the crowds of `stations` that there is something to read; their doorbells go to `rung`.
    pub(crate) fn tell(&mut self, stations: &mut [Station], rung: &mut Vec<Waker>) {
        for station in stations.iter_mut().filter(|station| !station.has_news) {
            station.has_news = true;
            let awaited = &mut self.0[station.crowd as usize];
            awaited.news.push(station.group);
            awaited.ring(rung);
        }
    }

    /// Has a crowd look at one member.
    pub(crate) fn call(&mut self, crowd: usize, slot: usize, rung: &mut Vec<Waker>) {
        let Some(awaited) = self.0.get_mut(crowd) else { return };
        awaited.called.push(slot);
        awaited.ring(rung);
    }

    /// Hands over whom `crowd` is to look at, in exchange for an empty list.
    pub(crate) fn take_called(&mut self, crowd: usize, called: &mut Vec<usize>) {
        called.clear();
        std::mem::swap(&mut self.0[crowd].called, called);
    }

    /// Hands over the news of `crowd` in exchange for an empty list, and lets its bell be rung again.
    pub(crate) fn take_news(&mut self, crowd: usize, news: &mut Vec<u32>) {
        let awaited = &mut self.0[crowd];
        awaited.rung = false;
        news.clear();
        std::mem::swap(&mut awaited.news, news);
    }

    pub(crate) fn readership_of(&self, crowd: usize, group: u32) -> usize {
        self.0[crowd].groups[group as usize]
    }
}

impl Awaited {
    fn ring(&mut self, rung: &mut Vec<Waker>) {
        if !std::mem::replace(&mut self.rung, true) {
            rung.push(self.bell.clone());
        }
    }
}

impl Station {
    /// Notes that `crowd` has heard of the news here.
    pub(crate) fn heard(stations: &mut [Station], crowd: usize) {
        if let Some(station) = stations.iter_mut().find(|station| station.crowd as usize == crowd) {
            station.has_news = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowds() -> (Crowds, usize) {
        let mut crowds = Crowds::default();
        let crowd = crowds.add(Waker::noop().clone());
        (crowds, crowd)
    }

    #[test]
    fn a_crowd_is_told_once_of_each_group_and_its_bell_rings_once() {
        let (mut crowds, crowd) = crowds();
        let (mut stations, mut rung, mut news) = (Stations::new(), Vec::new(), Vec::new());
        let group = crowds.join(&mut stations, crowd, 7);
        assert_eq!(crowds.join(&mut stations, crowd, 7), group);
        crowds.tell(&mut stations, &mut rung);
        crowds.tell(&mut stations, &mut rung);
        assert_eq!(rung.len(), 1);
        crowds.take_news(crowd, &mut news);
        assert_eq!(news, [group]);
        Station::heard(&mut stations, crowd);
        crowds.tell(&mut stations, &mut rung);
        assert_eq!(rung.len(), 2);
    }

    #[test]
    fn news_of_a_group_that_is_gone_are_gone_with_it() {
        let (mut crowds, crowd) = crowds();
        let (mut stations, mut rung, mut news) = (Stations::new(), Vec::new(), Vec::new());
        crowds.join(&mut stations, crowd, 7);
        crowds.tell(&mut stations, &mut rung);
        crowds.leave(&mut stations, crowd);
        let mut others = Stations::new();
        crowds.join(&mut others, crowd, 8);
        crowds.take_news(crowd, &mut news);
        assert!(news.is_empty());
    }
}
