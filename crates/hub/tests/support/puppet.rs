//! A third engine: it says what a test puts into its mouth, at once and whether it is sensible or not.

use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use fanfare_hub::engine::{
    Answer, AppendError, Appended, Batch, Bounds, Content, Engine, Followed, Follower, Logged, Origin,
    ReadError, ReadRequest,
};
use fanfare_hub::{Check, EngineFault, IdKey, IdempotencyKey, Place, Position, Submission};
use fanfare_wire::{Draft, Event, EventId};

use super::{locked, topic};

pub struct Puppet(Mutex<State>);

struct State {
    follower: Option<Arc<dyn Follower>>,
    bounds: Bounds,
    /// What it is certain of, if that is something else.
    settled_bounds: Option<Bounds>,
    questions: u32,
    batch: Result<Batch, ReadError>,
}

impl Puppet {
    /// Tells nothing until it is told to.
    pub fn silent() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            follower: None,
            bounds: Bounds { epoch: 1, oldest: 1, next: 1 },
            settled_bounds: None,
            questions: 0,
            batch: Err(ReadError::Trimmed { oldest: 1 }),
        })))
    }

    /// Tells at once that log 1 begins at position 1.
    pub fn with_log() -> Arc<Self> {
        let puppet = Self::silent();
        locked(&puppet.0).bounds.epoch = 0;
        puppet
    }

    pub fn tell(&self, told: Followed) {
        let follower = locked(&self.0).follower.clone().expect("a hub follows");
        follower.accept(told);
        follower.ring();
    }

    pub fn begin(&self, epoch: u32, from: Position) {
        self.tell(Followed::NewEpoch(origin(epoch, from)));
    }

    /// Tells an entry for one topic, appended `second` seconds after the test clock's start.
    pub fn entry(&self, position: Position, to: &str, second: u64) {
        self.tell(Followed::Entry(logged(position, to, second)));
    }

    pub fn answer_bounds(&self, epoch: u32, oldest: Position, next: Position) {
        locked(&self.0).bounds = Bounds { epoch, oldest, next };
    }

    /// What it says when it is asked for what is certain.
    pub fn answer_settled_bounds(&self, epoch: u32, oldest: Position, next: Position) {
        locked(&self.0).settled_bounds = Some(Bounds { epoch, oldest, next });
    }

    pub fn answer_read(&self, batch: Result<Batch, ReadError>) {
        locked(&self.0).batch = batch;
    }
}

fn key() -> IdKey {
    IdKey::new(*b"the puppet's key")
}

/// The id that a hub over a puppet makes of a place.
pub fn id_of(place: Place) -> EventId {
    key().encipher(place)
}

/// Where an id that it made stands.
pub fn position_of(id: &EventId) -> Position {
    key().decipher(id).expect("an id of the puppet's").position
}

fn origin(epoch: u32, from: Position) -> Origin {
    let check_before = if from <= 1 { Check::START } else { check(from - 1) };
    Origin { epoch, key: key(), from, next: from, check_before }
}

/// The check of the entry at a position.
pub fn check(position: Position) -> Check {
    Check::from_random(position * 7 + 3)
}

pub fn logged(position: Position, to: &str, second: u64) -> Logged {
    let submission = Submission {
        topics: [topic(to)].into(),
        private: false,
        chosen_id: None,
        draft: Draft::new(&Event::new(position.to_string()), 24),
    };
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 + second);
    Logged { position, check: check(position), at, content: Content::Publication(submission) }
}

impl Engine for Puppet {
    fn follow(&self, follower: Arc<dyn Follower>) -> Result<(), EngineFault> {
        let mut state = locked(&self.0);
        if state.bounds.epoch == 0 {
            state.bounds.epoch = 1;
            follower.accept(Followed::NewEpoch(origin(1, 1)));
        }
        state.follower = Some(follower);
        Ok(())
    }

    fn append(&self, _: Submission, _: Option<IdempotencyKey>) -> Answer<'_, Result<Appended, AppendError>> {
        panic!("nobody publishes here")
    }

    fn bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        let mut state = locked(&self.0);
        state.questions += 1;
        assert!(state.questions < 1_000, "the hub asks again and again and waits for nothing");
        Box::pin(ready(Ok(state.bounds)))
    }

    fn settled_bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        let settled = locked(&self.0).settled_bounds;
        match settled {
            Some(bounds) => Box::pin(ready(Ok(bounds))),
            None => self.bounds(),
        }
    }

    fn read(&self, request: ReadRequest) -> Answer<'_, Result<Batch, ReadError>> {
        // What one entry is looked at for, to compare its check.
        if request.bytes_max == 1 {
            let entries = vec![logged(request.after + 1, "a", 0)];
            return Box::pin(ready(Ok(Batch { entries, through: request.after + 1, all: true })));
        }
        Box::pin(ready(locked(&self.0).batch.clone()))
    }

    fn find(&self, _: EventId) -> Answer<'_, Result<Option<Position>, EngineFault>> {
        Box::pin(ready(Ok(None)))
    }
}
