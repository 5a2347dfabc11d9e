//! Presence stands in the one order of the log and is kept apart: a flood of it costs nobody's history (P2, P5, P7).

use std::collections::HashSet;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fanfare_hub::{
    Crowd, Due, Framing, GapReason, Grant, Hub, Look, Matcher, Position, Publication, Published, Selection,
};

use fanfare_wire::{Event, EventId};
use proptest::prelude::*;

use super::CASES;
use super::reader::{Reader, read};
use super::support::{
    Got, Read, TestClock, What, assert_waiting, next, next_gap, now, position_of, ready_data, topic,
};

const NAMESPACE: &str = "/hub/subscriptions/";

fn hub(events: usize) -> Hub {
    let hub = Hub::builder().history_events(events).build().expect("a hub");
    now(hub.begin_presence(NAMESPACE)).expect("memory takes it");
    hub
}

fn publish(hub: &Hub, to: &str, what: &str) -> Published {
    now(hub.publish(to, Event::new(what.to_owned()))).expect("published")
}

fn announce(hub: &Hub, of: &str, what: &str) -> Published {
    let to = Publication::to([topic(&format!("{NAMESPACE}{of}"))]);
    now(hub.announce(to.private(Event::new(what.to_owned())))).expect("announced")
}

fn resumed(hub: &Hub, selection: impl Into<Selection>, grant: &Grant, after: &EventId) -> Reader {
    read(hub.subscribe(selection.into()).grant(grant).after(after.clone()).bookmarks(false))
}

fn expect_gap(subscription: &mut impl Read) -> Got {
    let gap = next_gap(subscription);
    assert_eq!(gap.reason(), GapReason::Trimmed);
    gap
}

#[test]
fn presence_and_events_arrive_in_one_order_m142() {
    let hub = hub(100);
    let mut all = read(hub.subscribe(Matcher::any()).grant(&Grant::everything()).bookmarks(false));
    for number in 0..5 {
        publish(&hub, "a", &format!("event {number}"));
        announce(&hub, "x", &format!("presence {number}"));
    }
    let expected: Vec<_> =
        (0..5).flat_map(|number| [format!("event {number}"), format!("presence {number}")]).collect();
    assert_eq!(ready_data(&mut all), expected);
    let positions = (hub.counts().publications, hub.counts().announcements, hub.counts().log_next);
    assert_eq!(positions, (5, 5, 11));
}

#[test]
fn nobody_reads_presence_without_a_grant() {
    let hub = hub(100);
    let mut all = read(hub.subscribe(Matcher::any()).bookmarks(false));
    let granted: Grant = [Matcher::from(topic("a"))].into_iter().collect();
    let mut other = read(hub.subscribe(Matcher::any()).grant(&granted).bookmarks(false));
    announce(&hub, "x", "presence");
    assert_waiting(&mut all);
    assert_waiting(&mut other);
}

/// The storm that presence is kept apart for.
#[test]
fn a_flood_of_presence_shortens_nobody_s_history_and_gives_no_false_gap() {
    let hub = hub(100);
    let first = publish(&hub, "a", "event 0").id;
    for number in 1..50 {
        publish(&hub, "a", &format!("event {number}"));
        for _ in 0..600 {
            announce(&hub, &format!("x/{number}"), "presence");
        }
    }
    let expected: Vec<_> = (1..50).map(|number| format!("event {number}")).collect();
    let pattern = || Selection::from_iter([Matcher::from(topic("a")), Matcher::from(topic("b"))]);
    for grant in [Grant::nothing(), Grant::everything()] {
        assert_eq!(ready_data(&mut resumed(&hub, topic("a"), &grant, &first)), expected);
        assert_eq!(ready_data(&mut resumed(&hub, pattern(), &grant, &first)), expected);
    }
    assert_eq!(ready_data(&mut resumed(&hub, Matcher::any(), &Grant::nothing(), &first)), expected);
    let counts = hub.counts();
    assert_eq!((counts.log_entries, counts.log_oldest, counts.gaps_trimmed), (50, 1, 0));
    assert_eq!(counts.log_presence_entries, 10);
}

#[cfg(feature = "urlpattern")]
#[test]
fn who_asks_for_a_pattern_elsewhere_hears_of_no_gap_either() {
    let hub = hub(100);
    let first = publish(&hub, "/rooms/1", "event").id;
    (0..600).for_each(|_| drop(announce(&hub, "x", "presence")));
    publish(&hub, "/rooms/2", "other");
    let pattern = Matcher::url_pattern("/rooms/:id", "https://hub.test/hub").expect("a pattern");
    assert_eq!(ready_data(&mut resumed(&hub, pattern, &Grant::everything(), &first)), ["other"]);
    let presence = Matcher::url_pattern("/hub/subscriptions/*", "https://hub.test/hub").expect("a pattern");
    expect_gap(&mut resumed(&hub, presence, &Grant::everything(), &first));
}

