//! What a publisher hands in, and what of it is accepted.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use fanfare_wire::{Draft, Event, EventId, EventName};
use siphasher::sip128::{Hash128, Hasher128, SipHasher13};

use crate::id::ID_BYTES;
use crate::{Topic, TopicError};

/// An event for one or several topics, public or private.
///
/// ```
/// use fanfare_hub::{Publication, Topic};
/// use fanfare_wire::Event;
///
/// let order = Topic::parse("orders/41")?;
/// let customer = Topic::parse("customers/7/orders/41")?;
/// let publication = Publication::to([order, customer]).private(Event::new("paid"));
/// # Ok::<(), fanfare_hub::TopicError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Publication {
    pub(crate) topics: Vec<Topic>,
    pub(crate) event: Event,
    pub(crate) private: bool,
    pub(crate) key: Option<IdempotencyKey>,
    /// Names of those whom it is not for.
    pub(crate) except: Vec<String>,
}

/// A publication that still lacks its event: see [`Publication::to`].
#[derive(Clone, Debug)]
pub struct Addressed(Vec<Topic>);

/// What a publisher sends again with a repeated attempt, so that it is stored once.
///
/// Two attempts with the same key have to be the same publication: the second one is answered as the first was, and
/// refused with [`PublishError::KeyReused`] if it differs in its topics, its privacy, its id or its event. Keys are
/// remembered for a while only, see [`KeyLimits`](crate::engine::KeyLimits). Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// Takes a key, of any text. Whoever serves several publishers puts the publisher into it, and bounds its length.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().into())
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Publication {
    /// Addresses a publication to `topics`, of which it needs at least one.
    ///
    /// A subscriber that asked for several of them gets the event once.
    #[must_use]
    pub fn to(topics: impl IntoIterator<Item = Topic>) -> Addressed {
        Addressed(topics.into_iter().collect())
    }

    /// Marks the attempt with a key: further attempts with it store nothing and answer with the first one's id.
    ///
    /// ```
    /// # use fanfare_hub::{Hub, IdempotencyKey, Publication, PublishError, Topic};
    /// # use fanfare_wire::Event;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Hub::builder().build()?;
    /// let order = Topic::parse("orders/41")?;
    /// let attempt = |data: &'static str| {
    ///     let publication = Publication::to([order.clone()]).event(Event::new(data));
    ///     hub.publish_all(publication.idempotency_key(IdempotencyKey::new("payment 12")))
    /// };
    /// let (first, again) = (attempt("paid").await?, attempt("paid").await?);
    /// assert!(again.duplicate && again.id == first.id);
    /// assert!(matches!(attempt("refunded").await, Err(PublishError::KeyReused)));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }
}

impl Publication {
    /// Publishes to everybody but the subscriptions of a [name](crate::Subscription::named), as to all in a room but who said it. With
    /// several, to none of these.
    ///
    /// It stands in the log with the publication: so it holds on every node, and for who comes back. Those whom it leaves out get neither
    /// the event nor a gap. It is no secret and no right: whoever subscribes without the name gets the event, and what somebody may not read
    /// is published [privately](Addressed::private). A name takes as much of the log as a topic.
    ///
    /// ```
    /// # use fanfare_hub::{Delivery, Hub, Publication, Topic};
    /// # use fanfare_wire::Event;
    /// # use futures_util::StreamExt;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Hub::builder().build()?;
    /// let mut ada = hub.subscribe("rooms/7").bookmarks(false).named("ada");
    ///
    /// let room = Topic::parse("rooms/7")?;
    /// hub.publish_all(Publication::to([room]).event(Event::new("hello")).except("ada")).await?;
    /// hub.publish("rooms/7", Event::new("to all")).await?;
    ///
    /// let Some(Ok(Delivery::Event(entry))) = ada.next().await else { panic!("no event") };
    /// assert!(entry.frame().as_bytes().ends_with(b"data: to all\n\n"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn except(mut self, name: impl Into<String>) -> Self {
        self.except.push(name.into());
        self
    }
}

impl Addressed {
    /// Lets everybody read the event who asks for one of its topics.
    #[must_use]
    pub fn event(self, event: Event) -> Publication {
        Publication { topics: self.0, event, private: false, key: None, except: Vec::new() }
    }

