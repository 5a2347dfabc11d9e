//! One file of entries: its header, its name, and going through it from one end to the other.
//!
//! It only reads; who writes is the committer. What is where stands in `docs/log-format.md`.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use fanfare_hub::{Check, Position};

use super::checksum::Checksum;
use super::error::OpenError;
use super::file;
use super::hash::TermHasher;
use super::index::GrowingIndex;
use super::index_file::Outline;
use super::manifest::{FORMAT, FORMATS};
use super::record::{self, GROUP_HEADER_BYTES, GROUP_MARK, Group, NoEntry, u32_at, u64_at};

const MAGIC: &[u8; 8] = b"fanfseg\n";
pub(super) const HEADER_BYTES: usize = 40;
/// How long a segment becomes at most: offsets in it have 32 bits.
pub(super) const SEGMENT_BYTES_MAX: u64 = u32::MAX as u64 / 2;
/// How many entries a segment has at most: numbers of entries have 32 bits, and a run takes no more room the longer it is.
pub(super) const ENTRIES_MAX: u64 = 1 << 30;
/// Ids have no room for more.
const POSITIONS: Range<Position> = 1..1 << 56;

/// What a segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) format: u16,
    pub(super) epoch: u32,
    pub(super) first: Position,
    /// The check of the entry before `first`.
    pub(super) check_before: Check,
}

/// Why a header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoHeader {
    Invalid,
    Newer(u16),
}

impl Header {
    pub(super) fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&self.format.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.check_before.bits().to_le_bytes());
        let crc = crc32fast::hash(&bytes[..36]);
        bytes[36..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NoHeader> {
        let fields = || {
            let bytes = bytes.get(..HEADER_BYTES).filter(|bytes| bytes.starts_with(MAGIC))?;
            (crc32fast::hash(&bytes[..36]) == u32_at(bytes, 36)?).then_some(())?;
            let format = u16::from_le_bytes([bytes[8], bytes[9]]);
            let check_before = Check::from_random(u64_at(bytes, 24)?);
            let first = Some(u64_at(bytes, 16)?).filter(|first| POSITIONS.contains(first))?;
            Some(Self { format, epoch: u32_at(bytes, 12)?, first, check_before })
        };
        match fields() {
            None => Err(NoHeader::Invalid),
            Some(header) if FORMATS.contains(&header.format) => Ok(header),
            Some(header) => Err(NoHeader::Newer(header.format)),
        }
    }
}

/// The files of the segment that begins at a position.
pub(super) fn path(folder: &Path, first: Position) -> PathBuf {
    folder.join(format!("{first:020}.seg"))
}

/// The position that a file of entries begins at, by its name.
pub(super) fn first_by_name(name: &str) -> Option<Position> {
    let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 20)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// What going through a whole segment found.
pub(super) struct Scan {
    pub(super) index: GrowingIndex,
    /// The end of its last valid group.
    pub(super) end: u64,
    /// The last valid group: where it begins, and what it says was synced.
    pub(super) last: Option<(u64, Group)>,
    pub(super) newest_at: u64,
    pub(super) newest_check: Check,
}

impl Scan {
    pub(super) fn outline(&self, header: &Header) -> Outline {
        Outline {
            epoch: header.epoch,
            first: header.first,
            segment_bytes: self.end,
            newest_at: self.newest_at,
            newest_check: self.newest_check,
            entries: self.index.entries(),
            presence: self.index.places().count(),
            records: self.index.records(),
            presence_records: self.index.presence_records(),
        }
    }
}

/// Goes through the groups of a segment's `bytes`, up to the first invalid one.
///
/// # Errors
/// What is invalid was acknowledged, or a newer release wrote it.
pub(super) fn scan(
    path: &Path,
    header: &Header,
    bytes: &[u8],
    hasher: &TermHasher,
) -> Result<Scan, OpenError> {
    let mut scan = Scan {
        index: GrowingIndex::default(),
        end: HEADER_BYTES as u64,
        last: None,
        newest_at: 0,
        newest_check: header.check_before,
    };
    let checksum = hasher.checksum(header.format);
    let mut at = HEADER_BYTES;
    let mut next = header.first;
    while let Some(group) = record::group(checksum, &bytes[at..]).filter(|group| group.first == next) {
        let damaged = |at: usize| OpenError::Damaged { path: path.to_owned(), at: at as u64 };
        let (mut from, end) = (at + GROUP_HEADER_BYTES, at + group.bytes);
        let mut left = group.entries;
        while left > 0 {
            let entry = record::entry(checksum, &bytes[from..end]).map_err(|error| match error {
                NoEntry::UnknownKind(_) => {
                    OpenError::NewerFormat { path: path.to_owned(), format: u32::from(FORMAT) + 1 }
                }
                _ => damaged(from),
            })?;
            let offset = u32::try_from(from).map_err(|_| damaged(from))?;
            let entries = u64::from(scan.index.entries()) + u64::from(entry.count());
            left = left
                .checked_sub(entry.count())
                .filter(|_| entries <= ENTRIES_MAX)
                .ok_or_else(|| damaged(from))?;
            scan.index.push_record(offset, &entry, hasher);
            scan.newest_at = entry.at;
            scan.newest_check = entry.last_check();
            from += entry.bytes;
        }
        next += Position::from(group.entries);
        scan.last = Some((at as u64, group));
        at = end;
    }
    scan.end = at as u64;
    if acknowledged_behind(checksum, bytes, at, next) {
        return Err(OpenError::Damaged { path: path.to_owned(), at: at as u64 });
    }
    Ok(scan)
}

