//! Which entries of one segment are places of presence, and which number the n-th of the others has.
//!
//! Presence comes in floods, so stretches of it are what is kept. It knows no file; entries are numbers in their segment.

/// INVARIANT: the stretches are in order and do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    stretches: Vec<Stretch>,
    count: u32,
}

/// Presence without another entry in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    first: u32,
    /// How many of presence come before.
    before: u32,
}

impl Places {
    /// Adds `count` entries from a number on, behind all that were added.
    pub(super) fn push(&mut self, first: u32, count: u32) {
        let touches =
            self.stretches.last().is_some_and(|last| last.first + (self.count - last.before) == first);
        if !touches {
            self.stretches.push(Stretch { first, before: self.count });
        }
        self.count += count;
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The number of the entry that is not presence and has `events` such entries before it.
    pub(super) fn number_of(&self, events: u32) -> u32 {
        let behind = self.stretches.partition_point(|stretch| stretch.first - stretch.before <= events);
        events + self.stretches.get(behind).map_or(self.count, |stretch| stretch.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_entries_are_found_between_those_of_presence() {
        let mut places = Places::default();
        for (first, count) in [(0, 1), (1, 1), (4, 1), (6, 2), (8, 1)] {
            places.push(first, count);
        }
        assert_eq!((places.count(), places.stretches.len()), (6, 3));
        assert_eq!([0, 1, 2, 3, 4].map(|events| places.number_of(events)), [2, 3, 5, 9, 10]);
        assert_eq!(Places::default().number_of(7), 7);
    }
}
