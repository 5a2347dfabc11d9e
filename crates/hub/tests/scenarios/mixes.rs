//! What a subscriber gets that is several things at once: a reader of a stream that somebody produces, with a filter, a name, conflation or a
//! snapshot, whose topics change on the way, and that comes back (P1, P2, P3).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use fanfare_hub::{
    Entry, Hub, Matcher, Produce, Producer, Publication, Resume, Selection, Snapshot, SubscribeError,
    Subscription,
};
use fanfare_wire::{Event, EventId};

use super::reader::read;
use super::support::toy::Toy;
use super::support::{TestClock, assert_ended, assert_waiting, id, next_event, ready_data, soon, topic};

const ANSWER: &str = "answers/7";

fn hub() -> Hub {
    Hub::builder().build().expect("a hub")
}

fn produce(hub: &Hub) -> Producer {
    begun(hub.produce(ANSWER))
}

fn begun(produce: Produce) -> Producer {
    soon(produce.into_future()).expect("a producer")
}

fn send(producer: &mut Producer, text: &'static str) -> EventId {
    soon(producer.send(Event::new(text))).expect("sent").id
}

fn publish(hub: &Hub, to: &str, data: &'static str) {
    soon(hub.publish(to, Event::new(data))).expect("published");
}

/// Says "1" to "4" and the end, and between them what is for everybody but ada. Gives the ids of the second event and of the end.
fn say_all(hub: &Hub) -> (EventId, EventId) {
    let mut producer = produce(hub);
    send(&mut producer, "1");
    let second = send(&mut producer, "2");
    let aside = Publication::to([topic(ANSWER)]).event(Event::new("aside")).except("ada");
    soon(hub.publish_all(aside)).expect("published");
    send(&mut producer, "3");
    send(&mut producer, "4");
    (second, soon(producer.end("done")).expect("ended").id)
}

/// The stream from its beginning.
fn answer(hub: &Hub) -> Subscription {
    hub.subscribe(ANSWER).from_start().bookmarks(false)
}

fn says(entry: &Entry, numbers: [&str; 2]) -> bool {
    let frame = std::str::from_utf8(entry.frame().as_bytes()).expect("UTF-8");
    numbers.iter().any(|number| frame.contains(&format!("data: {number}\n")))
}

fn even(subscription: Subscription) -> Subscription {
    subscription.filter(|entry| says(entry, ["2", "4"]))
}

fn odd(subscription: Subscription) -> Subscription {
    subscription.filter(|entry| says(entry, ["1", "3"]))
}

type Way = fn(Subscription) -> Subscription;

/// Ways of reading; what each gets of all that was said, and of what stands behind the second event.
const WAYS: [(&str, Way, &[&str], &[&str]); 7] = [
    ("as it is", |each| each, &["1", "2", "aside", "3", "4", "done"], &["aside", "3", "4", "done"]),
    ("by a name", |each| each.named("ada"), &["1", "2", "3", "4", "done"], &["3", "4", "done"]),
    ("filtered", even, &["2", "4", "done"], &["4", "done"]),
    ("filtered to nothing", |each| odd(even(each)), &["done"], &["done"]),
    ("conflated", Subscription::conflate, &["4", "done"], &["4", "done"]),
    // The newest one is refused, and another one stands for those before.
    ("conflated and filtered", |each| odd(each.conflate()), &["3", "done"], &["3", "done"]),
    ("by a name, conflated", |each| each.conflate().named("ada"), &["4", "done"], &["4", "done"]),
];

#[test]
fn each_way_of_reading_a_stream_gets_what_it_is_for_then_the_end_and_ends_p1_p2_p3() {
    for (name, way, all, rest) in WAYS {
        let hub = hub();
        // Who came first is behind by all of it, too.
        let mut early = read(way(hub.subscribe(ANSWER).bookmarks(false)));
        let (second, _) = say_all(&hub);
        let mut late = read(way(answer(&hub)));
        let mut back = read(way(answer(&hub).after(second)));
        for (reader, expected) in [(&mut early, all), (&mut late, all), (&mut back, rest)] {
            assert_eq!(ready_data(reader), expected, "{name}");
            assert_ended(reader);
        }
        assert_eq!(hub.counts().subscribers, 0, "{name}");
    }
}