/// Whether a valid group behind an invalid place, where position `next` should be, says that more than this place had been synced.
///
/// What the disk has there may also be of a segment that was removed: such a group has earlier positions.
fn acknowledged_behind(checksum: Checksum, bytes: &[u8], place: usize, next: Position) -> bool {
    let mut from = place + 1;
    while let Some(at) = record::next_mark(bytes, from) {
        let synced = place as u64 + 1..=at as u64;
        if record::group(checksum, &bytes[at..])
            .is_some_and(|group| group.first > next && synced.contains(&group.synced))
        {
            return true;
        }
        from = at + 1;
    }
    false
}

/// Reads about `bytes_max` bytes from the record at `at` on, and at least that record if it is whole; nothing from `end` on.
pub(super) fn read_piece(file: &File, at: u64, end: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
    let left = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; left.min(bytes_max.max(PIECE_BYTES_MIN))];
    file::read_exact_at(file, &mut bytes, at)?;
    if let Some(whole) = record::record_bytes(&bytes).filter(|whole| (bytes.len() + 1..=left).contains(whole))
    {
        bytes.resize(whole, 0);
        file::read_exact_at(file, &mut bytes, at)?;
    }
    Ok(bytes)
}

/// What is read at once at least: most entries are shorter.
const PIECE_BYTES_MIN: usize = 1_024;

