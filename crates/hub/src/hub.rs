//! The hub: publish into it, subscribe to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "zstd")]
use fanfare_wire::Dictionary;
use fanfare_wire::{COMPRESSED_FROM_BYTES, CodedForms, Event, EventId, EventName, Frame};

use crate::catch_up::CatchUp;
use crate::clock::{Clock, SystemClock};
use crate::engine::{AppendError, Appended, Bounds, Engine, EngineFault, KeyLimits, Peers};
use crate::feed::{Feed, State};
use crate::log::{Log, Retention};
use crate::memory::MemoryEngine;
use crate::namespace::Namespace;
use crate::publication::{Limits, Submission};
use crate::{
    Charge, Counts, Grant, Matcher, Position, Publication, PublishError, Selection, SubscribeError,
    Subscription, Topic, TopicError, UnknownId,
};

/// What a subscriber reads who looks at comments while the engine has lost its store.
const STALL_COMMENT: &str = "the log is not available at the moment; nothing is lost";

/// Topics and their subscribers in one process. Cheap to clone; all clones are the same hub.
///
/// ```
/// # use fanfare_hub::{Delivery, Hub};
/// # use fanfare_wire::Event;
/// # use futures_util::StreamExt;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::builder().history_events(1_000).build()?;
/// let mut subscription = hub.subscribe("rooms/7").bookmarks(false);
///
/// hub.publish("rooms/7", Event::new("hi")).await?;
///
/// let Some(Ok(Delivery::Event(entry))) = subscription.next().await else { panic!("no event") };
/// assert!(entry.frame().as_bytes().ends_with(b"data: hi\n\n"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Hub(pub(crate) Arc<Shared>);

/// What every handle of a hub shares.
pub(crate) struct Shared {
    pub(crate) feed: Arc<Feed>,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) catch_up: Arc<CatchUp>,
    pub(crate) unknown_id: UnknownId,
    pub(crate) subscribers_max: usize,
    selections_bytes_max: usize,
    patterns_max: usize,
    patterns_bytes_max: usize,
    patterns_alike_max: usize,
    pub(crate) limits: Limits,
    close_event: EventName,
}

/// What became of a publication: it is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The id of its event.
    pub id: EventId,
    /// Where it stands in the log.
    pub position: Position,
    /// Whether an earlier attempt with the same key had stored it already.
    pub duplicate: bool,
}

/// Whether the hub can do its work.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Health {
    /// It can.
    Ready,
    /// The engine has not told yet which log it is.
    Starting,
    /// The engine has lost its store and tries again; subscribers keep what they have.
    Stalled(EngineFault),
    /// It was closed.
    Closed,
}

impl Hub {
    /// Begins to configure a hub.
    pub fn builder() -> HubBuilder {
        HubBuilder::default()
    }

    /// Publishes `event` to everybody who asks for `topic`.
    ///
    /// When it returns, the log has accepted the event with the engine's durability. It never waits for a
    /// subscriber; its cost does not grow with subscribers that do not match, and those that do cost a wake-up each.
    ///
    /// # Errors
    /// See [`PublishError`]; with all but [`PublishError::MaybeStored`] nothing was stored.
    pub async fn publish<T>(&self, topic: T, event: Event) -> Result<Published, PublishError>
    where
        T: TryInto<Topic>,
        T::Error: Into<TopicError>,
    {
        let topic = topic.try_into().map_err(|error| PublishError::Topic(error.into()))?;
        self.publish_all(Publication::to([topic]).event(event)).await
    }

    /// Publishes to several topics, privately, or with an idempotency key.
    ///
    /// # Errors
    /// See [`PublishError`]; with all but [`PublishError::MaybeStored`] nothing was stored.
    pub async fn publish_all(&self, publication: Publication) -> Result<Published, PublishError> {
        let (submission, key) = self.0.limits.accept(publication)?;
        match self.0.engine.append(submission, key).await {
            Ok(Appended { position, id, duplicate }) => {
                if duplicate {
                    self.0.feed.lock().counts.publications_duplicate += 1;
                }
                Ok(Published { id, position, duplicate })
            }
            Err(error) => Err(not_appended(error)),
        }
    }

