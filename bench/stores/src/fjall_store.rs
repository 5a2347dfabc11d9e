//! fjall: an LSM tree. One batch for a group, synced when it is committed.

use crate::event::Event;
use crate::store::Store;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::path::Path;

struct Fjall {
    database: Database,
    log: Keyspace,
    ids: Keyspace,
    topics: Keyspace,
    oldest: u64,
}

pub(crate) fn open(folder: &Path, _: Option<u64>) -> anyhow::Result<Box<dyn Store>> {
    let database = Database::builder(folder).open()?;
    let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default);
    let (log, ids, topics) = (keyspace("log")?, keyspace("ids")?, keyspace("topics")?);
    Ok(Box::new(Fjall { database, log, ids, topics, oldest: 1 }))
}

fn topic_key(topic: &str, position: u64) -> Vec<u8> {
    [topic.as_bytes(), &[0], &position.to_be_bytes()].concat()
}

impl Store for Fjall {
    fn append(&mut self, group: &[Event]) -> anyhow::Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for event in group {
            batch.insert(&self.log, event.position.to_be_bytes(), event.data.as_bytes());
            batch.insert(&self.topics, topic_key(&event.topic, event.position), []);
            if let Some(id) = &event.id {
                batch.insert(&self.ids, id.as_bytes(), event.position.to_be_bytes());
            }
        }
        Ok(batch.commit()?)
    }

    fn read(&mut self, from: u64, most: usize) -> anyhow::Result<(usize, usize)> {
        let (mut events, mut bytes) = (0, 0);
        for entry in self.log.range(from.to_be_bytes()..).take(most) {
            events += 1;
            bytes += entry.value()?.to_vec().len();
        }
        Ok((events, bytes))
    }

    fn find(&mut self, id: &str) -> anyhow::Result<Option<u64>> {
        let found = self.ids.get(id.as_bytes())?;
        Ok(found.and_then(|bytes| Some(u64::from_be_bytes(*bytes.first_chunk()?))))
    }

    fn topic(&mut self, topic: &str, _: u64) -> anyhow::Result<u64> {
        let mut events = 0;
        for entry in self.topics.prefix([topic.as_bytes(), &[0]].concat()) {
            let key = entry.key()?;
            let position = key.last_chunk::<8>().copied().unwrap_or_default();
            if let Some(data) = self.log.get(position)? {
                events += u64::from(!data.to_vec().is_empty());
            }
        }
        Ok(events)
    }

    fn trim(&mut self, oldest: u64) -> anyhow::Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for position in self.oldest..oldest {
            let event = Event::at(position);
            batch.remove(&self.log, position.to_be_bytes());
            batch.remove(&self.topics, topic_key(&event.topic, position));
            if let Some(id) = &event.id {
                batch.remove(&self.ids, id.as_bytes());
            }
        }
        batch.commit()?;
        self.oldest = oldest;
        Ok(())
    }
}
