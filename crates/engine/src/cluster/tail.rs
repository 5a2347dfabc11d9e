//! What the tail of the log decides: a state machine that is told what was seen, and does nothing itself.
//!
//! A consumer's word is not taken for the log: it is begun again at the last entry that is held, whose check has to agree, and
//! every number it skips is a loss that is told. So a stream that has lost its newest entries and taken others in their place is
//! noticed, and never spliced to what was told before. Where each entry names the check of the one before it, that has to agree, too.

use fanfare_hub::{Check, Position};

/// The ends of the stream as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) epoch: u32,
    /// The oldest position that is there; `next` if there is none.
    pub(crate) first: Position,
    pub(crate) next: Position,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// A log that was not followed before: what stands from this position on is told.
    Log { from: Position },
    /// The one that was followed: consume from here on.
    Again { from: Position },
    /// It has lost entries that were told.
    Rewound,
}

/// What a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saw {
    /// The entry that comes next.
    Next,
    /// The next one that is left: what stood before it, up to and with this position, is lost.
    Behind { lost_through: Position },
    /// The last one that was told, as it was told.
    Known,
    /// Another one in the place of one that was told.
    Rewound,
    /// Something that a consumer that works does not deliver: it has to be begun again.
    Broken,
}

/// What was told of the log so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    held: Option<Held>,
}

#[derive(Clone, Debug)]
struct Held {
    epoch: u32,
    next: Position,
    /// The newest entry that was told, or the one before the first.
    last: Option<(Position, Check)>,
    /// How many messages the consumer has delivered.
    delivered: u64,
}

impl Tail {
    /// Where to begin on a stream with these ends, of which the newest `warm` entries are told at the start. Where another log was
    /// told before, its subscribers are told of a gap and go on with what comes from now on: what stands there they may have had.
    pub(crate) fn begin(&self, ends: Ends, warm: u64) -> Begin {
        let held = match &self.held {
            Some(held) if held.epoch == ends.epoch => held,
            Some(_) => return Begin::Log { from: ends.next },
            None => return Begin::Log { from: ends.next.saturating_sub(warm).max(ends.first).max(1) },
        };
        if ends.next < held.next {
            return Begin::Rewound;
        }
        let last = held.last.map_or(held.next, |(position, _)| position);
        // An entry that is not there any more cannot be compared: what is lost is told when the next one comes.
        Begin::Again { from: last.max(ends.first) }
    }

    /// A log is told from `from` on; `before` is the check of the entry before, if it is there.
    pub(crate) fn log(&mut self, epoch: u32, from: Position, before: Option<Check>) {
        let last = before.map(|check| (from - 1, check));
        self.held = Some(Held { epoch, next: from, last, delivered: 0 });
    }

    /// A consumer begins to deliver.
    pub(crate) fn consume(&mut self) {
        if let Some(held) = &mut self.held {
            held.delivered = 0;
        }
    }

    /// A message was delivered: the consumer's number of it, its place, its check if it is an entry, and the check that it says the
    /// entry before it has, if the store says that.
    pub(crate) fn saw(
        &mut self,
        delivered: u64,
        position: Position,
        check: Option<Check>,
        before: Option<Check>,
    ) -> Saw {
        let Some(held) = &mut self.held else { return Saw::Broken };
        if delivered != held.delivered + 1 {
            return Saw::Broken;
        }
        held.delivered = delivered;
        if let (Some((last, known)), Some(before)) = (held.last, before)
            && position == held.next
            && last + 1 == position
            && known != before
        {
            return Saw::Rewound;
        }
        if position < held.next {
            return match held.last {
                Some((last, known)) if last == position && delivered == 1 => match check {
                    Some(check) if check != known => Saw::Rewound,
                    _ => Saw::Known,
                },
                _ => Saw::Broken,
            };
        }
        let lost_through = position - 1;
        let is_next = position == held.next;
        held.next = position + 1;
        // What is no entry cannot be compared later.
        held.last = check.map(|check| (position, check));
        if is_next { Saw::Next } else { Saw::Behind { lost_through } }
    }

    /// The stream holds nothing before `first` any more. What was not told by then is lost: up to and with the position returned.
    pub(crate) fn begins_at(&mut self, first: Position) -> Option<Position> {
        let held = self.held.as_mut().filter(|held| held.next < first)?;
        held.next = first;
        held.last = None;
        Some(first - 1)
    }

