//! The index of a sealed segment, as a file that is searched where it lies.
//!
//! It is checked whole once in a process, and made again from its segment when it is missing or invalid.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use fanfare_hub::{Check, Position};

use super::file::{self, read_exact_at};
use super::index::{GrowingIndex, HITS_MAX, Hits, Union};
use super::places::Places;
use super::record::{u32_at, u64_at};
use super::salvage::LOST;

const MAGIC: &[u8; 8] = b"fanfidx\n";
/// The number of the index's own format.
const FORMAT: u16 = 2;
const HEADER_BYTES: usize = 72;
/// The one before does not say how many entries are presence.
const UNCOUNTED_FORMAT: u16 = 1;
const UNCOUNTED_HEADER_BYTES: usize = 68;
const ITEM_BYTES: usize = 12;
/// How many items a bucket has on average, at most.
const BUCKET_ITEMS: usize = 8;

/// What an index says of its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outline {
    pub(super) epoch: u32,
    pub(super) first: Position,
    /// How long the segment is, in bytes.
    pub(super) segment_bytes: u64,
    /// When its newest entry was appended, in microseconds since 1970.
    pub(super) newest_at: u64,
    /// The check of its newest entry.
    pub(super) newest_check: Check,
    pub(super) entries: u32,
    /// How many of them are places of presence.
    pub(super) presence: u32,
}

/// The sizes of an index's parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) outline: Outline,
    header_bytes: u64,
    bits: u32,
    items: u32,
    keyed: u32,
    crc: u32,
}

/// Writes the index of a segment that is complete. It is not synced: one that is lost is made again.
pub(super) fn write(path: &Path, outline: &Outline, index: &GrowingIndex) -> io::Result<Shape> {
    let items = index.sorted();
    let bits = (items.len() / BUCKET_ITEMS).max(1).ilog2();
    let keyed = index.keyed();
    let mut body = Vec::with_capacity(4 * index.offsets().len() + (4 << bits) + ITEM_BYTES * items.len());
    index.offsets().iter().for_each(|offset| body.extend_from_slice(&offset.to_le_bytes()));
    for bucket in 0..=1_u64 << bits {
        let begins = items.partition_point(|(hash, _)| bucket_of(*hash, bits) < bucket);
        body.extend_from_slice(&number(begins).to_le_bytes());
    }
    for (hash, entry) in &items {
        body.extend_from_slice(&hash.to_le_bytes());
        body.extend_from_slice(&entry.to_le_bytes());
    }
    for entry in keyed {
        body.extend_from_slice(&entry.to_le_bytes());
    }

    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&FORMAT.to_le_bytes());
    header.extend_from_slice(&u16::try_from(bits).unwrap_or(0).to_le_bytes());
    header.extend_from_slice(&outline.epoch.to_le_bytes());
    header.extend_from_slice(&outline.first.to_le_bytes());
    header.extend_from_slice(&outline.segment_bytes.to_le_bytes());
    header.extend_from_slice(&outline.newest_at.to_le_bytes());
    for count in [index.offsets().len(), items.len(), keyed.len()] {
        header.extend_from_slice(&number(count).to_le_bytes());
    }
    let body_crc = crc32fast::hash(&body);
    header.extend_from_slice(&body_crc.to_le_bytes());
    header.extend_from_slice(&outline.newest_check.bits().to_le_bytes());
    header.extend_from_slice(&outline.presence.to_le_bytes());
    let crc = crc32fast::hash(&header);
    header.extend_from_slice(&crc.to_le_bytes());

    // Complete under its name or not at all.
    let new = path.with_extension("idx.new");
    let _ = fs::remove_file(&new);
    let mut out = file::create(&new)?;
    out.write_all(&header)?;
    out.write_all(&body)?;
    fs::rename(&new, path)?;
    let (items, keyed) = (number(items.len()), number(keyed.len()));
    Ok(Shape { outline: *outline, header_bytes: HEADER_BYTES as u64, bits, items, keyed, crc: body_crc })
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn bucket_of(hash: u64, bits: u32) -> u64 {
    // A shift by all 64 bits is none.
    hash.checked_shr(64 - bits).unwrap_or(0)
}

