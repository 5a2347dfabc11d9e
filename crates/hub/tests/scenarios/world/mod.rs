//! A hub beside a simple model of it: P1, P2, P3, P5, P6 and P7. The tests of the engines run it over theirs.
//!
//! Goal: whatever publishers, subscribers, retention and the engine do, every client can account for every event.
//! Method: a random history of publications, connections with every kind of last event ID, reads, disconnects and
//! faults. The model knows all that was accepted; a client knows its *frontier*, the position up to which it has
//! accounted for all that it asked for and may read. Every delivery has to move it without leaving anything out.

mod accounts;
mod disk;
mod publishing;
mod steps;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fanfare_hub::engine::Engine;
use fanfare_hub::{
    GapReason, Grant, Hub, IdempotencyKey, Matcher, Position, Selection, SubscribeError, Subscription,
    UnknownId,
};
use fanfare_wire::{Event, EventId};

use super::reader::{Reader, read, rest};
use super::support::toy::Toy;
use super::support::{Bell, Got, Read, TestClock, What, id, position_of, topic};
use accounts::Client;
#[allow(unused_imports)] // The tests of one engine do not run over another.
pub use disk::Disk;
use publishing::{Accepted, Attempt};
use steps::{ClientPlan, EngineOp, Op, SievePlan, With, is_even};
pub use steps::{client_plan, op};

const TOPICS: [&str; 4] = ["a", "b", "c", "d"];
pub const CLIENTS: usize = 4;

