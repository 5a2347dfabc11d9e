//! What retention has taken from the log: the highest position of each topic, in a table of fixed size.
//!
//! It knows nothing of entries that are kept, and of presence, which keeps its own account.

use std::hash::{BuildHasher, RandomState};

use crate::{Position, Topic};

/// The highest position of each topic that was dropped, by the topic's hash: it keeps subscribers of quiet topics
/// from gaps that are none. Bounded; topics that share a bucket may get one nevertheless.
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

    fn bucket(&self, topic: &str) -> usize {
        usize::try_from(self.hasher.hash_one(topic) % Self::BUCKETS as u64).unwrap_or(0)
    }

    pub(crate) fn note(&mut self, topic: &Topic, position: Position, private: bool) {
        if self.buckets.is_empty() {
            self.buckets = vec![[0; 2]; Self::BUCKETS];
        }
        let at = self.bucket(topic.as_str());
        self.buckets[at][usize::from(private)] = position;
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
        let newest = |topic| self.buckets.get(self.bucket(topic)).map_or(0, |bucket| bucket[private]);
        self.newest[private] >= from
            && topics.is_none_or(|mut topics| topics.any(|topic| newest(topic) >= from))
    }
}
