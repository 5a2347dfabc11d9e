//! Reads entries back that the hub no longer has in memory.
//!
//! Everything is read, whatever topics were asked for: only numbers that follow each other prove that nothing is missing.

use std::sync::Arc;
use std::time::SystemTime;

use fanfare_hub::Position;
use fanfare_hub::engine::{Batch, EngineFault, Logged, ReadError, ReadRequest};

use super::error::RedisFault;
use super::shared::Shared;
use crate::cluster::envelope::Envelope;
use crate::cluster::logged;

/// How many entries are read at a time at most.
const ENTRIES_MAX: usize = 10_000;
/// How many are asked for when it is not known how large they are: Redis is told a number of entries, never of bytes.
const ASKED_FIRST: usize = 16;
/// What an entry takes beside its bytes, about.
const ENTRY_BYTES: usize = 64;

impl Shared {
    /// Answers a request of the hub's.
    pub(super) async fn read_entries(&self, request: &ReadRequest) -> Result<Batch, ReadError> {
        let doubts = self.lock().doubts;
        let read = self.read_now(request).await?;
        // What was read meanwhile may be of another log, in the places of this one.
        if doubts.are_open() || self.lock().doubts != doubts {
            return Err(ReadError::Fault(Arc::new(RedisFault::Behind)));
        }
        Ok(read)
    }

    async fn read_now(&self, request: &ReadRequest) -> Result<Batch, ReadError> {
        let fault = |fault: RedisFault| ReadError::Fault(Arc::new(fault) as EngineFault);
        let from = request.after + 1;
        let stretch = self.stretch(from, request.before, request.bytes_max, logged).await;
        let entries: Vec<Logged> = stretch.map_err(fault)?;
        match entries.last() {
            Some(last) => Ok(Batch { through: last.position, entries, all: true }),
            None => Err(ReadError::Trimmed { oldest: self.next_left(from).await.map_err(fault)? }),
        }
    }

    /// The position of the first entry behind one that is not there.
    pub(super) async fn next_left(&self, gone: Position) -> Result<Position, RedisFault> {
        Ok(self.store.look_again(None).await?.ends.first.max(gone + 1))
    }

    /// The entries from `from` on that follow each other, before `before`, as many as have room in so many bytes; the first in any
    /// case.
    pub(super) async fn stretch<T>(
        &self,
        from: Position,
        before: Position,
        bytes_max: usize,
        take: impl Fn(Position, SystemTime, &Envelope<'_>) -> Option<T>,
    ) -> Result<Vec<T>, RedisFault> {
        let through = before.saturating_sub(1).max(from);
        let mut entries = Vec::new();
        let (mut next, mut bytes, mut asked) = (from, 0, ASKED_FIRST);
        loop {
            let read = self.store.entries(next, through, asked).await?;
            let is_all = read.len() < asked;
            for stored in read {
                let size = stored.entry.len() + ENTRY_BYTES;
                let has_room = entries.is_empty() || bytes + size <= bytes_max;
                let entry = Envelope::read(&stored.entry).ok();
                let entry = entry.and_then(|entry| take(stored.position, stored.at, &entry));
                let Some(entry) = entry.filter(|_| has_room && stored.position == next) else {
                    return Ok(entries);
                };
                entries.push(entry);
                bytes += size;
                next += 1;
            }
            let left = bytes_max.saturating_sub(bytes) / (bytes / entries.len().max(1)).max(1);
            asked = left.min(2 * asked).min(ENTRIES_MAX.saturating_sub(entries.len()));
            if is_all || asked == 0 {
                return Ok(entries);
            }
        }
    }
}
