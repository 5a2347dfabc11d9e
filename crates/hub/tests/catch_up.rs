//! Reading what has left memory: shared by all who are about at the same place, within one budget, and nobody is held up (P1, P2,
//! P3, P5).

mod support;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fanfare_hub::{Delivery, Hub, Matcher, Position, Selection, SubscribeError, Subscription, Topic};
use futures_core::Stream;
use proptest::prelude::*;
use support::shelf::{Answers, Shelf};
use support::{Bell, TestClock, topic};

const ENTRIES: Position = 10_000;
const SUBSCRIBERS: Position = 1_000;

fn hub_over(shelf: &Arc<Shelf>, bytes: usize) -> Hub {
    Hub::builder().engine(shelf.clone()).catch_up_bytes(bytes).build().expect("a hub")
}

/// Somebody who reads, and when it was last woken.
struct Reader {
    subscription: Subscription,
    bell: Arc<Bell>,
    got: Vec<Position>,
}

impl Reader {
    fn new(subscription: Subscription) -> Self {
        let bell = Arc::<Bell>::default();
        bell.waker().wake();
        Self { subscription: subscription.bookmarks(false), bell, got: Vec::new() }
    }

    /// Takes up to `count` events if it was woken, and says whether it took any.
    fn read(&mut self, count: usize) -> bool {
        let before = self.got.len();
        while self.got.len() - before < count && self.bell.was_rung() {
            match self.poll() {
                Poll::Ready(Some(Ok(Delivery::Event(entry)))) => {
                    self.got.push(entry.position());
                    self.bell.waker().wake();
                }
                Poll::Pending => {}
                Poll::Ready(other) => panic!("expected an event, got {other:?}"),
            }
        }
        self.got.len() > before
    }

    fn poll(&mut self) -> Poll<Option<Result<Delivery, SubscribeError>>> {
        let waker = self.bell.waker();
        Pin::new(&mut self.subscription).poll_next(&mut Context::from_waker(&waker))
    }
}

/// Has all of them read in turn, a few events each, until nothing moves.
fn read_all(shelf: &Shelf, readers: &mut [Reader]) {
    loop {
        let mut moved = false;
        for reader in &mut *readers {
            moved |= reader.read(7);
        }
        if !moved && !shelf.answer(0) {
            return;
        }
    }
}

/// Every tenth entry is for everybody, the others for one in a thousand.
fn mixed_log() -> impl Iterator<Item = Vec<Topic>> {
    (1..=ENTRIES).map(|n| match n % 10 {
        0 => vec![topic("all"), topic(&format!("own/{}", n / 10 % SUBSCRIBERS))],
        _ => vec![topic("other")],
    })
}

/// Subscribes a thousand times behind one of the first twenty entries, and has all of them read to the end. Returns how many
/// entries were read.
fn entries_read(answers: Answers, all: bool, asks: impl Fn(Position) -> Selection) -> usize {
    let shelf = Shelf::of(mixed_log(), 500, answers, all);
    let hub = hub_over(&shelf, 32 * 1024 * 1024);
    let reader = |n: Position| Reader::new(hub.subscribe(asks(n)).after(Shelf::id_of(n * 7 % 20)));
    let mut readers: Vec<_> = (0..SUBSCRIBERS).map(reader).collect();
    read_all(&shelf, &mut readers);
    for (n, reader) in (0..).zip(&readers) {
        let is_asked = |position: &Position| position % 10 == 0 && asks(n).matches(&wanted_topics(*position));
        let expected: Vec<_> = (n * 7 % 20 + 1..=ENTRIES).filter(is_asked).collect();
        assert_eq!(reader.got, expected, "subscriber {n}");
    }
    assert_eq!(hub.counts().catch_up_reads, shelf.read_so_far().batches as u64);
    shelf.read_so_far().entries
}

fn wanted_topics(position: Position) -> [Topic; 2] {
    [topic("all"), topic(&format!("own/{}", position / 10 % SUBSCRIBERS))]
}

#[test]
fn a_thousand_subscribers_of_one_topic_from_about_the_same_place_cost_one_pass() {
    for answers in [Answers::AtOnce, Answers::WhenTold] {
        let of_all = entries_read(answers, true, |_| topic("all").into());
        assert!(of_all < 10_600, "{of_all} entries, {answers:?}");
        let of_theirs = entries_read(answers, false, |_| topic("all").into());
        assert!(of_theirs < 1_060, "{of_theirs} entries, {answers:?}");
    }
}