    /// Lets only those read the event whose [`Grant`](crate::Grant) allows one of its topics.
    #[must_use]
    pub fn private(self, event: Event) -> Publication {
        Publication { private: true, ..self.event(event) }
    }
}

/// Why a publication was not accepted.
#[derive(Debug)]
#[non_exhaustive]
pub enum PublishError {
    /// The text it is addressed to is no topic.
    Topic(TopicError),
    /// It is addressed to no topic.
    NoTopic,
    /// Its id starts with `#`, which the hub's own ids do, or is `earliest`, which asks for all that is kept.
    ReservedId {
        /// The id.
        id: EventId,
    },
    /// Its event name is one that the hub itself sends.
    ReservedName {
        /// The name.
        name: EventName,
    },
    /// Its id is longer than an id may be.
    IdTooLong {
        /// Its length.
        bytes: usize,
        /// The longest one.
        limit: usize,
    },
    /// Its event name is longer than a name may be.
    NameTooLong {
        /// Its length.
        bytes: usize,
        /// The longest one.
        limit: usize,
    },
    /// Encoded, it is larger than the hub was configured for.
    EventTooLarge {
        /// Its length on the wire.
        bytes: usize,
        /// [`HubBuilder::event_bytes_max`](crate::HubBuilder::event_bytes_max).
        limit: usize,
    },
    /// Its [`IdempotencyKey`] was used before, for another publication. It was not stored.
    KeyReused,
    /// The log did not take it. It was not stored; trying again is safe.
    NotStored(crate::EngineFault),
    /// The log did not say whether it took it. Try again with the same [`IdempotencyKey`].
    MaybeStored(crate::EngineFault),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(error) => fmt::Display::fmt(error, f),
            Self::NoTopic => f.write_str("the publication names no topic"),
            Self::ReservedId { id } => {
                write!(
                    f,
                    "the id {:?} is reserved: an id may neither start with `#` nor be `earliest`",
                    id.as_str()
                )
            }
            Self::ReservedName { name } => {
                write!(f, "the event name {:?} is reserved for events of the hub itself", name.as_str())
            }
            Self::IdTooLong { bytes, limit } => {
                write!(f, "the id has {bytes} bytes; at most {limit} are allowed")
            }
            Self::NameTooLong { bytes, limit } => {
                write!(f, "the event name has {bytes} bytes; at most {limit} are allowed")
            }
            Self::EventTooLarge { bytes, limit } => {
                write!(f, "the encoded event has {bytes} bytes; at most {limit} are allowed")
            }
            Self::KeyReused => f.write_str("the idempotency key was used before for another publication"),
            Self::NotStored(_) => f.write_str("the log did not store the publication"),
            Self::MaybeStored(_) => f.write_str("the log did not say whether it stored the publication"),
        }
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotStored(fault) | Self::MaybeStored(fault) => Some(&**fault),
            _ => None,
        }
    }
}

impl<E: Into<TopicError>> From<E> for PublishError {
    fn from(error: E) -> Self {
        Self::Topic(error.into())
    }
}

/// A publication that passed every check, encoded but for its id: what an engine stores.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Whom it is addressed to: at least one topic, each once.
    pub topics: Arc<[Topic]>,
    /// Whether reading it needs a grant.
    pub private: bool,
    /// The id that its publisher chose, if it did.
    pub chosen_id: Option<EventId>,
    /// The encoded event without its id line; the same bytes whenever it is encoded.
    pub draft: Draft,
}

