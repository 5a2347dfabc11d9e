//! A subscription's seat in the hub, with its cursor: where it begins, what it reads next, and what is given back with it.
//!
//! It polls nothing and yields nothing.

use std::sync::Arc;

use fanfare_wire::EventId;

use crate::catch_up::{NothingRead, Wanted};
use crate::endings::{self, SubscriptionKey};
use crate::engine::EngineFault;
use crate::feed::{Cursor, DueGap, State};
use crate::hub::Shared;
use crate::opening::{Asked, Joined, Opened};
use crate::pages::Place;
use crate::router::Seat;
use crate::sieve::Sieve;
use crate::snapshot::Standing;
use crate::{GapReason, Grant, Position, Resume, Selection, Topic};

/// A seat at a readership, given back when dropped.
pub(crate) struct Held {
    pub(crate) shared: Arc<Shared>,
    pub(crate) selection: Selection,
    pub(crate) grant: Grant,
    pub(crate) seat: Seat,
    pub(crate) joined: Option<Joined>,
    pub(crate) cursor: Cursor,
    /// What goes before everything else.
    pub(crate) snapshot: Option<Box<Standing>>,
    /// What it leaves out of what it asks for.
    pub(crate) sieve: Option<Box<Sieve>>,
    /// Where what is kept beside it is, if there is anything.
    pub(crate) ending: Option<SubscriptionKey>,
    /// Whether the seat was handed on, so that it is not ours to give back.
    pub(crate) handed_on: bool,
}

impl Held {
    /// Whether it gets something else than others with its readership.
    pub(crate) fn has_its_own(&self) -> bool {
        self.snapshot.is_some() || self.sieve.is_some()
    }

    /// Where it asks to begin, if it does not begin where it came in.
    pub(crate) fn asked(&self, requested: Option<&EventId>, from_start: bool) -> Option<Asked> {
        let topic = self.selection.one_topic().map(Arc::from);
        match requested {
            Some(id) => Some(Asked::After { id: id.clone(), topic }),
            None => topic.filter(|_| from_start).map(|topic| Asked::Start { topic }),
        }
    }

    pub(crate) fn open(&mut self, opened: Opened) -> Resume {
        let Opened { mut resume, begin } = opened;
        let mut check = None;
        if let Some(begin) = begin {
            check = begin.check;
            self.cursor.epoch = Some(begin.epoch);
            self.cursor.next = begin.next;
        }
        let mut state = self.shared.feed.lock();
        let State { log, router, counts, .. } = &mut *state;
        let log = log.as_ref().filter(|log| self.cursor.epoch == Some(log.epoch()));
        match &resume {
            Resume::Resumed { after } => {
                self.cursor.client_at = Some(*after);
                if let Some(log) = log.filter(|log| self.cursor.misses_presence(log, router, self.seat)) {
                    self.cursor.tell_of_presence(log, check);
                    resume = Resume::Gap { reason: GapReason::Trimmed };
                }
            }
            Resume::Gap { reason } => {
                self.cursor.gap = Some(DueGap { reason: *reason, check });
                self.cursor.presence_told = log.map_or(0, |log| log.next() - 1);
            }
            // It asks for what is kept, and knows that it has nothing.
            Resume::Earliest => self.cursor.presence_told = log.map_or(0, |log| log.next() - 1),
            Resume::Fresh | Resume::Over => {}
        }
        if !self.selection.is_internal() {
            counts.count_resume(&resume);
        }
        resume
    }

    pub(crate) fn read(&self, before: Position) -> Wanted {
        let topics = self.selection.exact_topics();
        let topics =
            topics.map(|topics| topics.filter_map(|topic| Topic::parse_stored(topic).ok()).collect());
        let place = Place { next: self.cursor.next, topics };
        Wanted::new(self.shared.catch_up.clone(), self.cursor.epoch.unwrap_or_default(), place, before)
    }

    /// Retention was faster than this subscriber.
    pub(crate) fn skip_to(&mut self, engine_oldest: Position) -> Result<(), EngineFault> {
        let state = self.shared.feed.lock();
        if let Some(log) = state.log.as_ref().filter(|log| self.cursor.epoch == Some(log.epoch())) {
            if engine_oldest <= self.cursor.next {
                return Err(NothingRead::fault());
            }
            self.cursor.next = engine_oldest.min(log.oldest());
            self.cursor.gap = Some(GapReason::Trimmed.into());
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.handed_on {
            return;
        }
        let mut state = self.shared.feed.lock();
        let State { router, endings, counts, .. } = &mut *state;
        let bell = router.leave(self.seat);
        counts.subscribers -= u64::from(!self.selection.is_internal());
        let ending = endings.take(self.ending, router);
        drop(state);
        drop(bell);
        endings::call(ending);
    }
}
