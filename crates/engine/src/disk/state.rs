//! What the threads of a log on disk share: its segments, and where it begins and ends.
//!
//! The committer alone adds to it, and only what is durable; readers copy out what they need and read files without the lock.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use fanfare_hub::engine::{Content, Follower};
use fanfare_hub::{Check, Clock, IdKey, Place, Position, Submission};
use fanfare_wire::EventId;

use super::checksum::Checksum;
use super::error::DiskFault;
use super::hash::TermHasher;
use super::index::{GrowingIndex, Hits};
use super::index_file::{self, Outline, Shape};
use super::places::Places;
use super::record::GROUP_HEADER_BYTES;
use super::run::RUN_BYTES;
use super::salvage;
use super::segment::{self, Header};

/// What a record takes in the index, about.
const INDEXED_BYTES: u64 = 16;
/// A run of presence in a group of its own: no record of presence takes more.
const PRESENCE_BYTES: u64 = (RUN_BYTES + GROUP_HEADER_BYTES) as u64 + INDEXED_BYTES;

/// What every thread of a log has a handle of.
pub(super) struct Shared {
    pub(super) folder: PathBuf,
    pub(super) epoch: u32,
    pub(super) key: [u8; 16],
    pub(super) id_key: IdKey,
    pub(super) hasher: TermHasher,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) follower: OnceLock<Arc<dyn Follower>>,
    pub(super) state: Mutex<State>,
    pub(super) tally: Tally,
}

/// What has been counted since the start.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) groups: AtomicU64,
    pub(super) damaged: AtomicU64,
}

/// INVARIANT: segments follow each other without a hole, and everything in them is durable.
pub(super) struct State {
    pub(super) sealed: VecDeque<Arc<Sealed>>,
    pub(super) tail: Tail,
    /// The oldest position that retention has left; in one of the segments, or the next one.
    pub(super) oldest: Position,
}

/// The newest segment.
pub(super) struct Tail {
    pub(super) header: Header,
    pub(super) file: Arc<File>,
    /// The end of its last durable group.
    pub(super) end: u64,
    pub(super) index: GrowingIndex,
    pub(super) newest_at: u64,
    pub(super) newest_check: Check,
}

/// A segment that is complete.
pub(super) struct Sealed {
    pub(super) path: PathBuf,
    pub(super) checksum: Checksum,
    pub(super) outline: Outline,
    index: Mutex<SealedIndex>,
    /// Looked up when the oldest event that is kept is in this segment.
    places: OnceLock<Places>,
}

enum SealedIndex {
    /// It is about to be written.
    Growing(Arc<GrowingIndex>),
    /// In its file, which has been looked at.
    File(Shape),
    /// In its file, perhaps.
    Unseen,
}

/// An index that can be asked.
pub(super) enum Lookup {
    Memory(Arc<GrowingIndex>),
    File(Shape, File),
}

impl Shared {
    /// The id of a publication that stands at a position: its publisher's, or the one that the hub makes.
    pub(super) fn id_of(&self, content: &Content, position: Position, check: Check) -> EventId {
        let made = || self.id_key.encipher(Place { epoch: self.epoch, position, check });
        match content {
            Content::Publication(Submission { chosen_id: Some(id), .. }) => id.clone(),
            _ => made(),
        }
    }