#[test]
fn whoever_keeps_up_gets_each_event_as_it_comes_in_each_way_p1() {
    for (name, way, ..) in WAYS {
        let hub = hub();
        let mut producer = produce(&hub);
        let mut reader = read(way(answer(&hub)));
        for (text, is_odd) in [("1", true), ("2", false)] {
            send(&mut producer, text);
            let wanted = match name {
                "filtered" => !is_odd,
                "conflated and filtered" => is_odd,
                "filtered to nothing" => false,
                _ => true,
            };
            assert_eq!(ready_data(&mut reader), if wanted { vec![text] } else { Vec::new() }, "{name}");
        }
        drop(producer);
        assert_eq!(next_event(&mut reader).data(), "abandoned", "{name}");
        assert_ended(&mut reader);
    }
}

/// Goal: what has left memory is told apart from what has not, in each way.
#[test]
fn far_behind_memory_each_way_gets_the_same_of_a_stream_p2_p3() {
    for (name, way, all, _) in WAYS {
        let toy = Toy::new(Arc::new(TestClock::default()));
        let hub = Hub::builder().engine(toy.clone()).history_events(2).build().expect("a hub");
        say_all(&hub);
        // So that none of it is in memory, and one part that is read is the last event and the end.
        for _ in 0..3 {
            publish(&hub, "other", "behind");
        }
        toy.tell(usize::MAX);
        let got = ready_data(&mut read(way(answer(&hub))));
        // Of each part that is read the newest is kept, so there may be more.
        let is_conflated = name.contains("conflated");
        let from = if is_conflated { got.len().saturating_sub(all.len()) } else { 0 };
        assert_eq!(got[from..], *all, "{name}: {got:?}");
    }
}

#[test]
fn who_has_the_end_is_told_that_it_is_over_in_each_way_and_gets_no_snapshot() {
    for (name, way, ..) in WAYS {
        let hub = hub();
        let (_, end) = say_all(&hub);
        let mut back = way(answer(&hub).after(end));
        assert_eq!(soon(back.opened()).expect("open"), &Resume::Over, "{name}");
        let taken =
            soon(back.snapshot(async |_| -> Result<Snapshot, Infallible> { panic!("there is no more") }));
        assert_ended(&mut read(taken.expect("open")));
        assert_eq!(hub.counts().subscribers, 0, "{name}");
    }
}

/// Topics that are asked for, and changes of them before the end of the stream and behind it.
#[test]
fn a_stream_ends_for_whom_it_was_all_that_was_asked_for_where_its_end_stands() {
    let exact = |texts: &[&str]| -> Selection {
        texts.iter().map(|text| Matcher::exact(text).expect("a topic")).collect()
    };
    let (stream, both, other) = (exact(&[ANSWER]), exact(&[ANSWER, "other"]), exact(&["other"]));
    for (way, first, before_end, behind_end, expected, ends) in [
        ("nothing changes", &stream, None, None, &["1", "done"][..], true),
        ("more is asked for in time", &stream, Some(&both), None, &["1", "done", "behind"], false),
        ("more is asked for too late", &stream, None, Some(&both), &["1", "done"], true),
        ("nothing else is left in time", &both, Some(&stream), None, &["1", "done"], true),
        ("nothing else is left too late", &both, None, Some(&stream), &["1", "done"], false),
        ("the stream is left in time", &both, Some(&other), None, &["1", "behind"], false),
        ("the stream is left too late", &both, None, Some(&other), &["1", "done", "behind"], false),
        ("something else is asked for", &stream, Some(&other), None, &["1", "behind"], false),
    ] {
        // Of two events of one topic that a reader is behind by, it gets the second one, which here is the end.
        for (name, conflates, keeps_up) in
            [("behind", false, false), ("keeping up", false, true), ("conflated", true, true)]
        {
            let hub = hub();
            let mut producer = produce(&hub);
            let mut subscription = hub.subscribe(first.clone()).bookmarks(false);
            let handle = subscription.handle();
            let mut reader = read(if conflates { subscription.conflate() } else { subscription });
            let mut got = Vec::new();
            let mut look = || {
                if keeps_up {
                    got.extend(ready_data(&mut reader));
                }
            };
            look();
            send(&mut producer, "1");
            look();
            let changed = before_end.map(|selection| handle.select(selection.clone()));
            assert!(changed.is_none_or(|changed| changed.is_ok()));
            look();
            soon(producer.end("done")).expect("ended");
            look();
            if let Some(selection) = behind_end {
                let changed = handle.select(selection.clone());
                let is_late = ends && keeps_up;
                assert_eq!(matches!(changed, Err(SubscribeError::Ended)), is_late, "{way}, {name}");
            }
            publish(&hub, "other", "behind");
            got.extend(ready_data(&mut reader));
            assert_eq!(got, expected, "{way}, {name}");
            if ends {
                assert_ended(&mut reader);
            } else {
                assert_waiting(&mut reader);
            }
            assert_eq!(hub.counts().subscribers, u64::from(!ends));
        }
    }
}

