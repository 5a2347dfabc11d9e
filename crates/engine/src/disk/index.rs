//! Where the entries of one segment are: by number, by topic, by publisher's id. In memory, while the segment grows.
//!
//! An entry's number counts from 0 in its segment. What a hash finds may be another text's; whoever reads the entry compares.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use super::hash::{Term, TermHasher};
use super::places::Places;
use super::record::Entry;
use super::salvage::LOST;
use super::stretches::{Stretch, Stretches};

/// Which entries a search found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hits {
    /// So many that reading everything is the shorter way.
    Most,
    /// All there are from the number asked for up to `through`, in order.
    These { numbers: Vec<u32>, through: u32 },
}

/// How many hits of one term are looked up at once.
pub(super) const HITS_MAX: usize = 2_048;
/// Where one entry of so many is a hit, reading all of them is the shorter way.
const DENSE: usize = 4;

/// An index that grows with its segment.
#[derive(Default)]
pub(super) struct GrowingIndex {
    /// Where each record begins.
    offsets: Vec<u32>,
    stretches: Stretches,
    entries: u32,
    terms: HashMap<u64, Chain, BuildHasherDefault<Already>>,
    items: Vec<Item>,
    keyed: Vec<u32>,
    places: Places,
    presence_records: u32,
}

/// The entries of one term, newest first.
#[derive(Clone, Copy)]
struct Chain {
    newest: u32,
    length: u32,
}

/// One entry of one term, and the item of that term before it.
#[derive(Clone, Copy)]
struct Item {
    number: u32,
    before: u32,
}

const NONE: u32 = u32::MAX;

impl GrowingIndex {
    /// Adds the entries of the next record, which begins at `offset`.
    pub(super) fn push_record(&mut self, offset: u32, entry: &Entry<'_>, hasher: &TermHasher) {
        if entry.count() > 1 {
            return self.push_places(offset, entry.count());
        }
        let terms = entry.topics().map(Term::Topic).chain(entry.id.map(Term::Id));
        self.push(offset, terms.map(|term| hasher.hash(term)), entry.key.is_some());
    }

    /// Adds the next entry, which has a record of its own that begins at `offset`. One without a hash is a place of presence: each
    /// publication has a topic.
    pub(super) fn push(&mut self, offset: u32, hashes: impl IntoIterator<Item = u64>, keyed: bool) {
        let number = self.entries;
        let mut hashes = hashes.into_iter().peekable();
        if keyed {
            self.keyed.push(number);
        }
        if hashes.peek().is_none() {
            return self.push_places(offset, 1);
        }
        self.offsets.push(offset);
        self.entries += 1;
        for hash in hashes {
            let item = u32::try_from(self.items.len()).unwrap_or(NONE);
            let chain = self.terms.entry(hash).or_insert(Chain { newest: NONE, length: 0 });
            // Two topics of one entry may have one hash.
            if chain.newest != NONE && self.items[chain.newest as usize].number == number {
                continue;
            }
            self.items.push(Item { number, before: chain.newest });
            *chain = Chain { newest: item, length: chain.length + 1 };
        }
    }

    /// Adds `count` places of presence whose record begins at `offset`, or entries that are [`LOST`]: a record of their own, or more of
    /// the newest one if that begins there.
    pub(super) fn push_places(&mut self, offset: u32, count: u32) {
        let Some(others) = count.checked_sub(1) else { return };
        let first = self.entries;
        let begins = self.offsets.last() != Some(&offset);
        if begins {
            self.offsets.push(offset);
            self.presence_records += u32::from(offset != LOST);
        }
        let record = self.records() - 1;
        match (begins, others) {
            (true, 0) => {}
            (true, more) => self.stretches.extend(record, first, more),
            (false, _) => self.stretches.extend(record, first - 1, count),
        }
        self.entries += count;
        if offset != LOST {
            self.places.push(first, count);
        }
    }

    pub(super) fn entries(&self) -> u32 {
        self.entries
    }

    /// How many records the entries have.
    pub(super) fn records(&self) -> u32 {
        u32::try_from(self.offsets.len()).unwrap_or(NONE)
    }

    /// How many of the records are of presence.
    pub(super) fn presence_records(&self) -> u32 {
        self.presence_records
    }

    /// Where the record of an entry begins in the segment.
    pub(super) fn offset(&self, number: u32) -> Option<u32> {
        let record = (number < self.entries).then(|| self.stretches.record_of(number))?;
        self.offsets.get(record as usize).copied()
    }

    /// The entries that have the same record as an entry.
    pub(super) fn entries_with(&self, number: u32) -> Range<u32> {
        Stretch::entries_with(self.stretches.last_before(number), number)
    }

    /// Where each record begins.
    pub(super) fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    pub(super) fn stretches(&self) -> &Stretches {
        &self.stretches
    }

    /// The entries with an idempotency key.
    pub(super) fn keyed(&self) -> &[u32] {
        &self.keyed
    }

    /// The entries of presence.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// The entries with one of `hashes` from `from` up to, and without, `to`.
    pub(super) fn hits(&self, hashes: &[u64], from: u32, to: u32) -> Hits {
        let range = (to - from) as usize;
        let mut found = Union::new(to);
        for hash in hashes {
            let Some(&chain) = self.terms.get(hash) else { continue };
            // A long walk under a lock is no shorter way either.
            if chain.length as usize > HITS_MAX && chain.length as usize * DENSE >= self.offsets.len() {
                return Hits::Most;
            }
            let mut numbers: Vec<u32> = self
                .chain(chain)
                .take_while(|&number| number >= from)
                .filter(|&number| number < to)
                .collect();
            numbers.reverse();
            found.add(numbers);
        }
        found.hits(from, range)
    }

