//! Who is subscribed, and what of it has still to be announced.
//!
//! A pure state machine without a lock, a hub or a clock. Nothing in it grows with what cannot be announced for the moment: who
//! comes and goes before its coming was handed to the log was never there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::document::Subscriber;

/// INVARIANT: a subscriber stands in `due` as coming, or in `active`, or in `due` as gone; never in two of them.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// Those whose coming was handed to the log, in the order in which they came.
    active: BTreeMap<Number, Arc<Subscriber>>,
    /// What is to be announced, in order.
    due: BTreeMap<Number, Change>,
    /// Who of the active ones is to be announced once more.
    again: BTreeSet<Number>,
    given: u64,
    /// Whether something was taken whose fate is open.
    in_flight: bool,
}

/// A subscriber's place in the registry, or a change's; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(u64);

/// A subscriber that came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) subscriber: Arc<Subscriber>,
    pub(crate) active: bool,
}

impl Registry {
    fn next(&mut self) -> Number {
        self.given += 1;
        Number(self.given)
    }

    /// Notes that a subscriber has come.
    pub(crate) fn begin(&mut self, subscriber: Arc<Subscriber>) -> Number {
        let number = self.next();
        self.due.insert(number, Change { subscriber, active: true });
        number
    }

    /// Notes that a subscriber has gone.
    pub(crate) fn end(&mut self, number: Number) {
        if self.due.remove(&number).is_some() {
            return;
        }
        if let Some(subscriber) = self.active.remove(&number) {
            self.again.remove(&number);
            let number = self.next();
            self.due.insert(number, Change { subscriber, active: false });
        }
    }

    /// Notes that all who were announced are to be announced once more, for others may have been told of their ends.
    pub(crate) fn announce_again(&mut self) {
        self.again = self.active.keys().copied().collect();
    }

    /// Whether those are handed over who were to be announced once more.
    pub(crate) fn is_announced_again(&self) -> bool {
        self.again.is_empty()
    }

    /// Takes what is to be announced next, `most` subscriptions or a little more; nothing if there is nothing. Whoever takes
    /// something announces it, however long that takes, before it takes more.
    pub(crate) fn take(&mut self, most: usize) -> Vec<Change> {
        let mut taken = Vec::new();
        let mut subscriptions = 0;
        while subscriptions < most
            && let Some(number) = self.again.pop_first()
        {
            // They are all active, or they would have been taken out.
            let Some(subscriber) = self.active.get(&number).cloned() else { continue };
            subscriptions += subscriber.subscriptions.len();
            taken.push(Change { subscriber, active: true });
        }
        while subscriptions < most
            && let Some((number, change)) = self.due.pop_first()
        {
            subscriptions += change.subscriber.subscriptions.len();
            if change.active {
                self.active.insert(number, change.subscriber.clone());
            }
            taken.push(change);
        }
        self.in_flight = !taken.is_empty();
        taken
    }

    /// Those who are there, in the order in which they came. Whoever reads the log from a place that was taken before hears of
    /// every difference from now on.
    pub(crate) fn active(&self) -> Vec<Arc<Subscriber>> {
        self.active.values().cloned().collect()
    }

    /// Whether the log has all there is to say, so that nothing changes before it has more.
    pub(crate) fn is_settled(&self) -> bool {
        self.due.is_empty() && self.again.is_empty() && !self.in_flight
    }

