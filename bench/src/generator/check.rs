//! Knows what every subscriber must receive, and says of each delivery whether it was the right one.
//!
//! For each subscriber and publisher it keeps the next sequence number and the ranges that were skipped: a skipped
//! number that arrives later was misordered, one that never arrives is lost, one that arrives again is doubled.
//! It costs a few nanoseconds for a delivery in order.

use crate::protocol::payload::Stamp;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What a delivery was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next one of its publisher.
    InOrder,
    /// A skipped one, after later ones.
    Misordered,
    /// Received before.
    Doubled,
    /// Never published, or published before the subscriber came.
    Foreign,
}

/// Counts of everything that was not a delivery in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Faults {
    /// Published and never received.
    pub(crate) lost: u64,
    /// Received more than once.
    pub(crate) doubled: u64,
    /// Received after a later one of the same publisher.
    pub(crate) misordered: u64,
    /// Received though never published to this subscriber.
    pub(crate) foreign: u64,
    /// Events whose data is not what any publisher sent.
    pub(crate) corrupt: u64,
    /// Events with a name: a gap or an end that the server announced.
    pub(crate) named: u64,
    /// Streams that ended or broke.
    pub(crate) ended: u64,
}

impl Faults {
    /// Whether every delivery was right.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.misordered += other.misordered;
        self.foreign += other.foreign;
        self.corrupt += other.corrupt;
        self.named += other.named;
        self.ended += other.ended;
    }
}

/// What one subscriber has received of one publisher.
///
/// INVARIANT: the ranges of `missing` are disjoint, not empty, and end at `next` or before.
#[derive(Clone, Debug, Default)]
struct Lane {
    /// The first one that this subscriber may receive: those before were answered before it came.
    first: u64,
    /// The first one that it must receive: those from here on were sent when its response head had arrived. Those between
    /// were on the way while it came; it receives the last few of them, or none.
    owed: u64,
    /// Equal to `first` as long as nothing was received.
    next: u64,
    missing: Vec<Range<u64>>,
}

/// Of somebody who has left: nothing is owed.
const NEVER: u64 = u64::MAX;

/// The book of one run.
#[derive(Debug)]
pub(crate) struct Checker {
    publishers: usize,
    /// By publisher: how many it has published.
    published: Vec<u64>,
    /// By publisher: how many of those were answered.
    answered: Vec<u64>,
    /// By subscriber, then publisher.
    lanes: Vec<Lane>,
    faults: Faults,
}

impl Checker {
    pub(crate) fn new(publishers: usize) -> Self {
        Self {
            publishers,
            published: vec![0; publishers],
            answered: vec![0; publishers],
            lanes: Vec::new(),
            faults: Faults::default(),
        }
    }

    /// A subscriber begins to come. Returns its index, counted from 0.
    pub(crate) fn join(&mut self) -> usize {
        let lanes = self.answered.iter().map(|&first| Lane::coming(first));
        self.lanes.extend(lanes);
        self.lanes.len() / self.publishers - 1
    }

    /// Its response head has arrived: it is owed everything published from now on.
    pub(crate) fn came(&mut self, subscriber: usize) {
        let begin = subscriber * self.publishers;
        for (lane, &published) in self.lanes[begin..].iter_mut().zip(&self.published) {
            if lane.owed == NEVER {
                lane.owed = published;
            }
        }
    }

    /// It leaves of its own will: what was on the way to it is not lost, what it skipped before is.
    pub(crate) fn leave(&mut self, subscriber: usize) {
        let begin = subscriber * self.publishers;
        for lane in &mut self.lanes[begin..begin + self.publishers] {
            self.faults.lost += lane.missing.iter().map(|range| range.end - range.start).sum::<u64>();
            *lane = Lane::coming(NEVER);
        }
    }

    /// Somebody who has left begins to come again, without a past.
    pub(crate) fn join_again(&mut self, subscriber: usize) {
        let begin = subscriber * self.publishers;
        for (lane, &first) in self.lanes[begin..].iter_mut().zip(&self.answered) {
            *lane = Lane::coming(first);
        }
    }

    /// The publisher's publication was answered.
    pub(crate) fn answer(&mut self, publisher: usize) {
        self.answered[publisher] = self.published[publisher];
    }