    /// The earliest entries of a term, in order.
    pub(super) fn all(&self, hash: u64) -> Vec<u32> {
        let mut numbers: Vec<u32> =
            self.terms.get(&hash).into_iter().flat_map(|&chain| self.chain(chain)).collect();
        numbers.reverse();
        numbers
    }

    fn chain(&self, chain: Chain) -> impl Iterator<Item = u32> {
        let mut next = chain.newest;
        std::iter::from_fn(move || {
            let item = self.items.get(next as usize)?;
            next = item.before;
            Some(item.number)
        })
    }

    /// Every item, by hash and number.
    pub(super) fn sorted(&self) -> Vec<(u64, u32)> {
        let mut items: Vec<(u64, u32)> = Vec::with_capacity(self.items.len());
        for (&hash, &chain) in &self.terms {
            items.extend(self.chain(chain).map(|number| (hash, number)));
        }
        items.sort_unstable();
        items
    }
}

/// Collects the hits of several terms.
pub(super) struct Union {
    numbers: Vec<u32>,
    /// Up to here, exclusively, nothing was left out.
    complete_to: u32,
}

impl Union {
    pub(super) fn new(to: u32) -> Self {
        Self { numbers: Vec::new(), complete_to: to }
    }

    /// Adds one term's hits, in order; of more than [`HITS_MAX`] the first.
    pub(super) fn add(&mut self, mut numbers: Vec<u32>) {
        if numbers.len() > HITS_MAX {
            numbers.truncate(HITS_MAX);
            self.complete_to = self.complete_to.min(numbers.last().map_or(0, |last| last + 1));
        }
        self.numbers.extend(numbers);
    }

    pub(super) fn hits(mut self, from: u32, range: usize) -> Hits {
        self.numbers.sort_unstable();
        self.numbers.dedup();
        self.numbers.retain(|&number| number < self.complete_to);
        let searched = ((self.complete_to - from) as usize).min(range);
        if self.numbers.len() > 1 && self.numbers.len() * DENSE >= searched {
            return Hits::Most;
        }
        Hits::These { numbers: self.numbers, through: self.complete_to - 1 }
    }
}

/// A hash that is one already.
#[derive(Default)]
struct Already(u64);

impl Hasher for Already {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_term_are_found_in_order_from_a_number_on() {
        let mut index = GrowingIndex::default();
        for number in 0..100 {
            index.push(40 + number * 10, [u64::from(number % 10)], number % 50 == 0);
        }
        assert_eq!(index.hits(&[3], 10, 60), Hits::These { numbers: vec![13, 23, 33, 43, 53], through: 59 });
        assert_eq!(index.hits(&[99], 10, 60), Hits::These { numbers: vec![], through: 59 });
        assert_eq!(index.offset(7), Some(110));
        assert_eq!(index.keyed(), [0, 50]);
        assert_eq!(index.all(9).len(), 10);
    }

    #[test]
    fn a_term_of_many_entries_is_read_with_everything() {
        let mut index = GrowingIndex::default();
        (0..100).for_each(|number| index.push(number, [1, u64::from(number) + 10], false));
        assert_eq!(index.hits(&[1], 0, 100), Hits::Most);
        assert_eq!(index.hits(&[1, 12], 50, 100), Hits::Most);
    }

    #[test]
    fn a_long_list_of_hits_is_complete_up_to_where_it_says() {
        let mut union = Union::new(1_000_000);
        union.add((0..3_000).map(|number| number * 100).collect());
        union.add(vec![7, 250_000]);
        let Hits::These { numbers, through } = union.hits(0, 1_000_000) else { panic!("few of many") };
        assert_eq!(through, 204_700);
        assert_eq!(numbers.len(), HITS_MAX + 1);
        assert_eq!(numbers.last(), Some(&204_700));
    }

    #[test]
    fn what_begins_where_the_entry_before_does_takes_no_room() {
        let mut index = GrowingIndex::default();
        index.push(40, [1], false);
        index.push_places(90, 1_000_000);
        index.push_places(90, 1);
        index.push(150, [2], true);
        index.push_places(LOST, 3);
        index.push_places(200, 1);
        let numbers = [0, 1, 1_000_001, 1_000_002, 1_000_003, 1_000_005, 1_000_006, 1_000_007];
        let offsets = numbers.map(|number| index.offset(number));
        assert_eq!(
            offsets,
            [Some(40), Some(90), Some(90), Some(150), Some(LOST), Some(LOST), Some(200), None]
        );
        assert_eq!((index.offsets().len(), index.stretches().all().len()), (5, 2));
        assert_eq!((index.entries(), index.keyed()), (1_000_007, &[1_000_002][..]));
        assert_eq!((index.places().count(), index.presence_records()), (1_000_002, 2));
        assert_eq!(
            index.hits(&[2], 500, 1_000_007),
            Hits::These { numbers: vec![1_000_002], through: 1_000_006 }
        );
    }

    #[test]
    fn an_entry_whose_topics_share_a_hash_is_found_once() {
        let mut index = GrowingIndex::default();
        index.push(40, [5, 5], false);
        assert_eq!(index.all(5), [0]);
    }
}
