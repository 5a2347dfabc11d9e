//! Which record of one segment an entry has, where some records have many: runs of presence, and entries that are lost together.
//!
//! It knows no file; entries and records are numbers in their segment, from 0 on.

use std::ops::Range;

/// More than one entry that one record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The number of its first entry.
    pub(super) first: u32,
    pub(super) count: u32,
    /// The number of the record.
    pub(super) record: u32,
}

impl Stretch {
    /// The record of an entry, by the last stretch that begins at it or before it.
    pub(super) fn record_of(last: Option<Self>, entry: u32) -> u32 {
        match last {
            None => entry,
            Some(stretch) => match (entry - stretch.first).checked_sub(stretch.count) {
                None => stretch.record,
                Some(behind) => stretch.record.saturating_add(1).saturating_add(behind),
            },
        }
    }

    /// The entries that have the same record as an entry.
    pub(super) fn entries_with(last: Option<Self>, entry: u32) -> Range<u32> {
        let last = last.map(|stretch| stretch.first..stretch.first.saturating_add(stretch.count));
        last.filter(|entries| entries.contains(&entry)).unwrap_or(entry..entry.saturating_add(1))
    }
}

/// INVARIANT: in order, and each record of one entry between two stretches is counted by both numbers of the second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stretches(Vec<Stretch>);

impl Stretches {
    /// Those that a file has.
    pub(super) fn found(stretches: Vec<Stretch>) -> Self {
        Self(stretches)
    }

    /// The newest record has `more` entries behind `entry`, which is the newest one that it had before.
    pub(super) fn extend(&mut self, record: u32, entry: u32, more: u32) {
        match self.0.last_mut() {
            Some(stretch) if stretch.record == record => stretch.count += more,
            _ => self.0.push(Stretch { first: entry, count: 1 + more, record }),
        }
    }

    pub(super) fn all(&self) -> &[Stretch] {
        &self.0
    }

    /// The record of an entry.
    pub(super) fn record_of(&self, entry: u32) -> u32 {
        Stretch::record_of(self.last_before(entry), entry)
    }

    /// The last stretch that begins at an entry or before it.
    pub(super) fn last_before(&self, entry: u32) -> Option<Stretch> {
        let behind = self.0.partition_point(|stretch| stretch.first <= entry);
        behind.checked_sub(1).map(|last| self.0[last])
    }

    /// How many entries each record has, in order; without end.
    pub(super) fn counts(&self) -> impl Iterator<Item = u32> {
        let mut left = self.0.iter().peekable();
        (0..).map(move |record: u32| {
            left.next_if(|stretch| stretch.record == record).map_or(1, |found| found.count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_of_each_entry_is_found_around_stretches_and_in_them() {
        let mut stretches = Stretches::default();
        // One alone, three together that come in two steps, two together, two alone.
        stretches.extend(1, 1, 1);
        stretches.extend(1, 2, 1);
        stretches.extend(2, 4, 1);
        let records: Vec<_> = (0..8).map(|entry| stretches.record_of(entry)).collect();
        assert_eq!(records, [0, 1, 1, 1, 2, 2, 3, 4]);
        let with = [0, 2, 3, 5, 6].map(|entry| Stretch::entries_with(stretches.last_before(entry), entry));
        assert_eq!(with, [0..1, 1..4, 1..4, 4..6, 6..7]);
        assert_eq!(stretches.counts().take(5).collect::<Vec<_>>(), [1, 3, 2, 1, 1]);
        assert_eq!(stretches.all().len(), 2);
    }
}