/// Reads what an index says of its segment; `None` if it is no valid one. Its body is looked at only where presence has to be
/// counted.
pub(super) fn shape(file: &File) -> io::Result<Option<Shape>> {
    let mut header = [0; HEADER_BYTES];
    let filled = file::read_at(file, &mut header, 0)?;
    let Some(mut shape) = parse(&header[..filled]) else { return Ok(None) };
    if shape.header_bytes == UNCOUNTED_HEADER_BYTES as u64 {
        if !shape.is_whole(file)? {
            return Ok(None);
        }
        shape.outline.presence = shape.places(file)?.count();
    }
    Ok(Some(shape))
}

fn parse(bytes: &[u8]) -> Option<Shape> {
    bytes.starts_with(MAGIC).then_some(())?;
    let (header_bytes, is_counted) = match u16::from_le_bytes(*bytes.get(8..)?.first_chunk()?) {
        FORMAT => (HEADER_BYTES, true),
        UNCOUNTED_FORMAT => (UNCOUNTED_HEADER_BYTES, false),
        _ => return None,
    };
    let header = bytes.get(..header_bytes)?;
    let crc_at = header_bytes - 4;
    (crc32fast::hash(&header[..crc_at]) == u32_at(header, crc_at)?).then_some(())?;
    Some(Shape {
        header_bytes: header_bytes as u64,
        bits: u32::from(header[10]),
        outline: Outline {
            epoch: u32_at(header, 12)?,
            first: u64_at(header, 16)?,
            segment_bytes: u64_at(header, 24)?,
            newest_at: u64_at(header, 32)?,
            entries: u32_at(header, 40)?,
            newest_check: Check::from_random(u64_at(header, 56)? & 0xFF_FFFF_FFFF),
            presence: if is_counted { u32_at(header, 64)? } else { 0 },
        },
        items: u32_at(header, 44)?,
        keyed: u32_at(header, 48)?,
        crc: u32_at(header, 52)?,
    })
}

impl Shape {
    fn buckets_at(&self) -> u64 {
        self.header_bytes + 4 * u64::from(self.outline.entries)
    }

    fn items_at(&self) -> u64 {
        self.buckets_at() + 4 * ((1_u64 << self.bits) + 1)
    }

    fn keyed_at(&self) -> u64 {
        self.items_at() + ITEM_BYTES as u64 * u64::from(self.items)
    }

    fn end(&self) -> u64 {
        self.keyed_at() + 4 * u64::from(self.keyed)
    }

    /// Whether the body is as it was written.
    pub(super) fn is_whole(&self, file: &File) -> io::Result<bool> {
        if file.metadata()?.len() != self.end() {
            return Ok(false);
        }
        let mut crc = crc32fast::Hasher::new();
        let mut piece = vec![0; 256 * 1024];
        let mut at = self.header_bytes;
        while at < self.end() {
            let read = file::read_at(file, &mut piece, at)?;
            if read == 0 {
                return Ok(false);
            }
            crc.update(&piece[..read]);
            at += read as u64;
        }
        Ok(crc.finalize() == self.crc)
    }

    /// Where an entry begins in the segment.
    pub(super) fn offset(&self, file: &File, entry: u32) -> io::Result<u32> {
        read_u32(file, self.header_bytes + 4 * u64::from(entry))
    }

    /// The entries with an idempotency key.
    pub(super) fn keyed(&self, file: &File) -> io::Result<Vec<u32>> {
        let mut bytes = vec![0; 4 * self.keyed as usize];
        read_exact_at(file, &mut bytes, self.keyed_at())?;
        Ok(bytes.chunks_exact(4).filter_map(|four| u32_at(four, 0)).collect())
    }

