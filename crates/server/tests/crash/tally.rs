//! How much a run tried, so that one that tried nothing cannot pass.
//!
//! It counts and never judges; what was made by the hub and what by publishers is counted apart.

use std::fmt;

use crate::checker::MadeBy;
use crate::history::{Block, History, Outcome};

#[derive(Debug, Default)]
pub(crate) struct Tally {
    acknowledged: u64,
    refused: u64,
    unknown: u64,
    entries: u64,
    connections: u64,
    events: ByMaker,
    resumes: ByMaker,
    bookmarks: u64,
    gaps: u64,
}

#[derive(Debug, Default)]
struct ByMaker {
    hub: u64,
    publisher: u64,
}

impl ByMaker {
    fn count(&mut self, id: &str) {
        match MadeBy::of(id) {
            MadeBy::Hub => self.hub += 1,
            MadeBy::Publisher => self.publisher += 1,
        }
    }
}

impl Tally {
    pub(crate) fn of(history: &History) -> Self {
        let mut tally = Self::default();
        for publication in &history.publications {
            match publication.outcome {
                Outcome::Acknowledged { .. } => tally.acknowledged += 1,
                Outcome::Refused => tally.refused += 1,
                Outcome::Unknown | Outcome::Absurd { .. } => tally.unknown += 1,
            }
        }
        tally.entries = history.logs.iter().map(|log| log.entries.len() as u64).sum();
        for connection in history.subscribers.iter().flat_map(|subscriber| &subscriber.connections) {
            tally.connections += 1;
            if let (Some(id), Some(_)) = (&connection.last_event_id, &connection.head) {
                tally.resumes.count(id);
            }
            for received in &connection.received {
                match received.block {
                    Block::Event { .. } => tally.events.count(&received.id),
                    Block::Bookmark => tally.bookmarks += 1,
                    Block::Gap { .. } => tally.gaps += 1,
                }
            }
        }
        tally
    }

    pub(crate) fn assert_that_something_was_tested(&self) {
        let counts = [
            ("an acknowledged publication", self.acknowledged),
            ("an event with an id of the hub's", self.events.hub),
            ("an event with a publisher's id", self.events.publisher),
            ("a resume by an id of the hub's", self.resumes.hub),
            ("a resume by a publisher's id", self.resumes.publisher),
            ("a bookmark", self.bookmarks),
        ];
        for (what, count) in counts {
            assert!(count > 0, "there was not even {what}: {self}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, refused, unknown, entries, connections, events, resumes, bookmarks, gaps } =
            self;
        write!(
            f,
            "{acknowledged} publications acknowledged, {refused} refused, {unknown} unknown; {entries} entries read from logs; \
             {connections} connections, {} resumes by the hub's ids and {} by publishers'; \
             {} events with the hub's ids and {} with publishers'; {bookmarks} bookmarks, {gaps} gaps",
            resumes.hub, resumes.publisher, events.hub, events.publisher
        )
    }
}
