//! What the engine's tasks have in common: the store, and what is known of the log.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fanfare_hub::engine::{
    AppendError, Appended, Batch, Bounds, CheckSource, Found, KeyLimits, Keys, Listener, ReadError,
    ReadRequest,
};
use fanfare_hub::{Check, IdempotencyKey, Position, Submission};
use fanfare_wire::EventId;
use futures_util::StreamExt;
use tokio::sync::{Notify, mpsc};

use super::announcing;
use super::error::NatsFault;
use super::store::{HandedIn, Store};
use crate::cluster::envelope::{self, Envelope, NoEnvelope};
use crate::cluster::following::FollowedLog;
use crate::cluster::ids::Ids;
use crate::cluster::{Announcing, Doubts, KnownLog, SharedLog};

/// How long a publication with a key waits for what was published before it.
const CURRENT_WITHIN: Duration = Duration::from_secs(1);
/// How long one that is stored waits until it is known again which log that is in.
const VERIFIED_WITHIN: Duration = Duration::from_secs(5);
const LOOKED_EVERY: Duration = Duration::from_millis(5);
/// How many entries of one id are looked at.
const SAME_ID_MAX: usize = 64;

pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) warm_events: u64,
    key_limits: KeyLimits,
    state: Mutex<State>,
    checks: Mutex<CheckSource>,
    /// Somebody has reason to believe that the log is another one by now.
    pub(super) suspicion: Notify,
}

/// What is known of the log.
pub(super) struct State {
    pub(super) log: Option<KnownLog>,
    /// Whether everything is known that was published before a moment ago.
    pub(super) is_current: bool,
    /// The position behind what was told of the log.
    pub(super) told: Position,
    /// Whether the stream still is what was told.
    pub(super) doubts: Doubts,
    pub(super) keys: Keys,
    pub(super) ids: Ids,
    /// Entries that could not be read.
    pub(super) unreadable: u64,
}