#[test]
fn who_reads_presence_and_comes_from_before_what_is_kept_gets_a_gap_and_all_there_is() {
    let hub = hub(20);
    let first = publish(&hub, "a", "begin").id;
    for number in 0..10 {
        publish(&hub, "a", &format!("event {number}"));
        announce(&hub, "x", &format!("presence {number}"));
    }
    let mut all = resumed(&hub, Matcher::any(), &Grant::everything(), &first);
    let gap = expect_gap(&mut all);
    assert_eq!(gap.after(), Some(&first));
    let mut expected: Vec<_> = (0..8).map(|number| format!("event {number}")).collect();
    expected.extend(["event 8", "presence 8", "event 9", "presence 9"].map(str::to_owned));
    assert_eq!(ready_data(&mut all), expected);
    // The gap's id is a cursor: it leads to the same place.
    let mut again = resumed(&hub, Matcher::any(), &Grant::everything(), &gap.id);
    expect_gap(&mut again);
    assert_eq!(ready_data(&mut again), expected);
    let mut alone = resumed(&hub, topic(&format!("{NAMESPACE}x")), &Grant::everything(), &first);
    expect_gap(&mut alone);
    assert_eq!(ready_data(&mut alone), ["presence 8", "presence 9"]);
}

#[test]
fn the_header_tells_that_presence_is_missing() {
    let hub = hub(20);
    let first = publish(&hub, "a", "begin").id;
    (0..10).for_each(|_| drop(announce(&hub, "x", "presence")));
    let header = |grant: Grant| {
        let mut subscription = resumed(&hub, Matcher::any(), &grant, &first);
        now(subscription.opened()).expect("it opens").last_event_id_header(&first).to_owned()
    };
    assert_eq!(header(Grant::everything()), "earliest");
    assert_eq!(header(Grant::nothing()), first.as_str());
}

#[test]
fn a_bookmark_in_the_midst_of_presence_that_is_gone_is_still_exact() {
    let hub = hub(20);
    let mut marks = vec![hub.bookmark().expect("a log")];
    for _ in 0..100 {
        announce(&hub, "x", "presence");
        marks.push(hub.bookmark().expect("a log"));
    }
    publish(&hub, "a", "event");
    for mark in &marks {
        assert_eq!(ready_data(&mut resumed(&hub, Matcher::any(), &Grant::nothing(), mark)), ["event"]);
    }
    // Two are kept, so who has what is before them is missing nothing.
    let mut exact = resumed(&hub, Matcher::any(), &Grant::everything(), &marks[98]);
    assert_eq!(ready_data(&mut exact), ["presence", "presence", "event"]);
    expect_gap(&mut resumed(&hub, Matcher::any(), &Grant::everything(), &marks[97]));
}

#[test]
fn presence_goes_with_the_events_around_it_and_with_age() {
    let clock = Arc::new(TestClock::default());
    let hub = Hub::builder().history_events(20).history_age(Duration::from_secs(60));
    let hub = hub.clock(clock.clone()).build().expect("a hub");
    now(hub.begin_presence(NAMESPACE)).expect("memory takes it");
    announce(&hub, "x", "presence");
    (0..30).for_each(|_| drop(publish(&hub, "a", "event")));
    assert_eq!((hub.counts().log_entries, hub.counts().log_presence_entries), (20, 0));
    let last = announce(&hub, "x", "presence");
    clock.advance(Duration::from_secs(61));
    let mut fresh = read(hub.subscribe(Matcher::any()).grant(&Grant::everything()));
    assert_eq!(next(&mut fresh).what, What::Bookmark);
    assert_eq!((hub.counts().log_entries, hub.counts().log_presence_entries), (0, 0));
    assert_eq!(hub.bookmark(), Some(last.id.clone()));
    assert_waiting(&mut resumed(&hub, Matcher::any(), &Grant::everything(), &last.id));
}

#[test]
fn presence_is_bounded_in_bytes_too() {
    let hub = Hub::builder().history_bytes(100_000).build().expect("a hub");
    (0..100).for_each(|_| drop(announce(&hub, "x", &"x".repeat(1_000))));
    assert!(hub.counts().log_presence_bytes <= 10_000, "{}", hub.counts().log_presence_bytes);
    assert!(hub.counts().log_presence_entries >= 5);
}

