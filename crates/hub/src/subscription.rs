//! One subscriber's live place in the hub, as a stream of deliveries.
//!
//! A subscription holds a cursor and no queue: what it has not taken yet stays in the shared log. Replay
//! is no phase of its own; who resumes is one who is behind.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use fanfare_wire::EventId;
use futures_core::Stream;

use crate::catch_up::{Got, Wanted};
use crate::endings::SubscriptionKey;
use crate::engine::{Answer, ReadError};
use crate::feed::{Cursor, Step};
use crate::held::Held;
use crate::hub::Shared;
use crate::log::Log;
use crate::opening::{self, Asked, Joined, Opened};
use crate::page::Page;
use crate::router::Seat;
use crate::{Check, Delivery, Grant, Hub, Position, Resume, Selection, SubscribeError, Topic, UnknownId};

/// A live place in the hub: yields events, bookmarks and gaps, in the hub's order.
///
/// It begins where the hub is when [`Hub::subscribe`](crate::Hub::subscribe) returns, or behind the last event ID given
/// to [`after`](Self::after). It costs the hub a position, however far behind it is. Dropping it ends it.
///
/// A stream that yields an error yields nothing after it.
#[must_use = "a subscription does nothing unless it is polled"]
pub struct Subscription {
    pub(crate) place: Option<Held>,
    pub(crate) requested: Option<EventId>,
    /// Whether it begins with its topic's stream if no last event ID is requested.
    from_start: bool,
    unknown_id: UnknownId,
    pub(crate) resume: Option<Resume>,
    pub(crate) stage: Stage,
}

pub(crate) enum Stage {
    Refused(SubscribeError),
    /// The last event ID has not been looked at.
    New,
    Opening(Answer<'static, Result<Opened, SubscribeError>>),
    Open,
    /// Waiting for entries that are not in memory any more, up to a position and without it.
    Reading(Wanted, Position),
    /// Handing out what was read, up to there, from a page that is not kept for this subscriber alone.
    Replaying(Weak<Page>, Position),
    /// The stream of its topic has ended, and it was handed the end.
    Over,
    Ended,
}

impl Subscription {
    pub(crate) fn refused(error: SubscribeError) -> Self {
        Self { stage: Stage::Refused(error), ..Self::at(None) }
    }

    fn at(place: Option<Held>) -> Self {
        Self {
            place,
            requested: None,
            from_start: false,
            unknown_id: UnknownId::default(),
            resume: None,
            stage: Stage::New,
        }
    }

    pub(crate) fn begin(
        shared: Arc<Shared>,
        selection: &Selection,
        grant: &Grant,
    ) -> Result<Self, SubscribeError> {
        let unknown_id = shared.unknown_id;
        let now = shared.feed.clock.now();
        let (seat, terms, joined, cursor) = {
            let mut state = shared.feed.lock();
            if state.closed {
                return Err(SubscribeError::Closed);
            }
            // What the hub asks itself for takes nobody's place.
            let is_counted = !selection.is_internal();
            if is_counted && state.counts.subscribers >= shared.subscribers_max as u64 {
                state.counts.subscribers_refused += 1;
                return Err(SubscribeError::HubFull { limit: shared.subscribers_max });
            }
            shared.check_room(&mut state, selection, grant)?;
            state.counts.subscribers += u64::from(is_counted);
            if let Some(log) = &mut state.log {
                log.trim(now);
            }
            let joined = state.log.as_ref().map(|log| Joined {
                epoch: log.epoch(),
                next: log.next(),
                check: log.check_at(log.next() - 1).unwrap_or(Check::START),
            });
            let next = joined.map_or(0, |joined| joined.next);
            let cursor = Cursor {
                epoch: joined.map(|joined| joined.epoch),
                next,
                client_at: None,
                client_id: None,
                gap: None,
                bookmark_soon: true,
                bookmarks: true,
                presence_told: 0,
                presence_told_each_time: !is_counted,
                delivered_at: now,
            };
            let seat = state.router.join(selection, grant, next);
            (seat, state.router.terms(seat), joined, cursor)
        };
        // The hub's own, so that what the caller brought is not kept beside them.
        let (selection, grant) = terms;
        let held = Held {
            shared,
            selection,
            grant,
            seat,
            joined,
            cursor,
            snapshot: None,
            sieve: None,
            ending: None,
            handed_on: false,
        };
        Ok(Self { unknown_id, ..Self::at(Some(held)) })
    }

