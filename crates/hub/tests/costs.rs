//! What publishing costs: matching is done once for each entry and distinct selection, whoever shares it, and only for
//! patterns that begin as a topic of the entry does.

mod support;

#[cfg(feature = "uri-template")]
use fanfare_hub::Selection;
use fanfare_hub::{Grant, Hub, Matcher, Publication};
use fanfare_wire::Event;
#[cfg(any(feature = "urlpattern", feature = "uri-template"))]
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
            publish(&hub, &format!("/rooms/{room}/doors"));
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

#[cfg(any(feature = "urlpattern", feature = "uri-template"))]
fn check_that_a_thousand_patterns_cost_what_one_does(pattern: impl Fn(usize) -> Matcher) {
    let hub = Hub::builder().build().expect("a hub");
    let subscriptions: Vec<_> = (0..1_000).map(|n| hub.subscribe(pattern(n)).bookmarks(false)).collect();
    let evaluations = |topics: &[&str]| {
        let before = hub.counts().pattern_evaluations;
        let publication = Publication::to(topics.iter().map(|text| topic(text))).event(Event::new("x"));
        now(hub.publish_all(publication)).expect("published");
        hub.counts().pattern_evaluations - before
    };
    // Whoever begins otherwise costs nothing.
    assert_eq!(evaluations(&["https://hub.test/halls/7"]), 0);
    assert_eq!(evaluations(&["chat"]), 0);
    assert_eq!(evaluations(&["https://hub.test/rooms/1000/a"]), 0);
    assert_eq!(evaluations(&["https://hub.test/rooms/7/a"]), 1);
    assert_eq!(evaluations(&["https://hub.test/rooms/7/a/b"]), 1);
    // A pattern is held against the topics that it may match, until it matches one.
    assert_eq!(evaluations(&["chat", "https://hub.test/rooms/7/a"]), 1);
    assert_eq!(evaluations(&["https://hub.test/rooms/7/a", "https://hub.test/rooms/7/b"]), 1);
    assert_eq!(evaluations(&["https://hub.test/rooms/7/a/b", "https://hub.test/rooms/7/b"]), 2);
    assert_eq!(evaluations(&["https://hub.test/rooms/7/a", "https://hub.test/rooms/8/a"]), 2);
    drop(subscriptions);
    assert_eq!(evaluations(&["https://hub.test/rooms/7/a"]), 0);
}

/// P5: what a publication costs does not grow with those who ask for something else.
#[cfg(feature = "urlpattern")]
#[test]
fn url_patterns_that_begin_otherwise_than_a_topic_are_not_evaluated() {
    check_that_a_thousand_patterns_cost_what_one_does(|n| {
        Matcher::url_pattern(format!("/rooms/{n}/:door"), "https://hub.test/").expect("a pattern")
    });
}

#[cfg(feature = "uri-template")]
#[test]
fn templates_that_begin_otherwise_than_a_topic_are_not_evaluated() {
    check_that_a_thousand_patterns_cost_what_one_does(|n| {
        Matcher::topic_selector(format!("https://hub.test/rooms/{n}/{{door}}")).expect("a template")
    });
}

/// Whoever gets an entry for one of its matchers needs no other.
#[cfg(feature = "uri-template")]
#[test]
fn a_selection_that_is_known_to_match_is_not_held_against_an_entry_again() {
    let hub = Hub::builder().build().expect("a hub");
    let template = |text: &str| Matcher::topic_selector(text).expect("a template");
    let both: Selection = [Matcher::from(topic("rooms/1")), template("rooms/{id}")].into_iter().collect();
    let mut subscription = hub.subscribe(both).bookmarks(false);
    publish(&hub, "rooms/1");
    assert_eq!(hub.counts().pattern_evaluations, 0);
    publish(&hub, "rooms/2");
    assert_eq!(hub.counts().pattern_evaluations, 1);
    assert_eq!(ready_data(&mut subscription).len(), 2);
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