    /// Takes topics that begin with `namespace` for those that tell who is there, as [`announce`](Self::announce) does.
    ///
    /// What was announced over this log before, by another process, is void from now on: whoever might have been sent it and
    /// comes back is told of a gap. Only they are: so a namespace in which nobody announces anything costs nobody anything.
    ///
    /// # Errors
    /// As for [`announce`](Self::announce). The namespace counts nevertheless; call it again.
    pub async fn begin_presence(&self, namespace: &str) -> Result<(), PublishError> {
        self.join_presence(namespace);
        let is_older_than_the_hub = self.0.feed.lock().log.as_ref().is_none_or(Log::had_entries);
        if is_older_than_the_hub {
            self.void_presence().await?;
        }
        Ok(())
    }

    /// Takes topics that begin with `namespace` for those that tell who is there, as [`begin_presence`](Self::begin_presence) does,
    /// but leaves what was announced before as it is: other nodes over the same log may be there to answer for it.
    pub fn join_presence(&self, namespace: &str) {
        self.0.feed.lock().router.presence = Some(Namespace(namespace.into()));
    }

    /// Makes all void that was announced up to now, by whomever: who might have been sent it is told of a gap.
    ///
    /// # Errors
    /// As for [`announce`](Self::announce).
    pub async fn void_presence(&self) -> Result<(), PublishError> {
        self.0.engine.announce(None, None).await.map(drop).map_err(not_appended)
    }

    /// Publishes that a subscriber came or went, to a topic of the namespace given to
    /// [`begin_presence`](Self::begin_presence).
    ///
    /// It stands in the one order of the log and is delivered as any other event, but it is kept apart: a tenth of
    /// [`history_events`](HubBuilder::history_events) and of [`history_bytes`](HubBuilder::history_bytes) besides all others, so
    /// that a flood of it shortens nobody's history. Who comes back from before what is kept of it, and might have been sent it,
    /// gets a gap and then everything else.
    ///
    /// The call itself hands it in, so what is handed in one after the other keeps its order although nobody has waited. A
    /// name that publishers may not use is allowed, and an id of its own is left out. An idempotency key counts where several nodes
    /// share the log, for they may say the same at about the same time; over any other it means nothing.
    ///
    /// # Errors
    /// See [`PublishError`]. An engine may be none that keeps presence.
    pub fn announce(
        &self,
        publication: Publication,
    ) -> impl Future<Output = Result<Published, PublishError>> + Send + use<> {
        let handed_in = self.0.limits.accept(publication).map(|(submission, key)| {
            let submission = Submission { chosen_id: None, ..submission };
            self.0.engine.announce(Some(submission), key)
        });
        async move {
            let Appended { position, id, duplicate } = handed_in?.await.map_err(not_appended)?;
            Ok(Published { id, position, duplicate })
        }
    }

    /// A way to the other nodes over the same log, if there can be any.
    #[must_use]
    pub fn peers(&self) -> Option<Arc<dyn Peers>> {
        self.0.engine.peers()
    }

    /// Asks the engine which positions its log has now.
    ///
    /// # Errors
    /// The engine does not know.
    pub async fn bounds(&self) -> Result<Bounds, EngineFault> {
        self.0.engine.bounds().await
    }

    /// A last event ID that says "has everything up to now": a place in the log that tells nothing of what stands there.
    ///
    /// `None` before the engine has told which log it is.
    #[must_use]
    pub fn bookmark(&self) -> Option<EventId> {
        let state = self.0.feed.lock();
        let log = state.log.as_ref()?;
        log.id_at(log.next() - 1)
    }

    /// Subscribes, from this moment on.
    ///
    /// Takes a topic, a [`Matcher`] or a [`Selection`] of several. A text that is no topic, or a full hub, makes a
    /// subscription whose first item is the error.
    pub fn subscribe(&self, selection: impl IntoSelection) -> Subscription {
        self.subscribe_with(selection, &Grant::nothing())
    }

