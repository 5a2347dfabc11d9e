//! What publishing costs: matching is done once for each entry and distinct selection, whoever shares it.

mod support;

use fanfare_hub::{Grant, Hub, Matcher, Publication};
use fanfare_wire::Event;
#[cfg(feature = "urlpattern")]
use support::ready_data;
use support::{now, topic};

fn publish(hub: &Hub, to: &str) {
    now(hub.publish(to, Event::new("x"))).expect("published");
}

#[cfg(feature = "urlpattern")]
#[test]
fn a_pattern_is_evaluated_as_often_for_ten_thousand_equal_subscribers_as_for_one() {
    let evaluations = |subscribers: usize| {
        let hub = Hub::builder().build().expect("a hub");
        // Two patterns, compiled apart but equal; compiling thousands would take longer than all the rest.
        let patterns =
            [(); 2].map(|()| Matcher::url_pattern("/rooms/:id", "https://hub.test/").expect("a pattern"));
        let ask = |n: usize| hub.subscribe(patterns[n % 2].clone()).bookmarks(false);
        let mut subscriptions: Vec<_> = (0..subscribers).map(ask).collect();
        for room in 0..20 {
            publish(&hub, &format!("/rooms/{room}"));
            publish(&hub, &format!("/halls/{room}"));
        }
        for subscription in &mut subscriptions {
            assert_eq!(ready_data(subscription).len(), 20);
        }
        assert_eq!(hub.counts().deliveries, 20 * subscribers as u64);
        hub.counts().pattern_evaluations
    };
    assert_eq!(evaluations(1), 40);
    assert_eq!(evaluations(10_000), 40);
}

#[test]
fn exact_topics_are_found_by_an_index_and_never_evaluated() {
    let hub = Hub::builder().build().expect("a hub");
    let subscriptions: Vec<_> = (0..1_000).map(|n| hub.subscribe(format!("rooms/{n}"))).collect();
    publish(&hub, "halls/1");
    publish(&hub, "rooms/1");
    assert_eq!(hub.counts().pattern_evaluations, 0);
    assert_eq!(hub.counts().readerships, 1_000);
    drop(subscriptions);
    assert_eq!(hub.counts().readerships, 0);
}

#[test]
fn equal_selections_and_grants_are_one_readership() {
    let hub = Hub::builder().build().expect("a hub");
    let grant: Grant = [Matcher::from(topic("a"))].into_iter().collect();
    let all: Vec<_> = (0..10).flat_map(|_| [hub.subscribe("a"), hub.subscribe("a").grant(&grant)]).collect();
    assert_eq!((hub.counts().subscribers, hub.counts().readerships), (20, 2));
    drop(all);
}

/// P5: a subscriber that never reads holds a place in the log and nothing else.
#[test]
fn a_subscriber_that_never_reads_costs_the_log_nothing() {
    let hub = Hub::builder().history_events(10).build().expect("a hub");
    let _stalled = hub.subscribe("a");
    for _ in 0..10_000 {
        publish(&hub, "a");
    }
    assert_eq!(hub.counts().log_entries, 10);
    assert!(hub.counts().log_bytes < 10 * 1_000);
}

#[test]
fn history_is_bounded_in_bytes_but_keeps_the_newest_event() {
    let hub = Hub::builder().history_bytes(2_000).build().expect("a hub");
    for _ in 0..100 {
        publish(&hub, "a");
    }
    assert!(hub.counts().log_bytes <= 2_000);
    let large = Publication::to([topic("a")]).event(Event::new("x".repeat(10_000)));
    now(hub.publish_all(large)).expect("published");
    assert_eq!(hub.counts().log_entries, 1);
}
