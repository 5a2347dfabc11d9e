//! A second engine: it keeps its own log, tells it late, fails, answers that it does not know, stalls, trims and
//! begins a new epoch, all when it is told to.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use fanfare_hub::engine::{
    Answer, AppendError, Appended, Batch, Bounds, Content, Engine, Followed, Follower, Found, KeyLimits,
    Keys, Logged, Origin, ReadError, ReadRequest,
};
use fanfare_hub::{Check, Clock, EngineFault, IdKey, IdempotencyKey, Place, Position, Submission};
use fanfare_wire::EventId;

use super::locked;

pub struct Toy {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

struct State {
    epoch: u32,
    entries: VecDeque<Logged>,
    oldest: Position,
    /// How far the follower has been told.
    told: Position,
    draws: u64,
    keys: Keys,
    next_answer: NextAnswer,
    stalled: bool,
    follower: Option<Arc<dyn Follower>>,
}

/// How the next append ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAnswer {
    Stored,
    Refused,
    /// Stored, but the publisher is told that nobody knows.
    UnknownStored,
    /// Not stored, and the publisher is told that nobody knows.
    UnknownLost,
}

fn fault(text: &str) -> EngineFault {
    Arc::new(std::io::Error::other(text.to_owned()))
}

impl Toy {
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            state: Mutex::new(State {
                epoch: 1,
                entries: VecDeque::new(),
                oldest: 1,
                told: 1,
                draws: 1,
                keys: Keys::new(KeyLimits::default()),
                next_answer: NextAnswer::Stored,
                stalled: false,
                follower: None,
            }),
        })
    }

    fn key() -> IdKey {
        IdKey::new(*b"a toy's own key!")
    }

    /// Where an id that its hub made stands.
    pub fn position_of(id: &EventId) -> Position {
        Self::key().decipher(id).expect("an id of the toy's").position
    }

    pub fn answer_next(&self, answer: NextAnswer) {
        locked(&self.state).next_answer = answer;
    }

    pub fn oldest(&self) -> Position {
        locked(&self.state).oldest
    }

    pub fn told(&self) -> Position {
        locked(&self.state).told
    }

    /// Tells up to `count` entries that have not been told yet.
    pub fn tell(&self, count: usize) {
        let mut state = locked(&self.state);
        let Some(follower) = state.follower.clone() else { return };
        if state.stalled {
            return;
        }
        for _ in 0..count {
            let oldest = state.oldest;
            if state.told < oldest {
                // Retention was faster than the telling.
                follower.accept(Followed::Hole { through: oldest - 1 });
                state.told = oldest;
            }
            let Some(logged) = state.at(state.told) else { break };
            follower.accept(Followed::Entry(logged));
            state.told += 1;
        }
        drop(state);
        follower.ring();
    }

    pub fn trim(&self, count: usize) {
        let mut state = locked(&self.state);
        for _ in 0..count {
            if state.entries.pop_front().is_some() {
                state.oldest += 1;
            }
        }
    }

    pub fn stall(&self) {
        self.stalled(true, Followed::Stalled { fault: fault("the store is away") });
    }

    pub fn recover(&self) {
        self.stalled(false, Followed::Recovered);
    }

    fn stalled(&self, stalled: bool, told: Followed) {
        let mut state = locked(&self.state);
        state.stalled = stalled;
        if let Some(follower) = &state.follower {
            follower.accept(told);
        }
    }

    /// Loses the newest entries: a new log begins that has none of the old one's.
    pub fn begin_epoch(&self) {
        let mut state = locked(&self.state);
        state.epoch += 1;
        state.entries.clear();
        // Committed with the entries, and lost with them.
        state.keys = Keys::new(KeyLimits::default());
        state.oldest = 1;
        state.told = 1;
        let origin = state.origin();
        let Some(follower) = state.follower.clone() else { return };
        follower.accept(Followed::NewEpoch(origin));
        drop(state);
        follower.ring();
    }
}

impl State {
    fn origin(&self) -> Origin {
        Origin {
            epoch: self.epoch,
            key: Toy::key(),
            from: self.told,
            next: self.told,
            check_before: Check::START,
        }
    }

    fn next(&self) -> Position {
        self.oldest + self.entries.len() as Position
    }

    fn at(&self, position: Position) -> Option<Logged> {
        let offset = usize::try_from(position.checked_sub(self.oldest)?).ok()?;
        self.entries.get(offset).cloned()
    }

