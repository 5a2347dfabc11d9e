//! Nodes over one log, with all that can happen to them: words that are lost and overtake each other, nodes that stop, die, leave
//! and begin, logs of which some is missed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::roll::{Do, Known, Roll};
use super::said::{Beginning, Life, Node, Note, Word};
use crate::subscriptions::document::{AsAsked, Subscriber, Subscription};
use crate::subscriptions::registry::{Change, Number, Registry};
use crate::token::Language;

/// How many nodes there are at a time.
const NODES: usize = 3;
/// How long all is well at the end.
const CALM: usize = 60;

/// A place in the log.
#[derive(Clone, Debug)]
enum Entry {
    Note(Note),
    /// What was announced before is void, and readers are told.
    Void,
}

#[derive(Default)]
struct Log {
    entries: Vec<Entry>,
    /// What it would know again.
    keys: BTreeSet<(Life, String, bool, bool, Option<Number>)>,
}

impl Log {
    fn append(&mut self, note: Note) {
        self.entries.push(Entry::Note(note));
    }

    /// As the engine does: what is said under one key is stored once.
    fn announce(&mut self, life: Life, of_dead: bool, change: &Change) {
        let Change { subscriber, active, number } = change;
        for subscription in &subscriber.subscriptions {
            let id = subscriber.id.clone();
            let key = format!("{id} {}", subscription.asked.text);
            if !self.keys.insert((life, key, of_dead, *active, *number)) {
                continue;
            }
            self.append(if *active {
                Note::Came { life, subscriber: id, subscription: subscription.clone() }
            } else {
                Note::Gone { subscriber: id, asked: subscription.asked.clone(), of_dead }
            });
        }
    }
}

/// A node, as `mod.rs` makes one of its parts.
struct Process {
    roll: Roll,
    registry: Registry,
    there: Option<Beginning>,
    subscribers: BTreeMap<Number, String>,
    /// How far it has followed the log.
    next: usize,
    /// Whether it stands still, as a machine that hangs.
    stopped: bool,
    /// Words that are on their way to it.
    words: Vec<Word>,
    /// What it has to do that the log has not taken yet.
    undone: Vec<Do>,
}

/// Somebody who reads all announcements.
struct Reader {
    /// Who is there, as far as it knows; `None` if it has to ask for a list first.
    there: Option<BTreeSet<(String, String)>>,
    next: usize,
}

impl Reader {
    /// Reads on to a place in the log.
    fn read(&mut self, log: &Log, to: usize) {
        for entry in &log.entries[self.next.min(to)..to] {
            match (entry, &mut self.there) {
                (Entry::Void, there) => *there = None,
                (Entry::Note(Note::Came { subscriber, subscription, .. }), Some(there)) => {
                    there.insert((subscriber.clone(), subscription.asked.text.clone()));
                }
                (Entry::Note(Note::Gone { subscriber, asked, .. }), Some(there)) => {
                    there.remove(&(subscriber.clone(), asked.text.clone()));
                }
                _ => {}
            }
        }
        self.next = self.next.max(to);
    }
}

