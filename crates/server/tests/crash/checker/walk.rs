//! Goes with one subscriber over all its connections and compares what it got with the log: P1, P2, P3 and P6.
//!
//! The walk keeps a cursor as the hub should: the place in the log behind what the client has. Every block moves it, and
//! what the subscriber asked for and did not get lies between two of its places.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{MadeBy, Promise, Sent, Violation};
use crate::history::{Block, Connection, History, Outcome, Received, Subscriber, Tick};

pub(super) fn check(history: &History, sent: &Sent<'_>, subscriber: &Subscriber, into: &mut Vec<Violation>) {
    let mut walk =
        Walk { history, sent, subscriber, at: None, last_event_id: None, violations: Vec::new(), log: None };
    for connection in &subscriber.connections {
        walk.connection(connection);
    }
    walk.leave_log();
    if !subscriber.caught_up {
        walk.report(Promise::P2, "never received what was published last of all");
    }
    into.append(&mut walk.violations);
}

struct Walk<'h> {
    history: &'h History,
    sent: &'h Sent<'h>,
    subscriber: &'h Subscriber,
    /// When the block came that is looked at.
    at: Option<Tick>,
    last_event_id: Option<&'h str>,
    violations: Vec<Violation>,
    /// The log that the last event ID is of; `None` before there was an id.
    log: Option<InLog<'h>>,
}

/// What the subscriber has of one log.
struct InLog<'h> {
    number: usize,
    /// Where in the log each event and each id stands.
    by_data: HashMap<&'h str, usize>,
    by_id: HashMap<&'h str, usize>,
    cursor: Cursor,
    seen: HashSet<&'h str>,
    /// What was passed over and may yet come, too late.
    skipped: BTreeMap<usize, Skipped>,
}

/// What the subscriber has to get next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cursor {
    /// Nothing is owed yet.
    Nowhere,
    /// Whatever was sent after this moment: its place is that of a bookmark whose entry cannot be told.
    Since(Tick),
    /// The entry at this place, and all behind.
    Next(usize),
}

/// An event that was owed when another came.
struct Skipped {
    stood_at: Option<MadeBy>,
    at: Option<Tick>,
}

impl<'h> Walk<'h> {
    fn connection(&mut self, connection: &'h Connection) {
        let number = self.history.log_of(connection.life);
        let Some(head) = &connection.head else { return };
        self.at = None;
        if head.status != 200 {
            let sentence =
                format!("was answered {}, and an EventSource gives up on that for good", head.status);
            return self.report(Promise::P2, &sentence);
        }
        self.last_event_id = connection.last_event_id.as_deref();
        let told = head.last_event_id.as_deref();
        // `Some` of the reason that the gap must have.
        let must_tell = match (self.last_event_id, &self.log) {
            (Some(id), Some(log)) if log.number != number => Some(reason_of_another_log(id)),
            _ => None,
        };
        let expected = if must_tell.is_some() { Some("earliest") } else { self.last_event_id };
        if told != expected {
            let sentence = format!("was answered to go on after {told:?}, not {expected:?}");
            self.report(Promise::P6, &sentence);
        }
        if let Some(first) = connection.received.first() {
            self.enter(number, must_tell, first);
        }
        for (place, received) in connection.received.iter().enumerate() {
            self.received(received, must_tell.is_some() && place == 0);
        }
    }

    /// The first block of a connection decides whether it goes on in the right log.
    fn enter(&mut self, number: usize, must_tell: Option<&str>, first: &'h Received) {
        self.at = Some(first.at);
        if let Some(must_tell) = must_tell {
            match &first.block {
                Block::Gap { reason, .. } if reason == must_tell => {}
                Block::Gap { reason, .. } => {
                    self.report(Promise::P6, &format!("was told a gap `{reason}` instead of `{must_tell}`"));
                }
                other => {
                    let sentence = format!(
                        "came to another log with a last event ID, and got {other:?} instead of a gap `{must_tell}`"
                    );
                    self.report(Promise::P6, &sentence);
                }
            }
        }
        if self.log.as_ref().is_none_or(|log| log.number != number) {
            self.leave_log();
            self.log = Some(InLog::new(self.history, number));
        }
    }

    fn received(&mut self, received: &'h Received, gap_is_due: bool) {
        self.at = Some(received.at);
        match &received.block {
            Block::Event { data } => self.event(data, &received.id),
            Block::Bookmark => self.move_to(received),
            Block::Gap { reason, after } => {
                if !gap_is_due {
                    self.report(Promise::P6, &format!("was told a gap `{reason}`, but nothing was lost"));
                }
                if after.as_deref() != self.last_event_id {
                    let (sent, told) = (self.last_event_id, after);
                    let sentence = format!("was told a gap after {told:?}, but stood at {sent:?}");
                    self.report(Promise::P6, &sentence);
                }
                // Nothing before the gap is owed any more.
                if let Some(log) = &mut self.log {
                    log.cursor = Cursor::Nowhere;
                }
                self.move_to(received);
            }
        }
        self.last_event_id = Some(&received.id);
    }

