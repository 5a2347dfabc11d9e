//! What a server may rely on that takes the stream out of a response, and a client where none does.
#![allow(clippy::unwrap_used)]

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fanfare_stream::{KeepAlive, Offer, Sse, SseBody};
use fanfare_wire::{Event, Frame};
use futures_util::stream::{self, Iter, StreamExt};
use http::Response;
use http_body::Body;

/// What the streams here are made of.
type Events = Iter<std::array::IntoIter<Event, 1>>;

fn sse() -> Sse {
    Sse::new(events())
}

fn events() -> Events {
    stream::iter([Event::new("a")])
}

fn offer(response: &Response<SseBody>) -> Offer {
    response.extensions().get::<Offer>().unwrap().clone()
}

fn poll(body: &mut SseBody) -> Option<Vec<u8>> {
    match Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(frame) => frame.map(|frame| frame.unwrap().into_data().unwrap().to_vec()),
        Poll::Pending => panic!("nothing is there to wait for"),
    }
}

#[test]
fn a_source_comes_back_as_what_it_was_with_all_that_was_said_about_it() {
    let keep_alive = KeepAlive::every(Duration::from_secs(3));
    let sse = sse().opening(Frame::KEEP_ALIVE).keep_alive(keep_alive.clone()).on_error(|_| ());
    let (mut source, parts) = sse.into_source::<Events>().unwrap();
    assert_eq!(parts.opening, Some(Frame::KEEP_ALIVE));
    assert_eq!(parts.keep_alive, keep_alive);
    assert!(parts.on_error.is_some());
    let next = source.next();
    assert_eq!(futures_util::FutureExt::now_or_never(next).unwrap(), Some(Event::new("a")));
}

#[test]
fn a_source_of_another_type_stays_where_it_is() {
    let sse = sse().into_source::<stream::Empty<Event>>().unwrap_err();
    assert!(sse.into_source::<Events>().is_ok());
}

#[test]
fn a_source_that_was_polled_or_ends_by_a_signal_stays_where_it_is() {
    let mut polled = sse();
    let _ = Pin::new(&mut polled).poll_frame(&mut Context::from_waker(Waker::noop()));
    assert!(polled.into_source::<Events>().is_err());
    assert!(sse().until(std::future::pending()).into_source::<Events>().is_err());
}

#[test]
fn a_response_whose_stream_nobody_takes_is_like_any_other() {
    let response = sse().response();
    let offer = offer(&response);
    let mut body = response.into_body();
    assert!(!body.is_end_stream() && body.size_hint().exact().is_none());
    assert_eq!(poll(&mut body).unwrap(), b"data: a\n\n");
    assert!(offer.take().is_none(), "half a stream is nobody's");
    assert_eq!(poll(&mut body), None);
    assert!(body.is_end_stream());
}

#[test]
fn a_body_whose_stream_was_taken_is_empty_until_it_is_given_back() {
    let response = sse().response();
    let offer = offer(&response);
    let taken = offer.take().unwrap();
    assert!(offer.take().is_none());
    let mut body = response.into_body();
    assert!(body.is_end_stream());
    offer.give_back(taken);
    assert!(!body.is_end_stream());
    assert_eq!(poll(&mut body).unwrap(), b"data: a\n\n");

    let response = sse().response();
    let _taken = self::offer(&response).take().unwrap();
    assert_eq!(poll(&mut response.into_body()), None);
}

/// Middleware may put another body in its place and keep the extensions.
#[test]
fn the_offer_ends_with_the_body_and_lets_go_of_the_stream() {
    let held = Arc::new(());
    let watch = Arc::downgrade(&held);
    let response = Sse::new(stream::poll_fn(move |_| {
        assert_eq!(Arc::strong_count(&held), 1);
        Poll::Ready(None::<Event>)
    }))
    .response();
    let offer = offer(&response);
    drop(response.into_body());
    assert!(offer.take().is_none());
    assert!(watch.upgrade().is_none());
}

#[test]
fn keep_on_http_leaves_no_offer() {
    let response = sse().keep_on_http().response();
    assert!(response.extensions().get::<Offer>().is_none());
    assert_eq!(poll(&mut response.into_body()).unwrap(), b"data: a\n\n");
}

#[cfg(feature = "axum-08")]
#[test]
fn a_response_of_axum_holds_the_offer_too() {
    use axum_core::response::IntoResponse;
    let response = ([("set-cookie", "a=b")], sse()).into_response();
    let offer = response.extensions().get::<Offer>().unwrap();
    assert!(offer.take().unwrap().into_source::<Events>().is_ok());
}
