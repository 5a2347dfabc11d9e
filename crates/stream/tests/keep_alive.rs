//! When a quiet `Sse` speaks. The clock is tokio's, stopped: it moves when every task waits, and no test does.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::task::Poll;
use std::time::Duration;

use fanfare_stream::testing::Reader;
use fanfare_stream::{KeepAlive, KeepAliveStyle, Sse, channel};
use fanfare_wire::{Event, Frame};
use futures_util::stream;
use http_body_util::BodyExt;
use tokio::time::{Instant, advance, sleep};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_sends_a_comment_line_every_fifteen_seconds() {
    let mut reader = Reader::of_body(Sse::new(stream::pending::<Event>()));
    let start = Instant::now();
    for n in 1..=3 {
        assert_eq!(reader.piece().await.unwrap(), ":\n");
        assert_eq!(start.elapsed().as_secs(), n * 15);
    }
}

#[tokio::test(start_paused = true)]
async fn traffic_puts_the_keep_alive_off() {
    let (sender, sse) = channel(1);
    let mut reader = Reader::of_body(sse);
    let start = Instant::now();
    tokio::spawn(async move {
        for _ in 0..10 {
            sleep(10 * SECOND).await;
            sender.send(Event::new("a")).await.unwrap();
        }
        sender.closed().await;
    });
    for _ in 0..10 {
        assert_eq!(reader.expect_event().await.data, "a");
    }
    reader.expect_comment().await;
    assert_eq!(start.elapsed().as_secs(), 115);
}

#[tokio::test(start_paused = true)]
async fn what_the_stream_has_at_that_moment_goes_out_instead() {
    let polls = Cell::new(0);
    let polled = stream::poll_fn(move |_| {
        polls.set(polls.get() + 1);
        // A hub's subscription looks for a bookmark whenever it is polled.
        if polls.get() == 2 { Poll::Ready(Some(Event::new("bookmark"))) } else { Poll::Pending }
    });
    let mut reader = Reader::of_body(Sse::new(polled));
    assert_eq!(reader.piece().await.unwrap(), "data: bookmark\n\n");
}

#[tokio::test(start_paused = true)]
async fn off_is_silent() {
    let mut reader = Reader::of_body(Sse::new(stream::pending::<Event>()).keep_alive(KeepAlive::off()));
    reader.nothing_for(1_000_000 * SECOND).await;
    assert_eq!(reader.bytes(), b"");
}

#[tokio::test(start_paused = true)]
async fn the_interval_and_the_style_can_be_chosen() {
    let setting = KeepAlive::every(2 * SECOND).style(KeepAliveStyle::Ping);
    let mut reader = Reader::of_body(Sse::new(stream::pending::<Frame>()).keep_alive(setting));
    let start = Instant::now();
    assert_eq!(reader.piece().await.unwrap(), "event: ping\ndata: \n\n");
    assert_eq!(start.elapsed(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_silence_begins_with_the_first_poll_and_not_when_the_response_is_made() {
    let mut reader = Reader::of_body(Sse::new(stream::pending::<Event>()));
    advance(100 * SECOND).await;
    let start = Instant::now();
    reader.expect_comment().await;
    assert_eq!(start.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn no_keep_alive_follows_the_end() {
    let mut sse = Sse::new(stream::empty::<Event>());
    for _ in 0..3 {
        assert!(sse.frame().await.is_none());
        advance(100 * SECOND).await;
    }
}

#[test]
fn outside_a_runtime_nothing_is_sent_and_nothing_panics() {
    let mut reader = Reader::of_body(Sse::new(stream::pending::<Event>()));
    assert_eq!(reader.now(), None);
}
