//! What stands in the log about a stream that somebody produces: its claims, its events, its end, and who asked for it to be stopped.
//!
//! A stream is what one producer after the other publishes to a topic. Its entries are its *links*: each is appended under an idempotency
//! key that is made of the entry before it, and an engine stores one entry for a key. So every place in a stream is taken once: whoever
//! took over took the place that the producer before would have needed, on whichever node.
//!
//! | entry | topics | its publisher's id |
//! |---|---|---|
//! | a claim: the first one is the start | links, notices | the start's mark, of the first one |
//! | an event | the topic, links | the event's own, or none |
//! | the end | the topic, links, end | the end's mark |
//! | a wish that it be stopped, which is no link | notices | none |
//!
//! All but the first of these topics are internal, so nobody outside reads them or publishes there.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanfare_wire::{Draft, Event, EventId, EventName};

use crate::entry::Entry;
use crate::publication::Submission;
use crate::{IdKey, IdempotencyKey, Position, Topic, TopicError};

const LINKS: &str = "stream:";
const NOTICES: &str = "notices:";
const END: &str = "end";

// A publisher's id never begins with `#`; the digit is the format's version, as in the ids of other entries.
const START_ID: &str = "#b1";
const END_ID: &str = "#e1";

/// By what a stream's start and end are found in a log.
#[derive(Clone)]
pub(crate) struct Marks {
    pub(crate) start: EventId,
    pub(crate) end: EventId,
}

impl Marks {
    pub(crate) fn of(topic: &str, key: &IdKey) -> Self {
        Self { start: key.id_for(START_ID, topic), end: key.id_for(END_ID, topic) }
    }

    /// Whether an id may be one of some stream's.
    pub(crate) fn may_have(id: &EventId) -> bool {
        id.as_str().starts_with(START_ID) || id.as_str().starts_with(END_ID)
    }
}

/// What a producer has chosen for its stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// Whether reading it needs a grant.
    pub(crate) private: bool,
    /// For how long after its end it is to be read from its beginning.
    pub(crate) expires_after: Option<Duration>,
}

/// The topics of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    /// What its readers ask for.
    pub(crate) topic: Topic,
    /// Where all of its links are, in their order.
    pub(crate) links: Topic,
    /// What its producers listen to: claims, and wishes that it be stopped.
    pub(crate) notices: Topic,
}

impl Topics {
    /// # Errors
    /// The topic is longer than a stream's may be.
    pub(crate) fn of(topic: Topic) -> Result<Self, TopicError> {
        let internal = |name| Topic::internal_about(name, &topic);
        let (links, notices) = (internal(LINKS)?, internal(NOTICES)?);
        Ok(Self { topic, links, notices })
    }

    /// A producer's claim: what it publishes from here on is the stream. The `token` makes it unlike any other.
    pub(crate) fn claim(&self, token: u128, start: Option<EventId>) -> Submission {
        let topics = [self.links.clone(), self.notices.clone()];
        submission(topics.into(), true, start, &Event::new(format!("{token:032x}")))
    }

    pub(crate) fn end(&self, event: &Event, id: EventId, terms: &Terms) -> Submission {
        let mark = match terms.expires_after {
            None => END.to_owned(),
            Some(after) => format!("{END}:{}", after.as_millis()),
        };
        let topics = [self.topic.clone(), self.links.clone(), Topic::internal_named(&mark)];
        submission(topics.into(), terms.private, Some(id), event)
    }

    /// Makes a link of what was accepted for the topic.
    pub(crate) fn link(&self, accepted: Submission) -> Submission {
        Submission { topics: [self.topic.clone(), self.links.clone()].into(), ..accepted }
    }

    pub(crate) fn stop(&self) -> Submission {
        submission([self.notices.clone()].into(), true, None, &Event::new("stop"))
    }

    pub(crate) fn has_link(&self, entry: &Entry) -> bool {
        entry.topics.contains(&self.links)
    }
}

/// The text of the topic where the links of a topic's stream are.
pub(crate) fn links(topic: &str) -> String {
    Topic::internal_text(LINKS, topic)
}

fn submission(topics: Arc<[Topic]>, private: bool, chosen_id: Option<EventId>, event: &Event) -> Submission {
    let room = chosen_id.as_ref().map_or(crate::id::ID_BYTES, |id| id.as_str().len());
    Submission { topics, private, chosen_id, draft: Draft::new(event, room) }
}

/// The key of the link behind the one at `last`; 0 stands before the first.
pub(crate) fn key(marks: &Marks, last: Position) -> IdempotencyKey {
    // No other key begins so: those that come over HTTP are visible characters.
    IdempotencyKey::new(format!("\u{0}{} {last}", marks.start))
}

/// The event that ends a stream.
pub(crate) fn end_event(data: std::borrow::Cow<'static, str>, name: &EventName) -> Event {
    Event::new(data).event(name.clone())
}

/// Whether an entry with these topics ends its stream.
pub(crate) fn is_end(topics: &[Topic]) -> bool {
    end_mark(topics).is_some()
}

/// Whether a stream with this end is not to be read any more.
pub(crate) fn is_expired(end: &Entry, now: SystemTime) -> bool {
    let millis = end_mark(&end.topics).and_then(|mark| mark.strip_prefix(':')?.parse().ok());
    let expires_after = millis.map(Duration::from_millis);
    expires_after.is_some_and(|after| now.duration_since(end.at()).is_ok_and(|since| since >= after))
}

/// What stands behind the name of the topic that marks an end.
fn end_mark(topics: &[Topic]) -> Option<&str> {
    let [_, .., last] = topics else { return None };
    last.internal_name()?.strip_prefix(END).filter(|rest| rest.is_empty() || rest.starts_with(':'))
}
