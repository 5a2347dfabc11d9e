//! The meeting point under one lock: what the engine tells goes in, what subscribers are due comes out.
//!
//! A subscriber looks at the log and hangs its doorbell under the same lock under which entries arrive,
//! so no entry slips between the two. Doorbells ring after the lock is given back.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, SystemTime};

use fanfare_wire::{EventId, EventName};

use crate::arrivals::Arrivals;
use crate::clock::Clock;
use crate::endings::{Endings, SubscriptionKey};
use crate::engine::{Content, EngineFault, Followed, Follower};
use crate::id::Place;
use crate::live::Until;
use crate::log::{Entry, Log, Retention};
use crate::router::{Found, Router, Seat};
use crate::sieve::{Newer, Sieve};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::{Bookmark, Check, Counts, Delivery, Gap, GapReason, IdKey, Position};

/// The hub's side of the log.
pub(crate) struct Feed {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gap_event: EventName,
    retention: Retention,
    state: Mutex<State>,
}

/// INVARIANT: everybody who waits has a doorbell in `router` or `arrivals`; `rung` holds those that an entry has
/// taken out and [`Feed::ring`] has yet to wake.
pub(crate) struct State {
    /// `None` until the engine has told which log it is.
    pub(crate) log: Option<Log>,
    pub(crate) router: Router,
    pub(crate) counts: Counts,
    pub(crate) closed: bool,
    pub(crate) stalled: Option<EngineFault>,
    /// Who waits for the log to reach a position, or to be another one.
    pub(crate) arrivals: Arrivals,
    /// What is to be done when subscriptions end.
    pub(crate) endings: Endings,
    pub(crate) rung: Vec<Waker>,
}

/// A subscriber's place in the log, and what its client knows.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    /// Which log; `None` before there was one.
    pub(crate) epoch: Option<u32>,
    /// The next position to look at.
    pub(crate) next: Position,
    /// The position of the client's last event ID, if it has one.
    pub(crate) client_at: Option<Position>,
    /// The last event ID that the client is known to have.
    pub(crate) client_id: Option<EventId>,
    /// A gap to tell before anything else.
    pub(crate) gap: Option<DueGap>,
    /// Whether to send a bookmark as soon as nothing else is due, or only after a quiet time.
    pub(crate) bookmark_soon: bool,
    pub(crate) bookmarks: bool,
    /// Up to which position its client has been told that presence may be missing.
    pub(crate) presence_told: Position,
    /// Whether it is told each time that more is missing: the hub's own followers build on what they read.
    pub(crate) presence_told_each_time: bool,
    pub(crate) delivered_at: SystemTime,
}

/// A gap that the subscriber has not been told of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DueGap {
    pub(crate) reason: GapReason,
    /// The check of the position before the cursor, where memory may not have it any more.
    pub(crate) check: Option<Check>,
}

impl From<GapReason> for DueGap {
    fn from(reason: GapReason) -> Self {
        Self { reason, check: None }
    }
}

/// What a look at the log gave.
pub(crate) enum Step {
    Deliver(Delivery),
    /// An entry for this subscriber, if its sieve lets it through, and those that stand for it if they do.
    Sift {
        entry: Arc<Entry>,
        newer: Newer,
    },
    /// The entries at the cursor are not in memory; the log in memory begins at `before`.
    Read {
        before: Position,
    },
    /// Others have their turn first.
    Yield,
    Wait,
    /// It sits elsewhere from here on.
    Changed,
    End,
}

/// How long a subscriber goes without a delivery, while the log moves on, before it gets a bookmark.
const BOOKMARK_AFTER: Duration = Duration::from_secs(10);

