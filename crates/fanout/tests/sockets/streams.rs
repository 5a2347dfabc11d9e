//! What arrives: every event once and in order, live, replayed, or behind a gap (P1, P2, P3).

use fanfare_fanout::Terms;
use fanfare_hub::{Grant, Matcher, Publication, Selection, Topic};
use fanfare_wire::{Event, EventId, Frame};
use std::time::Duration;

use super::support::{Got, House, block_on, house, hub, settings};

#[test]
fn what_is_published_arrives_behind_the_head() {
    let house = house();
    let mut client = house.subscribe("a");
    let ids = ["1", "2"].map(|data| house.publish("a", data));
    for (data, id) in ["1", "2"].iter().zip(ids) {
        let expected =
            Got::Event { name: "message".to_owned(), data: (*data).to_owned(), id: id.as_str().to_owned() };
        assert_eq!(client.next(), expected);
    }
}

#[test]
fn nobody_gets_what_others_asked_for() {
    let house = house();
    let (mut a, mut b) = (house.subscribe("a"), house.subscribe("b"));
    for number in 0..100 {
        house.publish(if number % 2 == 0 { "a" } else { "b" }, &number.to_string());
    }
    assert_eq!(a.events(50), (0..100).step_by(2).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(b.events(50), (1..100).step_by(2).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn an_event_of_two_topics_arrives_once() {
    let house = house();
    let selection = Selection::from_iter(["a", "b"].map(|topic| Matcher::exact(topic).unwrap()));
    let mut client = house.adopt(house.hub.subscribe(selection).bookmarks(false), Terms::default());
    house.publish_all(&["a", "b"], "both");
    house.publish("b", "one");
    assert_eq!(client.events(2), ["both", "one"]);
}

#[test]
fn private_events_arrive_where_they_are_granted_and_nowhere_else() {
    let house = house();
    let matcher = Matcher::exact("a").unwrap();
    let granted = house.hub.subscribe("a").grant(&Grant::from_iter([matcher])).bookmarks(false);
    let mut granted = house.adopt(granted, Terms::default()).served();
    let mut stranger = house.subscribe("a").served();
    let secret = Publication::to([Topic::parse("a").unwrap()]).private(Event::new("secret"));
    block_on(house.hub.publish_all(secret)).unwrap();
    house.publish("a", "open");
    assert_eq!(granted.events(2), ["secret", "open"]);
    assert_eq!(stranger.next_event(), "open");
}

#[test]
fn who_comes_back_gets_what_it_missed_and_then_what_comes() {
    let house = house();
    let ids: Vec<EventId> = (0..50).map(|number| house.publish("a", &number.to_string())).collect();
    let mut client = house.resume("a", ids[19].as_str());
    assert_eq!(client.events(30), (20..50).map(|n| n.to_string()).collect::<Vec<_>>());
    house.publish("a", "live");
    assert_eq!(client.next_event(), "live");
}

#[test]
fn an_id_that_nobody_knows_is_told_by_one_gap_before_anything_else() {
    let house = house();
    house.publish("a", "before");
    let mut client = house.resume("a", "stranger").served();
    let Got::Event { name, data, .. } = client.next() else { panic!("no gap") };
    assert_eq!(name, "fanfare.gap");
    assert_eq!(data, "{\"reason\":\"unknown\",\"after\":\"stranger\"}");
    house.publish("a", "after");
    assert_eq!(client.next_event(), "after");
}

#[test]
fn a_bookmark_is_sent_at_the_start_and_resumes_exactly() {
    let house = house();
    house.publish("a", "1");
    let mut client = house.adopt(house.hub.subscribe("b"), Terms::default());
    assert_eq!(client.next(), Got::Bookmark);
    let text = String::from_utf8(client.bytes.clone()).unwrap();
    let id = text.strip_prefix("id: ").unwrap().trim_end();
    house.publish("b", "2");
    assert_eq!(client.next_event(), "2");
    assert_eq!(house.resume("b", id).next_event(), "2");
}

#[test]
fn a_quiet_stream_gets_a_comment_and_a_busy_hub_s_quiet_stream_a_bookmark() {
    let house = house();
    let terms = Terms { keep_alive: Some((Duration::from_millis(1), Frame::KEEP_ALIVE)), ..Terms::default() };
    let mut without = house.adopt(house.hub.subscribe("a").bookmarks(false), terms.clone()).served();
    let mut with = house.adopt(house.hub.subscribe("a"), terms).served();
    assert_eq!(without.next(), Got::Comment);
    assert_eq!(with.next(), Got::Bookmark);
    assert_eq!(with.next(), Got::Comment);
    house.publish("other", "somewhere else");
    while with.next() != Got::Bookmark {}
    house.publish("a", "here");
    assert_eq!(with.next_event(), "here");
    assert_eq!(without.next_event(), "here");
}

#[test]
fn an_event_larger_than_every_buffer_arrives_whole() {
    let hub = hub().event_bytes_max(64 * 1024 * 1024).build().unwrap();
    let house = House::new(hub, &settings());
    let mut client = house.subscribe("a");
    let large = "x".repeat(10 * 1024 * 1024);
    house.publish("a", &large);
    house.publish("a", "small");
    assert!(client.next_event() == large);
    assert_eq!(client.next_event(), "small");
}

#[test]
fn subscribers_of_several_hubs_share_a_worker() {
    let house = house();
    let other = hub().build().unwrap();
    let mut here = house.subscribe("a");
    let mut there = house.adopt(other.subscribe("a").bookmarks(false), Terms::default());
    block_on(other.publish("a", Event::new("there"))).unwrap();
    house.publish("a", "here");
    assert_eq!(here.next_event(), "here");
    assert_eq!(there.next_event(), "there");
}

#[test]
fn the_hub_counts_what_was_delivered() {
    let house = house();
    let mut clients: Vec<_> = (0..20).map(|_| house.subscribe("a")).collect();
    for number in 0..10 {
        house.publish("a", &number.to_string());
    }
    for client in &mut clients {
        client.events(10);
    }
    super::support::until(|| house.hub.counts().deliveries == 200);
    let bytes: usize = clients.iter().map(|client| client.bytes.len()).sum();
    assert_eq!(house.hub.counts().delivered_bytes, bytes as u64);
}

/// So many groups with news at a time that the worker lets some batches pass before it hears of more.
#[test]
fn subscribers_with_topics_of_their_own_all_get_what_a_common_one_brings() {
    let house = house();
    let mut clients: Vec<_> = (0..1_000)
        .map(|number| {
            let topics = ["all".to_owned(), format!("own/{number}")];
            let selection: Selection =
                topics.into_iter().map(|topic| Matcher::exact(topic).unwrap()).collect();
            house.adopt(house.hub.subscribe(selection).bookmarks(false), Terms::default()).served()
        })
        .collect();
    for number in 0..40 {
        house.publish("all", &number.to_string());
        house.publish(&format!("own/{}", number * 20), "for one");
    }
    for (place, client) in clients.iter_mut().enumerate() {
        for number in 0..40 {
            assert_eq!(client.next_event(), number.to_string());
            if place == number * 20 {
                assert_eq!(client.next_event(), "for one");
            }
        }
    }
}

/// P7, where each subscriber is a readership: a topic and a grant of its own.
#[test]
fn a_thousand_topics_with_grants_of_their_own_each_get_what_is_private_to_them() {
    let house = house();
    let mut clients: Vec<_> = (0..1_000)
        .map(|number| {
            let own = Matcher::exact(format!("users/{number}")).unwrap();
            let everything = house.hub.subscribe(Matcher::any()).bookmarks(false);
            let granted = everything.grant(&Grant::from_iter([own]));
            house.adopt(granted, Terms::default()).served()
        })
        .collect();
    for number in (0..1_000).step_by(10) {
        let topic = Topic::parse(format!("users/{number}")).unwrap();
        let private = Publication::to([topic]).private(Event::new(format!("for {number}")));
        block_on(house.hub.publish_all(private)).unwrap();
    }
    house.publish("news", "for everybody");
    for (number, client) in clients.iter_mut().enumerate() {
        if number % 10 == 0 {
            assert_eq!(client.next_event(), format!("for {number}"));
        }
        assert_eq!(client.next_event(), "for everybody");
    }
}

#[test]
fn a_subscriber_of_a_hundred_topics_gets_all_of_them_in_order() {
    let house = house();
    let topics = |range: std::ops::Range<usize>| -> Selection {
        range.map(|number| Matcher::exact(format!("topic/{number}")).unwrap()).collect()
    };
    // Each shares half of its topics with the next, so nobody is due the same as another.
    let mut clients: Vec<_> = (0..10)
        .map(|place| {
            let selection = topics(place * 50..place * 50 + 100);
            house.adopt(house.hub.subscribe(selection).bookmarks(false), Terms::default()).served()
        })
        .collect();
    let order: Vec<usize> = (0..2_000).map(|number| number * 37 % 550).collect();
    for number in &order {
        house.publish(&format!("topic/{number}"), &number.to_string());
    }
    for (place, client) in clients.iter_mut().enumerate() {
        let own = place * 50..place * 50 + 100;
        for number in order.iter().filter(|number| own.contains(number)) {
            assert_eq!(client.next_event(), number.to_string());
        }
    }
}

/// Publishing looks at nobody who did not ask for it: no write is made for them.
#[test]
fn ten_thousand_topics_are_no_work_for_who_publishes_to_one() {
    let house = house();
    let mut clients: Vec<_> =
        (0..1_000).map(|number| house.subscribe(&format!("topic/{number}")).served()).collect();
    let before = house.fanout.counts().writes;
    for number in [3, 500, 999] {
        house.publish(&format!("topic/{number}"), "for you");
        assert_eq!(clients[number].next_event(), "for you");
    }
    assert_eq!(house.fanout.counts().writes - before, 3);
}
