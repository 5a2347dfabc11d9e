//! A log on Redis as what is copied, and as what a copy becomes.
//!
//! A log that grows has metadata that no hub takes for a log's; they are completed when it is whole.

use std::sync::Arc;

use fanfare_hub::engine::{Answer, Content, EngineFault};
use fanfare_hub::{Check, Position};
use fanfare_wire::EventId;

use super::RedisEngine;
use super::error::RedisFault;
use super::shared::Shared;
use super::store::Entry;
use crate::cluster::carried;
use crate::cluster::envelope;
use crate::cluster::identity::Identity;
use crate::copy::{Carried, CopySource, CopyTarget, LogOutline, Misplaced, Occupied, Page};
use crate::fault::fault;

/// How many bytes are read at a time.
const PAGE_BYTES: usize = 512 * 1024;
/// How many entries are stored at a time, and how many bytes of them, about: Redis does nothing else meanwhile.
const STORED: (usize, usize) = (256, 512 * 1024);

impl CopySource for RedisEngine {
    fn outline(&self) -> Answer<'_, Result<LogOutline, EngineFault>> {
        Box::pin(async { self.running.log.outline().await.map_err(fault) })
    }

    fn page(&self, from: Position, before: Position) -> Answer<'_, Result<Page, EngineFault>> {
        Box::pin(async move {
            let entries = self.running.log.stretch(from, before, PAGE_BYTES, carried).await.map_err(fault)?;
            if entries.is_empty() {
                let oldest = self.running.log.next_left(from).await.map_err(fault)?;
                return Ok(Page::Lost { through: oldest - 1 });
            }
            Ok(Page::Entries(entries))
        })
    }
}

impl Shared {
    async fn outline(&self) -> Result<LogOutline, RedisFault> {
        let opened = self.store.look_again(None).await?;
        let Identity { epoch, key } = opened.identity;
        let (oldest, next) = (opened.ends.first, opened.ends.next);
        let before = if oldest == next {
            Some(opened.newest)
        } else {
            self.store.entry(oldest).await?.and_then(|entry| entry.before)
        };
        Ok(LogOutline { epoch, key, oldest, next, check_before: before.unwrap_or(Check::START) })
    }
}

/// A log that is being made from another one.
pub struct RedisTarget {
    shared: Arc<Shared>,
    /// The position that comes next.
    next: Position,
}

impl RedisEngine {
    /// Where a copy is to go: the keys that this engine would use. Nothing may follow the log through it meanwhile.
    #[must_use]
    pub fn target(&self) -> RedisTarget {
        RedisTarget { shared: self.running.log.clone(), next: 0 }
    }
}

impl RedisTarget {
    async fn start(&mut self, log: LogOutline) -> Result<(), EngineFault> {
        let store = &self.shared.store;
        store.check().await.map_err(fault)?;
        let identity = Identity { epoch: log.epoch, key: log.key };
        if !store.begin_copy(identity, log.oldest, log.check_before).await.map_err(fault)? {
            return Err(Occupied::fault(store.names.meta.clone()));
        }
        self.next = log.oldest;
        Ok(())
    }

    async fn store(&mut self, entries: Vec<Carried>) -> Result<(), EngineFault> {
        let mut entries = entries.into_iter().peekable();
        while entries.peek().is_some() {
            let (mut written, mut bytes) = (Vec::new(), 0);
            while written.len() < STORED.0
                && bytes < STORED.1
                && let Some(Carried { logged, key }) = entries.next()
            {
                let entry = match &logged.content {
                    Content::Publication(submission) => {
                        envelope::write(logged.check, None, submission, key.as_ref())
                    }
                    _ => Some(envelope::write_place(logged.check, None)),
                };
                let entry = entry.ok_or_else(|| fault(RedisFault::TooLarge))?;
                bytes += entry.len();
                written.push((logged, key, entry));
            }
            let stored = written.iter().map(|(logged, key, entry)| {
                let submission = match &logged.content {
                    Content::Publication(submission) => Some(submission),
                    _ => None,
                };
                let entry = Entry {
                    check: logged.check,
                    bytes: entry,
                    id: submission.and_then(|of| of.chosen_id.as_ref()).map(EventId::as_str),
                    key: key.as_ref().zip(submission.map(fanfare_hub::Submission::fingerprint)),
                };
                (entry, logged.at)
            });
            let meant = self.next + written.len() as u64 - 1;
            let got = self.shared.store.copy(self.next, stored).await.map_err(fault)?;
            if got != meant {
                return Err(fault(Misplaced { meant, got }));
            }
            self.next = meant + 1;
        }
        Ok(())
    }
}

impl CopyTarget for RedisTarget {
    fn begin(&mut self, log: LogOutline) -> Answer<'_, Result<(), EngineFault>> {
        Box::pin(self.start(log))
    }

    fn put(&mut self, entries: Vec<Carried>) -> Answer<'_, Result<(), EngineFault>> {
        Box::pin(self.store(entries))
    }

    fn finish(&mut self) -> Answer<'_, Result<(), EngineFault>> {
        Box::pin(async {
            let is_whole = self.shared.store.finish_copy(self.next - 1).await.map_err(fault)?;
            if is_whole { Ok(()) } else { Err(fault(RedisFault::BegunAnew)) }
        })
    }
}
