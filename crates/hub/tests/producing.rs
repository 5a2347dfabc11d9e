//! Several producers of one topic, on two nodes of one log, at any moments: what readers see is one producer's events after the other's.

mod support;

use std::collections::VecDeque;
use std::future::{poll_fn, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use fanfare_hub::engine::{
    Answer, AppendError, Appended, Batch, Bounds, Content, Engine, Followed, Follower, Found, KeyLimits,
    Keys, Logged, Origin, ReadError, ReadRequest,
};
use fanfare_hub::{
    Check, EngineFault, Hub, IdKey, IdempotencyKey, Place, Position, ProduceError, Producer, PublishError,
    Resume, Submission, Subscription,
};
use fanfare_wire::{Event, EventId};
use proptest::prelude::*;
use support::{Bell, TestClock, id, locked, ready_data};

const ANSWER: &str = "answers/7";
const EPOCH: u32 = 7;

/// One log of several nodes. It answers publishers at once, and tells each node of entries when the test says so.
#[derive(Default)]
struct Shared(Mutex<State>);

struct State {
    entries: Vec<Logged>,
    keys: Keys,
    answers: VecDeque<Fate>,
}

impl Default for State {
    fn default() -> Self {
        let keys = Keys::new(KeyLimits::default());
        Self { entries: Vec::new(), keys, answers: VecDeque::new() }
    }
}

/// What becomes of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stored,
    Refused,
    UnknownStored,
    UnknownLost,
}

struct Node {
    log: Arc<Shared>,
    /// Whether publishers are answered only when they have asked twice, whatever has become of their event by then.
    is_slow: AtomicBool,
    told: Mutex<(Position, Option<Arc<dyn Follower>>)>,
}

fn key() -> IdKey {
    IdKey::new(*b"two nodes' key!!")
}

fn fault() -> EngineFault {
    Arc::new(std::io::Error::other("the store does not say"))
}

impl Shared {
    fn append(&self, submission: Submission, key: Option<IdempotencyKey>) -> Result<Appended, AppendError> {
        let mut state = locked(&self.0);
        let fate = state.answers.pop_front().unwrap_or(Fate::Stored);
        match fate {
            Fate::Refused => return Err(AppendError::Refused(fault())),
            Fate::UnknownLost => return Err(AppendError::Unknown(fault())),
            Fate::Stored | Fate::UnknownStored => {}
        }
        let at = std::time::SystemTime::UNIX_EPOCH;
        let key = key.map(|key| (key, submission.fingerprint()));
        if let Some((key, fingerprint)) = &key {
            match state.keys.find(key, *fingerprint, at) {
                Found::New => {}
                Found::Same(appended) => return Ok(appended),
                Found::Other => return Err(AppendError::KeyReused),
            }
        }
        let position = state.entries.len() as Position + 1;
        let check = Check::from_random(position);
        let id = submission.chosen_id.clone();
        let id = id.unwrap_or_else(|| self::key().encipher(Place { epoch: EPOCH, position, check }));
        state.entries.push(Logged { position, check, at, content: Content::Publication(submission) });
        let appended = Appended { position, id, duplicate: false };
        if let Some((key, fingerprint)) = key {
            state.keys.remember(key, fingerprint, at, appended.clone());
        }
        if fate == Fate::UnknownStored { Err(AppendError::Unknown(fault())) } else { Ok(appended) }
    }
}

impl Node {
    fn of(log: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { log: log.clone(), is_slow: AtomicBool::new(false), told: Mutex::new((1, None)) })
    }

    fn tell(&self, count: usize) {
        let mut told = locked(&self.told);
        let Some(follower) = told.1.clone() else { return };
        let from = usize::try_from(told.0 - 1).expect("a small log");
        let entries: Vec<_> = locked(&self.log.0).entries.iter().skip(from).take(count).cloned().collect();
        for logged in entries {
            told.0 = logged.position + 1;
            follower.accept(Followed::Entry(logged));
        }
        drop(told);
        follower.ring();
    }
}

impl Engine for Node {
    fn follow(&self, follower: Arc<dyn Follower>) -> Result<(), EngineFault> {
        let (epoch, check_before) = (EPOCH, Check::START);
        follower.accept(Followed::NewEpoch(Origin { epoch, key: key(), from: 1, next: 1, check_before }));
        locked(&self.told).1 = Some(follower);
        Ok(())
    }