    /// Whether the stream, asked anew, still holds what was told: its ends, and the check of the newest entry told if it is there.
    pub(crate) fn agrees(&self, ends: Ends, check: Option<Check>) -> bool {
        let Some(held) = &self.held else { return true };
        let is_known = match (held.last, check) {
            (Some((_, known)), Some(check)) => known == check,
            _ => true,
        };
        held.epoch == ends.epoch && held.next <= ends.next && is_known
    }

    /// Where the newest entry stands that was told and can be compared.
    pub(crate) fn last(&self) -> Option<Position> {
        self.held.as_ref()?.last.map(|(position, _)| position)
    }

    /// The position of what comes next.
    pub(crate) fn next(&self) -> Option<Position> {
        Some(self.held.as_ref()?.next)
    }

    pub(crate) fn epoch(&self) -> Option<u32> {
        Some(self.held.as_ref()?.epoch)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bits: u64) -> Check {
        Check::from_random(bits)
    }

    fn ends(first: Position, next: Position) -> Ends {
        Ends { epoch: 7, first, next }
    }

    fn following(next: Position, last: u64) -> Tail {
        let mut tail = Tail::default();
        tail.log(7, next, Some(check(last)));
        tail
    }

    #[test]
    fn a_log_that_was_not_followed_begins_with_its_newest_entries() {
        let tail = Tail::default();
        assert_eq!(tail.begin(ends(1, 1), 10), Begin::Log { from: 1 });
        assert_eq!(tail.begin(ends(5, 101), 10), Begin::Log { from: 91 });
        assert_eq!(tail.begin(ends(95, 101), 10), Begin::Log { from: 95 });
        assert_eq!(tail.begin(ends(101, 101), 10), Begin::Log { from: 101 });
        assert_eq!(following(50, 0).begin(Ends { epoch: 8, first: 1, next: 9 }, 3), Begin::Log { from: 9 });
    }

    #[test]
    fn a_log_that_was_followed_begins_again_at_the_last_entry_that_was_told() {
        let tail = following(50, 3);
        assert_eq!(tail.begin(ends(1, 50), 10), Begin::Again { from: 49 });
        assert_eq!(tail.begin(ends(49, 80), 10), Begin::Again { from: 49 });
        assert_eq!(tail.begin(ends(70, 80), 10), Begin::Again { from: 70 });
        assert_eq!(tail.begin(ends(1, 49), 10), Begin::Rewound);
    }

    #[test]
    fn another_entry_in_the_place_of_one_that_was_told_is_a_rewind_p6() {
        let mut tail = following(50, 3);
        assert_eq!(tail.clone().saw(1, 49, Some(check(3)), None), Saw::Known);
        assert_eq!(tail.saw(1, 49, Some(check(4)), None), Saw::Rewound);
    }

    #[test]
    fn an_entry_that_follows_another_one_than_was_told_is_a_rewind_p6() {
        let mut tail = following(50, 3);
        assert_eq!(tail.clone().saw(1, 50, Some(check(5)), Some(check(3))), Saw::Next);
        assert_eq!(tail.clone().saw(1, 50, Some(check(5)), Some(check(4))), Saw::Rewound);
        // What was lost cannot be compared.
        assert_eq!(tail.saw(1, 52, Some(check(5)), Some(check(4))), Saw::Behind { lost_through: 51 });
    }

    #[test]
    fn what_the_stream_dropped_before_it_was_told_is_lost_even_if_nothing_comes() {
        let mut tail = following(50, 3);
        assert_eq!(tail.begins_at(50), None);
        assert_eq!(tail.begins_at(60), Some(59));
        assert_eq!((tail.last(), tail.next()), (None, Some(60)));
    }

    #[test]
    fn what_is_skipped_is_lost_and_what_comes_twice_is_no_news() {
        let mut tail = following(50, 3);
        assert_eq!(tail.saw(1, 50, Some(check(1)), None), Saw::Next);
        assert_eq!(tail.saw(2, 53, Some(check(2)), None), Saw::Behind { lost_through: 52 });
        assert_eq!(tail.saw(3, 53, Some(check(2)), None), Saw::Broken);
        assert_eq!((tail.last(), tail.next()), (Some(53), Some(54)));
    }

    #[test]
    fn a_delivery_that_is_missing_is_no_hole() {
        let mut tail = following(50, 3);
        assert_eq!(tail.saw(2, 51, Some(check(1)), None), Saw::Broken);
        assert_eq!(tail.next(), Some(50));
    }

    #[test]
    fn what_is_no_entry_has_a_place_and_cannot_be_compared() {
        let mut tail = following(50, 3);
        assert_eq!(tail.saw(1, 50, None, None), Saw::Next);
        assert_eq!((tail.last(), tail.begin(ends(1, 51), 9)), (None, Begin::Again { from: 51 }));
    }

