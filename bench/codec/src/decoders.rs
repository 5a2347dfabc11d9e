//! The contenders that read a stream.
//!
//! Each is driven as its documentation says and given the same reads. The asynchronous ones are polled with a waker that does
//! nothing, over a stream that never waits; none of them does anything but read.

use std::convert::Infallible;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::slice;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use eventsource_stream::Eventsource;
use fanfare_wire::{Decoder, Item};
use futures_core::Stream;
use sse_stream::SseByteStream;

use crate::{Contender, Tally, timed};

/// The reads, each ready at once.
struct Reads<'a>(slice::Iter<'a, Bytes>);

impl Stream for Reads<'_> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().cloned().map(Ok))
    }
}

pub fn all(reads: &[Bytes]) -> Vec<Contender<'_>> {
    vec![
        Contender { name: "fanfare", run: Box::new(|| timed(|| fanfare(reads, |_| ()))) },
        // What the others hand out they also own; so this one copies the data into a `String` of its own.
        Contender { name: "fanfare, owned", run: Box::new(|| timed(|| fanfare(reads, str::to_owned))) },
        Contender { name: "sse-stream 0.3.0", run: Box::new(|| timed(|| sse_stream(reads))) },
        Contender { name: "sseer 0.3.1", run: Box::new(|| timed(|| sseer(reads))) },
        Contender { name: "eventsource-stream 0.2.3", run: Box::new(|| timed(|| eventsource_stream(reads))) },
    ]
}

fn fanfare<T>(reads: &[Bytes], keep: impl Fn(&str) -> T) -> Tally {
    let mut decoder = Decoder::new();
    let mut tally = Tally::default();
    for read in reads {
        let mut input = &read[..];
        while let Some(item) = decoder.next(&mut input).expect("the stream is within the limits") {
            if let Item::Event(event) = black_box(item) {
                tally.events += 1;
                tally.bytes += event.data.len();
                black_box(keep(event.data));
            }
        }
    }
    tally
}

fn sse_stream(reads: &[Bytes]) -> Tally {
    drive(SseByteStream::new(Reads(reads.iter())), |event| {
        event.expect("the stream is valid").data.map_or(0, |data| data.len())
    })
}

fn sseer(reads: &[Bytes]) -> Tally {
    drive(sseer::event_stream::EventStream::new(Reads(reads.iter())), |event| {
        event.expect("the stream is valid").data.len()
    })
}

fn eventsource_stream(reads: &[Bytes]) -> Tally {
    drive(Reads(reads.iter()).eventsource(), |event| event.expect("the stream is valid").data.len())
}

fn drive<S: Stream>(stream: S, data_bytes: impl Fn(S::Item) -> usize) -> Tally {
    let mut stream = pin!(stream);
    let mut context = Context::from_waker(Waker::noop());
    let mut tally = Tally::default();
    while let Poll::Ready(Some(event)) = stream.as_mut().poll_next(&mut context) {
        tally.events += 1;
        tally.bytes += data_bytes(black_box(event));
    }
    tally
}
