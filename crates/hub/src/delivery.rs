//! What a subscription yields.

use std::sync::Arc;

use fanfare_wire::{Draft, Event, EventId, Frame};

use crate::{Entry, Gap, Position};

/// What a subscriber is handed next.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Delivery {
    /// An event.
    Event(Arc<Entry>),
    /// A fresh last event ID: the subscriber has everything up to it.
    Bookmark(Bookmark),
    /// Events that the subscriber will not get.
    Gap(Gap),
    /// How things stood at a place in the log; see [`Subscription::snapshot`](crate::Subscription::snapshot).
    Snapshot {
        /// The place.
        at: Bookmark,
        /// The snapshot's events, one behind the other.
        frame: Frame,
    },
}

/// A place in the log that a client remembers as its last event ID, without an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookmark {
    position: Position,
    id: EventId,
}

impl Bookmark {
    pub(crate) fn new(position: Position, id: EventId) -> Self {
        Self { position, id }
    }

    /// The position up to which the subscriber has everything.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &EventId {
        &self.id
    }

    /// A block of `id:` alone, which sets a browser's last event ID and dispatches nothing.
    #[must_use]
    pub fn frame(&self) -> Frame {
        Draft::new(&Event::without_data(), self.id.as_str().len()).stamp(&self.id)
    }
}

impl Delivery {
    /// The position that the subscriber has everything up to, once it has this.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::Event(entry) => entry.position(),
            Self::Bookmark(bookmark) => bookmark.position(),
            Self::Gap(gap) => gap.position(),
            Self::Snapshot { at, .. } => at.position(),
        }
    }

    /// The last event ID of a client that has this.
    #[must_use]
    pub fn id(&self) -> &EventId {
        match self {
            Self::Event(entry) => entry.id(),
            Self::Bookmark(bookmark) => bookmark.id(),
            Self::Gap(gap) => gap.id(),
            Self::Snapshot { at, .. } => at.id(),
        }
    }

    /// The bytes to write.
    #[must_use]
    pub fn frame(&self) -> Frame {
        match self {
            Self::Event(entry) => entry.frame().clone(),
            Self::Bookmark(bookmark) => bookmark.frame(),
            Self::Gap(gap) => gap.frame().clone(),
            Self::Snapshot { frame, .. } => frame.clone(),
        }
    }
}

impl From<Delivery> for Frame {
    fn from(delivery: Delivery) -> Self {
        delivery.frame()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bookmark_is_an_id_and_nothing_else() {
        let bookmark = Bookmark::new(1, EventId::parse("#1abc").expect("an id"));
        assert_eq!(bookmark.frame(), b"id: #1abc\n\n"[..]);
    }
}
