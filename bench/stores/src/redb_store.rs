//! redb: a B-tree in one file. One transaction for a group, durable when it is committed.

use crate::event::Event;
use crate::store::Store;
use redb::{Database, ReadableDatabase, TableDefinition};
use std::path::Path;

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const IDS: TableDefinition<'_, &str, u64> = TableDefinition::new("ids");
const TOPICS: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("topics");

struct Redb {
    database: Database,
    oldest: u64,
}

pub(crate) fn open(folder: &Path, _: Option<u64>) -> anyhow::Result<Box<dyn Store>> {
    let database = Database::create(folder.join("log.redb"))?;
    let writing = database.begin_write()?;
    {
        writing.open_table(LOG)?;
        writing.open_table(IDS)?;
        writing.open_table(TOPICS)?;
    }
    writing.commit()?;
    Ok(Box::new(Redb { database, oldest: 1 }))
}

impl Store for Redb {
    fn append(&mut self, group: &[Event]) -> anyhow::Result<()> {
        let writing = self.database.begin_write()?;
        {
            let (mut log, mut ids, mut topics) =
                (writing.open_table(LOG)?, writing.open_table(IDS)?, writing.open_table(TOPICS)?);
            for event in group {
                log.insert(event.position, event.data.as_bytes())?;
                topics.insert((event.topic.as_str(), event.position), ())?;
                if let Some(id) = &event.id {
                    ids.insert(id.as_str(), event.position)?;
                }
            }
        }
        Ok(writing.commit()?)
    }

    fn read(&mut self, from: u64, most: usize) -> anyhow::Result<(usize, usize)> {
        let reading = self.database.begin_read()?;
        let log = reading.open_table(LOG)?;
        let (mut events, mut bytes) = (0, 0);
        for entry in log.range(from..)?.take(most) {
            let (_, data) = entry?;
            events += 1;
            bytes += data.value().to_vec().len();
        }
        Ok((events, bytes))
    }

    fn find(&mut self, id: &str) -> anyhow::Result<Option<u64>> {
        let reading = self.database.begin_read()?;
        Ok(reading.open_table(IDS)?.get(id)?.map(|position| position.value()))
    }

    fn topic(&mut self, topic: &str, next: u64) -> anyhow::Result<u64> {
        let reading = self.database.begin_read()?;
        let (topics, log) = (reading.open_table(TOPICS)?, reading.open_table(LOG)?);
        let mut events = 0;
        for entry in topics.range((topic, 0)..(topic, next))? {
            let (key, _) = entry?;
            if let Some(data) = log.get(key.value().1)? {
                events += u64::from(!data.value().to_vec().is_empty());
            }
        }
        Ok(events)
    }

    fn trim(&mut self, oldest: u64) -> anyhow::Result<()> {
        let writing = self.database.begin_write()?;
        {
            let (mut log, mut ids, mut topics) =
                (writing.open_table(LOG)?, writing.open_table(IDS)?, writing.open_table(TOPICS)?);
            for position in self.oldest..oldest {
                let event = Event::at(position);
                log.remove(position)?;
                topics.remove((event.topic.as_str(), position))?;
                if let Some(id) = &event.id {
                    ids.remove(id.as_str())?;
                }
            }
        }
        writing.commit()?;
        self.oldest = oldest;
        Ok(())
    }
}
