//! The log in memory: gone with the process.
//!
//! This engine gives positions and remembers idempotency keys; the entries themselves live in the hub's
//! own log, which retention trims, so there is nothing to read here that the hub does not have.

use std::future::ready;
use std::sync::Arc;

use fanfare_wire::EventId;

use crate::check_source::{CheckSource, NoRandomness};
use crate::clock::Clock;
use crate::engine::{
    Answer, AppendError, Appended, Batch, Bounds, Content, Engine, EngineFault, Followed, Follower, Found,
    KeyLimits, Keys, Logged, Origin, ReadError, ReadRequest,
};
use crate::id::Place;
use crate::publication::Submission;
use crate::sync::{Mutex, lock};
use crate::{Check, IdKey, IdempotencyKey, Position};

/// The engine without a store.
pub(crate) struct MemoryEngine {
    epoch: u32,
    key: IdKey,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    next: Position,
    follower: Option<Arc<dyn Follower>>,
    checks: CheckSource,
    keys: Keys,
}

impl MemoryEngine {
    /// Draws an epoch and a key for its ids.
    pub(crate) fn new(clock: Arc<dyn Clock>, keys: KeyLimits) -> Result<Self, EngineFault> {
        let mut drawn = [0; 20];
        getrandom::fill(&mut drawn).map_err(|error| Arc::new(NoRandomness(error)) as EngineFault)?;
        let (epoch, key) = drawn.split_at(4);
        Ok(Self {
            epoch: epoch.iter().fold(0, |epoch, byte| epoch << 8 | u32::from(*byte)),
            key: IdKey::new(key.try_into().expect("16 of 20 bytes are left")),
            clock,
            state: Mutex::new(State {
                next: 1,
                follower: None,
                checks: CheckSource::default(),
                keys: Keys::new(keys),
            }),
        })
    }

    fn append_now(
        &self,
        content: Content,
        key: Option<(IdempotencyKey, u128)>,
    ) -> Result<Appended, AppendError> {
        let follower;
        let appended;
        {
            let mut state = lock(&self.state);
            let at = self.clock.now();
            if let Some((key, fingerprint)) = &key {
                match state.keys.find(key, *fingerprint, at) {
                    Found::New => {}
                    Found::Same(appended) => return Ok(appended),
                    Found::Other => return Err(AppendError::KeyReused),
                }
            }
            let check = state.checks.draw().map_err(|fault| AppendError::Refused(Arc::new(fault)))?;
            let position = state.next;
            state.next += 1;
            let id = match &content {
                Content::Publication(Submission { chosen_id: Some(id), .. }) => id.clone(),
                _ => self.key.encipher(Place { epoch: self.epoch, position, check }),
            };
            appended = Appended { position, id, duplicate: false };
            if let Some((key, fingerprint)) = key {
                state.keys.remember(key, fingerprint, at, appended.clone());
            }
            follower = state.follower.clone();
            if let Some(follower) = &follower {
                follower.accept(Followed::Entry(Logged { position, check, at, content }));
            }
        }
        if let Some(follower) = follower {
            follower.ring();
        }
        Ok(appended)
    }
}

impl Engine for MemoryEngine {
    fn follow(&self, follower: Arc<dyn Follower>) -> Result<(), EngineFault> {
        let mut state = lock(&self.state);
        follower.accept(Followed::NewEpoch(Origin {
            epoch: self.epoch,
            key: self.key.clone(),
            from: state.next,
            next: state.next,
            check_before: Check::START,
        }));
        state.follower = Some(follower);
        Ok(())
    }

    fn append(
        &self,
        submission: Submission,
        key: Option<IdempotencyKey>,
    ) -> Answer<'_, Result<Appended, AppendError>> {
        // Outside of the lock: it is a pass over the whole event.
        let key = key.map(|key| (key, submission.fingerprint()));
        Box::pin(ready(self.append_now(Content::Publication(submission), key)))
    }

    fn announce(
        &self,
        presence: Option<Submission>,
        _: Option<IdempotencyKey>,
    ) -> Answer<'static, Result<Appended, AppendError>> {
        let content = presence.map_or(Content::Forgotten, Content::Presence);
        Box::pin(ready(self.append_now(content, None)))
    }

    fn bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        let next = lock(&self.state).next;
        Box::pin(ready(Ok(Bounds { epoch: self.epoch, oldest: next, next })))
    }

    fn read(&self, _: ReadRequest) -> Answer<'_, Result<Batch, ReadError>> {
        Box::pin(ready(Err(ReadError::Trimmed { oldest: lock(&self.state).next })))
    }

    fn find(&self, _: EventId) -> Answer<'_, Result<Option<Position>, EngineFault>> {
        Box::pin(ready(Ok(None)))
    }
}