#[test]
fn a_thousand_subscribers_of_topics_of_their_own_cost_one_pass_if_the_engine_reads_all_topics() {
    for answers in [Answers::AtOnce, Answers::WhenTold] {
        let read = entries_read(answers, true, |n| topic(&format!("own/{n}")).into());
        // Before it is known that it does, the first few ask by themselves.
        assert!(read < 12_500, "{read} entries, {answers:?}");
    }
}

#[test]
fn a_thousand_subscribers_of_everything_from_about_the_same_place_cost_one_pass() {
    let shelf = Shelf::of((1..=2_000).map(|_| vec![topic("a")]), 100, Answers::WhenTold, false);
    let hub = hub_over(&shelf, 32 * 1024 * 1024);
    let reader = |n: Position| Reader::new(hub.subscribe(Matcher::any()).after(Shelf::id_of(n % 20)));
    let mut readers: Vec<_> = (0..200).map(reader).collect();
    read_all(&shelf, &mut readers);
    for (n, reader) in (0..).zip(&readers) {
        assert_eq!(reader.got, (n % 20 + 1..=2_000).collect::<Vec<_>>());
    }
    let read = shelf.read_so_far().entries;
    assert!(read < 2_300, "{read} entries");
}

/// P5: whoever stops somewhere holds nothing, and the next who comes does not find the budget spent.
#[test]
fn subscribers_that_stall_anywhere_hold_no_memory_beyond_the_budget() {
    let budget = 600 * 1024;
    let shelf = Shelf::of((1..=ENTRIES).map(|_| vec![topic("a")]), 100, Answers::AtOnce, false);
    let hub = hub_over(&shelf, budget);
    let mut stalled: Vec<_> = (0..ENTRIES / 100)
        .map(|n| Reader::new(hub.subscribe(topic("a")).after(Shelf::id_of(n * 100))))
        .collect();
    for reader in &mut stalled {
        assert!(reader.read(3));
        assert!(hub.counts().catch_up_bytes <= budget as u64, "{}", hub.counts().catch_up_bytes);
    }
    assert!(hub.counts().catch_up_bytes > 0);
    // Each goes on where it was, although its page is gone.
    for (n, reader) in (0..).zip(&mut stalled) {
        reader.read(1);
        assert_eq!(reader.got, (n * 100 + 1..=n * 100 + 4).collect::<Vec<_>>());
    }
}

/// P5: who was woken and does not look keeps neither the others' loads waiting nor, for long, their memory.
#[test]
fn who_does_not_look_at_what_it_waited_for_holds_nobody_up() {
    let clock = Arc::new(TestClock::default());
    let shelf = Shelf::of((1..=ENTRIES).map(|_| vec![topic("a")]), 10, Answers::WhenTold, false);
    let hub =
        Hub::builder().engine(shelf.clone()).clock(clock.clone()).catch_up_bytes(0).build().expect("a hub");
    let begin = |at| Reader::new(hub.subscribe(topic("a")).after(Shelf::id_of(at)));
    let mut stalled = begin(100);
    let mut other = begin(5_000);
    stalled.read(1);
    other.read(1);
    // There is room for one page, and it is the first one's.
    assert_eq!(shelf.held(), 1);
    assert!(shelf.answer(0));
    assert_eq!(shelf.held(), 0);
    clock.advance(Duration::from_secs(1));
    let mut third = begin(8_000);
    third.read(1);
    assert_eq!(shelf.held(), 1);
    assert!(shelf.answer(0));
    assert!(other.read(1));
    assert!(shelf.answer(0));
    assert!(third.read(1));
    // It can still go on.
    stalled.read(1);
    assert!(shelf.answer(0));
    assert!(stalled.read(1));
    assert_eq!((stalled.got, other.got, third.got), (vec![101], vec![5_001], vec![8_001]));
}

