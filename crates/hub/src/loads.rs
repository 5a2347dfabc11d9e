//! The loads of pages: which are under way, which wait for their turn, and who waits for each.
//!
//! A pure state machine: it calls no engine, wakes nobody and holds no lock. What is to be woken, dropped and driven on it
//! puts into [`After`], for when the lock is given back.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, SystemTime};

use fanfare_wire::CodedForms;

use crate::Position;
use crate::engine::ReadRequest;
use crate::load::{After, Job, Load, LoadNumber, Outcome, Stage, Waiter, WaiterNumber, Work};
use crate::page::Page;
use crate::pages::{PageNumber, Pages, Place};

/// How many loads are under way at once.
const UNDER_WAY_MAX: usize = 4;
/// How many bytes of entries a load asks for; a single entry may be larger.
const PAGE_BYTES: usize = 256 * 1024;
/// For how many positions a load is expected to be good before there was one.
const SPAN: Position = 1_024;
/// For how long a page is kept for somebody who was woken for it and does not look.
const CLAIM_AGE: Duration = Duration::from_secs(1);

/// Pages and loads of one log.
///
/// INVARIANT: `under_way` has the loads that rest or are driven, `by_place` each load that is not done, by the place of whoever
/// asked for it first.
pub(crate) struct Loads {
    pub(crate) epoch: u32,
    pub(crate) pages: Pages,
    by_number: HashMap<LoadNumber, Load>,
    by_place: HashMap<Place, LoadNumber>,
    /// Who waits for a turn, first come first served. One that is not there any more may still stand here.
    queue: VecDeque<LoadNumber>,
    under_way: Vec<LoadNumber>,
    /// Claims in the order in which they were made. One that was given back may still stand here.
    claims: VecDeque<(SystemTime, LoadNumber)>,
    given: u64,
    /// Whether an engine that was last asked for some topics gave the entries of all.
    expects_all: bool,
    /// For how many positions a load was good lately: one of every topic, and one of some.
    spans: [Position; 2],
    /// What a page is expected to cost.
    page_cost: usize,
    /// How often the engine was asked.
    pub(crate) reads: u64,
}

/// What a look at a load that somebody waits for gave.
pub(crate) enum Looked {
    /// Not done. If there is a job, whoever looks drives it on.
    Waits(Option<Job>),
    /// Done: its first position, and how it ended.
    Done(Position, Outcome),
}

impl Loads {
    pub(crate) fn new(bytes_max: usize, forms: Arc<CodedForms>) -> Self {
        Self {
            epoch: 0,
            pages: Pages::new(bytes_max, forms),
            by_number: HashMap::new(),
            by_place: HashMap::new(),
            queue: VecDeque::new(),
            under_way: Vec::new(),
            claims: VecDeque::new(),
            given: 0,
            expects_all: false,
            spans: [SPAN; 2],
            page_cost: PAGE_BYTES,
            reads: 0,
        }
    }

    /// Another log: what was read is void, and so is what is being read.
    pub(crate) fn begin_epoch(&mut self, epoch: u32, after: &mut After) {
        self.epoch = epoch;
        self.pages.clear(&mut after.dropped_pages);
        self.claims.clear();
        self.queue.clear();
        self.under_way.clear();
        self.by_place.clear();
        for load in self.by_number.values_mut() {
            load.claim = None;
            if let Stage::Resting { job, .. } = std::mem::replace(&mut load.stage, Stage::Done(Outcome::Void))
            {
                after.dropped_jobs.push(job);
            }
            load.ring(after);
        }
    }

    /// Waits for a load that is good for a place: one that others wait for, or a new one.
    pub(crate) fn join(
        &mut self,
        place: &Place,
        before: Position,
        in_vain: bool,
        now: SystemTime,
        after: &mut After,
    ) -> (LoadNumber, WaiterNumber) {
        let known = self.by_place.get(place).copied();
        let number = known.or_else(|| self.may_serve(place).filter(|_| !in_vain)).unwrap_or_else(|| {
            self.given += 1;
            let (stage, waiters) = (Stage::Queued, BTreeMap::new());
            let load = Load { place: place.clone(), before, in_vain, stage, waiters, claim: None };
            self.by_number.insert(self.given, load);
            self.by_place.insert(place.clone(), self.given);
            self.queue.push_back(self.given);
            self.given
        });
        self.given += 1;
        if let Some(load) = self.by_number.get_mut(&number) {
            load.waiters.insert(self.given, Waiter::default());
        }
        let waiter = self.given;
        self.begin_more(now, after);
        (number, waiter)
    }

    /// A load under way that probably reads past a place.
    fn may_serve(&self, place: &Place) -> Option<LoadNumber> {
        let serves = |number: &&LoadNumber| {
            let load = &self.by_number[*number].place;
            let is_dense = load.topics.is_none() || self.expects_all;
            let span = self.spans[usize::from(!is_dense)];
            (is_dense || load.topics == place.topics) && (load.next..load.next + span).contains(&place.next)
        };
        self.under_way.iter().find(serves).copied()
    }

