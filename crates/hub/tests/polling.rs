//! What only a subscription that somebody polls promises: its doorbells, a grant that is changed on the way, and what one poll costs.

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use fanfare_hub::{
    GapReason, Grant, Hub, HubBuilder, Matcher, Place, Publication, SubscribeError, Subscription, Topic,
};
use fanfare_wire::Event;
use futures_core::Stream;
use futures_util::FutureExt;
use support::puppet::{self, Puppet, logged};
use support::shelf::{Answers, Shelf};
use support::toy::Toy;
use support::{
    Bell, Read, TestClock, What, assert_ended, assert_waiting, id, next, next_event, next_gap, now,
    ready_data, topic,
};

fn hub_over(puppet: &Arc<Puppet>) -> HubBuilder {
    Hub::builder().clock(TestClock::default()).engine(puppet.clone())
}

fn publish(hub: &Hub, to: &str, text: &str) {
    now(hub.publish(to, Event::new(text.to_owned()))).expect("published");
}

fn grant(topics: &[&str]) -> Grant {
    topics.iter().map(|text| Matcher::from(topic(text))).collect()
}

/// P5: a task that waits for a stalled engine is let go of with its subscription.
#[test]
fn a_subscriber_that_leaves_while_it_waits_for_the_engine_leaves_nothing_behind() {
    let puppet = Puppet::with_log();
    let hub = hub_over(&puppet).build().expect("a hub");
    puppet.answer_bounds(1, 1, 2);
    let bell = Arc::new(Bell::default());
    let mut subscription = hub.subscribe("a").after(id("nobody's"));
    let waker = bell.waker();
    assert!(pin!(&mut subscription).poll_next(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert_eq!(Arc::strong_count(&bell), 2);
    drop(subscription);
    assert_eq!(Arc::strong_count(&bell), 1);
}

/// Goal (P6): no place is called lost, and no id unknown, on the word of a part of the store that is behind.
/// Method: the engine says that the log ends before the place, and more when it is asked for what is certain.
#[test]
fn a_store_that_is_behind_in_part_makes_nobody_lose_a_place() {
    for asked in
        [puppet::id_of(Place { epoch: 1, position: 2, check: puppet::check(2) }), id("a publisher's")]
    {
        let puppet = Puppet::with_log();
        let hub = hub_over(&puppet).build().expect("a hub");
        puppet.entry(1, "a", 0);
        puppet.answer_bounds(1, 1, 2);
        puppet.answer_settled_bounds(1, 1, 4);
        let mut subscription = hub.subscribe("a").after(asked.clone()).bookmarks(false);
        assert_waiting(&mut subscription);
        puppet.entry(2, "a", 0);
        puppet.entry(3, "a", 0);
        puppet.answer_bounds(1, 1, 4);
        if asked.as_str().starts_with('#') {
            assert_eq!(ready_data(&mut subscription), ["3"]);
        } else {
            assert_eq!(next_gap(&mut subscription).reason(), GapReason::Unknown);
        }
    }
}

/// P7.
#[test]
fn a_grant_that_is_narrowed_during_a_replay_counts_at_once() {
    let toy = Toy::new(Arc::new(TestClock::default()));
    let hub = Hub::builder().engine(toy.clone()).history_events(1).build().expect("a hub");
    let mut subscription = hub.subscribe("a").grant(&grant(&["a"])).bookmarks(false);
    for text in ["1", "2", "3", "4"] {
        let publication = Publication::to([topic("a")]).private(Event::new(text));
        let mut publishing = Box::pin(hub.publish_all(publication));
        let waker = std::task::Waker::noop();
        while publishing.as_mut().poll(&mut Context::from_waker(waker)).is_pending() {}
    }
    toy.tell(4);
    assert_eq!(next_event(&mut subscription).data(), "1");
    subscription = subscription.grant(&Grant::nothing());
    assert_eq!(ready_data(&mut subscription), [""; 0]);
}

#[test]
fn a_grant_may_come_while_the_subscription_opens() {
    let puppet = Puppet::with_log();
    let hub = hub_over(&puppet).history_events(1).build().expect("a hub");
    for position in 1..=3 {
        puppet.entry(position, "a", 0);
    }
    puppet.answer_bounds(1, 4, 5);
    let cursor = Place { epoch: 1, position: 1, check: logged(1, "a", 0).check };
    let mut subscription = hub.subscribe("a").after(puppet::id_of(cursor)).bookmarks(false);
    assert_waiting(&mut subscription);
    subscription = subscription.grant(&grant(&["a"]));
    puppet.entry(4, "a", 0);
    assert_eq!(next_gap(&mut subscription).reason(), GapReason::Trimmed);
    assert_eq!(ready_data(&mut subscription), ["4"]);
}

#[test]
fn a_grant_that_comes_while_the_subscription_sleeps_wakes_it() {
    let hub = Hub::builder().build().expect("a hub");
    let bell = Arc::new(Bell::default());
    let mut subscription = hub.subscribe("a").bookmarks(false);
    let waker = bell.waker();
    assert!(pin!(&mut subscription).poll_next(&mut Context::from_waker(&waker)).is_pending());
    let _subscription = subscription.grant(&grant(&["a"]));
    assert!(bell.was_rung());
}

/// P5: the bytes of a history are those that it costs, also where events have many topics.
#[test]
fn each_topic_of_an_event_counts_towards_the_bytes_of_the_history() {
    let hub = Hub::builder().history_bytes(1024 * 1024).build().expect("a hub");
    for event in 0..50 {
        let topics = (0..1_000).map(|n| topic(&format!("{event}/{n}")));
        now(hub.publish_all(Publication::to(topics).event(Event::new("x")))).expect("published");
    }
    assert!(hub.counts().log_entries < 10, "{} entries", hub.counts().log_entries);
}

/// P5: a subscriber chooses how many patterns it has, and all others wait while its are held against the log.
#[cfg(feature = "uri-template")]
#[test]
fn one_look_at_the_log_evaluates_no_more_patterns_whoever_asks_for_many() {
    let hub = Hub::builder().build().expect("a hub");
    for text in 0..1_000 {
        publish(&hub, &format!("other/{text}"), "x");
    }
    let patterns = (0..100).map(|n| Matcher::topic_selector(format!("{n}/{{id}}")).expect("a template"));
    let selection: fanfare_hub::Selection = patterns.collect();
    let mut subscription = hub.subscribe(selection).after(id("earliest")).bookmarks(false);
    now(subscription.opened()).expect("open");
    let waker = std::task::Waker::noop();
    assert!(pin!(&mut subscription).poll_next(&mut Context::from_waker(waker)).is_pending());
    assert!(hub.counts().pattern_evaluations <= 1_100, "{}", hub.counts().pattern_evaluations);
    assert_waiting(&mut subscription);
}

/// P2: two subscribers of one readership, one of which has been rung and has not looked yet.
#[test]
fn a_subscriber_that_leaves_takes_nobody_elses_doorbell_with_it() {
    let hub = Hub::builder().build().expect("a hub");
    let subscribe = || (hub.subscribe("a").bookmarks(false), Arc::new(Bell::default()));
    let (mut first, first_bell) = subscribe();
    let (mut second, second_bell) = subscribe();
    let is_pending = |subscription: &mut Subscription, bell: &Arc<Bell>| {
        pin!(subscription).poll_next(&mut Context::from_waker(&bell.waker())).is_pending()
    };
    assert!(is_pending(&mut first, &first_bell));
    publish(&hub, "a", "1");
    assert!(first_bell.was_rung());
    assert!(!is_pending(&mut second, &second_bell));
    assert!(is_pending(&mut second, &second_bell));
    assert!(!is_pending(&mut first, &first_bell));
    assert!(is_pending(&mut first, &first_bell));
    publish(&hub, "a", "2");
    assert!(first_bell.was_rung() && second_bell.was_rung());
    assert!(!is_pending(&mut second, &second_bell));
    assert!(is_pending(&mut second, &second_bell));
    drop(first);
    publish(&hub, "a", "3");
    assert!(second_bell.was_rung());
    assert_eq!(ready_data(&mut second), ["3"]);
}

/// A waker that owns a subscription: what a detached task is to some executors.
struct Task(
    #[expect(dead_code, reason = "it is only to be dropped")] std::sync::Mutex<fanfare_hub::Subscription>,
);

impl std::task::Wake for Task {
    fn wake(self: std::sync::Arc<Self>) {}
}

#[test]
fn a_doorbell_that_is_all_that_keeps_another_subscription_alive_can_be_replaced() {
    use futures_util::StreamExt;
    let hub = Hub::builder().build().expect("a hub");
    let mut subscription = hub.subscribe("a").bookmarks(false);
    let task = Arc::new(Task(std::sync::Mutex::new(hub.subscribe("b"))));
    let waker = task.into();
    assert!(subscription.poll_next_unpin(&mut std::task::Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert_eq!(hub.counts().subscribers, 2);
    support::assert_waiting(&mut subscription);
    assert_eq!(hub.counts().subscribers, 1);
}

#[test]
fn a_bookmark_follows_only_when_the_log_has_moved_on_and_it_was_quiet() {
    let clock = Arc::new(TestClock::default());
    let hub = Hub::builder().clock(clock.clone()).build().expect("a hub");
    let mut subscription = hub.subscribe("a");
    assert_eq!(next(&mut subscription).what, What::Bookmark);
    clock.advance(Duration::from_secs(60));
    assert_waiting(&mut subscription);
    publish(&hub, "b", "not asked for");
    let bookmark = next(&mut subscription);
    assert_eq!((bookmark.what, bookmark.position), (What::Bookmark, Some(1)));
    publish(&hub, "b", "not asked for");
    assert_waiting(&mut subscription);
}

/// Nodes that share a log build on it: a loss that they are not told of would be wrong for ever.
#[test]
fn what_follows_presence_for_the_hub_itself_is_told_each_time_that_some_is_missing() {
    const NAMESPACE: &str = "/hub/subscriptions/";
    // Two entries of presence are kept.
    let hub = Hub::builder().history_events(20).build().expect("a hub");
    hub.join_presence(NAMESPACE);
    let follower = Topic::internal("presence");
    let announce = |what: &str| {
        let to = Publication::to([topic(&format!("{NAMESPACE}x")), follower.clone()]);
        now(hub.announce(to.private(Event::new(what.to_owned())))).expect("announced");
    };
    let mut own = hub.subscribe(follower.clone()).grant(&Grant::from_iter([follower.clone().into()]));
    own = own.bookmarks(false);
    let mut other = hub.subscribe(topic(&format!("{NAMESPACE}x"))).grant(&Grant::everything());
    other = other.bookmarks(false);
    assert_waiting(&mut own);
    assert_waiting(&mut other);
    ["1", "2", "3"].into_iter().for_each(announce);
    next_gap(&mut own);
    next_gap(&mut other);
    // Of what it was about to read more is gone.
    ["4", "5"].into_iter().for_each(announce);
    next_gap(&mut own);
    assert_eq!(ready_data(&mut own), ["4", "5"]);
    assert_eq!(ready_data(&mut other), ["4", "5"], "no gap after a gap for anybody else");
    announce("6");
    assert_eq!(ready_data(&mut own), ["6"]);
}

#[test]
fn who_is_ended_while_it_waits_for_the_engine_is_told_at_once_and_waits_no_more() {
    let shelf = Shelf::of((1..=5).map(|_| vec![topic("a")]), 10, Answers::WhenTold, true);
    let hub = Hub::builder().engine(shelf.clone()).build().expect("a hub");
    let mut reading = hub.subscribe("a").after(Shelf::id_of(1));
    let silent = Puppet::silent();
    let of_silent = Hub::builder().engine(silent).build().expect("a hub");
    let mut opening = of_silent.subscribe("a").after(id("somebody's"));
    for subscription in [&mut reading, &mut opening] {
        let handle = subscription.handle();
        let bell = Arc::new(Bell::default());
        while subscription.take(&bell).is_pending() && bell.was_rung() {}
        assert_waiting(subscription);
        assert!(subscription.take(&bell).is_pending() && !bell.was_rung());
        handle.end();
        assert!(bell.was_rung(), "nobody tells it");
        assert_ended(subscription);
        assert!(handle.selection().is_none());
    }
    assert_eq!(shelf.held(), 0, "what nobody waits for is asked for no more");
    assert_eq!((hub.counts().subscribers, of_silent.counts().subscribers), (0, 0));
    // Whoever waits to know where it begins is told why it never will.
    let mut opening = of_silent.subscribe("a").after(id("somebody's"));
    let handle = opening.handle();
    assert!(opening.opened().now_or_never().is_none());
    handle.end();
    assert!(matches!(opening.opened().now_or_never(), Some(Err(SubscribeError::Ended))));
}