struct Cluster {
    log: Log,
    processes: Vec<Process>,
    readers: Vec<Reader>,
    drawn: u64,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// Somebody comes, or goes.
    Begin(usize),
    End(usize, usize),
    /// Somebody asks for something else.
    Change(usize, usize, usize),
    /// A node hands some of its changes to the log.
    Announce(usize, usize),
    /// A node reads some of the log.
    Follow(usize, usize),
    /// A node hears the word at a place, or loses it.
    Hear(usize, usize),
    Lose(usize, usize),
    /// A node does one of the things that it has to do, in any order, or it comes to nothing.
    Act(usize, usize),
    Fail(usize, usize),
    Tick(usize),
    /// A second in which all is well with all that do not stand still.
    Second,
    Stop(usize),
    GoOn(usize),
    /// It dies, and another one begins in its place.
    Kill(usize),
    Leave(usize),
    /// It misses some of the log.
    Miss(usize, usize),
    /// Somebody asks for a list.
    List(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let node = || 0..NODES;
    prop_oneof![
        6 => node().prop_map(Op::Begin),
        4 => (node(), 0..9_usize).prop_map(|(node, which)| Op::End(node, which)),
        4 => (node(), 0..9_usize, 1..4_usize).prop_map(|(node, which, texts)| Op::Change(node, which, texts)),
        5 => (node(), 1..5_usize).prop_map(|(node, most)| Op::Announce(node, most)),
        5 => (node(), 1..9_usize).prop_map(|(node, most)| Op::Follow(node, most)),
        5 => (node(), 0..9_usize).prop_map(|(node, which)| Op::Hear(node, which)),
        2 => (node(), 0..9_usize).prop_map(|(node, which)| Op::Lose(node, which)),
        5 => (node(), 0..4_usize).prop_map(|(node, which)| Op::Act(node, which)),
        1 => (node(), 0..4_usize).prop_map(|(node, which)| Op::Fail(node, which)),
        4 => node().prop_map(Op::Tick),
        12 => Just(Op::Second),
        1 => node().prop_map(Op::Stop),
        2 => node().prop_map(Op::GoOn),
        1 => node().prop_map(Op::Kill),
        1 => node().prop_map(Op::Leave),
        1 => (node(), 1..4_usize).prop_map(|(node, most)| Op::Miss(node, most)),
        4 => node().prop_map(Op::List),
    ]
}

/// Somebody who asks for one of two topics or for both, by the bits of a number.
fn asking(id: &str, texts: usize) -> Arc<Subscriber> {
    let subscription = |text: &str| Subscription {
        asked: AsAsked { language: Language::Exact, text: text.to_owned() },
        payload: None,
    };
    let all = ["a", "b"].into_iter().enumerate().filter(|(bit, _)| texts & 1 << bit != 0);
    Arc::new(Subscriber {
        id: id.to_owned(),
        subscriptions: all.map(|(_, text)| subscription(text)).collect(),
    })
}

fn pairs<'a>(subscribers: impl Iterator<Item = &'a Arc<Subscriber>>) -> BTreeSet<(String, String)> {
    let of = |subscriber: &'a Arc<Subscriber>| {
        let each =
            move |subscription: &Subscription| (subscriber.id.clone(), subscription.asked.text.clone());
        subscriber.subscriptions.iter().map(each)
    };
    subscribers.flat_map(of).collect()
}

impl Cluster {
    fn new() -> Self {
        let mut cluster = Self { log: Log::default(), processes: Vec::new(), readers: Vec::new(), drawn: 0 };
        for _ in 0..NODES {
            let process = cluster.process();
            cluster.processes.push(process);
        }
        cluster
    }

