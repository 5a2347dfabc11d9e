//! The test kit itself: it must neither miss what is wrong nor cry out over what is right.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fanfare_stream::testing::{
    Between, EventSource, HeadFault, Heard, Reader, assert_event_stream, every_cut_resumes, every_split,
    head_faults,
};
use fanfare_stream::{Closed, KeepAlive, LastEventId, Sse, SseBody, channel};
use fanfare_wire::{Event, EventId, EventName, Frame};
use futures_util::{FutureExt, StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body::Body;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// A body of these pieces.
struct Pieces(std::vec::IntoIter<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(http_body::Frame::data(piece))))
    }
}

/// `bytes` in pieces of the sizes that are given, again and again.
fn in_pieces(mut bytes: Bytes, sizes: &[usize]) -> Pieces {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        pieces.push(bytes.split_to((*size).min(bytes.len())));
    }
    Pieces(pieces.into_iter())
}

/// An event as its parts: name, data, and whether it has an id.
fn parts() -> impl Strategy<Value = (String, String, bool)> {
    ("[a-z]{0,4}", "[a-zé:\r\n 💡]{0,12}", any::<bool>())
}

/// Numbered, so that no two are the same.
fn events(parts: &[(String, String, bool)]) -> Vec<Event> {
    let event = |(n, (name, data, has_id)): (usize, &(String, String, bool))| {
        let mut event = Event::new(format!("{n} {data}"));
        if !name.is_empty() {
            event = event.event(EventName::parse(name.clone()).unwrap());
        }
        if *has_id { event.id(EventId::parse(n.to_string()).unwrap()) } else { event }
    };
    parts.iter().enumerate().map(event).collect()
}

/// A runtime whose clock moves when nobody has anything to do.
fn stopped_clock() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_reader_hears_what_was_sent_whatever_lies_between(
        parts in vec(parts(), 0..12),
        sizes in vec(1..40_usize, 1..8),
        held in 0..200_usize,
        speed in proptest::option::of(1..100_u32),
    ) {
        let frames: Vec<Frame> = events(&parts).iter().map(Event::to_frame).collect();
        let bytes: Bytes = frames.iter().flat_map(|frame| frame.as_bytes().to_vec()).collect::<Vec<_>>().into();
        let mut response = Sse::new(stream::empty::<Event>()).response().map(|_| in_pieces(bytes.clone(), &sizes));
        response.headers_mut().insert("x-accel-buffering", "no".parse().unwrap());
        let mut reader = Reader::behind(Between::buffer(held), response);
        if let Some(speed) = speed {
            reader = reader.slowly(speed);
        }
        let heard = stopped_clock().block_on(reader.rest());
        let (end, heard) = heard.split_last().unwrap();
        prop_assert_eq!(end, &Heard::End);
        prop_assert_eq!(heard, &every_split(&bytes));
        prop_assert_eq!(heard.len(), parts.len());
        prop_assert_eq!(reader.bytes(), &bytes);
        let last = parts.iter().rposition(|(_, _, has_id)| *has_id).map_or(String::new(), |n| n.to_string());
        prop_assert_eq!(reader.last_event_id(), last);
    }

    #[test]
    fn any_bytes_mean_the_same_wherever_they_are_cut(bytes in "([a-z:\u{feff}é\0 ]|data|id|event|retry|[\r\n]){0,60}") {
        let _ = every_split(bytes.as_bytes());
    }

    #[test]
    fn a_replay_that_is_right_bears_every_cut(mut parts in vec(parts(), 0..6)) {
        for (_, _, has_id) in &mut parts {
            *has_id = true;
        }
        let all = events(&parts);
        let handler = |request: Request<()>| ready(replay(&request, &all, 1));
        let got = stopped_clock().block_on(every_cut_resumes(handler, "/", all.len()));
        prop_assert_eq!(got.len(), all.len());
    }
}