#[test]
fn who_reads_a_stream_from_its_start_while_it_changes_topics_misses_nothing_of_either_p2_p3() {
    let hub = hub();
    let mut producer = produce(&hub);
    send(&mut producer, "1");
    let mut subscription = answer(&hub);
    let handle = subscription.handle();
    publish(&hub, "other", "too early");
    handle.join("other").expect("joined");
    publish(&hub, "other", "a");
    send(&mut producer, "2");
    handle.leave("other").expect("left");
    publish(&hub, "other", "too late");
    soon(producer.end("done")).expect("ended");
    let mut reader = read(subscription);
    assert_eq!(ready_data(&mut reader), ["1", "a", "2", "done"]);
    assert_ended(&mut reader);
}

fn with_snapshot(subscription: Subscription) -> Subscription {
    let taken = async |_| Ok::<_, Infallible>(Snapshot::from(Event::new("so far")));
    soon(subscription.snapshot(taken)).expect("taken")
}

#[test]
fn a_stream_that_is_there_from_its_start_needs_no_snapshot() {
    let hub = hub();
    say_all(&hub);
    let mut reader = read(with_snapshot(answer(&hub)));
    assert_eq!(ready_data(&mut reader), ["1", "2", "aside", "3", "4", "done"]);
    assert_ended(&mut reader);
}

#[test]
fn a_snapshot_takes_the_place_of_a_beginning_that_is_gone_and_the_stream_goes_on_behind_it_p2() {
    for (name, way, ..) in WAYS {
        let hub = Hub::builder().history_events(2).build().expect("a hub");
        let mut producer = produce(&hub);
        for text in ["1", "2", "3"] {
            send(&mut producer, text);
        }
        let mut reader = read(with_snapshot(way(answer(&hub))));
        assert_eq!(next_event(&mut reader).data(), "so far", "{name}");
        soon(producer.end("done")).expect("ended");
        assert_eq!(ready_data(&mut reader), ["done"], "{name}");
        assert_ended(&mut reader);
    }
}

/// The end is told to whoever it is for, whatever was told in place of what stands before it.
#[test]
fn a_snapshot_of_a_stream_that_has_ended_is_followed_by_its_end_p2() {
    let clock = Arc::new(TestClock::default());
    for (why, history) in [("its beginning is gone", 3), ("it has expired", 100)] {
        let hub = Hub::builder().history_events(history).clock(clock.clone()).build().expect("a hub");
        let mut producer = begun(hub.produce(ANSWER).expires_after(Duration::from_secs(60)));
        let old = send(&mut producer, "1");
        for text in ["2", "3"] {
            send(&mut producer, text);
        }
        let end = soon(producer.end("done")).expect("ended").id;
        publish(&hub, "other", "behind");
        clock.advance(Duration::from_secs(if history == 3 { 1 } else { 61 }));
        let mut reader = read(with_snapshot(answer(&hub)));
        assert_eq!(next_event(&mut reader).data(), "so far", "{why}");
        let last = next_event(&mut reader);
        assert_eq!((last.data(), &last.id), ("done", &end), "{why}");
        assert_ended(&mut reader);
        // Who goes on in the midst of it may do so as long as that is kept.
        let mut back = read(with_snapshot(hub.subscribe(ANSWER).after(old).bookmarks(false)));
        let expected = if history == 3 { &["so far", "done"][..] } else { &["2", "3", "done"] };
        assert_eq!(ready_data(&mut back), expected, "{why}");
        assert_ended(&mut back);
        // Who comes for what is live waits like anybody else.
        let mut live = read(with_snapshot(hub.subscribe(ANSWER).bookmarks(false)));
        assert_eq!(ready_data(&mut live), ["so far"], "{why}");
        assert_waiting(&mut live);
    }
}

#[test]
fn a_snapshot_comes_before_what_was_joined_while_it_was_taken_p2() {
    let hub = hub();
    publish(&hub, "a", "before");
    let mut subscription = hub.subscribe("a").bookmarks(false).after(id("nobody's"));
    let handle = subscription.handle();
    let taken = subscription.snapshot(async |_| {
        handle.join("b").expect("joined");
        publish(&hub, "b", "while");
        Ok::<_, Infallible>(Snapshot::from(Event::new("so far")))
    });
    let mut reader = read(soon(taken).expect("taken"));
    publish(&hub, "a", "then");
    assert_eq!(ready_data(&mut reader), ["so far", "while", "then"]);
}