    /// Begins those loads whose turn has come, as far as there is room for their pages.
    pub(crate) fn begin_more(&mut self, now: SystemTime, after: &mut After) {
        while let Some(&number) = self.queue.front().filter(|_| self.under_way.len() < UNDER_WAY_MAX) {
            let Some(load) = self.by_number.get(&number) else {
                self.queue.pop_front();
                continue;
            };
            let (place, in_vain) = (load.place.clone(), load.in_vain);
            let page = self.pages.find(&place).map(|(page, _)| page);
            if !in_vain && (page.is_some() || self.may_serve(&place).is_some()) {
                self.queue.pop_front();
                self.end(number, Outcome::LookAgain, None, now, after);
                continue;
            }
            if !self.has_room() {
                self.expire_claims(now, after);
                if !self.has_room() {
                    return;
                }
            }
            self.queue.pop_front();
            match page {
                // Kept for it, so that it does not look in vain once more.
                Some(page) => self.end(number, Outcome::LookAgain, Some(page), now, after),
                None => self.begin(number, place, after),
            }
        }
    }

    /// Whether there is room for the pages that are being read and one more. There is always room for one at a time, once
    /// whoever waited for the one before has looked at it.
    fn has_room(&self) -> bool {
        let is_alone = self.under_way.is_empty() && !self.pages.is_claimed();
        is_alone || self.pages.has_room_for((self.under_way.len() + 1) * self.page_cost)
    }

    fn begin(&mut self, number: LoadNumber, place: Place, after: &mut After) {
        let others = self.under_way.iter().map(|other| &self.by_number[other].place);
        let others = others.filter(|other| other.topics.is_none() || other.topics == place.topics);
        let next_load = others.map(|other| other.next).filter(|&first| first > place.next).min();
        let Some(load) = self.by_number.get_mut(&number) else { return };
        let ends = [Some(load.before), next_load, self.pages.next_page(&place)];
        let request = ReadRequest {
            after: place.next.saturating_sub(1),
            before: ends.into_iter().flatten().min().unwrap_or(load.before),
            topics: place.topics.clone(),
            bytes_max: PAGE_BYTES,
        };
        load.stage = Stage::Driven { again: false };
        self.under_way.push(number);
        self.reads += 1;
        let Place { next, topics } = place;
        let (epoch, work) = (self.epoch, Work::Ask(request));
        after.jobs.push(Job { number, epoch, first: next, topics, work });
    }

    /// The engine has spoken: gives the job to whoever calls, who drives it on.
    pub(crate) fn take_job(&mut self, number: LoadNumber) -> Option<Job> {
        let load = self.by_number.get_mut(&number)?;
        match std::mem::replace(&mut load.stage, Stage::Driven { again: false }) {
            Stage::Resting { job, .. } => Some(job),
            Stage::Driven { .. } => {
                load.stage = Stage::Driven { again: true };
                None
            }
            other => {
                load.stage = other;
                None
            }
        }
    }

    /// The engine has yet to answer. Gives the job back if it has spoken meanwhile and `may_go_on`.
    pub(crate) fn put_back(&mut self, job: Job, may_go_on: bool, after: &mut After) -> Option<Job> {
        let load = self.by_number.get_mut(&job.number);
        let Some(load) = load.filter(|load| matches!(load.stage, Stage::Driven { .. })) else {
            // Nobody waits for it any more.
            after.dropped_jobs.push(job);
            return None;
        };
        let is_due = matches!(load.stage, Stage::Driven { again: true });
        if is_due && may_go_on {
            load.stage = Stage::Driven { again: false };
            return Some(job);
        }
        load.stage = Stage::Resting { job, is_due };
        if is_due {
            // An engine that keeps speaking while it is asked gives way to others; whoever waits asks it again.
            load.ring(after);
        }
        None
    }

    /// A load has ended, with a page or without.
    pub(crate) fn finish(
        &mut self,
        number: LoadNumber,
        outcome: Outcome,
        page: Option<Arc<Page>>,
        now: SystemTime,
        after: &mut After,
    ) {
        let is_driven = |load: &Load| matches!(load.stage, Stage::Driven { .. });
        if !self.by_number.get(&number).is_some_and(is_driven) {
            after.dropped_pages.extend(page);
            return;
        }
        let page = page.map(|page| {
            let is_dense = page.topics.is_none();
            if self.by_number[&number].place.topics.is_some() {
                self.expects_all = is_dense;
            }
            let span = &mut self.spans[usize::from(!is_dense)];
            *span = (page.through + 1 - page.first).max(*span / 2);
            self.page_cost = page.cost.max(self.page_cost / 2);
            // Claimed before anything makes room, so that it is there for those who waited.
            self.pages.insert(page, &mut after.dropped_pages)
        });
        self.end(number, outcome, page, now, after);
        self.pages.make_room(&mut after.dropped_pages);
        self.begin_more(now, after);
    }

