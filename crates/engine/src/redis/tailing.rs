//! Sees the log: what `cluster/following.rs` is told, and when to look again.
//!
//! On a connection of its own. Every few seconds Redis is asked whether the log still is what was told.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fanfare_hub::Position;
use fanfare_hub::engine::Follower;
use redis::aio::MultiplexedConnection as Connection;

use super::error::RedisFault;
use super::shared::Shared;
use super::store::Opened;
use super::stored::Stored;
use crate::cluster::KnownLog;
use crate::cluster::envelope::Envelope;
use crate::cluster::following::{self, FollowedLog, Session, Telling};
use crate::cluster::tail::{Begin, Saw};

/// How many entries are asked for at a time. The largest are some hundred KiB each.
const BATCH: usize = 64;
/// How many ids of publishers' are read at a time.
const IDS_BATCH: usize = 1_000;
/// How often Redis is asked whether the log is what was told.
const COMPARED_EVERY: Duration = Duration::from_secs(3);
/// Why a session ended.
type Ended = following::Ended<RedisFault>;

/// Something that is asked of Redis and not yet answered.
type Asked<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

pub(super) struct Tailing {
    telling: Telling<Shared>,
    /// How many entries the session has delivered.
    delivered: u64,
}

/// Follows for as long as the engine is there.
pub(super) async fn run(shared: Arc<Shared>, follower: Arc<dyn Follower>) {
    following::run(Tailing { telling: Telling::new(shared, follower), delivered: 0 }).await;
}

impl Session for Tailing {
    type Log = Shared;

    fn telling(&mut self) -> &mut Telling<Shared> {
        &mut self.telling
    }

    async fn session(&mut self) -> Result<Infallible, Ended> {
        let (opened, findings) = self.store().open().await?;
        self.telling.warn(findings);
        let connection = self.store().link.connect().await?;
        let from = match self.telling.tail.begin(opened.ends, self.telling.log.warm_events) {
            Begin::Log { from } => {
                self.begin_log(&opened, from).await?;
                from
            }
            Begin::Again { from } => {
                self.telling.begins_at(opened.ends.first);
                from
            }
            // A primary is asked, or what was made one: there is nobody who knows better.
            Begin::Rewound => return Err(Ended::Rewound),
        };
        self.follow(connection, from, opened.ends.next).await
    }

    async fn is_there(&self, fault: &RedisFault) -> bool {
        // What happened to the tail's connection may have happened to the other one, which has not noticed.
        if fault.is_of_connection() {
            self.store().link.suspect().await;
        }
        true
    }
}

impl Tailing {
    fn store(&self) -> &super::store::Store {
        &self.telling.log.store
    }

    /// Tells the hub of a log that it has not followed.
    async fn begin_log(&mut self, opened: &Opened, from: Position) -> Result<(), Ended> {
        self.telling.leave_log();
        self.index(from).await?;
        // Each entry says the check of the one before it, which may not be there any more.
        let before = match from {
            0 | 1 => None,
            _ if from == opened.ends.next => Some(opened.newest),
            _ => self.store().entry(from).await?.and_then(|entry| entry.before),
        };
        self.telling.begin_log(KnownLog::of(&opened.identity), from, opened.ends.next, before);
        Ok(())
    }

    /// Learns the publishers' ids of what stands before the entries that are told.
    async fn index(&self, before: Position) -> Result<(), RedisFault> {
        let mut next = 1;
        while next < before {
            let ids = self.store().ids(next, IDS_BATCH).await?;
            let Some((last, _)) = ids.last() else { break };
            next = last + 1;
            let mut state = self.telling.log.lock();
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
    ) -> Result<Infallible, Ended> {
        self.telling.tail.consume();
        self.delivered = 0;
        let mut compare = tokio::time::interval(COMPARED_EVERY);
        compare.reset();
        // Where the log ended when it was asked last, and how far it was told then.
        let mut asked = (known_next, self.telling.tail.next());
        let mut comparing: Option<Asked<Position, Ended>> = None;
        let mut after = from.saturating_sub(1);
        // The first time it is not waited, so that it is soon known that it can be read.
        let mut reading = self.reading(&connection, after, false);
        loop {
            tokio::select! {
                read = &mut reading => {
                    let entries = read?;
                    if !std::mem::replace(&mut self.telling.has_delivered, true) {
                        self.telling.is_back();
                    }
                    after = entries.last().map_or(after, |last| last.position);
                    let told = entries.iter().try_for_each(|entry| self.take(entry));
                    self.telling.follower.ring();
                    told?;
                    reading = self.reading(&connection, after, true);
                }
                ends = async { comparing.as_mut().expect("it compares").await }, if comparing.is_some() => {
                    comparing = None;
                    // There has been something for a while, and a connection that works would have brought some of it.
                    if self.telling.tail.next() < Some(asked.0) && asked.1 == self.telling.tail.next() {
                        return Err(RedisFault::TailLost.into());
                    }
                    asked = (ends?, self.telling.tail.next());
                    self.telling.log.is_verified();
                }
                _ = compare.tick(), if comparing.is_none() => comparing = Some(Box::pin(self.comparison())),
                () = self.telling.log.suspicion.notified(), if comparing.is_none() => {
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
        let (shared, connection) = (self.telling.log.clone(), connection.clone());
        Box::pin(async move { shared.store.behind(connection, after, BATCH, is_to_wait).await })
    }

    fn take(&mut self, stored: &Stored) -> Result<(), Ended> {
        let position = stored.position;
        let read = Envelope::read(&stored.entry);
        let check = read.as_ref().ok().map(|entry| entry.check);
        self.delivered += 1;
        match self.telling.tail.saw(self.delivered, position, check, stored.before) {
            Saw::Next => {}
            Saw::Behind { lost_through } => self.telling.lost(lost_through),
            Saw::Known => {
                self.telling.log.is_verified();
                return Ok(());
            }
            Saw::Rewound => {
                tracing::error!("the log has another entry in the place of one that was told");
                return Err(Ended::Rewound);
            }
            Saw::Broken => return Err(RedisFault::TailLost.into()),
        }
        self.telling.tell(position, stored.at, &read);
        Ok(())
    }

    /// Holds what was told up to now against the log, and drops what may not be kept any more. Gives the log's end.
    fn comparison(&self) -> impl Future<Output = Result<Position, Ended>> + Send + 'static {
        let (shared, tail) = (self.telling.log.clone(), self.telling.tail.clone());
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
}
