//! Where a subscription begins: a last event ID held against the log.
//!
//! No id is called unknown or rewound on the word of the log in memory alone, which may be behind its
//! engine: the engine is asked for its ends first, and the log in memory has to reach them.

use std::sync::Arc;

use fanfare_wire::EventId;

use crate::arrivals::Reached;
use crate::engine::{Bounds, EngineFault, ReadError, ReadRequest};
use crate::feed::State;
use crate::hub::Shared;
use crate::id::Place;
use crate::log::{Entry, Log};
use crate::publication::EARLIEST;
use crate::router::Seat;
use crate::{Check, GapReason, Position, Resume, SubscribeError, UnknownId};

/// What is to be placed, and for whom.
pub(crate) struct Request {
    pub(crate) requested: EventId,
    pub(crate) seat: Seat,
    pub(crate) unknown_id: UnknownId,
    /// Where the log's end was when the subscriber came: what "live" means to it.
    pub(crate) joined: Option<Joined>,
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

    /// Goes on behind an entry, of which the check may be known.
    fn after(epoch: u32, position: Position, check: Option<Check>) -> Self {
        Self {
            resume: Resume::Resumed { after: position },
            begin: Some(Begin { epoch, next: position + 1, check }),
        }
    }

    fn gap(reason: GapReason, begin: Begin) -> Self {
        Self { resume: Resume::Gap { reason }, begin: Some(begin) }
    }
}

/// How many entries of one publisher's id are looked at for one that may be read.
const REUSES_MAX: usize = 64;

/// Places a last event ID; waits for the engine where memory does not know.
///
/// # Errors
/// The engine is at fault, or the hub was closed before it was known.
pub(crate) async fn open(shared: Arc<Shared>, request: Request) -> Result<Opened, SubscribeError> {
    if let Some(opened) = place_in_memory(&mut shared.feed.lock(), &request) {
        return Ok(opened);
    }
    loop {
        let bounds = shared.engine.bounds().await.map_err(SubscribeError::Log)?;
        if let Reached::Not(told) = shared.feed.reached(bounds.epoch, bounds.next).await {
            // Either side may be the one that has not yet heard of the new log. If it is the hub, it waits.
            let asked_again = shared.engine.bounds().await.map_err(SubscribeError::Log)?;
            if asked_again.epoch == bounds.epoch {
                shared.feed.left(told).await;
            }
        } else if let Some(opened) = place_in_memory(&mut shared.feed.lock(), &request) {
            return Ok(opened);
        } else if let Some(opened) =
            place_in_engine(&shared, &request, bounds).await.map_err(SubscribeError::Log)?
        {
            return Ok(opened);
        }
        // The log is not the one that was asked about, and no other will be told.
        if shared.feed.lock().closed {
            return Err(SubscribeError::Closed);
        }
    }
}

/// Places an id that the log in memory knows for sure.
fn place_in_memory(state: &mut State, request: &Request) -> Option<Opened> {
    let State { log: Some(log), router, .. } = state else { return None };
    if let Some(place) = log.key().decipher(&request.requested) {
        let known = place.epoch == log.epoch() && log.agrees(place.position, place.check) == Some(true);
        return known.then(|| Opened::after(log.epoch(), place.position, Some(place.check)));
    }
    // M-134: the earliest, of those that may be read. Who uses one id over and over gets no endless search.
    let mut found = log.find(&request.requested).take(REUSES_MAX);
    let readable = found.find(|entry| router.grant_allows(request.seat, entry))?;
    Some(Opened::after(log.epoch(), readable.position(), Some(readable.check())))
}

/// Places an id with the engine's help. `None` if another log began meanwhile.
async fn place_in_engine(
    shared: &Shared,
    request: &Request,
    bounds: Bounds,
) -> Result<Option<Opened>, EngineFault> {
    let requested = &request.requested;
    if requested.as_str() == EARLIEST {
        return Ok(with_log(shared, bounds, |_, log| Opened {
            resume: Resume::Earliest,
            begin: Some(oldest_kept(log, bounds)),
        }));
    }
    let Some(place) = with_log(shared, bounds, |_, log| log.key().decipher(requested)) else {
        return Ok(None);
    };
    if let Some(place) = place {
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
    Ok(with_log(shared, bounds, |_, log| {
        let begin = match request.unknown_id {
            UnknownId::Live => live(log, request),
            UnknownId::Oldest => oldest_kept(log, bounds),
        };
        Opened::gap(GapReason::Unknown, begin)
    }))
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
    Ok(with_log(shared, bounds, |_, log| Arc::new(Entry::encode(logged, log.epoch(), log.key()))))
}
