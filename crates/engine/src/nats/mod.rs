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
mod peers;
mod reading;
mod setup;
mod shared;
mod store;
mod tailing;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::Client;
use fanfare_hub::engine::{
    Answer, AppendError, Appended, Batch, Bounds, Engine, EngineFault, Follower, Peers, ReadError,
    ReadRequest,
};
use fanfare_hub::{IdempotencyKey, Position, Submission};
use fanfare_wire::EventId;
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

pub use crate::cluster::Finding;
pub use copying::NatsTarget;
pub use error::{ConnectError, NatsFault};
pub use options::{NatsLogin, NatsOptions};

use announcing::Announcing;
use names::Names;
use peers::NatsPeers;
use setup::Wanted;
use shared::Shared;
use store::Store;
use tailing::Tailing;

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
    shared: Arc<Shared>,
    runtime: Handle,
    bounds: Asking,
    settled_bounds: Asking,
    announcements: mpsc::Sender<Announcing>,
    peers: Arc<NatsPeers>,
    tasks: Mutex<Vec<AbortHandle>>,
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
        let shared = Arc::new(Shared::new(store, options.warm_events, options.keys));
        let runtime = Handle::current();
        let (bounds, asked) = mpsc::unbounded_channel();
        let answering = runtime.spawn(answer_bounds(shared.clone(), asked, Certainty::OfOneAnswer));
        let (settled_bounds, asked) = mpsc::unbounded_channel();
        let settling = runtime.spawn(answer_bounds(shared.clone(), asked, Certainty::Settled));
        let (announcements, announced) = mpsc::channel(announcing::WAITING_MAX);
        let announcing = runtime.spawn(announcing::run(shared.clone(), announced));
        let tasks = [answering, settling, announcing].map(|task| task.abort_handle());
        let tasks = Mutex::new(tasks.to_vec());
        let peers = Arc::new(NatsPeers::start(shared.clone(), runtime.clone()));
        Self { shared, runtime, bounds, settled_bounds, announcements, peers, tasks }
    }

    /// Asks about the stream, and says what its owner should know about it. `None` if there is none yet. It changes nothing.
    ///
    /// # Errors
    /// NATS does not answer, or the stream cannot hold a log.
    pub async fn check(&self) -> Result<Option<Vec<Finding>>, NatsFault> {
        let Some(opened) = self.shared.store.look().await? else { return Ok(None) };
        self.shared.store.judge(&opened).map(Some)
    }

    /// What has been counted.
    #[must_use]
    pub fn counts(&self) -> NatsCounts {
        let state = self.shared.lock();
        NatsCounts {
            connected: self.shared.store.is_connected(),
            indexed_ids: state.ids.len() as u64,
            unreadable: state.unreadable,
        }
    }

    /// Runs something on the engine's runtime, whoever waits for it and on which. `None` if the runtime has ended.
    fn ask<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Option<T>> + Send + 'static {
        let (answer, answered) = oneshot::channel();
        self.runtime.spawn(async move {
            // Nobody may be left who waits for it.
            let _ = answer.send(task.await);
        });
        async { answered.await.ok() }
    }
}

/// Whoever waits for the ends of the log, on the way to who asks for them.
type Asking = mpsc::UnboundedSender<oneshot::Sender<Result<Bounds, NatsFault>>>;

/// How sure it has to be where the log ends.
#[derive(Clone, Copy)]
enum Certainty {
    OfOneAnswer,
    Settled,
}

/// Asks for the ends of the log once for all who asked before it was asked for.
async fn answer_bounds(
    shared: Arc<Shared>,
    mut asked: mpsc::UnboundedReceiver<oneshot::Sender<Result<Bounds, NatsFault>>>,
    certainty: Certainty,
) {
    let mut waiting = Vec::new();
    while asked.recv_many(&mut waiting, usize::MAX).await > 0 {
        let bounds = match certainty {
            Certainty::OfOneAnswer => shared.bounds().await,
            Certainty::Settled => shared.settled_bounds().await,
        };
        for answer in waiting.drain(..) {
            let _ = answer.send(bounds.clone());
        }
    }
}

fn ask_bounds(asking: &Asking) -> Answer<'static, Result<Bounds, EngineFault>> {
    let (answer, answered) = oneshot::channel();
    let _ = asking.send(answer);
    Box::pin(async { answered.await.unwrap_or(Err(NatsFault::Gone)).map_err(fault) })
}

fn fault(fault: NatsFault) -> EngineFault {
    Arc::new(fault)
}

impl Engine for NatsEngine {
    fn follow(&self, follower: Arc<dyn Follower>) -> Result<(), EngineFault> {
        let task = self.runtime.spawn(Tailing::new(self.shared.clone(), follower).run());
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task.abort_handle());
        Ok(())
    }

    fn append(
        &self,
        submission: Submission,
        key: Option<IdempotencyKey>,
    ) -> Answer<'_, Result<Appended, AppendError>> {
        let shared = self.shared.clone();
        let answered = self.ask(async move { shared.append(submission, key).await });
        Box::pin(async {
            answered.await.unwrap_or_else(|| Err(AppendError::Unknown(fault(NatsFault::Gone))))
        })
    }

    fn announce(
        &self,
        presence: Option<Submission>,
        key: Option<IdempotencyKey>,
    ) -> Answer<'static, Result<Appended, AppendError>> {
        let (answer, answered) = oneshot::channel();
        let handed_in = self.announcements.try_send(Announcing { presence, key, answer });
        Box::pin(async move {
            match handed_in {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => return Err(AppendError::Refused(fault(NatsFault::Busy))),
                Err(TrySendError::Closed(_)) => return Err(AppendError::Refused(fault(NatsFault::Gone))),
            }
            answered.await.unwrap_or_else(|_| Err(AppendError::Unknown(fault(NatsFault::Gone))))
        })
    }

    fn bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        ask_bounds(&self.bounds)
    }

    fn settled_bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        ask_bounds(&self.settled_bounds)
    }

    fn read(&self, request: ReadRequest) -> Answer<'_, Result<Batch, ReadError>> {
        let shared = self.shared.clone();
        let answered = self.ask(async move { shared.read(&request).await });
        Box::pin(async { answered.await.unwrap_or_else(|| Err(ReadError::Fault(fault(NatsFault::Gone)))) })
    }

    fn find(&self, id: EventId) -> Answer<'_, Result<Option<Position>, EngineFault>> {
        let shared = self.shared.clone();
        let answered = self.ask(async move { shared.find(&id).await.map_err(fault) });
        Box::pin(async { answered.await.unwrap_or_else(|| Err(fault(NatsFault::Gone))) })
    }

    fn peers(&self) -> Option<Arc<dyn Peers>> {
        Some(self.peers.clone())
    }
}

impl Drop for NatsEngine {
    fn drop(&mut self) {
        for task in self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        self.peers.end();
    }
}

impl fmt::Debug for NatsEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsEngine").field("stream", &self.shared.store.names.stream).finish_non_exhaustive()
    }
}
