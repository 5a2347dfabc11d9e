//! Where the entries stand that have an id of their publisher's.
//!
//! By a hash of the id: whoever looks one up reads what is found and compares. It is filled from the stream when a log begins, and by
//! the tail from then on.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use fanfare_hub::Position;

/// The entries with ids of their publishers'. Some 40 bytes for each.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    hasher: RandomState,
    places: BTreeSet<(u64, Position)>,
    /// The same, oldest first.
    order: VecDeque<(Position, u64)>,
}

impl Ids {
    /// Adds an entry behind all that were added.
    pub(crate) fn push(&mut self, position: Position, id: &str) {
        let hash = self.hasher.hash_one(id);
        self.places.insert((hash, position));
        self.order.push_back((position, hash));
    }

    /// Forgets what stands before `oldest`.
    pub(crate) fn trim(&mut self, oldest: Position) {
        while let Some(&(position, hash)) = self.order.front().filter(|(position, _)| *position < oldest) {
            self.places.remove(&(hash, position));
            self.order.pop_front();
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.places.clear();
        self.order.clear();
    }

    /// Where an entry with this id may stand, earliest first, `most` at most.
    pub(crate) fn places(&self, id: &str, most: usize) -> Vec<Position> {
        let hash = self.hasher.hash_one(id);
        let places = self.places.range((hash, 0)..=(hash, Position::MAX));
        places.map(|(_, position)| *position).take(most).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_wherever_it_was_used_until_that_is_not_kept_any_more() {
        let mut ids = Ids::default();
        for (position, id) in [(3, "a"), (4, "b"), (7, "a"), (9, "a")] {
            ids.push(position, id);
        }
        assert_eq!(ids.places("a", 2), [3, 7]);
        ids.trim(7);
        assert_eq!((ids.places("a", 9), ids.places("b", 9), ids.len()), (vec![7, 9], Vec::new(), 2));
        ids.clear();
        assert!(ids.places("a", 9).is_empty());
    }
}
