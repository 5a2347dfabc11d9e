//! A fourth engine: a log that is written already, of which memory has nothing. It counts what is read, and answers at once
//! or when it is told to.

use std::future::{poll_fn, ready};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::SystemTime;

use fanfare_hub::engine::{
    Answer, AppendError, Appended, Batch, Bounds, Content, Engine, Followed, Follower, Logged, Origin,
    ReadError, ReadRequest,
};
use fanfare_hub::{Check, EngineFault, IdKey, IdempotencyKey, Place, Position, Submission, Topic};
use fanfare_wire::{Draft, Event, EventId};

use super::locked;

pub struct Shelf(Mutex<State>);

struct State {
    entries: Vec<Logged>,
    /// How many positions one read passes at most.
    page: Position,
    answers: Answers,
    /// Whether entries of other topics are read along.
    all: bool,
    held: Vec<Held>,
    read: Read,
}

/// When it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    AtOnce,
    WhenTold,
}

/// What was read so far, apart from single entries whose check was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    pub batches: usize,
    pub entries: usize,
}

struct Held {
    request: ReadRequest,
    slot: Arc<Mutex<Slot>>,
}

#[derive(Default)]
struct Slot {
    answer: Option<Result<Batch, ReadError>>,
    waker: Option<Waker>,
}

impl Shelf {
    /// A log with an entry for each of these lists of topics.
    pub fn of(
        topics: impl IntoIterator<Item = Vec<Topic>>,
        page: Position,
        answers: Answers,
        all: bool,
    ) -> Arc<Self> {
        let logged = |(position, topics): (Position, Vec<Topic>)| Logged {
            position,
            check: check(position),
            at: SystemTime::UNIX_EPOCH,
            content: Content::Publication(Submission {
                topics: topics.into(),
                private: false,
                chosen_id: None,
                draft: Draft::new(&Event::new(position.to_string()), 24),
            }),
        };
        let entries = (1..).zip(topics).map(logged).collect();
        Arc::new(Self(Mutex::new(State {
            entries,
            page,
            answers,
            all,
            held: Vec::new(),
            read: Read::default(),
        })))
    }

    /// The id of a position's entry; of 0, that of the log's beginning.
    pub fn id_of(position: Position) -> EventId {
        key().encipher(Place { epoch: 1, position, check: check(position) })
    }

    pub fn read_so_far(&self) -> Read {
        locked(&self.0).read
    }

    /// How many reads wait for an answer that somebody still wants.
    pub fn held(&self) -> usize {
        let mut state = locked(&self.0);
        state.held.retain(|held| Arc::strong_count(&held.slot) > 1);
        state.held.len()
    }

    /// Answers one of the reads that wait; `false` if there is none.
    pub fn answer(&self, which: usize) -> bool {
        self.finish(which, None)
    }

    /// Fails one of the reads that wait.
    pub fn fail(&self, which: usize) -> bool {
        self.finish(which, Some(ReadError::Fault(Arc::new(std::io::Error::other("the shelf broke")))))
    }

    fn finish(&self, which: usize, error: Option<ReadError>) -> bool {
        let held = self.held();
        if held == 0 {
            return false;
        }
        let waker = {
            let mut state = locked(&self.0);
            let Held { request, slot } = state.held.remove(which % held);
            let answer = error.map_or_else(|| Ok(state.take(&request)), Err);
            let mut slot = locked(&slot);
            slot.answer = Some(answer);
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

fn key() -> IdKey {
    IdKey::new(*b"the shelf's key!")
}

fn check(position: Position) -> Check {
    if position == 0 { Check::START } else { Check::from_random(position * 11 + 5) }
}

impl State {
    fn next(&self) -> Position {
        self.entries.len() as Position + 1
    }

    fn take(&mut self, request: &ReadRequest) -> Batch {
        let through = (request.after + self.page).min(request.before - 1).min(self.next() - 1);
        let all = self.all || request.topics.is_none();
        let is_wanted = |logged: &&Logged| {
            let Content::Publication(submission) = &logged.content else { return true };
            let topics = request.topics.as_deref().unwrap_or_default();
            all || topics.iter().any(|topic| submission.topics.contains(topic))
        };
        let [after, to] = [request.after, through].map(|at| usize::try_from(at).expect("a small position"));
        let entries: Vec<_> = self.entries[after..to].iter().filter(is_wanted).cloned().collect();
        if request.bytes_max > 1 {
            self.read.batches += 1;
            self.read.entries += entries.len();
        }
        Batch { entries, through, all }
    }
}

impl Engine for Shelf {
    fn follow(&self, follower: Arc<dyn Follower>) -> Result<(), EngineFault> {
        let from = locked(&self.0).next();
        follower.accept(Followed::NewEpoch(Origin {
            epoch: 1,
            key: key(),
            from,
            next: from,
            check_before: check(from - 1),
        }));
        Ok(())
    }

    fn append(&self, _: Submission, _: Option<IdempotencyKey>) -> Answer<'_, Result<Appended, AppendError>> {
        panic!("nobody publishes here")
    }

    fn bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        Box::pin(ready(Ok(Bounds { epoch: 1, oldest: 1, next: locked(&self.0).next() })))
    }

    fn read(&self, request: ReadRequest) -> Answer<'_, Result<Batch, ReadError>> {
        let mut state = locked(&self.0);
        if request.bytes_max == 1 || state.answers == Answers::AtOnce {
            return Box::pin(ready(Ok(state.take(&request))));
        }
        let slot = Arc::new(Mutex::new(Slot::default()));
        state.held.push(Held { request, slot: slot.clone() });
        Box::pin(poll_fn(move |context| {
            let mut slot = locked(&slot);
            slot.waker = Some(context.waker().clone());
            slot.answer.take().map_or(Poll::Pending, Poll::Ready)
        }))
    }

    fn find(&self, _: EventId) -> Answer<'_, Result<Option<Position>, EngineFault>> {
        Box::pin(ready(Ok(None)))
    }
}
