//! Follows the log and tells the hub: `tail.rs` decides, this does it.
//!
//! One task for a hub, on a connection of its own. Whatever goes wrong ends a session, and the next begins where the log was told
//! to; only what goes wrong twice in a row is told as a stall. Every few seconds Redis is asked whether the log still is what was told.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanfare_hub::Position;
use fanfare_hub::engine::{Followed, Follower, Origin};
use redis::aio::MultiplexedConnection as Connection;

use super::error::RedisFault;
use super::shared::Shared;
use super::store::Opened;
use super::stored::Stored;
use crate::cluster::envelope::{Envelope, NoEnvelope};
use crate::cluster::tail::{Begin, Saw, Tail};
use crate::cluster::{Finding, KnownLog, logged};

/// How many entries are asked for at a time. The largest are some hundred KiB each.
const BATCH: usize = 64;
/// How many ids of publishers' are read at a time.
const IDS_BATCH: usize = 1_000;
/// How often Redis is asked whether the log is what was told.
const COMPARED_EVERY: Duration = Duration::from_secs(3);
/// How long to wait between two sessions that came to nothing, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Why a session ended.
enum Ended {
    /// The next one knows what to do.
    BeginAgain,
    /// The log has lost entries that were told.
    Rewound,
    Fault(RedisFault),
}

impl From<RedisFault> for Ended {
    fn from(fault: RedisFault) -> Self {
        Self::Fault(fault)
    }
}

/// Something that is asked of Redis and not yet answered.
type Asked<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

pub(super) struct Tailing {
    shared: Arc<Shared>,
    follower: Arc<dyn Follower>,
    tail: Tail,
    /// Whether the hub was told that the store is gone.
    is_stalled: bool,
    /// Whether the session has come as far as to be answered what is new.
    has_followed: bool,
    /// How many entries the session has delivered.
    delivered: u64,
    /// The time of the newest entry: times never fall.
    newest_at: SystemTime,
    warned: Vec<Finding>,
}

impl Tailing {
    pub(super) fn new(shared: Arc<Shared>, follower: Arc<dyn Follower>) -> Self {
        Self {
            shared,
            follower,
            tail: Tail::default(),
            is_stalled: false,
            has_followed: false,
            delivered: 0,
            newest_at: SystemTime::UNIX_EPOCH,
            warned: Vec::new(),
        }
    }

    /// Follows for as long as the engine is there.
    pub(super) async fn run(mut self) {
        let mut delay = RETRY.0;
        loop {
            self.has_followed = false;
            let Err(ended) = self.session().await;
            self.shared.is_in_doubt();
            self.follower.ring();
            let ended = match ended {
                Ended::Rewound => self.renew().await,
                ended => ended,
            };
            match ended {
                Ended::Fault(fault) => {
                    // What happened to the tail's connection may have happened to the other one, which has not noticed.
                    if fault.is_of_connection() {
                        self.shared.store.link.suspect().await;
                    }
                    // One that is lost is no stall as long as another one does what it did.
                    if self.has_followed {
                        tracing::debug!(%fault, "the tail of the log is begun again");
                        delay = RETRY.0;
                    } else {
                        self.stall(fault);
                    }
                }
                Ended::BeginAgain | Ended::Rewound => delay = RETRY.0,
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RETRY.1);
        }
    }

    fn stall(&mut self, fault: RedisFault) {
        if !self.is_stalled {
            let cause = std::error::Error::source(&fault).map(ToString::to_string);
            if fault.needs_hands() {
                tracing::error!(%fault, cause, "the log on Redis cannot be used");
            } else {
                tracing::warn!(%fault, cause, "the log on Redis is out of reach; it is tried again");
            }
        }
        self.is_stalled = true;
        self.follower.accept(Followed::Stalled { fault: Arc::new(fault) });
        self.follower.ring();
    }

