//! Finds what is in a folder: which log it is, its segments, and what the last process left half done.
//!
//! Nothing is guessed. Only what nobody was told of is cut off; what was acknowledged and is damaged is refused in the newest
//! segment, and in the others left for whoever reads it.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use fanfare_hub::{Check, Position};

use super::committer::create_segment;
use super::error::OpenError;
use super::file;
use super::hash::TermHasher;
use super::index::GrowingIndex;
use super::index_file::{self, Outline};
use super::manifest::{FORMAT, Manifest};
use super::salvage;
use super::segment::{self, ENTRIES_MAX, HEADER_BYTES, Header, NoHeader, Scan};
use super::state::{Sealed, Tail};
use crate::copy::LogOutline;

/// What is found in a folder.
pub(super) struct Contents {
    pub(super) manifest: Manifest,
    pub(super) hasher: TermHasher,
    pub(super) sealed: Vec<Arc<Sealed>>,
    pub(super) tail: Tail,
}

/// Reads a folder, or begins a log in one that has none: `new`, or one that is drawn.
pub(super) fn contents(folder: &Path, new: Option<LogOutline>) -> Result<Contents, OpenError> {
    let mut firsts = segments(folder)?;
    let manifest = match Manifest::read(folder)? {
        Some(manifest) => manifest,
        None if firsts.is_empty() => Manifest::create(folder, new.map(|new| (new.epoch, new.key)))?,
        None => {
            return Err(OpenError::Missing { folder: folder.to_owned(), what: "the file `log`".to_owned() });
        }
    };
    let hasher = TermHasher::new(manifest.salt);
    // A segment that was begun when the process ended has no entries yet.
    let mut tail = loop {
        let Some(first) = firsts.pop() else {
            let (first, before) = new.map_or((1, Check::START), |new| (new.oldest, new.check_before));
            break begin(folder, manifest.epoch, first, before)?;
        };
        if let Some(tail) = newest(folder, &manifest, &hasher, first)? {
            break tail;
        }
        let path = segment::path(folder, first);
        fs::remove_file(&path).map_err(|error| OpenError::io("write", &path, error))?;
    };
    if tail.header.format != FORMAT {
        // An earlier release wrote it. Nothing is added to it: what is written here is of this release's format.
        let complete = segment::path(folder, tail.header.first).with_extension("idx");
        let _ = index_file::write(&complete, &tail.outline(), &tail.index);
        firsts.push(tail.header.first);
        tail = begin(folder, manifest.epoch, tail.next(), tail.newest_check)?;
    }
    // Newest first: each begins with the position after the last of the one before.
    let mut sealed = Vec::with_capacity(firsts.len());
    let mut behind = tail.header;
    for first in firsts.into_iter().rev() {
        let path = segment::path(folder, first);
        let (header, outline) = outline(&path, &manifest, first, &behind, &hasher)?;
        let found = Sealed::found(path, outline, hasher.checksum(header.format));
        if found.next() != behind.first {
            let what =
                format!("the file with the entries from position {} up to {}", found.next(), behind.first);
            return Err(OpenError::Missing { folder: folder.to_owned(), what });
        }
        sealed.push(Arc::new(found));
        behind = header;
    }
    sealed.reverse();
    if let Some(before) = sealed.last() {
        tail.newest_at = tail.newest_at.max(before.outline.newest_at);
    }
    Ok(Contents { manifest, hasher, sealed, tail })
}

/// The segments of a folder, by their first positions. What was never finished, and what is of no use, is removed.
fn segments(folder: &Path) -> Result<Vec<Position>, OpenError> {
    let failed = |error| OpenError::io("read", folder, error);
    let (mut found, mut indexes) = (Vec::new(), Vec::new());
    for file in fs::read_dir(folder).map_err(failed)? {
        let name = file.map_err(failed)?.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = folder.join(name);
        if path.extension().is_some_and(|ending| ending == "new") {
            fs::remove_file(&path).map_err(|error| OpenError::io("write", &path, error))?;
        }
        found.extend(segment::first_by_name(name));
        if path.extension().is_some_and(|ending| ending == "idx") {
            indexes.push(path);
        }
    }
    // The power may go between the removal of a segment and that of its index.
    for alone in indexes.iter().filter(|index| !index.with_extension("seg").exists()) {
        let _ = fs::remove_file(alone);
    }
    found.sort_unstable();
    Ok(found)
}

