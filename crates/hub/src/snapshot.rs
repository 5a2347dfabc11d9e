//! What a subscriber gets first: how things stand, and from there on what changes, without a seam between the two.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use fanfare_wire::{Draft, Event, EventId, Frame};

use crate::feed::{Cursor, State};
use crate::opening;
use crate::subscription::Stage;
use crate::{Bookmark, Delivery, Position, Resume, SubscribeError, Subscription};

/// How things stand, as events that a subscriber gets before all others.
///
/// ```
/// use fanfare_hub::Snapshot;
/// use fanfare_wire::Event;
///
/// let prices = Snapshot::of([Event::new("AAPL 231"), Event::new("MSFT 512")]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    events: Vec<Event>,
    as_of: Option<EventId>,
}

impl Snapshot {
    /// Takes the events, in the order in which they are to be written. An id that they have is left out.
    #[must_use]
    pub fn of(events: impl IntoIterator<Item = Event>) -> Self {
        Self { events: events.into_iter().collect(), as_of: None }
    }

    /// Says up to which event it has everything: the id of the last one that went into it, or a bookmark's. For who makes it from
    /// what the hub delivers, as from a subscription of its own: then nothing is in it that comes once more, either.
    ///
    /// Without this it has everything up to the bookmark that [`Subscription::snapshot`] gave, and perhaps more.
    #[must_use]
    pub fn as_of(self, last: EventId) -> Self {
        Self { as_of: Some(last), ..self }
    }
}

impl From<Event> for Snapshot {
    fn from(event: Event) -> Self {
        Self::of([event])
    }
}

impl From<Vec<Event>> for Snapshot {
    fn from(events: Vec<Event>) -> Self {
        Self::of(events)
    }
}

/// A snapshot that its subscriber has yet to get.
#[derive(Debug)]
pub(crate) struct Standing {
    at: Bookmark,
    frame: Frame,
}

impl Standing {
    fn new(events: &[Event], at: Bookmark) -> Option<Self> {
        let (last, before) = events.split_last()?;
        // A client that drops in the midst of it has the last event ID that it had before, and gets all of it once more.
        let before = before.iter().map(|event| Draft::new(event, 0).without_id());
        let last = Draft::new(last, at.id().as_str().len()).stamp(at.id());
        Some(Self { frame: Frame::join(before.chain([last])), at })
    }

    /// What is handed out, to a client that has it all from then on.
    pub(crate) fn hand_out(self, cursor: &mut Cursor, now: SystemTime) -> Delivery {
        cursor.client_at = Some(self.at.position());
        cursor.client_id = Some(self.at.id().clone());
        cursor.delivered_at = now;
        Delivery::Snapshot { at: self.at, frame: self.frame }
    }
}