/// P5.
#[test]
fn who_pauses_gives_its_claim_away_at_once_and_is_not_forgotten() {
    for pauses_before_the_answer in [true, false] {
        let shelf = Shelf::of((1..=ENTRIES).map(|_| vec![topic("a")]), 10, Answers::WhenTold, false);
        let hub = hub_over(&shelf, 0);
        let begin = |at| Reader::new(hub.subscribe(topic("a")).after(Shelf::id_of(at)));
        let (mut pauses, mut other) = (begin(100), begin(5_000));
        pauses.read(1);
        other.read(1);
        if pauses_before_the_answer {
            pauses.subscription.pause();
        }
        assert!(shelf.answer(0));
        if !pauses_before_the_answer {
            pauses.subscription.pause();
        }
        assert!(shelf.answer(0));
        assert!(other.read(1));
        while !pauses.read(1) {
            assert!(shelf.answer(0));
        }
        assert_eq!((pauses.got, other.got), (vec![101], vec![5_001]));
    }
}

#[test]
fn the_last_who_waits_for_a_load_takes_it_along() {
    let shelf = Shelf::of((1..=ENTRIES).map(|_| vec![topic("a")]), 10, Answers::WhenTold, false);
    let hub = hub_over(&shelf, 0);
    let mut readers =
        [0, 0, 5, 5_000].map(|at| Reader::new(hub.subscribe(topic("a")).after(Shelf::id_of(at))));
    for reader in &mut readers {
        reader.read(1);
    }
    assert_eq!(shelf.held(), 1);
    let [first, second, third, mut fourth] = readers;
    drop((first, second));
    assert_eq!(shelf.held(), 1, "somebody waits for it who is a little further");
    drop(third);
    assert_eq!(shelf.held(), 1, "the next load has begun");
    assert!(shelf.answer(0));
    assert!(fourth.read(1));
    drop(fourth);
    assert_eq!((shelf.held(), hub.counts().subscribers), (0, 0));
}

/// Otherwise it would wait for all that is before it to be read by others, page for page.
#[test]
fn who_is_ahead_of_a_load_waits_for_it_once_and_then_loads_by_itself() {
    let shelf = Shelf::of((1..=ENTRIES).map(|_| vec![topic("a")]), 10, Answers::WhenTold, false);
    let hub = hub_over(&shelf, 32 * 1024 * 1024);
    let begin = |at| Reader::new(hub.subscribe(topic("a")).after(Shelf::id_of(at)));
    let (mut behind, mut ahead) = (begin(0), begin(300));
    behind.read(1);
    ahead.read(1);
    assert_eq!(shelf.held(), 1);
    assert!(shelf.answer(0));
    behind.read(20);
    ahead.read(1);
    assert_eq!(shelf.held(), 2);
}

#[derive(Clone, Debug)]
enum Op {
    Connect { reader: usize, after: Position, asks: u8 },
    Read { reader: usize, count: usize },
    Answer { which: usize, fails: bool },
    Pause { reader: usize },
    Leave { reader: usize },
}

const READERS: usize = 5;
const SHELVED: Position = 60;

fn op() -> impl Strategy<Value = Op> {
    let reader = 0..READERS;
    prop_oneof![
        3 => (reader.clone(), 0..SHELVED, 0..16u8)
            .prop_map(|(reader, after, asks)| Op::Connect { reader, after, asks }),
        6 => (reader.clone(), 1..6usize).prop_map(|(reader, count)| Op::Read { reader, count }),
        4 => (0..8usize, prop::bool::weighted(0.1)).prop_map(|(which, fails)| Op::Answer { which, fails }),
        1 => reader.clone().prop_map(|reader| Op::Pause { reader }),
        1 => reader.prop_map(|reader| Op::Leave { reader }),
    ]
}

/// A client over its reconnections: what it asks for, and the last position it has.
struct Client {
    asks: u8,
    last: Position,
    reader: Option<Reader>,
}

impl Client {
    fn selection(&self) -> Selection {
        match self.asks {
            0 => Matcher::any().into(),
            asks => (0..4)
                .filter(|bit| asks & (1 << bit) != 0)
                .map(|bit| topic(&bit.to_string()).into())
                .collect(),
        }
    }

    /// The next position that it wants.
    fn expects(&self) -> Option<Position> {
        (self.last + 1..=SHELVED).find(|at| self.asks == 0 || self.asks & (1 << (at % 4)) != 0)
    }

