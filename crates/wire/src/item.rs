//! What a decoder hands out.
//!
//! Everything here borrows: from the bytes that were pushed where a field lies in one piece there, from the
//! decoder where it does not. Nothing here is kept for longer than until the next call.

use core::time::Duration;

/// Something that an event stream said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item<'a> {
    /// An event to dispatch.
    Event(Received<'a>),
    /// A block that sets the last event ID and dispatches nothing; this is the ID, empty if it was reset.
    /// It may be the one that stood before.
    LastEventId(&'a str),
    /// The `retry` field: how long to wait before reconnecting, in whole milliseconds, at most `u64::MAX` of them.
    ReconnectionTime(Duration),
    /// A comment line, without its colon and one space after that. It means nothing, but shows that the
    /// server is alive.
    Comment(&'a str),
}

/// An event as a client dispatches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received<'a> {
    /// The value of the `event` field, or `message` if it is missing or empty. A browser calls it the type.
    pub name: &'a str,
    /// The lines of data, with one LF between two of them.
    pub data: &'a str,
    /// The last event ID as it stands: of this event, else of the last one before that had an `id`, else empty.
    pub last_event_id: &'a str,
}