    /// From where on there are the newest `events` publications; `None` if there are not more than these. Places of presence behind
    /// the last one before are with them: who has seen one of these misses no event.
    pub(super) fn oldest_of(&self, events: u64) -> Option<Position> {
        let (sealed, behind) = {
            let state = self.lock();
            let mut behind = events.saturating_add(1);
            let in_tail = u64::from(state.tail.events());
            if behind <= in_tail {
                let number = state.tail.index.places().number_of(number_of(in_tail - behind));
                return Some(state.tail.header.first + Position::from(number) + 1);
            }
            behind -= in_tail;
            let holds_it = |sealed: &&Arc<Sealed>| match behind.checked_sub(u64::from(sealed.events())) {
                Some(left) if left > 0 => {
                    behind = left;
                    false
                }
                _ => true,
            };
            let found = state.sealed.iter().rev().find(holds_it)?.clone();
            (found, behind)
        };
        Some(sealed.position_behind(number_of(u64::from(sealed.events()) - behind), &self.hasher))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fewer than a segment has entries.
fn number_of(events: u64) -> u32 {
    u32::try_from(events).unwrap_or(u32::MAX)
}

impl State {
    pub(super) fn next(&self) -> Position {
        self.tail.next()
    }

    /// The complete segment that has a position, if it is not in the newest.
    pub(super) fn sealed_at(&self, position: Position) -> Option<&Arc<Sealed>> {
        let at = self.sealed.partition_point(|sealed| sealed.outline.first <= position);
        self.sealed.get(at.checked_sub(1)?).filter(|sealed| position < sealed.next())
    }

    /// What the files take.
    pub(super) fn bytes(&self) -> u64 {
        self.tail.end + self.sealed.iter().map(|sealed| sealed.bytes()).sum::<u64>()
    }

    /// What of it places of presence take, at most.
    pub(super) fn presence_bytes(&self) -> u64 {
        let sealed = self.sealed.iter().map(|sealed| sealed.presence_bytes()).sum::<u64>();
        sealed + PRESENCE_BYTES * u64::from(self.tail.index.presence_records())
    }
}

impl Tail {
    pub(super) fn next(&self) -> Position {
        self.header.first + Position::from(self.index.entries())
    }

    /// How many of its entries are not presence.
    pub(super) fn events(&self) -> u32 {
        self.index.entries() - self.index.places().count()
    }

    pub(super) fn outline(&self) -> Outline {
        Outline {
            epoch: self.header.epoch,
            first: self.header.first,
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

impl Sealed {
    /// A segment that has just been completed.
    pub(super) fn with_growing(
        folder: &Path,
        outline: Outline,
        checksum: Checksum,
        index: GrowingIndex,
    ) -> Self {
        let path = segment::path(folder, outline.first);
        Self::new(path, outline, checksum, SealedIndex::Growing(Arc::new(index)))
    }

    /// A segment that was completed by an earlier process.
    pub(super) fn found(path: PathBuf, outline: Outline, checksum: Checksum) -> Self {
        Self::new(path, outline, checksum, SealedIndex::Unseen)
    }

    fn new(path: PathBuf, outline: Outline, checksum: Checksum, index: SealedIndex) -> Self {
        Self { path, checksum, outline, index: Mutex::new(index), places: OnceLock::new() }
    }

    pub(super) fn next(&self) -> Position {
        self.outline.first + Position::from(self.outline.entries)
    }

    /// How many of its entries are not presence.
    pub(super) fn events(&self) -> u32 {
        self.outline.entries.saturating_sub(self.outline.presence)
    }

    /// The position behind the publication that has `events` others before it in this segment. Where that cannot be read it is that of
    /// the first entry: rather too much is kept than too little.
    fn position_behind(&self, events: u32, hasher: &TermHasher) -> Position {
        let first = self.outline.first;
        if self.outline.presence == 0 {
            return first + Position::from(events) + 1;
        }
        let places = match self.places.get() {
            Some(places) => places,
            None => {
                match self.lookup(hasher).and_then(|lookup| lookup.places().map_err(DiskFault::unreadable)) {
                    Ok(found) => self.places.get_or_init(|| found),
                    Err(_) => return first,
                }
            }
        };
        first + Position::from(places.number_of(events)) + 1
    }

    pub(super) fn bytes(&self) -> u64 {
        // Close enough for retention.
        self.outline.segment_bytes + INDEXED_BYTES * u64::from(self.outline.records)
    }

    /// What of these bytes places of presence take, at most.
    pub(super) fn presence_bytes(&self) -> u64 {
        (PRESENCE_BYTES * u64::from(self.outline.presence_records)).min(self.bytes())
    }

    pub(super) fn index_path(&self) -> PathBuf {
        self.path.with_extension("idx")
    }

    /// Puts the index from memory into its file. Without the file it stays in memory.
    pub(super) fn write_index(&self) -> io::Result<()> {
        let growing = match &*self.lock() {
            SealedIndex::Growing(growing) => growing.clone(),
            _ => return Ok(()),
        };
        let shape = index_file::write(&self.index_path(), &self.outline, &growing)?;
        *self.lock() = SealedIndex::File(shape);
        Ok(())
    }

    /// The index to ask; made again from the segment where its file is missing or invalid.
    pub(super) fn lookup(&self, hasher: &TermHasher) -> Result<Lookup, DiskFault> {
        let mut index = self.lock();
        match &*index {
            SealedIndex::Growing(growing) => return Ok(Lookup::Memory(growing.clone())),
            SealedIndex::File(shape) => {
                if let Ok(file) = File::open(self.index_path()) {
                    return Ok(Lookup::File(*shape, file));
                }
            }
            SealedIndex::Unseen => {
                if let Some((shape, file)) = self.read_index().map_err(DiskFault::unreadable)? {
                    *index = SealedIndex::File(shape);
                    return Ok(Lookup::File(shape, file));
                }
            }
        }
        let bytes = fs::read(&self.path).map_err(DiskFault::unreadable)?;
        let salvaged = Arc::new(salvage::index(&self.outline, self.checksum, &bytes, hasher));
        // A disk that takes no index is no reason not to read; it stays in memory then.
        *index = match index_file::write(&self.index_path(), &self.outline, &salvaged) {
            Ok(shape) => SealedIndex::File(shape),
            Err(_) => SealedIndex::Growing(salvaged.clone()),
        };
        Ok(Lookup::Memory(salvaged))
    }

    fn read_index(&self) -> io::Result<Option<(Shape, File)>> {
        let file = match File::open(self.index_path()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let shape = index_file::shape(&file)?.filter(|shape| shape.outline == self.outline);
        match shape {
            Some(shape) if shape.is_whole(&file)? => Ok(Some((shape, file))),
            _ => Ok(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SealedIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lookup {
    /// Where the records of some entries begin.
    pub(super) fn offsets(&self, numbers: &[u32]) -> io::Result<Vec<u32>> {
        match self {
            Self::Memory(index) => {
                let offset =
                    |&number| index.offset(number).ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
                numbers.iter().map(offset).collect()
            }
            Self::File(shape, file) => shape.offsets(file, numbers),
        }
    }

    /// The entries that have the same record as an entry.
    pub(super) fn entries_with(&self, number: u32) -> io::Result<Range<u32>> {
        match self {
            Self::Memory(index) => Ok(index.entries_with(number)),
            Self::File(shape, file) => shape.entries_with(file, number),
        }
    }

    pub(super) fn hits(&self, hashes: &[u64], from: u32, to: u32) -> io::Result<Hits> {
        match self {
            Self::Memory(index) => Ok(index.hits(hashes, from, to)),
            Self::File(shape, file) => shape.hits(file, hashes, from, to),
        }
    }

    /// The earliest entries of a term, `most` at most.
    pub(super) fn earliest(&self, hash: u64, most: usize) -> io::Result<Vec<u32>> {
        match self {
            Self::Memory(index) => Ok(index.all(hash).into_iter().take(most).collect()),
            Self::File(shape, file) => shape.of_term(file, hash, 0, most),
        }
    }

    pub(super) fn places(&self) -> io::Result<Places> {
        match self {
            Self::Memory(index) => Ok(index.places().clone()),
            Self::File(shape, file) => shape.places(file),
        }
    }

    /// The entries with an idempotency key.
    pub(super) fn keyed(&self) -> io::Result<Vec<u32>> {
        match self {
            Self::Memory(index) => Ok(index.keyed().to_vec()),
            Self::File(shape, file) => shape.keyed(file),
        }
    }
}
