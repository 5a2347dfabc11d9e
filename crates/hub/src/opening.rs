//! Where a subscription begins: a last event ID held against the log.
//!
//! No id is called unknown or rewound on the word of the log in memory alone, which may be behind its
//! engine: the engine is asked for its ends first, and the log in memory has to reach them. Nor on the first word of an
//! engine: it is asked once more, for what it is certain of.

use std::sync::Arc;
use std::time::SystemTime;

use fanfare_wire::EventId;

use crate::arrivals::Reached;
use crate::engine::{Bounds, EngineFault, ReadError, ReadRequest};
use crate::feed::State;
use crate::hub::Shared;
use crate::id::Place;
use crate::log::{Entry, Log};
use crate::produced::{self, Marks};
use crate::publication::EARLIEST;
use crate::router::Seat;
use crate::{Check, GapReason, IdKey, Position, Resume, SubscribeError, UnknownId};

/// What is to be placed, and for whom.
pub(crate) struct Request {
    pub(crate) asked: Asked,
    pub(crate) seat: Seat,
    pub(crate) unknown_id: UnknownId,
    /// Where the log's end was when the subscriber came: what "live" means to it.
    pub(crate) joined: Option<Joined>,
}

/// Where a subscriber asks to begin.
pub(crate) enum Asked {
    /// Behind this id. The topic is known where a single one is asked for.
    After { id: EventId, topic: Option<Arc<str>> },
    /// Where the stream of this topic begins.
    Start { topic: Arc<str> },
}

/// Where the log's end was when a subscriber came.
#[derive(Clone, Copy)]
pub(crate) struct Joined {
    pub(crate) epoch: u32,
    pub(crate) next: Position,
    /// The check of the entry before.
    pub(crate) check: Check,
}

/// Where a subscription begins.
pub(crate) struct Opened {
    pub(crate) resume: Resume,
    /// `None` for where the subscriber came in.
    pub(crate) begin: Option<Begin>,
}

/// A place to begin at.
pub(crate) struct Begin {
    pub(crate) epoch: u32,
    pub(crate) next: Position,
    /// The check of the entry before, if it is known and memory may not have it.
    pub(crate) check: Option<Check>,
}

impl Opened {
    pub(crate) fn fresh() -> Self {
        Self { resume: Resume::Fresh, begin: None }
    }

    /// The client has the end.
    fn over() -> Self {
        Self { resume: Resume::Over, begin: None }
    }

    /// Goes on behind an entry, of which the check may be known.
    fn after(epoch: u32, position: Position, check: Option<Check>) -> Self {
        Self {
            resume: Resume::Resumed { after: position },
            begin: Some(Begin { epoch, next: position + 1, check }),
        }
    }

    /// Nothing but the end is handed out.
    fn expired(log: &Log, end: &Entry) -> Self {
        Self::gap(GapReason::Expired, Begin { epoch: log.epoch(), next: end.position(), check: None })
    }

    fn gap(reason: GapReason, begin: Begin) -> Self {
        Self { resume: Resume::Gap { reason }, begin: Some(begin) }
    }
}

/// What that means in the log that there is.
enum Wanted<'a> {
    /// To go on behind this id.
    After(&'a EventId),
    /// The stream with these marks, from its beginning.
    Start(Marks, &'a str),
    /// Nothing: the client has the end of the topic's stream.
    Over,
}

impl Asked {
    fn in_log(&self, key: &IdKey) -> Wanted<'_> {
        match self {
            Self::Start { topic } => Wanted::Start(Marks::of(topic, key), topic),
            Self::After { id, topic: Some(topic) } if Marks::may_have(id) => {
                let marks = Marks::of(topic, key);
                if *id == marks.end {
                    Wanted::Over
                } else if *id == marks.start {
                    Wanted::Start(marks, topic)
                } else {
                    Wanted::After(id)
                }
            }
            Self::After { id, .. } => Wanted::After(id),
        }
    }
}

/// How many entries of one publisher's id are looked at for one that may be read.
const REUSES_MAX: usize = 64;

/// Places a last event ID; waits for the engine where memory does not know.
///
/// # Errors
/// The engine is at fault, or the hub was closed before it was known.
pub(crate) async fn open(shared: Arc<Shared>, request: Request) -> Result<Opened, SubscribeError> {
    let in_memory = || place_in_memory(&shared.feed.lock(), shared.feed.clock.now(), &request);
    if let Some(opened) = in_memory() {
        return Ok(opened);
    }
    let mut settled: Option<Bounds> = None;
    loop {
        let bounds = match settled {
            Some(bounds) => bounds,
            None => shared.engine.bounds().await.map_err(SubscribeError::Log)?,
        };
        if let Reached::Not(told) = shared.feed.reached(bounds.epoch, bounds.next).await {
            // Either side may be the one that has not yet heard of the new log. If it is the hub, it waits.
            let asked_again = shared.engine.bounds().await.map_err(SubscribeError::Log)?;
            if asked_again.epoch == bounds.epoch {
                shared.feed.left(told).await;
            }
            settled = None;
        } else if let Some(opened) = in_memory() {
            return Ok(opened);
        } else if let Some(opened) =
            place_in_engine(&shared, &request, bounds).await.map_err(SubscribeError::Log)?
        {
            let is_lost =
                matches!(opened.resume, Resume::Gap { reason: GapReason::Rewound | GapReason::Unknown });
            if settled.is_some() || !is_lost {
                return Ok(opened);
            }
            // Who said so may not know all that there is.
            settled = Some(shared.engine.settled_bounds().await.map_err(SubscribeError::Log)?);
        } else {
            settled = None;
        }
        // The log is not the one that was asked about, and no other will be told.
        if shared.feed.lock().closed {
            return Err(SubscribeError::Closed);
        }
    }
}