    /// Tells those who wait for a load how it ended, and keeps a page for them.
    fn end(
        &mut self,
        number: LoadNumber,
        outcome: Outcome,
        page: Option<PageNumber>,
        now: SystemTime,
        after: &mut After,
    ) {
        self.under_way.retain(|&each| each != number);
        let Some(load) = self.by_number.get_mut(&number) else { return };
        load.stage = Stage::Done(outcome);
        if self.by_place.get(&load.place) == Some(&number) {
            self.by_place.remove(&load.place);
        }
        if let Some(page) = page.filter(|_| load.waiters.values().any(|waiter| !waiter.pauses)) {
            self.pages.claim(page);
            load.claim = Some(page);
            self.claims.push_back((now, number));
        }
        load.ring(after);
        // So that there are no more of them than are made within their age.
        self.expire_claims(now, after);
    }

    /// Who was woken a while ago and has not looked is not going to soon: others have the room.
    fn expire_claims(&mut self, now: SystemTime, after: &mut After) {
        while let Some(&(since, number)) = self.claims.front() {
            let load = self.by_number.get_mut(&number);
            let Some(load) = load.filter(|load| load.claim.is_some()) else {
                self.claims.pop_front();
                continue;
            };
            if now.duration_since(since).is_ok_and(|age| age < CLAIM_AGE) {
                return;
            }
            self.claims.pop_front();
            if let Some(page) = load.claim.take() {
                self.pages.release(page, &mut after.dropped_pages);
            }
        }
    }

    /// Looks how a load stands; leaves a doorbell if it is not done.
    pub(crate) fn look(
        &mut self,
        number: LoadNumber,
        waiter: WaiterNumber,
        bell: &Waker,
        now: SystemTime,
        after: &mut After,
    ) -> Looked {
        let Some(load) = self.by_number.get_mut(&number) else { return Looked::Done(0, Outcome::Void) };
        if let Stage::Done(outcome) = &load.stage {
            return Looked::Done(load.place.next, outcome.clone());
        }
        if let Some(waiter) = load.waiters.get_mut(&waiter) {
            waiter.pauses = false;
            after.dropped_bells.extend(waiter.bell.replace(bell.clone()));
        }
        match std::mem::replace(&mut load.stage, Stage::Driven { again: false }) {
            Stage::Resting { job, is_due: true } => return Looked::Waits(Some(job)),
            other => load.stage = other,
        }
        if matches!(load.stage, Stage::Queued) {
            // Time may have passed that nobody has noticed.
            self.begin_more(now, after);
        }
        Looked::Waits(None)
    }

    /// Who waits cannot take anything at the moment: nothing is kept for it.
    pub(crate) fn pause(
        &mut self,
        number: LoadNumber,
        waiter: WaiterNumber,
        now: SystemTime,
        after: &mut After,
    ) {
        let Some(load) = self.by_number.get_mut(&number) else { return };
        if let Some(waiter) = load.waiters.get_mut(&waiter) {
            waiter.pauses = true;
        }
        if self.give_up_claim(number, after) {
            self.begin_more(now, after);
        }
    }

    /// Keeps a page no longer for those who wait for a load, if none of them can take it. Whether there was one.
    fn give_up_claim(&mut self, number: LoadNumber, after: &mut After) -> bool {
        let load = self.by_number.get_mut(&number);
        let load = load.filter(|load| load.waiters.values().all(|waiter| waiter.pauses));
        let Some(page) = load.and_then(|load| load.claim.take()) else { return false };
        self.pages.release(page, &mut after.dropped_pages);
        true
    }

    /// Somebody waits no longer. With the last one a load is forgotten, done or not.
    pub(crate) fn leave(
        &mut self,
        number: LoadNumber,
        waiter: WaiterNumber,
        now: SystemTime,
        after: &mut After,
    ) {
        let Some(load) = self.by_number.get_mut(&number) else { return };
        after.dropped_bells.extend(load.waiters.remove(&waiter).and_then(|waiter| waiter.bell));
        if load.waiters.is_empty() {
            if let Some(load) = self.by_number.remove(&number) {
                self.forget(number, load, after);
            }
        } else {
            self.give_up_claim(number, after);
        }
        self.begin_more(now, after);
    }

    fn forget(&mut self, number: LoadNumber, load: Load, after: &mut After) {
        if let Some(page) = load.claim {
            self.pages.release(page, &mut after.dropped_pages);
        }
        if let Stage::Resting { job, .. } = load.stage {
            after.dropped_jobs.push(job);
        }
        self.under_way.retain(|&each| each != number);
        if self.by_place.get(&load.place) == Some(&number) {
            self.by_place.remove(&load.place);
        }
    }
}
