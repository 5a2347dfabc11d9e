//! Streams that outlive their readers: who comes late, leaves and comes back, the end, who takes over, and who asks for a stop.

use std::sync::Arc;
use std::time::Duration;

use fanfare_hub::{
    GapReason, Grant, Hub, Matcher, Produce, ProduceError, Producer, PublishError, Resume, Selection,
    Stopped, Subscription,
};
use fanfare_wire::{Event, EventId};

use super::reader::read;
use super::support::toy::{NextAnswer, Toy};
use super::support::{
    Got, TestClock, What, assert_ended, assert_waiting, id, name, next, next_event, next_gap, ready_data,
    soon, topic,
};

const ANSWER: &str = "answers/7";

fn hub() -> Hub {
    Hub::builder().build().expect("a hub")
}

fn begun(produce: Produce) -> Result<Producer, ProduceError> {
    soon(produce.into_future())
}

fn produce(hub: &Hub) -> Producer {
    begun(hub.produce(ANSWER)).expect("a producer")
}

fn send(producer: &mut Producer, texts: &[&'static str]) -> Vec<EventId> {
    texts.iter().map(|text| soon(producer.send(Event::new(*text))).expect("sent").id).collect()
}

fn end(producer: &mut Producer) -> EventId {
    soon(producer.end("done")).expect("ended").id
}

/// The stream from its beginning.
fn answer(hub: &Hub) -> Subscription {
    hub.subscribe(ANSWER).from_start().bookmarks(false)
}

/// What an outcome of opening is, for somebody who is not read then.
fn opened(mut subscription: Subscription) -> Resume {
    soon(subscription.opened()).expect("open").clone()
}

#[test]
fn who_comes_late_gets_all_of_it_and_the_stream_ends_behind_its_end_p2_p3() {
    let hub = hub();
    let mut producer = produce(&hub);
    let mut early = read(answer(&hub));
    send(&mut producer, &["one", "two"]);
    let mut late = read(answer(&hub));
    for reader in [&mut early, &mut late] {
        assert_eq!(ready_data(reader), ["one", "two"]);
    }
    send(&mut producer, &["three"]);
    let ended = end(&mut producer);
    assert_eq!(ready_data(&mut early), ["three", "done"]);
    assert_ended(&mut early);
    let everything_kept = hub.subscribe(ANSWER).after(id("earliest")).bookmarks(false);
    for reader in [&mut read(answer(&hub)), &mut read(everything_kept)] {
        let got: Vec<_> = (0..4).map(|_| next_event(reader)).collect();
        assert_eq!(got.iter().map(Got::data).collect::<Vec<_>>(), ["one", "two", "three", "done"]);
        assert_eq!(got[3].id, ended);
        assert_ended(reader);
    }
}

#[test]
fn who_comes_back_in_the_midst_gets_the_rest_once_p2_p3() {
    let hub = hub();
    let mut producer = produce(&hub);
    let seen = send(&mut producer, &["one", "two", "three"])[1].clone();
    end(&mut producer);
    // The same line serves both.
    let mut back = read(answer(&hub).after(seen));
    assert_eq!(next_event(&mut back).data(), "three");
    assert_eq!(next_event(&mut back).data(), "done");
    assert_ended(&mut back);
}

#[test]
fn a_stream_is_read_from_the_id_of_its_start_as_well() {
    let hub = hub();
    let mut producer = produce(&hub);
    let start = producer.start_id().clone();
    send(&mut producer, &["one"]);
    assert_eq!(ready_data(&mut read(hub.subscribe(ANSWER).after(start.clone()).bookmarks(false))), ["one"]);
    // For nobody else's topic.
    assert_eq!(opened(hub.subscribe("answers/8").after(start)), Resume::Gap { reason: GapReason::Unknown });
}

#[test]
fn who_comes_back_with_the_end_is_told_that_it_is_over() {
    let clock = Arc::new(TestClock::default());
    let hub = Hub::builder().history_events(3).clock(clock).build().expect("a hub");
    let mut producer = produce(&hub);
    let ended = end(&mut producer);
    let mut back = hub.subscribe(ANSWER).after(ended.clone());
    assert_eq!(soon(back.opened()).expect("open"), &Resume::Over);
    assert_ended(&mut back);
    assert_eq!(hub.counts().subscribers, 0);
    // Even when the log has forgotten all about it.
    for _ in 0..5 {
        soon(hub.publish("other", Event::new("x"))).expect("published");
    }
    assert_eq!(opened(answer(&hub).after(ended.clone())), Resume::Over);
    assert_eq!(hub.counts().resumes_over, 2);
    // The end of one stream is not that of another, and says nothing to who asks for more.
    assert_eq!(opened(hub.subscribe("answers/8").after(ended)), Resume::Gap { reason: GapReason::Unknown });
}

#[test]
fn who_asks_for_other_topics_too_goes_on_behind_an_end() {
    let hub = hub();
    let mut producer = produce(&hub);
    let both: Selection =
        [ANSWER, "other"].map(|text| Matcher::exact(text).expect("a matcher")).into_iter().collect();
    let (mut two, mut all) = (
        read(hub.subscribe(both.clone()).bookmarks(false)),
        read(hub.subscribe(Matcher::any()).bookmarks(false)),
    );
    send(&mut producer, &["one"]);
    let ended = end(&mut producer);
    soon(hub.publish("other", Event::new("behind"))).expect("published");
    for reader in [&mut two, &mut all] {
        assert_eq!(ready_data(reader), ["one", "done", "behind"]);
        assert_waiting(reader);
    }
    assert_eq!(ready_data(&mut read(hub.subscribe(both).after(ended).bookmarks(false))), ["behind"]);
}

#[test]
fn a_second_producer_takes_over_and_nothing_of_the_first_comes_behind() {
    let hub = hub();
    let mut reader = read(hub.subscribe(ANSWER).bookmarks(false));
    let mut first = produce(&hub);
    send(&mut first, &["first"]);
    let mut second = produce(&hub);
    assert_eq!((first.takes_over(), second.takes_over()), (false, true));
    let late = soon(first.send(Event::new("late")));
    assert!(matches!(late, Err(ProduceError::Superseded)), "{late:?}");
    assert_eq!((soon(first.stopped()), first.is_stopped()), (Stopped::Superseded, true));
    send(&mut second, &["second"]);
    assert!(matches!(soon(first.end("late")), Err(ProduceError::Superseded)));
    drop(first);
    end(&mut second);
    assert_eq!(ready_data(&mut reader), ["first", "second", "done"]);
}

#[test]
fn a_stream_that_has_ended_is_not_begun_again() {
    let hub = hub();
    let mut producer = produce(&hub);
    let ended = end(&mut producer);
    assert_eq!(end(&mut producer), ended);
    assert!(matches!(soon(producer.send(Event::new("x"))), Err(ProduceError::Ended)));
    assert!(matches!(begun(hub.produce(ANSWER)), Err(ProduceError::Ended)));
}

#[test]
fn a_producer_that_is_dropped_has_abandoned_its_stream_and_one_that_leaves_has_not() {
    let hub = hub();
    let mut reader = read(hub.subscribe(ANSWER).bookmarks(false));
    let mut producer = produce(&hub);
    send(&mut producer, &["one"]);
    producer.leave_open();
    assert_eq!(ready_data(&mut reader), ["one"]);
    assert_waiting(&mut reader);
    drop(produce(&hub));
    assert_eq!(next_event(&mut reader).data(), "abandoned");
    assert_ended(&mut reader);
}

#[test]
fn a_stop_is_heard_by_whoever_produces_and_readers_that_leave_are_none() {
    let hub = hub();
    let mut producer = produce(&hub);
    drop(read(answer(&hub)));
    assert!(!producer.is_stopped());
    soon(hub.stop_producing("answers/8")).expect("asked");
    assert!(!producer.is_stopped());
    soon(hub.stop_producing(ANSWER)).expect("asked");
    assert_eq!(soon(producer.stopped()), Stopped::Asked);
    // It is a wish: there may be last words, and it holds for who takes over.
    send(&mut producer, &["so far"]);
    producer.leave_open();
    let mut second = produce(&hub);
    assert_eq!(soon(second.stopped()), Stopped::Asked);
    soon(second.end("stopped")).expect("ended");
    assert_eq!(ready_data(&mut read(answer(&hub))), ["so far", "stopped"]);
}

#[test]
fn a_stream_that_ended_too_long_ago_is_a_gap_and_its_end() {
    let clock = Arc::new(TestClock::default());
    let hub = Hub::builder().clock(clock.clone()).build().expect("a hub");
    let mut producer = begun(hub.produce(ANSWER).expires_after(Duration::from_secs(60))).expect("a producer");
    let seen = send(&mut producer, &["one", "two"])[0].clone();
    // However long it takes.
    clock.advance(Duration::from_secs(100));
    let ended = end(&mut producer);
    clock.advance(Duration::from_millis(59_999));
    assert_eq!(ready_data(&mut read(answer(&hub))), ["one", "two", "done"]);
    clock.advance(Duration::from_millis(1));
    let mut late = read(answer(&hub));
    assert_eq!(next_gap(&mut late).reason(), GapReason::Expired);
    let last = next_event(&mut late);
    assert_eq!((last.data(), &last.id), ("done", &ended));
    assert_ended(&mut late);
    assert_eq!(ready_data(&mut read(answer(&hub).after(seen))), ["two", "done"]);
}

#[test]
fn a_stream_that_lost_its_beginning_or_never_began_is_a_gap_p2() {
    let hub = Hub::builder().history_events(3).build().expect("a hub");
    let mut early = read(answer(&hub));
    assert_eq!(next_gap(&mut early).reason(), GapReason::Unknown);
    let mut producer = produce(&hub);
    send(&mut producer, &["one", "two", "three", "four"]);
    let mut late = read(answer(&hub));
    assert_eq!(next_gap(&mut late).reason(), GapReason::Trimmed);
    assert_eq!(ready_data(&mut late), ["two", "three", "four"]);
    // And somebody can take over nevertheless.
    producer.leave_open();
    send(&mut produce(&hub), &["five"]);
    assert_eq!(ready_data(&mut late), ["five", "abandoned"]);
}

#[test]
fn a_private_stream_is_for_those_with_a_grant_p7() {
    let hub = hub();
    let grant = Grant::from_iter([Matcher::exact(ANSWER).expect("a matcher")]);
    let mut producer = begun(hub.produce(ANSWER).private()).expect("a producer");
    let mut stranger = read(answer(&hub));
    send(&mut producer, &["one"]);
    end(&mut producer);
    assert_eq!(ready_data(&mut read(answer(&hub).grant(&grant))), ["one", "done"]);
    assert_waiting(&mut stranger);
}

#[test]
fn nobody_is_sent_what_producers_tell_each_other_p7() {
    let hub = hub();
    let everything = Grant::everything();
    let mut all = read(hub.subscribe(Matcher::any()).grant(&everything).bookmarks(false));
    let mut first = produce(&hub);
    send(&mut first, &["one"]);
    soon(hub.stop_producing(ANSWER)).expect("asked");
    end(&mut produce(&hub));
    assert_eq!(ready_data(&mut all), ["one", "done"]);
    let mut kept =
        read(hub.subscribe(Matcher::any()).grant(&everything).after(id("earliest")).bookmarks(false));
    assert_eq!(ready_data(&mut kept), ["one", "done"]);
}

#[test]
fn an_event_whose_fate_is_open_is_in_its_place_once_p3_p4() {
    for (answer_is, expected) in [
        (NextAnswer::UnknownStored, vec!["one", "two", "three"]),
        (NextAnswer::UnknownLost, vec!["one", "two", "three"]),
        (NextAnswer::Refused, vec!["one", "three"]),
    ] {
        let toy = Toy::new(Arc::new(TestClock::default()));
        let hub = Hub::builder().engine(toy.clone()).build().expect("a hub");
        let mut producer = produce(&hub);
        send(&mut producer, &["one"]);
        toy.answer_next(answer_is);
        match soon(producer.send(Event::new("two"))) {
            Err(ProduceError::Publish(PublishError::NotStored(_))) => {
                assert_eq!(answer_is, NextAnswer::Refused);
            }
            Err(ProduceError::Publish(PublishError::MaybeStored(_))) => {
                assert_ne!(answer_is, NextAnswer::Refused);
            }
            other => panic!("{other:?}"),
        }
        // While the log is away it stays open.
        toy.answer_next(NextAnswer::Refused);
        let refused = soon(producer.send(Event::new("not stored")));
        assert!(matches!(refused, Err(ProduceError::Publish(PublishError::NotStored(_)))), "{refused:?}");
        send(&mut producer, &["three"]);
        toy.tell(100);
        assert_eq!(ready_data(&mut read(answer(&hub))), expected, "{answer_is:?}");
        toy.answer_next(NextAnswer::UnknownStored);
        let open = soon(producer.end("done"));
        assert!(matches!(open, Err(ProduceError::Publish(PublishError::MaybeStored(_)))), "{open:?}");
        assert!(soon(producer.end("done")).expect("ended").duplicate);
    }
}

#[test]
fn what_a_log_has_lost_is_not_produced_any_more_p6() {
    let toy = Toy::new(Arc::new(TestClock::default()));
    let hub = Hub::builder().engine(toy.clone()).build().expect("a hub");
    let mut producer = produce(&hub);
    send(&mut producer, &["one"]);
    toy.tell(100);
    toy.begin_epoch();
    assert_eq!(soon(producer.stopped()), Stopped::Rewound);
    assert!(matches!(soon(producer.send(Event::new("two"))), Err(ProduceError::Rewound)));
}

#[test]
fn what_is_no_stream_of_anybody_is_refused() {
    let hub = hub();
    for text in ["", "*", "a\nb", &"x".repeat(4096)] {
        let produced = begun(hub.produce(text));
        assert!(matches!(produced, Err(ProduceError::Publish(PublishError::Topic(_)))), "{produced:?}");
        assert!(matches!(soon(hub.stop_producing(text)), Err(PublishError::Topic(_))));
    }
    let mut producer = produce(&hub);
    let close = Event::new("x").event(name("fanfare.close"));
    assert!(matches!(
        soon(producer.send(close)),
        Err(ProduceError::Publish(PublishError::ReservedName { .. }))
    ));
    let large = soon(producer.end("x".repeat(300_000)));
    assert!(matches!(large, Err(ProduceError::Publish(PublishError::EventTooLarge { .. }))));
    hub.close();
    assert_eq!(soon(producer.stopped()), Stopped::Closed);
    assert!(matches!(begun(hub.produce("answers/8")), Err(ProduceError::Closed)));
    let own = fanfare_hub::Publication::to([topic("a")]).event(Event::new("x").id(id("#e1x")));
    assert!(matches!(soon(hub.publish_all(own)), Err(PublishError::ReservedId { .. })));
}

#[test]
fn a_bookmark_is_no_end() {
    let hub = hub();
    let mut producer = produce(&hub);
    end(&mut producer);
    // It came behind the end and was never told of it: it waits like anybody else.
    let mut fresh = read(hub.subscribe(ANSWER));
    assert_eq!(next(&mut fresh).what, What::Bookmark);
    assert_waiting(&mut fresh);
}
