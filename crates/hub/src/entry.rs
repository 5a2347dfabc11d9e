//! An entry of the log: what was published, encoded once, with the place where it stands.
//!
//! It never changes, and nothing of a connection is in it.

use std::sync::Arc;
use std::time::SystemTime;

use fanfare_wire::{CodedForms, EventId, Frame};

use crate::engine::{Content, Logged};
use crate::id::Place;
use crate::{Check, IdKey, Position, Topic, produced};

/// A publication that the log has accepted, encoded.
#[derive(Debug)]
pub struct Entry {
    pub(crate) position: Position,
    pub(crate) check: Check,
    pub(crate) at: SystemTime,
    pub(crate) id: EventId,
    pub(crate) id_is_chosen: bool,
    pub(crate) private: bool,
    kind: Kind,
    /// Whether it ends the stream of its topic.
    is_end: bool,
    pub(crate) topics: Arc<[Topic]>,
    frame: Frame,
}

/// What an entry tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Publication,
    Presence,
    Forgotten,
}

impl Entry {
    /// Encodes what an engine tells. The same entry always gives the same bytes. `forms` counts what its coded forms take.
    pub(crate) fn encode(logged: Logged, epoch: u32, key: &IdKey, forms: &Arc<CodedForms>) -> Self {
        let Logged { position, check, at, content } = logged;
        let (kind, submission) = match content {
            Content::Publication(submission) => (Kind::Publication, Some(submission)),
            Content::Presence(submission) => (Kind::Presence, Some(submission)),
            Content::Forgotten => (Kind::Forgotten, None),
        };
        let hubs_id = || key.encipher(Place { epoch, position, check });
        let Some(submission) = submission else {
            let (topics, frame) = (Arc::new([]), Frame::KEEP_ALIVE);
            let (id, id_is_chosen, private) = (hubs_id(), false, true);
            return Self {
                position,
                check,
                at,
                id,
                id_is_chosen,
                private,
                is_end: false,
                kind,
                topics,
                frame,
            };
        };
        let id_is_chosen = submission.chosen_id.is_some();
        let id = submission.chosen_id.unwrap_or_else(hubs_id);
        let frame = submission.draft.stamp(&id).kept_in(forms);
        Self {
            position,
            check,
            at,
            id,
            id_is_chosen,
            private: submission.private,
            kind,
            is_end: produced::is_end(&submission.topics),
            topics: submission.topics,
            frame,
        }
    }

    /// Where the entry stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    pub(crate) fn check(&self) -> Check {
        self.check
    }

    /// When it was appended.
    #[must_use]
    pub fn at(&self) -> SystemTime {
        self.at
    }

    /// Its id: its publisher's, or the hub's own.
    #[must_use]
    pub fn id(&self) -> &EventId {
        &self.id
    }

    /// Whether reading it needs a grant.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// Whether it tells of a subscriber that came or went.
    pub(crate) fn is_of_presence(&self) -> bool {
        self.kind != Kind::Publication
    }

    /// Whether it told of one, and what it said is not known any more. Nobody can be handed it.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.kind == Kind::Forgotten
    }

    /// Whether it ends the stream of its topic: see [`Hub::produce`](crate::Hub::produce).
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.is_end
    }

    /// Whom it is addressed to; the canonical topic first, and [internal](Topic::internal) ones only where there is no other.
    #[must_use]
    pub fn topics(&self) -> &[Topic] {
        &self.topics[..self.named()]
    }

    /// The [internal](Topic::internal) topics that stand behind those, for the parts of a hub that speak to each other.
    #[must_use]
    pub fn internal_topics(&self) -> &[Topic] {
        &self.topics[self.named()..]
    }

    /// How many topics the publisher named, or all if those are internal themselves. What the hub adds for itself stands behind them.
    fn named(&self) -> usize {
        match self.topics.iter().position(Topic::is_internal) {
            Some(named @ 1..) => named,
            _ => self.topics.len(),
        }
    }

    /// The event as it is written to every socket.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// What it costs to keep, besides its coded forms: its frame, its id, its topics, and round numbers for the entry and for each topic's index.
    pub(crate) fn cost(&self) -> usize {
        const ENTRY: usize = 128;
        const TOPIC: usize = 160;
        let topics = self.topics.iter().map(|topic| topic.as_str().len() + TOPIC).sum::<usize>();
        self.frame.as_bytes().len() + self.id.as_str().len() + topics + ENTRY
    }
}