/// Places an id that the log in memory knows for sure.
fn place_in_memory(state: &State, now: SystemTime, request: &Request) -> Option<Opened> {
    let State { log: Some(log), router, .. } = state else { return None };
    let requested = match request.asked.in_log(log.key()) {
        Wanted::After(requested) => requested,
        Wanted::Over => return Some(Opened::over()),
        Wanted::Start(marks, _) => {
            let start = log.find(&marks.start).next()?;
            let after_start = || Opened::after(log.epoch(), start.position(), Some(start.check()));
            // Where memory has the start, it has the end, if there is one.
            let end = log.find(&marks.end).next();
            let expired = end.filter(|end| produced::is_expired(end, now));
            return Some(expired.map_or_else(after_start, |end| Opened::expired(log, end)));
        }
    };
    if let Some(place) = log.key().decipher(requested) {
        let known = place.epoch == log.epoch() && log.agrees(place.position, place.check) == Some(true);
        return known.then(|| Opened::after(log.epoch(), place.position, Some(place.check)));
    }
    // M-134: the earliest, of those that may be read. Who uses one id over and over gets no endless search.
    let mut found = log.find(requested).take(REUSES_MAX);
    let readable = found.find(|entry| router.grant_allows(request.seat, entry))?;
    Some(Opened::after(log.epoch(), readable.position(), Some(readable.check())))
}

/// Places an id with the engine's help. `None` if another log began meanwhile.
async fn place_in_engine(
    shared: &Shared,
    request: &Request,
    bounds: Bounds,
) -> Result<Option<Opened>, EngineFault> {
    let Some(key) = with_log(shared, bounds, |_, log| log.key().clone()) else { return Ok(None) };
    let requested = match request.asked.in_log(&key) {
        Wanted::After(requested) => requested,
        Wanted::Over => return Ok(Some(Opened::over())),
        Wanted::Start(marks, topic) => return place_start(shared, request, bounds, &marks, topic).await,
    };
    if requested.as_str() == EARLIEST {
        return Ok(with_log(shared, bounds, |_, log| Opened {
            resume: Resume::Earliest,
            begin: Some(oldest_kept(log, bounds)),
        }));
    }
    if let Some(place) = key.decipher(requested) {
        let rewound = place.epoch != bounds.epoch
            || place.position >= bounds.next
            || !is_as_told(shared, place, bounds).await?;
        return Ok(with_log(shared, bounds, |state, log| {
            if rewound {
                Opened::gap(GapReason::Rewound, live(log, request))
            } else {
                behind(state, log, request, place, bounds)
            }
        }));
    }
    let found = shared.engine.find(requested.clone()).await?;
    if let Some(position) = found {
        if let Some(check) = readable(shared, request, position, bounds).await? {
            let after = |_: &State, log: &Log| Opened::after(log.epoch(), position, Some(check));
            return Ok(with_log(shared, bounds, after));
        }
    }
    Ok(with_log(shared, bounds, |_, log| unknown(log, request, bounds)))
}

fn unknown(log: &Log, request: &Request, bounds: Bounds) -> Opened {
    let begin = match request.unknown_id {
        UnknownId::Live => live(log, request),
        UnknownId::Oldest => oldest_kept(log, bounds),
    };
    Opened::gap(GapReason::Unknown, begin)
}

/// Places the beginning of a topic's stream, which memory does not have.
async fn place_start(
    shared: &Shared,
    request: &Request,
    bounds: Bounds,
    marks: &Marks,
    topic: &str,
) -> Result<Option<Opened>, EngineFault> {
    let end = find_mark(shared, &marks.end, bounds).await?;
    if let Mark::Kept(end) = &end {
        if produced::is_expired(end, shared.feed.clock.now()) {
            return Ok(with_log(shared, bounds, |_, log| Opened::expired(log, end)));
        }
    }
    let start = find_mark(shared, &marks.start, bounds).await?;
    Ok(with_log(shared, bounds, |_, log| match (start, end) {
        (Mark::Kept(start), _) => Opened::after(log.epoch(), start.position(), Some(start.check())),
        (Mark::Unknown, Mark::Unknown) if log.first_of(&produced::links(topic), 0).is_none() => {
            unknown(log, request, bounds)
        }
        // Its beginning is gone, and the rest of it may not be.
        _ => Opened::gap(GapReason::Trimmed, oldest_kept(log, bounds)),
    }))
}