    /// Opens a subscription that sees the private events which `grant` allows, from its first delivery on.
    ///
    /// A fourth of the room for [selections](HubBuilder::selections_bytes_max) and [patterns](HubBuilder::patterns_max) is kept for those
    /// with a grant that allows something: strangers cannot take all of it.
    ///
    /// ```
    /// # use fanfare_hub::{Grant, Hub, Matcher};
    /// let hub = Hub::builder().build()?;
    /// let orders = Matcher::exact("orders/41")?;
    /// let subscription = hub.subscribe_with(orders.clone(), &Grant::from_iter([orders]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscribe_with(&self, selection: impl IntoSelection, grant: &Grant) -> Subscription {
        let begun = selection.into_selection().map_err(SubscribeError::Topic);
        begun
            .and_then(|selection| Subscription::begin(self.0.clone(), &selection, grant))
            .unwrap_or_else(Subscription::refused)
    }

    /// Counts bytes that are kept elsewhere for a subscriber with what [selections](HubBuilder::selections_bytes_max) take, until the
    /// charge is dropped. A fourth of the room is kept for those with a grant that allows something.
    ///
    /// ```
    /// # use fanfare_hub::{Grant, Hub};
    /// let hub = Hub::builder().selections_bytes_max(1_000).build()?;
    /// let charge = hub.charge(700, &Grant::nothing())?;
    /// assert!(hub.charge(100, &Grant::nothing()).is_err());
    /// drop(charge);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SubscribeError::SelectionsTooLarge`]: there is no room for so many.
    pub fn charge(&self, bytes: usize, grant: &Grant) -> Result<Charge, SubscribeError> {
        let feed = &self.0.feed;
        let mut state = feed.lock();
        let all = state.router.bytes().saturating_add(bytes);
        let checked = self.0.check_bytes(all, grant);
        state.counts.subscribers_refused += u64::from(checked.is_err());
        checked?;
        state.router.charge(bytes);
        Ok(Charge::of(feed, bytes))
    }

    /// Ends every subscription, as soon as it has been handed what was published before, and refuses new ones.
    pub fn close(&self) {
        self.0.feed.close();
    }

    /// What the hub has counted, and how large its log is.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = self.0.feed.lock().snapshot();
        self.0.catch_up.count(&mut counts);
        counts
    }

    /// Whether the hub can do its work.
    #[must_use]
    pub fn health(&self) -> Health {
        let state = self.0.feed.lock();
        match (&state.stalled, &state.log) {
            _ if state.closed => Health::Closed,
            (Some(fault), _) => Health::Stalled(fault.clone()),
            (None, None) => Health::Starting,
            (None, Some(_)) => Health::Ready,
        }
    }

    /// What a quiet stream gets in place of its keep-alive while the engine has lost its store: a comment that says so, which
    /// no parser reports. `None` while all is well.
    ///
    /// ```
    /// assert_eq!(fanfare_hub::Hub::builder().build()?.stall_comment(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stall_comment(&self) -> Option<Frame> {
        self.0.feed.lock().stalled.as_ref().map(|_| Frame::comment(STALL_COMMENT))
    }

    /// What the hub's events refer to in `Coding::Dcz`, if it was [given](HubBuilder::compression_dictionary) a dictionary.
    #[cfg(feature = "zstd")]
    #[must_use]
    pub fn compression_dictionary(&self) -> Option<&Dictionary> {
        self.0.catch_up.forms().dictionary()
    }

    /// The name of the event that tells of a gap.
    #[must_use]
    pub fn gap_event(&self) -> &EventName {
        &self.0.feed.gap_event
    }

    /// The name of the event that ends a stream for good.
    #[must_use]
    pub fn close_event(&self) -> &EventName {
        &self.0.close_event
    }
}

impl Shared {
    /// Whether the hub has room for a selection and a grant.
    pub(crate) fn check_room(
        &self,
        state: &mut State,
        selection: &Selection,
        grant: &Grant,
    ) -> Result<(), SubscribeError> {
        // What the hub asks itself for takes nobody's place.
        if selection.is_internal() {
            return Ok(());
        }
        // Who brings nothing new takes no room.
        let bytes = state.router.bytes_with(selection, grant).unwrap_or(0);
        let prospect = state.router.patterns_with(selection.matchers().iter().chain(grant.matchers()));
        let limit = |all| limit_for(grant, all);
        let checked = if let Err(error) = self.check_bytes(bytes, grant) {
            Err(error)
        } else if prospect.patterns > limit(self.patterns_max) {
            Err(SubscribeError::TooManyPatterns { limit: limit(self.patterns_max) })
        } else if prospect.bytes > limit(self.patterns_bytes_max) {
            Err(SubscribeError::PatternsTooLarge { limit: limit(self.patterns_bytes_max) })
        } else if prospect.alike > limit(self.patterns_alike_max) {
            Err(SubscribeError::PatternsTooAlike { limit: limit(self.patterns_alike_max) })
        } else if prospect.overweight > limit(self.patterns_alike_max.saturating_mul(OVERWEIGHT)) {
            Err(SubscribeError::PatternsTooCostly)
        } else {
            Ok(())
        };
        state.counts.subscribers_refused += u64::from(checked.is_err());
        checked
    }

