//! A subscriber that comes back: P2 (no silent gap), P3 (no duplicate), P6 (a rewound log is noticed).

use std::sync::Arc;
use std::time::Duration;

use fanfare_hub::{GapReason, Grant, Hub, Matcher, Publication, Resume, Selection, UnknownId};
use fanfare_wire::{Event, EventId};

use super::reader::read;
use super::support::{
    TestClock, What, assert_waiting, id, next, next_event, next_gap, now, ready_data, topic,
};

fn publish(hub: &Hub, to: &str, text: &str) -> EventId {
    now(hub.publish(to, Event::new(text.to_owned()))).expect("published").id
}

fn small_hub(events: usize) -> Hub {
    Hub::builder().history_events(events).build().expect("a hub")
}

/// P2, P3.
#[test]
fn a_client_that_returns_gets_what_it_missed_once_and_in_order() {
    let hub = small_hub(100);
    let mut before = read(hub.subscribe("a").bookmarks(false));
    publish(&hub, "a", "1");
    let seen = next_event(&mut before).id;
    drop(before);
    for text in ["2", "3"] {
        publish(&hub, "a", text);
        publish(&hub, "b", "not asked for");
    }
    let mut after = read(hub.subscribe("a").after(seen.clone()));
    assert_eq!(now(after.opened()).expect("open"), &Resume::Resumed { after: 1 });
    assert_eq!(ready_data(&mut after), ["2", "3"]);
    publish(&hub, "a", "4");
    assert_eq!(ready_data(&mut after), ["4"]);
}

/// P2: a reader that has seen no event yet can resume as well.
#[test]
fn a_bookmark_is_as_good_a_cursor_as_an_event() {
    let hub = small_hub(100);
    publish(&hub, "other", "x");
    let mut before = read(hub.subscribe("a"));
    let bookmark = next(&mut before);
    assert_eq!(bookmark.what, What::Bookmark);
    drop(before);
    publish(&hub, "a", "missed");
    let mut after = read(hub.subscribe("a").after(bookmark.id));
    assert_eq!(ready_data(&mut after), ["missed"]);
}

#[test]
fn where_a_new_subscriber_stands_is_told_and_counted_once() {
    let hub = small_hub(100);
    publish(&hub, "other", "x");
    let mut reader = read(hub.subscribe("a"));
    assert_eq!(next(&mut reader).what, What::Bookmark);
    for text in ["1", "2"] {
        publish(&hub, "other", "x");
        publish(&hub, "a", text);
        publish(&hub, "other", "x");
        assert_eq!(next_event(&mut reader).data(), text);
        assert_waiting(&mut reader);
    }
    assert_eq!((hub.counts().bookmarks, hub.counts().deliveries), (1, 2));
}

#[test]
fn an_empty_log_has_a_place_to_come_back_to_m140() {
    let hub = small_hub(100);
    let mut before = read(hub.subscribe("a"));
    let cursor = next(&mut before).id;
    publish(&hub, "a", "first");
    assert_eq!(ready_data(&mut read(hub.subscribe("a").after(cursor))), ["first"]);
}

#[test]
fn earliest_asks_for_everything_kept() {
    let hub = small_hub(3);
    for text in ["1", "2", "3", "4"] {
        publish(&hub, "a", text);
    }
    let mut subscription = read(hub.subscribe("a").after(id("earliest")));
    assert_eq!(now(subscription.opened()).expect("open"), &Resume::Earliest);
    assert_eq!(ready_data(&mut subscription), ["2", "3", "4"]);
}

/// P2: what retention has taken is covered by one gap in its place.
#[test]
fn a_cursor_older_than_what_is_kept_gets_one_gap_and_then_the_rest_m139() {
    let hub = small_hub(2);
    let cursor = publish(&hub, "a", "1");
    for text in ["2", "3", "4"] {
        publish(&hub, "a", text);
    }
    let mut subscription = read(hub.subscribe("a").after(cursor.clone()));
    assert_eq!(now(subscription.opened()).expect("open"), &Resume::Gap { reason: GapReason::Trimmed });
    let gap = next_gap(&mut subscription);
    assert_eq!((gap.reason(), gap.after()), (GapReason::Trimmed, Some(&cursor)));
    assert_eq!(ready_data(&mut subscription), ["3", "4"]);

    // Who drops right after the gap and comes back with its id is not told twice.
    assert_eq!(ready_data(&mut read(hub.subscribe("a").after(gap.id))), ["3", "4"]);
}