    fn append(
        &self,
        submission: Submission,
        key: Option<IdempotencyKey>,
    ) -> Answer<'_, Result<Appended, AppendError>> {
        let mut answer = Some(self.log.append(submission, key));
        let mut waits = self.is_slow.load(Ordering::Relaxed);
        Box::pin(poll_fn(move |context| {
            if std::mem::take(&mut waits) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(answer.take().expect("it is asked until it has answered"))
        }))
    }

    fn bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        let next = locked(&self.log.0).entries.len() as Position + 1;
        Box::pin(ready(Ok(Bounds { epoch: EPOCH, oldest: 1, next })))
    }

    fn read(&self, request: ReadRequest) -> Answer<'_, Result<Batch, ReadError>> {
        let within = |logged: &&Logged| (request.after + 1..request.before).contains(&logged.position);
        let entries = locked(&self.log.0).entries.iter().filter(within).cloned().collect();
        Box::pin(ready(Ok(Batch { entries, through: request.before - 1, all: true })))
    }

    fn find(&self, id: EventId) -> Answer<'_, Result<Option<Position>, EngineFault>> {
        let has_it = |logged: &&Logged| match &logged.content {
            Content::Publication(submission) => submission.chosen_id.as_ref() == Some(&id),
            _ => false,
        };
        let position = locked(&self.log.0).entries.iter().find(has_it).map(|logged| logged.position);
        Box::pin(ready(Ok(position)))
    }
}

/// A hub on a node of the log; its memory holds a few entries only, so that most is read back.
fn hub(node: &Arc<Node>) -> Hub {
    let builder = Hub::builder().engine(node.clone()).history_events(6).clock(TestClock::default());
    builder.build().expect("a hub")
}

