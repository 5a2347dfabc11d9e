//! A hub beside a simple model of it: P1, P2, P3, P5, P6 and P7. The tests of the engines run it over theirs.
//!
//! Goal: whatever publishers, subscribers, retention and the engine do, every client can account for every event.
//! Method: a random history of publications, connections with every kind of last event ID, reads, disconnects and
//! faults. The model knows all that was accepted; a client knows its *frontier*, the position up to which it has
//! accounted for all that it asked for and may read. Every delivery has to move it without leaving anything out.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fanfare_hub::engine::Engine;
use fanfare_hub::{
    Delivery, GapReason, Grant, Hub, IdempotencyKey, Matcher, Position, Publication, PublishError, Selection,
    Subscription, UnknownId,
};
use fanfare_wire::{Event, EventId};
use futures_core::Stream;
use proptest::prelude::*;

use crate::support::toy::{NextAnswer, Toy};
use crate::support::{Bell, TestClock, id, topic};

const TOPICS: [&str; 4] = ["a", "b", "c", "d"];
pub const CLIENTS: usize = 4;

/// What the hub keeps its log in.
#[allow(dead_code)] // The tests of one engine do not run over another.
pub enum Below {
    Memory,
    Toy,
    Disk(Box<dyn Disk>),
}

/// A log that outlives the hub. Its answers come from other threads.
pub trait Disk {
    /// Opens it, for a hub with this clock; the one before has been dropped.
    fn open(&mut self, clock: Arc<TestClock>, without_indexes: bool) -> Arc<dyn Engine>;
    /// The oldest position that it keeps.
    fn oldest(&self) -> Position;
    /// Gives up what it holds of the engine.
    fn close(&mut self);
    /// Copies the log as it is now.
    fn back_up(&mut self);
    /// Puts that copy in the place of the log, which is closed.
    fn go_back(&mut self);
    /// Remembers the end: what is behind it from now on may be torn.
    fn note_end(&mut self);
    /// Copies the log while it is open, torn somewhere behind that end, and goes on with the copy once this one is closed:
    /// after `cut` of 255 parts of what is there in the newest file.
    fn tear(&mut self, cut: u8);
}

#[derive(Clone, Debug)]
pub enum Op {
    Publish {
        topics: u8,
        private: bool,
        chosen: Option<u8>,
        with_key: bool,
    },
    /// The newest attempt with a key once more, or another publication under that key.
    Retry {
        changed: bool,
    },
    Connect {
        client: usize,
        cursor: With,
    },
    Read {
        client: usize,
        count: usize,
    },
    Disconnect {
        client: usize,
    },
    Advance {
        seconds: u64,
    },
    /// The hub ends and another begins over the same log, if it outlives the hub.
    Restart {
        without_indexes: bool,
    },
    /// Everything ends at once, while the newest publications are on their way to the disk.
    Kill {
        under_way: u8,
        cut: u8,
    },
    BackUp,
    /// The log goes on as it was when it was backed up.
    GoBack,
    Engine(EngineOp),
}

/// The last event ID to come with.
#[derive(Clone, Debug)]
pub enum With {
    Nothing,
    Own,
    Older(usize),
    /// That of the newest publication, which its publisher may know before the hub has heard of it.
    Published,
    Earliest,
    Unknown,
    Foreign,
}

#[derive(Clone, Copy, Debug)]
pub enum EngineOp {
    Tell(usize),
    Trim(usize),
    Answer(NextAnswer),
    Stall,
    Recover,
    NewEpoch,
}

#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// A mask of topics; all bits set asks for `*`.
    asks: u8,
    grants: u8,
    bookmarks: bool,
    unknown_is_oldest: bool,
}

