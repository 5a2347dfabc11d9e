//! A snapshot and what comes behind it: no seam between the two (P1, P2, P3).

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use fanfare_hub::{Bookmark, Hub, Resume, Snapshot, SubscribeError, Subscription};
use fanfare_wire::{Event, EventId};
use futures_core::Stream;

use super::reader::{Reader, read};
use super::support::puppet::Puppet;
use super::support::toy::Toy;
use super::support::{
    TestClock, assert_failed, assert_waiting, id, next, next_event, next_gap, now, ready_data,
};

fn hub(history: usize) -> Hub {
    Hub::builder().history_events(history).build().expect("a hub")
}

fn publish(hub: &Hub, data: &str) -> EventId {
    now(hub.publish("a", Event::new(data.to_owned()))).expect("published").id
}

/// Whoever asks for `a`, and gets a snapshot of one event first.
fn with_snapshot(hub: &Hub, last: Option<EventId>, take: impl FnOnce(Bookmark) -> Snapshot) -> Subscription {
    let subscription = hub.subscribe("a").after(last).bookmarks(false);
    now(subscription.snapshot(async |at| Ok::<_, Infallible>(take(at)))).expect("taken")
}

fn one(data: &str) -> Snapshot {
    Snapshot::from(Event::new(data.to_owned()))
}

#[test]
fn what_is_published_while_the_snapshot_is_taken_comes_behind_it_p2() {
    let hub = hub(10);
    publish(&hub, "before");
    let subscription = with_snapshot(&hub, None, |_| {
        publish(&hub, "while");
        one("snapshot")
    });
    publish(&hub, "then");
    assert_eq!(ready_data(&mut read(subscription)), ["snapshot", "while", "then"]);
}

#[test]
fn who_comes_back_with_the_snapshots_id_goes_on_right_behind_it_and_gets_no_other_p2_p3() {
    let hub = hub(10);
    publish(&hub, "before");
    let mut first = read(with_snapshot(&hub, None, |_| one("snapshot")));
    let got = next_event(&mut first);
    drop(first);
    publish(&hub, "then");
    let again = with_snapshot(&hub, Some(got.id), |_| panic!("nothing is missing"));
    assert_eq!(ready_data(&mut read(again)), ["then"]);
}

#[test]
fn only_the_last_event_of_a_snapshot_has_an_id_whatever_ids_they_had() {
    let hub = hub(10);
    let event = |data: &'static str| Event::new(data).id(id("own"));
    let mut subscription = with_snapshot(&hub, None, |_| Snapshot::of([event("1"), event("2"), event("3")]));
    let delivery = match Pin::new(&mut subscription).poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(delivery))) => delivery,
        other => panic!("no snapshot: {other:?}"),
    };
    let place = hub.bookmark().expect("a log");
    let expected = format!("data: 1\n\ndata: 2\n\nid: {place}\ndata: 3\n\n");
    assert_eq!(delivery.frame(), *expected.as_bytes());
    assert_eq!(*delivery.id(), place);
}

#[test]
fn a_snapshot_takes_the_place_of_a_gap_p2() {
    let hub = hub(2);
    let old = publish(&hub, "0");
    (1..6).for_each(|number| drop(publish(&hub, &number.to_string())));
    let mut told = read(hub.subscribe("a").after(old.clone()).bookmarks(false));
    next_gap(&mut told);
    for last in [old, id("nobody's"), id("earliest")] {
        let mut subscription = with_snapshot(&hub, Some(last), |_| one("snapshot"));
        assert!(!matches!(now(subscription.opened()), Ok(Resume::Fresh)), "how it began is not forgotten");
        let mut reader = read(subscription);
        assert_eq!(next_event(&mut reader).data(), "snapshot");
        assert_waiting(&mut reader);
    }
}

#[test]
fn a_snapshot_of_no_events_is_none_and_a_gap_is_told_p2() {
    let hub = hub(2);
    let old = publish(&hub, "0");
    (1..6).for_each(|number| drop(publish(&hub, &number.to_string())));
    let mut reader = read(with_snapshot(&hub, Some(old), |_| Snapshot::default()));
    next_gap(&mut reader);
    assert_eq!(ready_data(&mut reader), ["4", "5"]);
}

#[test]
fn a_snapshot_as_of_an_event_goes_on_right_behind_that_p2_p3() {
    let hub = hub(10);
    publish(&hub, "1");
    let seen = publish(&hub, "2");
    publish(&hub, "3");
    // Made from what was seen, which is behind the log's end, and before it when it is done.
    let behind = with_snapshot(&hub, None, |_| one("1 and 2").as_of(seen.clone()));
    let ahead = with_snapshot(&hub, None, |_| {
        publish(&hub, "4");
        one("1 to 5").as_of(publish(&hub, "5"))
    });
    publish(&hub, "6");
    assert_eq!(ready_data(&mut read(behind)), ["1 and 2", "3", "4", "5", "6"]);
    assert_eq!(ready_data(&mut read(ahead)), ["1 to 5", "6"]);
}

#[test]
fn a_snapshot_as_of_what_is_not_kept_any_more_is_followed_by_a_gap_p2() {
    let hub = hub(2);
    let old = publish(&hub, "0");
    (1..6).for_each(|number| drop(publish(&hub, &number.to_string())));
    let mut reader = read(with_snapshot(&hub, None, |_| one("0").as_of(old)));
    assert_eq!(next_event(&mut reader).data(), "0");
    next_gap(&mut reader);
    assert_eq!(ready_data(&mut reader), ["4", "5"]);
}

#[test]
fn a_log_that_begins_anew_behind_a_snapshot_is_a_gap_p6() {
    let toy = Toy::new(Arc::new(TestClock::default()));
    let hub = Hub::builder().engine(toy.clone()).build().expect("a hub");
    let subscription = with_snapshot(&hub, None, |_| one("snapshot"));
    toy.begin_epoch();
    let mut reader = read(subscription);
    assert_eq!(next_event(&mut reader).data(), "snapshot");
    next_gap(&mut reader);
}

#[test]
fn who_cannot_take_a_snapshot_is_told_why_and_the_subscription_is_over() {
    let hub = hub(10);
    let subscription = hub.subscribe("a").snapshot(async |_| Err::<Snapshot, _>("the database is away"));
    assert_eq!(now(subscription).map(drop), Err("the database is away"));
    assert_eq!(hub.counts().subscribers, 0);
}

#[test]
fn a_subscription_that_was_refused_takes_no_snapshot() {
    let hub = Hub::builder().subscribers_max(0).build().expect("a hub");
    let mut refused: Reader = read(with_snapshot(&hub, None, |_| panic!("it is refused")));
    assert_failed(&mut refused, |error| matches!(error, SubscribeError::HubFull { .. }));
}

#[test]
fn a_snapshot_waits_until_there_is_a_log() {
    let puppet = Puppet::silent();
    let hub = Hub::builder().engine(puppet.clone()).build().expect("a hub");
    let mut taken = pin!(hub.subscribe("a").snapshot(async |_| Ok::<_, Infallible>(one("snapshot"))));
    let mut context = Context::from_waker(Waker::noop());
    assert!(taken.as_mut().poll(&mut context).is_pending());
    puppet.begin(1, 1);
    let Poll::Ready(Ok(subscription)) = taken.as_mut().poll(&mut context) else { panic!("there is a log") };
    assert_eq!(next(&mut read(subscription)).data(), "snapshot");
}
