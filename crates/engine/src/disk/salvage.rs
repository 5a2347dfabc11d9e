//! What can still be found in a complete segment that may be damaged.
//!
//! Each entry keeps its number, whether it can be read or not; of one that cannot be, only that it was there is known.

use std::ops::Range;
use std::path::Path;

use fanfare_hub::Position;

use super::checksum::Checksum;
use super::error::OpenError;
use super::hash::TermHasher;
use super::index::GrowingIndex;
use super::index_file::Outline;
use super::record::{self, Entry, GROUP_HEADER_BYTES, u32_at, u64_at};
use super::segment::{ENTRIES_MAX, HEADER_BYTES, Header};

/// Where an entry begins that cannot be found.
pub(super) const LOST: u32 = u32::MAX;

/// Makes outline and index of a segment of which only its own header and the one behind it are known.
pub(super) fn all(
    path: &Path,
    header: &Header,
    behind: &Header,
    bytes: &[u8],
    hasher: &TermHasher,
) -> Result<(Outline, GrowingIndex), OpenError> {
    let entries = behind.first.checked_sub(header.first).filter(|&entries| entries <= ENTRIES_MAX);
    let entries = entries.and_then(|entries| u32::try_from(entries).ok());
    let mut outline = Outline {
        epoch: header.epoch,
        first: header.first,
        segment_bytes: bytes.len() as u64,
        newest_at: 0,
        newest_check: behind.check_before,
        entries: entries.ok_or_else(|| OpenError::Damaged { path: path.to_owned(), at: 0 })?,
        presence: 0,
        records: 0,
        presence_records: 0,
    };
    let checksum = hasher.checksum(header.format);
    let index = index(&outline, checksum, bytes, hasher);
    let mut readable = index.offsets().iter().rev().filter(|&&offset| offset != LOST);
    let newest = readable.find_map(|&offset| record::entry(checksum, bytes.get(offset as usize..)?).ok());
    outline.newest_at = newest.map_or(0, |newest| newest.at);
    outline.presence = index.places().count();
    outline.records = index.records();
    outline.presence_records = index.presence_records();
    Ok((outline, index))
}

/// Makes the index of a segment from its bytes, as far as they are whole. Headers of groups are not believed: each entry says itself
/// which it is.
pub(super) fn index(
    outline: &Outline,
    checksum: Checksum,
    bytes: &[u8],
    hasher: &TermHasher,
) -> GrowingIndex {
    let mut index = GrowingIndex::default();
    let behind = outline.first + Position::from(outline.entries);
    let mut search = Search { checksum, bytes, bytes_left: bytes.len().saturating_mul(SEARCH_TIMES) };
    let mut at = HEADER_BYTES;
    loop {
        let next = outline.first + Position::from(index.entries());
        let Some((begins, entry)) = search.next_entry(at, next..behind) else { break };
        let number = u32::try_from(entry.position - outline.first).ok();
        let Some((number, offset)) = number.zip(u32::try_from(begins).ok()) else { break };
        index.push_places(LOST, number - index.entries());
        // What begins behind it says that it does not go on for longer.
        if entry.count() > outline.entries - number {
            index.push_places(offset, outline.entries - number);
        } else {
            index.push_record(offset, &entry, hasher);
        }
        at = begins + entry.bytes;
    }
    index.push_places(LOST, outline.entries - index.entries());
    index
}

/// How many times the bytes of a segment are held against checksums at most: an event may be made of what looks like thousands of
/// long entries.
const SEARCH_TIMES: usize = 16;

/// Looks for entries where they should be, and where that is damaged, at every byte behind it.
struct Search<'a> {
    checksum: Checksum,
    bytes: &'a [u8],
    bytes_left: usize,
}

impl<'a> Search<'a> {
    /// The first whole entry from `from` on that has one of `positions`, and where it begins.
    fn next_entry(&mut self, from: usize, positions: Range<Position>) -> Option<(usize, Entry<'a>)> {
        if positions.is_empty() {
            return None;
        }
        if let Some(found) = self.entry_or_group(from, positions.start) {
            return Some(found);
        }
        // Where its length is right, nothing within the damaged entry is looked at.
        for begins in [from, from + GROUP_HEADER_BYTES] {
            let length = u32_at(self.bytes.get(begins..).unwrap_or_default(), 0);
            let Some(behind) = length.and_then(|length| begins.checked_add(8 + length as usize)) else {
                continue;
            };
            if positions.start + 1 == positions.end && behind == self.bytes.len() {
                return None;
            }
            if let Some(found) = self.entry_or_group(behind, positions.start + 1) {
                return positions.contains(&found.1.position).then_some(found);
            }
        }
        (from + 1..self.bytes.len()).find_map(|at| {
            let position = u64_at(self.bytes, at + 8)?;
            if !positions.contains(&position) || self.bytes_left == 0 {
                return None;
            }
            let length = u32_at(self.bytes, at)? as usize;
            self.bytes_left = self.bytes_left.saturating_sub(length.min(self.bytes.len() - at));
            Some((at, self.entry_at(at, position)?))
        })
    }