    /// The entries of presence: those that are there and have no item.
    pub(super) fn places(&self, file: &File) -> io::Result<Places> {
        let mut offsets = vec![0; 4 * self.outline.entries as usize];
        read_exact_at(file, &mut offsets, self.header_bytes)?;
        let mut is_presence: Vec<bool> =
            offsets.chunks_exact(4).map(|four| u32_at(four, 0) != Some(LOST)).collect();
        drop(offsets);
        let mut piece = vec![0; 4_096 * ITEM_BYTES];
        let (mut at, end) = (self.items_at(), self.keyed_at());
        while at < end {
            let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(piece.len());
            read_exact_at(file, &mut piece[..length], at)?;
            for item in piece[..length].chunks_exact(ITEM_BYTES) {
                if let Some(entry) = is_presence.get_mut(item_of(item).1 as usize) {
                    *entry = false;
                }
            }
            at += length as u64;
        }
        let mut places = Places::default();
        (0..).zip(is_presence).filter(|(_, is)| *is).for_each(|(number, _)| places.push(number));
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

    const OUTLINE: Outline = Outline {
        epoch: 9,
        first: 41,
        segment_bytes: 4_000,
        newest_at: 77,
        newest_check: Check::START,
        entries: 0,
        presence: 0,
    };

    fn written(index: &GrowingIndex) -> (tempfile::TempDir, File) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("1.idx");
        let outline = Outline { entries: index.entries(), presence: index.places().count(), ..OUTLINE };
        write(&path, &outline, index).expect("written");
        (folder, File::open(path).expect("opened"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Goal: an index in a file finds what the same index in memory finds.
        #[test]
        fn a_written_index_finds_what_it_found_in_memory(
            entries in prop::collection::vec((prop::collection::vec(0..6_u64, 0..3), any::<bool>()), 1..300),
            from in 0..300_u32,
            spread: bool,
        ) {
            let mut index = GrowingIndex::default();
            let hash = |term: u64| if spread { term.wrapping_mul(0x9E37_79B9_7F4A_7C15) } else { term };
            for (at, (terms, keyed)) in (0..).zip(&entries) {
                index.push(40 + at, terms.iter().map(|&term| hash(term)), *keyed);
            }
            let (_folder, file) = written(&index);
            let shape = shape(&file).expect("read").expect("valid");
            prop_assert!(shape.is_whole(&file).expect("read"));
            prop_assert_eq!(shape.keyed(&file).expect("read"), index.keyed());
            prop_assert_eq!(&shape.places(&file).expect("read"), index.places());
            let from = from.min(index.entries() - 1);
            prop_assert_eq!(shape.offset(&file, from).expect("read"), 40 + from);
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

    /// The index as the format before has it.
    fn uncounted(index: &[u8]) -> Vec<u8> {
        let mut header = index[..UNCOUNTED_HEADER_BYTES - 4].to_vec();
        header[8..10].copy_from_slice(&UNCOUNTED_FORMAT.to_le_bytes());
        let crc = crc32fast::hash(&header);
        [&header, &crc.to_le_bytes()[..], &index[HEADER_BYTES..]].concat()
    }

    #[test]
    fn an_index_of_the_format_before_says_the_same() {
        let mut index = GrowingIndex::default();
        for entry in 0..1_000_u32 {
            let terms = (entry % 7 < 3).then_some(u64::from(entry % 50));
            index.push(if entry % 70 == 69 { LOST } else { entry }, terms, entry % 3 == 0);
        }
        let (folder, file) = written(&index);
        let path = folder.path().join("1.idx");
        let bytes = fs::read(&path).expect("read");
        fs::write(&path, uncounted(&bytes)).expect("written");
        let now = shape(&file).expect("read").expect("valid");
        let earlier = File::open(&path).expect("opened");
        let before = shape(&earlier).expect("read").expect("valid");
        assert_eq!(before.outline, now.outline);
        assert_eq!(before.places(&earlier).expect("read"), *index.places());
        assert_eq!(before.keyed(&earlier).expect("read"), index.keyed());
        assert_eq!(before.offset(&earlier, 500).expect("read"), 500);
        assert_eq!(before.hits(&earlier, &[8], 0, 1_000).expect("read"), index.hits(&[8], 0, 1_000));
    }

    #[test]
    fn an_index_with_a_changed_byte_is_not_whole() {
        let mut index = GrowingIndex::default();
        (0..50).for_each(|entry| index.push(entry, [u64::from(entry)], true));
        let (folder, _) = written(&index);
        let path = folder.path().join("1.idx");
        let written = fs::read(&path).expect("read");
        for whole in [uncounted(&written), written] {
            for at in 0..whole.len() {
                let mut changed = whole.clone();
                changed[at] ^= 4;
                fs::write(&path, &changed).expect("written");
                let file = File::open(&path).expect("opened");
                let is_whole =
                    shape(&file).expect("read").is_some_and(|shape| shape.is_whole(&file).expect("read"));
                assert!(!is_whole, "byte {at}");
            }
        }
    }
}
