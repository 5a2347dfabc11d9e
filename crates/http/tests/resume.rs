//! Coming back with a last event ID, against section 12 of the protocol.
#![allow(clippy::unwrap_used)]

mod common;

use axum::Router;
use axum::body::Body;
use common::{Stream, app, hub, post, send, subscription};
use fanfare_http::{Access, Mercure};
use fanfare_hub::Hub;
use fanfare_wire::Event;
use http::StatusCode;

/// A hub in which `a` was told 1, 2 and 3.
async fn told() -> (Hub, Router) {
    let hub = hub();
    let app = app(&hub);
    for id in ["1", "2", "3"] {
        post(&app, &format!("topic=a&data=d{id}&id={id}")).await;
    }
    (hub, app)
}

#[tokio::test]
async fn a_known_id_is_echoed_and_what_came_after_it_is_sent_p2_m130_m133_m191() {
    let (_hub, app) = told().await;
    let mut stream = Stream::open(&app, "match=a&last_event_id=1").await;
    assert_eq!(stream.headers["mercure-last-event-id"], "1");
    assert_eq!(stream.headers["last-event-id"], "1");
    post(&app, "topic=a&data=live&id=4").await;
    let text = stream.until("data: live\n\n").await;
    let ids: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids, ["2", "3", "4"]);
}

#[tokio::test]
async fn an_id_of_the_hub_resumes_too_p2() {
    let hub = hub();
    let app = app(&hub);
    let first = post(&app, "topic=a&data=one").await.text;
    post(&app, "topic=a&data=two").await;
    let query = format!("match=a&last_event_id={}", first.replace('#', "%23"));
    let mut stream = Stream::open(&app, &query).await;
    assert_eq!(stream.headers["mercure-last-event-id"], first.as_str());
    assert!(!stream.until("data: two\n\n").await.contains("data: one"));
}

#[tokio::test]
async fn the_header_wins_over_every_name_in_the_query_m128_m190() {
    let (_hub, app) = told().await;
    let all = "match=a&Last-Event-ID=1&lastEventID=2&last_event_id=3";
    assert_eq!(Stream::open(&app, all).await.headers["mercure-last-event-id"], "3");
    let request = subscription(all).header("last-event-id", "2").body(Body::empty()).unwrap();
    assert_eq!(Stream::of(&app, request).await.headers["mercure-last-event-id"], "2");
    let old = "match=a&Last-Event-ID=1&lastEventID=2";
    assert_eq!(Stream::open(&app, old).await.headers["mercure-last-event-id"], "2");
    assert_eq!(Stream::open(&app, "match=a&Last-Event-ID=1").await.headers["mercure-last-event-id"], "1");
}

#[tokio::test]
async fn ids_beyond_ascii_come_back_as_browsers_send_them_m128() {
    let hub = hub();
    let app = app(&hub);
    post(&app, "topic=a&data=x&id=caf%C3%A9").await;
    let request =
        subscription("match=a").header("last-event-id", "café".as_bytes()).body(Body::empty()).unwrap();
    assert_eq!(
        Stream::of(&app, request).await.headers["mercure-last-event-id"].as_bytes(),
        "café".as_bytes()
    );
}

#[tokio::test]
async fn earliest_brings_everything_kept_m131_m132() {
    let (_hub, app) = told().await;
    let mut stream = Stream::open(&app, "match=a&last_event_id=earliest").await;
    assert_eq!(stream.headers["mercure-last-event-id"], "earliest");
    let text = stream.until("data: d3\n\n").await;
    assert!(text.contains("data: d1\n") && text.contains("data: d2\n"), "{text}");
}

#[tokio::test]
async fn an_unknown_id_is_answered_earliest_and_told_as_a_gap_p2_m132_m135() {
    let (_hub, app) = told().await;
    let mut stream = Stream::open(&app, "match=a&last_event_id=lost").await;
    assert_eq!(stream.headers["mercure-last-event-id"], "earliest");
    let text = stream.until("\n\n").await;
    assert!(
        text.contains("event: fanfare.gap\n") && text.contains(r#""reason":"unknown","after":"lost""#),
        "{text}"
    );
}

#[tokio::test]
async fn an_empty_last_event_id_is_answered_and_asks_for_nothing_m129() {
    let (_hub, app) = told().await;
    for request in [
        subscription("match=a&last_event_id=").body(Body::empty()).unwrap(),
        subscription("match=a").header("last-event-id", "").body(Body::empty()).unwrap(),
    ] {
        let mut stream = Stream::of(&app, request).await;
        assert_eq!(stream.headers["mercure-last-event-id"], "earliest");
        post(&app, "topic=a&data=live").await;
        let text = stream.until("data: live\n\n").await;
        assert!(!text.contains("d3") && !text.contains("gap"), "{text}");
    }
}

#[tokio::test]
async fn with_legacy_off_only_the_modern_header_answers_m191() {
    let hub = hub();
    let app: Router = Mercure::new(hub).access(Access::open()).legacy(false).router();
    let stream = Stream::open(&app, "match=a&last_event_id=x&lastEventID=y").await;
    assert_eq!(stream.headers["mercure-last-event-id"], "earliest");
    assert!(!stream.headers.contains_key("last-event-id"));
}

#[tokio::test]
async fn who_comes_back_with_the_end_of_a_stream_is_answered_204() {
    let hub = hub();
    let app = app(&hub);
    let mut producer = hub.produce("answers/7").await.unwrap();
    let mut reader = Stream::open(&app, "match=answers/7").await;
    producer.send(Event::new("one")).await.unwrap();
    let end = producer.end("done").await.unwrap().id;
    // Its stream ends behind the end.
    let text = reader.rest().await;
    assert!(text.contains("data: one\n"), "{text}");
    assert!(text.ends_with(&format!("id: {end}\nevent: fanfare.close\ndata: done\n\n")), "{text}");

    let back =
        |query: &str| subscription(query).header("last-event-id", end.as_str()).body(Body::empty()).unwrap();
    let over = send(&app, back("match=answers/7")).await;
    assert_eq!((over.status, over.text.as_str()), (StatusCode::NO_CONTENT, ""));
    assert!(over.headers["cache-control"].to_str().unwrap().contains("no-store"));
    // It says nothing about what else is asked for.
    let mut both = Stream::of(&app, back("match=answers/7&match=other")).await;
    post(&app, "topic=other&data=live").await;
    both.until("data: live\n\n").await;
    // Whoever has the id of the start reads all of it.
    let start = producer.start_id().as_str().replace('#', "%23");
    reader = Stream::open(&app, &format!("match=answers/7&last_event_id={start}")).await;
    assert!(reader.rest().await.contains("data: one\n"));
    let own = post(&app, &format!("topic=answers/7&data=x&id={}", end.as_str().replace('#', "%23"))).await;
    assert_eq!(own.status, 400, "{}", own.text);
}
