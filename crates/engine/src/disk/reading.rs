//! Reads entries back: a stretch of the log, those of a few topics, or the one that has a publisher's id.
//!
//! It runs on reader threads and holds no lock while it reads. What is damaged is never handed out, and never stops what is
//! behind it.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use fanfare_hub::engine::{Batch, EngineFault, Logged, ReadError, ReadRequest};
use fanfare_hub::{Check, IdempotencyKey, Position, Topic};
use fanfare_wire::EventId;

use super::error::DiskFault;
use super::hash::Term;
use super::index::Hits;
use super::opened::{Open, Place};
use super::record::{self, Entry, NoEntry};
use super::salvage::LOST;
use super::segment;
use super::state::Shared;
use crate::copy::{Carried, Page};

/// How many segments one request goes through before others have their turn.
const SEGMENTS_MAX: usize = 64;
/// How many entries of one id are looked at.
const SAME_ID_MAX: usize = 64;

/// What was found about the entries asked for.
enum Found {
    /// So much that everything is read.
    Most,
    /// Entries by their numbers and where they begin, which are all up to and with the position `through`.
    These { entries: Vec<(u32, u32)>, through: Position },
}

/// What reading one stretch gave.
struct Stretch<T> {
    entries: Vec<T>,
    through: Position,
}

/// Where an id was looked for.
enum Looked {
    /// And where it is, if it is there.
    Everywhere(Option<Position>),
    /// In everything that stands before this position, and it is not there.
    Before(Position),
}

impl Shared {
    /// Answers a request of the hub's.
    pub(super) fn read(&self, request: &ReadRequest) -> Result<Batch, ReadError> {
        let fault = |fault: DiskFault| ReadError::Fault(Arc::new(fault) as EngineFault);
        let hashes = request.topics.as_deref().map(|topics| self.topic_hashes(topics));
        let mut entries = Vec::new();
        let mut bytes_left = request.bytes_max;
        let mut from = request.after + 1;
        for _ in 0..SEGMENTS_MAX {
            let (oldest, before) = {
                let state = self.lock();
                (state.oldest, request.before.min(state.next()))
            };
            if from < oldest {
                return trimmed(entries, from, oldest);
            }
            if from >= before {
                break;
            }
            let open = match self.open_at(from) {
                Ok(open) => open,
                // Removed in between.
                Err(_) if from < self.lock().oldest => continue,
                Err(error) => return Err(fault(error)),
            };
            let to = before.min(open.next);
            let read = match self.find_in(&open, hashes.as_deref(), from, to).map_err(fault)? {
                Found::Most if from == request.after + 1 => {
                    match self.read_stretch(&open, from, to, bytes_left, logged) {
                        Ok(Stretch { entries, through }) => return Ok(Batch { entries, through, all: true }),
                        Err(error) => Err(error),
                    }
                }
                // What was searched so far goes first: it lacks the entries of other topics.
                Found::Most => break,
                Found::These { entries: places, through } => {
                    let wanted = request.topics.as_deref().unwrap_or_default();
                    read_these(&open, &places, through, wanted, &mut bytes_left)
                }
            };
            match read {
                Ok(stretch) => {
                    entries.extend(stretch.entries);
                    from = stretch.through + 1;
                    if bytes_left == 0 || from < to {
                        break;
                    }
                }
                Err(DiskFault::DamagedEntry { position }) => {
                    self.tally.damaged.fetch_add(1, Ordering::Relaxed);
                    let behind = self.positions_with(position).end.min(before);
                    return trimmed(entries, position, behind);
                }
                Err(error) => return Err(fault(error)),
            }
        }
        Ok(Batch { entries, through: from - 1, all: false })
    }