    #[test]
    fn a_stream_that_is_asked_anew_is_held_against_what_was_told() {
        let tail = following(50, 3);
        assert!(tail.agrees(ends(1, 50), Some(check(3))));
        assert!(tail.agrees(ends(60, 70), None));
        assert!(!tail.agrees(ends(1, 49), None));
        assert!(!tail.agrees(ends(1, 50), Some(check(4))));
        assert!(!tail.agrees(Ends { epoch: 8, ..ends(1, 50) }, Some(check(3))));
    }

    /// A stream, as a list of checks, and what happens to it.
    #[derive(Clone, Debug)]
    enum Step {
        Append(u64),
        Trim(usize),
        /// The newest entries are lost.
        Lose(usize),
        /// The consumer delivers up to so many.
        Deliver(usize),
        /// The consumer is lost.
        Consumer,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..4_u64).prop_map(Step::Append),
            1 => (1..4_usize).prop_map(Step::Trim),
            1 => (1..4_usize).prop_map(Step::Lose),
            4 => (1..4_usize).prop_map(Step::Deliver),
            2 => Just(Step::Consumer),
        ]
    }

    proptest! {
        /// Goal: whatever happens between two consumers, what was told is the stream as it is, with a hole for what is lost, or a
        /// new log. Method: a stream of entries with their own checks; what was told is compared after each new consumer.
        #[test]
        fn what_was_told_is_the_stream_or_a_new_log_begins(steps in prop::collection::vec(step(), 1..60)) {
            let (mut stream, mut first, mut drawn, mut epoch) = (Vec::<u64>::new(), 1_usize, 0_u64, 1_u32);
            let mut tail = Tail::default();
            // What was told since the log began, by position.
            let mut told: Vec<Option<u64>> = Vec::new();
            let mut told_from = 1;
            let mut consumer: Option<(usize, u64)> = None;
            for step in steps {
                let next = first + stream.len();
                match step {
                    Step::Append(count) => for _ in 0..=count {
                        drawn += 1;
                        stream.push(drawn);
                    },
                    Step::Trim(count) => {
                        let count = count.min(stream.len());
                        stream.drain(..count);
                        first += count;
                    }
                    // With the newest entries the consumer goes, too.
                    Step::Lose(count) => {
                        stream.truncate(stream.len().saturating_sub(count));
                        consumer = None;
                    }
                    Step::Consumer => consumer = None,
                    Step::Deliver(count) => {
                        if consumer.is_none() {
                            let ends = Ends { epoch, first: first as u64, next: next as u64 };
                            let from = match tail.begin(ends, 5) {
                                Begin::Log { from } => {
                                    let place = usize::try_from(from).expect("small");
                                    let before = place.checked_sub(first + 1).and_then(|at| stream.get(at));
                                    tail.log(epoch, from, before.map(|bits| check(*bits)));
                                    (told, told_from) = (Vec::new(), place);
                                    from
                                }
                                Begin::Again { from } => from,
                                Begin::Rewound => {
                                    epoch += 1;
                                    continue;
                                }
                            };
                            tail.consume();
                            consumer = Some((usize::try_from(from).expect("small"), 0));
                        }
                        for _ in 0..count {
                            let Some((at, delivered)) = &mut consumer else { break };
                            *at = (*at).max(first);
                            if *at >= first + stream.len() {
                                break;
                            }
                            let bits = stream[*at - first];
                            *delivered += 1;
                            match tail.saw(*delivered, *at as u64, Some(check(bits)), None) {
                                Saw::Next => told.push(Some(bits)),
                                Saw::Behind { lost_through } => {
                                    while told_from + told.len() <= usize::try_from(lost_through).expect("small") {
                                        told.push(None);
                                    }
                                    told.push(Some(bits));
                                }
                                Saw::Known => {}
                                Saw::Rewound => {
                                    epoch += 1;
                                    consumer = None;
                                    continue;
                                }
                                Saw::Broken => prop_assert!(false, "a consumer that works is not broken"),
                            }
                            *at += 1;
                        }
                        // A rewind may have been noticed, and not yet begun anew.
                        if consumer.is_some() {
                            for (place, told) in told.iter().enumerate() {
                                let there = (told_from + place).checked_sub(first).and_then(|at| stream.get(at));
                                if let (Some(told), Some(there)) = (told, there) {
                                    prop_assert_eq!(told, there, "another entry was told");
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
