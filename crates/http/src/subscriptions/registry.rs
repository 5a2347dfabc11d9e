//! Who is subscribed, and what of it has still to be announced.
//!
//! A pure state machine without a lock, a hub or a clock. Nothing in it grows with what cannot be announced for the moment: who
//! comes and goes before its coming was handed to the log was never there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::document::Subscriber;

/// INVARIANT: a subscriber stands in `due` as coming, or in `active`, or in `due` as gone; never in two of them. Of one that is active at most one
/// change stands in `due`, and `changing` says where.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// Those whose coming was handed to the log, in the order in which they came, as of what was handed to it.
    active: BTreeMap<Number, Arc<Subscriber>>,
    /// What is to be announced, in order.
    due: BTreeMap<Number, Due>,
    changing: BTreeMap<Number, Number>,
    /// Who of the active ones is to be announced once more.
    again: BTreeSet<Number>,
    given: u64,
    /// Whether something was taken whose fate is open.
    in_flight: bool,
}

/// A subscriber's place in the registry, or a change's; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(u64);

/// What has still to be announced.
#[derive(Debug)]
enum Due {
    Begins(Arc<Subscriber>),
    /// One that is active asks for something else.
    Changes {
        of: Number,
        to: Arc<Subscriber>,
    },
    Ends(Arc<Subscriber>),
}