    /// The entry at a place, or behind the header of a group there.
    fn entry_or_group(&self, at: usize, position: Position) -> Option<(usize, Entry<'a>)> {
        [at, at.checked_add(GROUP_HEADER_BYTES)?]
            .into_iter()
            .find_map(|at| Some((at, self.entry_at(at, position)?)))
    }

    fn entry_at(&self, at: usize, position: Position) -> Option<Entry<'a>> {
        record::entry(self.checksum, self.bytes.get(at..)?).ok().filter(|entry| entry.position == position)
    }
}

#[cfg(test)]
mod tests {
    use fanfare_hub::Check;

    use super::*;
    use crate::disk::run::{Run, Seed};
    use crate::disk::writer::GroupWriter;

    const ENTRY: [u8; 7] = [0, 0, 0, 0, 0, 0, b'\n'];

    /// A segment of groups of some entries each, from position 100 on, and where its entries begin.
    fn segment(groups: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let header = Header { format: 1, epoch: 1, first: 100, check_before: Check::START };
        let mut bytes = header.bytes().to_vec();
        let mut begins = Vec::new();
        for &entries in groups {
            let mut writer = GroupWriter::begin(Checksum::PLAIN, Vec::new(), 100 + begins.len() as Position);
            let places: Vec<_> = (0..entries).map(|_| writer.push(1, Check::START, &ENTRY)).collect();
            begins.extend(places.into_iter().map(|place| bytes.len() + place));
            bytes.extend(writer.finish(0));
        }
        (bytes, begins)
    }

    fn outline(bytes: &[u8], entries: usize) -> Outline {
        Outline {
            epoch: 1,
            first: 100,
            segment_bytes: bytes.len() as u64,
            newest_at: 1,
            newest_check: Check::START,
            entries: u32::try_from(entries).expect("few"),
            presence: 0,
            records: u32::try_from(entries).expect("few"),
            presence_records: 0,
        }
    }

    /// The numbers of the entries that are found; they have to be where they are.
    fn found(bytes: &[u8], begins: &[usize]) -> Vec<usize> {
        let index = index(&outline(bytes, begins.len()), Checksum::PLAIN, bytes, &TermHasher::new([0; 16]));
        assert_eq!(index.entries() as usize, begins.len());
        let places = (0..).map_while(|number| index.offset(number)).zip(begins).enumerate();
        let found = places.filter(|(_, (offset, _))| *offset != LOST);
        found.map(|(number, (offset, &begins))| (number, assert_eq!(offset as usize, begins)).0).collect()
    }

    #[test]
    fn what_is_whole_is_found_around_what_is_not() {
        let (mut bytes, begins) = segment(&[2; 5]);
        // The first entry of the second group, the second of the fourth, and the whole third group.
        bytes[begins[2] + 10] ^= 1;
        bytes[begins[7] + 10] ^= 1;
        bytes[begins[4] - GROUP_HEADER_BYTES..begins[6] - GROUP_HEADER_BYTES].fill(0xAA);
        assert_eq!(found(&bytes, &begins), [0, 1, 3, 6, 8, 9]);
    }

    /// Goal: without an index, too, a bit costs the entry that it is in, and one in a group's header nothing.
    #[test]
    fn a_turned_bit_costs_one_entry_at_most_wherever_it_is() {
        let (whole, begins) = segment(&[1, 4, 2, 1]);
        for bit in HEADER_BYTES * 8..whole.len() * 8 {
            let (byte, mut bytes) = (bit / 8, whole.clone());
            bytes[byte] ^= 1 << (bit % 8);
            let length = 8 + 8 + 8 + 5 + ENTRY.len();
            let lost = begins.iter().position(|begins| (*begins..begins + length).contains(&byte));
            let expected: Vec<_> = (0..begins.len()).filter(|number| Some(*number) != lost).collect();
            assert_eq!(found(&bytes, &begins), expected, "bit {bit}");
        }
    }

