//! What retention has taken from the log: the highest position of each topic, in a table of fixed size.
//!
//! It knows nothing of entries that are kept, and of presence, which keeps its own account.

use std::hash::{BuildHasher, RandomState};

use crate::{Position, Topic};

/// The highest position of each topic that was dropped, by the topic's hash: it keeps subscribers of quiet topics
/// from gaps that are none. Bounded, so that whoever asks for a topic may be told of one nevertheless, but only where others were
/// dropped at both of its places: of a hundred other topics they are once in some seven thousand times, of a thousand once in seventy.
pub(crate) struct Trimmed {
    /// Of everything below it nothing is known.
    pub(crate) floor: Position,
    hasher: RandomState,
    /// The highest position of all. The second one is that of private entries, here and below.
    newest: [Position; 2],
    /// Empty until something is dropped.
    buckets: Vec<[Position; 2]>,
}

impl Trimmed {
    const BUCKETS: usize = 1 << 14;

    pub(crate) fn before(floor: Position) -> Self {
        Self { floor, hasher: RandomState::new(), newest: [0; 2], buckets: Vec::new() }
    }

    /// Where a topic is noted: two places, for with one alone any two topics in a small hub are one once in sixteen thousand starts.
    fn places(&self, topic: &str) -> [usize; 2] {
        let hash = self.hasher.hash_one(topic);
        [hash, hash >> 32].map(|part| usize::try_from(part % Self::BUCKETS as u64).unwrap_or(0))
    }

    pub(crate) fn note(&mut self, topic: &Topic, position: Position, private: bool) {
        if self.buckets.is_empty() {
            self.buckets = vec![[0; 2]; Self::BUCKETS];
        }
        for place in self.places(topic.as_str()) {
            self.buckets[place][usize::from(private)] = position;
        }
        self.newest[usize::from(private)] = position;
    }

    /// Whether something may have been dropped at `from` or behind it of which nothing is known any more.
    pub(crate) fn is_unknown(&self, from: Position) -> bool {
        from < self.floor
    }

    /// Whether a public entry, or a private one, may have been dropped at `from` or behind it: of one of `topics`, or of
    /// any topic if there are none given. May say yes where the truth is no, never the other way round.
    pub(crate) fn has<'a>(
        &self,
        private: bool,
        topics: Option<impl Iterator<Item = &'a str>>,
        from: Position,
    ) -> bool {
        let private = usize::from(private);
        let is_noted = |place: usize| self.buckets.get(place).is_some_and(|bucket| bucket[private] >= from);
        self.newest[private] >= from
            && topics
                .is_none_or(|mut topics| topics.any(|topic| self.places(topic).into_iter().all(is_noted)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `a` may have been dropped at position 5.
    fn has(trimmed: &Trimmed) -> bool {
        trimmed.has(false, Some(["a"].into_iter()), 5)
    }

    /// Goal: a topic that was not dropped is not taken for one that was because both have a place in common, which happens in a hub of
    /// four topics about once in three thousand starts.
    #[test]
    fn one_topic_alone_is_never_taken_for_another_p2() {
        let mut trimmed = Trimmed::before(1);
        let [first, second] = trimmed.places("a");
        let meets = |place: usize| {
            let texts = (0_u64..).map(|number| number.to_string());
            let mut met = texts.filter(|text| trimmed.places(text).contains(&place));
            Topic::parse(met.next().expect("there are enough topics")).expect("a topic")
        };
        let (one, other) = (meets(first), meets(second));
        trimmed.note(&one, 5, false);
        assert!(!has(&trimmed), "{one:?} is taken for `a`");
        trimmed.note(&other, 6, false);
        // Of these two together nobody can tell, and a gap is told rather than kept back.
        assert!(has(&trimmed));
    }

    #[test]
    fn what_was_dropped_is_never_forgotten_p2() {
        let mut trimmed = Trimmed::before(1);
        let topic = Topic::parse("a").expect("a topic");
        trimmed.note(&topic, 4, false);
        assert!(!has(&trimmed));
        trimmed.note(&topic, 5, true);
        assert!(!has(&trimmed) && trimmed.has(true, Some(["a"].into_iter()), 5));
        trimmed.note(&topic, 5, false);
        assert!(has(&trimmed) && !trimmed.has(false, Some(["a"].into_iter()), 6));
    }
}