/// Subscriptions of one subscriber that came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) subscriber: Arc<Subscriber>,
    pub(crate) active: bool,
    /// Of one that went on: which change it was, for the same subscription may come and go again.
    pub(crate) number: Option<Number>,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Registry {
    fn next(&mut self) -> Number {
        self.given += 1;
        Number(self.given)
    }

    /// Notes that a subscriber has come.
    pub(crate) fn begin(&mut self, subscriber: Arc<Subscriber>) -> Number {
        let number = self.next();
        self.due.insert(number, Due::Begins(subscriber));
        number
    }

    /// Notes what a subscriber has asked for since.
    ///
    /// What it asks for only until that is handed to the log is not announced.
    pub(crate) fn change(&mut self, of: Number, to: Arc<Subscriber>) {
        if let Some(Due::Begins(subscriber)) = self.due.get_mut(&of) {
            *subscriber = to;
        } else if self.active.contains_key(&of) {
            let next = Number(self.given + 1);
            let number = *self.changing.entry(of).or_insert(next);
            self.given = self.given.max(number.0);
            self.due.insert(number, Due::Changes { of, to });
        }
    }

    /// Notes that a subscriber has gone.
    pub(crate) fn end(&mut self, number: Number) {
        if self.due.remove(&number).is_some() {
            return;
        }
        if let Some(subscriber) = self.active.remove(&number) {
            self.again.remove(&number);
            if let Some(change) = self.changing.remove(&number) {
                self.due.remove(&change);
            }
            let number = self.next();
            self.due.insert(number, Due::Ends(subscriber));
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
        let (mut taken, mut again) = (Vec::new(), BTreeSet::new());
        let mut subscriptions = 0;
        while subscriptions < most
            && let Some(number) = self.again.pop_first()
        {
            // They are all active, or they would have been taken out.
            let Some(subscriber) = self.active.get(&number).cloned() else { continue };
            subscriptions += subscriber.subscriptions.len();
            taken.push(Change { subscriber, active: true, number: None });
            again.insert(number);
        }
        while subscriptions < most
            && let Some(next) = self.due.first_entry()
        {
            // Of what is announced together the log may take some later, so nothing stands among it that takes back something else of it.
            if matches!(next.get(), Due::Changes { of, .. } if again.contains(of)) {
                break;
            }
            let (number, due) = next.remove_entry();
            let before = taken.len();
            match due {
                Due::Begins(subscriber) => {
                    self.active.insert(number, subscriber.clone());
                    taken.push(Change { subscriber, active: true, number: None });
                }
                Due::Ends(subscriber) => taken.push(Change { subscriber, active: false, number: None }),
                Due::Changes { of, to } => {
                    self.changing.remove(&of);
                    let Some(from) = self.active.insert(of, to.clone()) else { continue };
                    // What was left goes first, so that nobody is told of more than was asked for.
                    for (subscriber, active) in [(from.but_for(&to), false), (to.but_for(&from), true)] {
                        if !subscriber.subscriptions.is_empty() {
                            let subscriber = Arc::new(subscriber);
                            taken.push(Change { subscriber, active, number: Some(number) });
                        }
                    }
                }
            }
            subscriptions +=
                taken[before..].iter().map(|each| each.subscriber.subscriptions.len()).sum::<usize>();
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
        asking(id, &["a"])
    }

    fn asking(id: usize, texts: &[&str]) -> Arc<Subscriber> {
        let asked = |text: &&str| AsAsked { language: Language::Exact, text: (*text).to_owned() };
        let subscriptions =
            texts.iter().map(|text| Subscription { asked: asked(text), payload: None }).collect();
        Arc::new(Subscriber { id: id.to_string(), subscriptions })
    }

    /// Each subscription: whose it is, and what is asked for.
    fn all(subscribers: &[Arc<Subscriber>]) -> BTreeSet<(String, String)> {
        let each = |subscriber: &Arc<Subscriber>| {
            let id = subscriber.id.clone();
            let texts = subscriber.subscriptions.iter().map(|each| each.asked.text.clone());
            texts.map(|text| (id.clone(), text)).collect::<Vec<_>>()
        };
        subscribers.iter().flat_map(each).collect()
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
        assert_eq!(registry.take(10), [Change { subscriber: subscriber(1), active: false, number: None }]);
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
        let change = |id, active| Change { subscriber: subscriber(id), active, number: None };
        assert_eq!(registry.take(10), [change(2, true), change(1, false)]);
        assert!(registry.is_announced_again());
    }

    #[test]
    fn what_a_subscriber_leaves_goes_before_what_it_joins_comes_and_nothing_else_is_told() {
        let mut registry = Registry::default();
        let number = registry.begin(asking(1, &["a"]));
        // Before it was announced it has never asked for anything else.
        registry.change(number, asking(1, &["a", "b"]));
        let came = |texts: &[&str]| Change { subscriber: asking(1, texts), active: true, number: None };
        assert_eq!(registry.take(10), [came(&["a", "b"])]);
        registry.change(number, asking(1, &["b", "c"]));
        registry.change(number, asking(1, &["b", "d"]));
        let told = registry.take(10);
        let of = |texts: &[&str], active| (asking(1, texts), active);
        let what: Vec<_> = told.iter().map(|change| (change.subscriber.clone(), change.active)).collect();
        assert_eq!(what, [of(&["a"], false), of(&["d"], true)]);
        // It comes once more, which is another coming.
        registry.change(number, asking(1, &["a"]));
        let again = registry.take(10);
        assert!(again.iter().all(|change| change.number > told[0].number), "{again:?} after {told:?}");
        // There and back is no change, and whoever is gone goes with what it had.
        registry.change(number, asking(1, &["c"]));
        registry.change(number, asking(1, &["a"]));
        assert!(registry.take(10).is_empty() && registry.is_settled());
        registry.change(number, asking(1, &["c"]));
        registry.end(number);
        registry.change(number, asking(1, &["d"]));
        assert_eq!(registry.take(10), [Change { active: false, ..came(&["a"]) }]);
        assert_eq!((registry.len(), registry.changing.len()), ((0, 0), 0));
    }

    #[test]
    fn what_is_announced_again_is_not_taken_back_together_with_that() {
        let mut registry = Registry::default();
        let number = registry.begin(asking(1, &["a"]));
        assert_eq!(registry.take(10).len(), 1);
        registry.announce_again();
        registry.change(number, asking(1, &["b"]));
        let mut told = || {
            let taken = registry.take(10).into_iter();
            taken.map(|change| (change.subscriber, change.active)).collect::<Vec<_>>()
        };
        assert_eq!(told(), [(asking(1, &["a"]), true)]);
        assert_eq!(told(), [(asking(1, &["a"]), false), (asking(1, &["b"]), true)]);
        assert!(told().is_empty() && registry.is_settled());
    }

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Begin,
        Change(usize, usize),
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
                3 => (0..20_usize, 0..8_usize).prop_map(|(which, mask)| Op::Change(which, mask)),
                2 => (1..5_usize).prop_map(Op::Take),
                1 => Just(Op::Again),
                1 => Just(Op::List),
            ], 1..200)
        ) {
            let mut registry = Registry::default();
            let mut there = BTreeMap::new();
            let mut sums: Vec<BTreeSet<(String, String)>> = vec![BTreeSet::new()];
            let tell = |sums: &mut Vec<BTreeSet<_>>, taken: Vec<Change>| for change in taken {
                for each in all(&[change.subscriber]) {
                    for sum in &mut *sums {
                        if change.active { sum.insert(each.clone()) } else { sum.remove(&each) };
                    }
                }
            };
            let mut now = BTreeMap::new();
            for (id, op) in ops.into_iter().enumerate() {
                match op {
                    Op::Begin => {
                        there.insert(id, registry.begin(subscriber(id)));
                        now.insert(id, subscriber(id));
                    }
                    Op::End(which) => {
                        let found = there.keys().nth(which % there.len().max(1)).copied();
                        if let Some(number) = found.and_then(|id| there.remove(&id)) {
                            registry.end(number);
                        }
                        found.and_then(|id| now.remove(&id));
                    }
                    Op::Change(which, mask) => {
                        let Some(id) = there.keys().nth(which % there.len().max(1)).copied() else { continue };
                        let texts = ["a", "b", "c"].into_iter().enumerate().filter(|(bit, _)| mask & 1 << bit != 0);
                        let to = asking(id, &texts.map(|(_, text)| text).collect::<Vec<_>>());
                        registry.change(there[&id], to.clone());
                        now.insert(id, to);
                    }
                    Op::Again => registry.announce_again(),
                    Op::Take(most) => tell(&mut sums, registry.take(most)),
                    Op::List => {
                        sums.push(all(&registry.active()));
                        prop_assert!(sums[0].is_superset(&all(&registry.active())), "an unannounced one is listed");
                    }
                }
            }
            while !registry.is_settled() {
                tell(&mut sums, registry.take(7));
            }
            let expected = all(&now.into_values().collect::<Vec<_>>());
            prop_assert_eq!(all(&registry.active()), expected.clone());
            for sum in sums {
                prop_assert_eq!(&sum, &expected);
            }
        }
    }
}
