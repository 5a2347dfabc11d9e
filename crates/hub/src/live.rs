//! Changes to what a subscription reads, made from outside while it goes on, and told to whoever reads for it.
//!
//! A change has a place in the log: what stands before it is read by the terms before, what stands behind it by those
//! after. So it is a seat that the reader takes once it has come that far, be it a stream that is polled or a member of a crowd.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};
use std::task::Waker;

use crate::endings::{Endings, SubscriptionKey};
use crate::feed::State;
use crate::hub::Shared;
use crate::log::Log;
use crate::router::{Router, Seat};
use crate::subscription::Stage;
use crate::{Grant, IntoSelection, Matcher, Position, Selection, SubscribeError, Subscription, TopicError};

/// How many changes a subscriber may have before it that it has not come to.
const CHANGES_MAX: usize = 64;

/// Changes what a subscription reads, wherever it is: being polled, in the hands of a fan-out, or far behind. Cheap to clone.
///
/// A change counts for what is published after it: of everything before it the subscriber gets what it asked for then, however
/// late it reads that, and nothing is lost or doubled in between. Calls do not wait for the subscriber. It keeps neither the
/// subscription nor the hub.
///
/// What the client is told besides is the application's matter, and so is what it gets when it comes back: it brings its
/// last event ID, and the application subscribes it again to what it is to read by then. From that event on it gets all of that.
/// A change is followed by a bookmark for those who have them, which leaves no more than a moment for
/// which that makes a difference.
///
/// ```
/// # use fanfare_hub::{Delivery, Hub};
/// # use fanfare_wire::Event;
/// # use futures_util::StreamExt;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::builder().build()?;
/// let mut subscription = hub.subscribe("rooms/7").bookmarks(false);
/// let handle = subscription.handle();
///
/// hub.publish("rooms/8", Event::new("too early")).await?;
/// handle.join("rooms/8")?;
/// hub.publish("rooms/8", Event::new("hello, eight")).await?;
/// handle.leave("rooms/7")?;
/// hub.publish("rooms/7", Event::new("too late")).await?;
///
/// let Some(Ok(Delivery::Event(entry))) = subscription.next().await else { panic!("no event") };
/// assert!(entry.frame().as_bytes().ends_with(b"data: hello, eight\n\n"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SubscriptionHandle {
    shared: Weak<Shared>,
    /// Which one it is, and that it is still the one; none for a subscription that was refused.
    of: Option<(SubscriptionKey, u64)>,
}

/// What is kept of a subscription that has handles.
pub(crate) struct Live {
    serial: u64,
    /// Where it sits now.
    seat: Seat,
    changes: VecDeque<Change>,
    is_ended: bool,
    reader: Reader,
    /// What is called after each change.
    changed: Option<Changed>,
}

type Changed = Arc<dyn Fn() + Send + Sync>;

struct Change {
    epoch: Option<u32>,
    /// The first position that it is for.
    from: Position,
    seat: Seat,
}

/// Who is to be told.
enum Reader {
    Nobody,
    Waits(Waker),
    Member { crowd: usize, slot: usize },
}

/// How far a subscription reads by the terms that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// As far as there is something.
    End,
    /// Up to this position and without it.
    Change(Position),
    /// No further.
    Here,
}

impl Until {
    /// The first position that is read by other terms.
    pub(crate) fn position(self) -> Position {
        match self {
            Self::End => Position::MAX,
            Self::Change(position) => position,
            Self::Here => 0,
        }
    }
}

impl Live {
    pub(crate) fn new(serial: u64, seat: Seat) -> Self {
        let (changes, reader) = (VecDeque::new(), Reader::Nobody);
        Self { serial, seat: Seat::at(seat.readership), changes, is_ended: false, reader, changed: None }
    }

    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// How many things its reader has to come to.
    pub(crate) fn pending(&self) -> usize {
        self.changes.len() + usize::from(self.is_ended)
    }

    pub(crate) fn until(&self, epoch: u32) -> Until {
        match self.changes.front() {
            _ if self.is_ended => Until::Here,
            None => Until::End,
            // What was a place in another log is none in this one.
            Some(change) if change.epoch != Some(epoch) => Until::Change(0),
            Some(change) => Until::Change(change.from),
        }
    }

    /// Takes the next change's seat in place of the one it has, which is returned.
    fn advance(&mut self) -> Option<Seat> {
        let change = self.changes.pop_front()?;
        Some(std::mem::replace(&mut self.seat, change.seat))
    }

    /// The seat that it will have once it has come to all changes.
    fn newest(&self) -> Seat {
        self.changes.back().map_or(self.seat, |change| change.seat)
    }

    /// Gives up the seats that it has not come to.
    pub(crate) fn leave(&mut self, router: &mut Router) {
        for change in self.changes.drain(..) {
            // Nobody ever waited there, so no doorbell hangs.
            router.leave(change.seat);
        }
    }

    fn tell(&mut self, router: &mut Router, rung: &mut Vec<Waker>) {
        match std::mem::replace(&mut self.reader, Reader::Nobody) {
            Reader::Nobody => {}
            Reader::Waits(waker) => rung.push(waker),
            Reader::Member { crowd, slot } => {
                self.reader = Reader::Member { crowd, slot };
                router.call(crowd, slot, rung);
            }
        }
    }
}

