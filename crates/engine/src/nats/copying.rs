//! A stream as what is copied, and as what a copy becomes.
//!
//! A stream that grows has metadata that no hub takes for a log's; they are completed when it is whole.

use std::sync::Arc;

use async_nats::jetstream::stream::Info;
use fanfare_hub::engine::{Answer, Content, EngineFault};
use fanfare_hub::{Check, Position};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;

use super::NatsEngine;
use super::error::NatsFault;
use super::setup;
use super::shared::Shared;
use crate::cluster::envelope;
use crate::cluster::identity::{self, Identity};
use crate::copy::{Carried, CopySource, CopyTarget, LogOutline, Misplaced, Occupied, Page, not_taken};
use crate::fault::fault;

/// How many bytes are read at a time.
const PAGE_BYTES: usize = 512 * 1024;
/// How many entries are on their way to the stream at once.
const IN_FLIGHT: usize = 256;

impl CopySource for NatsEngine {
    fn outline(&self) -> Answer<'_, Result<LogOutline, EngineFault>> {
        Box::pin(async {
            let opened = self.running.log.store.look_again().await.map_err(fault)?;
            // One that was cut off may not know of the newest entries.
            if !opened.is_of_majority() {
                return Err(fault(NatsFault::CutOff));
            }
            let (ends, Identity { epoch, key }) = (opened.ends(), opened.identity);
            Ok(LogOutline { epoch, key, oldest: ends.first, next: ends.next, check_before: Check::START })
        })
    }

    fn page(&self, from: Position, before: Position) -> Answer<'_, Result<Page, EngineFault>> {
        Box::pin(async move { self.running.log.carried(from, before, PAGE_BYTES).await.map_err(fault) })
    }
}

/// A stream that is being made from another log.
pub struct NatsTarget {
    shared: Arc<Shared>,
    /// The position that comes next.
    next: Position,
}

impl NatsEngine {
    /// Where a copy is to go: a stream like one that this engine would create. Nothing may follow the log through it meanwhile.
    #[must_use]
    pub fn target(&self) -> NatsTarget {
        NatsTarget { shared: self.running.log.clone(), next: 0 }
    }
}

impl NatsTarget {
    async fn start(&mut self, log: LogOutline) -> Result<(), NatsFault> {
        let store = &self.shared.store;
        let identity = Identity { epoch: log.epoch, key: log.key };
        let mut config = setup::config(&store.names, store.wanted(), identity);
        identity::begin_copy(&mut config.metadata);
        config.first_sequence = Some(log.oldest).filter(|&first| first > 1);
        store.create_anew(config).await?;
        self.next = log.oldest;
        Ok(())
    }

    /// What there is may be replaced if it is a copy that nobody finished.
    async fn is_free(&self) -> Result<bool, NatsFault> {
        Ok(self.shared.store.info().await?.is_none_or(|info| identity::is_begun_copy(&info.config.metadata)))
    }

    async fn store(&mut self, entries: Vec<Carried>) -> Result<(), EngineFault> {
        let store = &self.shared.store;
        let mut on_their_way = FuturesOrdered::new();
        let mut entries = entries.into_iter();
        loop {
            while on_their_way.len() < IN_FLIGHT
                && let Some(Carried { logged, key }) = entries.next()
            {
                let (check, at) = (logged.check, Some(logged.at));
                let (entry, has_id) = match &logged.content {
                    Content::Publication(submission) => {
                        (envelope::write(check, at, submission, key.as_ref()), submission.chosen_id.is_some())
                    }
                    _ => (Some(envelope::write_place(check, at)), false),
                };
                let entry = entry.ok_or_else(|| fault(NatsFault::TooLarge))?;
                let subject = store.names.subject(has_id, key.is_some()).to_owned();
                // What is handed to the connection stays in order, and the acknowledgement shows that it did.
                on_their_way
                    .push_back(store.hand_in(subject, entry, None).await.map_err(not_taken)?.answer());
            }
            let Some(stored) = on_their_way.next().await else { return Ok(()) };
            let (meant, got) = (self.next, stored.map_err(not_taken)?.sequence);
            if got != meant {
                return Err(fault(Misplaced { meant, got }));
            }
            self.next += 1;
        }
    }

    async fn complete(&mut self) -> Result<(), NatsFault> {
        let store = &self.shared.store;
        let info: Info = store.info().await?.ok_or(NatsFault::BegunAnew)?;
        if info.state.last_sequence + 1 != self.next {
            return Err(NatsFault::BegunAnew);
        }
        let mut config = info.config;
        identity::finish_copy(&mut config.metadata);
        store.update(config).await
    }
}

impl CopyTarget for NatsTarget {
    fn begin(&mut self, log: LogOutline) -> Answer<'_, Result<(), EngineFault>> {
        Box::pin(async move {
            if !self.is_free().await.map_err(fault)? {
                return Err(Occupied::fault(format!("the stream {}", self.shared.store.names.stream)));
            }
            self.start(log).await.map_err(fault)
        })
    }

    fn put(&mut self, entries: Vec<Carried>) -> Answer<'_, Result<(), EngineFault>> {
        Box::pin(self.store(entries))
    }

    fn finish(&mut self) -> Answer<'_, Result<(), EngineFault>> {
        Box::pin(async { self.complete().await.map_err(fault) })
    }
}
