//! Streams that outlive their readers and their producer's process.

use std::task::{Context, Waker};
use std::time::Duration;

use fanfare_engine::DiskEngine;
use fanfare_hub::{Delivery, GapReason, Hub, ProduceError, Producer, Resume, Stopped, Subscription};
use fanfare_wire::{Event, EventId};
use futures_util::StreamExt;

use crate::support::{folder, hub, next, next_data, publish_all, small, to, wait};

const ANSWER: &str = "answers/7";

fn produce(hub: &Hub) -> Result<Producer, ProduceError> {
    wait(hub.produce(ANSWER).into_future())
}

fn send(producer: &mut Producer, text: &'static str) -> EventId {
    wait(producer.send(Event::new(text))).expect("sent").id
}

fn answer(hub: &Hub) -> Subscription {
    hub.subscribe(ANSWER).from_start().bookmarks(false)
}

/// Pushes everything out of memory.
fn talk(hub: &Hub) {
    publish_all(hub, (0..300).map(|n| to(&["other"], Event::new(format!("{n} {}", "x".repeat(700))))));
}

#[test]
fn a_stream_goes_on_where_its_process_died_p2_p3() {
    let folder = folder();
    let seen = {
        let hub = hub(DiskEngine::options(folder.path()));
        let mut producer = produce(&hub).expect("a producer");
        let seen = send(&mut producer, "one");
        send(&mut producer, "two");
        wait(hub.stop_producing(ANSWER)).expect("asked");
        talk(&hub);
        // As it is after a crash: nobody says that it is over.
        producer.leave_open();
        seen
    };
    let hub = hub(DiskEngine::options(folder.path()));
    let mut waiting = answer(&hub);
    assert_eq!(next_data(&mut waiting, 2), ["one", "two"]);
    let mut producer = produce(&hub).expect("a producer");
    assert!(producer.takes_over());
    assert_eq!(wait(producer.stopped()), Stopped::Asked, "it was asked for before");
    send(&mut producer, "three");
    wait(producer.end("done")).expect("ended");
    assert_eq!(next_data(&mut waiting, 2), ["three", "done"]);
    assert!(wait(waiting.next()).is_none());
    assert_eq!(next_data(&mut answer(&hub).after(seen), 3), ["two", "three", "done"]);
}

#[test]
fn an_end_is_known_after_a_restart_and_when_the_log_has_dropped_it() {
    let folder = folder();
    let end = {
        let hub = hub(small(folder.path()));
        let mut producer = produce(&hub).expect("a producer");
        send(&mut producer, "one");
        let end = wait(producer.end("done")).expect("ended").id;
        talk(&hub);
        end
    };
    let hub = hub(small(folder.path()));
    let over = |hub: &Hub| wait(hub.subscribe(ANSWER).after(end.clone()).opened()).expect("open").clone();
    assert_eq!(over(&hub), Resume::Over);
    assert!(matches!(produce(&hub), Err(ProduceError::Ended)));
    let mut late = answer(&hub);
    assert_eq!(next_data(&mut late, 2), ["one", "done"]);
    assert!(wait(late.next()).is_none());

    // More than is kept.
    while wait(hub.bounds()).expect("bounds").oldest == 1 {
        publish_all(&hub, (0..2_000).map(|_| to(&["other"], Event::new("x".repeat(2_000)))));
    }
    assert_eq!(over(&hub), Resume::Over);
    let Delivery::Gap(gap) = next(&mut answer(&hub)) else { panic!("a gap is due") };
    assert!(matches!(gap.reason(), GapReason::Unknown | GapReason::Trimmed), "{gap:?}");
}

#[test]
fn an_expired_stream_is_known_by_its_end_on_the_disk() {
    let folder = folder();
    {
        let hub = hub(DiskEngine::options(folder.path()));
        let mut producer =
            wait(hub.produce(ANSWER).expires_after(Duration::ZERO).into_future()).expect("a producer");
        send(&mut producer, "one");
        talk(&hub);
        wait(producer.end("done")).expect("ended");
        talk(&hub);
    }
    let hub = hub(DiskEngine::options(folder.path()));
    let mut late = answer(&hub);
    let Delivery::Gap(gap) = next(&mut late) else { panic!("a gap is due") };
    assert_eq!(gap.reason(), GapReason::Expired);
    assert_eq!(next_data(&mut late, 1), ["done"]);
    assert!(wait(late.next()).is_none());
    // Who drops right behind the gap is not told twice.
    assert_eq!(next_data(&mut hub.subscribe(ANSWER).bookmarks(false).after(gap.id().clone()), 1), ["done"]);
}

#[test]
fn a_producer_that_is_dropped_ends_its_stream_on_the_disk() {
    let folder = folder();
    {
        let hub = hub(DiskEngine::options(folder.path()));
        let mut producer = produce(&hub).expect("a producer");
        send(&mut producer, "one");
        // In the midst of an event, as when its task is aborted.
        let mut sending = Box::pin(producer.send(Event::new("two")));
        let _ = sending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(sending);
        drop(producer);
        assert_eq!(next_data(&mut answer(&hub), 3), ["one", "two", "abandoned"]);
    }
    let hub = hub(DiskEngine::options(folder.path()));
    assert_eq!(next_data(&mut answer(&hub), 3), ["one", "two", "abandoned"]);
}
