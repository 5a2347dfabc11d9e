//! What happened in a run: what was sent, what was answered, what was received, and what the log held at the end.
//!
//! It is plain facts in the order in which the test saw them. It never decides whether they are in order: that is the
//! [checker](crate::checker)'s.

use std::fmt;

/// A moment. Later ones are larger; two that are compared were never taken at once.
pub(crate) type Tick = u64;

/// All of a run.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) log_after_a_kill: LogAfterAKill,
    pub(crate) publications: Vec<Publication>,
    /// One if it survives; otherwise one for each life of the hub, by its number.
    pub(crate) logs: Vec<Log>,
    pub(crate) subscribers: Vec<Subscriber>,
    /// What was said of each end of the hub that nobody asked for.
    pub(crate) unasked_ends: Vec<String>,
}

/// What a hub finds that is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogAfterAKill {
    /// Its log, with all that it acknowledged.
    Survives,
    /// An empty log of another epoch.
    IsNew,
}

/// One event that somebody tried to publish.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    /// Unlike that of any other.
    pub(crate) data: String,
    pub(crate) topics: Vec<&'static str>,
    /// The publisher's own id, if it chose one.
    pub(crate) chosen_id: Option<String>,
    /// In which life of the hub it was sent, counted from 0; for one sent again, the last.
    pub(crate) life: usize,
    /// Before the first byte left.
    pub(crate) sent: Tick,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 200 with this id.
    Acknowledged { id: String, at: Tick },
    /// Certainly not stored: 503, or nobody listened.
    Refused,
    /// The connection broke before the answer, or 504.
    Unknown,
    /// What no hub may answer to a good publication.
    Absurd { answer: String },
}

/// A log as it was read from its beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) entries: Vec<Entry>,
    /// Whether it was read to its end. If not, there were more entries behind when the hub was killed.
    pub(crate) whole: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) data: String,
}

/// What one `EventSource` saw over all its connections.
#[derive(Clone, Debug)]
pub(crate) struct Subscriber {
    pub(crate) name: String,
    pub(crate) asks: Asks,
    pub(crate) connections: Vec<Connection>,
    /// Whether it received what was published last of all.
    pub(crate) caught_up: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    Everything,
    Topics(Vec<&'static str>),
}

/// One request of a subscriber, and what came back.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// Of which life of the hub.
    pub(crate) life: usize,
    /// The `Last-Event-ID` that it sent.
    pub(crate) last_event_id: Option<String>,
    /// `None` if it broke before, or if it was sent away because the place could not be known.
    pub(crate) head: Option<Head>,
    pub(crate) received: Vec<Received>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// The header `Mercure-Last-Event-ID`.
    pub(crate) last_event_id: Option<String>,
}

/// One block of a stream, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) at: Tick,
    /// The client's last event ID behind it.
    pub(crate) id: String,
    pub(crate) block: Block,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    Event {
        data: String,
    },
    /// An id alone.
    Bookmark,
    Gap {
        reason: String,
        after: Option<String>,
    },
}

impl History {
    /// One in which nothing has happened yet.
    pub(crate) fn of(log_after_a_kill: LogAfterAKill) -> Self {
        Self {
            log_after_a_kill,
            publications: Vec::new(),
            logs: Vec::new(),
            subscribers: Vec::new(),
            unasked_ends: Vec::new(),
        }
    }

    /// The number of the log that a life of the hub had.
    pub(crate) fn log_of(&self, life: usize) -> usize {
        match self.log_after_a_kill {
            LogAfterAKill::Survives => 0,
            LogAfterAKill::IsNew => life,
        }
    }
}

impl Connection {
    /// Whether the last that came was an event that begins so.
    pub(crate) fn ends_with(&self, beginning: &str) -> bool {
        self.received.last().is_some_and(|received| received.begins_with(beginning))
    }
}

impl Received {
    pub(crate) fn begins_with(&self, beginning: &str) -> bool {
        matches!(&self.block, Block::Event { data } if data.starts_with(beginning))
    }
}

impl Asks {
    pub(crate) fn includes(&self, topics: &[&str]) -> bool {
        match self {
            Self::Everything => true,
            Self::Topics(asked) => asked.iter().any(|topic| topics.contains(topic)),
        }
    }
}

/// For people who look for the cause: a line for each fact.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for end in &self.unasked_ends {
            writeln!(f, "hub ended: {end}")?;
        }
        for p in &self.publications {
            let (data, topics, life, sent) = (&p.data, &p.topics, p.life, p.sent);
            writeln!(f, "publication {data} to {topics:?}, life {life}, sent {sent}: {:?}", p.outcome)?;
        }
        for (number, log) in self.logs.iter().enumerate() {
            writeln!(f, "log {number}, {}", if log.whole { "whole" } else { "up to a kill" })?;
            for (place, entry) in log.entries.iter().enumerate() {
                writeln!(f, "  {place}: {} {}", entry.id, entry.data)?;
            }
        }
        for subscriber in &self.subscribers {
            writeln!(f, "subscriber {} of {:?}", subscriber.name, subscriber.asks)?;
            for c in &subscriber.connections {
                writeln!(f, "  connection, life {}, after {:?}: {:?}", c.life, c.last_event_id, c.head)?;
                for received in &c.received {
                    writeln!(f, "    {}: {:?}, id {}", received.at, received.block, received.id)?;
                }
            }
        }
        Ok(())
    }
}