    /// One that begins now. Its name is less than that of some, and more than that of others.
    fn process(&mut self) -> Process {
        self.drawn += 1;
        Process {
            roll: Roll::new(Node(self.drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
            registry: Registry::default(),
            there: None,
            subscribers: BTreeMap::new(),
            next: self.log.entries.len(),
            stopped: false,
            words: Vec::new(),
            undone: Vec::new(),
        }
    }

    /// What is said reaches everybody, as far as it is not lost on the way; what is for the log is done later.
    fn take(&mut self, node: usize, does: Vec<Do>) {
        for each in does {
            match each {
                Do::Say(word) => self.say(&[word]),
                Do::Tell { to, attempt, since, known } => {
                    let from = self.processes[node].roll.life().node;
                    let parts = known.len().div_ceil(2).max(1);
                    let mut known = known.into_iter();
                    let word = |part| {
                        let known = known.by_ref().take(2).collect();
                        Word::List { from, to, attempt, since: since.clone(), part, parts, known }
                    };
                    let words: Vec<_> = (0..parts).map(word).collect();
                    self.say(&words);
                }
                Do::AnnounceAll(then) => {
                    let process = &mut self.processes[node];
                    process.registry.announce_again();
                    process.there = then.or(process.there);
                }
                each => self.processes[node].undone.push(each),
            }
        }
    }

    fn say(&mut self, words: &[Word]) {
        for process in &mut self.processes {
            process.words.extend_from_slice(words);
        }
    }

    fn act(&mut self, node: usize, which: usize, succeeds: bool) {
        let process = &mut self.processes[node];
        if process.undone.is_empty() {
            return;
        }
        let what = process.undone.remove(which % process.undone.len());
        let me = process.roll.life().node;
        match what {
            Do::Bury(dead) => {
                process.roll.buried();
                for Known { life, subscriber } in dead.into_iter().filter(|_| succeeds) {
                    self.log.announce(life, true, &Change { subscriber, active: false, number: None });
                }
            }
            Do::Ask { attempt, again } if succeeds => {
                self.log.append(Note::Asks { node: me, attempt, again });
            }
            // What others say comes in between.
            Do::BeginAnew(beginning) if succeeds => {
                self.log.entries.push(Entry::Void);
                self.announce((node + 1) % NODES, 2);
                self.log.append(Note::Anew(beginning));
            }
            _ => {}
        }
    }

    fn announce(&mut self, node: usize, most: usize) {
        let process = &mut self.processes[node];
        if process.stopped || !process.roll.may_announce() {
            return;
        }
        if process.registry.is_announced_again()
            && let Some(since) = process.there.take()
        {
            self.log.append(Note::There { node: process.roll.life().node, since });
        }
        for change in process.registry.take(most) {
            self.log.announce(process.roll.life(), false, &change);
        }
    }

    fn follow(&mut self, node: usize, most: usize) {
        for _ in 0..most {
            let process = &mut self.processes[node];
            let Some(entry) = self.log.entries.get(process.next).cloned() else { return };
            process.next += 1;
            let does = match entry {
                Entry::Note(said) => process.roll.follow(said),
                Entry::Void => {
                    process.roll.lose();
                    Vec::new()
                }
            };
            self.take(node, does);
        }
    }

    fn hear(&mut self, node: usize, which: usize, is_lost: bool) {
        let process = &mut self.processes[node];
        if process.words.is_empty() {
            return;
        }
        let word = process.words.remove(which % process.words.len());
        if !is_lost {
            let does = process.roll.hear(word);
            self.take(node, does);
        }
    }

    fn tick(&mut self, node: usize) {
        let does = self.processes[node].roll.tick();
        self.take(node, does);
    }

    /// A list has everybody who was announced before its place by a node that lives, as far as its own can know.
    fn list(&mut self, node: usize) -> Result<(), TestCaseError> {
        let process = &self.processes[node];
        if !process.roll.is_whole() {
            return Ok(());
        }
        let there = pairs(process.roll.known().map(|known| &known.subscriber));
        let mut announced = Reader { there: Some(BTreeSet::new()), next: 0 };
        for (place, entry) in self.log.entries[..process.next].iter().enumerate() {
            // As if nothing had ever been made void.
            match entry {
                Entry::Void => announced.next = place + 1,
                Entry::Note(_) => announced.read(&self.log, place + 1),
            }
        }
        let announced = announced.there.unwrap_or_default();
        for other in &self.processes {
            let of = other.roll.life().node;
            if of == process.roll.life().node || process.roll.hears(of) {
                for pair in pairs(other.registry.active().iter()).intersection(&announced) {
                    prop_assert!(there.contains(pair), "{:?} of {:?} is not listed", pair, of);
                }
            }
        }
        self.readers.push(Reader { there: Some(there), next: process.next });
        Ok(())
    }

    /// A second in which whatever is said is heard, whatever is to be done is done, and everybody reads all.
    fn second(&mut self) {
        for node in (0..NODES).filter(|node| !self.processes[*node].stopped).collect::<Vec<_>>() {
            self.tick(node);
        }
        for round in 0..4 {
            for node in (0..NODES).filter(|node| !self.processes[*node].stopped).collect::<Vec<_>>() {
                // The log may be faster than words, and slower.
                if round % 2 == 1 {
                    self.announce(node, 1_000);
                    self.follow(node, usize::MAX);
                }
                while !self.processes[node].words.is_empty() {
                    self.hear(node, 0, false);
                }
                while !self.processes[node].undone.is_empty() {
                    self.act(node, 0, true);
                }
                self.announce(node, 1_000);
                self.follow(node, usize::MAX);
            }
        }
    }

    fn happen(&mut self, op: Op) -> Result<(), TestCaseError> {
        let is_stopped = |cluster: &Self, node: usize| cluster.processes[node].stopped;
        match op {
            Op::Begin(node) => {
                self.drawn += 1;
                let id = self.drawn.to_string();
                let process = &mut self.processes[node];
                if !process.stopped {
                    let number = process.registry.begin(asking(&id, 1 + 2 * (id.len() % 2)));
                    process.subscribers.insert(number, id);
                }
            }
            Op::End(node, which) => {
                let process = &mut self.processes[node];
                let found = process.subscribers.keys().nth(which % process.subscribers.len().max(1)).copied();
                if let Some(number) = found.filter(|_| !process.stopped) {
                    process.subscribers.remove(&number);
                    process.registry.end(number);
                }
            }
            Op::Change(node, which, texts) => {
                let process = &mut self.processes[node];
                let found = process.subscribers.iter().nth(which % process.subscribers.len().max(1));
                if let Some((&number, id)) = found.filter(|_| !process.stopped) {
                    process.registry.change(number, asking(id, texts));
                }
            }
            Op::Second => self.second(),
            Op::Stop(node) => self.processes[node].stopped = true,
            Op::GoOn(node) => self.processes[node].stopped = false,
            Op::Kill(node) => self.processes[node] = self.process(),
            Op::Leave(node) if !is_stopped(self, node) => {
                let numbers: Vec<_> =
                    std::mem::take(&mut self.processes[node].subscribers).into_keys().collect();
                for number in numbers {
                    self.processes[node].registry.end(number);
                }
                self.announce(node, 1_000);
                let said = self.processes[node].roll.leave();
                self.take(node, vec![said]);
                self.processes[node] = self.process();
            }
            Op::Announce(node, most) => self.announce(node, most),
            Op::Follow(node, most) if !is_stopped(self, node) => self.follow(node, most),
            Op::Hear(node, which) if !is_stopped(self, node) => self.hear(node, which, false),
            Op::Lose(node, which) => self.hear(node, which, true),
            Op::Act(node, which) => self.act(node, which, true),
            Op::Fail(node, which) => self.act(node, which, false),
            Op::Tick(node) if !is_stopped(self, node) => self.tick(node),
            Op::Miss(node, most) if !is_stopped(self, node) => {
                let process = &mut self.processes[node];
                process.next = (process.next + most).min(self.log.entries.len());
                process.roll.lose();
            }
            Op::List(node) if !is_stopped(self, node) => return self.list(node),
            _ => {}
        }
        Ok(())
    }

    /// Everybody who is there.
    fn expected(&self) -> BTreeSet<(String, String)> {
        let active: Vec<_> = self.processes.iter().flat_map(|process| process.registry.active()).collect();
        pairs(active.iter())
    }

    /// Lets all be well, and compares.
    fn check(&mut self) -> Result<(), TestCaseError> {
        for process in &mut self.processes {
            process.stopped = false;
        }
        for _ in 0..CALM {
            self.second();
        }
        let expected = self.expected();
        let ids: usize = self.processes.iter().map(|process| process.subscribers.len()).sum();
        prop_assert_eq!(expected.iter().map(|(id, _)| id).collect::<BTreeSet<_>>().len(), ids);
        for node in 0..NODES {
            let roll = &self.processes[node].roll;
            prop_assert!(roll.is_whole(), "node {} knows nothing: {:?}", node, roll);
            let listed = pairs(roll.known().map(|known| &known.subscriber));
            prop_assert_eq!(&listed, &expected, "on node {}", node);
        }
        let end = self.log.entries.len();
        for reader in &mut self.readers {
            reader.read(&self.log, end);
            if let Some(there) = &reader.there {
                prop_assert_eq!(there, &expected, "for a reader");
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Goal: a list is whole as far as its node can know; and whatever happens, when all is well again every node lists who is there and nobody else, and so knows every reader
    /// who had a list, from whichever node and whenever, and read on.
    #[test]
    fn every_node_and_every_reader_knows_who_is_there_in_the_end(ops in prop::collection::vec(op(), 1..250)) {
        let mut cluster = Cluster::new();
        for op in ops {
            cluster.happen(op)?;
        }
        cluster.check()?;
    }
}

/// Goal: a node that was only told of another one, which hangs by now, gives no list without that one's subscribers before it is dead.
/// Method: whoever told it leaves, and it misses some of the log, so that all who live announce theirs anew.
#[test]
fn a_list_waits_for_a_node_that_was_known_from_an_answer_alone() -> Result<(), TestCaseError> {
    use Op::{Begin, Leave, List, Miss, Second, Stop};
    let mut cluster = Cluster::new();
    let (begin, hangs) = ([Begin(2), Second, Second, Second, Second], [Stop(2), Leave(0), Second, Second]);
    let alone = [Leave(1), Second, Miss(0, 1), Second, Second, Second, List(0)];
    for op in begin.into_iter().chain(hangs).chain(alone) {
        cluster.happen(op)?;
    }
    cluster.check()
}
