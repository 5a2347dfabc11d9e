//! What a reader is told, owned, so that a test can keep it and compare it.
//!
//! It decodes nothing: what the words mean, [`Item`] says.

use std::fmt;
use std::time::Duration;

use fanfare_wire::{Item, Received};

/// Something that a stream said, or its end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// An event, as a browser dispatches it.
    Event(Dispatched),
    /// A comment line without its colon and one space behind it; a keep-alive is an empty one.
    Comment(String),
    /// The `retry` field: how long to wait before reconnecting.
    ReconnectionTime(Duration),
    /// A block that sets the last event ID and dispatches nothing, such as a hub's bookmark.
    LastEventId(String),
    /// The response has ended in order.
    End,
    /// The response was broken off; this says by what.
    Broken(String),
}

/// An event as a page gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatched {
    /// The `event` field, or `message` where there is none.
    pub name: String,
    /// The lines of data, with one LF between two of them.
    pub data: String,
    /// The last event ID as it stands with this event; empty if there is none.
    pub last_event_id: String,
}

impl From<Received<'_>> for Dispatched {
    fn from(event: Received<'_>) -> Self {
        Self {
            name: event.name.to_owned(),
            data: event.data.to_owned(),
            last_event_id: event.last_event_id.to_owned(),
        }
    }
}

impl Heard {
    pub(super) fn of(item: Item<'_>) -> Option<Self> {
        Some(match item {
            Item::Event(event) => Self::Event(event.into()),
            Item::Comment(text) => Self::Comment(text.to_owned()),
            Item::ReconnectionTime(time) => Self::ReconnectionTime(time),
            Item::LastEventId(id) => Self::LastEventId(id.to_owned()),
            // The decoder may learn to say more.
            _ => return None,
        })
    }

    pub(super) fn event(self) -> Option<Dispatched> {
        match self {
            Self::Event(event) => Some(event),
            _ => None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::End | Self::Broken(_))
    }

    /// The last event ID that a client has once it has heard this, where that changes it.
    pub(super) fn last_event_id(&self) -> Option<&str> {
        match self {
            Self::Event(event) => Some(&event.last_event_id),
            Self::LastEventId(id) => Some(id),
            _ => None,
        }
    }
}

/// As a failed test says it.
impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => event.fmt(f),
            Self::Comment(text) => write!(f, "the comment {text:?}"),
            Self::ReconnectionTime(time) => write!(f, "a reconnection time of {time:?}"),
            Self::LastEventId(id) => write!(f, "the last event ID {id:?} without an event"),
            Self::End => f.write_str("the end of the stream"),
            Self::Broken(why) => write!(f, "a stream that was broken off ({why})"),
        }
    }
}

impl fmt::Display for Dispatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event {:?} with data {:?}", self.name, self.data)?;
        if self.last_event_id.is_empty() { Ok(()) } else { write!(f, " (id {:?})", self.last_event_id) }
    }
}
