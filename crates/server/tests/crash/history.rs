//! What happened in a run: what was sent, what was answered, what was received, and what the log held at the end.
//!
//! It is plain facts in the order in which the test saw them. It never decides whether they are in order: that is the
//! [checker](crate::checker)'s.

use std::fmt;
use std::time::Duration;

use fanfare_hub::{IdKey, Position};
use fanfare_wire::EventId;

use crate::plan::{Bearing, GRANTED};

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
    /// How many entries the log keeps, if it drops any in such a run.
    pub(crate) kept: Option<usize>,
    /// When each log but the first was begun, where the log is recreated under hubs that run.
    pub(crate) begun: Vec<Tick>,
    /// The log as a hub reads it at the end, where the logs were read elsewhere.
    pub(crate) read_back: Option<Log>,
    /// When a token was revoked, as a hub acknowledged it.
    pub(crate) revoked_at: Option<Duration>,
    /// The most memory that a node took, in KiB.
    pub(crate) peak_kib: u64,
}

/// What a hub finds that is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogAfterAKill {
    /// Its log, with all that it acknowledged.
    Survives,
    /// An empty log of another epoch.
    IsNew,
    /// Its log; but that is recreated once while hubs run, which notice it when they do.
    IsRecreated,
    /// Its log; but that loses its newest entries once while hubs run, and is another one from then on, which begins with what is left.
    LosesItsEnd,
}

/// One event that somebody tried to publish.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    /// Unlike that of any other.
    pub(crate) data: String,
    pub(crate) topics: Vec<&'static str>,
    /// The publisher's own id, if it chose one.
    pub(crate) chosen_id: Option<String>,
    pub(crate) private: bool,
    /// In which life of the hub it was sent, counted from 0; for one sent again, the last.
    pub(crate) life: usize,
    /// Before the first byte left.
    pub(crate) sent: Tick,
    /// The same by the clock, since the run began.
    pub(crate) sent_at: Duration,
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
    /// What tells the place of an id of the hub's, where it is known: the key, and the log's epoch.
    pub(crate) key: Option<(IdKey, u32)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) data: String,
    /// 0 where it is not known.
    pub(crate) position: Position,
}

/// What one `EventSource` saw over all its connections.
#[derive(Clone, Debug)]
pub(crate) struct Subscriber {
    pub(crate) name: String,
    pub(crate) asks: Asks,
    pub(crate) bears: Bearing,
    pub(crate) connections: Vec<Connection>,
    /// Whether it received what was published last of all.
    pub(crate) caught_up: bool,
    /// How long it took, each time that its node was killed, from the next attempt to the first block.
    pub(crate) back_after: Vec<Duration>,
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
    /// When the token runs out that it sent, by the clock, since the run began.
    pub(crate) token_until: Option<Duration>,
    /// When it was answered, by the same.
    pub(crate) answered_at: Duration,
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
            kept: None,
            begun: Vec::new(),
            read_back: None,
            revoked_at: None,
            peak_kib: 0,
        }
    }

    /// Whether nobody knows in which of several logs a publication may be: it was sent again, or late, by a hub that gave no answer.
    pub(crate) fn may_be_of_any_log(&self, publication: &Publication) -> bool {
        self.changes_under_hubs() && publication.outcome == Outcome::Unknown
    }

    /// Whether the log becomes another one while hubs run.
    pub(crate) fn changes_under_hubs(&self) -> bool {
        matches!(self.log_after_a_kill, LogAfterAKill::IsRecreated | LogAfterAKill::LosesItsEnd)
    }

    /// Whether a log holds what was sent to one before it by right: what is left of that.
    pub(crate) fn is_left_in(&self, number: usize, publication: &Publication) -> bool {
        self.log_after_a_kill == LogAfterAKill::LosesItsEnd && self.log_of(publication.life) < number
    }

    /// The number of the log that a life of the hub had.
    pub(crate) fn log_of(&self, life: usize) -> usize {
        match self.log_after_a_kill {
            LogAfterAKill::Survives => 0,
            LogAfterAKill::IsNew | LogAfterAKill::IsRecreated | LogAfterAKill::LosesItsEnd => life,
        }
    }
}

impl Connection {
    /// Whether the last that came was an event that begins so.
    pub(crate) fn ends_with(&self, beginning: &str) -> bool {
        self.received.last().is_some_and(|received| received.begins_with(beginning))
    }
}

impl Log {
    /// What an id of the hub's is of in this log: the place in the log behind it.
    pub(crate) fn behind(&self, id: &str) -> Option<usize> {
        let (key, epoch) = self.key.as_ref()?;
        let place = key.decipher(&EventId::parse(id).ok()?).filter(|place| place.epoch == *epoch)?;
        Some(self.entries.partition_point(|entry| entry.position <= place.position))
    }
}

impl Subscriber {
    /// Whether it asked for this, and may read it.
    pub(crate) fn is_owed(&self, publication: &Publication) -> bool {
        self.asks.includes(&publication.topics) && self.may_read(publication)
    }

    /// Whether its token lets it read this as long as it lasts, or nothing has to.
    pub(crate) fn may_read(&self, publication: &Publication) -> bool {
        !publication.private || self.bears != Bearing::Nothing && publication.topics.contains(&GRANTED)
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
            let Subscriber { name, asks, bears, .. } = subscriber;
            writeln!(f, "subscriber {name} of {asks:?}, bearing {bears:?}")?;
            for c in &subscriber.connections {
                let Connection { life, answered_at, last_event_id, head, .. } = c;
                writeln!(
                    f,
                    "  connection, life {life}, at {answered_at:?} after {last_event_id:?}: {head:?}"
                )?;
                for received in &c.received {
                    writeln!(f, "    {}: {:?}, id {}", received.at, received.block, received.id)?;
                }
            }
        }
        Ok(())
    }
}
