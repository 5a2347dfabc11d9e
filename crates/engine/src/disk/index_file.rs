//! The index of a sealed segment as a file: how it is written, and where what is in it.
//!
//! It is checked whole once in a process, and made again from its segment when it is missing or invalid. Who searches it is
//! [`index_search`](super::index_search).

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use fanfare_hub::{Check, Position};

use super::file;
use super::index::GrowingIndex;
use super::record::{u32_at, u64_at};
use super::stretches::Stretch;

const MAGIC: &[u8; 8] = b"fanfidx\n";
/// The numbers of the index's own formats, and how long their headers are.
const FORMAT: u16 = 3;
const HEADER_BYTES: usize = 84;
/// Each entry has a record.
const FORMAT_WITHOUT_STRETCHES: u16 = 2;
const HEADER_BYTES_WITHOUT_STRETCHES: usize = 72;
/// It does not say how many entries are presence, either.
const FORMAT_UNCOUNTED: u16 = 1;
const HEADER_BYTES_UNCOUNTED: usize = 68;

pub(super) const ITEM_BYTES: usize = 12;
pub(super) const STRETCH_BYTES: usize = 12;
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
    /// How many records the entries have.
    pub(super) records: u32,
    /// How many of these are of presence.
    pub(super) presence_records: u32,
}

/// The sizes of an index's parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) outline: Outline,
    header_bytes: u64,
    pub(super) bits: u32,
    pub(super) stretches: u32,
    items: u32,
    pub(super) keyed: u32,
    crc: u32,
}

