//! One segment as it is read: its file, where it ends, and single entries of it.
//!
//! What is opened stays as it was then: more may have been added meanwhile, or all of it removed.

use std::fs::File;
use std::sync::Arc;

use fanfare_hub::Position;

use super::checksum::Checksum;
use super::error::DiskFault;
use super::hash::TermHasher;
use super::record::{self, Entry};
use super::salvage::LOST;
use super::segment;
use super::state::{Lookup, Sealed, State};

/// How many bytes are read for one entry before its length is known.
const ENTRY_GUESS_BYTES: usize = 1_024;
/// One segment as it is read: entries `from..to` by position are durable and can be asked for.
pub(super) struct Open {
    pub(super) file: Arc<File>,
    pub(super) checksum: Checksum,
    pub(super) first: Position,
    pub(super) next: Position,
    pub(super) end: u64,
    pub(super) place: Place,
}

/// Where the index of a segment is.
pub(super) enum Place {
    Sealed(Lookup),
    /// The newest segment, whose index is under the lock.
    Tail,
}

impl Open {
    pub(super) fn tail(state: &State, hasher: &TermHasher) -> Self {
        let tail = &state.tail;
        Self {
            file: tail.file.clone(),
            checksum: hasher.checksum(tail.header.format),
            first: tail.header.first,
            next: tail.next(),
            end: tail.end,
            place: Place::Tail,
        }
    }

    pub(super) fn sealed(sealed: &Sealed, hasher: &TermHasher) -> Result<Self, DiskFault> {
        let lookup = sealed.lookup(hasher)?;
        Ok(Self {
            file: Arc::new(File::open(&sealed.path).map_err(DiskFault::unreadable)?),
            checksum: sealed.checksum,
            first: sealed.outline.first,
            next: sealed.next(),
            end: sealed.outline.segment_bytes,
            place: Place::Sealed(lookup),
        })
    }

    /// The number of a position in this segment.
    pub(super) fn number(&self, position: Position) -> u32 {
        u32::try_from(position - self.first).unwrap_or(u32::MAX)
    }

    pub(super) fn position(&self, number: u32) -> Position {
        self.first + Position::from(number)
    }

    /// Reads one entry and takes something from it.
    ///
    /// # Errors
    /// It is damaged, or cannot be read.
    pub(super) fn entry<T>(
        &self,
        number: u32,
        offset: u32,
        take: impl FnOnce(&Entry<'_>) -> T,
    ) -> Result<T, DiskFault> {
        let position = self.position(number);
        let damaged = DiskFault::DamagedEntry { position };
        if offset == LOST {
            return Err(damaged);
        }
        let bytes = segment::read_piece(&self.file, u64::from(offset), self.end, ENTRY_GUESS_BYTES)
            .map_err(DiskFault::unreadable)?;
        let first = record::entry(self.checksum, &bytes).ok();
        first.and_then(|first| first.standing_at(position)).map(|entry| take(&entry)).ok_or(damaged)
    }

    /// The first of `places` that is kept and has a publisher's id.
    pub(super) fn first_with_id(
        &self,
        places: &[(u32, u32)],
        id: &str,
        oldest: Position,
    ) -> Result<Option<Position>, DiskFault> {
        for &(number, offset) in places {
            let position = self.position(number);
            if position >= oldest && self.entry(number, offset, |entry| entry.id == Some(id))? {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }
}