    async fn session(&mut self) -> Result<std::convert::Infallible, Ended> {
        let (opened, findings) = self.shared.store.open().await?;
        self.warn(findings);
        let connection = self.shared.store.link.connect().await?;
        let from = match self.tail.begin(opened.ends, self.shared.warm_events) {
            Begin::Log { from } => {
                self.begin_log(&opened, from).await?;
                from
            }
            Begin::Again { from } => {
                if let Some(through) = self.tail.begins_at(opened.ends.first) {
                    self.lost(through);
                    self.follower.ring();
                }
                from
            }
            // A primary is asked, or what was made one: there is nobody who knows better.
            Begin::Rewound => return Err(Ended::Rewound),
        };
        self.follow(connection, from, opened.ends.next).await
    }

    fn warn(&mut self, findings: Vec<Finding>) {
        if findings != self.warned {
            for finding in &findings {
                tracing::warn!("about the server of the log: {finding}");
            }
            self.warned = findings;
        }
    }

    /// Tells the hub of a log that it has not followed.
    async fn begin_log(&mut self, opened: &Opened, from: Position) -> Result<(), Ended> {
        let log = KnownLog::of(&opened.identity);
        let is_anew = self.tail.epoch().is_some();
        if is_anew {
            // Nothing is taken until it is known what stands in there.
            self.is_stalled = true;
            self.follower.accept(Followed::Stalled { fault: Arc::new(RedisFault::BegunAnew) });
            self.follower.ring();
        }
        self.shared.forget_log();
        self.index(from).await?;
        // Each entry says the check of the one before it, which may not be there any more.
        let before = match from {
            0 | 1 => None,
            _ if from == opened.ends.next => Some(opened.newest),
            _ => self.shared.store.entry(from).await?.and_then(|entry| entry.before),
        };
        if is_anew {
            tracing::warn!("the log began anew, and has lost what was told: subscribers are told of a gap");
        }
        self.tail.log(log.epoch, from, before);
        self.shared.lock().log = Some(log.clone());
        self.follower.accept(Followed::NewEpoch(Origin {
            epoch: log.epoch,
            key: log.key,
            from,
            next: opened.ends.next,
            check_before: before.unwrap_or(fanfare_hub::Check::START),
        }));
        self.follower.ring();
        self.shared.is_verified();
        Ok(())
    }

    /// Learns the publishers' ids of what stands before the entries that are told.
    async fn index(&self, before: Position) -> Result<(), RedisFault> {
        let mut next = 1;
        while next < before {
            let ids = self.shared.store.ids(next, IDS_BATCH).await?;
            let Some((last, _)) = ids.last() else { break };
            next = last + 1;
            let mut state = self.shared.lock();
            for (position, id) in ids.iter().filter(|(position, _)| *position < before) {
                state.ids.push(*position, id);
            }
        }
        Ok(())
    }

    /// Tells what comes, until it does not any more.
    async fn follow(
        &mut self,
        connection: Connection,
        from: Position,
        known_next: Position,
    ) -> Result<std::convert::Infallible, Ended> {
        self.tail.consume();
        self.delivered = 0;
        let mut compare = tokio::time::interval(COMPARED_EVERY);
        compare.reset();
        // Where the log ended when it was asked last, and how far it was told then.
        let mut asked = (known_next, self.tail.next());
        let mut comparing: Option<Asked<Position, Ended>> = None;
        let mut after = from.saturating_sub(1);
        // The first time it is not waited, so that it is soon known that it can be read.
        let mut reading = self.reading(&connection, after, false);
        loop {
            tokio::select! {
                read = &mut reading => {
                    let entries = read?;
                    if !std::mem::replace(&mut self.has_followed, true) && std::mem::take(&mut self.is_stalled) {
                        tracing::info!("the log on Redis is back");
                        self.follower.accept(Followed::Recovered);
                    }
                    after = entries.last().map_or(after, |last| last.position);
                    let told = entries.iter().try_for_each(|entry| self.take(entry));
                    self.follower.ring();
                    told?;
                    reading = self.reading(&connection, after, true);
                }
                ends = async { comparing.as_mut().expect("it compares").await }, if comparing.is_some() => {
                    comparing = None;
                    // There has been something for a while, and a connection that works would have brought some of it.
                    if self.tail.next() < Some(asked.0) && asked.1 == self.tail.next() {
                        return Err(RedisFault::TailLost.into());
                    }
                    asked = (ends?, self.tail.next());
                    self.shared.is_verified();
                }
                _ = compare.tick(), if comparing.is_none() => comparing = Some(Box::pin(self.comparison())),
                () = self.shared.suspicion.notified(), if comparing.is_none() => {
                    comparing = Some(Box::pin(self.comparison()));
                }
            }
        }
    }