    /// What stands at a position and behind it, to be copied.
    pub(super) fn carried(
        &self,
        from: Position,
        before: Position,
        bytes_max: usize,
    ) -> Result<Page, DiskFault> {
        let oldest = self.lock().oldest;
        if from < oldest {
            return Ok(Page::Lost { through: oldest - 1 });
        }
        let open = self.open_at(from)?;
        let carried = |entry: &Entry<'_>| {
            Some(Carried { logged: logged(entry)?, key: entry.key.map(IdempotencyKey::new) })
        };
        match self.read_stretch(&open, from, before.min(open.next), bytes_max, carried) {
            Ok(Stretch { entries, .. }) => Ok(Page::Entries(entries)),
            Err(DiskFault::DamagedEntry { position }) => {
                Ok(Page::Lost { through: self.positions_with(position).end - 1 })
            }
            Err(error) => Err(error),
        }
    }

    /// Finds the earliest kept entry with a publisher's id; none if that entry is damaged, for whoever went on behind a later one
    /// with the same id would never know what was skipped.
    pub(super) fn find(&self, id: &EventId) -> Result<Option<Position>, DiskFault> {
        match self.earliest(id) {
            Err(DiskFault::DamagedEntry { .. }) => {
                self.tally.damaged.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            }
            found => found,
        }
    }

    fn earliest(&self, id: &EventId) -> Result<Option<Position>, DiskFault> {
        let hash = self.hasher.hash(Term::Id(id.as_str()));
        let mut looked_before = 0;
        loop {
            match self.earliest_behind(looked_before, id.as_str(), hash)? {
                Looked::Everywhere(found) => return Ok(found),
                Looked::Before(position) => looked_before = position,
            }
        }
    }

    /// Looks at what stands at `from` or behind it, which is where a segment begins.
    fn earliest_behind(&self, from: Position, id: &str, hash: u64) -> Result<Looked, DiskFault> {
        let (sealed, tail_first, oldest) = {
            let state = self.lock();
            let sealed = state.sealed.iter().filter(|segment| segment.outline.first >= from);
            (sealed.cloned().collect::<Vec<_>>(), state.tail.header.first, state.oldest)
        };
        for segment in sealed {
            let open = match Open::sealed(&segment, &self.hasher) {
                Ok(open) => open,
                Err(_) if segment.next() <= self.lock().oldest => continue,
                Err(error) => return Err(error),
            };
            let Place::Sealed(lookup) = &open.place else { continue };
            let numbers = lookup.earliest(hash, SAME_ID_MAX).map_err(DiskFault::unreadable)?;
            let places = self.offsets_in(&open, numbers)?;
            if let Some(found) = open.first_with_id(&places, id, oldest)? {
                return Ok(Looked::Everywhere(Some(found)));
            }
        }
        let (open, places) = {
            let state = self.lock();
            if state.tail.header.first != tail_first {
                // Meanwhile it was completed, and is one of the others.
                return Ok(Looked::Before(tail_first));
            }
            let numbers = state.tail.index.all(hash).into_iter().take(SAME_ID_MAX);
            let places: Vec<_> =
                numbers.filter_map(|number| Some((number, state.tail.index.offset(number)?))).collect();
            (Open::tail(&state, &self.hasher), places)
        };
        open.first_with_id(&places, id, oldest).map(Looked::Everywhere)
    }

    /// The check of the entry at a position, if it can be read.
    pub(super) fn check_at(&self, position: Position) -> Option<Check> {
        self.one(position, |entry| entry.check)
    }

    /// When the entry at a position was appended, in microseconds, if it can be read.
    pub(super) fn time_of(&self, position: Position) -> Option<u64> {
        self.one(position, |entry| entry.at)
    }

    /// The positions that have one record with a position: what can be read of one of them can be of all, or nothing.
    pub(super) fn positions_with(&self, position: Position) -> Range<Position> {
        let alone = position..position + 1;
        let Ok(open) = self.open_at(position) else { return alone };
        let number = open.number(position);
        let numbers = match &open.place {
            Place::Sealed(lookup) => lookup.entries_with(number).ok(),
            Place::Tail => {
                let state = self.lock();
                // One that was sealed in between was in the newest segment, where nothing is damaged.
                (state.tail.header.first == open.first).then(|| state.tail.index.entries_with(number))
            }
        };
        numbers.map_or(alone, |numbers| open.position(numbers.start)..open.position(numbers.end))
    }

    /// The entry at a position with its idempotency key, if it has one and can be read.
    pub(super) fn keyed_at(&self, position: Position) -> Option<(IdempotencyKey, Logged)> {
        self.one(position, |entry| Some((IdempotencyKey::new(entry.key?), logged(entry)?))).flatten()
    }

    fn one<T>(&self, position: Position, take: impl FnOnce(&Entry<'_>) -> T) -> Option<T> {
        let open = self.open_at(position).ok()?;
        let number = open.number(position);
        let offset = self.offset_in(&open, number).ok()?;
        open.entry(number, offset, take).ok()
    }

    fn topic_hashes(&self, topics: &[Topic]) -> Vec<u64> {
        topics.iter().map(|topic| self.hasher.hash(Term::Topic(topic.as_str()))).collect()
    }

    fn open_at(&self, position: Position) -> Result<Open, DiskFault> {
        let sealed = {
            let state = self.lock();
            match state.sealed_at(position) {
                Some(sealed) => sealed.clone(),
                None if position >= state.tail.header.first => return Ok(Open::tail(&state, &self.hasher)),
                None => return Err(DiskFault::Gone),
            }
        };
        Open::sealed(&sealed, &self.hasher)
    }

    /// Where the records of entries of a segment begin, beside their numbers.
    fn offsets_in(&self, open: &Open, numbers: Vec<u32>) -> Result<Vec<(u32, u32)>, DiskFault> {
        let found = match &open.place {
            Place::Sealed(lookup) => lookup.offsets(&numbers),
            Place::Tail => {
                let state = self.lock();
                if state.tail.header.first == open.first {
                    let index = &state.tail.index;
                    let offset = |number| Some((number, index.offset(number)?));
                    return numbers.into_iter().map(offset).collect::<Option<_>>().ok_or(DiskFault::Gone);
                }
                // It was sealed in between.
                let sealed = state.sealed_at(open.first).cloned().ok_or(DiskFault::Gone)?;
                drop(state);
                sealed.lookup(&self.hasher)?.offsets(&numbers)
            }
        };
        Ok(numbers.iter().copied().zip(found.map_err(DiskFault::unreadable)?).collect())
    }

    /// Where the record of an entry of a segment begins.
    fn offset_in(&self, open: &Open, number: u32) -> Result<u32, DiskFault> {
        let found = self.offsets_in(open, vec![number])?;
        found.first().map(|&(_, offset)| offset).ok_or(DiskFault::Gone)
    }

    /// Finds what is to be read of a segment from one position up to, and without, another.
    fn find_in(
        &self,
        open: &Open,
        hashes: Option<&[u64]>,
        from: Position,
        to: Position,
    ) -> Result<Found, DiskFault> {
        let (from_number, to_number) = (open.number(from), open.number(to));
        if let Some(hashes) = hashes {
            let hits = match &open.place {
                Place::Sealed(lookup) => {
                    Some(lookup.hits(hashes, from_number, to_number).map_err(DiskFault::unreadable)?)
                }
                Place::Tail => {
                    let state = self.lock();
                    let is_tail = state.tail.header.first == open.first;
                    is_tail.then(|| state.tail.index.hits(hashes, from_number, to_number))
                }
            };
            if let Some(Hits::These { numbers, through }) = hits {
                let entries = self.offsets_in(open, numbers)?;
                return Ok(Found::These { entries, through: open.position(through) });
            }
        }
        Ok(Found::Most)
    }

    /// Reads everything from one position up to, and without, another, as far as the bytes last.
    fn read_stretch<T>(
        &self,
        open: &Open,
        from: Position,
        to: Position,
        bytes_max: usize,
        take: impl Fn(&Entry<'_>) -> Option<T>,
    ) -> Result<Stretch<T>, DiskFault> {
        let mut read = Piece { entries: Vec::new(), bytes_left: bytes_max };
        let mut next = from;
        while next < to && !read.is_full() {
            let offset = self.offset_in(open, open.number(next))?;
            let bytes = match offset {
                LOST => Vec::new(),
                _ => segment::read_piece(&open.file, u64::from(offset), open.end, read.bytes_left)
                    .map_err(DiskFault::unreadable)?,
            };
            let begins = next;
            let mut rest = segment::behind_group_header(&bytes);
            while next < to && !read.is_full() {
                let first = match record::entry(open.checksum, rest) {
                    Ok(first) if first.positions().contains(&next) => first,
                    // The next piece begins with it.
                    Err(NoEntry::Longer(_)) if next > begins => break,
                    _ if read.entries.is_empty() => return Err(DiskFault::DamagedEntry { position: next }),
                    // What is whole goes out first; the next request begins with what is damaged.
                    _ => return Ok(Stretch { entries: read.entries, through: next - 1 }),
                };
                // A run may have more entries than there is room for.
                while let Some(entry) = first.standing_at(next).filter(|_| next < to && !read.is_full()) {
                    let taken = take(&entry).ok_or(DiskFault::DamagedEntry { position: next })?;
                    read.push(taken, entry.bytes);
                    next += 1;
                }
                rest = segment::behind_group_header(&rest[first.bytes..]);
            }
        }
        Ok(Stretch { entries: read.entries, through: next - 1 })
    }
}

/// Entries that are handed out together, and for how many bytes of others there is room.
struct Piece<T> {
    entries: Vec<T>,
    bytes_left: usize,
}

impl<T> Piece<T> {
    /// Whether there is room for none, as there is for one at least.
    fn is_full(&self) -> bool {
        self.bytes_left == 0 && !self.entries.is_empty()
    }

    fn push(&mut self, taken: T, bytes: usize) {
        self.entries.push(taken);
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
    }
}

/// Reads single entries, as far as the bytes last; those of other topics are left out.
fn read_these(
    open: &Open,
    places: &[(u32, u32)],
    through: Position,
    wanted: &[Topic],
    bytes_left: &mut usize,
) -> Result<Stretch<Logged>, DiskFault> {
    let wanted: HashSet<&str> = wanted.iter().map(Topic::as_str).collect();
    let mut entries: Vec<Logged> = Vec::with_capacity(places.len());
    for &(number, offset) in places {
        let position = open.position(number);
        let read = open.entry(number, offset, |entry| {
            let is_wanted = entry.topics().any(|topic| wanted.contains(topic));
            is_wanted.then(|| (logged(entry), entry.bytes))
        });
        let read = match read {
            Err(DiskFault::DamagedEntry { .. }) if !entries.is_empty() => {
                return Ok(Stretch { entries, through: position - 1 });
            }
            read => read?,
        };
        if let Some((logged, bytes)) = read {
            entries.push(logged.ok_or(DiskFault::DamagedEntry { position })?);
            *bytes_left = bytes_left.saturating_sub(bytes);
            if *bytes_left == 0 {
                return Ok(Stretch { entries, through: position });
            }
        }
    }
    Ok(Stretch { entries, through })
}

/// What has been read so far, or, if that is nothing, that reading goes on at `oldest`.
fn trimmed(entries: Vec<Logged>, lost: Position, oldest: Position) -> Result<Batch, ReadError> {
    if entries.is_empty() {
        return Err(ReadError::Trimmed { oldest });
    }
    Ok(Batch { entries, through: lost - 1, all: false })
}

fn logged(entry: &Entry<'_>) -> Option<Logged> {
    Some(Logged {
        position: entry.position,
        check: entry.check,
        at: time(entry.at),
        content: entry.content()?,
    })
}

/// Microseconds since 1970 as a time.
pub(super) fn time(micros: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}