pub fn op() -> impl Strategy<Value = Op> {
    let client = 0..CLIENTS;
    let with = prop_oneof![
        2 => Just(With::Nothing),
        6 => Just(With::Own),
        2 => (0..8usize).prop_map(With::Older),
        2 => Just(With::Published),
        1 => Just(With::Earliest),
        1 => Just(With::Unknown),
        1 => Just(With::Foreign),
    ];
    prop_oneof![
        8 => (1..16u8, any::<bool>(), prop::option::weighted(0.3, 0..5u8), any::<bool>())
            .prop_map(|(topics, private, chosen, with_key)| Op::Publish { topics, private, chosen, with_key }),
        2 => prop::bool::weighted(0.2).prop_map(|changed| Op::Retry { changed }),
        4 => (client.clone(), with).prop_map(|(client, cursor)| Op::Connect { client, cursor }),
        6 => (client.clone(), 1..6usize).prop_map(|(client, count)| Op::Read { client, count }),
        2 => client.prop_map(|client| Op::Disconnect { client }),
        1 => (1..20u64).prop_map(|seconds| Op::Advance { seconds }),
        6 => engine_op().prop_map(Op::Engine),
        1 => any::<bool>().prop_map(|without_indexes| Op::Restart { without_indexes }),
        1 => (0..4u8, any::<u8>()).prop_map(|(under_way, cut)| Op::Kill { under_way, cut }),
        1 => Just(Op::BackUp),
        1 => Just(Op::GoBack),
    ]
}

fn engine_op() -> impl Strategy<Value = EngineOp> {
    let answer = prop_oneof![
        Just(NextAnswer::Refused),
        Just(NextAnswer::UnknownStored),
        Just(NextAnswer::UnknownLost)
    ];
    prop_oneof![
        12 => (1..5usize).prop_map(EngineOp::Tell),
        2 => (1..4usize).prop_map(EngineOp::Trim),
        2 => answer.prop_map(EngineOp::Answer),
        1 => Just(EngineOp::Stall),
        2 => Just(EngineOp::Recover),
        1 => Just(EngineOp::NewEpoch),
    ]
}

pub fn client_plan() -> impl Strategy<Value = ClientPlan> {
    (1..16u8, prop_oneof![Just(0), Just(15), 0..16u8], any::<bool>(), any::<bool>()).prop_map(
        |(asks, grants, bookmarks, unknown_is_oldest)| ClientPlan {
            asks,
            grants,
            bookmarks,
            unknown_is_oldest,
        },
    )
}

#[derive(Clone)]
struct Accepted {
    topics: u8,
    private: bool,
    chosen: Option<EventId>,
}

/// A publication that is tried under a key, perhaps several times.
#[derive(Clone)]
struct Attempt {
    what: Accepted,
    data: String,
    key: Option<IdempotencyKey>,
    /// Where it stands, if it does.
    stored: Option<(u32, Position)>,
    /// The id it was answered with.
    id: Option<EventId>,
}

struct World {
    hub: Hub,
    toy: Option<Arc<Toy>>,
    disk: Option<Box<dyn Disk>>,
    /// How many events memory holds.
    history: usize,
    clock: Arc<TestClock>,
    /// What the present log has accepted: the entry at position `n` is at `n - 1`.
    log: Vec<Accepted>,
    /// How many logs there were before this one; one that went back is another, but for what it kept.
    epoch: u32,
    /// How long the log was when it was backed up.
    backup: Option<usize>,
    /// How often each publisher's id was used, over all logs.
    uses: HashMap<EventId, u32>,
    /// The newest attempt with a key.
    attempt: Option<Attempt>,
    attempts: u64,
    /// The id of the newest publication, and where it stands.
    published: Option<(EventId, (u32, Position))>,
    /// Ids that another hub made.
    foreign: HashSet<String>,
    clients: Vec<Client>,
}

struct Client {
    plan: ClientPlan,
    subscription: Option<Subscription>,
    last_event_id: Option<EventId>,
    /// Everything up to here, in the log of that epoch, is accounted for.
    frontier: Option<(u32, Position)>,
    /// What it has seen: id, and the frontier it stood for.
    seen: Vec<(EventId, Option<(u32, Position)>)>,
    /// What a gap may be told for at the start, besides retention and a new epoch.
    excuse: Option<GapReason>,
    asked_earliest: bool,
    is_new: bool,
    /// The log that it came to, and the end of it then.
    came_to: (u32, Position),
    bell: Arc<Bell>,
    waiting: bool,
}

impl Client {
    fn wants(&self, accepted: &Accepted) -> bool {
        let asked = self.plan.asks == 15 || self.plan.asks & accepted.topics != 0;
        asked && self.may_read(accepted)
    }

    fn may_read(&self, accepted: &Accepted) -> bool {
        !accepted.private || self.plan.grants & accepted.topics != 0
    }
}