    /// Stores what was not stored before under its key.
    fn store(
        &mut self,
        submission: Submission,
        key: Option<IdempotencyKey>,
        clock: &dyn Clock,
    ) -> Result<Appended, AppendError> {
        let at = clock.now();
        let key = key.map(|key| (key, submission.fingerprint()));
        if let Some((key, fingerprint)) = &key {
            match self.keys.find(key, *fingerprint, at) {
                Found::New => {}
                Found::Same(appended) => return Ok(appended),
                Found::Other => return Err(AppendError::KeyReused),
            }
        }
        self.draws = self.draws.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (position, check) = (self.next(), Check::from_random(self.draws >> 20));
        let made = Toy::key().encipher(Place { epoch: self.epoch, position, check });
        let id = submission.chosen_id.clone().unwrap_or(made);
        let content = Content::Publication(submission);
        self.entries.push_back(Logged { position, check, at, content });
        let appended = Appended { position, id, duplicate: false };
        if let Some((key, fingerprint)) = key {
            self.keys.remember(key, fingerprint, at, appended.clone());
        }
        Ok(appended)
    }
}

/// Answers after having been polled once in vain.
fn slowly<'a, T: Send + 'a>(mut answer: impl FnMut() -> T + Send + 'a) -> Answer<'a, T> {
    let mut asked = false;
    Box::pin(poll_fn(move |context| {
        if std::mem::replace(&mut asked, true) {
            return Poll::Ready(answer());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }))
}

impl Engine for Toy {
    fn follow(&self, follower: Arc<dyn Follower>) -> Result<(), EngineFault> {
        let mut state = locked(&self.state);
        follower.accept(Followed::NewEpoch(state.origin()));
        state.follower = Some(follower);
        Ok(())
    }

    fn append(
        &self,
        submission: Submission,
        key: Option<IdempotencyKey>,
    ) -> Answer<'_, Result<Appended, AppendError>> {
        slowly(move || {
            let mut state = locked(&self.state);
            match std::mem::replace(&mut state.next_answer, NextAnswer::Stored) {
                NextAnswer::Stored if state.stalled => Err(AppendError::Refused(fault("the store is away"))),
                NextAnswer::Stored => state.store(submission.clone(), key.clone(), &*self.clock),
                NextAnswer::Refused => Err(AppendError::Refused(fault("the store is full"))),
                NextAnswer::UnknownStored => {
                    state.store(submission.clone(), key.clone(), &*self.clock)?;
                    Err(AppendError::Unknown(fault("no answer in time")))
                }
                NextAnswer::UnknownLost => Err(AppendError::Unknown(fault("no answer in time"))),
            }
        })
    }

    fn bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        slowly(|| {
            let state = locked(&self.state);
            Ok(Bounds { epoch: state.epoch, oldest: state.oldest, next: state.next() })
        })
    }

    fn read(&self, request: ReadRequest) -> Answer<'_, Result<Batch, ReadError>> {
        slowly(move || {
            let state = locked(&self.state);
            if request.after + 1 < state.oldest {
                return Err(ReadError::Trimmed { oldest: state.oldest });
            }
            // Two at a time, however much is allowed: so that a subscriber needs several reads.
            let through = (request.after + 2).min(request.before - 1).min(state.next() - 1);
            let wanted = |logged: &Logged| {
                let Content::Publication(submission) = &logged.content else { return true };
                let topics = request.topics.as_deref();
                topics.is_none_or(|topics| topics.iter().any(|topic| submission.topics.contains(topic)))
            };
            // Every third batch has entries of all topics, whatever was asked for.
            let all = request.topics.is_none() || matches!(through % 3, 0);
            let entries = (request.after + 1..=through).filter_map(|position| state.at(position));
            Ok(Batch { entries: entries.filter(|logged| all || wanted(logged)).collect(), through, all })
        })
    }

    fn find(&self, id: EventId) -> Answer<'_, Result<Option<Position>, EngineFault>> {
        slowly(move || {
            let state = locked(&self.state);
            let found = state.entries.iter().find(|logged| match &logged.content {
                Content::Publication(submission) => submission.chosen_id.as_ref() == Some(&id),
                _ => false,
            });
            Ok(found.map(|logged| logged.position))
        })
    }
}
