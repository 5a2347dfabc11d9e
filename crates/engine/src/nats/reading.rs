//! Reads entries back that the hub no longer has in memory: a consumer for each stretch, and nothing kept in between.
//!
//! Everything is read, whatever topics were asked for: only numbers that follow each other prove that nothing is missing.

use std::sync::Arc;
use std::time::Duration;

use fanfare_hub::Position;
use fanfare_hub::engine::{Batch, EngineFault, Logged, ReadError, ReadRequest};
use futures_util::StreamExt;

use super::envelope::Envelope;
use super::error::NatsFault;
use super::shared::{Shared, logged};
use super::tailing::place;

/// How many entries are read at a time at most.
const ENTRIES_MAX: u64 = 10_000;
/// What a message costs the servers beside its entry, about.
const MESSAGE_BYTES: usize = 64;
/// How long the servers may take for a stretch.
const EXPIRES: Duration = Duration::from_secs(5);

impl Shared {
    /// Answers a request of the hub's.
    pub(super) async fn read(&self, request: &ReadRequest) -> Result<Batch, ReadError> {
        let doubts = self.lock().doubts;
        let read = self.read_now(request).await?;
        // What was read meanwhile may be of another log, in the places of this one.
        if doubts % 2 == 1 || self.lock().doubts != doubts {
            return Err(ReadError::Fault(Arc::new(NatsFault::Behind)));
        }
        Ok(read)
    }

    async fn read_now(&self, request: &ReadRequest) -> Result<Batch, ReadError> {
        let fault = |fault: NatsFault| ReadError::Fault(Arc::new(fault) as EngineFault);
        let from = request.after + 1;
        let wanted = request.before.saturating_sub(from).clamp(1, ENTRIES_MAX);
        if wanted > 1 && request.bytes_max > MESSAGE_BYTES {
            let entries = self.stretch(from, wanted, request).await.map_err(fault)?;
            if let Some(last) = entries.last() {
                return Ok(Batch { through: last.position, entries, all: true });
            }
        }
        // One alone, or one that is larger than what was asked for: the first is always read.
        match self.one(from).await.map_err(fault)? {
            Some(entry) => Ok(Batch { entries: vec![entry], through: from, all: true }),
            None => Err(ReadError::Trimmed { oldest: self.next_left(from).await.map_err(fault)? }),
        }
    }

    /// The entries from `from` on that follow each other, as many as the request has room for.
    async fn stretch(
        &self,
        from: Position,
        wanted: u64,
        request: &ReadRequest,
    ) -> Result<Vec<Logged>, NatsFault> {
        let consumer = self.store.consumer(from, Vec::new()).await?;
        let fetch = consumer
            .fetch()
            .max_messages(usize::try_from(wanted).unwrap_or(usize::MAX))
            .max_bytes(request.bytes_max)
            .expires(EXPIRES);
        let mut messages = fetch.messages().await.map_err(NatsFault::no_answer)?;
        let mut entries: Vec<Logged> = Vec::new();
        let mut next = from;
        while let Some(message) = messages.next().await {
            // The server says like this, too, that the next one is larger than what is left.
            let Ok(message) = message else { break };
            let (position, _, taken) = place(&message)?;
            if position != next || position >= request.before {
                break;
            }
            let entry = Envelope::read(&message.payload);
            let Some(entry) = entry.ok().and_then(|entry| logged(position, taken, &entry)) else { break };
            entries.push(entry);
            next += 1;
        }
        self.store.forget(&consumer);
        Ok(entries)
    }

    async fn one(&self, position: Position) -> Result<Option<Logged>, NatsFault> {
        let Some(message) = self.store.message(position).await? else { return Ok(None) };
        let entry = Envelope::read(&message.payload).ok();
        Ok(entry.and_then(|entry| logged(position, message.time.into(), &entry)))
    }

    /// The position of the first entry behind one that is not there.
    async fn next_left(&self, gone: Position) -> Result<Position, NatsFault> {
        let ends = self.store.look_again().await?.ends();
        Ok(ends.first.max(gone + 1))
    }
}
