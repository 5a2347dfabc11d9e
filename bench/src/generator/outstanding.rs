//! Counts which publications have not reached everybody yet.
//!
//! It is told of each publication and of each first delivery, and judges neither.

use std::collections::VecDeque;

/// The open publications of all publishers.
#[derive(Debug)]
pub(crate) struct Outstanding {
    publishers: Vec<Lane>,
    open: usize,
}

/// One publisher's publications from the oldest open one on: how many deliveries each still lacks.
#[derive(Debug, Default)]
struct Lane {
    base: u64,
    lacking: VecDeque<u32>,
}

impl Outstanding {
    pub(crate) fn new(publishers: usize) -> Self {
        Self { publishers: (0..publishers).map(|_| Lane::default()).collect(), open: 0 }
    }

    /// How many publications somebody still lacks.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// The publisher's next publication goes to `subscribers`.
    pub(crate) fn publish(&mut self, publisher: usize, subscribers: u32) {
        self.publishers[publisher].lacking.push_back(subscribers);
        if subscribers == 0 {
            self.publishers[publisher].forget_complete();
        } else {
            self.open += 1;
        }
    }

    /// One subscriber has it.
    pub(crate) fn deliver(&mut self, publisher: usize, sequence: u64) {
        let lane = &mut self.publishers[publisher];
        let Some(index) = sequence.checked_sub(lane.base).and_then(|index| usize::try_from(index).ok())
        else {
            return;
        };
        let Some(lacking) = lane.lacking.get_mut(index).filter(|lacking| **lacking > 0) else { return };
        *lacking -= 1;
        if *lacking == 0 {
            self.open -= 1;
            lane.forget_complete();
        }
    }

    /// Whatever is open will not come any more.
    pub(crate) fn give_up(&mut self) {
        for lane in &mut self.publishers {
            lane.base += lane.lacking.len() as u64;
            lane.lacking.clear();
        }
        self.open = 0;
    }
}

impl Lane {
    fn forget_complete(&mut self) {
        while self.lacking.front() == Some(&0) {
            self.lacking.pop_front();
            self.base += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_is_open_until_its_last_subscriber_has_it() {
        let mut outstanding = Outstanding::new(2);
        outstanding.publish(0, 2);
        outstanding.publish(0, 2);
        outstanding.publish(1, 0);
        outstanding.publish(1, 1);
        assert_eq!(outstanding.open(), 3);
        outstanding.deliver(0, 1);
        outstanding.deliver(0, 1);
        assert_eq!(outstanding.open(), 2);
        outstanding.deliver(1, 1);
        outstanding.deliver(0, 0);
        assert_eq!(outstanding.open(), 1);
        outstanding.deliver(0, 0);
        assert_eq!(outstanding.open(), 0);
        outstanding.publish(0, 1);
        outstanding.deliver(0, 1);
        assert_eq!(outstanding.open(), 1);
        outstanding.give_up();
        outstanding.deliver(0, 2);
        outstanding.publish(0, 1);
        outstanding.deliver(0, 3);
        assert_eq!(outstanding.open(), 0);
    }
}