#[test]
fn a_crowd_lets_a_member_go_that_presence_has_left_behind_and_no_other() {
    let hub = hub(20);
    let mut crowd = hub.crowd(std::task::Waker::noop().clone());
    let member = |crowd: &mut Crowd, grant: &Grant| {
        let mut subscription = hub.subscribe(Matcher::any()).grant(grant).bookmarks(false);
        assert_waiting(&mut subscription);
        crowd.admit_as(subscription, Framing::Bare, 0).expect("it is live")
    };
    let mut sees = member(&mut crowd, &Grant::everything());
    let mut blind = member(&mut crowd, &Grant::nothing());
    publish(&hub, "a", "event");
    (0..10).for_each(|_| drop(announce(&hub, "x", "presence")));
    let mut batch = fanfare_hub::Batch::new();
    let mut reading = crowd.read(&mut batch);
    assert!(matches!(reading.due(&mut sees, Look::News), Due::Elsewhere));
    assert!(matches!(reading.due(&mut blind, Look::News), Due::Write(_)));
    drop(reading);
    let mut released = crowd.release(sees);
    expect_gap(&mut released);
    let mut back =
        crowd.admit_as(released, Framing::Bare, 0).expect_err("it is still before what is missing");
    assert_eq!(ready_data(&mut back), ["event", "presence", "presence"]);
    let member = crowd.admit_as(back, Framing::Bare, 0).expect("it has caught up");
    crowd.leave(member);
    crowd.leave(blind);
}

#[test]
fn a_quiet_namespace_makes_no_gap_of_another_process() {
    // Memory begins empty, so nothing has to be ended.
    let hub = hub(20);
    assert_eq!((hub.counts().announcements, hub.counts().log_next), (0, 1));
}

#[derive(Clone, Debug)]
enum Op {
    Publish { topic: usize },
    Announce { count: usize },
    Connect { client: usize, cursor: Cursor },
    Read { client: usize, count: usize },
}

#[derive(Clone, Debug)]
enum Cursor {
    Nothing,
    Own,
    Of(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let cursor = prop_oneof![
        1 => Just(Cursor::Nothing),
        3 => Just(Cursor::Own),
        2 => (0..1_000_usize).prop_map(Cursor::Of)
    ];
    prop_oneof![
        4 => (0..2_usize).prop_map(|topic| Op::Publish { topic }),
        3 => (1..6_usize).prop_map(|count| Op::Announce { count }),
        2 => (0..CLIENTS, cursor).prop_map(|(client, cursor)| Op::Connect { client, cursor }),
        6 => (0..CLIENTS, 1..6_usize).prop_map(|(client, count)| Op::Read { client, count }),
    ]
}

const TOPICS: [&str; 2] = ["a", "b"];
/// What each client asks for and may read.
const CLIENTS: usize = 5;
const HISTORY: usize = 30;

fn terms(client: usize) -> (Selection, Grant) {
    match client {
        0 => (Matcher::any().into(), Grant::everything()),
        1 => (Matcher::any().into(), Grant::nothing()),
        2 => (topic("a").into(), Grant::everything()),
        3 => (topic(&format!("{NAMESPACE}x")).into(), Grant::everything()),
        _ => {
            let both = [topic("b"), topic(&format!("{NAMESPACE}x"))].map(Matcher::from);
            (both.into_iter().collect(), Grant::everything())
        }
    }
}

/// One accepted entry, as the model knows it.
struct Accepted {
    position: Position,
    topic: String,
    is_presence: bool,
}

struct Client {
    reader: Reader,
    frontier: Position,
    /// What a gap has accounted for.
    excused: HashSet<Position>,
}

struct World {
    hub: Hub,
    accepted: Vec<Accepted>,
    ids: Vec<EventId>,
    clients: Vec<Option<Client>>,
    last: Vec<Option<(EventId, Position)>>,
}

impl World {
    fn sees(client: usize, entry: &Accepted) -> bool {
        let (selection, grant) = terms(client);
        let topics = [topic(&entry.topic)];
        selection.matches(&topics) && (!entry.is_presence || grant.allows(&topics))
    }

    fn add(&mut self, published: Published, topic: &str, is_presence: bool) {
        self.ids.push(published.id);
        self.accepted.push(Accepted { position: published.position, topic: topic.to_owned(), is_presence });
    }

    /// Whether an event has to be there still.
    fn is_kept(&self, position: Position) -> bool {
        let newer = self.accepted.iter().filter(|entry| !entry.is_presence && entry.position > position);
        newer.count() < HISTORY
    }