impl Subscription {
    /// Has the subscriber get a snapshot first and, from the very place in the log at which that was taken, what comes behind it.
    ///
    /// The order is what makes it right: first the place is chosen, then `take` is called with it, and whatever is published from
    /// then on comes behind the snapshot. Where an application changes what it keeps *before* it publishes, nothing is missing
    /// between the two; a change that it had made and not yet published, or published while `take` ran, may be in the snapshot and
    /// come as an event besides. [`Snapshot::as_of`] is for those to whom that matters.
    ///
    /// Who comes back with a last event ID that is resumed exactly needs none, and who has the [end](Resume::Over) of a stream gets nothing
    /// more: `take` is not called. Everybody else gets one: who
    /// comes for the first time, who asks for `earliest`, and who would be told of a gap, in the place of that gap. The snapshot is
    /// written whole and its last event has the id of its place, so who drops before the end gets another one. One without events is
    /// none, and the subscription goes on as without it. Who came for a [stream](crate::Hub::produce) from its start, or back to it, gets its
    /// end behind the snapshot if it has ended.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use std::sync::Mutex;
    /// # use fanfare_hub::{Delivery, Hub};
    /// # use fanfare_wire::Event;
    /// # use futures_util::StreamExt;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Hub::builder().build()?;
    /// let score = Mutex::new(3);
    ///
    /// let subscription = hub.subscribe("score").bookmarks(false);
    /// let mut subscription = subscription
    ///     .snapshot(async |_| Ok::<_, Infallible>(Event::new(score.lock().expect("no panic").to_string())))
    ///     .await?;
    /// *score.lock().expect("no panic") = 4;
    /// hub.publish("score", Event::new("4")).await?;
    ///
    /// let Some(Ok(first)) = subscription.next().await else { panic!("no snapshot") };
    /// assert!(first.frame().as_bytes().ends_with(b"data: 3\n\n"));
    /// let Some(Ok(Delivery::Event(then))) = subscription.next().await else { panic!("no event") };
    /// assert!(then.frame().as_bytes().ends_with(b"data: 4\n\n"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What `take` failed with. A subscription that was refused is given back as it is, and yields its error.
    pub async fn snapshot<S, E>(mut self, take: impl AsyncFnOnce(Bookmark) -> Result<S, E>) -> Result<Self, E>
    where
        S: Into<Snapshot>,
    {
        match self.opened().await {
            Ok(Resume::Resumed { .. } | Resume::Over) => return Ok(self),
            Ok(_) => {}
            Err(error) => return Ok(Self::refused(error)),
        }
        let (epoch, at) = match poll_fn(|context| self.poll_end_of_log(context)).await {
            Ok(end) => end,
            Err(error) => return Ok(Self::refused(error)),
        };
        let Snapshot { events, as_of } = take(at.clone()).await?.into();
        if events.is_empty() {
            return Ok(self);
        }
        // What there was to tell before is in the snapshot.
        let Some(place) = &mut self.place else { return Ok(self) };
        place.cursor.gap = None;
        let at = match as_of {
            None => {
                place.cursor.epoch = Some(epoch);
                place.cursor.next = at.position() + 1;
                // How things stand does not tell that there will be no more.
                match self.place_of_an_end(epoch).await {
                    Ok(end) => self.goes_on_at(end.filter(|&end| end <= at.position())),
                    Err(error) => return Ok(Self::refused(error)),
                }
                at
            }
            Some(last) => match self.placed_behind(last).await {
                Ok(at) => at,
                Err(error) => return Ok(Self::refused(error)),
            },
        };
        if let Some(place) = &mut self.place {
            place.snapshot = Standing::new(&events, at).map(Box::new);
        }
        Ok(self)
    }

    /// Waits for a log, and gives which it is and where it ends.
    fn poll_end_of_log(&mut self, context: &Context<'_>) -> Poll<Result<(u32, Bookmark), SubscribeError>> {
        let Some(place) = &mut self.place else { return Poll::Ready(Err(SubscribeError::Closed)) };
        // As in [`Feed::step`](crate::feed::Feed::step).
        let _replaced: Option<Waker>;
        let mut state = place.shared.feed.lock();
        let State { log, router, closed, .. } = &mut *state;
        let end = log.as_ref().and_then(|log| {
            let position = log.next() - 1;
            Some((log.epoch(), Bookmark::new(position, log.id_at(position)?)))
        });
        if let Some(end) = end {
            return Poll::Ready(Ok(end));
        }
        if *closed {
            return Poll::Ready(Err(SubscribeError::Closed));
        }
        _replaced = router.hang_bell(&mut place.seat, context.waker());
        Poll::Pending
    }

    /// Where the stream ended that it came for, if that did.
    fn place_of_an_end(
        &self,
        epoch: u32,
    ) -> impl Future<Output = Result<Option<Position>, SubscribeError>> + Send + use<> {
        let asked =
            self.place.as_ref().and_then(|place| Some((place.shared.clone(), self.stream_asked_for()?)));
        async move {
            let Some((shared, topic)) = asked else { return Ok(None) };
            opening::place_of_end(&shared, &topic, epoch).await.map_err(SubscribeError::Log)
        }
    }

    fn goes_on_at(&mut self, end: Option<Position>) {
        if let Some((place, end)) = self.place.as_mut().zip(end) {
            place.cursor.next = end;
        }
    }

    /// Goes on behind an event, as who comes with its id.
    async fn placed_behind(&mut self, last: EventId) -> Result<Bookmark, SubscribeError> {
        // How it began is what it came with.
        let (requested, resume) = (self.requested.replace(last.clone()), self.resume.take());
        self.stage = Stage::New;
        self.opened().await?;
        (self.requested, self.resume) = (requested, resume);
        let next = self.place.as_ref().map_or(1, |place| place.cursor.next);
        Ok(Bookmark::new(next.saturating_sub(1), last))
    }
}
