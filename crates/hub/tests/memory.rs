//! What one more subscriber costs in memory: a promise, so it is held against a number (P5).
//!
//! Live heap is counted, not the resident set, so the figures are the same wherever this runs. A binary of its own: there is
//! one allocator for all tests in one.

mod support;

use std::alloc::System;
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use cap::Cap;
use fanfare_hub::{Crowd, Framing, Grant, Hub, Matcher, Member, Publication, Selection};
use fanfare_wire::Event;
use support::{assert_waiting, now, topic};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// What one test allocates the other would count.
static ALONE: Mutex<()> = Mutex::new(());

const SUBSCRIBERS: usize = 10_000;

/// As somebody would name it: `https://example.com/users/1234/notifications/0`.
fn own_topic(subscriber: usize, number: usize) -> String {
    format!("https://example.com/users/{subscriber}/notifications/{number}")
}

fn member(hub: &Hub, crowd: &mut Crowd, topics: &[String], granted: &[String]) -> Member {
    let matchers =
        |topics: &[String]| topics.iter().map(|text| Matcher::from(topic(text))).collect::<Vec<_>>();
    let selection: Selection = matchers(topics).into_iter().collect();
    let grant: Grant = matchers(granted).into_iter().collect();
    let mut subscription = hub.subscribe(selection).grant(&grant).bookmarks(false);
    assert_waiting(&mut subscription);
    crowd.admit_as(subscription, Framing::Bare, 0).expect("it is live")
}

/// Bytes of live heap for each of many members; with `private`, after there was a private event for each.
fn bytes_each(topics: usize, is_granted: bool, private: bool) -> usize {
    let hub = Hub::builder().history_events(1).build().expect("a hub");
    let mut crowd = hub.crowd(Waker::noop().clone());
    let mut members = Vec::with_capacity(SUBSCRIBERS);
    let before = HEAP.allocated();
    for subscriber in 0..SUBSCRIBERS {
        let topics: Vec<_> = (0..topics).map(|number| own_topic(subscriber, number)).collect();
        let granted = if is_granted { &topics[..] } else { &[] };
        members.push(member(&hub, &mut crowd, &topics, granted));
    }
    for subscriber in (0..SUBSCRIBERS).filter(|_| private) {
        let to = Publication::to([topic(&own_topic(subscriber, 0))]);
        now(hub.publish_all(to.private(Event::new("for you alone")))).expect("published");
    }
    // Whose news they are is remembered until somebody asks.
    crowd.news(&mut Vec::new());
    let each = (HEAP.allocated() - before) / SUBSCRIBERS;
    for member in members {
        crowd.leave(member);
    }
    each
}

/// What is left of the limits of 512 bytes, and of 1 kB with four topics, for the connection.
#[test]
fn an_idle_subscriber_costs_the_hub_a_few_hundred_bytes() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = {
        let hub = Hub::builder().build().expect("a hub");
        let mut crowd = hub.crowd(Waker::noop().clone());
        let before = HEAP.allocated();
        let members: Vec<_> =
            (0..SUBSCRIBERS).map(|_| member(&hub, &mut crowd, &["news".to_owned()], &[])).collect();
        let each = (HEAP.allocated() - before) / SUBSCRIBERS;
        for member in members {
            crowd.leave(member);
        }
        each
    };
    let measured = [
        ("the topic of all", shared, 50),
        ("a topic of its own", bytes_each(1, false, false), 360),
        ("a topic and a grant of its own", bytes_each(1, true, false), 440),
        ("four topics of its own", bytes_each(4, false, false), 820),
        ("four topics and a grant of its own", bytes_each(4, true, false), 960),
        ("a topic and a grant of its own, after a private event", bytes_each(1, true, true), 470),
    ];
    for (what, each, limit) in measured {
        println!("{what}: {each} bytes");
        assert!(each <= limit, "{what}: {each} bytes, and not {limit}");
    }
}

/// What a subscriber asks for.
type Topics<'a> = &'a dyn Fn(usize) -> Vec<String>;

/// Goal: the limit for what all ask for is one of memory, whoever fills it, and nobody is charged with much more than it takes.
/// Method: hold what is counted against the heap, with topics that are few or many, short or long, of one or of all.
#[test]
fn what_is_asked_for_is_counted_with_about_what_it_takes_p5() {
    const SUBSCRIBERS: usize = 1_000;
    /// A readership and a place in the crowd, which the limit for subscribers bounds.
    const NOT_COUNTED: usize = 200;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let tail = "x".repeat(600);
    let own = |count: usize, subscriber| (0..count).map(move |number| own_topic(subscriber, number));
    // Another choice of the same hundred for each.
    let some_of_all = |subscriber: usize| {
        own(100, 0)
            .enumerate()
            .filter(move |(at, _)| (subscriber >> (at % 10)) & 1 == 1)
            .map(|(_, topic)| topic)
    };
    let cases: [(&str, Topics<'_>); 5] = [
        ("a topic", &|subscriber| own(1, subscriber).collect()),
        ("four topics", &|subscriber| own(4, subscriber).collect()),
        ("a hundred topics", &|subscriber| own(100, subscriber).collect()),
        ("a hundred long ones", &|subscriber| own(100, subscriber).map(|topic| topic + &tail).collect()),
        ("some that others ask for", &|subscriber| some_of_all(subscriber).collect()),
    ];
    for (what, topics) in cases {
        for is_granted in [false, true] {
            let hub = Hub::builder().selections_bytes_max(usize::MAX).build().expect("a hub");
            let mut crowd = hub.crowd(Waker::noop().clone());
            let mut members = Vec::with_capacity(SUBSCRIBERS);
            let before = HEAP.allocated();
            for subscriber in 0..SUBSCRIBERS {
                let topics = topics(subscriber);
                members.push(member(&hub, &mut crowd, &topics, if is_granted { &topics } else { &[] }));
            }
            let taken = (HEAP.allocated() - before) / SUBSCRIBERS;
            let counted = usize::try_from(hub.counts().selections_bytes).expect("a size") / SUBSCRIBERS;
            let told =
                format!("{what}, granted: {is_granted}: {counted} bytes are counted and {taken} are taken");
            println!("{told}");
            assert!(counted + NOT_COUNTED >= taken, "{told}");
            // The topics of a grant count besides, for they may be texts of its own.
            assert!(if is_granted { counted <= 3 * taken } else { 2 * counted <= 3 * taken }, "{told}");
            for member in members {
                crowd.leave(member);
            }
        }
    }
}
