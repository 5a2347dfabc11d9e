//! The contenders that write a stream.
//!
//! Each is handed texts that somebody else has just made, as an application's serialiser does, and drops them when it has
//! encoded them; making them is not timed.

use std::convert::Infallible;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::vec;

use axum::response::{IntoResponse, Sse as AxumSse, sse::Event as AxumEvent};
use fanfare_wire::Event;
use futures_core::Stream;
use http_body::Body;
use sse_stream::Sse;

use crate::{Contender, Tally, timed};

pub fn all(texts: &[String]) -> Vec<Contender<'_>> {
    fn contender<'a>(
        name: &'static str,
        texts: &'a [String],
        encode: impl Fn(Vec<String>) -> Tally + 'a,
    ) -> Contender<'a> {
        Contender {
            name,
            run: Box::new(move || {
                let texts = texts.to_vec();
                timed(|| encode(texts))
            }),
        }
    }
    vec![
        contender("fanfare", texts, fanfare),
        contender("sse-stream 0.3.0", texts, sse_stream),
        contender("axum 0.8.9", texts, axum),
    ]
}

fn fanfare(texts: Vec<String>) -> Tally {
    each(texts, |text| Event::new(text).to_frame().into_bytes().len_of())
}

fn sse_stream(texts: Vec<String>) -> Tally {
    each(texts, |text| Sse::default().data(text).encode().expect("data is always valid").len_of())
}

fn each(texts: Vec<String>, encode: impl Fn(String) -> usize) -> Tally {
    let mut tally = Tally::default();
    for text in texts {
        tally.events += 1;
        tally.bytes += encode(text);
    }
    tally
}

/// Makes sure that the bytes are made, and counts them.
trait LenOf {
    fn len_of(self) -> usize;
}

impl LenOf for bytes::Bytes {
    fn len_of(self) -> usize {
        black_box(self).len()
    }
}

struct Texts(vec::IntoIter<String>);

impl Stream for Texts {
    type Item = Result<AxumEvent, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().map(|text| Ok(AxumEvent::default().data(text))))
    }
}

/// axum has no encoder of its own: its events become bytes when the response's body is polled.
fn axum(texts: Vec<String>) -> Tally {
    let mut body = pin!(AxumSse::new(Texts(texts.into_iter())).into_response().into_body());
    let mut context = Context::from_waker(Waker::noop());
    let mut tally = Tally::default();
    while let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut context) {
        tally.events += 1;
        tally.bytes += frame.into_data().expect("an event stream has no trailers").len_of();
    }
    tally
}
