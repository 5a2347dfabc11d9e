//! Streams that outlive their readers: one producer at a time publishes to a topic, ends it, and hears that it should stop.
//!
//! What stands in the log about that is [`produced`]'s matter. Nothing is remembered outside of the log but what a producer holds itself,
//! and nothing runs in the background: a producer finds out what others did when it is asked or when its next entry is refused.

use std::borrow::Cow;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fanfare_wire::{Event, EventId};
use futures_core::Stream;

use crate::arrivals::Reached;
use crate::check_source::NoRandomness;
use crate::detached;
use crate::engine::{AppendError, Appended, Bounds, EngineFault};
use crate::hub::Shared;
use crate::produced::{self, Marks, Terms, Topics};
use crate::publication::{EARLIEST, Submission};
use crate::{
    Delivery, GapReason, Grant, Hub, Matcher, Position, Publication, PublishError, Published, Resume,
    Selection, SubscribeError, Subscription, Topic, TopicError,
};

impl Hub {
    /// Begins the stream of a topic, or takes it over: for a language model's answer, or the progress of a long job.
    ///
    /// What the [`Producer`] sends is in the log, so readers come, leave, reload and come back as they like:
    /// [`from_start`](Subscription::from_start) gives them all of it, and their last event ID the rest. The stream does not depend on
    /// anybody reading it. It has an [end](Producer::end), behind which subscriptions to this topic alone end, too; who comes back with the end's
    /// id is told that it is [over](Resume::Over).
    ///
    /// **One at a time.** Whoever begins to produce a topic that has a producer takes over: whatever the one before sends afterwards is
    /// refused with [`ProduceError::Superseded`], on every node of the log, and readers never see it. A topic that has ended stays so: each answer has
    /// a topic of its own.
    ///
    /// It takes one idempotency key of the log for each event: the take-over is exact for as long as the engine remembers them, 100,000 keys
    /// or a day by default, and without any keys there is none. What others publish to the topic is not kept from it.
    ///
    /// ```
    /// # use fanfare_hub::{Delivery, Hub, Resume, Stopped};
    /// # use fanfare_wire::Event;
    /// # use futures_util::StreamExt;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Hub::builder().build()?;
    /// let mut producer = hub.produce("answers/7").await?;
    /// producer.send(Event::new("Forty-")).await?;
    ///
    /// // Somebody comes in the midst of it.
    /// let mut late = hub.subscribe("answers/7").from_start().bookmarks(false);
    /// producer.send(Event::new("two.")).await?;
    /// let end = producer.end("done").await?;
    ///
    /// let mut text = String::new();
    /// while let Some(Ok(Delivery::Event(entry))) = late.next().await {
    ///     text += std::str::from_utf8(entry.frame().as_bytes())?;
    /// }
    /// assert!(text.contains("data: Forty-\n") && text.contains("data: two.\n"));
    /// assert!(text.ends_with("event: fanfare.close\ndata: done\n\n"));
    ///
    /// // It comes back with the last id that it saw.
    /// let mut back = hub.subscribe("answers/7").after(end.id);
    /// assert_eq!(back.opened().await?, &Resume::Over);
    /// # Ok(()) }
    /// ```
    pub fn produce<T>(&self, topic: T) -> Produce
    where
        T: TryInto<Topic>,
        T::Error: Into<TopicError>,
    {
        let topics = topic.try_into().map_err(Into::into).and_then(Topics::of);
        Produce { hub: self.clone(), topics, terms: Terms::default() }
    }

    /// Asks whoever produces a topic to stop, on whichever node that is.
    ///
    /// It is a wish: the producer hears of it by [`Producer::stopped`] and ends the stream when and how it likes. It holds for whoever takes
    /// over, too, and means nothing where nobody produces. That readers leave says nothing of the kind.
    ///
    /// ```
    /// # use fanfare_hub::{Hub, Stopped};
    /// # use fanfare_wire::Event;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Hub::builder().build()?;
    /// let mut producer = hub.produce("answers/7").await?;
    /// hub.stop_producing("answers/7").await?;
    /// assert_eq!(producer.stopped().await, Stopped::Asked);
    /// producer.end("stopped").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`PublishError`]. To ask twice does no harm.
    pub async fn stop_producing<T>(&self, topic: T) -> Result<(), PublishError>
    where
        T: TryInto<Topic>,
        T::Error: Into<TopicError>,
    {
        let topics = topic.try_into().map_err(Into::into).and_then(Topics::of)?;
        self.0.engine.append(topics.stop(), None).await.map_err(crate::hub::not_appended)?;
        Ok(())
    }
}

