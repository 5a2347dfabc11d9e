//! What one more subscriber costs in memory: a promise, so it is held against a number (P5).
//!
//! Live heap is counted, not the resident set, so the figures are the same wherever this runs. A binary of its own: there is
//! one allocator for all tests in one.

mod support;

use std::alloc::System;
use std::task::Waker;

use cap::Cap;
use fanfare_hub::{Crowd, Framing, Grant, Hub, Matcher, Member, Publication, Selection};
use fanfare_wire::Event;
use support::{assert_waiting, now, topic};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

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
    crowd.admit(subscription, Framing::Bare).expect("it is live")
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