    /// How many subscribers there are, announced or not, and how many changes wait.
    #[cfg(test)]
    fn len(&self) -> (usize, usize) {
        (self.active.len(), self.due.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subscriptions::document::{AsAsked, Subscription};
    use crate::token::Language;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn subscriber(id: usize) -> Arc<Subscriber> {
        let asked = AsAsked { language: Language::Exact, text: "a".to_owned() };
        let subscriptions = vec![Subscription { asked, payload: None }];
        Arc::new(Subscriber { id: id.to_string(), subscriptions })
    }

    fn ids(subscribers: &[Arc<Subscriber>]) -> BTreeSet<String> {
        subscribers.iter().map(|subscriber| subscriber.id.clone()).collect()
    }

    #[test]
    fn who_is_gone_before_it_was_announced_was_never_there() {
        let mut registry = Registry::default();
        for number in 0..10_000 {
            let number = registry.begin(subscriber(number));
            registry.end(number);
        }
        assert_eq!(registry.len(), (0, 0));
        assert!(registry.take(10).is_empty() && registry.is_settled());
    }

    #[test]
    fn an_end_is_noted_once() {
        let mut registry = Registry::default();
        let number = registry.begin(subscriber(1));
        assert_eq!(registry.take(10).len(), 1);
        registry.end(number);
        registry.end(number);
        assert_eq!(registry.take(10), [Change { subscriber: subscriber(1), active: false }]);
        assert_eq!(registry.len(), (0, 0));
    }

    #[test]
    fn nothing_is_settled_before_whoever_took_a_change_comes_back_for_more() {
        let mut registry = Registry::default();
        assert!(registry.is_settled());
        registry.begin(subscriber(1));
        assert!(!registry.is_settled());
        assert_eq!(registry.take(10).len(), 1);
        assert!(!registry.is_settled());
        assert!(registry.take(10).is_empty() && registry.is_settled());
    }

    #[test]
    fn who_is_announced_once_more_is_so_before_it_is_gone_and_not_behind_that() {
        let mut registry = Registry::default();
        let numbers = [1, 2].map(|id| registry.begin(subscriber(id)));
        assert_eq!(registry.take(10).len(), 2);
        registry.announce_again();
        registry.end(numbers[0]);
        assert!(!registry.is_announced_again() && !registry.is_settled());
        let change = |id, active| Change { subscriber: subscriber(id), active };
        assert_eq!(registry.take(10), [change(2, true), change(1, false)]);
        assert!(registry.is_announced_again());
    }

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Begin,
        End(usize),
        Take(usize),
        Again,
        List,
    }

    proptest! {
        /// Goal: what is listed is what the announcements sum up to, and whoever has a list and reads on loses track of nobody.
        /// Method: a random history; a reader has the sum of all that was announced, others a list and what was announced since.
        #[test]
        fn a_list_and_what_is_announced_after_it_tell_who_is_there(
            ops in prop::collection::vec(prop_oneof![
                3 => Just(Op::Begin),
                3 => (0..20_usize).prop_map(Op::End),
                2 => (1..5_usize).prop_map(Op::Take),
                1 => Just(Op::Again),
                1 => Just(Op::List),
            ], 1..200)
        ) {
            let mut registry = Registry::default();
            let mut there = BTreeMap::new();
            let mut sums: Vec<BTreeSet<String>> = vec![BTreeSet::new()];
            let tell = |sums: &mut Vec<BTreeSet<String>>, taken: Vec<Change>| for change in taken {
                for sum in &mut *sums {
                    if change.active {
                        sum.insert(change.subscriber.id.clone());
                    } else {
                        sum.remove(&change.subscriber.id);
                    }
                }
            };
            for (id, op) in ops.into_iter().enumerate() {
                match op {
                    Op::Begin => drop(there.insert(id, registry.begin(subscriber(id)))),
                    Op::End(which) => {
                        let found = there.keys().nth(which % there.len().max(1)).copied();
                        if let Some(number) = found.and_then(|id| there.remove(&id)) {
                            registry.end(number);
                        }
                    }
                    Op::Again => registry.announce_again(),
                    Op::Take(most) => tell(&mut sums, registry.take(most)),
                    Op::List => {
                        sums.push(ids(&registry.active()));
                        prop_assert!(sums[0].is_superset(&ids(&registry.active())), "an unannounced one is listed");
                    }
                }
            }
            while !registry.is_settled() {
                tell(&mut sums, registry.take(7));
            }
            let expected: BTreeSet<_> = there.keys().map(ToString::to_string).collect();
            prop_assert_eq!(ids(&registry.active()), expected.clone());
            for sum in sums {
                prop_assert_eq!(&sum, &expected);
            }
        }
    }
}