/// A stream that is about to be produced: see [`Hub::produce`]. To be awaited.
#[derive(Debug)]
#[must_use = "nothing is produced until this is awaited"]
pub struct Produce {
    hub: Hub,
    topics: Result<Topics, TopicError>,
    terms: Terms,
}

impl Produce {
    /// Lets only those read the stream whose [`Grant`] allows the topic.
    pub fn private(mut self) -> Self {
        self.terms.private = true;
        self
    }

    /// For how long after its end the stream is to be read from its beginning, in whole milliseconds. Default: as long as the log keeps it.
    ///
    /// Who comes later gets a gap with the reason [`Expired`](GapReason::Expired), then the end. It removes nothing from the log: that is the
    /// retention's matter, and what the retention has taken is a gap, too. Who goes on from the midst of the stream may do so for as long as the log has the rest.
    pub fn expires_after(mut self, age: Duration) -> Self {
        self.terms.expires_after = Some(age);
        self
    }
}

/// Awaiting it claims the stream: its errors are those of [`ProduceError`]. After [`PublishError::MaybeStored`] the producer before may have
/// been superseded; to begin again takes over from the claim that may stand there.
impl IntoFuture for Produce {
    type Output = Result<Producer, ProduceError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(claim(self))
    }
}

/// Whoever publishes the stream of a topic, one at a time: see [`Hub::produce`].
///
/// Dropped before its [end](Self::end), it ends the stream with the data `abandoned`, so that no reader waits for ever for a task that
/// has panicked or was aborted; unless another has taken over, or it was [left open](Self::leave_open). Nobody waits for the log's answer then: where the log
/// is away at that moment, and where the process dies, there is no end. Whoever produces the topic then takes over.
#[must_use = "a producer that is dropped ends its stream as abandoned"]
pub struct Producer {
    hub: Hub,
    topics: Topics,
    marks: Marks,
    terms: Terms,
    takes_over: bool,
    /// Where its own claim stands.
    claimed_at: Position,
    /// Where the newest link stands.
    last: Position,
    /// A link that was handed in, and may be in the log or not.
    pending: Option<Submission>,
    notices: Subscription,
    was_asked: bool,
    lost: Option<Lost>,
    ended: Option<Published>,
    left_open: bool,
}

/// Why a producer is none any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Superseded,
    Rewound,
    Closed,
}

/// Why a producer should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// Somebody [asked for it](Hub::stop_producing). The stream is still to be ended.
    Asked,
    /// Another producer has taken over.
    Superseded,
    /// The log was recreated or has lost its newest entries: this stream is not in it any more.
    Rewound,
    /// The hub was closed.
    Closed,
}

/// Why a stream could not be begun, or an event was not taken into it.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProduceError {
    /// Another producer has taken over. The event was not stored.
    Superseded,
    /// The stream has ended. Another answer needs another topic.
    Ended,
    /// The topic was produced before, and the log does not know its newest entry any more, so nobody can take over.
    Forgotten,
    /// The log was recreated or has lost its newest entries: this stream is not in it any more.
    Rewound,
    /// The hub was closed.
    Closed,
    /// The event was not accepted. After [`PublishError::MaybeStored`] it must not be sent again: the next call finds out first, and
    /// stores it in its place if it is not there. After any other it was not stored.
    Publish(PublishError),
}

impl fmt::Display for ProduceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superseded => "another producer has taken the stream over",
            Self::Ended => "the stream of this topic has ended",
            Self::Forgotten => "the topic was produced before, and the log does not keep what was said",
            Self::Rewound => "the log was recreated or rewound, and the stream is not in it any more",
            Self::Closed => "the hub is closed",
            Self::Publish(error) => return fmt::Display::fmt(error, f),
        })
    }
}

impl std::error::Error for ProduceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Publish(error) => error.source(),
            _ => None,
        }
    }
}

impl From<PublishError> for ProduceError {
    fn from(error: PublishError) -> Self {
        Self::Publish(error)
    }
}