/// The table of trimmed positions is by hash, so a few of many quiet topics may share a bucket with the busy one.
#[test]
fn subscribers_of_quiet_topics_are_spared_gaps_that_are_none() {
    let hub = small_hub(2);
    let cursor = publish(&hub, "quiet 0", "1");
    for text in ["2", "3", "4", "5"] {
        publish(&hub, "busy", text);
    }
    let spared = (1..=64).filter(|n| {
        let mut subscription = read(hub.subscribe(format!("quiet {n}")).after(cursor.clone()));
        matches!(now(subscription.opened()), Ok(Resume::Resumed { after: 1 }))
    });
    assert!(spared.count() > 56);
}

/// P2, P5: a live subscriber that lags behind retention is told in band, and costs nobody anything.
#[test]
fn a_subscriber_that_lags_behind_retention_is_told_in_band() {
    let hub = small_hub(2);
    let mut subscription = read(hub.subscribe("a").bookmarks(false));
    publish(&hub, "a", "1");
    assert_eq!(next_event(&mut subscription).data(), "1");
    for text in ["2", "3", "4", "5"] {
        publish(&hub, "a", text);
    }
    assert_eq!(next_gap(&mut subscription).reason(), GapReason::Trimmed);
    assert_eq!(ready_data(&mut subscription), ["4", "5"]);
    assert_eq!(hub.counts().gaps_trimmed, 1);
}

/// P6.
#[test]
fn an_id_of_another_log_never_resumes_in_this_one() {
    let other = small_hub(10);
    let foreign = publish(&other, "a", "1");
    let hub = small_hub(10);
    publish(&hub, "a", "old");
    let mut subscription = read(hub.subscribe("a").after(foreign.clone()));
    assert_eq!(now(subscription.opened()).expect("open"), &Resume::Gap { reason: GapReason::Rewound });
    let gap = next_gap(&mut subscription);
    assert_eq!((gap.reason(), gap.after()), (GapReason::Rewound, Some(&foreign)));
    publish(&hub, "a", "new");
    assert_eq!(ready_data(&mut subscription), ["new"]);
}

#[test]
fn an_unknown_id_goes_on_live_or_from_the_oldest_as_set() {
    let hub = small_hub(10);
    publish(&hub, "a", "kept");
    let mut live = read(hub.subscribe("a").after(id("urn:nobody")));
    assert_eq!(next_gap(&mut live).reason(), GapReason::Unknown);
    assert_eq!(ready_data(&mut live), [""; 0]);
    let mut oldest = read(hub.subscribe("a").after(id("urn:nobody")).unknown_id(UnknownId::Oldest));
    assert_eq!(next_gap(&mut oldest).reason(), GapReason::Unknown);
    assert_eq!(ready_data(&mut oldest), ["kept"]);
}

/// M-134.
#[test]
fn a_publishers_id_that_was_used_twice_means_the_earlier_one_m078_m134() {
    let hub = small_hub(10);
    for text in ["1", "2", "3"] {
        let chosen = if text == "2" { id("other") } else { id("twice") };
        now(hub.publish("a", Event::new(text).id(chosen))).expect("published");
    }
    assert_eq!(ready_data(&mut read(hub.subscribe("a").after(id("twice")))), ["2", "3"]);
}

/// P7: whether an id exists is not told to who may not read its entry.
#[test]
fn the_id_of_an_unreadable_entry_is_answered_like_an_unknown_one_m137() {
    let hub = small_hub(10);
    let secret = Publication::to([topic("secret")]).private(Event::new("x").id(id("urn:secret")));
    now(hub.publish_all(secret)).expect("published");
    let mut outsider = read(hub.subscribe("a").after(id("urn:secret")));
    assert_eq!(now(outsider.opened()).expect("open"), &Resume::Gap { reason: GapReason::Unknown });
    let grant: Grant = [Matcher::from(topic("secret"))].into_iter().collect();
    let mut insider = read(hub.subscribe("a").grant(&grant).after(id("urn:secret")));
    assert_eq!(now(insider.opened()).expect("open"), &Resume::Resumed { after: 1 });
}