/// What the hub keeps its log in.
#[allow(dead_code)] // The tests of one engine do not run over another.
pub enum Below {
    Memory,
    Toy,
    Disk(Box<dyn Disk>),
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
    /// Up to where retention may have dropped entries of a log that has lost its newest ones since.
    dropped: Position,
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

fn mask(topics: u8) -> impl Iterator<Item = Matcher> {
    TOPICS
        .iter()
        .enumerate()
        .filter(move |(bit, _)| topics & (1 << bit) != 0)
        .map(|(_, text)| topic(text).into())
}

/// What a mask asks for.
fn selection(asks: u8) -> Selection {
    if asks == 15 { Matcher::any().into() } else { mask(asks).collect() }
}

/// A subscription that leaves something out.
fn sieved(mut subscription: Subscription, plan: &SievePlan) -> Subscription {
    if let Some(name) = plan.name {
        subscription = subscription.named(name.to_string());
    }
    if plan.is_picky {
        subscription = subscription.filter(|entry| is_even(entry.frame().as_bytes()));
    }
    if plan.conflates { subscription.conflate() } else { subscription }
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
            reader: None,
            handle: None,
            asked: Vec::new(),
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
            dropped: 1,
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
            let oldest = disk.oldest();
            let kept_from = self.kept_from(disk.keeps());
            let bounds = kept_from..=kept_from.max(self.dropped);
            assert!(bounds.contains(&oldest), "what was to be kept is gone, or what was not is kept");
            return oldest;
        }
        self.toy.as_ref().map_or_else(|| self.hub.counts().log_oldest, |toy| toy.oldest())
    }

    /// The oldest of so many entries.
    fn kept_from(&self, keeps: Option<u64>) -> Position {
        let next = self.log.len() as Position + 1;
        keeps.map_or(1, |keeps| next.saturating_sub(keeps).max(1))
    }

    fn told(&self) -> Position {
        self.toy.as_ref().map_or_else(|| self.hub.counts().log_next, |toy| toy.told())
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Publish { topics, private, chosen, with_key, except } => {
                self.attempts += 1;
                let chosen = chosen.map(|n| id(&format!("chosen {n}")));
                self.publish(Attempt {
                    what: Accepted {
                        topics,
                        private,
                        chosen,
                        data: self.attempts.to_string(),
                        except,
                        id: None,
                    },
                    key: with_key.then(|| IdempotencyKey::new(self.attempts.to_string())),
                    stored: None,
                });
            }
            Op::Retry { changed } => {
                let Some(mut attempt) = self.attempt.clone() else { return };
                if changed {
                    attempt.what.data += " changed";
                }
                self.publish(attempt);
            }
            Op::Connect { client, cursor } => self.connect(client, &cursor),
            // Whoever serves sockets serves all of them.
            Op::Read { .. } if Reader::IS_SERVED => {
                (0..CLIENTS).for_each(|client| while self.read(client) {});
            }
            Op::Read { client, count } => {
                for _ in 0..count {
                    if !self.read(client) {
                        break;
                    }
                }
            }
            Op::Change { client, asks } => self.change(client, asks),
            Op::Disconnect { client } => {
                self.clients[client].reader = None;
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
        known.reader = None;
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
        let grant: Grant = mask(known.plan.grants).collect();
        let unknown = if known.plan.unknown_is_oldest { UnknownId::Oldest } else { UnknownId::Live };
        let mut subscription = self.hub.subscribe(selection(known.plan.asks));
        known.handle = Some(subscription.handle());
        known.asked = vec![(self.epoch, 0, known.plan.asks)];
        let subscription = subscription.grant(&grant).bookmarks(known.plan.bookmarks).unknown_id(unknown);
        let subscription = match &known.plan.sieve {
            None => subscription,
            Some(sieve) => sieved(subscription, sieve),
        };
        known.reader = Some(read(subscription.after(last.clone())));
        known.last_event_id = last;
        known.waiting = false;
        known.is_new = true;
        known.came_to = (self.epoch, told - 1);
        known.bell.was_rung();
    }

    /// Has a client ask for something else while it reads.
    fn change(&mut self, client: usize, asks: u8) {
        let (epoch, from) = (self.epoch, self.told());
        let known = &mut self.clients[client];
        if known.reader.is_none() {
            return;
        }
        let Some(handle) = &known.handle else { return };
        match handle.select(selection(asks)) {
            Ok(()) => {
                known.asked.push((epoch, from, asks));
                known.plan.asks = asks;
            }
            Err(SubscribeError::TooManyChanges { .. }) => {}
            Err(error) => panic!("it reads and cannot be changed: {error}"),
        }
    }

    /// Where something that comes now stands.
    fn position(&self, got: &Got) -> Position {
        if let Some(position) = got.position {
            return position;
        }
        match &got.what {
            // Its id may be its publisher's, and others may have it too.
            What::Event { data } => {
                let at = self.log.iter().position(|accepted| &accepted.data == data);
                at.expect("it was published") as Position + 1
            }
            _ if self.toy.is_some() => Toy::position_of(&got.id),
            _ => position_of(&self.hub, &got.id),
        }
    }

    /// Takes what comes next; `false` if there is nothing.
    fn read(&mut self, client: usize) -> bool {
        self.forget_the_place_of_a_reused_id(client);
        let is_owed = self.disk.is_some() && self.is_owed(client);
        let known = &mut self.clients[client];
        let Some(reader) = &mut known.reader else { return false };
        let got = loop {
            match reader.take(&known.bell) {
                Poll::Ready(Some(got)) => break got.expect("no error"),
                Poll::Ready(None) => panic!("the subscription ended"),
                Poll::Pending if known.bell.was_rung() => {}
                Poll::Pending if is_owed => known.bell.wait(NEVER),
                Poll::Pending => {
                    known.waiting = !Reader::IS_SERVED;
                    // It is not polled again soon, whoever wakes it.
                    reader.pause();
                    return false;
                }
            }
        };
        known.waiting = false;
        self.account(client, &got);
        true
    }

    /// In the end everybody has everything.
    fn settle(&mut self) {
        if let Some(toy) = &self.toy {
            toy.recover();
            toy.tell(usize::MAX);
        }
        self.settle_clients();
        if self.disk.is_none() {
            return;
        }
        // Once more from the disk alone: each where it was, and then each from the beginning.
        for (cursor, without_indexes) in [(With::Own, false), (With::Earliest, true)] {
            if let Some(disk) = self.close() {
                self.open(disk, without_indexes);
            }
            (0..CLIENTS).for_each(|client| self.connect(client, &cursor));
            self.settle_clients();
        }
    }

    fn settle_clients(&mut self) {
        for client in 0..CLIENTS {
            while self.read(client) {}
            self.forget_the_place_of_a_reused_id(client);
            let (epoch, oldest) = (self.epoch, self.oldest());
            let known = &self.clients[client];
            if let (Some(_), Some((of, frontier))) = (&known.reader, known.frontier) {
                if of != epoch && self.log.is_empty() {
                    continue;
                }
                let from = if of == epoch { frontier + 1 } else { oldest };
                let missing: Vec<_> = (from..=self.log.len() as Position)
                    .filter(|&at| known.wants(&self.log[index(at)], epoch, at))
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
    rest();
    let counts = world.hub.counts();
    assert_eq!((counts.subscribers, counts.readerships), (0, 0));
    assert!(counts.log_entries <= history as u64);
}
