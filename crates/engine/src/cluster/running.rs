//! What an engine does beside its store: it runs what is asked of it on the runtime of its client, whoever waits for the answer and
//! wherever, and its tasks for as long as it is there.

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use fanfare_hub::engine::{
    Answer, AppendError, Appended, Batch, Bounds, EngineFault, Listener, Peers, ReadError, ReadRequest,
};
use fanfare_hub::{IdempotencyKey, Position, Submission};
use fanfare_wire::EventId;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::announcing::{Announcements, Announcing};
use super::peers::PeersOf;
use crate::fault::fault;

/// A log in a store, as the engine's tasks share it.
pub(crate) trait SharedLog: Send + Sync + 'static {
    type Fault: std::error::Error + Clone + Send + Sync + 'static;
    /// The engine is being shut down.
    const GONE: Self::Fault;
    /// More waits for the store than is allowed to.
    const BUSY: Self::Fault;

    fn append(
        &self,
        submission: Submission,
        key: Option<IdempotencyKey>,
    ) -> impl Future<Output = Result<Appended, AppendError>> + Send;

    /// Stores what tells of presence, in the order in which it comes, for as long as the engine is there.
    fn announce(self: Arc<Self>, announced: mpsc::Receiver<Announcing>) -> impl Future<Output = ()> + Send;

    fn bounds(&self) -> impl Future<Output = Result<Bounds, Self::Fault>> + Send;

    fn read(&self, request: &ReadRequest) -> impl Future<Output = Result<Batch, ReadError>> + Send;

    fn find(&self, id: &EventId) -> impl Future<Output = Result<Option<Position>, Self::Fault>> + Send;

    /// Says a word to the other nodes, if there is a connection.
    fn say(&self, word: Vec<u8>) -> impl Future<Output = Result<(), Self::Fault>> + Send;

    /// Has what nodes say told for as long as the store lets it, or until that is asked for no more: a break.
    fn listen(
        &self,
        listener: &mut Listener,
    ) -> impl Future<Output = Result<ControlFlow<()>, Self::Fault>> + Send;
}

/// A question for the ends of the log.
type BoundsAsked<F> = oneshot::Sender<Result<Bounds, F>>;

/// The way to whoever asks a store for the ends of the log, which it does once for all who ask before it does.
pub(crate) struct AskingForBounds<F>(mpsc::UnboundedSender<BoundsAsked<F>>);

impl<F: std::error::Error + Clone + Send + Sync + 'static> AskingForBounds<F> {
    /// Gives it, and the task that asks.
    pub(crate) fn new<A: Future<Output = Result<Bounds, F>> + Send>(
        ask: impl Fn() -> A + Send + 'static,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (asking, mut asked) = mpsc::unbounded_channel::<BoundsAsked<F>>();
        let answering = async move {
            let mut waiting = Vec::new();
            while asked.recv_many(&mut waiting, usize::MAX).await > 0 {
                let bounds = ask().await;
                for answer in waiting.drain(..) {
                    let _ = answer.send(bounds.clone());
                }
            }
        };
        (Self(asking), answering)
    }

    /// Asks; `gone` is the answer of an engine that is being shut down.
    pub(crate) fn ask(&self, gone: F) -> Answer<'static, Result<Bounds, EngineFault>> {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.send(answer);
        Box::pin(async { answered.await.unwrap_or(Err(gone)).map_err(fault) })
    }
}

pub(crate) struct Running<L: SharedLog> {
    pub(crate) log: Arc<L>,
    runtime: Handle,
    bounds: AskingForBounds<L::Fault>,
    announcements: Announcements,
    peers: Arc<PeersOf<L>>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl<L: SharedLog> Running<L> {
    /// Runs a log on the runtime that it is called in.
    pub(crate) fn new(log: L) -> Self {
        let log = Arc::new(log);
        let asked = log.clone();
        let (bounds, answering) = AskingForBounds::new(move || {
            let log = asked.clone();
            async move { log.bounds().await }
        });
        let (announcements, announced) = Announcements::new();
        let runtime = Handle::current();
        let peers = Arc::new(PeersOf::start(log.clone(), runtime.clone()));
        let running = Self { log, runtime, bounds, announcements, peers, tasks: Mutex::default() };
        running.spawn(answering);
        running.spawn(running.log.clone().announce(announced));
        running
    }

    /// Runs a task for as long as the engine is there.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.runtime.spawn(task);
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task.abort_handle());
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

    pub(crate) fn append(
        &self,
        submission: Submission,
        key: Option<IdempotencyKey>,
    ) -> Answer<'static, Result<Appended, AppendError>> {
        let log = self.log.clone();
        let answered = self.ask(async move { log.append(submission, key).await });
        Box::pin(async { answered.await.unwrap_or_else(|| Err(AppendError::Unknown(fault(L::GONE)))) })
    }

    pub(crate) fn announce(
        &self,
        presence: Option<Submission>,
        key: Option<IdempotencyKey>,
    ) -> Answer<'static, Result<Appended, AppendError>> {
        self.announcements.announce::<L>(presence, key)
    }

    pub(crate) fn peers(&self) -> Arc<dyn Peers> {
        self.peers.clone()
    }

    pub(crate) fn bounds(&self) -> Answer<'static, Result<Bounds, EngineFault>> {
        self.bounds.ask(L::GONE)
    }

    pub(crate) fn read(&self, request: ReadRequest) -> Answer<'static, Result<Batch, ReadError>> {
        let log = self.log.clone();
        let answered = self.ask(async move { log.read(&request).await });
        Box::pin(async { answered.await.unwrap_or_else(|| Err(ReadError::Fault(fault(L::GONE)))) })
    }

    pub(crate) fn find(&self, id: EventId) -> Answer<'static, Result<Option<Position>, EngineFault>> {
        let log = self.log.clone();
        let answered = self.ask(async move { log.find(&id).await });
        Box::pin(async { answered.await.unwrap_or(Err(L::GONE)).map_err(fault) })
    }
}

impl<L: SharedLog> Drop for Running<L> {
    fn drop(&mut self) {
        self.peers.end();
        for task in self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }
}

impl<L: SharedLog> fmt::Debug for Running<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Running(…)")
    }
}
