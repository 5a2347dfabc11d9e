//! A hub's subscription as a response: what one crate makes and another sends.
#![allow(clippy::unwrap_used)]

use fanfare::{Event, Hub, LastEventId, Sse, SubscribeError};
use http_body_util::BodyExt;

/// Reads the body until `end` has come.
async fn read_until(sse: &mut Sse, end: &str) -> String {
    let mut read = String::new();
    while !read.contains(end) {
        let frame = sse.frame().await.expect("the end came early").unwrap().into_data().unwrap();
        read.push_str(std::str::from_utf8(&frame).unwrap());
    }
    read
}

/// The last event ID that a client has after `text`.
fn last_id(text: &str) -> LastEventId {
    let id = text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap();
    LastEventId::parse(id.as_bytes())
}

#[tokio::test]
async fn p2_who_comes_back_gets_what_it_missed_and_nothing_twice() {
    let hub = Hub::builder().history_events(1_000).build().unwrap();
    let mut first = Sse::new(hub.subscribe("rooms/7").after(LastEventId::default()));
    hub.publish("rooms/7", Event::new("one")).await.unwrap();
    let seen = read_until(&mut first, "data: one\n\n").await;
    drop(first);
    hub.publish("rooms/7", Event::new("two")).await.unwrap();
    hub.publish("rooms/8", Event::new("elsewhere")).await.unwrap();
    hub.publish("rooms/7", Event::new("three")).await.unwrap();

    let mut second = Sse::new(hub.subscribe("rooms/7").after(last_id(&seen)));

    let missed = read_until(&mut second, "data: three\n\n").await;
    let data: Vec<_> = missed.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(data, ["two", "three"]);
}

#[tokio::test]
async fn p2_an_id_that_cannot_be_used_is_answered_with_a_gap_and_not_as_a_first_visit() {
    let hub = Hub::builder().build().unwrap();
    let last = LastEventId::parse(&[b'x'; 600]);
    let mut sse = Sse::new(hub.subscribe("rooms/7").after(last));
    let gap = read_until(&mut sse, "\n\n").await;
    assert!(gap.contains("event: fanfare.gap\n") && gap.contains(r#""reason":"unknown""#), "{gap}");
}

#[tokio::test]
async fn a_refused_subscription_is_reported_to_the_application() {
    let hub = Hub::builder().build().unwrap();
    let (report, reported) = std::sync::mpsc::channel();
    let mut sse = Sse::new(hub.subscribe("*")).on_error(move |error| report.send(error).unwrap());
    assert!(sse.frame().await.is_none());
    let error = reported.recv().unwrap().downcast::<SubscribeError>().unwrap();
    assert!(matches!(*error, SubscribeError::Topic(_)), "{error}");
}
