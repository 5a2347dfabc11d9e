//! Reads entries back that the hub no longer has in memory: a consumer for each stretch, and nothing kept in between.
//!
//! Everything is read, whatever topics were asked for: only numbers that follow each other prove that nothing is missing.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanfare_hub::Position;
use fanfare_hub::engine::{Batch, EngineFault, ReadError, ReadRequest};
use futures_util::StreamExt;

use super::error::NatsFault;
use super::shared::Shared;
use super::tailing::place;
use crate::cluster::envelope::Envelope;
use crate::cluster::{carried, logged};
use crate::copy::Page;

/// How many entries are read at a time at most.
const ENTRIES_MAX: u64 = 10_000;
/// What a message costs the servers beside its entry, about.
const MESSAGE_BYTES: usize = 64;
/// How long the servers may take for a stretch.
const EXPIRES: Duration = Duration::from_secs(5);

impl Shared {
    /// Answers a request of the hub's.
    pub(super) async fn read_entries(&self, request: &ReadRequest) -> Result<Batch, ReadError> {
        let doubts = self.lock().doubts;
        let read = self.read_now(request).await?;
        // What was read meanwhile may be of another log, in the places of this one.
        if doubts.are_open() || self.lock().doubts != doubts {
            return Err(ReadError::Fault(Arc::new(NatsFault::Behind)));
        }
        Ok(read)
    }

    async fn read_now(&self, request: &ReadRequest) -> Result<Batch, ReadError> {
        let fault = |fault: NatsFault| ReadError::Fault(Arc::new(fault) as EngineFault);
        let from = request.after + 1;
        if request.before.saturating_sub(from) > 1 && request.bytes_max > MESSAGE_BYTES {
            let entries =
                self.stretch(from, request.before, request.bytes_max, logged).await.map_err(fault)?;
            if let Some(last) = entries.last() {
                return Ok(Batch { through: last.position, entries, all: true });
            }
        }
        // One alone, or one that is larger than what was asked for: the first is always read.
        match self.one(from, logged).await.map_err(fault)? {
            Some(entry) => Ok(Batch { entries: vec![entry], through: from, all: true }),
            None => Err(ReadError::Trimmed { oldest: self.next_left(from).await.map_err(fault)? }),
        }
    }

    /// What stands at a position and behind it, to be copied.
    pub(super) async fn carried(
        &self,
        from: Position,
        before: Position,
        bytes_max: usize,
    ) -> Result<Page, NatsFault> {
        let entries = self.stretch(from, before, bytes_max, carried).await?;
        if !entries.is_empty() {
            return Ok(Page::Entries(entries));
        }
        match self.one(from, carried).await? {
            Some(entry) => Ok(Page::Entries(vec![entry])),
            None => Ok(Page::Lost { through: self.next_left(from).await? - 1 }),
        }
    }

    /// The entries from `from` on that follow each other, before `before`, as many as have room in so many bytes.
    async fn stretch<T>(
        &self,
        from: Position,
        before: Position,
        bytes_max: usize,
        take: impl Fn(Position, SystemTime, &Envelope<'_>) -> Option<T>,
    ) -> Result<Vec<T>, NatsFault> {
        let wanted = before.saturating_sub(from).clamp(1, ENTRIES_MAX);
        let consumer = self.store.consumer(from, Vec::new()).await?;
        let fetch = consumer
            .fetch()
            .max_messages(usize::try_from(wanted).unwrap_or(usize::MAX))
            .max_bytes(bytes_max)
            .expires(EXPIRES);
        let mut messages = fetch.messages().await.map_err(NatsFault::no_answer)?;
        let mut entries = Vec::new();
        let mut next = from;
        while let Some(message) = messages.next().await {
            // The server says like this, too, that the next one is larger than what is left.
            let Ok(message) = message else { break };
            let (position, _, taken) = place(&message)?;
            if position != next || position >= before {
                break;
            }
            let entry = Envelope::read(&message.payload);
            let Some(entry) = entry.ok().and_then(|entry| take(position, taken, &entry)) else { break };
            entries.push(entry);
            next += 1;
        }
        self.store.forget(&consumer);
        Ok(entries)
    }

    async fn one<T>(
        &self,
        position: Position,
        take: impl Fn(Position, SystemTime, &Envelope<'_>) -> Option<T>,
    ) -> Result<Option<T>, NatsFault> {
        let Some(message) = self.store.message(position).await? else { return Ok(None) };
        let entry = Envelope::read(&message.payload).ok();
        Ok(entry.and_then(|entry| take(position, message.time.into(), &entry)))
    }

    /// The position of the first entry behind one that is not there.
    async fn next_left(&self, gone: Position) -> Result<Position, NatsFault> {
        let ends = self.store.look_again().await?.ends();
        Ok(ends.first.max(gone + 1))
    }
}
