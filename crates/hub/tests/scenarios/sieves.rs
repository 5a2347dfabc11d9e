//! What one subscriber leaves out of what it asks for: events that are not for its name, that its filter refuses, or for which something
//! newer stands (P1, P2, P3, P7).

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Poll, Waker};

use fanfare_hub::{
    Batch, Due, Framing, GapReason, Grant, Hub, Look, Matcher, Publication, PublishError, SubscribeError,
    Subscribers, Topic, TopicError,
};
use fanfare_wire::Event;
use proptest::prelude::*;

use super::reader::read;
use super::support::toy::Toy;
use super::support::{
    Read, TestClock, What, assert_failed, assert_waiting, id, next, next_event, next_gap, now, ready_data,
    topic,
};

fn hub(history: usize) -> Hub {
    Hub::builder().history_events(history).build().expect("a hub")
}

fn publish(hub: &Hub, to: &str, data: &str) {
    now(hub.publish(to, Event::new(data.to_owned()))).expect("published");
}

fn publish_except(hub: &Hub, data: &str, names: &[&str]) {
    let publication = Publication::to([topic("a")]).event(Event::new(data.to_owned()));
    let publication = names.iter().fold(publication, |publication, name| publication.except(*name));
    now(hub.publish_all(publication)).expect("published");
}

#[test]
fn a_publication_reaches_everybody_but_those_of_a_name_live_and_later_without_a_gap_p2() {
    let hub = hub(100);
    let named = |name: &str| hub.subscribe("a").bookmarks(false).named(name);
    let (mut ada, mut bob, mut nobody) =
        (read(named("ada")), read(named("bob")), read(hub.subscribe("a").bookmarks(false)));
    publish(&hub, "a", "1");
    assert_eq!(next_event(&mut ada).data(), "1");
    publish_except(&hub, "2", &["ada"]);
    publish_except(&hub, "3", &["ada", "bob"]);
    assert_waiting(&mut ada);
    publish(&hub, "a", "4");
    let last = next_event(&mut ada);
    assert_eq!(last.data(), "4");
    assert_eq!(ready_data(&mut bob), ["1", "2", "4"]);
    assert_eq!(ready_data(&mut nobody), ["1", "2", "3", "4"]);
    publish_except(&hub, "5", &["ada"]);
    publish(&hub, "a", "6");
    assert_eq!(ready_data(&mut read(named("ada").after(last.id))), ["6"]);
    assert_eq!(ready_data(&mut read(named("bob").after(id("earliest")))), ["1", "2", "4", "5", "6"]);
}

#[test]
fn a_name_stays_with_whatever_is_granted_and_whatever_is_joined_p7() {
    let hub = hub(100);
    let grant = Grant::from_iter([Matcher::from(topic("a"))]);
    let mut subscription = hub.subscribe("b").bookmarks(false).named("ada").grant(&grant);
    subscription.handle().join("a").expect("joined");
    let private = |data: &str| Publication::to([topic("a")]).private(Event::new(data.to_owned()));
    now(hub.publish_all(private("1").except("ada"))).expect("published");
    now(hub.publish_all(private("2").except("bob"))).expect("published");
    publish_except(&hub, "3", &["bob", "ada"]);
    assert_eq!(ready_data(&mut read(subscription)), ["2"]);
    // A name is no right to what others may not read, nor to know of it.
    let secret = Publication::to([topic("a")]).private(Event::new("4").id(id("chosen"))).except("ada");
    now(hub.publish_all(secret)).expect("published");
    let mut named = read(hub.subscribe("a").named("ada").after(id("chosen")));
    assert_eq!(next_gap(&mut named).reason(), GapReason::Unknown);
}

#[test]
fn a_crowd_reads_for_those_with_names_and_passes_over_what_is_not_for_them_p7() {
    let hub = hub(100);
    let mut crowd = hub.crowd(Waker::noop().clone());
    let mut members = ["ada", "bob", "ada"].map(|name| {
        let subscription = hub.subscribe("a").bookmarks(false).named(name);
        crowd.admit_as(subscription, Framing::Bare, 0).expect("it is live")
    });
    publish_except(&hub, "1", &["ada"]);
    let mut batch = Batch::new();
    let mut reading = crowd.read(&mut batch);
    assert!(matches!(reading.due(&mut members[0], Look::News), Due::Nothing));
    assert!(matches!(reading.due(&mut members[1], Look::News), Due::Write(_)));
    assert!(matches!(reading.due(&mut members[2], Look::News), Due::Nothing));
    drop(reading);
    for member in members {
        crowd.leave(member);
    }
}