impl Endings {
    /// Notes who waits for a subscription that may be changed. Returns what is to be dropped outside the lock.
    pub(crate) fn waits(&mut self, key: Option<SubscriptionKey>, waker: &Waker) -> Option<Waker> {
        let live = self.live_mut(key)?;
        if matches!(&live.reader, Reader::Waits(known) if known.will_wake(waker)) {
            return None;
        }
        match std::mem::replace(&mut live.reader, Reader::Waits(waker.clone())) {
            Reader::Waits(replaced) => Some(replaced),
            Reader::Nobody | Reader::Member { .. } => None,
        }
    }

    /// Notes that a crowd reads for it, and by which number it wants to be told. Returns what is to be dropped outside the lock.
    pub(crate) fn joins(&mut self, key: Option<SubscriptionKey>, crowd: usize, slot: usize) -> Option<Waker> {
        let live = self.live_mut(key)?;
        match std::mem::replace(&mut live.reader, Reader::Member { crowd, slot }) {
            Reader::Waits(replaced) => Some(replaced),
            Reader::Nobody | Reader::Member { .. } => None,
        }
    }

    /// Notes that nobody reads for it any more.
    pub(crate) fn is_released(&mut self, key: Option<SubscriptionKey>) {
        if let Some(live) = self.live_mut(key) {
            live.reader = Reader::Nobody;
        }
    }

    /// Takes the next change: moves to its seat. Returns the doorbell that hung at the one before, to be dropped outside the lock.
    pub(crate) fn change_seat(
        &mut self,
        key: Option<SubscriptionKey>,
        seat: &mut Seat,
        router: &mut Router,
    ) -> Option<Waker> {
        let live = self.live_mut(key)?;
        live.advance()?;
        let before = std::mem::replace(seat, live.seat);
        self.come_to();
        router.leave(before)
    }
}

impl State {
    /// Notes that a subscription with handles sits elsewhere now, under another grant, and that it will under that grant wherever it comes to.
    pub(crate) fn moved(&mut self, key: Option<SubscriptionKey>, seat: Seat, grant: &Grant) {
        let next = self.log.as_ref().map_or(0, Log::next);
        let Self { endings, router, .. } = self;
        let Some(live) = endings.live_mut(key) else { return };
        live.seat = Seat::at(seat.readership);
        for change in &mut live.changes {
            let (selection, _) = router.terms(change.seat);
            let seat = router.join(&selection, grant, next);
            router.leave(std::mem::replace(&mut change.seat, seat));
        }
    }
}

impl Subscription {
    /// A handle by which others change what it reads while it goes on, and which works wherever it goes.
    ///
    /// ```
    /// # use fanfare_hub::Hub;
    /// let hub = Hub::builder().build()?;
    /// let mut subscription = hub.subscribe("rooms/7");
    /// let handle = subscription.handle();
    /// drop(subscription);
    /// assert!(handle.selection().is_none() && handle.join("rooms/8").is_err());
    /// # Ok::<(), fanfare_hub::BuildError>(())
    /// ```
    pub fn handle(&mut self) -> SubscriptionHandle {
        let Some(place) = &mut self.place else {
            return SubscriptionHandle { shared: Weak::new(), of: None };
        };
        let (key, serial) = place.shared.feed.lock().endings.has_handles(place.ending, place.seat);
        place.ending = Some(key);
        // What it reads from there was not bounded for somebody whose terms may change.
        if matches!(self.stage, Stage::Reading(..) | Stage::Replaying(..)) {
            self.stage = Stage::Open;
        }
        SubscriptionHandle { shared: Arc::downgrade(&place.shared), of: Some((key, serial)) }
    }

    /// Has `changed` called whenever a [handle](Self::handle) has changed what the subscription asks for, wherever that is.
    ///
    /// It is called in the thread that made the change, with no lock held, and so perhaps in two threads at once: whoever needs to know what
    /// is asked for now looks at [`SubscriptionHandle::selection`]. It must not wait for anything. One that was given before is called
    /// first. That a subscription ends is told by [`on_end`](Self::on_end).
    ///
    /// ```
    /// # use std::sync::mpsc;
    /// # use fanfare_hub::Hub;
    /// let hub = Hub::builder().build()?;
    /// let (tell, told) = mpsc::channel();
    /// let mut subscription = hub.subscribe("rooms/7").on_change(move || drop(tell.send("changed")));
    /// let handle = subscription.handle();
    /// handle.join("rooms/8")?;
    /// handle.join("rooms/8")?;
    /// assert_eq!(told.try_iter().count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_change(mut self, changed: impl Fn() + Send + Sync + 'static) -> Self {
        self.handle();
        let Some(place) = &mut self.place else { return self };
        let mut state = place.shared.feed.lock();
        if let Some(live) = state.endings.live_mut(place.ending) {
            live.changed = Some(match live.changed.take() {
                None => Arc::new(changed),
                Some(before) => Arc::new(move || {
                    before();
                    changed();
                }),
            });
        }
        drop(state);
        self
    }
}

