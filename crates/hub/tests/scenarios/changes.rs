//! What a subscription reads, changed while it goes on: by its place in the log, and wherever the subscription is (P1, P2, P3, P7).

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use fanfare_hub::{Framing, Grant, Hub, Matcher, Publication, Selection, SubscribeError, Topic};
use fanfare_wire::{Event, EventId};

use super::reader::read;
use super::support::toy::Toy;
use super::support::{
    TestClock, What, assert_ended, assert_waiting, id, next, next_event, next_gap, now, ready_data, topic,
};

fn hub(history: usize) -> Hub {
    Hub::builder().history_events(history).build().expect("a hub")
}

pub fn publish(hub: &Hub, to: &str, data: &str) -> EventId {
    let mut publishing = pin!(hub.publish(to, Event::new(data.to_owned())));
    loop {
        // An engine that is not memory is asked again.
        match publishing.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(published) => return published.expect("published").id,
            Poll::Pending => {}
        }
    }
}

fn both(hub: &Hub, data: &str) {
    publish(hub, "a", &format!("{data} a"));
    publish(hub, "b", &format!("{data} b"));
}

#[test]
fn a_reader_far_behind_gets_what_it_asked_for_when_that_was_published_p2() {
    let hub = hub(100);
    let mut subscription = hub.subscribe("a").bookmarks(false);
    let handle = subscription.handle();
    both(&hub, "1");
    handle.join("b").expect("joined");
    both(&hub, "2");
    handle.leave("a").expect("left");
    both(&hub, "3");
    handle.select("a").expect("selected");
    both(&hub, "4");
    assert_eq!(handle.selection(), Some(topic("a").into()));
    assert_eq!(ready_data(&mut read(subscription)), ["1 a", "2 a", "2 b", "3 b", "4 a"]);
}

#[test]
fn a_reader_that_waits_is_told_of_a_change_and_waits_for_other_topics_p2() {
    let hub = hub(100);
    let mut subscription = hub.subscribe("a").bookmarks(false);
    let handle = subscription.handle();
    let mut reader = read(subscription);
    assert_waiting(&mut reader);
    handle.select("b").expect("selected");
    both(&hub, "1");
    assert_eq!(ready_data(&mut reader), ["1 b"]);
    handle.leave("b").expect("left");
    both(&hub, "2");
    assert_waiting(&mut reader);
    handle.join("a").expect("joined");
    both(&hub, "3");
    assert_eq!(ready_data(&mut reader), ["3 a"]);
}

#[test]
fn a_client_that_returns_is_resumed_by_what_the_application_gives_it_then_p2_p3() {
    let hub = hub(100);
    let mut subscription = hub.subscribe("a").bookmarks(false);
    let handle = subscription.handle();
    let mut reader = read(subscription);
    both(&hub, "1");
    let last = next_event(&mut reader).id;
    handle.join("b").expect("joined");
    both(&hub, "2");
    drop(reader);
    let asks = Selection::from_iter([topic("a").into(), topic("b").into()]);
    let back = hub.subscribe(asks).after(last).bookmarks(false);
    assert_eq!(ready_data(&mut read(back)), ["1 b", "2 a", "2 b"]);
}

#[test]
fn a_change_is_followed_by_a_bookmark_from_which_it_is_resumed_exactly_p2_p3() {
    let hub = hub(100);
    let mut subscription = hub.subscribe("a");
    let handle = subscription.handle();
    let mut reader = read(subscription);
    assert_eq!(next(&mut reader).what, What::Bookmark);
    both(&hub, "1");
    handle.select("b").expect("selected");
    assert_eq!(next_event(&mut reader).data(), "1 a");
    let bookmark = next(&mut reader);
    assert_eq!(Some(bookmark.id), hub.bookmark());
}

#[test]
fn what_is_lost_on_the_way_to_a_change_is_one_gap_p2() {
    let hub = hub(4);
    let mut subscription = hub.subscribe("a").bookmarks(false);
    let handle = subscription.handle();
    both(&hub, "1");
    handle.select("b").expect("selected");
    (2..6).for_each(|number| both(&hub, &number.to_string()));
    let mut reader = read(subscription);
    next_gap(&mut reader);
    assert_eq!(ready_data(&mut reader), ["4 b", "5 b"]);
}

#[test]
fn what_others_had_read_from_the_engine_is_not_handed_out_by_the_terms_of_before_p2() {
    let toy = Toy::new(Arc::new(TestClock::default()));
    let hub =
        Hub::builder().engine(toy.clone()).history_events(2).catch_up_bytes(1 << 20).build().expect("a hub");
    let publish_both = |numbers: std::ops::Range<usize>| {
        numbers.for_each(|number| both(&hub, &number.to_string()));
        toy.tell(usize::MAX);
    };
    publish_both(0..1);
    let mut subscription = hub.subscribe("a").bookmarks(false);
    let handle = subscription.handle();
    publish_both(1..8);
    let mut reader = read(subscription);
    assert_eq!(next_event(&mut reader).data(), "1 a");
    // This engine reads two at a time, and these two are to have the change between them.
    publish(&hub, "c", "odd");
    toy.tell(usize::MAX);
    handle.select("b").expect("selected");
    publish_both(8..12);
    // Somebody else has what stands on both sides of the change read.
    let mut other = read(hub.subscribe(Matcher::any()).after(id("earliest")).bookmarks(false));
    while next_event(&mut other).data() != "9 b" {}
    let expected: Vec<_> = (2..8)
        .map(|number| format!("{number} a"))
        .chain((8..12).map(|number| format!("{number} b")))
        .collect();
    assert_eq!(ready_data(&mut reader), expected);
}