#[test]
fn entries_over_age_are_not_replayed() {
    let clock = Arc::new(TestClock::default());
    let hub =
        Hub::builder().clock(clock.clone()).history_age(Duration::from_secs(60)).build().expect("a hub");
    publish(&hub, "a", "old");
    clock.advance(Duration::from_secs(61));
    publish(&hub, "a", "new");
    assert_eq!(ready_data(&mut read(hub.subscribe("a").after(id("earliest")))), ["new"]);

    clock.advance(Duration::from_secs(61));
    let mut nothing_published_since = read(hub.subscribe("a").after(id("earliest")));
    assert_eq!(ready_data(&mut nothing_published_since), [""; 0]);
}

#[test]
fn an_event_that_several_matchers_match_arrives_once_m029_m030() {
    let hub = small_hub(10);
    let selection: Selection = ["a", "b"].map(|text| Matcher::from(topic(text))).into_iter().collect();
    let mut subscription = read(hub.subscribe(selection).bookmarks(false));
    now(hub.publish_all(Publication::to([topic("a"), topic("b")]).event(Event::new("once"))))
        .expect("published");
    assert_eq!(ready_data(&mut subscription), ["once"]);
}

/// M-124 to M-126: topics `a` and `b`; what is asked for and what may be read may be different ones.
#[test]
fn a_private_event_needs_a_matcher_and_a_grant_but_not_for_the_same_topic_m124() {
    let cases = [
        ("a", Some("b"), true),
        ("b", Some("b"), true),
        ("a", Some("c"), false),
        ("c", Some("a"), false),
        ("a", None, false),
    ];
    for (asked, granted, expected) in cases {
        let hub = small_hub(10);
        let grant: Grant = granted.map(|text| Matcher::from(topic(text))).into_iter().collect();
        let mut live = read(hub.subscribe(asked).grant(&grant).bookmarks(false));
        let private = Publication::to([topic("a"), topic("b")]).private(Event::new("private"));
        now(hub.publish_all(private)).expect("published");
        let mut replayed = read(hub.subscribe(asked).grant(&grant).after(id("earliest")));
        let expected: &[&str] = if expected { &["private"] } else { &[] };
        assert_eq!(ready_data(&mut live), expected, "live, {asked} with {granted:?}");
        assert_eq!(ready_data(&mut replayed), expected, "replayed, {asked} with {granted:?}");
    }
}

/// P2: of what has left memory topics are remembered, and not what was published to which of them together. So a gap may be told to whom
/// nothing is missing, and once more for what has gone since.
#[test]
fn who_may_have_missed_something_is_told_each_time_although_nothing_was_for_it() {
    let hub = small_hub(1);
    let grant = Grant::from_iter([Matcher::from(topic("b"))]);
    let comes = || hub.subscribe("a").grant(&grant).bookmarks(false);
    // None of these is for it: one is of a topic that it asks for, one of a topic that it may read.
    let publish_others = || {
        for to in ["a", "b"] {
            let private = Publication::to([topic(to)]).private(Event::new("not for it"));
            now(hub.publish_all(private)).expect("published");
        }
        publish(&hub, "c", "not asked for");
    };
    let mut reader = read(comes());
    publish(&hub, "a", "1");
    let seen = next_event(&mut reader).id;
    drop(reader);
    publish_others();
    let mut reader = read(comes().after(seen));
    assert_eq!(next_gap(&mut reader).reason(), GapReason::Trimmed);
    assert_waiting(&mut reader);
    publish_others();
    publish(&hub, "a", "2");
    assert_eq!(next_gap(&mut reader).reason(), GapReason::Trimmed);
    assert_eq!(ready_data(&mut reader), ["2"]);
}