impl SubscriptionHandle {
    /// Adds a topic, a [`Matcher`] or all of a [`Selection`] to what it asks for.
    ///
    /// It changes nothing about what it may read: see [`Subscription::grant`].
    ///
    /// # Errors
    /// [`SubscribeError::Ended`]; [`SubscribeError::TooManyChanges`]; the text is no topic, or one of the hub's own; or the hub has no room
    /// for what it would ask for. Nothing was changed.
    pub fn join(&self, topics: impl IntoSelection) -> Result<(), SubscribeError> {
        let joined = topics.into_selection().map_err(SubscribeError::Topic)?;
        self.change(|now| now.matchers().iter().chain(joined.matchers()).cloned().collect())
    }

    /// Takes a topic, a [`Matcher`] or all of a [`Selection`] out of what it asks for: as it was given, so a topic that a pattern of its
    /// own matches, or `*`, is still read.
    ///
    /// It may end with nothing to read, and goes on nevertheless.
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    pub fn leave(&self, topics: impl IntoSelection) -> Result<(), SubscribeError> {
        let left = topics.into_selection().map_err(SubscribeError::Topic)?;
        let stays = |matcher: &&Matcher| !left.matchers().contains(matcher);
        self.change(|now| now.matchers().iter().filter(stays).cloned().collect())
    }

    /// Has it ask for this in place of all that it asked for.
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    pub fn select(&self, selection: impl IntoSelection) -> Result<(), SubscribeError> {
        let selection = selection.into_selection().map_err(SubscribeError::Topic)?;
        self.change(|_| selection)
    }

    /// What it asks for, of what is published from now on; `None` once it has ended.
    #[must_use]
    pub fn selection(&self) -> Option<Selection> {
        let (shared, (key, serial)) = self.alive()?;
        let state = shared.feed.lock();
        let live = state.endings.live(Some(key)).filter(|live| live.serial == serial)?;
        Some(state.router.terms(live.newest()).0)
    }

    /// Ends it: it gets nothing more but the rest of what was begun. A client may come back, if the application lets it.
    ///
    /// Whoever takes no bytes is not there to be told: it ends when it takes some, or at its write deadline.
    pub fn end(&self) {
        let Some((shared, (key, serial))) = self.alive() else { return };
        let mut state = shared.feed.lock();
        let State { endings, router, rung, .. } = &mut *state;
        let Some(live) = endings.live_mut(Some(key)).filter(|live| live.serial == serial) else { return };
        if std::mem::replace(&mut live.is_ended, true) {
            return;
        }
        live.tell(router, rung);
        endings.has_to_come_to();
        drop(state);
        shared.feed.ring_out();
    }

    fn alive(&self) -> Option<(Arc<Shared>, (SubscriptionKey, u64))> {
        Some((self.shared.upgrade()?, self.of?))
    }

    fn change(&self, to: impl FnOnce(&Selection) -> Selection) -> Result<(), SubscribeError> {
        let (shared, (key, serial)) = self.alive().ok_or(SubscribeError::Ended)?;
        let mut state = shared.feed.lock();
        let live = state.endings.live(Some(key)).filter(|live| live.serial == serial && !live.is_ended);
        let newest = live.ok_or(SubscribeError::Ended)?.newest();
        let (selection, grant) = state.router.terms(newest);
        let wanted = to(&selection);
        if wanted == selection {
            return Ok(());
        }
        // Who reads these takes nobody's place, so nobody becomes one of them.
        if wanted.is_internal() || selection.is_internal() {
            return Err(SubscribeError::Topic(TopicError::Forbidden { character: '\u{0}' }));
        }
        // Who asks for less takes no more room.
        if !wanted.matchers().iter().all(|matcher| selection.matchers().contains(matcher)) {
            shared.check_room(&mut state, &wanted, &grant)?;
        }
        let State { endings, router, rung, log, .. } = &mut *state;
        let (epoch, from) = log.as_ref().map_or((None, 0), |log| (Some(log.epoch()), log.next()));
        let Some(live) = endings.live_mut(Some(key)) else { return Err(SubscribeError::Ended) };
        let is_full = live.changes.len() == CHANGES_MAX;
        let changed = live.changed.clone();
        match live.changes.back_mut().filter(|last| (last.epoch, last.from) == (epoch, from)) {
            // Nothing was published in between.
            Some(last) => {
                let seat = router.join(&wanted, &grant, from);
                router.leave(std::mem::replace(&mut last.seat, seat));
            }
            None if is_full => return Err(SubscribeError::TooManyChanges { limit: CHANGES_MAX }),
            None => {
                let seat = router.join(&wanted, &grant, from);
                live.changes.push_back(Change { epoch, from, seat });
                live.tell(router, rung);
                endings.has_to_come_to();
            }
        }
        drop(state);
        shared.feed.ring_out();
        if let Some(changed) = changed {
            changed();
        }
        Ok(())
    }
}

impl fmt::Debug for SubscriptionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionHandle").field("selection", &self.selection()).finish_non_exhaustive()
    }
}