    /// Whether what selections and grants take may be so many bytes for somebody with this grant.
    fn check_bytes(&self, bytes: usize, grant: &Grant) -> Result<(), SubscribeError> {
        let limit = limit_for(grant, self.selections_bytes_max);
        if bytes > limit { Err(SubscribeError::SelectionsTooLarge { limit }) } else { Ok(()) }
    }
}

/// How much of a limit there is for somebody with this grant: the rest is for who may read something.
fn limit_for(grant: &Grant, all: usize) -> usize {
    if grant.is_nothing() { all - all / 4 } else { all }
}

/// How much what takes long to evaluate may weigh in all, beside what the same literals may find: whoever knows a topic can have
/// patterns found by each of its beginnings and ends.
const OVERWEIGHT: usize = 64;

pub(crate) fn not_appended(error: AppendError) -> PublishError {
    match error {
        AppendError::Refused(fault) => PublishError::NotStored(fault),
        AppendError::Unknown(fault) => PublishError::MaybeStored(fault),
        AppendError::KeyReused => PublishError::KeyReused,
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// What a subscriber may name what it asks for by.
pub trait IntoSelection {
    /// Gives the selection.
    fn into_selection(self) -> Result<Selection, TopicError>;
}

impl IntoSelection for Selection {
    fn into_selection(self) -> Result<Selection, TopicError> {
        Ok(self)
    }
}

impl IntoSelection for Matcher {
    fn into_selection(self) -> Result<Selection, TopicError> {
        Ok(self.into())
    }
}

impl IntoSelection for Topic {
    fn into_selection(self) -> Result<Selection, TopicError> {
        Ok(self.into())
    }
}

impl IntoSelection for &str {
    fn into_selection(self) -> Result<Selection, TopicError> {
        Topic::parse(self).map(Selection::from)
    }
}

impl IntoSelection for String {
    fn into_selection(self) -> Result<Selection, TopicError> {
        self.as_str().into_selection()
    }
}

/// Configures a [`Hub`].
#[must_use = "a builder does nothing until `build`"]
pub struct HubBuilder {
    history_events: usize,
    history_bytes: usize,
    history_age: Option<Duration>,
    catch_up_bytes: usize,
    compressed_from_bytes: usize,
    #[cfg(feature = "zstd")]
    compression_dictionary: Option<Dictionary>,
    event_bytes_max: usize,
    subscribers_max: usize,
    selections_bytes_max: usize,
    patterns_max: usize,
    patterns_bytes_max: usize,
    patterns_alike_max: usize,
    unknown_id: UnknownId,
    gap_event: Result<EventName, BuildError>,
    close_event: Result<EventName, BuildError>,
    clock: Arc<dyn Clock>,
    keys: KeyLimits,
    engine: Option<Arc<dyn Engine>>,
}

/// Why a hub could not be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A history of no events, or of no bytes: subscribers read from it, so one event has to fit.
    NoHistory,
    /// The name of a hub's own event has a line break or is empty.
    EventName {
        /// The name.
        name: String,
    },
    /// The engine cannot be followed.
    Engine(EngineFault),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHistory => {
                f.write_str("the history must hold at least one event: subscribers read from it")
            }
            Self::EventName { name } => write!(f, "{name:?} is no event name"),
            Self::Engine(_) => f.write_str("the log cannot be followed"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Engine(fault) => Some(&**fault),
            _ => None,
        }
    }
}

fn event_name(name: &str) -> Result<EventName, BuildError> {
    EventName::parse(name)
        .ok()
        .filter(|name| !name.as_str().is_empty())
        .ok_or_else(|| BuildError::EventName { name: name.to_owned() })
}

impl Default for HubBuilder {
    fn default() -> Self {
        Self {
            history_events: 10_000,
            history_bytes: 64 * 1024 * 1024,
            history_age: None,
            catch_up_bytes: 32 * 1024 * 1024,
            compressed_from_bytes: COMPRESSED_FROM_BYTES,
            #[cfg(feature = "zstd")]
            compression_dictionary: None,
            event_bytes_max: 256 * 1024,
            subscribers_max: usize::MAX,
            selections_bytes_max: 256 * 1024 * 1024,
            patterns_max: 100_000,
            patterns_bytes_max: 128 * 1024 * 1024,
            patterns_alike_max: 1_000,
            unknown_id: UnknownId::default(),
            gap_event: event_name("fanfare.gap"),
            close_event: event_name("fanfare.close"),
            clock: Arc::new(SystemClock::new()),
            keys: KeyLimits::default(),
            engine: None,
        }
    }
}