impl From<Lost> for ProduceError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Superseded => Self::Superseded,
            Lost::Rewound => Self::Rewound,
            Lost::Closed => Self::Closed,
        }
    }
}

impl From<Lost> for Stopped {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Superseded => Self::Superseded,
            Lost::Rewound => Self::Rewound,
            Lost::Closed => Self::Closed,
        }
    }
}

/// Nothing was stored, for the log could not be asked.
fn unasked(fault: EngineFault) -> ProduceError {
    ProduceError::Publish(PublishError::NotStored(fault))
}

fn unread(error: SubscribeError) -> ProduceError {
    match error {
        SubscribeError::Log(fault) => unasked(fault),
        SubscribeError::Closed => ProduceError::Closed,
        // Nothing else befalls a subscription to internal topics.
        other => unasked(Arc::new(other)),
    }
}

async fn claim(produce: Produce) -> Result<Producer, ProduceError> {
    let Produce { hub, topics, terms } = produce;
    let topics = topics.map_err(PublishError::Topic)?;
    let mut tried = None;
    loop {
        let (bounds, marks) = hub.0.caught_up(topics.topic.as_str()).await?;
        // Before anything is read, so that nothing is said in between.
        let notices = hub.internal([&topics.notices]).bookmarks(false);
        // A start that is not there any more may have links behind it; to look for them costs a look at all that is kept.
        let from = if tried == Some(0) { EventId::from_static(EARLIEST) } else { marks.start.clone() };
        let links = Links::read(&hub, &topics, from, bounds).await?;
        if links.has_ended {
            return Err(ProduceError::Ended);
        }
        // Somebody took the place, and the log knows of nobody.
        if tried.replace(links.last) == Some(links.last) {
            return Err(ProduceError::Forgotten);
        }
        let mut token = [0; 16];
        getrandom::fill(&mut token).map_err(|error| unasked(Arc::new(NoRandomness(error))))?;
        let start = (links.last == 0).then(|| marks.start.clone());
        let claim = topics.claim(u128::from_be_bytes(token), start);
        let key = produced::key(&marks, links.last);
        match hub.0.engine.append(claim, Some(key)).await {
            Ok(Appended { position, .. }) => {
                return Ok(Producer {
                    hub,
                    topics,
                    marks,
                    terms,
                    takes_over: links.last > 0,
                    claimed_at: position,
                    last: position,
                    pending: None,
                    notices,
                    was_asked: links.was_asked,
                    lost: None,
                    ended: None,
                    left_open: false,
                });
            }
            Err(AppendError::KeyReused) => {}
            Err(error) => return Err(crate::hub::not_appended(error).into()),
        }
    }
}

/// What the log says of a stream.
#[derive(Default)]
struct Links {
    /// Where the newest one stands; 0 if there is none.
    last: Position,
    has_ended: bool,
    was_asked: bool,
}

impl Links {
    /// Reads them behind `from`, up to the end that the log has by `bounds`.
    async fn read(hub: &Hub, topics: &Topics, from: EventId, bounds: Bounds) -> Result<Self, ProduceError> {
        let mut links = Self::default();
        let mut subscription = hub.internal([&topics.links, &topics.notices]).after(from);
        let mut seen = match subscription.opened().await.map_err(unread)? {
            Resume::Resumed { after } => *after,
            Resume::Gap { reason: GapReason::Unknown } => return Ok(links),
            _ => 0,
        };
        links.last = seen;
        while seen + 1 < bounds.next {
            let next = poll_fn(|context| Pin::new(&mut subscription).poll_next(context)).await;
            let delivery = next.ok_or(ProduceError::Closed)?.map_err(unread)?;
            seen = delivery.position();
            match &delivery {
                Delivery::Event(entry) if topics.has_link(entry) => {
                    links.last = seen;
                    links.has_ended = entry.is_end();
                }
                Delivery::Event(_) => links.was_asked = true,
                // It is all there, for now.
                Delivery::Bookmark(_) => break,
                Delivery::Gap(_) | Delivery::Snapshot { .. } => {}
            }
        }
        Ok(links)
    }
}

impl Hub {
    fn internal<'a>(&self, topics: impl IntoIterator<Item = &'a Topic>) -> Subscription {
        let matchers: Vec<Matcher> = topics.into_iter().cloned().map(Matcher::from).collect();
        let grant: Grant = matchers.iter().cloned().collect();
        self.subscribe_with(matchers.into_iter().collect::<Selection>(), &grant)
    }
}

