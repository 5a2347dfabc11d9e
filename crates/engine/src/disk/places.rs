//! Which entries of one segment are places of presence, and which number the n-th of the others has.
//!
//! Presence comes in runs, so runs are what is kept. It knows no file; entries are numbers in their segment.

/// INVARIANT: the runs are in order and do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    runs: Vec<Run>,
    count: u32,
}

/// Presence without another entry in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first: u32,
    /// How many of presence come before.
    before: u32,
}

impl Places {
    /// Adds an entry behind all that were added.
    pub(super) fn push(&mut self, number: u32) {
        let touches = self.runs.last().is_some_and(|run| run.first + (self.count - run.before) == number);
        if !touches {
            self.runs.push(Run { first: number, before: self.count });
        }
        self.count += 1;
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The number of the entry that is not presence and has `events` such entries before it.
    pub(super) fn number_of(&self, events: u32) -> u32 {
        let behind = self.runs.partition_point(|run| run.first - run.before <= events);
        events + self.runs.get(behind).map_or(self.count, |run| run.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_entries_are_found_between_those_of_presence() {
        let mut places = Places::default();
        for number in [0, 1, 4, 6, 7, 8] {
            places.push(number);
        }
        assert_eq!((places.count(), places.runs.len()), (6, 3));
        assert_eq!([0, 1, 2, 3, 4].map(|events| places.number_of(events)), [2, 3, 5, 9, 10]);
        assert_eq!(Places::default().number_of(7), 7);
    }
}