    /// A client knows that it has everything up to `position`; panics if it has not and was not told.
    fn account(&mut self, client: usize, position: Position) {
        let Some(state) = &mut self.clients[client] else { return };
        let missed = self.accepted.iter().find(|entry| {
            (state.frontier + 1..position).contains(&entry.position)
                && Self::sees(client, entry)
                && !state.excused.contains(&entry.position)
        });
        let missed = missed.map(|entry| (entry.position, entry.is_presence));
        assert_eq!(missed, None, "client {client} at {position} was never told");
        state.frontier = position;
    }

    fn read(&mut self, client: usize, count: usize) {
        for _ in 0..count {
            let Some(state) = &mut self.clients[client] else { return };
            let got = match state.reader.take_ready() {
                Poll::Ready(Some(Ok(got))) => got,
                Poll::Ready(other) => panic!("client {client} got {other:?}"),
                Poll::Pending => return,
            };
            let position = got.position.unwrap_or_else(|| position_of(&self.hub, &got.id));
            match got.what {
                What::Event { .. } => {
                    assert!(position > state.frontier, "client {client} got {position} again");
                    let known = self.accepted.iter().find(|known| known.position == position);
                    assert!(Self::sees(client, known.expect("it was accepted")), "P7");
                    self.account(client, position);
                }
                What::Bookmark => {
                    self.account(client, position + 1);
                    if let Some(state) = &mut self.clients[client] {
                        state.frontier = position;
                    }
                }
                What::Gap { reason, .. } => self.gap(client, reason, position),
            }
            self.last[client] = Some((got.id, position));
        }
    }

    fn read_all(&mut self) {
        (0..CLIENTS).for_each(|client| self.read(client, usize::MAX));
    }

    fn gap(&mut self, client: usize, reason: GapReason, up_to: Position) {
        assert_eq!(reason, GapReason::Trimmed);
        let Some(frontier) = self.clients[client].as_ref().map(|state| state.frontier) else { return };
        let due: Vec<_> = self
            .accepted
            .iter()
            .filter(|entry| entry.position > frontier && Self::sees(client, entry))
            .map(|entry| (entry.position, entry.is_presence))
            .collect();
        let is_true = due.iter().any(|(position, is_presence)| *is_presence || !self.is_kept(*position));
        assert!(is_true, "client {client} is missing nothing");
        let excused: HashSet<_> = due
            .iter()
            .filter(|(position, is_presence)| *is_presence || !self.is_kept(*position))
            .map(|(position, _)| *position)
            .collect();
        let Some(state) = &mut self.clients[client] else { return };
        state.excused.extend(excused);
        self.account(client, up_to + 1);
        if let Some(state) = &mut self.clients[client] {
            state.frontier = up_to.max(frontier);
        }
    }

    fn connect(&mut self, client: usize, cursor: &Cursor) {
        let (selection, grant) = terms(client);
        let end = self.accepted.last().map_or(0, |entry| entry.position);
        let after = match cursor {
            Cursor::Nothing => None,
            Cursor::Own => self.last[client].clone(),
            Cursor::Of(_) if self.ids.is_empty() => None,
            Cursor::Of(index) => {
                let at = index % self.ids.len();
                Some((self.ids[at].clone(), self.accepted[at].position))
            }
        };
        let frontier = after.as_ref().map_or(end, |(_, position)| *position);
        let reader = read(self.hub.subscribe(selection).grant(&grant).after(after.map(|(id, _)| id)));
        self.clients[client] = Some(Client { reader, frontier, excused: HashSet::new() });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    /// Goal: whoever reads what can account for every entry, of presence or not, and hears of no gap that is none.
    /// Method: a random history; each client knows its frontier, and what a gap has excused.
    #[test]
    fn everybody_can_account_for_presence_and_for_everything_else(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World {
            hub: hub(HISTORY),
            accepted: Vec::new(),
            ids: Vec::new(),
            clients: (0..CLIENTS).map(|_| None).collect(),
            last: vec![None; CLIENTS],
        };
        for op in ops {
            match op {
                Op::Publish { topic } => {
                    let published = publish(&world.hub, TOPICS[topic], "x");
                    world.add(published, TOPICS[topic], false);
                }
                Op::Announce { count } => for _ in 0..count {
                    let published = announce(&world.hub, "x", "x");
                    world.add(published, &format!("{NAMESPACE}x"), true);
                },
                Op::Connect { client, cursor } => world.connect(client, &cursor),
                // Whoever serves sockets serves all of them.
                Op::Read { .. } if Reader::IS_SERVED => world.read_all(),
                Op::Read { client, count } => world.read(client, count),
            }
        }
        world.read_all();
        for client in 0..CLIENTS {
            world.account(client, Position::MAX);
        }
        let counts = world.hub.counts();
        prop_assert!(counts.log_entries <= HISTORY as u64 && counts.log_presence_entries <= HISTORY as u64 / 10);
    }
}