    /// A publication is being sent. Returns its sequence number.
    pub(crate) fn publish(&mut self, publisher: usize) -> u64 {
        let sequence = self.published[publisher];
        self.published[publisher] += 1;
        sequence
    }

    /// An event of ours arrived at `subscriber`.
    pub(crate) fn deliver(&mut self, subscriber: usize, stamp: Stamp) -> Verdict {
        let publisher = usize::from(stamp.publisher);
        let verdict = match self.published.get(publisher) {
            Some(&end) if stamp.sequence < end => {
                self.lanes[subscriber * self.publishers + publisher].deliver(stamp.sequence)
            }
            _ => Verdict::Foreign,
        };
        match verdict {
            Verdict::InOrder => {}
            Verdict::Misordered => self.faults.misordered += 1,
            Verdict::Doubled => self.faults.doubled += 1,
            Verdict::Foreign => self.faults.foreign += 1,
        }
        verdict
    }

    pub(crate) fn corrupt(&mut self) {
        self.faults.corrupt += 1;
    }

    pub(crate) fn named(&mut self) {
        self.faults.named += 1;
    }

    pub(crate) fn ended(&mut self) {
        self.faults.ended += 1;
    }

    /// Everything wrong so far; what has not arrived by now counts as lost.
    pub(crate) fn faults(&self) -> Faults {
        let mut lost = self.faults.lost;
        for lanes in self.lanes.chunks(self.publishers) {
            for (lane, &published) in lanes.iter().zip(&self.published) {
                lost += published.saturating_sub(lane.expected());
                lost += lane.missing.iter().map(|range| range.end - range.start).sum::<u64>();
            }
        }
        Faults { lost, ..self.faults }
    }
}

impl Lane {
    fn coming(first: u64) -> Self {
        Self { first, owed: NEVER, next: first, missing: Vec::new() }
    }

    /// The next one that must come.
    fn expected(&self) -> u64 {
        if self.next == self.first { self.owed.max(self.first) } else { self.next }
    }