    /// Goal: a run that is damaged is lost whole, takes no more room than a whole one, and hides nothing.
    /// Method: two entries, a run of a million, one entry, a run of three; each byte is changed.
    #[test]
    fn a_turned_bit_in_a_run_costs_the_run_and_nothing_else() {
        let mut bytes = segment(&[]).0;
        let mut writer = GroupWriter::begin(Checksum::PLAIN, Vec::new(), 100);
        let seed = Seed([3; 16]);
        let mut begins = vec![writer.push(1, Check::START, &ENTRY), writer.push(1, Check::START, &ENTRY)];
        begins.push(writer.push_run(1, Run { count: 1_000_000, seed }));
        begins.push(writer.push(1, Check::START, &ENTRY));
        begins.push(writer.push_run(1, Run { count: 3, seed }));
        for begins in &mut begins {
            *begins += bytes.len();
        }
        bytes.extend(writer.finish(0));
        let firsts = [0, 1, 2, 1_000_002, 1_000_003, 1_000_006];
        let outline = outline(&bytes, 1_000_006);
        let hasher = TermHasher::new([0; 16]);
        let ends: Vec<_> = begins[1..].iter().copied().chain([bytes.len()]).collect();
        for at in begins[0]..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let index = index(&outline, Checksum::PLAIN, &changed, &hasher);
            assert_eq!((index.entries(), index.offsets().len()), (1_000_006, 5), "byte {at}");
            for record in 0..5 {
                let is_lost = (begins[record]..ends[record]).contains(&at);
                let expected = if is_lost { LOST as usize } else { begins[record] };
                for number in [firsts[record], firsts[record + 1] - 1] {
                    assert_eq!(
                        index.offset(number),
                        u32::try_from(expected).ok(),
                        "byte {at}, entry {number}"
                    );
                }
            }
        }
        // What begins behind a run says where that ends.
        let index = index(&Outline { entries: 500, ..outline }, Checksum::PLAIN, &bytes, &hasher);
        assert_eq!((index.entries(), index.offset(499)), (500, u32::try_from(begins[2]).ok()));
    }

    /// Goal: what a publisher put into an event is never handed out as an entry.
    /// Method: an event that holds the next entry, in an entry whose length is damaged.
    #[test]
    fn an_entry_in_an_event_is_none() {
        let keyed = Checksum::keyed(77);
        let forged = |checksum: Checksum| {
            let mut inner = GroupWriter::begin(checksum, Vec::new(), 101);
            inner.push(1, Check::START, &ENTRY);
            let mut outer = GroupWriter::begin(keyed, Vec::new(), 100);
            let begins = outer.push(1, Check::START, &[&ENTRY[..], &inner.finish(0)].concat());
            let mut bytes = [&[0; HEADER_BYTES][..], &outer.finish(0)].concat();
            bytes[HEADER_BYTES + begins] ^= 1;
            bytes
        };
        let found = |bytes: &[u8]| {
            let outline = outline(bytes, 2);
            index(&outline, keyed, bytes, &TermHasher::new([0; 16])).offset(1)
        };
        assert_eq!(found(&forged(Checksum::PLAIN)), Some(LOST));
        assert_ne!(found(&forged(keyed)), Some(LOST));
    }

    /// Goal: no room is made for what cannot be there.
    #[test]
    fn more_entries_than_a_segment_has_room_for_are_damage() {
        let header = |first| Header { format: 1, epoch: 1, first, check_before: Check::START };
        let hasher = TermHasher::new([0; 16]);
        let all =
            |behind| all(Path::new("a.seg"), &header(100), &header(behind), &[0; HEADER_BYTES], &hasher);
        assert!(matches!(all(1 << 31), Err(OpenError::Damaged { .. })));
        assert!(matches!(all(50), Err(OpenError::Damaged { .. })));
        let (outline, index) = all(103).expect("three that are lost");
        assert_eq!([0, 1, 2].map(|number| index.offset(number)), [Some(LOST); 3]);
        assert_eq!((outline.entries, outline.records, index.offset(3)), (3, 1, None));
    }

    #[test]
    fn what_was_cut_out_or_zeroed_hides_nothing_behind_it() {
        let (whole, begins) = segment(&[3, 3, 3]);
        for from in [begins[1] + 3, begins[2], begins[3] - 7, begins[3] + 1] {
            let mut zeroed = whole.clone();
            zeroed[from..=begins[5]].fill(0);
            let found = found(&zeroed, &begins);
            assert!(found.ends_with(&[6, 7, 8]), "from {from}: {found:?}");
        }
    }
}