    /// Goes on behind a last event ID.
    ///
    /// `earliest` asks for everything kept; an empty one is none. What became of it tells
    /// [`opened`](Self::opened), and a gap event where something may be missing.
    ///
    /// It counts until the subscription is polled; from then on it has its place.
    pub fn after(mut self, last_event_id: impl Into<Option<EventId>>) -> Self {
        if matches!(self.stage, Stage::New) {
            self.requested = last_event_id.into().filter(|id| !id.as_str().is_empty());
        }
        self
    }

    /// Without a last event ID, begins with the stream of the topic it asks for, instead of live: see [`Hub::produce`].
    ///
    /// With one it goes on behind that, so the same line serves who comes for the first time and who comes back. What became of it tells
    /// [`opened`](Self::opened): [`Resume::Resumed`], or a [`Resume::Gap`] if the beginning is not there any more; its reason is
    /// [`Unknown`](crate::GapReason::Unknown) if the log knows of no such stream, [`Expired`](crate::GapReason::Expired) if it
    /// [ended too long ago](crate::Produce::expires_after).
    ///
    /// It means nothing to a subscription that asks for anything but a single topic, and counts until it is polled.
    pub fn from_start(mut self) -> Self {
        self.from_start = true;
        self
    }

    /// Lets private events through that `grant` allows, in place of those allowed before. Without it the subscription sees none.
    ///
    /// It counts from the next delivery on, whenever it comes. If the hub has no room for it the subscription ends with that
    /// error.
    pub fn grant(self, grant: &Grant) -> Self {
        match self.place.as_ref().and_then(|place| place.grant.excepted()) {
            None => self.granted(grant),
            named => self.granted(&grant.but_for(named)),
        }
    }

    /// Says who reads, so that a publication can be for everybody but it: see [`Publication::except`](crate::Publication::except).
    ///
    /// Any number of subscriptions may have one name: all windows of a user, or each its own. It is given anew by the application
    /// whenever a client comes back, as what it asks for is, and counts as a [grant](Self::grant) does. Those of one name who ask for and may
    /// read the same are looked up together, as others are.
    ///
    /// A name that holds what a topic may not hold makes a subscription whose first item is the error.
    pub fn named(self, name: impl AsRef<str>) -> Self {
        let grant = self.place.as_ref().map(|place| place.grant.clone());
        match (Topic::exception(name.as_ref()), grant) {
            (Ok(excepted), Some(grant)) => self.granted(&grant.but_for(Some(excepted))),
            (Ok(_), None) => self,
            (Err(error), _) => Self::refused(SubscribeError::Topic(error)),
        }
    }

    fn granted(mut self, grant: &Grant) -> Self {
        let Some(place) = &mut self.place else { return self };
        let mut state = place.shared.feed.lock();
        if let Err(error) = place.shared.check_room(&mut state, &place.selection, grant) {
            drop(state);
            return Self::refused(error);
        }
        let next = state.log.as_ref().map_or(0, Log::next);
        let seat = state.router.join(&place.selection, grant, next);
        let bell = state.router.leave(std::mem::replace(&mut place.seat, seat));
        (place.selection, place.grant) = state.router.terms(seat);
        state.moved(place.ending, seat, grant);
        drop(state);
        // What is under way was begun with the grant before.
        match self.stage {
            Stage::Opening(_) => self.stage = Stage::New,
            Stage::Reading(..) | Stage::Replaying(..) => self.stage = Stage::Open,
            Stage::Refused(_) | Stage::New | Stage::Open | Stage::Over | Stage::Ended => {}
        }
        // Whoever slept with the grant before may have something to read now.
        if let Some(bell) = bell {
            bell.wake();
        }
        self
    }

    /// Whether to send bookmarks: blocks of `id:` alone that keep a client's last event ID fresh. On by default.
    ///
    /// Some client libraries report such a block as an empty event.
    pub fn bookmarks(mut self, bookmarks: bool) -> Self {
        if let Some(place) = &mut self.place {
            place.cursor.bookmarks = bookmarks;
        }
        self
    }

    /// Where to go on if the last event ID is not known, instead of the hub's setting.
    pub fn unknown_id(mut self, unknown_id: UnknownId) -> Self {
        self.unknown_id = unknown_id;
        self
    }

