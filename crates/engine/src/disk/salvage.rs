//! What can still be found in a complete segment that may be damaged.
//!
//! Each entry keeps its number, whether it can be read or not; of one that cannot be, only that it was there is known.

use std::path::Path;

use fanfare_hub::Position;

use super::error::OpenError;
use super::hash::TermHasher;
use super::index::GrowingIndex;
use super::index_file::Outline;
use super::record::{self, Entry, GROUP_HEADER_BYTES, GROUP_MARK, u32_at, u64_at};
use super::segment::{HEADER_BYTES, Header, hashes};

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
    let entries = behind.first.checked_sub(header.first).and_then(|entries| u32::try_from(entries).ok());
    let mut outline = Outline {
        epoch: header.epoch,
        first: header.first,
        segment_bytes: bytes.len() as u64,
        newest_at: 0,
        newest_check: behind.check_before,
        entries: entries.ok_or_else(|| OpenError::Damaged { path: path.to_owned(), at: 0 })?,
    };
    let index = index(&outline, bytes, hasher);
    let mut readable = index.offsets().iter().rev().filter(|&&offset| offset != LOST);
    let newest = readable.find_map(|&offset| record::entry(bytes.get(offset as usize..)?).ok());
    outline.newest_at = newest.map_or(0, |newest| newest.at);
    Ok((outline, index))
}

/// Makes the index of a segment from its bytes, as far as they are whole.
pub(super) fn index(outline: &Outline, bytes: &[u8], hasher: &TermHasher) -> GrowingIndex {
    let mut index = GrowingIndex::default();
    let mut at = HEADER_BYTES;
    while at < bytes.len() && index.entries() < outline.entries {
        let is_group = u32_at(bytes, at) == Some(GROUP_MARK);
        let first = u64_at(bytes, at + 16).and_then(|first| first.checked_sub(outline.first));
        match first.and_then(|first| u32::try_from(first).ok()).filter(|_| is_group) {
            // What stands between this group and the one before it is lost.
            Some(first) if first >= index.entries() && first < outline.entries => {
                (index.entries()..first).for_each(|_| index.push(LOST, [], false));
                at = entries(outline, bytes, at + GROUP_HEADER_BYTES, &mut index, hasher);
            }
            _ => at = record::next_mark(bytes, at + 1).unwrap_or(bytes.len()),
        }
    }
    (index.entries()..outline.entries).for_each(|_| index.push(LOST, [], false));
    index
}

/// Takes in the entries from `at` on, up to where none follows; returns where that is.
fn entries(
    outline: &Outline,
    bytes: &[u8],
    mut at: usize,
    index: &mut GrowingIndex,
    hasher: &TermHasher,
) -> usize {
    while index.entries() < outline.entries {
        let position = outline.first + u64::from(index.entries());
        if let (Some(entry), Ok(offset)) = (entry_at(bytes, at, position), u32::try_from(at)) {
            index.push(offset, hashes(&entry, hasher), entry.key.is_some());
            at += entry.bytes;
            continue;
        }
        // Where its length is right, one damaged entry does not hide the next.
        let behind = u32_at(bytes.get(at..).unwrap_or_default(), 0)
            .and_then(|length| at.checked_add(8 + length as usize));
        match behind.filter(|&behind| entry_at(bytes, behind, position + 1).is_some()) {
            Some(behind) => {
                index.push(LOST, [], false);
                at = behind;
            }
            None => break,
        }
    }
    at.min(bytes.len())
}

fn entry_at(bytes: &[u8], at: usize, position: Position) -> Option<Entry<'_>> {
    record::entry(bytes.get(at..)?).ok().filter(|entry| entry.position == position)
}

#[cfg(test)]
mod tests {
    use fanfare_hub::Check;

    use super::*;
    use crate::disk::record::GroupWriter;

    #[test]
    fn what_is_whole_is_found_around_what_is_not() {
        let header = Header { epoch: 1, first: 100, check_before: Check::START };
        let mut bytes = header.bytes().to_vec();
        let mut begins = Vec::new();
        for group in 0..5 {
            let mut writer = GroupWriter::begin(Vec::new(), 100 + 2 * group);
            let places: Vec<_> =
                (0..2).map(|_| writer.push(1, Check::START, &[0, 0, 0, 0, 0, 0, b'\n'])).collect();
            begins.extend(places.into_iter().map(|place| bytes.len() + place));
            bytes.extend(writer.finish(0));
        }
        let outline = Outline {
            epoch: 1,
            first: 100,
            segment_bytes: bytes.len() as u64,
            newest_at: 1,
            newest_check: Check::START,
            entries: 10,
        };
        // The first entry of the second group, the second of the fourth, and the whole third group.
        bytes[begins[2] + 10] ^= 1;
        bytes[begins[7] + 10] ^= 1;
        bytes[begins[4] - GROUP_HEADER_BYTES..begins[6] - GROUP_HEADER_BYTES].fill(0xAA);
        let index = index(&outline, &bytes, &TermHasher::new([0; 16]));
        let is_there = |entry: &u32| index.offset(*entry) != Some(LOST);
        let found: Vec<usize> = (0..10).filter(is_there).map(|entry| entry as usize).collect();
        assert_eq!(found, [0, 1, 3, 6, 8, 9]);
        for entry in found {
            assert_eq!(
                index.offset(u32::try_from(entry).expect("small")).map(|offset| offset as usize),
                Some(begins[entry])
            );
        }
    }
}