    fn connect(&mut self, hub: &Hub) {
        self.reader = Some(Reader::new(hub.subscribe(self.selection()).after(Shelf::id_of(self.last))));
    }

    /// Reads if it was woken: the next event that it wants, no other. Comes back after a failure.
    fn read(&mut self, hub: &Hub, count: usize) {
        for _ in 0..count {
            let Some(reader) = self.reader.as_mut().filter(|reader| reader.bell.was_rung()) else { return };
            match reader.poll() {
                Poll::Ready(Some(Ok(Delivery::Event(entry)))) => {
                    reader.bell.waker().wake();
                    assert_eq!(Some(entry.position()), self.expects(), "behind {}", self.last);
                    self.last = entry.position();
                }
                Poll::Ready(Some(Err(SubscribeError::Log(_)))) => self.connect(hub),
                Poll::Pending => {}
                Poll::Ready(other) => panic!("expected an event, got {other:?}"),
            }
        }
    }
}

fn run(budget: usize, page: Position, all: bool, ops: Vec<Op>, stalled: usize, they_pause: bool) {
    let clock = Arc::new(TestClock::default());
    let topics = (1..=SHELVED).map(|at| vec![topic(&(at % 4).to_string())]);
    let shelf = Shelf::of(topics, page, Answers::WhenTold, all);
    let hub = Hub::builder().engine(shelf.clone()).clock(clock.clone()).catch_up_bytes(budget);
    let hub = hub.build().expect("a hub");
    let mut clients: Vec<_> = (0..READERS).map(|_| Client { asks: 0, last: 0, reader: None }).collect();
    // An entry costs less than 400 bytes, a page less than 600 besides.
    let page_cost = usize::try_from(page).expect("few") * 400 + 600;
    for op in ops {
        match op {
            Op::Connect { reader, after, asks } => {
                clients[reader] = Client { asks, last: after, reader: None };
                clients[reader].connect(&hub);
            }
            Op::Read { reader, count } => clients[reader].read(&hub, count),
            Op::Answer { which, fails: true } => drop(shelf.fail(which)),
            Op::Answer { which, fails: false } => drop(shelf.answer(which)),
            Op::Pause { reader } => {
                if let Some(reader) = &mut clients[reader].reader {
                    reader.subscription.pause();
                }
            }
            Op::Leave { reader } => clients[reader].reader = None,
        }
        let kept = usize::try_from(hub.counts().catch_up_bytes).expect("a number of bytes");
        // Four are read at once at most, and may be larger than those before.
        assert!(kept <= budget + 4 * page_cost, "{kept} bytes are kept");
    }
    // Some never look again; the others get everything, and are woken for it.
    if they_pause {
        for reader in clients[..stalled].iter_mut().filter_map(|client| client.reader.as_mut()) {
            reader.subscription.pause();
        }
    }
    for turn in 0.. {
        for client in &mut clients[stalled..] {
            client.read(&hub, 3);
        }
        let is_done = |client: &Client| client.reader.is_none() || client.expects().is_none();
        if clients[stalled..].iter().all(is_done) {
            break;
        }
        if !shelf.answer(turn) && !they_pause {
            // A second later whoever looks finds the room that they hold.
            clock.advance(Duration::from_secs(1));
            clients.iter().skip(stalled).filter_map(|client| client.reader.as_ref()).for_each(|reader| {
                reader.bell.waker().wake();
            });
        }
        assert!(turn < 5_000, "they wait for nothing: {:?}", hub.counts());
    }
    drop(clients);
    assert_eq!((shelf.held(), hub.counts().subscribers), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    /// Goal: everybody gets every entry that it asks for once and in order, and what is kept stays within the budget.
    /// Method: readers with selections and places of their own, over an engine that answers out of order and fails, with
    /// budgets down to nothing; then some stall for good, and the others have to reach the end.
    #[test]
    fn every_reader_gets_every_entry_once_whatever_is_dropped_fails_or_stalls(
        budget in prop_oneof![Just(0), 500..8_000usize, Just(1 << 20)],
        page in 1..20u64,
        all in any::<bool>(),
        ops in prop::collection::vec(op(), 1..80),
        stalled in 0..READERS,
        they_pause in any::<bool>(),
    ) {
        run(budget, page, all, ops, stalled, they_pause);
    }
}