impl Feed {
    pub(crate) fn new(clock: Arc<dyn Clock>, gap_event: EventName, retention: Retention) -> Self {
        Self {
            clock,
            gap_event,
            retention,
            state: Mutex::new(State {
                log: None,
                router: Router::default(),
                counts: Counts::default(),
                closed: false,
                stalled: None,
                arrivals: Arrivals::default(),
                endings: Endings::default(),
                rung: Vec::new(),
            }),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Which log it is, and the key of its ids.
    pub(crate) fn log(&self) -> Option<(u32, IdKey)> {
        self.lock().log.as_ref().map(|log| (log.epoch(), log.key().clone()))
    }

    /// Ends every subscription, once it has what was accepted before.
    pub(crate) fn close(&self) {
        {
            let mut state = self.lock();
            state.closed = true;
            state.ring_everybody();
        }
        self.ring_out();
    }

    /// Wakes whoever is to be woken, which is not done under the lock.
    pub(crate) fn ring_out(&self) {
        let rung = std::mem::take(&mut self.lock().rung);
        for waker in rung {
            waker.wake();
        }
    }

    /// Looks what is due at `cursor` and moves it; hangs the doorbell when nothing is.
    pub(crate) fn step(
        &self,
        seat: &mut Seat,
        cursor: &mut Cursor,
        key: Option<SubscriptionKey>,
        sieve: Option<&Sieve>,
        waker: &Waker,
    ) -> Step {
        // Declared before the lock, so dropped after it: a doorbell may be all that keeps a task alive, and the task
        // may hold another subscription.
        let (_replaced, _noted): (Option<Waker>, Option<Waker>);
        let now = self.clock.now();
        let mut state = self.lock();
        let State { log, router, counts, closed, endings, .. } = &mut *state;
        let until = endings.until(key, log.as_ref().map_or(0, Log::epoch));
        if until == Until::Here {
            return Step::End;
        }
        let Some(log) = log else {
            if *closed {
                return Step::End;
            }
            _replaced = router.hang_bell(seat, waker);
            _noted = endings.waits(key, waker);
            return Step::Wait;
        };
        let until = until.position();
        // Age passes without anything being published. Before all else, so that the check of a gap's place is at hand.
        log.trim(now);
        if cursor.epoch != Some(log.epoch()) {
            if cursor.epoch.is_some() {
                cursor.gap = Some(GapReason::Rewound.into());
            }
            cursor.epoch = Some(log.epoch());
            cursor.next = log.oldest();
        }
        // A gap that is due goes before anything else, even before a second one.
        while cursor.gap.is_none() {
            if cursor.next >= until {
                _replaced = endings.change_seat(key, seat, router);
                cursor.bookmark_soon = true;
                return Step::Changed;
            }
            if cursor.next < log.oldest() {
                let before = log.oldest().min(until);
                if router.may_have_missed(log, *seat, cursor.next) {
                    return Step::Read { before };
                }
                cursor.next = before;
                continue;
            }
            if cursor.misses_presence(log, router, *seat) {
                cursor.tell_of_presence(log, None);
                continue;
            }
            match router.find(log, *seat, cursor.next) {
                Found::Entry(entry) if entry.position() >= until => cursor.next = until,
                Found::Entry(entry) => {
                    cursor.next = entry.position() + 1;
                    let Some(sieve) = sieve else {
                        return Step::Deliver(deliver(counts, cursor, entry, now));
                    };
                    let newer = router.newest_like(log, *seat, &entry, until, sieve.newer_wanted());
                    return Step::Sift { entry, newer };
                }
                Found::SearchFrom(position) => {
                    cursor.next = position.min(until);
                    return Step::Yield;
                }
                // What was lost behind a change is for whoever reads from there on.
                Found::Hole(_) if log.first_hole(cursor.next).is_some_and(|(first, _)| first >= until) => {
                    cursor.next = until;
                }
                Found::Hole(through) => {
                    cursor.next = through + 1;
                    cursor.gap = Some(GapReason::Trimmed.into());
                }
                Found::Nothing if until < Position::MAX => cursor.next = until,
                Found::Nothing => {
                    cursor.next = log.next();
                    if let Some(bookmark) = bookmark_due(log, cursor, now, *closed) {
                        counts.bookmarks += 1;
                        return Step::Deliver(Delivery::Bookmark(bookmark));
                    }
                    if *closed {
                        return Step::End;
                    }
                    _replaced = router.hang_bell(seat, waker);
                    _noted = endings.waits(key, waker);
                    return Step::Wait;
                }
            }
        }
        let gap = cursor.gap.take().map(|due| self.tell_gap(due, log, counts, cursor, now));
        gap.map_or(Step::Yield, |gap| Step::Deliver(Delivery::Gap(gap)))
    }

    fn tell_gap(
        &self,
        due: DueGap,
        log: &Log,
        counts: &mut Counts,
        cursor: &mut Cursor,
        now: SystemTime,
    ) -> Gap {
        let position = cursor.next.saturating_sub(1);
        // Where the engine keeps more than memory does, the entry before its oldest is gone, and its check with it.
        // A cursor there is resumed without one.
        let check = log.check_at(position).or(due.check).unwrap_or(Check::START);
        let id = log.key().encipher(Place { epoch: log.epoch(), position, check });
        let after = cursor.client_id.take();
        cursor.client_at = Some(position);
        cursor.client_id = Some(id.clone());
        cursor.delivered_at = now;
        counts.count_gap(due.reason);
        Gap::new(due.reason, after, position, id, &self.gap_event)
    }

    /// The newest entries in memory that may stand for one that was read from the engine, at most `most`.
    pub(crate) fn newest_like(
        &self,
        seat: Seat,
        cursor: &Cursor,
        entry: &Entry,
        until: Position,
        most: usize,
    ) -> Newer {
        let state = self.lock();
        let log = state.log.as_ref().filter(|log| cursor.epoch == Some(log.epoch()));
        log.map_or_else(Newer::new, |log| state.router.newest_like(log, seat, entry, until, most))
    }

    /// Whether a subscription that waits for something else than the log was ended; if not, `waker` is woken when it is.
    pub(crate) fn is_ended(&self, key: Option<SubscriptionKey>, waker: &Waker) -> bool {
        if key.is_none() {
            return false;
        }
        // As in [`step`](Self::step).
        let _noted: Option<Waker>;
        let mut state = self.lock();
        let State { log, endings, .. } = &mut *state;
        if endings.until(key, log.as_ref().map_or(0, Log::epoch)) == Until::Here {
            return true;
        }
        _noted = endings.waits(key, waker);
        false
    }

    /// Hands out an entry that was read from the engine, or let through by a sieve; `None` if another log has begun since, or it has ended.
    pub(crate) fn deliver_read(
        &self,
        cursor: &mut Cursor,
        key: Option<SubscriptionKey>,
        entry: Arc<Entry>,
    ) -> Option<Delivery> {
        let now = self.clock.now();
        let mut state = self.lock();
        let State { log, counts, endings, .. } = &mut *state;
        let log = log.as_ref().filter(|log| cursor.epoch == Some(log.epoch()))?;
        if endings.until(key, log.epoch()) == Until::Here {
            return None;
        }
        cursor.next = entry.position() + 1;
        Some(deliver(counts, cursor, entry, now))
    }
}

fn deliver(counts: &mut Counts, cursor: &mut Cursor, entry: Arc<Entry>, now: SystemTime) -> Delivery {
    counts.deliveries += 1;
    counts.delivered_bytes += entry.frame().as_bytes().len() as u64;
    cursor.client_at = Some(entry.position());
    cursor.client_id = Some(entry.id().clone());
    cursor.delivered_at = now;
    Delivery::Event(entry)
}

/// At the start, after catching up, at the end, and when the log has moved on while nothing was delivered.
fn bookmark_due(log: &Log, cursor: &mut Cursor, now: SystemTime, closing: bool) -> Option<Bookmark> {
    let soon = std::mem::take(&mut cursor.bookmark_soon);
    let position = log.next() - 1;
    if !cursor.bookmarks || cursor.client_at == Some(position) {
        return None;
    }
    let quiet = now.duration_since(cursor.delivered_at).is_ok_and(|quiet| quiet >= BOOKMARK_AFTER);
    if !(soon || quiet || closing) {
        return None;
    }
    let id = log.id_at(position)?;
    cursor.client_at = Some(position);
    cursor.client_id = Some(id.clone());
    cursor.delivered_at = now;
    Some(Bookmark::new(position, id))
}

impl Cursor {
    /// Whether entries of presence are missing that were for this subscriber, without its having been told.
    pub(crate) fn misses_presence(&self, log: &Log, router: &Router, seat: Seat) -> bool {
        self.presence_told < log.presence_gone_through() && router.may_miss_presence(log, seat, self.next)
    }

    /// Has a gap told in place of the presence that is missing; whatever else there is comes behind it. `check` is that of
    /// the position before the cursor, if it is known.
    pub(crate) fn tell_of_presence(&mut self, log: &Log, check: Option<Check>) {
        let behind = log.skip_gone_presence(self.next);
        // What goes missing while the subscriber catches up is no news each time.
        let each_time = self.presence_told_each_time;
        self.presence_told = if each_time { log.presence_gone_through() } else { log.next() - 1 };
        self.gap = Some(DueGap { reason: GapReason::Trimmed, check: check.filter(|_| behind == self.next) });
        self.next = behind;
    }
}

impl State {
    fn ring_everybody(&mut self) {
        self.router.ring_all(&mut self.rung);
        self.arrivals.ring(&mut self.rung);
    }

    fn begin(&mut self, log: Log) {
        self.router.begin_epoch(log.next());
        self.log = Some(log);
        self.stalled = None;
        self.ring_everybody();
    }

    fn lose(&mut self, through: Position) {
        if let Some(log) = &mut self.log {
            log.append_hole(through);
            self.ring_everybody();
        }
    }

    pub(crate) fn snapshot(&self) -> Counts {
        let mut counts = self.counts.clone();
        counts.readerships = self.router.readerships() as u64;
        counts.pattern_evaluations = self.router.evaluations();
        counts.selections_bytes = self.router.bytes() as u64;
        let patterns = self.router.patterns();
        (counts.patterns, counts.patterns_bytes) = (patterns.patterns as u64, patterns.bytes as u64);
        counts.patterns_unfound = patterns.unfound as u64;
        if let Some(log) = &self.log {
            counts.log_oldest = log.oldest();
            counts.log_next = log.next();
            counts.log_entries = log.entries() as u64;
            counts.log_bytes = log.bytes() as u64;
            counts.log_presence_entries = log.presence_entries() as u64;
            counts.log_presence_bytes = log.presence_bytes() as u64;
        }
        counts
    }
}

impl Follower for Feed {
    fn accept(&self, next: Followed) {
        let logged = match next {
            Followed::Entry(logged) => logged,
            Followed::NewEpoch(origin) => {
                return self.lock().begin(Log::begin(origin, self.retention.clone()));
            }
            Followed::Hole { through } => return self.lock().lose(through),
            Followed::Stalled { fault } => return self.lock().stalled = Some(fault),
            Followed::Recovered => return self.lock().stalled = None,
        };
        // Encoding outside the lock: the epoch cannot change in between, for calls do not overlap.
        let Some((epoch, key)) = self.log() else {
            debug_assert!(false, "an entry was told before its log");
            return;
        };
        let Retention { forms, presence_forms, .. } = &self.retention;
        let forms = if matches!(logged.content, Content::Publication(_)) { forms } else { presence_forms };
        let entry = Arc::new(Entry::encode(logged, epoch, &key, forms));
        let is_of_presence = entry.is_of_presence();
        let now = self.clock.now();

        let mut state = self.lock();
        let State { log: Some(log), router, counts, arrivals, rung, .. } = &mut *state else { return };
        // An engine that tells a position again tells nothing new; one that leaves some out has lost them.
        if entry.position() < log.next() {
            return;
        }
        if entry.position() > log.next() {
            log.append_hole(entry.position() - 1);
            router.ring_all(rung);
        }
        log.append(entry.clone());
        router.route(&entry, rung);
        log.trim(now);
        if log.is_new(entry.position()) {
            *if is_of_presence { &mut counts.announcements } else { &mut counts.publications } += 1;
        }
        arrivals.ring(rung);
    }

    fn ring(&self) {
        self.ring_out();
    }
}