fn mask(topics: u8) -> impl Iterator<Item = Matcher> {
    TOPICS
        .iter()
        .enumerate()
        .filter(move |(bit, _)| topics & (1 << bit) != 0)
        .map(|(_, text)| topic(text).into())
}

/// How long an answer may take until it counts as one that never comes.
const NEVER: Duration = Duration::from_secs(20);

/// Runs a future that is ready after having been polled a few times, or that another thread answers.
fn soon<T>(future: impl Future<Output = T>, from_elsewhere: bool) -> T {
    let bell = Arc::new(Bell::default());
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&bell.waker())) {
            Poll::Ready(value) => return value,
            Poll::Pending if from_elsewhere => bell.wait(NEVER),
            Poll::Pending => assert!(bell.was_rung(), "the future waits for nobody"),
        }
    }
}

/// A hub over an engine, or over its own in memory.
fn build(history: usize, clock: &Arc<TestClock>, engine: Option<Arc<dyn Engine>>) -> Hub {
    // What is kept for those who catch up: nothing beyond a page, a few, or all.
    let catch_up = [0, 2_000, 1 << 20][history % 3];
    let builder = Hub::builder().history_events(history).catch_up_bytes(catch_up).clock(clock.clone());
    let builder = match engine {
        Some(engine) => builder.engine(engine),
        None => builder,
    };
    builder.build().expect("a hub")
}

impl World {
    fn new(history: usize, plans: Vec<ClientPlan>, below: Below) -> Self {
        let clock = Arc::new(TestClock::default());
        let (mut toy, mut disk) = (None, None);
        let engine: Option<Arc<dyn Engine>> = match below {
            Below::Memory => None,
            Below::Toy => Some(toy.insert(Toy::new(clock.clone())).clone()),
            Below::Disk(below) => Some(disk.insert(below).open(clock.clone(), false)),
        };
        let clients = plans.into_iter().map(|plan| Client {
            plan,
            subscription: None,
            last_event_id: None,
            frontier: None,
            seen: Vec::new(),
            excuse: None,
            asked_earliest: false,
            is_new: false,
            came_to: (0, 0),
            bell: Arc::default(),
            waiting: false,
        });
        Self {
            hub: build(history, &clock, engine),
            toy,
            disk,
            history,
            clock,
            log: Vec::new(),
            epoch: 0,
            backup: None,
            uses: HashMap::new(),
            attempt: None,
            attempts: 0,
            published: None,
            foreign: HashSet::new(),
            clients: clients.collect(),
        }
    }

    fn oldest(&self) -> Position {
        if let Some(disk) = &self.disk {
            return disk.oldest();
        }
        self.toy.as_ref().map_or_else(|| self.hub.counts().log_oldest, |toy| toy.oldest())
    }

