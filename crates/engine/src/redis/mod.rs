//! The log on Redis or Valkey: one stream for a hub, on which any number of nodes publish and which each of them follows.
//!
//! An append is answered when the primary has accepted it, and no sooner and no later: what becomes of it then is the primary's matter.
//! A position is a number of our own, given by a script that does everything at once. What is promised and what is not is told in
//! `docs/guide/cluster.md`.

mod announcing;
mod copying;
mod error;
mod link;
mod names;
mod options;
mod reading;
mod setup;
mod shared;
mod store;
mod stored;
mod tailing;

use std::fmt;
use std::sync::Arc;

use fanfare_hub::engine::{
    Answer, AppendError, Appended, Batch, Bounds, Engine, EngineFault, Follower, Peers, ReadError,
    ReadRequest,
};
use fanfare_hub::{IdempotencyKey, Position, Submission};
use fanfare_wire::EventId;
use redis::Client;

pub use crate::cluster::Finding;
pub use copying::RedisTarget;
pub use error::{ConnectError, RedisFault};
pub use options::RedisOptions;

use crate::cluster::Running;
use names::Names;
use shared::Shared;
use store::{Limits, Store};

/// A log on Redis or Valkey, that any number of nodes share.
///
/// ```no_run
/// # use fanfare_engine::redis::RedisEngine;
/// # use fanfare_hub::Hub;
/// # use fanfare_wire::Event;
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = RedisEngine::options("redis://127.0.0.1:6379").connect()?;
/// let hub = Hub::builder().engine(engine).build()?;
/// let published = hub.publish("rooms/7", Event::new("hi")).await?;
/// println!("stored as {}", published.id);
/// # Ok(()) }
/// ```
///
/// It lives on the runtime that it was connected on. Dropping it leaves what is under way alone, and stops following.
pub struct RedisEngine {
    running: Running<Shared>,
}

/// What an engine on Redis has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisCounts {
    /// Whether there is a connection to a server.
    pub connected: bool,
    /// Entries that have an id of their publisher's, of which the place is known.
    pub indexed_ids: u64,
    /// Entries of the stream that cannot be read here.
    pub unreadable: u64,
}

impl RedisEngine {
    /// Begins to configure a log on a server, such as `redis://host:6379` or `rediss://host:6379` for TLS, with `/N` behind it for
    /// its database number N. It has to be the primary, or an address that follows it.
    pub fn options(server: impl Into<String>) -> RedisOptions {
        RedisOptions::new(server.into())
    }

    fn start(client: Client, names: Names, limits: Limits, options: &RedisOptions) -> Self {
        let store = Store::new(client, names, limits, options.keys, options.ack_timeout);
        Self { running: Running::new(Shared::new(store, options.warm_events)) }
    }

    /// Asks the server about itself and the log, and says what its owner should know. It changes nothing.
    ///
    /// # Errors
    /// Redis does not answer, or the log cannot be there.
    pub async fn check(&self) -> Result<Vec<Finding>, RedisFault> {
        let findings = self.running.log.store.check().await?;
        self.running.log.store.look(None).await?;
        Ok(findings)
    }

    /// What has been counted.
    #[must_use]
    pub fn counts(&self) -> RedisCounts {
        let state = self.running.log.lock();
        RedisCounts {
            connected: self.running.log.store.link.is_connected(),
            indexed_ids: state.ids.len() as u64,
            unreadable: state.unreadable,
        }
    }
}

impl Engine for RedisEngine {
    fn follow(&self, follower: Arc<dyn Follower>) -> Result<(), EngineFault> {
        self.running.spawn(tailing::run(self.running.log.clone(), follower));
        Ok(())
    }

    fn append(
        &self,
        submission: Submission,
        key: Option<IdempotencyKey>,
    ) -> Answer<'_, Result<Appended, AppendError>> {
        self.running.append(submission, key)
    }

    fn announce(
        &self,
        presence: Option<Submission>,
        key: Option<IdempotencyKey>,
    ) -> Answer<'static, Result<Appended, AppendError>> {
        self.running.announce(presence, key)
    }

    fn bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        self.running.bounds()
    }

    fn read(&self, request: ReadRequest) -> Answer<'_, Result<Batch, ReadError>> {
        self.running.read(request)
    }

    fn find(&self, id: EventId) -> Answer<'_, Result<Option<Position>, EngineFault>> {
        self.running.find(id)
    }

    fn peers(&self) -> Option<Arc<dyn Peers>> {
        Some(self.running.peers())
    }
}

impl fmt::Debug for RedisEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisEngine").field("log", &self.running.log.store.names.log).finish_non_exhaustive()
    }
}
