//! Reads logs from their beginning: what everything else is measured by.
//!
//! At the end of a run the log is read to its end. Where a kill takes the log with it, a witness reads each one from its
//! hub's start on, and knows it up to about the kill.

use std::thread;
use std::time::Duration;

use crate::history::{Block, Connection, Entry, Log};
use crate::stage::Stage;
use crate::subscriber::{EventSource, LAST};

/// What the very last publication is called, which closes the log. Nobody subscribes any more when it comes.
pub(crate) const END: &str = "end/";

/// How long to wait for a hub that cannot say anything now.
const AWAY_FOR: Duration = Duration::from_millis(50);

/// Reads every log in turn until the run ends; gives them by the lives of the hub.
pub(crate) fn witness(stage: &Stage) -> Vec<Log> {
    let mut logs: Vec<Log> = Vec::new();
    while !stage.is_out_of_patience() {
        if let Some(connection) = everything(stage, LAST) {
            let entries = entries(&connection);
            if logs.len() <= connection.life {
                logs.resize(connection.life + 1, Log::default());
            }
            let known = &mut logs[connection.life];
            // It may have come twice to one hub, the first time too early to see much.
            if entries.len() > known.entries.len() {
                known.entries = entries;
            }
            if connection.ends_with(LAST) {
                break;
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    logs
}

/// Reads the log of the hub that runs, up to [`END`].
pub(crate) fn whole_log(stage: &Stage) -> Log {
    let mut log = Log::default();
    // A node that cannot read the log for now sends everybody away.
    while !log.whole && !stage.is_out_of_patience() {
        if let Some(connection) = everything(stage, END) {
            log = Log { entries: entries(&connection), whole: connection.ends_with(END), key: None };
        }
        if !log.whole {
            thread::sleep(AWAY_FOR);
        }
    }
    log
}

fn everything(stage: &Stage, until: &'static str) -> Option<Connection> {
    EventSource::new(stage, "match=*".to_owned(), until).after(EARLIEST).connect(None)
}

/// What asks for all that the log keeps.
const EARLIEST: &str = "earliest";

fn entries(connection: &Connection) -> Vec<Entry> {
    let received = connection.received.iter();
    let entry = received.filter_map(|received| match &received.block {
        Block::Event { data } => Some(Entry { id: received.id.clone(), data: data.clone(), position: 0 }),
        // A gap here is as bad as a loss: what it covers is missing from the log then, and found so.
        Block::Bookmark | Block::Gap { .. } => None,
    });
    entry.collect()
}