    fn event(&mut self, data: &'h str, id: &'h str) {
        let Some(publication) = self.sent.find(data) else {
            return self.report(Promise::P4, &format!("received {data:?}, which nobody sent"));
        };
        if publication.outcome == Outcome::Refused {
            self.report(Promise::P4, &format!("received {data:?}, which was refused"));
        }
        if !self.subscriber.asks.includes(&publication.topics) {
            let topics = &publication.topics;
            self.report(Promise::P2, &format!("received {data:?} of {topics:?}, which it did not ask for"));
        }
        let Some(log) = &mut self.log else { return };
        if self.history.log_of(publication.life) != log.number {
            return self.report(Promise::P4, &format!("received {data:?}, which was sent to another log"));
        }
        if !log.seen.insert(data) {
            return self.report(Promise::P3, &format!("received {data:?} twice"));
        }
        let entries = &self.history.logs[log.number];
        let Some(&place) = log.by_data.get(data) else {
            if entries.whole {
                return self.report(Promise::P4, &format!("received {data:?}, which is not in the log"));
            }
            // Behind what is known of the log; so all that is known should have come.
            return self.pass(entries.entries.len(), entries.entries.len());
        };
        let logged = &entries.entries[place].id;
        if logged != id {
            let sentence = format!("received {data:?} with the id {id}; the log has it as {logged}");
            self.report(Promise::P6, &sentence);
        }
        let Some(log) = &mut self.log else { return };
        let is_late = matches!(log.cursor, Cursor::Next(next) if place < next);
        if is_late {
            // It was not lost, then.
            log.skipped.remove(&place);
            self.report(
                Promise::P1,
                &format!("received {data:?} after events that stand behind it in the log"),
            );
        } else {
            self.pass(place, place + 1);
        }
    }

    /// An id alone says that the client has everything up to it.
    fn move_to(&mut self, received: &'h Received) {
        let Some(log) = &mut self.log else { return };
        match log.by_id.get(&*received.id) {
            Some(&place) => {
                // It may be the place where the client is, never one before.
                if matches!(log.cursor, Cursor::Next(next) if place + 1 < next) {
                    let id = &received.id;
                    self.report(Promise::P1, &format!("was sent back to the id {id}"));
                } else {
                    self.pass(place + 1, place + 1);
                }
            }
            // The entry there has a publisher's id, is not known, or there was none yet.
            None if log.cursor == Cursor::Nowhere => log.cursor = Cursor::Since(received.at),
            None => {}
        }
    }

    /// Moves the cursor to `next`. What was owed before `place` and did not come was skipped.
    fn pass(&mut self, place: usize, next: usize) {
        let stood_at = self.last_event_id.map(MadeBy::of);
        let (at, sent, asks) = (self.at, self.sent, &self.subscriber.asks);
        let Some(log) = &mut self.log else { return };
        let (from, since) = match log.cursor {
            Cursor::Nowhere => (place, 0),
            Cursor::Since(tick) => (0, tick),
            Cursor::Next(from) => (from, 0),
        };
        let entries = &self.history.logs[log.number].entries;
        for (passed, entry) in entries.iter().enumerate().take(place).skip(from) {
            let data = &*entry.data;
            let is_owed = sent.find(data).is_some_and(|p| p.sent > since && asks.includes(&p.topics));
            if is_owed && !log.seen.contains(data) {
                log.skipped.insert(passed, Skipped { stood_at, at });
            }
        }
        log.cursor = Cursor::Next(next);
    }

    /// What was skipped and never came is lost.
    fn leave_log(&mut self) {
        let Some(log) = self.log.take() else { return };
        let entries = &self.history.logs[log.number].entries;
        for (place, skipped) in log.skipped {
            let data = &entries[place].data;
            let known = match self.sent.find(data) {
                Some(p) if p.is_acknowledged() => "acknowledged and ",
                _ => "",
            };
            self.at = skipped.at;
            let sentence =
                format!("never received {data:?}, which is {known}in the log, and was told of no gap");
            self.report_at(Promise::P2, skipped.stood_at, &sentence);
        }
    }

    fn report(&mut self, promise: Promise, sentence: &str) {
        self.report_at(promise, self.last_event_id.map(MadeBy::of), sentence);
    }

    fn report_at(&mut self, promise: Promise, id: Option<MadeBy>, sentence: &str) {
        let name = &self.subscriber.name;
        let when = self.at.map(|at| format!(" (at {at})")).unwrap_or_default();
        let sentence = format!("{name} {sentence}{when}");
        self.violations.push(Violation { promise, id, sentence });
    }
}

impl<'h> InLog<'h> {
    fn new(history: &'h History, number: usize) -> Self {
        let entries = history.logs[number].entries.iter().enumerate();
        let (mut by_data, mut by_id) = (HashMap::new(), HashMap::new());
        for (place, entry) in entries {
            // Of two that are the same, the first: the log's own check reports the second.
            by_data.entry(&*entry.data).or_insert(place);
            by_id.entry(&*entry.id).or_insert(place);
        }
        let (seen, skipped) = (HashSet::new(), BTreeMap::new());
        Self { number, by_data, by_id, cursor: Cursor::Nowhere, seen, skipped }
    }
}

/// What a client is told that comes with an id of a log that is no more.
fn reason_of_another_log(id: &str) -> &'static str {
    match MadeBy::of(id) {
        MadeBy::Hub => "rewound",
        // Nothing in a publisher's id says which log it was of.
        MadeBy::Publisher => "unknown",
    }
}