impl Submission {
    /// A digest of everything it holds: topics in their order, privacy, chosen id and event.
    ///
    /// The same on every machine and in every release that encodes the event alike, so it may be stored. Anybody can
    /// compute it, so two submissions with one digest can be made on purpose: compare it only within what one
    /// publisher sent, as [`Keys`](crate::engine::Keys) does. It costs one pass over the topics and the event.
    ///
    /// It is the [SipHash-1-3](https://www.aumasson.jp/siphash/siphash.pdf) of 128 bits, with a key of zeros, of: the
    /// number of topics; length and text of each; a byte that is 1 if it is private; a byte that is 1 if it has a chosen
    /// id, then that id's length and text; length and bytes of the frame without its id. Numbers are 64 bits, lowest byte
    /// first; the digest's two numbers are the lower and the upper half of this one.
    #[must_use]
    pub fn fingerprint(&self) -> u128 {
        // Not a hasher of the standard library's: what `DefaultHasher` computes may change with any release of Rust.
        let mut digest = SipHasher13::new_with_keys(0, 0);
        digest.write(&(self.topics.len() as u64).to_le_bytes());
        for topic in &*self.topics {
            write_sized(&mut digest, topic.as_str().as_bytes());
        }
        digest.write(&[u8::from(self.private), u8::from(self.chosen_id.is_some())]);
        if let Some(id) = &self.chosen_id {
            write_sized(&mut digest, id.as_str().as_bytes());
        }
        write_sized(&mut digest, self.draft.frame_without_id());
        // Not `as_u128`, which is another number where the highest byte comes first.
        let Hash128 { h1, h2 } = digest.finish128();
        u128::from(h1) | u128::from(h2) << 64
    }
}

/// The length first: or else `ab` and `c` would be `a` and `bc`.
fn write_sized(digest: &mut SipHasher13, bytes: &[u8]) {
    digest.write(&(bytes.len() as u64).to_le_bytes());
    digest.write(bytes);
}

/// What a publication may hold.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) event_bytes_max: usize,
    pub(crate) reserved_names: [EventName; 2],
}

impl Limits {
    /// The longest id, in bytes.
    pub(crate) const ID_BYTES_MAX: usize = 512;
    /// The longest event name, in bytes.
    pub(crate) const NAME_BYTES_MAX: usize = 256;

    pub(crate) fn accept(
        &self,
        publication: Publication,
    ) -> Result<(Submission, Option<IdempotencyKey>), PublishError> {
        let Publication { mut topics, event, mut private, key, except } = publication;
        if topics.is_empty() {
            return Err(PublishError::NoTopic);
        }
        // `*` routes them, too, so only a grant keeps them from everybody.
        private |= topics.iter().any(Topic::is_internal);
        for name in except {
            topics.push(Topic::exception(&name).map_err(PublishError::Topic)?);
        }
        if topics.len() > 1 {
            let mut seen = HashSet::with_capacity(topics.len());
            topics.retain(|topic| seen.insert(topic.clone()));
        }

        let chosen_id = event.event_id().filter(|id| !id.as_str().is_empty()).cloned();
        if let Some(id) = &chosen_id {
            let bytes = id.as_str().len();
            if bytes > Self::ID_BYTES_MAX {
                return Err(PublishError::IdTooLong { bytes, limit: Self::ID_BYTES_MAX });
            }
            if id.as_str().starts_with('#') || id.as_str() == EARLIEST {
                return Err(PublishError::ReservedId { id: id.clone() });
            }
        }
        if let Some(name) = event.event_name() {
            let bytes = name.as_str().len();
            if bytes > Self::NAME_BYTES_MAX {
                return Err(PublishError::NameTooLong { bytes, limit: Self::NAME_BYTES_MAX });
            }
            if self.reserved_names.contains(name) {
                return Err(PublishError::ReservedName { name: name.clone() });
            }
        }
        let id_bytes = chosen_id.as_ref().map_or(ID_BYTES, |id| id.as_str().len());
        let draft = Draft::new(&event, id_bytes);
        let bytes = draft.frame_bytes() + "id: \n".len() + id_bytes;
        if bytes > self.event_bytes_max {
            return Err(PublishError::EventTooLarge { bytes, limit: self.event_bytes_max });
        }
        Ok((Submission { topics: topics.into(), private, chosen_id, draft }, key))
    }
}