    fn told(&self) -> Position {
        self.toy.as_ref().map_or_else(|| self.hub.counts().log_next, |toy| toy.told())
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Publish { topics, private, chosen, with_key } => {
                self.attempts += 1;
                let chosen = chosen.map(|n| id(&format!("chosen {n}")));
                self.publish(Attempt {
                    what: Accepted { topics, private, chosen },
                    data: self.attempts.to_string(),
                    key: with_key.then(|| IdempotencyKey::new(self.attempts.to_string())),
                    stored: None,
                    id: None,
                });
            }
            Op::Retry { changed } => {
                let Some(mut attempt) = self.attempt.clone() else { return };
                if changed {
                    attempt.data += " changed";
                }
                self.publish(attempt);
            }
            Op::Connect { client, cursor } => self.connect(client, &cursor),
            Op::Read { client, count } => {
                for _ in 0..count {
                    if !self.read(client) {
                        break;
                    }
                }
            }
            Op::Disconnect { client } => {
                self.clients[client].subscription = None;
                self.clients[client].waiting = false;
            }
            Op::Advance { seconds } => self.clock.advance(Duration::from_secs(seconds)),
            Op::Restart { without_indexes } => {
                if let Some(disk) = self.close() {
                    self.open(disk, without_indexes);
                }
            }
            Op::Kill { under_way, cut } => self.kill(under_way, cut),
            Op::BackUp => {
                if let Some(disk) = &mut self.disk {
                    disk.back_up();
                    self.backup = Some(self.log.len());
                }
            }
            Op::GoBack => self.go_back(),
            Op::Engine(op) => self.disturb(op),
        }
    }

    /// Ends the hub and all subscriptions, if the log outlives them.
    fn close(&mut self) -> Option<Box<dyn Disk>> {
        let mut disk = self.disk.take()?;
        for client in &mut self.clients {
            client.subscription = None;
        }
        self.hub = Hub::builder().build().expect("a hub");
        disk.close();
        Some(disk)
    }

    fn open(&mut self, mut disk: Box<dyn Disk>, without_indexes: bool) {
        self.hub = build(self.history, &self.clock, Some(disk.open(self.clock.clone(), without_indexes)));
        // Who opens a log looks for keys only among what is kept.
        let oldest = disk.oldest();
        self.attempt.take_if(|attempt| attempt.stored.is_some_and(|(_, position)| position < oldest));
        self.disk = Some(disk);
    }

    fn kill(&mut self, under_way: u8, cut: u8) {
        let Some(disk) = &mut self.disk else { return };
        disk.note_end();
        let acknowledged = self.log.len();
        for topics in 0..under_way {
            self.run(Op::Publish { topics: topics + 1, private: false, chosen: None, with_key: true });
        }
        if let Some(disk) = &mut self.disk {
            disk.tear(cut);
        }
        let Some(disk) = self.close() else { return };
        self.open(disk, false);
        let left = index(self.told());
        assert!((acknowledged..=self.log.len()).contains(&left), "P4: {left} of {acknowledged} are left");
        self.shorten(left);
    }

    fn go_back(&mut self) {
        let Some(length) = self.backup else { return };
        let Some(mut disk) = self.close() else { return };
        disk.go_back();
        self.shorten(length);
        self.open(disk, false);
        assert_eq!(index(self.told()), length, "the log is as long as it was");
    }

    /// The log goes on behind its first entries. Whoever has seen more than these has seen another log.
    fn shorten(&mut self, length: usize) {
        if length == self.log.len() {
            return;
        }
        self.log.truncate(length);
        let (before, now) = (self.epoch, self.epoch + 1);
        self.epoch = now;
        let stay = |place: &mut (u32, Position)| {
            if place.0 == before && place.1 <= length as Position {
                place.0 = now;
            }
        };
        for client in &mut self.clients {
            client.frontier.iter_mut().for_each(stay);
            client.seen.iter_mut().filter_map(|(_, place)| place.as_mut()).for_each(stay);
            stay(&mut client.came_to);
        }
        self.published.iter_mut().for_each(|(_, place)| stay(place));
        self.attempt.iter_mut().filter_map(|attempt| attempt.stored.as_mut()).for_each(stay);
    }

    fn publish(&mut self, mut attempt: Attempt) {
        let before = self.told();
        let Accepted { topics, private, chosen } = attempt.what.clone();
        let mut event = Event::new(attempt.data.clone());
        if let Some(chosen) = &chosen {
            event = event.id(chosen.clone());
        }
        let named = mask(topics).filter_map(|matcher| fanfare_hub::Topic::parse(matcher.as_str()).ok());
        let addressed = Publication::to(named);
        let mut publication = if private { addressed.private(event) } else { addressed.event(event) };
        if let Some(key) = &attempt.key {
            publication = publication.idempotency_key(key.clone());
        }
        // A log that begins anew remembers no keys.
        if attempt.stored.is_some_and(|(of, _)| of != self.epoch) {
            (attempt.stored, attempt.id) = (None, None);
        }
        let known = attempt.stored.map(|(_, position)| position);
        let is_other =
            self.attempt.as_ref().is_some_and(|last| last.key == attempt.key && last.data != attempt.data);
        let next = self.log.len() as Position + 1;
        let stored = match soon(self.hub.publish_all(publication), self.disk.is_some()) {
            Ok(published) => {
                assert!(known.is_none() || !is_other, "a key was taken for another publication");
                assert_eq!(published.duplicate, known.is_some(), "one key is stored once");
                assert_eq!(published.position, known.unwrap_or(next), "positions are given in order");
                if known.is_some() && attempt.id.is_some() {
                    assert_eq!(
                        Some(&published.id),
                        attempt.id.as_ref(),
                        "a retry is answered with the first id"
                    );
                }
                if let Some(chosen) = &chosen {
                    assert_eq!(&published.id, chosen);
                }
                attempt.id = Some(published.id.clone());
                self.published = Some((published.id, (self.epoch, published.position)));
                !published.duplicate
            }
            Err(PublishError::NotStored(_)) => false,
            Err(PublishError::KeyReused) => {
                assert!(known.is_some() && is_other, "only another publication under a known key is refused");
                return;
            }
            // The publisher cannot know; the model asks the log.
            Err(PublishError::MaybeStored(_)) => self.toy.as_ref().is_some_and(|toy| {
                toy.told() > 0 && soon(Engine::bounds(&**toy), false).expect("bounds").next > next
            }),
            Err(error) => panic!("{error}"),
        };
        if stored {
            assert!(known.is_none(), "one key is stored once");
            attempt.stored = Some((self.epoch, next));
            if let Some(chosen) = &chosen {
                *self.uses.entry(chosen.clone()).or_default() += 1;
            }
            self.log.push(attempt.what.clone());
        }
        // What was not stored under a key leaves it to what was.
        if attempt.key.is_some() && (stored || !is_other) {
            self.attempt = Some(attempt);
        }
        self.check_bells(before);
    }

    /// Who waits and wants something that has become visible must have been woken.
    fn check_bells(&mut self, before: Position) {
        // Over a disk they may wait for something else, and are waited for in their turn.
        if self.disk.is_some() {
            return;
        }
        let told = self.told();
        for client in &mut self.clients {
            let wanted = (before..told).any(|position| client.wants(&self.log[index(position)]));
            if client.waiting && wanted {
                assert!(client.bell.was_rung(), "a doorbell was not rung");
                client.waiting = false;
            }
        }
    }

    fn disturb(&mut self, op: EngineOp) {
        let Some(toy) = self.toy.clone() else { return };
        let before = self.told();
        match op {
            EngineOp::Tell(count) => {
                toy.tell(count);
                self.check_bells(before);
            }
            EngineOp::Trim(count) => toy.trim(count),
            EngineOp::Answer(answer) => toy.answer_next(answer),
            EngineOp::Stall => toy.stall(),
            EngineOp::Recover => toy.recover(),
            EngineOp::NewEpoch => {
                toy.begin_epoch();
                self.log.clear();
                self.epoch += 1;
            }
        }
    }

    fn connect(&mut self, client: usize, cursor: &With) {
        let told = self.told();
        let known = &mut self.clients[client];
        known.subscription = None;
        known.excuse = None;
        known.asked_earliest = false;
        let last = match cursor {
            With::Nothing => None,
            With::Own => known.last_event_id.clone(),
            With::Older(back) => {
                let at = known.seen.len().checked_sub(back + 1);
                at.map(|at| {
                    known.seen.truncate(at + 1);
                    known.frontier = known.seen[at].1;
                    known.seen[at].0.clone()
                })
            }
            With::Published => self.published.clone().map(|(published, at)| {
                known.frontier = Some(at);
                published
            }),
            With::Earliest => Some(id("earliest")),
            With::Unknown => Some(id("nobody's")),
            With::Foreign => {
                let other = Hub::builder().build().expect("a hub");
                let foreign = soon(other.publish("a", Event::new("x")), false).expect("published").id;
                self.foreign.insert(foreign.as_str().to_owned());
                Some(foreign)
            }
        };
        match last.as_ref().map(EventId::as_str) {
            // Live: nothing from now on may be missing.
            None => known.frontier = Some((self.epoch, told - 1)),
            Some("earliest") => {
                known.frontier = None;
                known.asked_earliest = true;
            }
            Some("nobody's") => {
                known.frontier = None;
                known.excuse = Some(GapReason::Unknown);
            }
            Some(foreign) if self.foreign.contains(foreign) => {
                known.frontier = None;
                known.excuse = Some(GapReason::Rewound);
            }
            Some(made) if made.starts_with('#') => {}
            // A publisher's id is known while an entry has it that this client may read.
            Some(chosen) => {
                known.excuse = Some(GapReason::Unknown);
                if self.uses.get(&id(chosen)).is_some_and(|&uses| uses > 1) {
                    known.frontier = None;
                }
            }
        }
        let mut matchers: Vec<Matcher> = mask(known.plan.asks).collect();
        if known.plan.asks == 15 {
            matchers = vec![Matcher::any()];
        }
        let grant: Grant = mask(known.plan.grants).collect();
        let unknown = if known.plan.unknown_is_oldest { UnknownId::Oldest } else { UnknownId::Live };
        let subscription = self.hub.subscribe(matchers.into_iter().collect::<Selection>());
        let subscription = subscription.grant(&grant).bookmarks(known.plan.bookmarks).unknown_id(unknown);
        known.subscription = Some(subscription.after(last.clone()));
        known.last_event_id = last;
        known.waiting = false;
        known.is_new = true;
        known.came_to = (self.epoch, told - 1);
        known.bell.was_rung();
    }

    /// Takes one delivery; `false` if there is none.
    fn read(&mut self, client: usize) -> bool {
        self.forget_the_place_of_a_reused_id(client);
        let is_owed = self.disk.is_some() && self.is_owed(client);
        let known = &mut self.clients[client];
        let Some(subscription) = &mut known.subscription else { return false };
        let delivery = loop {
            let waker = known.bell.waker();
            match Pin::new(&mut *subscription).poll_next(&mut Context::from_waker(&waker)) {
                Poll::Ready(Some(delivery)) => break delivery.expect("no error"),
                Poll::Ready(None) => panic!("the subscription ended"),
                Poll::Pending if known.bell.was_rung() => {}
                Poll::Pending if is_owed => known.bell.wait(NEVER),
                Poll::Pending => {
                    known.waiting = true;
                    // It is not polled again soon, whoever wakes it.
                    subscription.pause();
                    return false;
                }
            }
        };
        known.waiting = false;
        self.account(client, &delivery);
        true
    }

    /// Whether something is kept that this client has yet to get, or to be told a gap for.
    fn is_owed(&self, client: usize) -> bool {
        let known = &self.clients[client];
        let from = match known.frontier {
            Some((of, frontier)) if of == self.epoch => frontier + 1,
            // It has seen another log, and is told so if what it saw last can still be looked up.
            Some((_, frontier)) if frontier >= self.oldest() => return true,
            Some(_) => 1,
            None if known.asked_earliest => 1,
            _ => return false,
        };
        (from.max(self.oldest())..self.told()).any(|position| known.wants(&self.log[index(position)]))
    }

    fn account(&mut self, client: usize, delivery: &Delivery) {
        let (oldest, epoch) = (self.oldest(), self.epoch);
        self.forget_the_place_of_a_reused_id(client);
        self.check_secrecy(client, delivery);
        let known = &self.clients[client];
        let to = delivery.position();
        let same_log = known.frontier.filter(|(of, _)| *of == epoch).map(|(_, position)| position);
        let wanted = |from: Position, to: Position| {
            (from..to).filter(|&position| known.wants(&self.log[index(position)])).collect::<Vec<_>>()
        };
        match delivery {
            Delivery::Event(entry) => {
                let accepted = &self.log[index(to)];
                assert!(known.wants(accepted), "P7: {to} was not asked for, or may not be read");
                if let Some(chosen) = &accepted.chosen {
                    assert_eq!(entry.id(), chosen);
                }
                Self::check_nothing_left_out(known, same_log, oldest, to, wanted);
            }
            Delivery::Bookmark(_) => {
                assert!(known.plan.bookmarks);
                Self::check_nothing_left_out(known, same_log, oldest, to + 1, wanted);
            }
            Delivery::Gap(gap) => {
                let rewound = known.frontier.is_some_and(|(of, _)| of != epoch) || known.came_to.0 != epoch;
                match gap.reason() {
                    GapReason::Trimmed => {
                        let behind = same_log.unwrap_or(0) + 1;
                        assert!(
                            behind < oldest,
                            "a gap though everything from {behind} on is kept (oldest {oldest})"
                        );
                        let lost = wanted(behind.max(oldest), to + 1);
                        assert!(lost.is_empty(), "P2: {lost:?} are kept, but the gap swallows them");
                    }
                    GapReason::Rewound => assert!(rewound || known.excuse == Some(GapReason::Rewound)),
                    GapReason::Unknown => assert_eq!(known.excuse, Some(GapReason::Unknown)),
                    _ => panic!("no such reason is known here"),
                }
                // Whatever the gap is for, it does not swallow what came after the client did, as long as that is kept.
                if known.is_new && known.came_to.0 == epoch {
                    let lost = wanted((known.came_to.1 + 1).max(oldest), to + 1);
                    assert!(lost.is_empty(), "P2: {lost:?} came after the client, but the gap swallows them");
                }
            }
            _ => panic!("no such delivery is known here"),
        }
        let known = &mut self.clients[client];
        known.is_new = false;
        known.excuse = None;
        known.frontier = Some((epoch, to));
        known.last_event_id = Some(delivery.id().clone());
        known.seen.push((delivery.id().clone(), known.frontier));
    }

    /// P7: nobody resumes from a publisher's id whose entry they may not read.
    fn check_secrecy(&self, client: usize, delivery: &Delivery) {
        let known = &self.clients[client];
        let Some(last) = known.last_event_id.as_ref().filter(|_| known.is_new) else { return };
        let mut entries =
            self.log.iter().filter(|accepted| accepted.chosen.as_ref() == Some(last)).peekable();
        let is_secret = entries.peek().is_some() && !entries.any(|accepted| known.may_read(accepted));
        if is_secret && known.came_to.0 == self.epoch {
            let is_unknown = matches!(delivery, Delivery::Gap(gap) if gap.reason() == GapReason::Unknown);
            assert!(is_unknown, "P7: {last:?} is of an entry that may not be read, but {delivery:?} comes");
        }
    }

    /// A publisher's id that was used again before it was looked up: the promise does not hold for it (M-134).
    fn forget_the_place_of_a_reused_id(&mut self, client: usize) {
        let known = &mut self.clients[client];
        let uses = known.last_event_id.as_ref().and_then(|last| self.uses.get(last));
        if known.is_new && uses.is_some_and(|&uses| uses > 1) {
            known.frontier = None;
        }
    }

    /// P1, P2, P3: everything that was wanted between the frontier and `to` (exclusive) is accounted for.
    fn check_nothing_left_out(
        client: &Client,
        same_log: Option<Position>,
        oldest: Position,
        to: Position,
        wanted: impl Fn(Position, Position) -> Vec<Position>,
    ) {
        match (client.frontier, same_log) {
            (Some(_), Some(frontier)) => {
                assert!(to > frontier, "P1, P3: {to} comes behind {frontier}");
                let left_out = wanted(frontier + 1, to);
                assert!(left_out.is_empty(), "P2: {left_out:?} were left out before {to}");
            }
            // What stood there is not kept, so nobody can tell whether it was another entry.
            (Some((_, lost)), None) if client.is_new && lost < oldest => {}
            (Some(_), None) => panic!("P6: the log was rewound and nobody was told"),
            (None, _) if client.asked_earliest => {
                let left_out = wanted(oldest, to.max(oldest));
                assert!(left_out.is_empty(), "P2: {left_out:?} are kept, but the replay begins at {to}");
            }
            // A publisher's id that was used twice: the promise does not hold for it (M-134).
            (None, _) => {}
        }
    }

    /// In the end everybody has everything.
    fn settle(&mut self) {
        if let Some(toy) = &self.toy {
            toy.recover();
            toy.tell(usize::MAX);
        }
        for client in 0..CLIENTS {
            while self.read(client) {}
            self.forget_the_place_of_a_reused_id(client);
            let (epoch, oldest) = (self.epoch, self.oldest());
            let known = &self.clients[client];
            if let (Some(_), Some((of, frontier))) = (&known.subscription, known.frontier) {
                if of != epoch && self.log.is_empty() {
                    continue;
                }
                let from = if of == epoch { frontier + 1 } else { oldest };
                let missing: Vec<_> = (from..=self.log.len() as Position)
                    .filter(|&at| known.wants(&self.log[index(at)]))
                    .collect();
                assert!(missing.is_empty(), "P2: client {client} never got {missing:?}");
            }
        }
    }
}

fn index(position: Position) -> usize {
    usize::try_from(position - 1).expect("a small position")
}

/// Plays a history, and holds every delivery against the model.
pub fn check(history: usize, plans: Vec<ClientPlan>, ops: Vec<Op>, below: Below) {
    let mut world = World::new(history, plans, below);
    for op in ops {
        world.run(op);
    }
    world.settle();
    // P5: nothing is held for subscribers that are gone.
    world.clients.clear();
    let counts = world.hub.counts();
    assert_eq!((counts.subscribers, counts.readerships), (0, 0));
    assert!(counts.log_entries <= history as u64);
}