    /// Has `ending` called when the subscription ends, whoever has it then and why ever it does.
    ///
    /// It travels with the subscription, into a [`Crowd`](crate::Crowd) and out of it, and is called once, after the hub counts
    /// one subscriber less, in the thread that ends it: so it must not wait for anything. One that was given before is called
    /// first. If the subscription was refused, or has ended already, it is called at once.
    ///
    /// ```
    /// # use std::sync::mpsc;
    /// # use fanfare_hub::Hub;
    /// let hub = Hub::builder().build()?;
    /// let (tell, told) = mpsc::channel();
    /// let subscription = hub.subscribe("rooms/7").on_end(move || drop(tell.send("gone")));
    /// assert!(told.try_recv().is_err());
    /// drop(subscription);
    /// assert_eq!(told.try_recv(), Ok("gone"));
    /// # Ok::<(), fanfare_hub::BuildError>(())
    /// ```
    pub fn on_end(mut self, ending: impl FnOnce() + Send + 'static) -> Self {
        let Some(place) = &mut self.place else {
            ending();
            return self;
        };
        let mut state = place.shared.feed.lock();
        place.ending = Some(state.endings.add(place.ending, Box::new(ending)));
        drop(state);
        self
    }

    /// What tells it from the hub's other subscriptions while it lives, once [`on_end`](Self::on_end) or [`handle`](Self::handle) was
    /// called: the same in a [`Crowd`](crate::Crowd), where [`Member::key`](crate::Member::key) gives it. Without either, or a place in a
    /// hub, it has none.
    #[must_use]
    pub fn key(&self) -> Option<SubscriptionKey> {
        self.place.as_ref()?.ending
    }

    /// A subscription at a seat that was taken before, open at `cursor`.
    pub(crate) fn standing(
        shared: Arc<Shared>,
        selection: Selection,
        grant: Grant,
        seat: Seat,
        cursor: Cursor,
        ending: Option<SubscriptionKey>,
    ) -> Self {
        let held = Held {
            shared,
            selection,
            grant,
            seat,
            joined: None,
            cursor,
            snapshot: None,
            sieve: None,
            ending,
            handed_on: false,
        };
        Self { stage: Stage::Open, ..Self::at(Some(held)) }
    }

    /// Seat, cursor and ending, if this is a subscription of `shared` that needs nothing but the log in memory, and is counted.
    pub(crate) fn seated(&mut self, shared: &Arc<Shared>) -> Option<(Seat, Cursor, Option<SubscriptionKey>)> {
        let place = self.place.as_mut().filter(|place| Arc::ptr_eq(&place.shared, shared))?;
        if place.selection.is_internal() {
            return None;
        }
        if matches!(self.stage, Stage::New) && self.requested.is_none() && !self.from_start {
            self.resume = Some(place.open(Opened::fresh()));
            self.stage = Stage::Open;
        }
        let is_live = matches!(self.stage, Stage::Open) && place.cursor.gap.is_none() && !place.has_its_own();
        is_live.then(|| (place.seat, place.cursor.clone(), place.ending))
    }

    /// The topic whose stream it came for, from the start or to go on with it.
    pub(crate) fn stream_asked_for(&self) -> Option<Arc<str>> {
        let place = self.place.as_ref()?;
        match place.asked(self.requested.as_ref(), self.from_start)? {
            Asked::After { topic, .. } => topic,
            Asked::Start { topic } => Some(topic),
        }
    }

    /// The same one, handed the end of its topic's stream already.
    pub(crate) fn that_has_an_end(mut self) -> Self {
        self.is_over();
        self
    }

    /// Ends without giving the seat back: somebody else has it now.
    pub(crate) fn let_go(mut self) {
        if let Some(place) = &mut self.place {
            place.handed_on = true;
        }
    }

    /// Has no memory kept for it until it is polled again. For who cannot write what it has, and stops to poll.
    ///
    /// It keeps its place and loses nothing. Without this, what it waits for is kept a second longer, at the cost of others
    /// who catch up.
    pub fn pause(&mut self) {
        if let Stage::Reading(wanted, _) = &mut self.stage {
            wanted.pause();
        }
    }

    /// Whether it waits, as of when it was last polled, for something that memory does not have: to know where it begins, or entries of the
    /// engine's. What is published meanwhile it gets behind that.
    #[must_use]
    pub fn is_catching_up(&self) -> bool {
        matches!(self.stage, Stage::Opening(_) | Stage::Reading(..))
    }