#[test]
fn an_exception_makes_nothing_private_and_gives_nobody_a_right_p7() {
    let hub = hub(100);
    let private = Publication::to([topic("a")]).private(Event::new("private")).except("ada");
    publish_except(&hub, "public", &["ada"]);
    now(hub.publish_all(private)).expect("published");
    let mut anybody = read(hub.subscribe("a").bookmarks(false).after(id("earliest")));
    assert_eq!(ready_data(&mut anybody), ["public"]);
}

#[test]
fn a_name_that_no_topic_could_have_is_refused_on_either_side() {
    let hub = hub(100);
    for name in ["", "two\nlines", "\u{0}x"] {
        let publication = Publication::to([topic("a")]).event(Event::new("x")).except(name);
        assert!(matches!(now(hub.publish_all(publication)), Err(PublishError::Topic(_))), "{name:?}");
        let mut refused = read(hub.subscribe("a").named(name));
        assert_failed(&mut refused, |error| matches!(error, SubscribeError::Topic(_)));
    }
    let nobody = Publication::to([]).event(Event::new("x")).except("ada");
    assert!(matches!(now(hub.publish_all(nobody)), Err(PublishError::NoTopic)));
    let long = "x".repeat(4_096);
    assert!(matches!(
        now(hub.publish_all(Publication::to([topic("a")]).event(Event::new("x")).except(long))),
        Err(PublishError::Topic(TopicError::TooLong { .. }))
    ));
}

#[test]
fn what_a_filter_refuses_is_no_gap_and_moves_the_bookmark_p2() {
    let hub = hub(100);
    let even = || hub.subscribe("a").filter(|entry| entry.position() % 2 == 0);
    let mut reader = read(even());
    assert_eq!(next(&mut reader).what, What::Bookmark);
    (1..=300).for_each(|number| publish(&hub, "a", &number.to_string()));
    let mut behind = read(even().after(id("earliest")).bookmarks(false));
    let kept: Vec<_> =
        (201..=300).filter(|number| number % 2 == 0).map(|number| number.to_string()).collect();
    assert_eq!(ready_data(&mut behind), kept);
}

#[test]
fn several_filters_have_to_agree() {
    let hub = hub(100);
    let subscription = hub.subscribe("a").bookmarks(false);
    let subscription =
        subscription.filter(|entry| entry.position() % 2 == 0).filter(|entry| entry.position() % 3 == 0);
    (1..=12).for_each(|number| publish(&hub, "a", &number.to_string()));
    assert_eq!(ready_data(&mut read(subscription)), ["6", "12"]);
}

#[test]
fn a_filter_that_panics_ends_its_subscription_and_no_other_p5() {
    let hub = hub(100);
    let mut other = read(hub.subscribe("a").bookmarks(false));
    let mut broken = read(hub.subscribe("a").bookmarks(false).filter(|_| panic!("as this test wants it")));
    publish(&hub, "a", "1");
    assert_failed(&mut broken, |error| matches!(error, SubscribeError::FilterPanicked));
    assert_eq!(ready_data(&mut other), ["1"]);
    assert_eq!(hub.counts().subscribers, 1);
}

#[test]
fn a_filter_may_ask_the_hub_itself() {
    let hub = hub(100);
    let asked = hub.clone();
    let subscription = hub.subscribe("a").bookmarks(false).filter(move |_| asked.counts().publications > 1);
    publish(&hub, "a", "1");
    publish(&hub, "a", "2");
    assert_eq!(ready_data(&mut read(subscription)), ["1", "2"]);
}

#[test]
fn whoever_is_behind_gets_the_newest_of_each_topic_in_order_and_whoever_keeps_up_gets_all_p1() {
    let hub = hub(100);
    let both = || hub.subscribe(Matcher::any()).bookmarks(false).conflate();
    let (mut quick, slow) = (read(both()), both());
    for (to, data) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("c", "c1"), ("b", "b2")] {
        publish(&hub, to, data);
        assert_eq!(ready_data(&mut quick), [data]);
    }
    assert_eq!(ready_data(&mut read(slow)), ["a2", "c1", "b2"]);
    assert_eq!(ready_data(&mut read(both().after(id("earliest")))), ["a2", "c1", "b2"]);
}

#[test]
fn only_what_the_reader_gets_stands_for_what_it_does_not_get_p2() {
    let hub = hub(100);
    let to = |topics: &[&str]| Publication::to(topics.iter().map(|text| topic(text)));
    let reader = || hub.subscribe("b").bookmarks(false).named("ada").conflate();
    // The same canonical topic each time, and only the first is for who asks for `b`, may read it, and is called ada.
    for publication in [
        to(&["a", "b"]).event(Event::new("this")),
        to(&["a"]).event(Event::new("not asked for")),
        to(&["a", "b"]).private(Event::new("private")),
        to(&["a", "b"]).event(Event::new("for others")).except("ada"),
    ] {
        now(hub.publish_all(publication)).expect("published");
    }
    assert_eq!(ready_data(&mut read(reader().after(id("earliest")))), ["this"]);
    now(hub.publish_all(to(&["b", "a"]).event(Event::new("another key")))).expect("published");
    assert_eq!(ready_data(&mut read(reader().after(id("earliest")))), ["this", "another key"]);
}

