//! Reads entries back that the hub no longer has in memory.
//!
//! Everything is read, whatever topics were asked for: only numbers that follow each other prove that nothing is missing.

use std::sync::Arc;

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
        if doubts % 2 == 1 || self.lock().doubts != doubts {
            return Err(ReadError::Fault(Arc::new(RedisFault::Behind)));
        }
        Ok(read)
    }

    async fn read_now(&self, request: &ReadRequest) -> Result<Batch, ReadError> {
        let fault = |fault: RedisFault| ReadError::Fault(Arc::new(fault) as EngineFault);
        let from = request.after + 1;
        let entries = self.stretch(from, request).await.map_err(fault)?;
        match entries.last() {
            Some(last) => Ok(Batch { through: last.position, entries, all: true }),
            None => {
                let ends = self.store.look_again(None).await.map_err(fault)?.ends;
                Err(ReadError::Trimmed { oldest: ends.first.max(from + 1) })
            }
        }
    }

    /// The entries from `from` on that follow each other, as many as the request has room for; the first in any case.
    async fn stretch(&self, from: Position, request: &ReadRequest) -> Result<Vec<Logged>, RedisFault> {
        let through = request.before.saturating_sub(1).max(from);
        let mut entries: Vec<Logged> = Vec::new();
        let (mut next, mut bytes, mut asked) = (from, 0, ASKED_FIRST);
        loop {
            let read = self.store.entries(next, through, asked).await?;
            let is_all = read.len() < asked;
            for stored in read {
                let size = stored.entry.len() + ENTRY_BYTES;
                let has_room = entries.is_empty() || bytes + size <= request.bytes_max;
                let entry = Envelope::read(&stored.entry).ok();
                let entry = entry.and_then(|entry| logged(stored.position, stored.at, &entry));
                let Some(entry) = entry.filter(|_| has_room && stored.position == next) else {
                    return Ok(entries);
                };
                entries.push(entry);
                bytes += size;
                next += 1;
            }
            let left = request.bytes_max.saturating_sub(bytes) / (bytes / entries.len().max(1)).max(1);
            asked = left.min(2 * asked).min(ENTRIES_MAX.saturating_sub(entries.len()));
            if is_all || asked == 0 {
                return Ok(entries);
            }
        }
    }
}