    fn deliver(&mut self, sequence: u64) -> Verdict {
        if sequence == self.next {
            self.next += 1;
            return Verdict::InOrder;
        }
        if sequence < self.first {
            return Verdict::Foreign;
        }
        if sequence > self.next {
            let expected = self.expected();
            if sequence > expected {
                self.missing.push(expected..sequence);
            }
            self.next = sequence + 1;
            // What it overtook is what comes misordered or not at all; this one is where it belongs.
            return Verdict::InOrder;
        }
        let Some(index) = self.missing.iter().position(|range| range.contains(&sequence)) else {
            return Verdict::Doubled;
        };
        let range = self.missing.swap_remove(index);
        let parts = [range.start..sequence, sequence + 1..range.end];
        self.missing.extend(parts.into_iter().filter(|part| !part.is_empty()));
        Verdict::Misordered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two publishers and two subscribers; publisher 0 publishes five, publisher 1 one.
    fn checker() -> Checker {
        let mut checker = Checker::new(2);
        assert_eq!((checker.join(), checker.join()), (0, 1));
        checker.came(0);
        checker.came(1);
        for sequence in 0..5 {
            assert_eq!(checker.publish(0), sequence);
        }
        checker.publish(1);
        checker
    }

    /// Delivers to subscriber 0 what `sequences` says of publisher 0, and everything else as it should be.
    fn check(sequences: &[u64], expected: Faults) {
        let mut checker = checker();
        let deliver = |checker: &mut Checker, subscriber, publisher, sequence| {
            checker.deliver(subscriber, Stamp { publisher, sequence, sent_ns: 0 })
        };
        for &sequence in sequences {
            deliver(&mut checker, 0, 0, sequence);
        }
        for sequence in 0..5 {
            assert_eq!(deliver(&mut checker, 1, 0, sequence), Verdict::InOrder);
        }
        for subscriber in 0..2 {
            assert_eq!(deliver(&mut checker, subscriber, 1, 0), Verdict::InOrder);
        }
        assert_eq!(checker.faults(), expected, "{sequences:?}");
        assert_eq!(checker.faults().is_none(), expected == Faults::default());
    }

    #[test]
    fn everything_in_order_is_no_fault() {
        check(&[0, 1, 2, 3, 4], Faults::default());
    }

    #[test]
    fn what_never_arrives_is_lost_wherever_it_was() {
        check(&[1, 2, 3, 4], Faults { lost: 1, ..Faults::default() });
        check(&[0, 1, 4], Faults { lost: 2, ..Faults::default() });
        check(&[0, 1, 2], Faults { lost: 2, ..Faults::default() });
        check(&[], Faults { lost: 5, ..Faults::default() });
    }

    #[test]
    fn what_arrives_again_is_doubled_also_after_later_ones() {
        check(&[0, 0, 1, 2, 3, 4], Faults { doubled: 1, ..Faults::default() });
        check(&[0, 1, 2, 3, 4, 0, 4], Faults { doubled: 2, ..Faults::default() });
    }

    #[test]
    fn what_was_overtaken_is_misordered_and_not_lost() {
        check(&[0, 2, 1, 3, 4], Faults { misordered: 1, ..Faults::default() });
        check(&[4, 3, 2, 1, 0], Faults { misordered: 4, ..Faults::default() });
        check(&[4, 2, 0], Faults { misordered: 2, lost: 2, ..Faults::default() });
        check(&[4, 2, 2, 0, 1, 3], Faults { misordered: 4, doubled: 1, ..Faults::default() });
    }

    #[test]
    fn what_nobody_published_is_foreign() {
        check(&[0, 1, 2, 3, 4, 5], Faults { foreign: 1, ..Faults::default() });
        let mut checker = checker();
        let stranger = Stamp { publisher: 2, sequence: 0, sent_ns: 0 };
        assert_eq!(checker.deliver(0, stranger), Verdict::Foreign);
    }

    fn stamp(sequence: u64) -> Stamp {
        Stamp { publisher: 0, sequence, sent_ns: 0 }
    }

    #[test]
    fn a_late_subscriber_is_owed_only_what_comes_after_it() {
        let mut checker = checker();
        checker.answer(0);
        let late = checker.join();
        checker.came(late);
        let owed = checker.faults().lost;
        assert_eq!(checker.publish(0), 5);
        assert_eq!(checker.faults().lost, owed + 3);
        assert_eq!(checker.deliver(late, stamp(4)), Verdict::Foreign);
        assert_eq!(checker.deliver(late, stamp(5)), Verdict::InOrder);
    }

    /// What is published while a subscriber comes it may miss, but only at the front: after the first one it gets all.
    #[test]
    fn what_was_on_the_way_while_a_subscriber_came_may_be_missed_from_the_front() {
        for (received, lost) in
            [(&[5, 6, 7, 8][..], 0), (&[6, 7, 8], 0), (&[8], 0), (&[], 1), (&[5, 7, 8], 1)]
        {
            let mut checker = checker();
            checker.answer(0);
            let late = checker.join();
            for _ in 5..8 {
                checker.publish(0);
            }
            checker.came(late);
            let before = checker.faults().lost;
            checker.publish(0);
            for &sequence in received {
                assert_eq!(checker.deliver(late, stamp(sequence)), Verdict::InOrder);
            }
            // The two others lack the new one.
            assert_eq!(checker.faults().lost - before, 2 + lost, "{received:?}");
        }
    }

    #[test]
    fn who_leaves_is_owed_nothing_but_what_was_skipped_and_may_come_again() {
        let mut checker = Checker::new(1);
        let guest = checker.join();
        checker.came(guest);
        for _ in 0..4 {
            checker.publish(0);
        }
        checker.deliver(guest, stamp(0));
        checker.deliver(guest, stamp(2));
        assert_eq!(checker.faults().lost, 2);
        checker.leave(guest);
        assert_eq!(checker.faults().lost, 1);
        checker.answer(0);
        checker.join_again(guest);
        checker.came(guest);
        assert_eq!(checker.deliver(guest, stamp(3)), Verdict::Foreign);
        checker.publish(0);
        assert_eq!(checker.faults().lost, 2);
        assert_eq!(checker.deliver(guest, stamp(4)), Verdict::InOrder);
        assert_eq!(checker.faults().lost, 1);
    }
}