/// Writes the index of a segment that is complete. It is not synced: one that is lost is made again.
pub(super) fn write(path: &Path, outline: &Outline, index: &GrowingIndex) -> io::Result<Shape> {
    let items = index.sorted();
    let bits = (items.len() / BUCKET_ITEMS).max(1).ilog2();
    let keyed = index.keyed();
    let stretches = index.stretches().all();
    let mut body = Vec::with_capacity(4 * index.offsets().len() + (4 << bits) + ITEM_BYTES * items.len());
    index.offsets().iter().for_each(|offset| body.extend_from_slice(&offset.to_le_bytes()));
    for Stretch { first, count, record } in stretches {
        for number in [first, count, record] {
            body.extend_from_slice(&number.to_le_bytes());
        }
    }
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
    for count in [outline.entries, number(items.len()), number(keyed.len())] {
        header.extend_from_slice(&count.to_le_bytes());
    }
    let body_crc = crc32fast::hash(&body);
    header.extend_from_slice(&body_crc.to_le_bytes());
    header.extend_from_slice(&outline.newest_check.bits().to_le_bytes());
    for count in [outline.presence, outline.records, outline.presence_records, number(stretches.len())] {
        header.extend_from_slice(&count.to_le_bytes());
    }
    let crc = crc32fast::hash(&header);
    header.extend_from_slice(&crc.to_le_bytes());

    // Complete under its name or not at all.
    let new = path.with_extension("idx.new");
    let _ = fs::remove_file(&new);
    let mut out = file::create(&new)?;
    out.write_all(&header)?;
    out.write_all(&body)?;
    fs::rename(&new, path)?;
    Ok(Shape {
        outline: *outline,
        header_bytes: HEADER_BYTES as u64,
        bits,
        stretches: number(stretches.len()),
        items: number(items.len()),
        keyed: number(keyed.len()),
        crc: body_crc,
    })
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

pub(super) fn bucket_of(hash: u64, bits: u32) -> u64 {
    // A shift by all 64 bits is none.
    hash.checked_shr(64 - bits).unwrap_or(0)
}

/// Reads what an index says of its segment; `None` if it is no valid one. Its body is looked at only where presence has to be
/// counted.
pub(super) fn shape(file: &File) -> io::Result<Option<Shape>> {
    let mut header = [0; HEADER_BYTES];
    let filled = file::read_at(file, &mut header, 0)?;
    let Some(mut shape) = parse(&header[..filled]) else { return Ok(None) };
    if shape.header_bytes == HEADER_BYTES_UNCOUNTED as u64 {
        if !shape.is_whole(file)? {
            return Ok(None);
        }
        shape.outline.presence = shape.places(file)?.count();
        shape.outline.presence_records = shape.outline.presence;
    }
    Ok(Some(shape))
}

fn parse(bytes: &[u8]) -> Option<Shape> {
    bytes.starts_with(MAGIC).then_some(())?;
    let header_bytes = match u16::from_le_bytes(*bytes.get(8..)?.first_chunk()?) {
        FORMAT => HEADER_BYTES,
        FORMAT_WITHOUT_STRETCHES => HEADER_BYTES_WITHOUT_STRETCHES,
        FORMAT_UNCOUNTED => HEADER_BYTES_UNCOUNTED,
        _ => return None,
    };
    let header = bytes.get(..header_bytes)?;
    let crc_at = header_bytes - 4;
    (crc32fast::hash(&header[..crc_at]) == u32_at(header, crc_at)?).then_some(())?;
    let entries = u32_at(header, 40)?;
    // What a header is too short for.
    let or = |at: usize, otherwise: u32| if at < crc_at { u32_at(header, at) } else { Some(otherwise) };
    let presence = or(64, 0)?;
    Some(Shape {
        header_bytes: header_bytes as u64,
        bits: u32::from(header[10]),
        outline: Outline {
            epoch: u32_at(header, 12)?,
            first: u64_at(header, 16)?,
            segment_bytes: u64_at(header, 24)?,
            newest_at: u64_at(header, 32)?,
            entries,
            newest_check: Check::from_random(u64_at(header, 56)? & 0xFF_FFFF_FFFF),
            presence,
            records: or(68, entries)?,
            presence_records: or(72, presence)?,
        },
        stretches: or(76, 0)?,
        items: u32_at(header, 44)?,
        keyed: u32_at(header, 48)?,
        crc: u32_at(header, 52)?,
    })
}

impl Shape {
    pub(super) fn offsets_at(&self) -> u64 {
        self.header_bytes
    }

    pub(super) fn stretches_at(&self) -> u64 {
        self.offsets_at() + 4 * u64::from(self.outline.records)
    }

    pub(super) fn buckets_at(&self) -> u64 {
        self.stretches_at() + STRETCH_BYTES as u64 * u64::from(self.stretches)
    }

    pub(super) fn items_at(&self) -> u64 {
        self.buckets_at() + 4 * ((1_u64 << self.bits) + 1)
    }

    pub(super) fn keyed_at(&self) -> u64 {
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
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::disk::salvage::LOST;

    pub(in crate::disk) fn written(index: &GrowingIndex) -> (tempfile::TempDir, File) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("1.idx");
        let outline = Outline {
            epoch: 9,
            first: 41,
            segment_bytes: 4_000,
            newest_at: 77,
            newest_check: Check::START,
            entries: index.entries(),
            presence: index.places().count(),
            records: index.records(),
            presence_records: index.presence_records(),
        };
        write(&path, &outline, index).expect("written");
        (folder, File::open(path).expect("opened"))
    }

    /// The index as an earlier format has it, if there are no stretches in it.
    fn as_before(index: &[u8], format: u16, header_bytes: usize) -> Vec<u8> {
        let mut header = index[..header_bytes - 4].to_vec();
        header[8..10].copy_from_slice(&format.to_le_bytes());
        let crc = crc32fast::hash(&header);
        [&header, &crc.to_le_bytes()[..], &index[HEADER_BYTES..]].concat()
    }

    const EARLIER: [(u16, usize); 2] = [
        (FORMAT_WITHOUT_STRETCHES, HEADER_BYTES_WITHOUT_STRETCHES),
        (FORMAT_UNCOUNTED, HEADER_BYTES_UNCOUNTED),
    ];

    #[test]
    fn an_index_of_an_earlier_format_says_the_same() {
        let mut index = GrowingIndex::default();
        for entry in 0..1_000_u32 {
            let terms = (entry % 7 < 3).then_some(u64::from(entry % 50));
            index.push(if entry % 70 == 69 { LOST } else { entry }, terms, entry % 3 == 0);
        }
        let (folder, file) = written(&index);
        let path = folder.path().join("1.idx");
        let bytes = fs::read(&path).expect("read");
        let now = shape(&file).expect("read").expect("valid");
        for (format, header_bytes) in EARLIER {
            fs::remove_file(&path).expect("removed");
            fs::write(&path, as_before(&bytes, format, header_bytes)).expect("written");
            let earlier = File::open(&path).expect("opened");
            let before = shape(&earlier).expect("read").expect("valid");
            assert!(before.is_whole(&earlier).expect("read"));
            assert_eq!(before.outline, now.outline);
            assert_eq!(before.places(&earlier).expect("read"), *index.places());
            assert_eq!(before.keyed(&earlier).expect("read"), index.keyed());
            assert_eq!(before.offsets(&earlier, &[500]).expect("read"), [500]);
            assert_eq!(before.hits(&earlier, &[8], 0, 1_000).expect("read"), index.hits(&[8], 0, 1_000));
        }
    }

    #[test]
    fn an_index_with_a_changed_byte_is_not_whole() {
        let mut index = GrowingIndex::default();
        (0..50).for_each(|entry| index.push(entry, [u64::from(entry)], true));
        let (folder, _) = written(&index);
        let path = folder.path().join("1.idx");
        let written = fs::read(&path).expect("read");
        let earlier = EARLIER.map(|(format, header_bytes)| as_before(&written, format, header_bytes));
        for whole in earlier.into_iter().chain([written]) {
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
