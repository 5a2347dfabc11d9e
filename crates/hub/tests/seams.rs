//! The seams: holes, new logs, retention and engines that say strange things, each at the worst moment.

mod support;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fanfare_hub::engine::{Batch, Followed, ReadError};
use fanfare_hub::{
    Check, GapReason, Grant, Hub, HubBuilder, Matcher, Place, Publication, Resume, SubscribeError,
    Subscription,
};
use fanfare_wire::{Event, EventId};
use futures_core::Stream;
use support::puppet::{self, Puppet, logged};
use support::toy::Toy;
use support::{
    Bell, TestClock, assert_waiting, data, id, next_event, next_gap, now, poll, ready_data, topic,
};

fn hub_over(puppet: &Arc<Puppet>) -> HubBuilder {
    Hub::builder().clock(TestClock::default()).engine(puppet.clone())
}

fn publish(hub: &Hub, to: &str, text: &str) -> EventId {
    now(hub.publish(to, Event::new(text.to_owned()))).expect("published").id
}

fn publish_private(hub: &Hub, to: &str, text: &str) -> EventId {
    let publication = Publication::to([topic(to)]).private(Event::new(text.to_owned()));
    now(hub.publish_all(publication)).expect("published").id
}

fn grant(topics: &[&str]) -> Grant {
    topics.iter().map(|text| Matcher::from(topic(text))).collect()
}

/// P2.
#[cfg(feature = "uri-template")]
#[test]
fn a_hole_is_told_even_if_a_long_search_is_broken_off_behind_it() {
    let puppet = Puppet::with_log();
    let hub = hub_over(&puppet).build().expect("a hub");
    for position in 1..=900 {
        puppet.entry(position, "other", 0);
    }
    puppet.tell(Followed::Hole { through: 950 });
    for position in 951..=2_000 {
        puppet.entry(position, "other", 0);
    }
    let pattern = Matcher::topic_selector("wanted/{id}").expect("a template");
    puppet.answer_bounds(1, 1, 2_001);
    let mut subscription = hub.subscribe(pattern).after(id("earliest"));
    assert_eq!(next_gap(&mut subscription).position(), 950);
}

#[test]
fn a_hole_in_front_does_not_keep_old_entries_from_aging() {
    let clock = Arc::new(TestClock::default());
    let puppet = Puppet::with_log();
    let hub = Hub::builder().clock(clock.clone()).engine(puppet.clone());
    let hub = hub.history_age(Duration::from_secs(60)).build().expect("a hub");
    puppet.tell(Followed::Hole { through: 3 });
    puppet.entry(4, "a", 0);
    puppet.entry(5, "a", 50);
    clock.advance(Duration::from_secs(70));
    puppet.answer_bounds(1, 6, 6);
    assert_eq!(ready_data(&mut hub.subscribe("a").after(id("earliest"))), ["5"]);
    assert_eq!(hub.counts().log_oldest, 5);
}

/// The engine knows of a new log before it has told it: whoever comes then waits, and does not ask in circles.
#[test]
fn a_subscriber_waits_for_a_log_that_the_engine_has_not_told_yet() {
    let puppet = Puppet::with_log();
    let hub = hub_over(&puppet).build().expect("a hub");
    puppet.answer_bounds(2, 1, 1);
    let mut subscription = hub.subscribe("a").after(id("nobody's"));
    assert_waiting(&mut subscription);
    puppet.begin(2, 1);
    assert_eq!(now(subscription.opened()).expect("open"), &Resume::Gap { reason: GapReason::Unknown });
    puppet.entry(1, "a", 0);
    assert_eq!(next_gap(&mut subscription).reason(), GapReason::Unknown);
    assert_eq!(ready_data(&mut subscription), ["1"]);
}