impl Shared {
    /// Waits until the log in memory has all that the engine has now.
    async fn caught_up(&self, topic: &str) -> Result<(Bounds, Marks), ProduceError> {
        loop {
            let bounds = self.engine.bounds().await.map_err(unasked)?;
            match self.feed.reached(bounds.epoch, bounds.next).await {
                Reached::There => {}
                Reached::Not(told) => {
                    // Either may be the one that has not yet heard of the new log.
                    if self.engine.bounds().await.map_err(unasked)?.epoch == bounds.epoch {
                        self.feed.left(told).await;
                    }
                }
            }
            let state = self.feed.lock();
            if state.closed {
                return Err(ProduceError::Closed);
            }
            if let Some(log) = state.log.as_ref().filter(|log| log.epoch() == bounds.epoch) {
                return Ok((bounds, Marks::of(topic, log.key())));
            }
        }
    }
}

impl Producer {
    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topics.topic
    }

    /// A last event ID with which the stream is read from its beginning: for clients that cannot be given
    /// [`from_start`](Subscription::from_start), because they come over HTTP to a hub. It is the same on every node, and nobody can guess it.
    #[must_use]
    pub fn start_id(&self) -> &EventId {
        &self.marks.start
    }

    /// Whether there was a producer before this one, which did not end the stream. Readers have seen what that one sent; they go on with
    /// what comes from here.
    #[must_use]
    pub fn takes_over(&self) -> bool {
        self.takes_over
    }

    /// Sends the next event.
    ///
    /// It costs what publishing costs, however many readers there are. If the future is dropped the event counts as sent: it may be
    /// stored already, and is before the next one is.
    ///
    /// # Errors
    /// See [`ProduceError`].
    pub async fn send(&mut self, event: Event) -> Result<Published, ProduceError> {
        self.settle().await?;
        let publication = Publication::to([self.topics.topic.clone()]).event(event);
        let publication = Publication { private: self.terms.private, ..publication };
        let (submission, _) = self.hub.0.limits.accept(publication)?;
        self.append(self.topics.link(submission)).await
    }

    /// Ends the stream: every reader of this topic alone gets the event [`Hub::close_event`] with `data`, and its stream ends. Whoever
    /// comes back with that event's id is told that it is [over](Resume::Over), on every node and for as long as this log exists.
    ///
    /// What `data` says is between you and your readers: `done`, `stopped`, a reason. Who asks for other topics besides gets the
    /// event, and its stream goes on. To end twice does no harm: the answer is the same.
    ///
    /// # Errors
    /// See [`ProduceError`].
    pub async fn end(&mut self, data: impl Into<Cow<'static, str>>) -> Result<Published, ProduceError> {
        match self.settle().await {
            Err(ProduceError::Ended) => {}
            settled => settled?,
        }
        if let Some(ended) = &self.ended {
            return Ok(ended.clone());
        }
        let end = self.end_with(data.into());
        let (bytes, limit) = (end.draft.frame_bytes(), self.hub.0.limits.event_bytes_max);
        if bytes > limit {
            return Err(PublishError::EventTooLarge { bytes, limit }.into());
        }
        self.append(end).await
    }

    /// Gives the stream up without an end, for another producer to take over.
    pub fn leave_open(mut self) {
        self.left_open = true;
    }

    /// Waits until there is a reason to stop. Made for `select!`: nothing is lost when the future is dropped.
    pub async fn stopped(&mut self) -> Stopped {
        poll_fn(|context| self.poll_stopped(context)).await
    }

    /// Whether there is a reason to stop.
    ///
    /// What happened on another node is known as soon as the log has told it here.
    pub fn is_stopped(&mut self) -> bool {
        self.poll_stopped(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn poll_stopped(&mut self, context: &mut Context<'_>) -> Poll<Stopped> {
        while self.lost.is_none() {
            let Poll::Ready(next) = Pin::new(&mut self.notices).poll_next(context) else { break };
            match next {
                Some(Ok(Delivery::Event(entry))) if !self.topics.has_link(&entry) => self.was_asked = true,
                Some(Ok(Delivery::Event(entry))) if entry.position() > self.claimed_at => {
                    self.lost = Some(Lost::Superseded);
                }
                Some(Ok(Delivery::Gap(gap))) if gap.reason() == GapReason::Rewound => {
                    self.lost = Some(Lost::Rewound);
                }
                Some(Ok(_)) => {}
                Some(Err(SubscribeError::Closed)) | None => self.lost = Some(Lost::Closed),
                // What was said meanwhile may be missed; no event is accepted for that.
                Some(Err(_)) => self.notices = self.hub.internal([&self.topics.notices]).bookmarks(false),
            }
        }
        match self.lost {
            Some(lost) => Poll::Ready(lost.into()),
            None if self.was_asked => Poll::Ready(Stopped::Asked),
            None => Poll::Pending,
        }
    }

    /// Finds out whether this producer may send, and what became of what it sent last.
    async fn settle(&mut self) -> Result<(), ProduceError> {
        self.is_stopped();
        if let Some(lost) = self.lost {
            return Err(lost.into());
        }
        if self.pending.is_some() {
            match self.append_pending(AppendError::Unknown).await {
                // What it was asked for now was not even tried.
                Err(ProduceError::Publish(PublishError::MaybeStored(fault))) => return Err(unasked(fault)),
                settled => settled?,
            };
        }
        if self.ended.is_some() { Err(ProduceError::Ended) } else { Ok(()) }
    }

    async fn append(&mut self, link: Submission) -> Result<Published, ProduceError> {
        self.pending = Some(link);
        self.append_pending(AppendError::Refused).await
    }

    /// Appends the link that waits. `refused` says what it means that the log does not take it: what was handed in before may be
    /// stored although it is not taken again.
    async fn append_pending(
        &mut self,
        refused: fn(EngineFault) -> AppendError,
    ) -> Result<Published, ProduceError> {
        let Some(link) = self.pending.clone() else { return Err(ProduceError::Ended) };
        let is_end = produced::is_end(&link.topics);
        let key = produced::key(&self.marks, self.last);
        let error = match self.hub.0.engine.append(link, Some(key)).await {
            Ok(Appended { position, id, duplicate }) => {
                self.pending = None;
                self.last = position;
                let published = Published { id, position, duplicate };
                if is_end {
                    self.ended = Some(published.clone());
                }
                return Ok(published);
            }
            Err(AppendError::Refused(fault)) => refused(fault),
            Err(error) => error,
        };
        if !matches!(error, AppendError::Unknown(_)) {
            self.pending = None;
        }
        if matches!(error, AppendError::KeyReused) {
            // The place was taken: by a claim, for nobody else appends links.
            self.lost = Some(Lost::Superseded);
            return Err(ProduceError::Superseded);
        }
        Err(crate::hub::not_appended(error).into())
    }

    fn end_with(&self, data: Cow<'static, str>) -> Submission {
        let event = produced::end_event(data, self.hub.close_event());
        self.topics.end(&event, self.marks.end.clone(), &self.terms)
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if self.left_open || self.ended.is_some() || self.lost.is_some() {
            return;
        }
        let (last, end) = (self.last, self.end_with("abandoned".into()));
        let (shared, marks) = (self.hub.0.clone(), self.marks.clone());
        match self.pending.take() {
            None => hand_in(&shared, &marks, last, end),
            Some(link) if produced::is_end(&link.topics) => {}
            // It was handed in, and is known again. Where it stands is where the end goes on.
            Some(link) => detached::run(async move {
                let key = produced::key(&marks, last);
                if let Ok(Appended { position, .. }) = shared.engine.append(link, Some(key)).await {
                    hand_in(&shared, &marks, position, end);
                }
            }),
        }
    }
}

/// Appends a link behind the one at `last`, and waits for no answer.
fn hand_in(shared: &Shared, marks: &Marks, last: Position, link: Submission) {
    // Engines take it in when they are called, or when they are asked for the first time. To wait would keep the log open after its hub.
    let mut answer = shared.engine.append(link, Some(produced::key(marks, last)));
    drop(answer.as_mut().poll(&mut Context::from_waker(Waker::noop())));
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("topic", &self.topics.topic)
            .field("takes_over", &self.takes_over)
            .field("last", &self.last)
            .field("was_asked", &self.was_asked)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}
