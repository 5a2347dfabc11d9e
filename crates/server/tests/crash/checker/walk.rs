//! Goes with one subscriber over all its connections and compares what it got with the log: P1, P2, P3 and P6.
//!
//! The walk keeps a cursor as the hub should: the place in the log behind what the client has. Every block moves it, and
//! what the subscriber asked for and did not get lies between two of its places.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::{MadeBy, Promise, Sent, Violation};
use crate::history::{Block, Connection, Entry, History, Outcome, Publication, Received, Subscriber, Tick};
use crate::plan::Bearing;

/// A token says in whole seconds when it runs out, so it may do so this much earlier than was asked for.
const TOLD_IN_SECONDS: Duration = Duration::from_secs(1);
/// How long after the end of its token a stream may go on.
const ENDED_WITHIN: Duration = Duration::from_secs(1);
/// The same for one that was revoked, on any node.
const REVOKED_WITHIN: Duration = Duration::from_secs(5);

pub(super) fn check(history: &History, sent: &Sent<'_>, subscriber: &Subscriber, into: &mut Vec<Violation>) {
    let mut walk = Walk {
        history,
        sent,
        subscriber,
        at: None,
        last_event_id: None,
        begins_with_gap: false,
        token_until: None,
        violations: Vec::new(),
        log: None,
    };
    for connection in &subscriber.connections {
        walk.connection(connection);
    }
    walk.leave_log();
    let is_shut_out = subscriber.bears == Bearing::Revoked
        && subscriber
            .connections
            .last()
            .and_then(|last| last.head.as_ref())
            .is_some_and(|head| head.status == 401);
    if !subscriber.caught_up && !is_shut_out {
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
    /// Whether it is the first of its connection, which was answered so.
    begins_with_gap: bool,
    /// Of the connection that is looked at.
    token_until: Option<Duration>,
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
    /// It was gone over to a moment ago, which the next block has to tell.
    is_new: bool,
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
        let Some(head) = &connection.head else { return };
        self.at = None;
        self.begins_with_gap = head.last_event_id.as_deref() == Some("earliest");
        self.token_until = connection.token_until;
        if head.status == 401 && self.is_refused_rightly(connection) {
            return;
        }
        if head.status != 200 {
            let sentence =
                format!("was answered {}, and an EventSource gives up on that for good", head.status);
            return self.report(Promise::P2, &sentence);
        }
        self.last_event_id = connection.last_event_id.as_deref();
        let told = head.last_event_id.as_deref();
        if self.history.changes_under_hubs() || self.history.kept.is_some() {
            // Whether there is a gap, the hub has to know better.
            let is_gap =
                connection.received.first().is_none_or(|first| matches!(first.block, Block::Gap { .. }));
            let is_right = told == self.last_event_id || told == Some("earliest") && is_gap;
            if !is_right {
                let sentence = format!("was answered to go on after {told:?}, not {:?}", self.last_event_id);
                self.report(Promise::P6, &sentence);
            }
            for received in &connection.received {
                self.follow(received);
                self.received(received, false);
            }
            return;
        }
        let number = self.history.log_of(connection.life);
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

    /// A token that has run out, or was revoked.
    fn is_refused_rightly(&self, connection: &Connection) -> bool {
        match self.subscriber.bears {
            Bearing::RunningOut => {
                connection.token_until.is_some_and(|until| until <= connection.answered_at + TOLD_IN_SECONDS)
            }
            Bearing::Revoked => self.history.revoked_at.is_some(),
            Bearing::Nothing | Bearing::Lasting => false,
        }
    }

    /// Goes over to the log that a block is of, which has to be told by a gap.
    fn follow(&mut self, received: &'h Received) {
        self.at = Some(received.at);
        let Some(number) = self.log_of(received) else { return };
        let Some(from) = self.log.as_ref().map(|log| log.number) else {
            // Who has had nothing yet is told of another log like everybody.
            let is_new =
                number > 0 && matches!(&received.block, Block::Gap { reason, .. } if reason == "rewound");
            self.log = Some(InLog { is_new, ..InLog::new(self.history, number) });
            return;
        };
        if from == number {
            return;
        }
        match &received.block {
            Block::Gap { reason, after } if number == from + 1 => {
                // Who is connected when it happens stands nowhere else than everybody.
                let of_id = after.as_deref().map_or("rewound", reason_of_another_log);
                if reason != of_id && reason != "rewound" {
                    self.report(Promise::P6, &format!("was told a gap `{reason}` instead of `{of_id}`"));
                }
                if self.history.begun.get(from).is_none_or(|begun| received.at < *begun) {
                    self.report(Promise::P6, "was told of another log before there was one");
                }
            }
            other => {
                let sentence =
                    format!("came from log {from} to log {number}, and got {other:?} instead of a gap");
                self.report(Promise::P6, &sentence);
            }
        }
        self.leave_log();
        self.log = Some(InLog { is_new: true, ..InLog::new(self.history, number) });
    }

    /// The number of the log that a block is of, if it can be told.
    fn log_of(&self, received: &Received) -> Option<usize> {
        let logs = &self.history.logs;
        let by_id = logs.iter().position(|log| log.behind(&received.id).is_some());
        by_id.or_else(|| match &received.block {
            Block::Event { data } => self.sent.log_of(data),
            _ => None,
        })
    }

    fn received(&mut self, received: &'h Received, gap_is_due: bool) {
        self.at = Some(received.at);
        match &received.block {
            Block::Event { data } => self.event(data, &received.id),
            Block::Bookmark => self.move_to(received),
            Block::Gap { reason, after } => {
                let is_of_new_log = self.log.as_mut().is_some_and(|log| std::mem::take(&mut log.is_new));
                if !gap_is_due && !is_of_new_log {
                    self.judge_gap(received, reason);
                }
                // Where the stream began to go on, it may not be known any more where that was.
                let is_forgotten = after.is_none() && !self.begins_with_gap;
                if after.as_deref() != self.last_event_id && !is_forgotten {
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
        self.begins_with_gap = false;
    }

    /// A gap within a log covers what the log had dropped by then, and something that was asked for.
    fn judge_gap(&mut self, received: &Received, reason: &str) {
        let Some(log) = &self.log else {
            return self.over_claim(&format!("was told a gap `{reason}` before there was anything to lose"));
        };
        let entries = &self.history.logs[log.number].entries;
        let behind = log.behind(self.history, &received.id);
        let (from, since) = match log.cursor {
            Cursor::Nowhere => (behind.unwrap_or_default(), 0),
            Cursor::Since(tick) => (0, tick),
            Cursor::Next(from) => (from, 0),
        };
        let is_missing = |entry: &Entry| {
            let publication = self.sent.find(&entry.data);
            publication.is_some_and(|p| p.sent > since && self.subscriber.is_owed(p))
                && !log.seen.contains(&*entry.data)
        };
        let passed = entries.get(from..behind.unwrap_or(from)).unwrap_or_default();
        let Some(last) = passed.iter().rev().find(|entry| is_missing(entry)) else {
            return self.over_claim(&format!("was told a gap `{reason}`, but nothing was lost"));
        };
        // Nobody knows where an id was that is gone; then it goes on with what comes.
        let last = match (reason, self.last_event_id.and_then(|id| log.by_id.get(id))) {
            ("unknown", Some(place)) => &entries[*place],
            _ => last,
        };
        if !self.was_dropped(entries, last, received.at) {
            let sentence =
                format!("was told a gap `{reason}` that covers {:?}, which the log still held", last.data);
            self.report(Promise::P2, &sentence);
        }
    }

    /// Whether so much had been published by then that the log had dropped this entry.
    fn was_dropped(&self, entries: &[Entry], entry: &Entry, at: Tick) -> bool {
        let Some(kept) = self.history.kept else { return false };
        let successor = entries.partition_point(|other| other.position < entry.position + kept as u64);
        let successor = entries.get(successor).and_then(|entry| self.sent.find(&entry.data));
        successor.is_some_and(|publication| publication.sent < at)
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
        self.judge_right(publication);
        let Some(log) = &mut self.log else { return };
        let may_be_anywhere = self.history.may_be_of_any_log(publication);
        if self.history.log_of(publication.life) != log.number && !may_be_anywhere {
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

    /// Nobody reads what they may not.
    fn judge_right(&mut self, publication: &Publication) {
        let data = &publication.data;
        if !self.subscriber.may_read(publication) {
            self.report(Promise::P7, &format!("received {data:?}, which is private"));
        }
        if let Some(until) = self.token_until.filter(|until| publication.sent_at > *until + ENDED_WITHIN) {
            let sent = publication.sent_at;
            let sentence =
                format!("received {data:?}, sent after {sent:?}, with a token that ran out after {until:?}");
            self.report(Promise::P7, &sentence);
        }
        let revoked_at = self.history.revoked_at.filter(|_| self.subscriber.bears == Bearing::Revoked);
        if let Some(at) = revoked_at.filter(|at| publication.sent_at > *at + REVOKED_WITHIN) {
            let sent = publication.sent_at;
            let sentence =
                format!("received {data:?}, sent after {sent:?}, with a token that was revoked after {at:?}");
            self.report(Promise::P7, &sentence);
        }
    }

    /// An id alone says that the client has everything up to it.
    fn move_to(&mut self, received: &'h Received) {
        let Some(log) = &mut self.log else { return };
        match log.behind(self.history, &received.id) {
            Some(behind) => {
                // It may be the place where the client is, never one before.
                if matches!(log.cursor, Cursor::Next(next) if behind < next) {
                    let id = &received.id;
                    self.report(Promise::P1, &format!("was sent back to the id {id}"));
                } else {
                    self.pass(behind, behind);
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
        let (at, sent, subscriber) = (self.at, self.sent, self.subscriber);
        let Some(log) = &mut self.log else { return };
        let (from, since) = match log.cursor {
            Cursor::Nowhere => (place, 0),
            Cursor::Since(tick) => (0, tick),
            Cursor::Next(from) => (from, 0),
        };
        let entries = &self.history.logs[log.number].entries;
        for (passed, entry) in entries.iter().enumerate().take(place).skip(from) {
            let data = &*entry.data;
            let is_owed = sent.find(data).is_some_and(|p| p.sent > since && subscriber.is_owed(p));
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

    fn over_claim(&mut self, sentence: &str) {
        self.report(Promise::P6, sentence);
        if let Some(told) = self.violations.last_mut() {
            told.is_over_claim = true;
        }
    }

    fn report(&mut self, promise: Promise, sentence: &str) {
        self.report_at(promise, self.last_event_id.map(MadeBy::of), sentence);
    }

    fn report_at(&mut self, promise: Promise, id: Option<MadeBy>, sentence: &str) {
        let name = &self.subscriber.name;
        let when = self.at.map(|at| format!(" (at {at})")).unwrap_or_default();
        let sentence = format!("{name} {sentence}{when}");
        self.violations.push(Violation::of(promise, id, sentence));
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
        Self { number, by_data, by_id, cursor: Cursor::Nowhere, seen, skipped, is_new: false }
    }

    /// The place in the log behind what an id is of.
    fn behind(&self, history: &History, id: &str) -> Option<usize> {
        history.logs[self.number].behind(id).or_else(|| self.by_id.get(id).map(|place| place + 1))
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
