//! What became of a last event ID: the typed outcome, and the gaps that subscribers are told about.

use std::fmt;

use fanfare_wire::{Draft, Event, EventId, EventName, Frame};

use crate::Position;
use crate::publication::EARLIEST;

/// How a subscription began.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resume {
    /// There was no last event ID: live from here on.
    Fresh,
    /// The last event ID was `earliest`: everything kept, then live.
    Earliest,
    /// Everything after the last event ID, then live; nothing is missing.
    Resumed {
        /// Where the entry with the last event ID stands.
        after: Position,
    },
    /// Events are missing, or may be. The subscription's first delivery is a gap that says so.
    Gap {
        /// Why.
        reason: GapReason,
    },
    /// The last event ID is that of the end of the one topic that was asked for: the client has everything, and there will
    /// never be more. The subscription yields nothing. Over HTTP the answer is 204, after which an `EventSource` does not come
    /// back.
    ///
    /// Source: [WHATWG HTML § 9.2.1](https://html.spec.whatwg.org/multipage/server-sent-events.html#server-sent-events-intro).
    Over,
}

impl Resume {
    /// What the response header `Mercure-Last-Event-ID` says to a client that asked for `requested`.
    ///
    /// The id itself if the stream goes on right behind it, otherwise `earliest`. Never an id that the client did
    /// not send, so nothing is disclosed.
    ///
    /// Source: requirements M-132, M-133 and M-137 of the Mercure protocol.
    #[must_use]
    pub fn last_event_id_header<'a>(&self, requested: &'a EventId) -> &'a str {
        match self {
            Self::Resumed { .. } | Self::Over => requested.as_str(),
            Self::Fresh | Self::Earliest | Self::Gap { .. } => EARLIEST,
        }
    }
}

/// Why a subscriber does not get some events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// They are older than what is kept. The stream goes on from the oldest kept.
    Trimmed,
    /// The log was recreated or has lost its newest entries since. The stream goes on live.
    Rewound,
    /// The last event ID is not known. The stream goes on live, or from the oldest kept: see [`UnknownId`].
    Unknown,
    /// The topic's stream ended longer ago than it was to be read: see [`Produce::expires_after`](crate::Produce::expires_after).
    /// The stream goes on with its end.
    Expired,
}

impl GapReason {
    /// The reason as the gap event names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Rewound => "rewound",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a stream goes on whose last event ID nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownId {
    /// Behind the gap event, only what is published from now on.
    #[default]
    Live,
    /// Behind the gap event, everything that is kept.
    Oldest,
}

/// Some events that a subscriber will not get, and is told about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    reason: GapReason,
    after: Option<EventId>,
    position: Position,
    id: EventId,
    frame: Frame,
}

impl Gap {
    /// `position` is the one that the stream goes on behind, `id` the hub's own id of it.
    pub(crate) fn new(
        reason: GapReason,
        after: Option<EventId>,
        position: Position,
        id: EventId,
        name: &EventName,
    ) -> Self {
        let after_json = after.as_ref().map_or_else(|| "null".to_owned(), |id| json_string(id.as_str()));
        let data = format!("{{\"reason\":\"{reason}\",\"after\":{after_json}}}");
        let frame = Draft::new(&Event::new(data).event(name.clone()), id.as_str().len()).stamp(&id);
        Self { reason, after, position, id, frame }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> GapReason {
        self.reason
    }

    /// The last event ID that the client has, as far as the hub knows.
    #[must_use]
    pub fn after(&self) -> Option<&EventId> {
        self.after.as_ref()
    }

    /// The position that the stream goes on behind.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The bookmark that the gap event carries as its id: who comes back with it is not told twice.
    #[must_use]
    pub fn id(&self) -> &EventId {
        &self.id
    }

    /// The gap event.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }
}

/// A JSON string, as RFC 8259 § 7 has it.
fn json_string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..='\u{1f}' => json.extend(format!("\\u{:04x}", u32::from(character)).chars()),
            _ => json.push(character),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_event_names_its_reason_and_the_cursor_whatever_it_holds() {
        let id = |text: &str| EventId::parse(text).expect("an id");
        let name = EventName::parse("fanfare.gap").expect("a name");
        let gap = Gap::new(GapReason::Unknown, Some(id("a\"b\\c\u{1}é")), 7, id("#1x"), &name);
        let expected = "id: #1x\nevent: fanfare.gap\ndata: {\"reason\":\"unknown\",\"after\":\"a\\\"b\\\\c\\u0001é\"}\n\n";
        assert_eq!(*gap.frame(), *expected.as_bytes());
    }

    #[test]
    fn the_header_echoes_only_what_was_asked_for() {
        let requested = EventId::parse("x").expect("an id");
        assert_eq!(Resume::Resumed { after: 3 }.last_event_id_header(&requested), "x");
        assert_eq!(Resume::Gap { reason: GapReason::Trimmed }.last_event_id_header(&requested), "earliest");
    }
}
