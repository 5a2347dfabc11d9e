//! What the engine's tasks have in common: the store, and what is known of the log.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use fanfare_hub::engine::{
    AppendError, Appended, Batch, Bounds, CheckSource, Listener, ReadError, ReadRequest,
};
use fanfare_hub::{Check, IdempotencyKey, Position, Submission};
use fanfare_wire::EventId;
use tokio::sync::{Notify, mpsc};

use super::announcing;
use super::error::RedisFault;
use super::store::{Entry, Store, Taken};
use crate::cluster::envelope::{self, Envelope};
use crate::cluster::following::FollowedLog;
use crate::cluster::ids::Ids;
use crate::cluster::{Announcing, Doubts, KnownLog, SharedLog};

/// How many entries of one id are looked at.
const SAME_ID_MAX: usize = 64;

pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) warm_events: u64,
    state: Mutex<State>,
    checks: Mutex<CheckSource>,
    /// Somebody has reason to believe that the log is another one by now.
    pub(super) suspicion: Notify,
}

/// What is known of the log.
pub(super) struct State {
    pub(super) log: Option<KnownLog>,
    /// Whether the log still is what was told.
    pub(super) doubts: Doubts,
    pub(super) ids: Ids,
    /// Entries that could not be read.
    pub(super) unreadable: u64,
}

impl Shared {
    pub(super) fn new(store: Store, warm_events: u64) -> Self {
        let state = State { log: None, doubts: Doubts::default(), ids: Ids::default(), unreadable: 0 };
        Self {
            store,
            warm_events,
            state: Mutex::new(state),
            checks: Mutex::default(),
            suspicion: Notify::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log that is followed, or why there is none.
    pub(super) fn known(&self) -> Result<KnownLog, RedisFault> {
        self.lock().log.clone().ok_or(RedisFault::Behind)
    }

    pub(super) fn draw(&self) -> Result<Check, RedisFault> {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        checks.draw().map_err(|_| RedisFault::NoRandomness)
    }

    /// What became of entries that were handed in for a log: whether they are in it if another one has begun since, nobody knows.
    pub(super) fn of_log<T>(&self, log: &KnownLog, taken: Result<T, AppendError>) -> Result<T, AppendError> {
        if self.lock().log.as_ref().is_none_or(|known| known.epoch != log.epoch) {
            return taken.and(Err(AppendError::Unknown(Arc::new(RedisFault::BegunAnew))));
        }
        if let Err(AppendError::Refused(fault)) = &taken
            && matches!(fault.downcast_ref(), Some(RedisFault::BegunAnew))
        {
            self.suspicion.notify_one();
        }
        taken
    }
}

impl SharedLog for Shared {
    type Fault = RedisFault;
    const GONE: RedisFault = RedisFault::Gone;
    const BUSY: RedisFault = RedisFault::Busy;

    /// Publishes, and says where the entry stands. Whether its key is known is Redis' to say, in the same step.
    async fn append(
        &self,
        submission: Submission,
        key: Option<IdempotencyKey>,
    ) -> Result<Appended, AppendError> {
        let refused = |fault| AppendError::Refused(Arc::new(fault));
        let log = self.known().map_err(refused)?;
        let check = self.draw().map_err(refused)?;
        // The time is Redis' to say, too.
        let bytes = envelope::write(check, None, &submission, key.as_ref())
            .ok_or_else(|| refused(RedisFault::TooLarge))?;
        let entry = Entry {
            check,
            bytes: &bytes,
            id: submission.chosen_id.as_ref().map(EventId::as_str),
            key: key.as_ref().map(|key| (key, submission.fingerprint())),
        };
        let taken = self.of_log(&log, self.store.append(log.epoch, entry).await)?;
        log.appended(taken, check, submission.chosen_id.as_ref())
    }

    async fn announce(self: Arc<Self>, announced: mpsc::Receiver<Announcing>) {
        announcing::run(&self, announced).await;
    }

    /// The ends of the log as Redis says them now.
    async fn bounds(&self) -> Result<Bounds, RedisFault> {
        let ends = self.store.look_again(None).await?.ends;
        if self.lock().log.as_ref().is_some_and(|known| known.epoch != ends.epoch) {
            self.suspicion.notify_one();
        }
        Ok(Bounds { epoch: ends.epoch, oldest: ends.first, next: ends.next })
    }

    async fn read(&self, request: &ReadRequest) -> Result<Batch, ReadError> {
        self.read_entries(request).await
    }

    /// The earliest entry that has this id from its publisher.
    async fn find(&self, id: &EventId) -> Result<Option<Position>, RedisFault> {
        self.known()?;
        let places = self.lock().ids.places(id.as_str(), SAME_ID_MAX);
        for position in places {
            let Some(stored) = self.store.entry(position).await? else { continue };
            if Envelope::read(&stored.entry).is_ok_and(|entry| entry.payload.id == Some(id.as_str())) {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    async fn say(&self, word: Vec<u8>) -> Result<(), RedisFault> {
        self.store.say(word).await
    }

    async fn listen(&self, listener: &mut Listener) -> Result<ControlFlow<()>, RedisFault> {
        self.store.link.listen(&self.store.names.peers, listener).await
    }
}

impl FollowedLog for Shared {
    const STORE: &'static str = "Redis";
    const BEGUN_ANEW: RedisFault = RedisFault::BegunAnew;

    fn needs_hands(fault: &RedisFault) -> bool {
        fault.needs_hands()
    }

    fn is_in_doubt(&self) {
        self.lock().doubts.raise();
    }

    fn is_verified(&self) {
        self.lock().doubts.settle();
    }

    fn forget(&self) {
        let mut state = self.lock();
        state.log = None;
        state.ids.clear();
    }

    fn follows(&self, log: KnownLog) {
        self.lock().log = Some(log);
    }

    fn learn(&self, position: Position, _: SystemTime, entry: &Envelope<'_>) {
        if let Some(id) = entry.payload.id {
            self.lock().ids.push(position, id);
        }
    }

    fn count_unreadable(&self) {
        self.lock().unreadable += 1;
    }

    async fn renew(&self, epoch: u32) -> Result<(), RedisFault> {
        self.store.renew(epoch).await
    }
}

impl KnownLog {
    /// What became of an entry, as it is answered.
    pub(super) fn appended(
        &self,
        taken: Taken,
        check: Check,
        chosen: Option<&EventId>,
    ) -> Result<Appended, AppendError> {
        let (position, check, duplicate) = match taken {
            Taken::Stored(position) => (position, check, false),
            Taken::Same(position, first) => (position, first, true),
            Taken::Other => return Err(AppendError::KeyReused),
        };
        Ok(Appended { position, id: self.id(position, check, chosen), duplicate })
    }
}