impl HubBuilder {
    /// How many events are kept in memory, for replay and for subscribers that lag. Default 10,000.
    pub fn history_events(mut self, events: usize) -> Self {
        self.history_events = events;
        self
    }

    /// How many bytes the kept events may cost in memory: frames, what was compressed of them, topics and indexes together. Default 64 MiB.
    ///
    /// The newest event is kept whatever its size.
    pub fn history_bytes(mut self, bytes: usize) -> Self {
        self.history_bytes = bytes;
        self
    }

    /// How old a kept event may become. Default: any age.
    pub fn history_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.history_age = age.into();
        self
    }

    /// How many bytes may be kept for subscribers that read what has left memory, all together. Default 32 MiB.
    ///
    /// They share what is read from the engine. More of it saves reads where many catch up from places that are far from
    /// each other; with less everybody gets on too, one after the other. One page, some 256 KiB of events, is kept whatever
    /// its size. The engine in memory needs none.
    pub fn catch_up_bytes(mut self, bytes: usize) -> Self {
        self.catch_up_bytes = bytes;
        self
    }

    /// From what size on an event is compressed for those who get it so, in bytes, encoded. Default 128.
    ///
    /// A smaller one is put into a form that says that it is not, which costs 10 bytes. Compressing is done once for all who get an
    /// event in the same coding, when the first of them does.
    pub fn compressed_from_bytes(mut self, bytes: usize) -> Self {
        self.compressed_from_bytes = bytes;
        self
    }

    /// What the events of the hub have in common: for those who have this dictionary, and take `Coding::Dcz`, events refer to it. Default: none.
    ///
    /// Small events gain most: where one of some hundred bytes would hardly get smaller by itself, it becomes half as long. With it events are
    /// compressed from a fourth of [`compressed_from_bytes`](Self::compressed_from_bytes) on. It is public: it must hold nothing that
    /// not everybody may read.
    ///
    /// ```
    /// use fanfare_hub::Hub;
    /// use fanfare_wire::Dictionary;
    ///
    /// let sample = "id: #1kV7Dm0c0Qy2n3T6wVbZs9A\ndata: {\"symbol\":\"ACME\",\"price\":100.25,\"currency\":\"EUR\"}\n\n";
    /// let hub = Hub::builder().compression_dictionary(Dictionary::new(sample)?).build()?;
    /// assert_eq!(hub.compression_dictionary().map(|dictionary| dictionary.content().len()), Some(sample.len()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "zstd")]
    pub fn compression_dictionary(mut self, dictionary: impl Into<Option<Dictionary>>) -> Self {
        self.compression_dictionary = dictionary.into();
        self
    }

    /// How large an event may be, encoded, with its id. Default 256 KiB.
    pub fn event_bytes_max(mut self, bytes: usize) -> Self {
        self.event_bytes_max = bytes;
        self
    }

    /// How many subscribers are served at once; more are refused. Default: any number.
    pub fn subscribers_max(mut self, subscribers: usize) -> Self {
        self.subscribers_max = subscribers;
        self
    }

    /// How many bytes may be taken by what all subscribers together ask for and are granted, but for patterns. Default 256 MiB. Who may
    /// read nothing private is refused when three fourths of them are taken; it is the same with the limits of patterns below.
    ///
    /// A topic that many ask for is kept once, and so is a selection or a grant that is the same for many. A subscriber with a topic of its
    /// own, of 50 bytes, takes some 330 bytes, and one with a hundred of them 19 kB. What a grant names counts besides.
    pub fn selections_bytes_max(mut self, bytes: usize) -> Self {
        self.selections_bytes_max = bytes;
        self
    }

    /// How many different patterns all subscribers together may use, those in their grants included. Default 100,000.
    ///
    /// One that many name is kept once. Those that have a literal host or path which no topic of a publication has cost that
    /// publication nothing; each of the others is held against its topics, which takes a tenth of a microsecond or less for most.
    pub fn patterns_max(mut self, patterns: usize) -> Self {
        self.patterns_max = patterns;
        self
    }

    /// How many bytes these patterns may take in memory, compiled and indexed. Default 128 MiB.
    ///
    /// `https://example.com/books/:id` takes some 700 bytes, one with a regular expression of its own some kilobytes;
    /// [`Matcher::memory_bytes`] tells, but for the 250 bytes that its place in the hub is charged with.
    pub fn patterns_bytes_max(mut self, bytes: usize) -> Self {
        self.patterns_bytes_max = bytes;
        self
    }

    /// How many of these patterns may have the same literals to be found by. Default 1,000.
    ///
    /// A publication is held against all of them whose topics have these. Looked at are the end of the host, or else its beginning,
    /// the beginning of what is behind it, the end of the path, and the longest literal of whole segments in its midst: of
    /// `/:lang/users/7/*` that is `/users/7/`. Patterns that have none of them are all alike: `/*`, `/:a/:b`. One with a regular
    /// expression of its own counts once more for each 64 bytes that this compiles to, or for each 32 if that looks for the ends of
    /// words, for it takes as much longer to evaluate; a very long chain of wildcards counts for more, too. What all patterns count
    /// for beyond one for each is at most 64 times this limit.
    pub fn patterns_alike_max(mut self, patterns: usize) -> Self {
        self.patterns_alike_max = patterns;
        self
    }

    /// Where a stream goes on whose last event ID is not known. Default [`UnknownId::Live`].
    pub fn unknown_id(mut self, unknown_id: UnknownId) -> Self {
        self.unknown_id = unknown_id;
        self
    }

    /// The name of the event that tells of a gap; nobody can publish an event of that name. Default `fanfare.gap`.
    pub fn gap_event(mut self, name: &str) -> Self {
        self.gap_event = event_name(name);
        self
    }

    /// The name of the event that ends a stream; nobody can publish an event of that name. Default `fanfare.close`.
    pub fn close_event(mut self, name: &str) -> Self {
        self.close_event = event_name(name);
        self
    }

    /// The clock to go by. Default [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How many idempotency keys the log in memory remembers: the newest ones, 0 for none. Default 100,000.
    ///
    /// Each costs 250 to 320 bytes with a UUID as its text. An [`engine`](Self::engine) of its own is told its limits when it is made.
    pub fn idempotency_keys(mut self, count: usize) -> Self {
        self.keys.count = count;
        self
    }

    /// For how long the log in memory remembers an idempotency key. Default: 24 hours.
    pub fn idempotency_age(mut self, age: Duration) -> Self {
        self.keys.age = age;
        self
    }

    /// Where the log lives. Default: in memory, gone with the process.
    pub fn engine(mut self, engine: impl Engine) -> Self {
        self.engine = Some(Arc::new(engine));
        self
    }

    /// Builds the hub and starts to follow the engine. Every check happens here.
    pub fn build(self) -> Result<Hub, BuildError> {
        if self.history_events == 0 || self.history_bytes == 0 {
            return Err(BuildError::NoHistory);
        }
        let (gap_event, close_event) = (self.gap_event?, self.close_event?);
        let engine = match self.engine {
            Some(engine) => engine,
            None => Arc::new(MemoryEngine::new(self.clock.clone(), self.keys).map_err(BuildError::Engine)?),
        };
        let forms = || {
            let forms = CodedForms::new(self.compressed_from_bytes);
            #[cfg(feature = "zstd")]
            let forms = forms.with_dictionary(self.compression_dictionary.clone());
            Arc::new(forms)
        };
        let retention = Retention {
            events: self.history_events,
            bytes: self.history_bytes,
            age: self.history_age,
            forms: forms(),
            presence_forms: forms(),
        };
        let feed = Arc::new(Feed::new(self.clock, gap_event.clone(), retention));
        engine.follow(feed.clone()).map_err(BuildError::Engine)?;
        let catch_up = CatchUp::new(engine.clone(), feed.clone(), self.catch_up_bytes, forms());
        Ok(Hub(Arc::new(Shared {
            feed,
            engine,
            catch_up,
            unknown_id: self.unknown_id,
            subscribers_max: self.subscribers_max,
            selections_bytes_max: self.selections_bytes_max,
            patterns_max: self.patterns_max,
            patterns_bytes_max: self.patterns_bytes_max,
            patterns_alike_max: self.patterns_alike_max,
            limits: Limits {
                event_bytes_max: self.event_bytes_max,
                reserved_names: [gap_event, close_event.clone()],
            },
            close_event,
        })))
    }
}

impl fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubBuilder")
            .field("history_events", &self.history_events)
            .field("history_bytes", &self.history_bytes)
            .field("history_age", &self.history_age)
            .finish_non_exhaustive()
    }
}