#[test]
fn a_subscriber_that_waits_for_a_log_ends_when_the_hub_is_closed() {
    for puppet in [Puppet::silent(), Puppet::with_log()] {
        let hub = hub_over(&puppet).build().expect("a hub");
        puppet.answer_bounds(2, 1, 1);
        let mut subscription = hub.subscribe("a").after(id("nobody's"));
        assert_waiting(&mut subscription);
        hub.close();
        assert!(matches!(poll(&mut subscription), Poll::Ready(Some(Err(SubscribeError::Closed)))));
        assert!(matches!(poll(&mut subscription), Poll::Ready(None)));
    }
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

/// P6: the id of a gap is good although retention takes what was behind it at once.
#[test]
fn a_gap_at_the_start_of_a_new_log_can_be_resumed_from_although_its_first_entries_are_over_age() {
    let clock = Arc::new(TestClock::default());
    let puppet = Puppet::with_log();
    let hub = Hub::builder().clock(clock.clone()).engine(puppet.clone());
    let hub = hub.history_age(Duration::from_secs(60)).build().expect("a hub");
    let mut subscription = hub.subscribe("b").bookmarks(false);
    assert_waiting(&mut subscription);
    puppet.begin(2, 100);
    puppet.entry(100, "a", 0);
    clock.advance(Duration::from_secs(61));
    let gap = next_gap(&mut subscription);
    assert_eq!(gap.reason(), GapReason::Rewound);
    // The engine keeps more than memory does.
    puppet.answer_bounds(2, 50, 101);
    let mut back = hub.subscribe("b").after(gap.id().clone());
    assert_eq!(now(back.opened()).expect("open"), &Resume::Resumed { after: gap.position() });
}

/// P2: rather an end that the client can come back from than an event less.
#[test]
fn an_engine_that_reads_nothing_at_all_is_at_fault() {
    let puppet = Puppet::with_log();
    let hub = hub_over(&puppet).history_events(1).build().expect("a hub");
    let mut subscription = hub.subscribe("a").bookmarks(false);
    for position in 1..=3 {
        puppet.entry(position, "a", 0);
    }
    let mut another = hub.subscribe("a").after(id("earliest"));
    puppet.answer_bounds(1, 1, 4);
    puppet.answer_read(Ok(Batch { entries: Vec::new(), through: 0, all: true }));
    assert!(matches!(poll(&mut subscription), Poll::Ready(Some(Err(SubscribeError::Log(_))))));
    assert!(matches!(poll(&mut subscription), Poll::Ready(None)));
    // It has trimmed what it was asked for, and has it.
    puppet.answer_read(Err(ReadError::Trimmed { oldest: 1 }));
    assert!(matches!(poll(&mut another), Poll::Ready(Some(Err(SubscribeError::Log(_))))));
}

/// P3.
#[test]
fn what_an_engine_reads_twice_is_handed_out_once() {
    let puppet = Puppet::with_log();
    let hub = hub_over(&puppet).history_events(1).build().expect("a hub");
    let mut subscription = hub.subscribe("a").bookmarks(false);
    for position in 1..=3 {
        puppet.entry(position, "a", 0);
    }
    let entries = [1, 2, 2, 1, 3].map(|position| logged(position, "a", 0)).into();
    puppet.answer_read(Ok(Batch { entries, through: 2, all: true }));
    assert_eq!(ready_data(&mut subscription), ["1", "2", "3"]);
}

#[test]
fn a_log_that_begins_at_no_position_begins_at_the_first() {
    let puppet = Puppet::silent();
    let hub = hub_over(&puppet).build().expect("a hub");
    puppet.begin(1, 0);
    let mut subscription = hub.subscribe("a");
    puppet.entry(1, "a", 0);
    assert_eq!(ready_data(&mut subscription), ["1"]);
}

/// P7: that private events were published is no business of who may not read them.
#[test]
fn private_events_that_retention_takes_are_no_gap_to_who_may_not_read_them() {
    let cases = [
        (Matcher::any(), grant(&[]), false),
        (Matcher::any(), grant(&["mine"]), false),
        (Matcher::any(), grant(&["secret"]), true),
        (Matcher::any(), Grant::everything(), true),
        (topic("secret").into(), grant(&[]), false),
        (topic("secret").into(), grant(&["mine"]), false),
        (topic("secret").into(), grant(&["secret", "mine"]), true),
    ];
    for (asked, granted, is_told) in cases {
        // Topics share buckets by chance; a real leak shows every time.
        let told = (0..4).all(|_| {
            let hub = Hub::builder().history_events(1).build().expect("a hub");
            let mut live = hub.subscribe(asked.clone()).grant(&granted).bookmarks(false);
            let cursor = publish(&hub, "start", "0");
            let mut back = hub.subscribe(asked.clone()).grant(&granted).after(cursor);
            for text in ["1", "2"] {
                publish_private(&hub, "secret", text);
            }
            publish(&hub, "end", "3");
            if asked == Matcher::any() {
                // It has not taken the first one in time, which was public.
                assert_eq!(next_gap(&mut live).reason(), GapReason::Trimmed);
            }
            matches!(now(back.opened()), Ok(Resume::Gap { reason: GapReason::Trimmed }))
        });
        assert_eq!(told, is_told, "{asked:?} with {granted:?}");
    }
}

/// M-134, P7: what a client cannot read does not exist for it.
#[test]
fn an_id_that_a_private_event_has_as_well_means_the_first_event_that_may_be_read() {
    let hub = Hub::builder().build().expect("a hub");
    let chosen = || Event::new("x").id(id("urn:twice"));
    let secret = Publication::to([topic("secret")]).private(chosen());
    now(hub.publish_all(secret)).expect("published");
    now(hub.publish("a", chosen())).expect("published");
    publish(&hub, "a", "next");
    let mut subscription = hub.subscribe("a").after(id("urn:twice"));
    assert_eq!(now(subscription.opened()).expect("open"), &Resume::Resumed { after: 2 });
    assert_eq!(ready_data(&mut subscription), ["next"]);
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
    assert_eq!(data(&next_event(&mut subscription)), "1");
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

/// P6: the same log, restored without its newest entries, and others took their positions.
#[test]
fn an_id_whose_position_another_entry_has_taken_is_rewound_in_memory_and_in_the_engine() {
    for history in [10, 1] {
        let puppet = Puppet::with_log();
        let hub = hub_over(&puppet).history_events(history).build().expect("a hub");
        for position in 1..=4 {
            puppet.entry(position, "a", 0);
        }
        puppet.answer_bounds(1, 1, 5);
        let outcome = |check| {
            let cursor = puppet::id_of(Place { epoch: 1, position: 2, check });
            now(hub.subscribe("a").after(cursor).opened()).expect("open").clone()
        };
        let check = logged(2, "a", 0).check;
        assert_eq!(outcome(check), Resume::Resumed { after: 2 });
        let other = Check::from_random(check.bits() + 1);
        assert_eq!(outcome(other), Resume::Gap { reason: GapReason::Rewound });
    }
}

/// P2: age passes without anything being published, and without anybody coming.
#[test]
fn an_entry_that_grows_old_before_it_is_read_is_a_gap() {
    let clock = Arc::new(TestClock::default());
    let hub = Hub::builder().clock(clock.clone()).history_age(Duration::from_secs(60));
    let hub = hub.build().expect("a hub");
    let mut subscription = hub.subscribe("a").bookmarks(false);
    publish(&hub, "a", "old");
    clock.advance(Duration::from_secs(61));
    assert_eq!(next_gap(&mut subscription).reason(), GapReason::Trimmed);
    assert_waiting(&mut subscription);
}