fn begin(folder: &Path, epoch: u32, first: Position, check_before: Check) -> Result<Tail, OpenError> {
    let header = Header { format: FORMAT, epoch, first, check_before };
    let file = create_segment(folder, &header)
        .map_err(|error| OpenError::io("write", &segment::path(folder, first), error))?;
    Ok(Tail {
        header,
        file: Arc::new(file),
        end: HEADER_BYTES as u64,
        index: GrowingIndex::default(),
        newest_at: 0,
        newest_check: check_before,
    })
}

/// Opens the newest segment and cuts off what is torn; `None` if it has not even a header.
fn newest(
    folder: &Path,
    manifest: &Manifest,
    hasher: &TermHasher,
    first: Position,
) -> Result<Option<Tail>, OpenError> {
    let path = segment::path(folder, first);
    let write = |error| OpenError::io("write", &path, error);
    let bytes = fs::read(&path).map_err(|error| OpenError::io("read", &path, error))?;
    let mut header = match Header::parse(&bytes) {
        // A header is synced before anything is written behind it.
        Err(NoHeader::Invalid) if bytes.len() <= HEADER_BYTES => return Ok(None),
        header => checked(header, &path, manifest, first)?,
    };
    let Scan { index, end, last, newest_at, newest_check } = segment::scan(&path, &header, &bytes, hasher)?;
    let out = file::open_to_write(&path).map_err(write)?;
    if end < bytes.len() as u64 {
        out.set_len(end).map_err(write)?;
    }
    if last.is_none() && header.format != FORMAT {
        // Within one sector, so it is the old one or the new.
        header.format = FORMAT;
        file::write_all_at(&out, &header.bytes(), 0).map_err(write)?;
    }
    if let Some((begins, group)) = last {
        // Not certainly synced: after a failed sync the kernel takes pages for clean that never reached the disk.
        let from = group.synced.clamp(HEADER_BYTES as u64, begins);
        let again = usize::try_from(from).ok().zip(usize::try_from(end).ok());
        if let Some(bytes) = again.and_then(|(from, end)| bytes.get(from..end)) {
            file::write_all_at(&out, bytes, from).map_err(write)?;
        }
    }
    out.sync_all().and_then(|()| file::sync_folder(folder)).map_err(write)?;
    Ok(Some(Tail { header, file: Arc::new(out), end, index, newest_at, newest_check }))
}

fn checked(
    header: Result<Header, NoHeader>,
    path: &Path,
    manifest: &Manifest,
    first: Position,
) -> Result<Header, OpenError> {
    match header {
        Ok(header) if header.epoch == manifest.epoch && header.first == first => Ok(header),
        Err(NoHeader::Newer(format)) => {
            Err(OpenError::NewerFormat { path: path.to_owned(), format: u32::from(format) })
        }
        Ok(_) | Err(NoHeader::Invalid) => Err(OpenError::Damaged { path: path.to_owned(), at: 0 }),
    }
}

/// What a complete segment holds, by its index, or by itself where that is missing or of something else. `behind` is the header of
/// the segment that follows it.
fn outline(
    path: &Path,
    manifest: &Manifest,
    first: Position,
    behind: &Header,
    hasher: &TermHasher,
) -> Result<(Header, Outline), OpenError> {
    let read = |error| OpenError::io("read", path, error);
    let segment = File::open(path).map_err(read)?;
    let length = segment.metadata().map_err(read)?.len();
    let mut header = [0; HEADER_BYTES];
    let filled = file::read_at(&segment, &mut header, 0).map_err(read)?;
    let header = checked(Header::parse(&header[..filled]), path, manifest, first)?;
    let index = path.with_extension("idx");
    let by_index = File::open(&index).ok().and_then(|index| index_file::shape(&index).ok().flatten());
    if let Some(shape) = by_index {
        let outline = shape.outline;
        let is_of_it =
            (outline.epoch, outline.first, outline.segment_bytes) == (manifest.epoch, first, length);
        if is_of_it && u64::from(outline.entries) <= ENTRIES_MAX {
            return Ok((header, outline));
        }
    }
    let bytes = fs::read(path).map_err(read)?;
    let (outline, growing) = match segment::scan(path, &header, &bytes, hasher) {
        Ok(scan) if scan.end == length => (scan.outline(&header), scan.index),
        Err(error @ OpenError::NewerFormat { .. }) => return Err(error),
        // How many entries it had is known from the segment behind it; which of them can be read, whoever reads will see.
        _ => salvage::all(path, &header, behind, &bytes, hasher)?,
    };
    // Where it cannot be written, it is made again when it is asked for.
    let _ = index_file::write(&index, &outline, &growing);
    Ok((header, outline))
}