#[test]
fn a_change_of_what_is_asked_for_lets_nothing_private_through_p7() {
    let hub = hub(100);
    let grant = Grant::from_iter([Matcher::from(topic("a"))]);
    let mut subscription = hub.subscribe_with("a", &grant).bookmarks(false);
    let handle = subscription.handle();
    handle.join("b").expect("joined");
    for to in ["a", "b"] {
        now(hub.publish_all(Publication::to([topic(to)]).private(Event::new(to)))).expect("published");
    }
    assert_eq!(ready_data(&mut read(subscription)), ["a"]);
}

#[test]
fn a_grant_that_is_given_later_counts_for_changes_before_it_p7() {
    let hub = hub(100);
    let mut subscription = hub.subscribe("a").bookmarks(false);
    let handle = subscription.handle();
    now(hub.publish("c", Event::new("nobody's"))).expect("published");
    handle.select("b").expect("selected");
    now(hub.publish_all(Publication::to([topic("b")]).private(Event::new("private")))).expect("published");
    let subscription = subscription.grant(&Grant::everything());
    assert_eq!(ready_data(&mut read(subscription)), ["private"]);
}

#[test]
fn nobody_joins_what_nobody_outside_can_name_p7() {
    let hub = hub(100);
    let mut subscription = hub.subscribe("a").bookmarks(false);
    let handle = subscription.handle();
    let refused = handle.select(Topic::internal("x"));
    assert!(matches!(refused, Err(SubscribeError::Topic(_))), "{refused:?}");
    assert!(matches!(handle.join("*"), Err(SubscribeError::Topic(_))));
    drop(subscription);
    assert_eq!(hub.counts().subscribers, 0);
}

#[test]
fn a_handle_of_what_has_ended_changes_nothing_although_its_key_is_anothers_now() {
    let hub = hub(100);
    let mut gone = hub.subscribe("a").bookmarks(false);
    let handle = gone.handle();
    let key = gone.key();
    drop(gone);
    let mut other = hub.subscribe("a").bookmarks(false);
    let of_other = other.handle();
    assert_eq!(other.key(), key);
    assert!(matches!(handle.join("b"), Err(SubscribeError::Ended)));
    handle.end();
    assert_eq!(handle.selection(), None);
    assert_eq!(of_other.selection(), Some(topic("a").into()));
    both(&hub, "1");
    assert_eq!(ready_data(&mut read(other)), ["1 a"]);
}

#[test]
fn a_subscription_is_ended_by_its_handle_and_nobody_else_is() {
    let hub = hub(100);
    let mut one = hub.subscribe("a").bookmarks(false);
    let handle = one.handle();
    let (mut one, mut other) = (read(one), read(hub.subscribe("a").bookmarks(false)));
    assert_waiting(&mut one);
    both(&hub, "1");
    assert_eq!(ready_data(&mut other), ["1 a"]);
    let _ = ready_data(&mut one);
    handle.end();
    publish(&hub, "a", "2");
    assert_ended(&mut one);
    assert_eq!(ready_data(&mut other), ["2"]);
    assert_eq!(hub.counts().subscribers, 1);
}

#[test]
fn whoever_never_reads_is_not_changed_without_end_and_leaves_nothing_behind_p5() {
    let hub = hub(1_000);
    let mut subscription = hub.subscribe("a");
    let handle = subscription.handle();
    let before = hub.counts();
    let mut refused = 0;
    for number in 0..200 {
        both(&hub, "x");
        match handle.select(format!("rooms/{number}")) {
            Ok(()) => {}
            Err(SubscribeError::TooManyChanges { limit }) => {
                assert_eq!(limit, 64);
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(refused, 200 - 64);
    assert_eq!(hub.counts().readerships, before.readerships + 64);
    drop(subscription);
    assert_eq!((hub.counts().readerships, hub.counts().selections_bytes), (0, 0));
}

#[test]
fn a_full_hub_refuses_to_ask_for_more_and_not_for_less() {
    let hub = Hub::builder().selections_bytes_max(1_200).build().expect("a hub");
    let asks = Selection::from_iter([topic("a").into(), topic("b").into()]);
    let mut subscription = hub.subscribe(asks);
    let handle = subscription.handle();
    let room = "x".repeat(2_000);
    assert!(matches!(handle.join(room), Err(SubscribeError::SelectionsTooLarge { .. })));
    handle.leave("b").expect("that is less");
    assert_eq!(handle.selection(), Some(topic("a").into()));
}

#[test]
fn a_crowd_is_told_whom_to_look_at_and_nobody_else_is_p5() {
    let hub = hub(100);
    let mut crowd = hub.crowd(Waker::noop().clone());
    let mut members = Vec::new();
    let mut handles = Vec::new();
    for slot in 0..3 {
        let mut subscription = hub.subscribe("a").bookmarks(false);
        handles.push(subscription.handle());
        members.push(crowd.admit_as(subscription, Framing::Bare, slot).expect("it is live"));
    }
    let mut news = Vec::new();
    handles[1].join("b").expect("joined");
    crowd.news(&mut news);
    assert!(news.is_empty(), "the others have no news");
    assert_eq!(crowd.called(), [1]);
    crowd.news(&mut news);
    assert!(crowd.called().is_empty());
    for member in members {
        crowd.leave(member);
    }
}
