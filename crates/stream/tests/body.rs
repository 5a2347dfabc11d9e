//! `Sse` as an `http_body::Body` and as an `http::Response`, without a runtime.
#![allow(clippy::unwrap_used)]

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use fanfare_stream::{BoxError, Sse};
use fanfare_wire::{Event, EventId, Frame};
use futures_util::stream::{self, StreamExt};
use http::{Response, StatusCode};
use http_body::Body;

/// Polls once: the bytes, the error as text, or `None` at the end.
fn poll(sse: &mut Sse) -> Option<Result<Vec<u8>, String>> {
    match Pin::new(sse).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(frame) => frame.map(|frame| {
            frame.map(|frame| frame.into_data().unwrap().to_vec()).map_err(|error| error.to_string())
        }),
        Poll::Pending => panic!("nothing is there to wait for"),
    }
}

/// Checks what one poll brings.
fn check(sse: &mut Sse, expected: &[u8]) {
    assert_eq!(poll(sse), Some(Ok(expected.to_vec())));
}

/// Like many a stream: it may be polled after its end, and then begins again.
fn restarting() -> impl futures_core::Stream<Item = Event> + Send {
    let mut left = 1;
    stream::poll_fn(move |_| {
        left = (left + 1) % 2;
        Poll::Ready((left == 0).then(|| Event::new("a")))
    })
}

#[test]
fn events_frames_and_results_of_them_are_streamed() {
    let event = || Event::new("a").id(EventId::parse("1").unwrap());
    let expected = b"id: 1\ndata: a\n\n";
    check(&mut Sse::new(stream::iter([event()])), expected);
    check(&mut Sse::new(stream::iter([event().to_frame()])), expected);
    check(&mut Sse::new(stream::iter([Ok::<_, std::io::Error>(event())])), expected);
    check(&mut Sse::new(stream::iter([Ok::<_, String>(event().to_frame())])), expected);
    check(&mut Sse::new(stream::iter([Ok::<_, BoxError>(event())])), expected);
}

#[test]
fn a_type_of_ones_own_is_streamed_when_it_becomes_a_frame() {
    struct Price(u32);
    impl From<Price> for Frame {
        fn from(price: Price) -> Self {
            Event::new(price.0.to_string()).to_frame()
        }
    }
    check(&mut Sse::new(stream::iter([Price(7)])), b"data: 7\n\n");
    check(&mut Sse::new(stream::iter([Ok::<_, BoxError>(Price(7))])), b"data: 7\n\n");
}

#[test]
fn after_the_end_it_stays_ended() {
    let mut sse = Sse::new(restarting());
    assert!(!sse.is_end_stream());
    check(&mut sse, b"data: a\n\n");
    for _ in 0..3 {
        assert_eq!(poll(&mut sse), None);
        assert!(sse.is_end_stream());
        assert_eq!(sse.size_hint().exact(), Some(0));
    }
}

#[test]
fn the_stream_is_dropped_at_its_end_and_not_with_the_response() {
    let held = Arc::new(());
    let watch = Arc::downgrade(&held);
    let mut sse = Sse::new(stream::poll_fn(move |_| {
        assert_eq!(Arc::strong_count(&held), 1);
        Poll::Ready(None::<Event>)
    }));
    assert_eq!(poll(&mut sse), None);
    assert!(watch.upgrade().is_none());
}

#[test]
fn the_opening_comes_first_and_once() {
    let mut sse = Sse::new(stream::iter([Event::new("a")])).opening(Frame::KEEP_ALIVE);
    check(&mut sse, b":\ndata: a\n\n");
    assert_eq!(poll(&mut sse), None);
}

#[test]
fn what_is_due_at_once_leaves_in_one_piece() {
    let events = stream::iter([Event::new("a"), Event::new("b")]).chain(stream::pending());
    let mut sse = Sse::new(events).opening(Frame::KEEP_ALIVE);
    check(&mut sse, b":\ndata: a\n\ndata: b\n\n");
    assert!(Pin::new(&mut sse).poll_frame(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[test]
fn a_stream_that_always_has_more_leaves_in_pieces_of_whole_frames_p5() {
    let frame = Event::new("x".repeat(1_000)).to_frame();
    let bytes = frame.as_bytes().len();
    let mut sse = Sse::new(stream::repeat(frame));
    for _ in 0..3 {
        let piece = poll(&mut sse).unwrap().unwrap();
        assert_eq!(piece.len() % bytes, 0);
        assert!((64 * 1024..64 * 1024 + bytes).contains(&piece.len()), "{}", piece.len());
    }
}

#[test]
fn a_signal_ends_the_response_before_the_next_event() {
    let mut sse = Sse::new(stream::repeat_with(|| Event::new("a"))).until(std::future::ready(()));
    assert_eq!(poll(&mut sse), None);
    assert!(sse.is_end_stream());
    let mut sse = Sse::new(stream::iter([Event::new("a")])).until(std::future::pending());
    check(&mut sse, b"data: a\n\n");
}

#[test]
fn an_error_that_nobody_takes_is_the_bodys_and_then_comes_the_end() {
    let mut sse = Sse::new(stream::iter([Ok(Event::new("a")), Err("lost"), Ok(Event::new("never"))]));
    check(&mut sse, b"data: a\n\n");
    assert!(!sse.is_end_stream());
    assert_eq!(poll(&mut sse), Some(Err("lost".into())));
    assert_eq!(poll(&mut sse), None);
}

#[test]
fn an_error_is_reported_once_with_its_own_type_inside() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let items = stream::iter([Ok(Event::new("a")), Err(std::io::Error::other("lost"))]);
    let mut sse = Sse::new(items).on_error({
        let seen = Arc::clone(&seen);
        move |error| seen.lock().unwrap().push(error.downcast::<std::io::Error>().unwrap().to_string())
    });
    check(&mut sse, b"data: a\n\n");
    assert_eq!(poll(&mut sse), None);
    assert_eq!(poll(&mut sse), None);
    assert_eq!(*seen.lock().unwrap(), ["lost"]);
}

#[test]
fn a_response_of_the_callers_keeps_status_headers_and_extensions() {
    let head = Response::builder()
        .status(StatusCode::CREATED)
        .header("cache-control", "no-store")
        .header("set-cookie", "a=b")
        .header("set-cookie", "c=d")
        .header("content-length", "3")
        .extension(7_u32)
        .body(())
        .unwrap();
    let response = Sse::new(stream::empty::<Event>()).response_with(head);
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
    assert!(!response.headers().contains_key("content-length"));
    assert_eq!(response.extensions().get(), Some(&7_u32));
}

#[test]
fn an_sse_can_be_moved_between_threads() {
    fn movable<T: Send + Unpin + 'static>() {}
    movable::<Sse>();
}
