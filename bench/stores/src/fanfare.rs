//! The engine of this tree.

use crate::event::Event;
use crate::store::Store;
use anyhow::{Context, anyhow};
use fanfare_engine::DiskEngine;
use fanfare_hub::engine::{Content, Engine, ReadRequest};
use fanfare_hub::{Submission, Topic};
use fanfare_wire::{Draft, EventId};
use futures_executor::block_on;
use std::path::Path;
use std::sync::Arc;

struct Fanfare(DiskEngine);

pub(crate) fn open(folder: &Path, keep: Option<u64>) -> anyhow::Result<Box<dyn Store>> {
    let options = DiskEngine::options(folder).history_bytes(1 << 40).history_events(keep);
    Ok(Box::new(Fanfare(options.open()?)))
}

fn submission(event: &Event) -> anyhow::Result<Submission> {
    let topic = Topic::parse(&event.topic).map_err(|error| anyhow!("{error}"))?;
    let chosen_id =
        event.id.as_deref().map(EventId::parse).transpose().map_err(|error| anyhow!("{error}"))?;
    let draft = Draft::new(&fanfare_wire::Event::new(event.data.clone()), 24);
    Ok(Submission { topics: Arc::new([topic]), private: false, chosen_id, draft })
}

impl Store for Fanfare {
    fn append(&mut self, group: &[Event]) -> anyhow::Result<()> {
        let appends: Vec<_> = group
            .iter()
            .map(|event| Ok(self.0.append(submission(event)?, None)))
            .collect::<anyhow::Result<_>>()?;
        for (append, event) in appends.into_iter().zip(group) {
            let appended = block_on(append).map_err(|error| anyhow!("{error:?}"))?;
            anyhow::ensure!(
                appended.position == event.position,
                "{} stands at {}",
                event.position,
                appended.position
            );
        }
        Ok(())
    }

    fn read(&mut self, from: u64, most: usize) -> anyhow::Result<(usize, usize)> {
        let (mut events, mut bytes) = (0, 0);
        let mut after = from - 1;
        while events < most {
            let request =
                ReadRequest { after, before: from + most as u64, topics: None, bytes_max: 256 * 1024 };
            let batch = block_on(self.0.read(request)).map_err(|error| anyhow!("{error:?}"))?;
            if batch.through == after {
                break;
            }
            after = batch.through;
            events += batch.entries.len();
            for entry in &batch.entries {
                if let Content::Publication(submission) = &entry.content {
                    bytes += submission.draft.frame_bytes();
                }
            }
        }
        Ok((events, bytes))
    }

    fn find(&mut self, id: &str) -> anyhow::Result<Option<u64>> {
        let id = EventId::parse(id).map_err(|error| anyhow!("{error}"))?;
        block_on(self.0.find(id)).map_err(|error| anyhow!("{error}"))
    }

    fn topic(&mut self, topic: &str, next: u64) -> anyhow::Result<u64> {
        let topics: Arc<[Topic]> = Arc::new([Topic::parse(topic).ok().context("a topic")?]);
        let (mut events, mut after) = (0, 0);
        while after + 1 < next {
            let request =
                ReadRequest { after, before: next, topics: Some(topics.clone()), bytes_max: 256 * 1024 };
            let batch = block_on(self.0.read(request)).map_err(|error| anyhow!("{error:?}"))?;
            events += batch.entries.len() as u64;
            after = batch.through;
        }
        Ok(events)
    }

    fn trim(&mut self, _: u64) -> anyhow::Result<()> {
        // It does so by itself.
        Ok(())
    }
}