/// The last event ID that asks for everything kept.
pub(crate) const EARLIEST: &str = "earliest";

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let name = |text| EventName::parse(text).expect("a name");
        Limits { event_bytes_max: 100, reserved_names: [name("fanfare.gap"), name("fanfare.close")] }
    }

    fn topic(text: &str) -> Topic {
        Topic::parse(text).expect("a topic")
    }

    fn refused(event: Event) -> PublishError {
        limits().accept(Publication::to([topic("a")]).event(event)).expect_err("a refusal")
    }

    #[test]
    fn topics_keep_their_order_and_lose_their_repetitions() {
        let topics = ["b", "a", "b", "c", "a"].map(topic);
        let (submission, _) =
            limits().accept(Publication::to(topics).event(Event::new("x"))).expect("accepted");
        assert_eq!(*submission.topics, ["b", "a", "c"].map(topic));
    }

    #[test]
    fn what_only_the_hub_may_send_is_refused() {
        let id = |text| EventId::parse(text).expect("an id");
        assert!(matches!(refused(Event::new("x").id(id("#1"))), PublishError::ReservedId { .. }));
        assert!(matches!(refused(Event::new("x").id(id("earliest"))), PublishError::ReservedId { .. }));
        let gap = EventName::parse("fanfare.gap").expect("a name");
        assert!(matches!(refused(Event::new("x").event(gap)), PublishError::ReservedName { .. }));
    }

    #[test]
    fn the_size_that_counts_is_the_one_on_the_wire() {
        // 29 bytes of id line, 7 around the data, a blank line.
        let room = 100 - (4 + ID_BYTES + 1) - "data: \n".len() - 1;
        assert!(limits().accept(Publication::to([topic("a")]).event(Event::new("x".repeat(room)))).is_ok());
        let error = refused(Event::new("x".repeat(room + 1)));
        assert!(matches!(error, PublishError::EventTooLarge { bytes: 101, limit: 100 }), "{error}");
    }

    fn fingerprint(publication: Publication) -> u128 {
        limits().accept(publication).expect("accepted").0.fingerprint()
    }

    /// The numbers come from an implementation written for them from its paper, not from here. Stored ones must stay valid.
    #[test]
    fn a_fingerprint_is_the_same_for_ever() {
        let event = || Event::new("one\ntwo").event(EventName::from_static("greeting"));
        let made = fingerprint(Publication::to([topic("a"), topic("caf\u{e9}")]).event(event()));
        assert_eq!(made, 0x0f58_a499_a631_5fbb_5287_7635_4563_fddc, "{made:#x}");
        let chosen = event().id(EventId::from_static("41"));
        let made = fingerprint(Publication::to([topic("a")]).private(chosen));
        assert_eq!(made, 0x1acb_60b6_e549_acf0_0fcb_d1a5_3bc2_1e5e, "{made:#x}");
    }

    #[test]
    fn whatever_differs_makes_another_fingerprint() {
        let to = |topics: &[&str]| Publication::to(topics.iter().map(|text| topic(text)));
        let id = |text| EventId::parse(text).expect("an id");
        let publications = [
            to(&["ab", "c"]).event(Event::new("x")),
            to(&["a", "bc"]).event(Event::new("x")),
            to(&["c", "ab"]).event(Event::new("x")),
            to(&["ab"]).event(Event::new("x")),
            to(&["ab", "c"]).private(Event::new("x")),
            to(&["ab", "c"]).event(Event::new("y")),
            to(&["ab", "c"]).event(Event::new("x").id(id("1"))),
            to(&["ab", "c"]).event(Event::new("x").id(id("2"))),
            to(&["ab", "c"]).event(Event::new("x").event(EventName::from_static("x"))),
        ];
        let count = publications.len();
        let different: HashSet<_> = publications.into_iter().map(fingerprint).collect();
        assert_eq!(different.len(), count);
    }

    #[test]
    fn the_room_for_the_id_and_repeated_topics_leave_the_fingerprint_alone() {
        let topics: Arc<[Topic]> = [topic("a")].into();
        let of = |room| {
            let draft = Draft::new(&Event::new("x"), room);
            Submission { topics: topics.clone(), private: false, chosen_id: None, draft }.fingerprint()
        };
        assert_eq!(of(0), of(40));
        let twice = Publication::to([topic("a"), topic("a")]).event(Event::new("x"));
        assert_eq!(fingerprint(twice), of(40));
    }

    #[test]
    fn an_empty_id_is_none() {
        let event = Event::new("x").id(EventId::parse("").expect("an id"));
        let (submission, _) = limits().accept(Publication::to([topic("a")]).event(event)).expect("accepted");
        assert_eq!(submission.chosen_id, None);
    }
}
