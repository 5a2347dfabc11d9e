//! The log on JetStream, the store of NATS: one ordered stream for a hub, on which any number of nodes publish and which each of
//! them follows.
//!
//! An append is answered when the stream has acknowledged it. A position is the stream's sequence number; which log it is, and the
//! key of its ids, stand in the stream's metadata. What is promised and what is not is told in `docs/guide/cluster.md`.

mod announcing;
mod copying;
mod error;
mod names;
mod options;
mod reading;
mod setup;
mod shared;
mod store;
mod tailing;

use std::fmt;
use std::sync::Arc;

use async_nats::Client;
use fanfare_hub::engine::{
    Answer, AppendError, Appended, Batch, Bounds, Engine, EngineFault, Follower, Peers, ReadError,
    ReadRequest,
};
use fanfare_hub::{IdempotencyKey, Position, Submission};
use fanfare_wire::EventId;

pub use crate::cluster::Finding;
pub use copying::NatsTarget;
pub use error::{ConnectError, NatsFault};
pub use options::{NatsLogin, NatsOptions};

use crate::cluster::{AskingForBounds, Running};
use names::Names;
use setup::Wanted;
use shared::Shared;
use store::Store;

/// A log on JetStream, that any number of nodes share.
///
/// ```no_run
/// # use fanfare_engine::nats::NatsEngine;
/// # use fanfare_hub::Hub;
/// # use fanfare_wire::Event;
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = NatsEngine::options(["nats://127.0.0.1:4222"]).replicas(1).connect().await?;
/// let hub = Hub::builder().engine(engine).build()?;
/// let published = hub.publish("rooms/7", Event::new("hi")).await?;
/// println!("stored as {}", published.id);
/// # Ok(()) }
/// ```
///
/// It lives on the runtime that it was connected on. Dropping it leaves what is under way alone, and stops following.
pub struct NatsEngine {
    running: Running<Shared>,
    settled_bounds: AskingForBounds<NatsFault>,
}

/// What an engine on JetStream has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatsCounts {
    /// Whether there is a connection to a server.
    pub connected: bool,
    /// Entries that have an id of their publisher's, of which the place is known.
    pub indexed_ids: u64,
    /// Messages of the stream that were no entries which can be read here.
    pub unreadable: u64,
}

impl NatsEngine {
    /// Begins to configure a log on these servers, such as `nats://host:4222` or `tls://host:4222`. Those of a cluster tell of each
    /// other, so one that can be reached is enough.
    pub fn options(servers: impl IntoIterator<Item = impl Into<String>>) -> NatsOptions {
        NatsOptions::new(servers.into_iter().map(Into::into).collect())
    }

    fn start(client: Client, names: Names, wanted: Wanted, options: &NatsOptions) -> Self {
        let store = Arc::new(Store::new(client, names, wanted, options.ack_timeout));
        let running = Running::new(Shared::new(store, options.warm_events, options.keys));
        let shared = running.log.clone();
        let (settled_bounds, settling) = AskingForBounds::new(move || {
            let shared = shared.clone();
            async move { shared.settled_bounds().await }
        });
        running.spawn(settling);
        Self { running, settled_bounds }
    }

    /// Asks about the stream, and says what its owner should know about it. `None` if there is none yet. It changes nothing.
    ///
    /// # Errors
    /// NATS does not answer, or the stream cannot hold a log.
    pub async fn check(&self) -> Result<Option<Vec<Finding>>, NatsFault> {
        let Some(opened) = self.running.log.store.look().await? else { return Ok(None) };
        self.running.log.store.judge(&opened).map(Some)
    }

    /// What has been counted.
    #[must_use]
    pub fn counts(&self) -> NatsCounts {
        let state = self.running.log.lock();
        NatsCounts {
            connected: self.running.log.store.is_connected(),
            indexed_ids: state.ids.len() as u64,
            unreadable: state.unreadable,
        }
    }
}

impl Engine for NatsEngine {
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

    fn settled_bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        self.settled_bounds.ask(NatsFault::Gone)
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

impl fmt::Debug for NatsEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsEngine")
            .field("stream", &self.running.log.store.names.stream)
            .finish_non_exhaustive()
    }
}