/// What stands behind the last event ID, or `ahead` of it where that is not one.
fn replay(request: &Request<()>, all: &[Event], ahead: usize) -> Response<SseBody> {
    let last = LastEventId::from_request(request.headers(), request.uri());
    let first = last.id().map_or(0, |id| id.as_str().parse::<usize>().unwrap() + ahead);
    let rest = all.get(first..).unwrap_or_default().to_vec();
    Sse::new(stream::iter(rest).chain(stream::pending())).response()
}

fn numbers(count: usize) -> Vec<Event> {
    events(&vec![(String::new(), String::new(), true); count])
}

/// The message of the panic that `test` ends with.
fn complaint(test: impl Future<Output = ()>) -> String {
    let run = std::panic::AssertUnwindSafe(|| stopped_clock().block_on(test));
    let panic = std::panic::catch_unwind(run).expect_err("there should have been a complaint");
    panic.downcast_ref::<String>().expect("a message").clone()
}

#[test]
fn a_replay_that_loses_an_event_or_sends_one_twice_is_found_with_the_place_of_the_cut() {
    for (ahead, wrong) in [(0, "0, 0, 1, 2"), (2, "0, 2")] {
        let all = numbers(3);
        let handler = move |request: Request<()>| ready(replay(&request, &all, ahead));
        let message = complaint(async move { drop(every_cut_resumes(handler, "/", 3).await) });
        assert!(message.contains("tests/testing.rs:"), "{message}");
        assert!(message.contains(r#"came back with the last event ID "0""#), "{message}");
        let (got, all) = message.split_once("in place of").unwrap();
        let data = |list: &str| {
            list.lines()
                .filter_map(|line| line.split('"').nth(3).filter(|_| line.contains("with data")))
                .map(str::trim)
                .collect::<Vec<_>>()
                .join(", ")
        };
        assert_eq!((data(got).as_str(), data(all).as_str()), (wrong, "0, 1, 2"), "{message}");
    }
}

#[test]
fn an_event_that_comes_again_behind_the_last_one_is_found_too() {
    let handler = |request: Request<()>| {
        let is_back = request.headers().contains_key("last-event-id");
        // Right but for the last one.
        let rest = if is_back { numbers(2).split_off(1) } else { numbers(2) };
        ready(Sse::new(stream::iter(rest).chain(stream::pending())).response())
    };
    let message = complaint(async move { drop(every_cut_resumes(handler, "/", 2).await) });
    assert!(message.contains(r#"the last event ID "1""#), "{message}");
}

fn response(header: &str, value: &str) -> Response<Sse> {
    let (mut head, _) = Sse::new(stream::empty::<Event>()).response().into_parts();
    let name: http::HeaderName = header.parse().unwrap();
    if value.is_empty() {
        head.headers.remove(name);
    } else {
        head.headers.insert(name, value.parse().unwrap());
    }
    Response::from_parts(head, Sse::new(stream::pending::<Event>()))
}

#[test]
fn the_head_of_an_sse_is_right_and_each_thing_that_can_be_wrong_is_told_alone_and_with_a_remedy() {
    assert_eq!(head_faults(&Sse::new(stream::pending::<Event>()).response()), []);
    for (header, value) in [
        ("cache-control", "private, no-store, No-Transform"),
        ("content-type", "Text/Event-Stream; charset=utf-8"),
    ] {
        assert_eq!(head_faults(&response(header, value)), [], "{value}");
    }
    let text = |text: &str| Some(text.to_owned());
    let check = |header: &str, value: &str, fault: HeadFault, remedy: &str| {
        let response = response(header, value);
        assert_eq!(head_faults(&response), std::slice::from_ref(&fault));
        assert!(fault.to_string().contains(remedy), "{fault}");
    };
    check(
        "content-type",
        "",
        HeadFault::ContentType(None),
        "`Content-Type` is missing, on which a browser gives up",
    );
    check(
        "content-type",
        "text/plain",
        HeadFault::ContentType(text("text/plain")),
        "send `text/event-stream`",
    );
    check(
        "cache-control",
        "no-transform, max-age=60",
        HeadFault::Cached(text("no-transform, max-age=60")),
        "send `no-cache",
    );
    check("cache-control", "no-cache", HeadFault::Transformed(text("no-cache")), "add `no-transform`");
    check("x-accel-buffering", "", HeadFault::Buffered(None), "send `no`");
    check("x-accel-buffering", "yes", HeadFault::Buffered(text("yes")), "nginx holds events back");
    check("content-length", "12", HeadFault::ContentLength("12".into()), "which layer collects the body");
    check("content-encoding", "gzip", HeadFault::Encoded("gzip".into()), "leave `text/event-stream` out");
    check("transfer-encoding", "chunked", HeadFault::Framing(http::header::TRANSFER_ENCODING), "HTTP/2");
    check("connection", "keep-alive", HeadFault::Framing(http::header::CONNECTION), "remove it");
    let mut refused = response("content-encoding", "identity");
    *refused.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    assert_eq!(head_faults(&refused), [HeadFault::Status(StatusCode::SERVICE_UNAVAILABLE)]);
    let collected = response("x-accel-buffering", "no").map(|_| "data: all at once\n\n".to_owned());
    assert_eq!(head_faults(&collected), [HeadFault::KnownLength(19)]);
}

#[test]
fn all_that_is_wrong_with_a_head_is_told_at_once_where_it_was_asserted() {
    let message = complaint(async { assert_event_stream(&Response::new("data: a\n\n".to_owned())) });
    assert!(
        message.starts_with("crates/stream/tests/testing.rs:") || message.contains("tests/testing.rs:"),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1 + 5, "{message}");
    let message =
        complaint(async { drop(EventSource::open(|_| ready(Response::new(String::new())), "/").await) });
    assert!(message.contains("tests/testing.rs:") && message.contains("Content-Type"), "{message}");
}

#[test]
fn what_was_expected_and_did_not_come_is_told_with_the_place_and_with_what_came() {
    let check = |sse: Sse, expects: fn(Reader) -> Pin<Box<dyn Future<Output = ()>>>, expected: &str| {
        let message = complaint(expects(Reader::of(sse.response())));
        assert!(message.contains("tests/testing.rs:"), "{message}");
        assert!(message.contains(expected), "{message}");
    };
    let one = || Sse::new(stream::iter([Event::new("a")]));
    let quiet = || Sse::new(stream::pending::<Event>());
    let failed = || Sse::new(stream::iter([Err::<Event, _>("lost")]));
    check(
        quiet(),
        |mut r| {
            Box::pin(async move {
                let _ = r.expect_event().await;
            })
        },
        "expected an event, but none came for 60s",
    );
    check(
        quiet(),
        |mut r| {
            Box::pin(async move {
                let _ = r.expect_event().await;
            })
        },
        "so far there came 8 bytes: \":\\n:\\n:\\n:\\n\"",
    );
    check(
        failed(),
        |mut r| {
            Box::pin(async move {
                let _ = r.expect_event().await;
            })
        },
        "came a stream that was broken off (lost)",
    );
    check(
        one(),
        |mut r| {
            Box::pin(async move {
                let _ = r.expect_comment().await;
            })
        },
        "came an event \"message\" with data \"a\"",
    );
    check(
        one(),
        |mut r| {
            Box::pin(async move {
                let _ = r.expect_reconnection_time().await;
            })
        },
        "expected a reconnection time",
    );
    check(one(), |mut r| Box::pin(async move { r.expect_end().await }), "expected the end of the stream");
    check(
        one().opening(Frame::KEEP_ALIVE),
        |mut r| {
            Box::pin(async move {
                let _ = r.expect_break().await;
            })
        },
        "\":\\ndata: a\\n\\n\"",
    );
    check(
        one(),
        |mut r| Box::pin(async move { r.nothing_for(SECOND).await }),
        "expected nothing for 1s, but after 0ns came an event",
    );
}

#[tokio::test(start_paused = true)]
async fn a_virtual_hour_passes_with_its_keep_alives() {
    let mut reader = Reader::of(Sse::new(stream::pending::<Event>()).response());
    let begun = Instant::now();
    reader.nothing_for(3_599 * SECOND).await;
    assert_eq!(reader.expect_comment().await, "");
    assert_eq!(begun.elapsed(), 3_600 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn patience_can_be_longer() {
    let late = async { tokio::time::sleep(100 * SECOND).await };
    let sse = Sse::new(stream::once(late.map(|()| Event::new("late"))).chain(stream::pending()));
    let mut reader = Reader::of(sse.response()).patience(101 * SECOND);
    assert_eq!(reader.expect_event().await.data, "late");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_holds_back_hands_on_full_buffers_and_the_rest_at_the_end() {
    let (sender, sse) = channel(16);
    let mut reader = Reader::behind(Between::buffer(32), sse.response());
    sender.send(Event::new("16 bytes")).await.unwrap();
    reader.nothing_for(14 * SECOND).await;
    sender.send(Event::new("16 bytes")).await.unwrap();
    reader.expect_event().await;
    reader.expect_event().await;
    sender.send(Event::new("the rest")).await.unwrap();
    reader.nothing_for(14 * SECOND).await;
    drop(sender);
    assert_eq!(reader.expect_event().await.data, "the rest");
    reader.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn nginx_holds_back_unless_the_head_says_otherwise_and_cuts_whoever_is_quiet() {
    for says in ["no", "yes"] {
        let (sender, sse) = channel(16);
        let head = Response::builder().header("x-accel-buffering", says).body(()).unwrap();
        let response = sse.keep_alive(KeepAlive::off()).response_with(head);
        let mut reader = Reader::behind(Between::nginx(), response);
        let quiet_since = Instant::now();
        sender.send(Event::new("a")).await.unwrap();
        if says == "no" {
            assert_eq!(reader.expect_event().await.data, "a");
        } else {
            reader.nothing_for(59 * SECOND).await;
            assert_eq!(reader.expect_event().await.data, "a", "what was held back comes before the end");
        }
        assert!(reader.patience(61 * SECOND).expect_break().await.contains("60s"));
        assert_eq!(quiet_since.elapsed(), 60 * SECOND);
        assert_eq!(sender.closed().await, Closed::ByClient);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_makes_the_sender_wait_and_gets_everything() {
    let (sender, sse) = channel(1);
    let mut reader = Reader::of(sse.response()).slowly(10);
    let sending = tokio::spawn(async move {
        for n in 0..5 {
            // Ten bytes.
            sender.send(Event::new(format!("{n}{n}"))).await.unwrap();
        }
        Instant::now()
    });
    let begun = Instant::now();
    for n in 0..5 {
        assert_eq!(reader.expect_event().await.data, format!("{n}{n}"));
        assert_eq!(begun.elapsed(), (n + 1) * SECOND);
    }
    assert!(sending.await.unwrap() - begun >= 2 * SECOND, "it had to wait");
    reader.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stalls_is_given_up_by_the_streams_own_deadline() {
    let mut reader = Reader::of(Sse::new(stream::repeat(Event::new("a"))).response());
    reader.expect_event().await;
    reader.stall(31 * SECOND).await;
    let last = reader.rest().await.pop();
    assert_eq!(last, Some(Heard::Broken(Closed::WriteDeadline.to_string())));
}

#[tokio::test(start_paused = true)]
async fn a_cut_lies_behind_what_the_test_was_given_and_the_sender_hears_of_it() {
    let (sender, sse) = channel(16);
    let mut reader = Reader::of(sse.response());
    for n in 1..=3 {
        sender.send(Event::new("a").id(EventId::parse(n.to_string()).unwrap())).await.unwrap();
    }
    reader.expect_event().await;
    assert_eq!(reader.cut().id(), Some(EventId::from_static("1")));
    assert_eq!(sender.closed().await, Closed::ByClient);
    assert_eq!(reader.cut().id(), Some(EventId::from_static("1")));
    assert!(matches!(reader.next().await, Heard::Broken(_)), "the other two are lost");
    assert!(reader.piece().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_event_source_comes_back_after_the_time_that_it_was_told_with_the_last_event_id() {
    let requests: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
    let asked = requests.clone();
    let handler = move |request: Request<()>| {
        assert_eq!(request.headers()["accept"], "text/event-stream");
        let last = request.headers().get("last-event-id");
        asked.lock().unwrap().push(last.map(|id| String::from_utf8(id.as_bytes().to_vec()).unwrap()));
        let retry = Event::new("").retry(7 * SECOND).id(EventId::from_static("é"));
        let rest = [Event::new("no id"), retry, Event::new("seen by nobody")];
        ready(Sse::new(stream::iter(rest)).response())
    };
    let mut page = EventSource::open(handler, "/events").await;
    page.expect_event().await;
    let begun = Instant::now();
    page.reconnect().await;
    assert_eq!(begun.elapsed(), 3 * SECOND);
    page.expect_event().await;
    page.expect_event().await;
    page.reconnect().await;
    assert_eq!(begun.elapsed(), 10 * SECOND);
    assert_eq!(page.expect_event().await.last_event_id, "é", "it stands until there is another one");
    assert_eq!(*requests.lock().unwrap(), [None, None, Some("é".into())]);
}

#[tokio::test(start_paused = true)]
async fn an_event_source_that_comes_back_is_as_slow_and_as_patient_as_before() {
    let handler = |request: Request<()>| {
        let is_back = request.headers().contains_key("last-event-id");
        // Ten bytes for a first visit; later comes nothing for a while.
        let first = Event::without_data().id(EventId::from_static("1234"));
        let late = async { tokio::time::sleep(100 * SECOND).await };
        let late = stream::once(late.map(|()| Event::new("23")));
        let events = if is_back { late.left_stream() } else { stream::iter([first]).right_stream() };
        ready(Sse::new(events).keep_alive(KeepAlive::off()).response())
    };
    let mut page = EventSource::open(handler, "/").await.slowly(10).patience(102 * SECOND);
    let begun = Instant::now();
    page.expect_end().await;
    assert_eq!(begun.elapsed(), SECOND);
    page.reconnect().await;
    assert_eq!(page.expect_event().await.data, "23");
    assert_eq!(begun.elapsed(), (1 + 3 + 100 + 1) * SECOND);
}

#[test]
fn an_event_source_that_is_sent_away_is_told_apart_from_one_that_is_not() {
    let handler = |request: Request<()>| {
        let is_back = request.headers().contains_key("last-event-id");
        let farewell = Event::new("").id(EventId::from_static("the end"));
        let mut response = Sse::new(stream::iter([farewell])).response();
        *response.status_mut() = if is_back { StatusCode::NO_CONTENT } else { StatusCode::OK };
        ready(response)
    };
    let message = complaint(async move {
        let mut page = EventSource::open(handler, "/").await;
        page.expect_event().await;
        page.expect_end().await;
        page.expect_sent_away().await;
        page.reconnect().await;
    });
    assert!(message.contains("gives up for good"), "{message}");
}

#[test]
fn what_is_there_can_be_read_without_a_runtime() {
    let (sender, sse) = channel(16);
    let mut reader = Reader::of_body(sse);
    assert_eq!(reader.now(), None);
    sender.try_send(Event::new("a")).unwrap();
    assert!(matches!(reader.now(), Some(Heard::Event(event)) if event.data == "a"));
    drop(sender);
    assert_eq!(reader.expect_end().now_or_never(), Some(()));
    assert_eq!(reader.now(), Some(Heard::End));
}