/// Where the end of a topic's stream stands in log `epoch`, if it is kept.
pub(crate) async fn place_of_end(
    shared: &Shared,
    topic: &str,
    epoch: u32,
) -> Result<Option<Position>, EngineFault> {
    let bounds = shared.engine.bounds().await?;
    let marks = with_log(shared, bounds, |_, log| Marks::of(topic, log.key()));
    let Some(marks) = marks.filter(|_| bounds.epoch == epoch) else { return Ok(None) };
    Ok(match find_mark(shared, &marks.end, bounds).await? {
        Mark::Kept(end) => Some(end.position()),
        Mark::Trimmed | Mark::Unknown => None,
    })
}

/// What is known of the entry with an id that the hub chose.
enum Mark {
    Kept(Arc<Entry>),
    /// There was one.
    Trimmed,
    Unknown,
}

async fn find_mark(shared: &Shared, id: &EventId, bounds: Bounds) -> Result<Mark, EngineFault> {
    if let Some(entry) = with_log(shared, bounds, |_, log| log.find(id).next().cloned()).flatten() {
        return Ok(Mark::Kept(entry));
    }
    let Some(position) = shared.engine.find(id.clone()).await? else { return Ok(Mark::Unknown) };
    Ok(read_one(shared, position, bounds).await?.map_or(Mark::Trimmed, Mark::Kept))
}

fn with_log<T>(shared: &Shared, bounds: Bounds, place: impl FnOnce(&State, &Log) -> T) -> Option<T> {
    let state = shared.feed.lock();
    let log = state.log.as_ref().filter(|log| log.epoch() == bounds.epoch)?;
    Some(place(&state, log))
}

/// Where the subscriber came in, or where the log began if that was another one.
fn live(log: &Log, request: &Request) -> Begin {
    match request.joined {
        Some(Joined { epoch, next, check }) if epoch == log.epoch() => {
            Begin { epoch, next, check: Some(check) }
        }
        _ => Begin { epoch: log.epoch(), next: log.oldest(), check: None },
    }
}

fn oldest_kept(log: &Log, bounds: Bounds) -> Begin {
    Begin { epoch: log.epoch(), next: log.oldest().min(bounds.oldest), check: None }
}

/// Our id, our log, but older than memory: the engine has what follows, or retention has taken it.
fn behind(state: &State, log: &Log, request: &Request, place: Place, bounds: Bounds) -> Opened {
    let kept = oldest_kept(log, bounds);
    let next = place.position + 1;
    if next >= kept.next || !state.router.may_have_missed(log, request.seat, next) {
        return Opened::after(log.epoch(), place.position, Some(place.check));
    }
    Opened::gap(GapReason::Trimmed, kept)
}

/// Whether the entry at a place is still the one that had the id, as far as it can still be read.
async fn is_as_told(shared: &Shared, place: Place, bounds: Bounds) -> Result<bool, EngineFault> {
    let in_memory = with_log(shared, bounds, |_, log| log.agrees(place.position, place.check)).flatten();
    if let Some(agrees) = in_memory {
        return Ok(agrees);
    }
    let read = read_one(shared, place.position, bounds).await?;
    Ok(read.is_none_or(|entry| place.check.may_be(entry.check())))
}

/// The check of the entry at a place, if it may be read.
async fn readable(
    shared: &Shared,
    request: &Request,
    position: Position,
    bounds: Bounds,
) -> Result<Option<Check>, EngineFault> {
    let Some(entry) = read_one(shared, position, bounds).await? else { return Ok(None) };
    let is_allowed = shared.feed.lock().router.grant_allows(request.seat, &entry);
    Ok(is_allowed.then(|| entry.check()))
}

async fn read_one(
    shared: &Shared,
    position: Position,
    bounds: Bounds,
) -> Result<Option<Arc<Entry>>, EngineFault> {
    if position < bounds.oldest || position >= bounds.next {
        return Ok(None);
    }
    if let Some(entry) = shared.catch_up.entry_at(bounds.epoch, position) {
        return Ok(Some(entry));
    }
    let request =
        ReadRequest { after: position.saturating_sub(1), before: position + 1, topics: None, bytes_max: 1 };
    let batch = match shared.engine.read(request).await {
        Ok(batch) => batch,
        Err(ReadError::Trimmed { .. }) => return Ok(None),
        Err(ReadError::Fault(fault)) => return Err(fault),
    };
    let Some(logged) = batch.entries.into_iter().find(|logged| logged.position == position) else {
        return Ok(None);
    };
    let encode = |log: &Log| Entry::encode(logged, log.epoch(), log.key(), shared.catch_up.forms());
    Ok(with_log(shared, bounds, |_, log| Arc::new(encode(log))))
}