#[test]
fn what_stands_behind_a_change_of_topics_stands_for_nothing_before_it_p2() {
    let hub = hub(100);
    let mut subscription = hub.subscribe("a").bookmarks(false).conflate();
    let handle = subscription.handle();
    publish(&hub, "a", "1");
    publish(&hub, "a", "2");
    handle.select("b").expect("selected");
    publish(&hub, "a", "3");
    publish(&hub, "b", "4");
    assert_eq!(ready_data(&mut read(subscription)), ["2", "4"]);
}

#[test]
fn what_retention_took_is_a_gap_for_who_conflates_too_p2() {
    let hub = hub(2);
    let subscription = hub.subscribe("a").bookmarks(false).conflate();
    (1..=9).for_each(|number| publish(&hub, "a", &number.to_string()));
    let mut reader = read(subscription);
    next_gap(&mut reader);
    assert_eq!(ready_data(&mut reader), ["9"]);
}

#[test]
fn far_behind_memory_something_newer_stands_for_what_the_engine_has_p2() {
    let toy = Toy::new(Arc::new(TestClock::default()));
    let hub = Hub::builder().engine(toy.clone()).history_events(2).build().expect("a hub");
    let subscription = hub.subscribe("a").bookmarks(false).conflate();
    for number in 1..=20 {
        let _ = super::changes::publish(&hub, "a", &number.to_string());
    }
    toy.tell(usize::MAX);
    assert_eq!(ready_data(&mut read(subscription)), ["20"]);
}

#[test]
fn who_is_connected_is_listed_with_what_the_application_knows_until_it_ends() {
    let hub = hub(100);
    let subscribers = Subscribers::<&'static str>::new();
    let ada = subscribers.add(hub.subscribe("a").bookmarks(false), "ada");
    let mut bob = read(subscribers.add(hub.subscribe("a").bookmarks(false), "bob"));
    let names = || subscribers.list().iter().map(|each| *each.state).collect::<Vec<_>>();
    assert_waiting(&mut bob);
    assert_eq!(names(), ["ada", "bob"]);
    drop(ada);
    assert_eq!(names(), ["bob"]);
    subscribers.list()[0].handle.select("b").expect("selected");
    publish(&hub, "a", "1");
    publish(&hub, "b", "2");
    assert_eq!(ready_data(&mut bob), ["2"]);
    let full = Hub::builder().subscribers_max(0).build().expect("a hub");
    drop(subscribers.add(full.subscribe("a"), "carl"));
    assert_eq!(names(), ["bob"]);
    subscribers.list()[0].handle.end();
    super::support::assert_ended(&mut bob);
    assert!(subscribers.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// P1, P2: however it reads, drops and comes back, in the end it has seen the log's last of each topic last.
    #[test]
    fn whoever_conflates_has_the_last_of_each_topic_in_the_end(
        ops in prop::collection::vec(
            prop_oneof![
                6 => (0..4usize).prop_map(|to| (Some(to), 0)),
                2 => (0..4usize).prop_map(|count| (None, count)),
            ],
            1..60,
        ),
        comes_back in any::<bool>(),
    ) {
        let hub = hub(1_000);
        let any = || hub.subscribe(Matcher::any()).bookmarks(false).conflate();
        let mut reader = read(any());
        let (mut published, mut seen, mut last) = (HashMap::new(), HashMap::new(), None);
        for (number, (to, count)) in ops.into_iter().chain([(None, usize::MAX)]).enumerate() {
            if let Some(to) = to {
                let data = format!("{to} {number}");
                publish(&hub, &format!("prices/{to}"), &data);
                published.insert(to.to_string(), number);
                continue;
            }
            for _ in 0..count {
                let Poll::Ready(Some(got)) = reader.take_ready() else { break };
                let got = got.expect("no error");
                let (to, number) = got.data().split_once(' ').expect("a topic and a number");
                let number: usize = number.parse().expect("a number");
                prop_assert!(seen.values().all(|before| *before < number), "P1, P3");
                seen.insert(to.to_owned(), number);
                last = Some(got.id);
            }
            if comes_back && count < usize::MAX && last.is_some() {
                reader = read(any().after(last.clone()));
            }
        }
        prop_assert_eq!(seen, published);
    }
}

#[test]
fn an_internal_topic_is_no_exception() {
    let refused = std::panic::catch_unwind(|| Topic::internal("except/ada"));
    assert!(refused.is_err());
}