    /// Asks for what stands behind a position.
    fn reading(
        &self,
        connection: &Connection,
        after: Position,
        is_to_wait: bool,
    ) -> Asked<Vec<Stored>, RedisFault> {
        let (shared, connection) = (self.shared.clone(), connection.clone());
        Box::pin(async move { shared.store.behind(connection, after, BATCH, is_to_wait).await })
    }

    fn lost(&self, through: Position) {
        tracing::warn!(through, "entries are gone from the log before they came here");
        self.follower.accept(Followed::Hole { through });
    }

    fn take(&mut self, stored: &Stored) -> Result<(), Ended> {
        let position = stored.position;
        let read = Envelope::read(&stored.entry);
        let check = read.as_ref().ok().map(|entry| entry.check);
        self.delivered += 1;
        match self.tail.saw(self.delivered, position, check, stored.before) {
            Saw::Next => {}
            Saw::Behind { lost_through } => self.lost(lost_through),
            Saw::Known => {
                self.shared.is_verified();
                return Ok(());
            }
            Saw::Rewound => {
                tracing::error!("the log has another entry in the place of one that was told");
                return Err(Ended::Rewound);
            }
            Saw::Broken => return Err(RedisFault::TailLost.into()),
        }
        self.newest_at = self.newest_at.max(stored.at);
        let entry =
            read.as_ref().ok().and_then(|entry| Some((entry, logged(position, self.newest_at, entry)?)));
        if let Some((entry, logged)) = entry {
            if let Some(id) = entry.payload.id {
                self.shared.lock().ids.push(position, id);
            }
            self.follower.accept(Followed::Entry(logged));
        } else {
            let newer = matches!(read, Err(NoEnvelope::Newer));
            tracing::error!(position, newer, "something in the log is no entry that can be read here");
            self.shared.lock().unreadable += 1;
            self.follower.accept(Followed::Hole { through: position });
        }
        Ok(())
    }

    /// Holds what was told up to now against the log, and drops what may not be kept any more. Gives the log's end.
    fn comparison(&self) -> impl Future<Output = Result<Position, Ended>> + Send + 'static {
        let (shared, tail) = (self.shared.clone(), self.tail.clone());
        async move {
            // One that is gone is begun again by the next session.
            let Some(opened) = shared.store.look(tail.last()).await? else { return Err(Ended::BeginAgain) };
            let ends = opened.ends;
            if !tail.agrees(ends, opened.asked) {
                let is_another = tail.epoch() != Some(ends.epoch);
                return Err(if is_another { Ended::BeginAgain } else { Ended::Rewound });
            }
            shared.lock().ids.trim(ends.first);
            shared.store.drop_old(ends.epoch).await?;
            Ok(ends.next)
        }
    }

    /// Gives the log another epoch, so that every node begins it anew.
    async fn renew(&self) -> Ended {
        let Some(epoch) = self.tail.epoch() else { return Ended::BeginAgain };
        tracing::error!("the log has lost entries that were told");
        match self.shared.store.renew(epoch).await {
            Ok(()) => Ended::BeginAgain,
            Err(fault) => Ended::Fault(fault),
        }
    }
}