/// Skips the header of a group, where one begins here.
pub(super) fn behind_group_header(bytes: &[u8]) -> &[u8] {
    match u32_at(bytes, 0) {
        Some(GROUP_MARK) => bytes.get(GROUP_HEADER_BYTES..).unwrap_or_default(),
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::run::{Run, Seed};
    use crate::disk::writer::GroupWriter;

    const HEADER: Header = Header { format: FORMAT, epoch: 3, first: 10, check_before: Check::START };

    fn hasher() -> TermHasher {
        TermHasher::new([7; 16])
    }

    /// A segment of groups of two small entries each, synced one after the other.
    fn segment(groups: u64) -> Vec<u8> {
        let mut bytes = HEADER.bytes().to_vec();
        for group in 0..groups {
            let mut writer =
                GroupWriter::begin(hasher().checksum(FORMAT), Vec::new(), HEADER.first + 2 * group);
            // A publication to no topic: its kind, its flags, and how many there are.
            for _ in 0..2 {
                writer.push(5, Check::from_random(group + 1), &[0, 0, 0, 0, 0, 0, b'\n']);
            }
            bytes.extend(writer.finish(bytes.len() as u64));
        }
        bytes
    }

    fn scanned(bytes: &[u8]) -> Result<Scan, OpenError> {
        scan(Path::new("a.seg"), &HEADER, bytes, &hasher())
    }

    #[test]
    fn a_header_comes_back_and_a_newer_one_is_told() {
        assert_eq!(Header::parse(&HEADER.bytes()), Ok(HEADER));
        let mut newer = HEADER.bytes();
        newer[8] = 4;
        assert_eq!(Header::parse(&newer), Err(NoHeader::Invalid));
        let crc = crc32fast::hash(&newer[..36]);
        newer[36..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::parse(&newer), Err(NoHeader::Newer(4)));
    }

    #[test]
    fn a_position_that_no_id_has_room_for_is_none() {
        for first in [0, 1 << 56, u64::MAX] {
            assert_eq!(Header::parse(&Header { first, ..HEADER }.bytes()), Err(NoHeader::Invalid));
        }
    }

    #[test]
    fn a_torn_end_is_cut_wherever_it_is_torn() {
        let whole = segment(4);
        let three = segment(3).len();
        for length in three..whole.len() {
            let scan = scanned(&whole[..length]).expect("torn, not damaged");
            assert_eq!((scan.index.entries(), scan.end), (6, three as u64), "cut at {length}");
        }
        let zeros = [&whole[..], &[0; 5_000]].concat();
        assert_eq!(scanned(&zeros).expect("torn").index.entries(), 8);
    }

    #[test]
    fn what_was_acknowledged_and_is_not_there_is_damage_and_not_a_torn_end() {
        let whole = segment(4);
        let (two, three) = (segment(2).len(), segment(3).len());
        for at in [HEADER_BYTES, HEADER_BYTES + 20, two, two + 3, three - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(matches!(scanned(&changed), Err(OpenError::Damaged { .. })), "byte {at}");
        }
        let mut last = whole.clone();
        last[three + 40] ^= 1;
        assert_eq!(scanned(&last).expect("nobody knows of the last group").index.entries(), 6);
    }

    /// A segment of one run for each group.
    fn runs(counts: &[u32]) -> Vec<u8> {
        let (mut bytes, mut next) = (HEADER.bytes().to_vec(), HEADER.first);
        for count in counts {
            let mut writer = GroupWriter::begin(hasher().checksum(FORMAT), Vec::new(), next);
            writer.push_run(5, Run { count: *count, seed: Seed([7; 16]) });
            bytes.extend(writer.finish(bytes.len() as u64));
            next += Position::from(*count);
        }
        bytes
    }

    #[test]
    fn a_run_has_as_many_entries_as_it_says_and_takes_no_more_room_for_them() {
        let bytes = runs(&[3, 1 << 29]);
        assert_eq!(bytes.len(), HEADER_BYTES + 2 * (GROUP_HEADER_BYTES + 55));
        let scan = scanned(&bytes).expect("whole");
        assert_eq!((scan.index.entries(), scan.index.offsets().len()), (3 + (1 << 29), 2));
        assert_eq!(scan.newest_check, Seed([7; 16]).check(HEADER.first + 2 + (1 << 29)));
        let outline = scan.outline(&HEADER);
        assert_eq!((outline.presence, outline.records, outline.presence_records), (3 + (1 << 29), 2, 2));
    }

    /// Numbers of entries have room for no more.
    #[test]
    fn more_entries_than_a_segment_has_room_for_are_damage() {
        assert!(scanned(&runs(&[1 << 29, 1 << 29])).is_ok());
        assert!(matches!(scanned(&runs(&[1 << 29, 1 << 29, 2])), Err(OpenError::Damaged { .. })));
        assert!(matches!(scanned(&runs(&[u32::MAX])), Err(OpenError::Damaged { .. })));
    }

    #[test]
    fn a_torn_end_that_shows_groups_of_a_removed_segment_is_torn_all_the_same() {
        let whole = segment(4);
        for (first, synced) in [(HEADER.first - 5, whole.len() as u64 + 1), (HEADER.first + 50, u64::MAX)] {
            let mut older = GroupWriter::begin(hasher().checksum(FORMAT), Vec::new(), first);
            older.push(5, Check::START, &[0, 0, 0, 0, 0, 0, b'\n']);
            let older = older.finish(synced);
            let bytes = [&whole[..], &[0; 30], &older].concat();
            assert_eq!(scanned(&bytes).expect("torn").end, whole.len() as u64, "{synced}");
        }
    }

    /// Goal: no publisher can make a torn end look like damage.
    /// Method: an event that holds a group which says that all before it was synced, and whose own group is torn at each of its bytes.
    #[test]
    fn a_group_in_an_event_is_none_wherever_the_group_around_it_is_torn() {
        let whole = segment(2);
        let forged = |checksum: Checksum| {
            let mut inner = GroupWriter::begin(checksum, Vec::new(), HEADER.first + 50);
            inner.push(5, Check::START, &[0, 0, 0, 0, 0, 0, b'\n']);
            let inner = inner.finish(whole.len() as u64 + 1);
            let mut outer = GroupWriter::begin(hasher().checksum(FORMAT), Vec::new(), HEADER.first + 4);
            outer.push(5, Check::START, &[&[0, 0, 0, 0, 0, 0, b'\n'][..], &inner].concat());
            outer.finish(whole.len() as u64)
        };
        let last = forged(Checksum::PLAIN);
        for at in 0..last.len() {
            let mut bytes = [&whole[..], &last].concat();
            bytes[whole.len() + at] ^= 1;
            assert_eq!(scanned(&bytes).expect("torn").end, whole.len() as u64, "byte {at}");
        }
        // With the log's secret it would be one.
        let mut bytes = [&whole[..], &forged(hasher().checksum(FORMAT))].concat();
        bytes[whole.len()] ^= 1;
        assert!(matches!(scanned(&bytes), Err(OpenError::Damaged { .. })));
    }

    #[test]
    fn a_file_s_name_is_its_first_position() {
        let path = path(Path::new("x"), 42);
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        assert_eq!(first_by_name(name), Some(42));
        assert_eq!(first_by_name("00000000000000000042.idx"), None);
        assert_eq!(first_by_name("42.seg"), None);
    }
}