/// Runs a future, while `node` is told all that there is whenever it waits.
fn soon<T>(node: &Node, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let bell = Arc::new(Bell::default());
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&bell.waker())) {
            Poll::Ready(value) => return value,
            Poll::Pending => {
                node.tell(usize::MAX);
                assert!(bell.was_rung(), "the future waits for something");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// Somebody begins to produce, or takes over, on one of the nodes.
    Produce {
        node: usize,
    },
    /// One of those who produce, or once did, sends its next event.
    Send {
        producer: usize,
        fate: Fate,
    },
    End {
        producer: usize,
    },
    LeaveOpen {
        producer: usize,
    },
    /// A node is told of some entries.
    Tell {
        node: usize,
        count: usize,
    },
    /// A reader reads on, or comes back with its last event ID, on one of the nodes.
    Read {
        reader: usize,
        node: usize,
        back: bool,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let node = || 0..2usize;
    let fate = prop_oneof![
        8 => Just(Fate::Stored),
        1 => Just(Fate::Refused),
        1 => Just(Fate::UnknownStored),
        1 => Just(Fate::UnknownLost),
    ];
    prop_oneof![
        2 => node().prop_map(|node| Op::Produce { node }),
        8 => (0..4usize, fate).prop_map(|(producer, fate)| Op::Send { producer, fate }),
        1 => (0..8usize).prop_map(|producer| Op::End { producer }),
        1 => (0..8usize).prop_map(|producer| Op::LeaveOpen { producer }),
        4 => (node(), 0..4usize).prop_map(|(node, count)| Op::Tell { node, count }),
        4 => (0..3usize, node(), any::<bool>()).prop_map(|(reader, node, back)| Op::Read { reader, node, back }),
    ]
}

/// One that produces, or once did.
struct Claimant {
    producer: Producer,
    node: usize,
    /// The number of its claim, and how many events it was asked to send.
    number: usize,
    sent: usize,
}

/// One that reads: what it has seen, and with which id it would come back.
#[derive(Default)]
struct Reader {
    subscription: Option<Subscription>,
    seen: Vec<String>,
    last: Option<EventId>,
}

impl Reader {
    /// Reads all that its node has been told.
    fn read(&mut self, hub: &Hub, node: &Node, back: bool) {
        if back || self.subscription.is_none() {
            let mut subscription =
                hub.subscribe(ANSWER).from_start().bookmarks(false).after(self.last.clone());
            match soon(node, subscription.opened()).expect("open") {
                Resume::Resumed { .. } | Resume::Over => {}
                other => panic!("nothing is missing, and yet {other:?}"),
            }
            self.subscription = Some(subscription);
        }
        let Some(subscription) = &mut self.subscription else { return };
        let bell = Arc::new(Bell::default());
        loop {
            match support::Read::take(subscription, &bell) {
                Poll::Ready(Some(got)) => {
                    let got = got.expect("no error");
                    self.seen.push(got.data().to_owned());
                    self.last = Some(got.id);
                }
                Poll::Ready(None) => return self.subscription = None,
                Poll::Pending if bell.was_rung() => {}
                Poll::Pending => return,
            }
        }
    }
}

/// What is known of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Stored,
    Maybe,
    NotStored,
}

struct World {
    log: Arc<Shared>,
    nodes: [Arc<Node>; 2],
    hubs: [Hub; 2],
    claimants: Vec<Claimant>,
    claims: usize,
    has_begun: bool,
    /// What was sent, by claim and number.
    events: Vec<(usize, String, Known)>,
    ended: bool,
    readers: [Reader; 3],
}

impl World {
    fn new() -> Self {
        let log = Arc::new(Shared::default());
        let nodes = [Node::of(&log), Node::of(&log)];
        let hubs = [hub(&nodes[0]), hub(&nodes[1])];
        Self {
            log,
            nodes,
            hubs,
            claimants: Vec::new(),
            claims: 0,
            has_begun: false,
            events: Vec::new(),
            ended: false,
            readers: Default::default(),
        }
    }

    fn answer_next(&self, fate: Fate) {
        locked(&self.log.0).answers = VecDeque::from([fate]);
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Produce { node } => self.produce(node),
            Op::Send { producer, fate } => self.send(producer, fate),
            Op::End { producer } => self.end(producer),
            Op::LeaveOpen { producer } => {
                if producer < self.claimants.len() {
                    self.claimants.remove(producer).producer.leave_open();
                }
            }
            Op::Tell { node, count } => self.nodes[node].tell(count),
            Op::Read { reader, node, back } if self.has_begun => {
                // A reader that is not to come back stays where it is, and that node is asked.
                self.readers[reader].read(&self.hubs[node], &self.nodes[node], back);
            }
            Op::Read { .. } => {}
        }
        locked(&self.log.0).answers.clear();
    }

    fn produce(&mut self, node: usize) {
        match soon(&self.nodes[node], self.hubs[node].produce(ANSWER).into_future()) {
            Ok(producer) => {
                assert!(!self.ended);
                assert_eq!(producer.takes_over(), self.has_begun);
                self.has_begun = true;
                self.claimants.push(Claimant { producer, node, number: self.claims, sent: 0 });
                self.claims += 1;
            }
            Err(ProduceError::Ended) => assert!(self.ended),
            Err(other) => panic!("{other}"),
        }
    }

    fn send(&mut self, producer: usize, fate: Fate) {
        self.answer_next(fate);
        let newest = self.claims;
        let Some(claimant) = self.claimants.get_mut(producer) else { return };
        claimant.sent += 1;
        let text = format!("{}.{}", claimant.number, claimant.sent);
        let is_newest = claimant.number + 1 == newest;
        let sent = soon(&self.nodes[claimant.node], claimant.producer.send(Event::new(text.clone())));
        let known = match sent {
            Ok(_) => {
                assert!(is_newest, "{text} was accepted behind a take-over");
                // What was open before is in its place now.
                let before = self.events.iter_mut().filter(|(number, ..)| *number == claimant.number);
                for (.., known) in before.filter(|(.., known)| *known == Known::Maybe) {
                    *known = Known::Stored;
                }
                Known::Stored
            }
            Err(ProduceError::Superseded) => {
                assert!(!is_newest, "nobody has taken over");
                Known::NotStored
            }
            Err(ProduceError::Ended | ProduceError::Publish(PublishError::NotStored(_))) => Known::NotStored,
            Err(ProduceError::Publish(PublishError::MaybeStored(_))) => Known::Maybe,
            Err(other) => panic!("{other}"),
        };
        self.events.push((claimant.number, text, known));
    }

    fn end(&mut self, producer: usize) {
        let newest = self.claims;
        let Some(claimant) = self.claimants.get_mut(producer) else { return };
        match soon(&self.nodes[claimant.node], claimant.producer.end("end")) {
            Ok(_) => {
                assert_eq!(claimant.number + 1, newest, "ended behind a take-over");
                self.ended = true;
            }
            Err(ProduceError::Superseded) => assert_ne!(claimant.number + 1, newest),
            Err(other) => panic!("{other}"),
        }
    }

    /// Nothing is kept from the nodes any more, and everybody reads what there is.
    fn check(mut self) {
        for claimant in self.claimants.drain(..) {
            claimant.producer.leave_open();
        }
        for node in &self.nodes {
            node.tell(usize::MAX);
        }
        if !self.has_begun {
            return;
        }
        let mut everything = Vec::new();
        for node in 0..2 {
            let mut reader = Reader::default();
            reader.read(&self.hubs[node], &self.nodes[node], false);
            everything.push(reader.seen);
        }
        assert_eq!(everything[0], everything[1], "both nodes tell the same");
        let everything = everything.remove(0);
        for (which, reader) in self.readers.iter_mut().enumerate() {
            assert!(everything.starts_with(&reader.seen), "{:?} of {everything:?}", reader.seen);
            reader.read(&self.hubs[which % 2], &self.nodes[which % 2], true);
            assert_eq!(reader.seen, everything, "reader {which}");
        }
        self.check_order(&everything);
    }

    /// One producer's events after the other's, each in its order, with all that were accepted and none that was refused.
    fn check_order(&self, seen: &[String]) {
        let said = seen.strip_suffix(&["end".to_owned()]).unwrap_or(seen);
        if self.ended {
            assert_eq!(said.len() + 1, seen.len(), "the end is there: {seen:?}");
        }
        let parse = |text: &String| {
            let (claim, number) = text.split_once('.').expect("an event");
            (claim.parse::<usize>().expect("a number"), number.parse::<usize>().expect("a number"))
        };
        let places: Vec<_> = said.iter().map(parse).collect();
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
        for (_, text, known) in &self.events {
            match known {
                Known::Stored => assert!(said.contains(text), "{text} was accepted: {seen:?}"),
                Known::NotStored => assert!(!said.contains(text), "{text} was refused: {seen:?}"),
                Known::Maybe => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Goal: P2 and P3 for the readers of a stream, whoever produces it, on two nodes that know of each other late.
    #[test]
    fn readers_see_one_producer_s_events_after_the_other_s(ops in prop::collection::vec(op(), 1..80)) {
        let mut world = World::new();
        for op in &ops {
            world.step(op);
        }
        world.check();
    }
}

/// Its task was aborted while it waited for the log.
#[test]
fn a_producer_that_is_dropped_in_the_midst_of_an_event_has_abandoned_its_stream() {
    let log = Arc::new(Shared::default());
    let node = Node::of(&log);
    let hub = hub(&node);
    let mut producer = soon(&node, hub.produce(ANSWER).into_future()).expect("a producer");
    node.is_slow.store(true, Ordering::Relaxed);
    {
        let mut sending = pin!(producer.send(Event::new("one")));
        assert!(sending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    drop(producer);
    node.tell(usize::MAX);
    let mut reader = hub.subscribe(ANSWER).after(id("earliest")).bookmarks(false);
    assert_eq!(ready_data(&mut reader), ["one", "abandoned"]);
}

/// A producer whose node has not heard of the take-over.
#[test]
fn a_producer_that_has_not_heard_of_the_take_over_is_refused_all_the_same() {
    let log = Arc::new(Shared::default());
    let (near, far) = (Node::of(&log), Node::of(&log));
    let (one, other) = (hub(&near), hub(&far));
    let mut first = soon(&near, one.produce(ANSWER).into_future()).expect("a producer");
    let mut second = soon(&far, other.produce(ANSWER).into_future()).expect("a producer");
    assert!(!first.is_stopped(), "nobody has told it");
    let late = soon(&near, first.send(Event::new("late")));
    assert!(matches!(late, Err(ProduceError::Superseded)), "{late:?}");
    soon(&far, second.send(Event::new("second"))).expect("sent");
    soon(&far, other.stop_producing(ANSWER)).expect("asked");
    assert!(!second.is_stopped());
    far.tell(usize::MAX);
    assert!(second.is_stopped());
    near.tell(usize::MAX);
    let mut reader = one.subscribe(ANSWER).after(id("earliest")).bookmarks(false);
    assert_eq!(ready_data(&mut reader), ["second"]);
    second.leave_open();
}