    /// The hub, while the subscription has a place in it.
    #[must_use]
    pub fn hub(&self) -> Option<Hub> {
        self.place.as_ref().map(|place| Hub(place.shared.clone()))
    }

    /// Waits until it is known where the subscription begins, and says so.
    ///
    /// # Errors
    /// The subscription was refused, or the log could not be asked; it yields nothing then.
    pub async fn opened(&mut self) -> Result<&Resume, SubscribeError> {
        poll_fn(|context| self.poll_open(context)).await?;
        Ok(self.resume.as_ref().unwrap_or(&Resume::Fresh))
    }

    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SubscribeError>> {
        loop {
            let Some(place) = &mut self.place else {
                return Poll::Ready(match std::mem::replace(&mut self.stage, Stage::Ended) {
                    Stage::Refused(error) => Err(error),
                    _ => Err(SubscribeError::Closed),
                });
            };
            match &mut self.stage {
                Stage::New => match place.asked(self.requested.as_ref(), self.from_start) {
                    None => self.resume = Some(place.open(Opened::fresh())),
                    Some(asked) => {
                        let request = opening::Request {
                            asked,
                            seat: place.seat,
                            unknown_id: self.unknown_id,
                            joined: place.joined,
                        };
                        self.stage = Stage::Opening(Box::pin(opening::open(place.shared.clone(), request)));
                        continue;
                    }
                },
                Stage::Opening(opening) => match opening.as_mut().poll(context) {
                    Poll::Pending if place.shared.feed.is_ended(place.ending, context.waker()) => {
                        self.place = None;
                        self.stage = Stage::Ended;
                        return Poll::Ready(Err(SubscribeError::Ended));
                    }
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(opened)) => {
                        if !matches!(opened.resume, Resume::Earliest) {
                            place.cursor.client_id.clone_from(&self.requested);
                        }
                        self.resume = Some(place.open(opened));
                        if matches!(self.resume, Some(Resume::Over)) {
                            self.stage = Stage::Over;
                            return Poll::Ready(Ok(()));
                        }
                    }
                    Poll::Ready(Err(error)) => {
                        self.place = None;
                        self.stage = Stage::Ended;
                        return Poll::Ready(Err(error));
                    }
                },
                _ => return Poll::Ready(Ok(())),
            }
            self.stage = Stage::Open;
        }
    }

    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Delivery, SubscribeError>>> {
        let Some(place) = &mut self.place else { return Poll::Ready(None) };
        for _ in 0..SIFTED_MAX {
            let Held { shared, seat, cursor, ending, sieve, .. } = &mut *place;
            match shared.feed.step(seat, cursor, *ending, sieve.as_deref(), context.waker()) {
                Step::Deliver(delivery) => {
                    self.note_the_end(&delivery);
                    return Poll::Ready(Some(Ok(delivery)));
                }
                Step::Sift { entry, newer } => {
                    let lets_through =
                        sieve.as_ref().map_or(Ok(true), |sieve| sieve.lets_through(&entry, &newer));
                    match lets_through {
                        Ok(true) => {}
                        Ok(false) => continue,
                        Err(error) => return self.fail(error),
                    }
                    if let Some(delivery) = shared.feed.deliver_read(cursor, *ending, entry) {
                        self.note_the_end(&delivery);
                        return Poll::Ready(Some(Ok(delivery)));
                    }
                }
                Step::Wait => return Poll::Pending,
                Step::Yield => {}
                Step::Read { before } => {
                    // A page may have more, and others may have changed by then what this one reads there.
                    let until = if ending.is_some() { before } else { Position::MAX };
                    self.stage = Stage::Reading(place.read(before), until);
                }
                Step::Changed => {
                    let terms = shared.feed.lock().router.terms(*seat);
                    (place.selection, place.grant) = terms;
                }
                Step::End => {
                    self.place = None;
                    self.stage = Stage::Ended;
                    return Poll::Ready(None);
                }
            }
            break;
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn note_the_end(&mut self, delivery: &Delivery) {
        if matches!(delivery, Delivery::Event(entry) if entry.is_end()) {
            self.is_over();
        }
    }

    /// Nothing comes behind the end of a stream, if its topic is all that was asked for.
    fn is_over(&mut self) {
        if self.place.as_ref().is_some_and(|place| place.selection.one_topic().is_some()) {
            self.stage = Stage::Over;
        }
    }

    /// Yields an error, and nothing after it.
    fn fail(&mut self, error: SubscribeError) -> Poll<Option<Result<Delivery, SubscribeError>>> {
        self.place = None;
        self.stage = Stage::Ended;
        Poll::Ready(Some(Err(error)))
    }
}

/// How many entries a sieve is asked about before others have their turn.
const SIFTED_MAX: usize = 64;

impl Stream for Subscription {
    type Item = Result<Delivery, SubscribeError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if matches!(self.stage, Stage::Ended) {
            return Poll::Ready(None);
        }
        match ready!(self.poll_open(context)) {
            Ok(()) => {}
            // By a handle: that is how its application wants it.
            Err(SubscribeError::Ended) => return Poll::Ready(None),
            Err(error) => return Poll::Ready(Some(Err(error))),
        }
        // A page that was found in this poll is there for one entry at least.
        let mut found = None;
        let mut sifted = 0;
        loop {
            let this = &mut *self;
            let Some(place) = &mut this.place else { return Poll::Ready(None) };
            if let Some(snapshot) = place.snapshot.take() {
                let now = place.shared.feed.clock.now();
                return Poll::Ready(Some(Ok(snapshot.hand_out(&mut place.cursor, now))));
            }
            match &mut this.stage {
                Stage::Over => {
                    this.place = None;
                    this.stage = Stage::Ended;
                    return Poll::Ready(None);
                }
                Stage::Reading(wanted, until) => {
                    let until = *until;
                    let fault = match wanted.poll(context.waker()) {
                        Poll::Pending if place.shared.feed.is_ended(place.ending, context.waker()) => {
                            this.place = None;
                            this.stage = Stage::Ended;
                            return Poll::Ready(None);
                        }
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(Got::Page(page))) => {
                            this.stage = Stage::Replaying(Arc::downgrade(&page), until);
                            found = Some(page);
                            continue;
                        }
                        // The next step tells the gap.
                        Poll::Ready(Ok(Got::Void)) => None,
                        Poll::Ready(Err(ReadError::Trimmed { oldest })) => place.skip_to(oldest).err(),
                        Poll::Ready(Err(ReadError::Fault(fault))) => Some(fault),
                    };
                    this.stage = Stage::Open;
                    if let Some(fault) = fault {
                        return this.fail(SubscribeError::Log(fault));
                    }
                }
                Stage::Replaying(page, until) => {
                    let until = *until;
                    let Some(page) = found.take().or_else(|| page.upgrade()) else {
                        this.stage = Stage::Open;
                        continue;
                    };
                    let Held { selection, grant, cursor, sieve, .. } = place;
                    let entry = page.next_for(selection, grant, cursor.next);
                    if let Some(entry) = entry.filter(|entry| entry.position() < until) {
                        let entry = entry.clone();
                        if let Some(sieve) = sieve {
                            let most = sieve.newer_wanted();
                            let mut newer = page.newest_like(selection, grant, &entry, until, most);
                            if newer.len() < most {
                                let feed = &place.shared.feed;
                                newer.extend(feed.newest_like(place.seat, cursor, &entry, until, most));
                            }
                            match sieve.lets_through(&entry, &newer) {
                                Ok(true) => {}
                                Ok(false) => {
                                    cursor.next = entry.position() + 1;
                                    sifted += 1;
                                    if sifted == SIFTED_MAX {
                                        context.waker().wake_by_ref();
                                        return Poll::Pending;
                                    }
                                    found = Some(page);
                                    continue;
                                }
                                Err(error) => return this.fail(error),
                            }
                        }
                        match place.shared.feed.deliver_read(&mut place.cursor, place.ending, entry) {
                            Some(delivery) => {
                                this.note_the_end(&delivery);
                                return Poll::Ready(Some(Ok(delivery)));
                            }
                            None => this.stage = Stage::Open,
                        }
                    } else {
                        cursor.next = cursor.next.max(until.min(page.through + 1));
                        this.stage = Stage::Open;
                    }
                }
                _ => return self.poll_step(context),
            }
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.as_ref();
        f.debug_struct("Subscription")
            .field("selection", &place.map(|place| &place.selection))
            .field("next", &place.map(|place| place.cursor.next))
            .field("resume", &self.resume)
            .finish_non_exhaustive()
    }
}