impl Shared {
    pub(super) fn new(store: Arc<Store>, warm_events: u64, key_limits: KeyLimits) -> Self {
        let keys = Keys::new(key_limits);
        let state = State {
            log: None,
            is_current: false,
            told: 0,
            doubts: Doubts::default(),
            keys,
            ids: Ids::default(),
            unreadable: 0,
        };
        Self {
            store,
            warm_events,
            key_limits,
            state: Mutex::new(state),
            checks: Mutex::default(),
            suspicion: Notify::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers an entry's id and key, if it has them.
    pub(super) fn learn_of(&self, log: &KnownLog, position: Position, at: SystemTime, entry: &Envelope<'_>) {
        let payload = &entry.payload;
        if payload.id.is_none() && payload.key.is_none() {
            return;
        }
        let submission = payload.key.and_then(|_| payload.submission());
        let mut state = self.lock();
        if let Some(id) = payload.id {
            state.ids.push(position, id);
        }
        if let (Some(key), Some(submission)) = (payload.key, submission) {
            let id = log.id(position, entry.check, submission.chosen_id.as_ref());
            let appended = Appended { position, id, duplicate: false };
            state.keys.remember(IdempotencyKey::new(key), submission.fingerprint(), at, appended);
        }
    }

    /// Hands over what tells of presence; the answer can be waited for later.
    pub(super) async fn hand_in(
        &self,
        Announcing { presence, key, .. }: &Announcing,
    ) -> Result<Announced<'_>, AppendError> {
        let refused = |fault| AppendError::Refused(Arc::new(fault));
        let log = self.lock().log.clone().ok_or_else(|| refused(self.why_none()))?;
        let check = self.checks.lock().unwrap_or_else(PoisonError::into_inner).draw();
        let check = check.map_err(|_| refused(NatsFault::NoRandomness))?;
        let entry = match presence {
            Some(submission) => envelope::write_presence(check, submission),
            None => Some(envelope::write_place(check, None)),
        };
        let entry = entry.ok_or_else(|| refused(NatsFault::TooLarge))?;
        // None of a publication's, which has hexadecimal digits alone. It is not kept: JetStream alone knows it again.
        let message_id = key.as_ref().map(|key| format!("p{}", message_id(key)));
        let sent = self.store.hand_in(self.store.names.presence.clone(), entry, message_id).await?;
        Ok(Announced { shared: self, log, check, sent })
    }

    /// Waits a little until what was published lately is known here: while the tail is begun again it is not for a moment.
    async fn is_current_soon(&self) {
        let current = async {
            while !self.lock().is_current {
                tokio::time::sleep(LOOKED_EVERY).await;
            }
        };
        let _ = tokio::time::timeout(CURRENT_WITHIN, current).await;
    }

    /// Whether the stream still is that log: where it is in doubt, as when the tail is begun again, not before that is known.
    async fn is_still(&self, log: &KnownLog) -> Result<(), NatsFault> {
        let give_up = tokio::time::Instant::now() + VERIFIED_WITHIN;
        loop {
            {
                let state = self.lock();
                if state.log.as_ref().is_none_or(|known| known.epoch != log.epoch) {
                    return Err(NatsFault::BegunAnew);
                }
                if !state.doubts.are_open() {
                    return Ok(());
                }
            }
            if tokio::time::Instant::now() > give_up {
                return Err(NatsFault::Behind);
            }
            tokio::time::sleep(LOOKED_EVERY).await;
        }
    }

    /// The answer to what JetStream itself knew again: that of the first, if it is the same.
    async fn stored_before(
        &self,
        log: &KnownLog,
        position: Position,
        is_same: impl FnOnce(&Envelope<'_>, &Submission) -> bool,
    ) -> Result<Appended, AppendError> {
        let unknown = |fault| AppendError::Unknown(Arc::new(fault));
        let message = self.store.message(position).await.map_err(unknown)?;
        let message = message.ok_or_else(|| unknown(NatsFault::NoEntry { position }))?;
        let entry =
            Envelope::read(&message.payload).map_err(|none| unknown(self.no_entry(none, position)))?;
        match entry.payload.submission() {
            Some(first) if is_same(&entry, &first) => {
                let id = log.id(position, entry.check, first.chosen_id.as_ref());
                Ok(Appended { position, id, duplicate: true })
            }
            _ => Err(AppendError::KeyReused),
        }
    }

    fn why_none(&self) -> NatsFault {
        if self.store.is_connected() { NatsFault::Behind } else { NatsFault::NotConnected }
    }

    pub(super) fn no_entry(&self, none: NoEnvelope, position: Position) -> NatsFault {
        match none {
            NoEnvelope::Newer => NatsFault::Newer { stream: self.store.names.stream.clone() },
            NoEnvelope::Invalid => NatsFault::NoEntry { position },
        }
    }

    /// The ends of the log, of which it is certain that no server knew more when they were said.
    pub(super) async fn settled_bounds(&self) -> Result<Bounds, NatsFault> {
        let ends = self.store.look_surely().await?.ends();
        Ok(Bounds { epoch: ends.epoch, oldest: ends.first, next: ends.next })
    }
}

impl SharedLog for Shared {
    type Fault = NatsFault;
    const GONE: NatsFault = NatsFault::Gone;
    const BUSY: NatsFault = NatsFault::Busy;

    /// Publishes, and says where the entry stands.
    async fn append(
        &self,
        submission: Submission,
        key: Option<IdempotencyKey>,
    ) -> Result<Appended, AppendError> {
        let refused = |fault| AppendError::Refused(Arc::new(fault));
        let key = key.map(|key| (submission.fingerprint(), key));
        if key.is_some() {
            self.is_current_soon().await;
        }
        let (log, told) = {
            let mut state = self.lock();
            let state = &mut *state;
            let log = state.log.clone().ok_or_else(|| refused(self.why_none()))?;
            if let Some((fingerprint, key)) = &key {
                // Its first use may be among what is not known yet.
                if !state.is_current {
                    return Err(refused(NatsFault::Behind));
                }
                match state.keys.find(key, *fingerprint, SystemTime::now()) {
                    Found::New => {}
                    Found::Same(appended) => return Ok(appended),
                    Found::Other => return Err(AppendError::KeyReused),
                }
            }
            (log, state.told)
        };
        let check = self.checks.lock().unwrap_or_else(PoisonError::into_inner).draw();
        let check = check.map_err(|_| refused(NatsFault::NoRandomness))?;
        let idempotency_key = key.as_ref().map(|(_, key)| key);
        let entry = envelope::write(check, None, &submission, idempotency_key)
            .ok_or_else(|| refused(NatsFault::TooLarge))?;
        let subject = self.store.names.subject(submission.chosen_id.is_some(), key.is_some()).to_owned();
        let ack = self.store.publish(subject, entry, idempotency_key.map(message_id)).await?;
        self.is_still(&log).await.map_err(|fault| AppendError::Unknown(Arc::new(fault)))?;
        // What is new stands behind what was told before it was sent; or it is in a stream that nobody here has heard of.
        if !ack.duplicate && ack.sequence < told {
            self.suspicion.notify_one();
            return Err(AppendError::Unknown(Arc::new(NatsFault::BegunAnew)));
        }
        if let Some((fingerprint, key)) = key
            && ack.duplicate
        {
            let is_same = |entry: &Envelope<'_>, first: &Submission| {
                entry.payload.key == Some(key.as_str()) && first.fingerprint() == fingerprint
            };
            return self.stored_before(&log, ack.sequence, is_same).await;
        }
        let id = log.id(ack.sequence, check, submission.chosen_id.as_ref());
        Ok(Appended { position: ack.sequence, id, duplicate: false })
    }

    async fn announce(self: Arc<Self>, announced: mpsc::Receiver<Announcing>) {
        announcing::run(self, announced).await;
    }

    /// The ends of the log as the stream says them now.
    async fn bounds(&self) -> Result<Bounds, NatsFault> {
        let opened = self.store.look_again().await?;
        // Its end may not be the end any more, and ids behind it would be called rewound.
        if !opened.is_of_majority() {
            return Err(NatsFault::CutOff);
        }
        let ends = opened.ends();
        if self.lock().log.as_ref().is_some_and(|known| known.epoch != ends.epoch) {
            self.suspicion.notify_one();
        }
        Ok(Bounds { epoch: ends.epoch, oldest: ends.first, next: ends.next })
    }

    async fn read(&self, request: &ReadRequest) -> Result<Batch, ReadError> {
        self.read_entries(request).await
    }

    /// The earliest entry that has this id from its publisher.
    async fn find(&self, id: &EventId) -> Result<Option<Position>, NatsFault> {
        let places = {
            let state = self.lock();
            if state.log.is_none() {
                drop(state);
                return Err(self.why_none());
            }
            state.ids.places(id.as_str(), SAME_ID_MAX)
        };
        for position in places {
            let Some(message) = self.store.message(position).await? else { continue };
            if Envelope::read(&message.payload).is_ok_and(|entry| entry.payload.id == Some(id.as_str())) {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    async fn say(&self, word: Vec<u8>) -> Result<(), NatsFault> {
        self.store.say(word).await
    }

    /// It outlives the connection: the client listens again on the next one.
    async fn listen(&self, listener: &mut Listener) -> Result<ControlFlow<()>, NatsFault> {
        let mut words = self.store.words().await?;
        while let Some(message) = words.next().await {
            if !listener(&message.payload) {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl FollowedLog for Shared {
    const STORE: &'static str = "NATS";
    const BEGUN_ANEW: NatsFault = NatsFault::BegunAnew;

    fn needs_hands(fault: &NatsFault) -> bool {
        fault.needs_hands()
    }

    fn is_in_doubt(&self) {
        let mut state = self.lock();
        state.is_current = false;
        state.doubts.raise();
    }

    fn is_verified(&self) {
        self.lock().doubts.settle();
    }

    fn forget(&self) {
        let mut state = self.lock();
        state.log = None;
        state.is_current = false;
        state.told = 0;
        state.keys = Keys::new(self.key_limits);
        state.ids.clear();
    }

    fn follows(&self, log: KnownLog) {
        self.lock().log = Some(log);
    }

    fn learn(&self, position: Position, at: SystemTime, entry: &Envelope<'_>) {
        let log = self.lock().log.clone();
        if let Some(log) = log {
            self.learn_of(&log, position, at, entry);
        }
    }

    fn count_unreadable(&self) {
        self.lock().unreadable += 1;
    }

    async fn renew(&self, epoch: u32) -> Result<(), NatsFault> {
        self.store.renew(epoch).await
    }
}

/// What tells of presence, on its way.
pub(super) struct Announced<'a> {
    shared: &'a Shared,
    log: KnownLog,
    check: Check,
    sent: HandedIn<'a>,
}

impl Announced<'_> {
    /// Waits for the acknowledgement, and says where it stands.
    pub(super) async fn answer(self, presence: Option<&Submission>) -> Result<Appended, AppendError> {
        let Self { shared, log, check, sent } = self;
        let ack = sent.answer().await?;
        if shared.lock().log.as_ref().is_none_or(|known| known.epoch != log.epoch) {
            return Err(AppendError::Unknown(Arc::new(NatsFault::BegunAnew)));
        }
        let position = ack.sequence;
        if !ack.duplicate {
            return Ok(Appended { position, id: log.id(position, check, None), duplicate: false });
        }
        let is_same = |_: &Envelope<'_>, first: &Submission| {
            presence.is_some_and(|presence| first.fingerprint() == presence.fingerprint())
        };
        shared.stored_before(&log, position, is_same).await
    }
}

/// By what JetStream knows a publication again. Keys are any text, headers are not.
fn message_id(key: &IdempotencyKey) -> String {
    use std::fmt::Write as _;
    let mut id = String::with_capacity(2 * key.as_str().len());
    for byte in key.as_str().bytes() {
        let _ = write!(id, "{byte:02x}");
    }
    id
}
