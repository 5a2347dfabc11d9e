//! Searches the index of a sealed segment where its file lies.
//!
//! It believes what it reads: whoever opened the file has looked at the whole of it ([`Shape::is_whole`]).

use std::fs::File;
use std::io;
use std::ops::Range;

use super::file::read_exact_at;
use super::index::{HITS_MAX, Hits, Union};
use super::index_file::{ITEM_BYTES, STRETCH_BYTES, Shape, bucket_of};
use super::places::Places;
use super::record::{u32_at, u64_at};
use super::salvage::LOST;
use super::stretches::{Stretch, Stretches};

/// How many stretches are read at once.
const STRETCHES_AT_ONCE: u32 = 256;

/// The stretches that were read last.
struct Near {
    stretches: Stretches,
    /// Whether none comes before them, and none behind.
    is_start: bool,
    is_end: bool,
}

impl Near {
    /// Whether the last stretch that begins at an entry or before it is among these, or there is none.
    fn covers(&self, entry: u32) -> bool {
        let all = self.stretches.all();
        let begins_before = self.is_start || all.first().is_some_and(|first| first.first <= entry);
        begins_before && (self.is_end || all.last().is_some_and(|last| entry <= last.first))
    }
}

impl Shape {
    /// Where the records of some entries begin in the segment. What is near to each other takes one search.
    pub(super) fn offsets(&self, file: &File, entries: &[u32]) -> io::Result<Vec<u32>> {
        let is_none = self.stretches == 0;
        let mut near = Near { stretches: Stretches::default(), is_start: is_none, is_end: is_none };
        let offset = |&entry: &u32| {
            if !near.covers(entry) {
                near = self.near(file, entry)?;
            }
            let record = near.stretches.record_of(entry);
            if record >= self.outline.records {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            read_u32(file, self.offsets_at() + 4 * u64::from(record))
        };
        entries.iter().map(offset).collect()
    }

    /// Reads the stretches around an entry.
    fn near(&self, file: &File, entry: u32) -> io::Result<Near> {
        // The one at `low` begins there or before, if any does; none does from `high` on.
        let (mut low, mut high) = (0, self.stretches);
        while high - low > STRETCHES_AT_ONCE {
            let middle = u32::midpoint(low, high);
            let begins =
                self.stretches_from(file, middle, 1)?.all().first().map_or(0, |stretch| stretch.first);
            if begins <= entry { low = middle } else { high = middle }
        }
        let high = low.saturating_add(STRETCHES_AT_ONCE).min(self.stretches);
        let stretches = self.stretches_from(file, low, high - low)?;
        Ok(Near { stretches, is_start: low == 0, is_end: high == self.stretches })
    }

    /// The entries that have the same record as an entry.
    pub(super) fn entries_with(&self, file: &File, entry: u32) -> io::Result<Range<u32>> {
        Ok(Stretch::entries_with(self.near(file, entry)?.stretches.last_before(entry), entry))
    }

    fn stretches_from(&self, file: &File, from: u32, count: u32) -> io::Result<Stretches> {
        let mut bytes = vec![0; STRETCH_BYTES * count as usize];
        if bytes.is_empty() {
            return Ok(Stretches::default());
        }
        read_exact_at(file, &mut bytes, self.stretches_at() + STRETCH_BYTES as u64 * u64::from(from))?;
        let number = |bytes: &[u8], at| u32_at(bytes, at).unwrap_or(0);
        let stretches = bytes.chunks_exact(STRETCH_BYTES).map(|bytes| Stretch {
            first: number(bytes, 0),
            count: number(bytes, 4),
            record: number(bytes, 8),
        });
        Ok(Stretches::found(stretches.collect()))
    }

    /// The entries with an idempotency key.
    pub(super) fn keyed(&self, file: &File) -> io::Result<Vec<u32>> {
        let mut bytes = vec![0; 4 * self.keyed as usize];
        read_exact_at(file, &mut bytes, self.keyed_at())?;
        Ok(bytes.chunks_exact(4).filter_map(|four| u32_at(four, 0)).collect())
    }

    /// The entries of presence: those whose records are there and have no item.
    pub(super) fn places(&self, file: &File) -> io::Result<Places> {
        let stretches = self.stretches_from(file, 0, self.stretches)?;
        let mut offsets = vec![0; 4 * self.outline.records as usize];
        read_exact_at(file, &mut offsets, self.offsets_at())?;
        let mut is_presence: Vec<bool> =
            offsets.chunks_exact(4).map(|four| u32_at(four, 0) != Some(LOST)).collect();
        drop(offsets);
        let mut piece = vec![0; 4_096 * ITEM_BYTES];
        let (mut at, end) = (self.items_at(), self.keyed_at());
        while at < end {
            let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(piece.len());
            read_exact_at(file, &mut piece[..length], at)?;
            for item in piece[..length].chunks_exact(ITEM_BYTES) {
                let record = stretches.record_of(item_of(item).1);
                if let Some(is_presence) = is_presence.get_mut(record as usize) {
                    *is_presence = false;
                }
            }
            at += length as u64;
        }
        let (mut places, mut next) = (Places::default(), 0);
        for (count, is_presence) in stretches.counts().zip(is_presence) {
            if is_presence {
                places.push(next, count);
            }
            next += count;
        }
        Ok(places)
    }

    /// The entries with one of `hashes` from `from` up to, and without, `to`.
    pub(super) fn hits(&self, file: &File, hashes: &[u64], from: u32, to: u32) -> io::Result<Hits> {
        let mut found = Union::new(to);
        for &hash in hashes {
            // One more than is taken, which tells that there are more.
            let numbers = self.of_term(file, hash, from, HITS_MAX + 1)?;
            found.add(numbers.into_iter().filter(|&number| number < to).collect());
        }
        Ok(found.hits(from, (to - from) as usize))
    }

    /// The entries of a term from `from` on, in order, `most` at most.
    pub(super) fn of_term(&self, file: &File, hash: u64, from: u32, most: usize) -> io::Result<Vec<u32>> {
        let bucket = bucket_of(hash, self.bits);
        let mut ends = [0; 8];
        read_exact_at(file, &mut ends, self.buckets_at() + 4 * bucket)?;
        let (mut low, end) = (u32_at(&ends, 0).unwrap_or(0), u32_at(&ends, 4).unwrap_or(0));
        // A topic with very many entries makes a long bucket.
        let mut high = end;
        while high > low + 64 {
            let middle = u32::midpoint(low, high);
            if self.item(file, middle)? < (hash, from) { low = middle + 1 } else { high = middle }
        }
        let mut found = Vec::new();
        let mut piece = [0; 64 * ITEM_BYTES];
        while low < end && found.len() < most {
            let bytes = &mut piece[..ITEM_BYTES * (end - low).min(64) as usize];
            read_exact_at(file, bytes, self.items_at() + ITEM_BYTES as u64 * u64::from(low))?;
            for item in bytes.chunks_exact(ITEM_BYTES) {
                let item = item_of(item);
                if item.0 > hash {
                    return Ok(found);
                }
                if item >= (hash, from) && found.len() < most {
                    found.push(item.1);
                }
            }
            low += 64;
        }
        Ok(found)
    }

    fn item(&self, file: &File, at: u32) -> io::Result<(u64, u32)> {
        let mut bytes = [0; ITEM_BYTES];
        read_exact_at(file, &mut bytes, self.items_at() + ITEM_BYTES as u64 * u64::from(at))?;
        Ok(item_of(&bytes))
    }
}

fn item_of(bytes: &[u8]) -> (u64, u32) {
    (u64_at(bytes, 0).unwrap_or(0), u32_at(bytes, 8).unwrap_or(0))
}

fn read_u32(file: &File, at: u64) -> io::Result<u32> {
    let mut bytes = [0; 4];
    read_exact_at(file, &mut bytes, at)?;
    Ok(u32::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::index::GrowingIndex;
    use crate::disk::index_file::{shape, tests::written};

    /// What comes next in a segment.
    #[derive(Clone, Debug)]
    enum Next {
        Entry { terms: Vec<u64>, keyed: bool },
        Places(u32),
        Lost(u32),
    }

    fn next() -> impl Strategy<Value = Next> {
        prop_oneof![
            6 => (prop::collection::vec(0..6_u64, 0..3), any::<bool>())
                .prop_map(|(terms, keyed)| Next::Entry { terms, keyed }),
            2 => (1..300_u32).prop_map(Next::Places),
            1 => (1..300_u32).prop_map(Next::Lost),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Goal: an index in a file finds what the same index in memory finds.
        #[test]
        fn a_written_index_finds_what_it_found_in_memory(
            all in prop::collection::vec(next(), 1..1_500),
            from in any::<prop::sample::Index>(),
            spread: bool,
        ) {
            let mut index = GrowingIndex::default();
            let hash = |term: u64| if spread { term.wrapping_mul(0x9E37_79B9_7F4A_7C15) } else { term };
            for (at, next) in (40..).zip(&all) {
                match next {
                    Next::Entry { terms, keyed } => index.push(at, terms.iter().map(|&term| hash(term)), *keyed),
                    Next::Places(count) => index.push_places(at, *count),
                    Next::Lost(count) => index.push_places(LOST, *count),
                }
            }
            let (_folder, file) = written(&index);
            let shape = shape(&file).expect("read").expect("valid");
            prop_assert!(shape.is_whole(&file).expect("read"));
            prop_assert_eq!(shape.keyed(&file).expect("read"), index.keyed());
            prop_assert_eq!(&shape.places(&file).expect("read"), index.places());
            let entries: Vec<_> = (0..index.entries()).step_by(7).collect();
            let expected: Vec<_> = entries.iter().filter_map(|&entry| index.offset(entry)).collect();
            prop_assert_eq!(shape.offsets(&file, &entries).expect("read"), expected);
            let from = u32::try_from(from.index(index.entries() as usize)).expect("it fits");
            prop_assert_eq!(shape.offsets(&file, &[from]).expect("read").first().copied(), index.offset(from));
            for term in 0..7 {
                let hashes = [hash(term)];
                prop_assert_eq!(
                    shape.hits(&file, &hashes, from, index.entries()).expect("read"),
                    index.hits(&hashes, from, index.entries())
                );
                prop_assert_eq!(shape.of_term(&file, hashes[0], 0, usize::MAX).expect("read"), index.all(hashes[0]));
            }
        }
    }
}
