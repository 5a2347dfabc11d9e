//! What a sender may rely on.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use fanfare_stream::testing::Reader;
use fanfare_stream::{SendError, Sender, TrySendError, channel};
use fanfare_wire::Event;

/// A channel, and who reads it.
fn read(capacity: usize) -> (Sender, Reader) {
    let (sender, sse) = channel(capacity);
    (sender, Reader::of(sse.response()))
}

#[tokio::test]
async fn what_was_sent_arrives_in_order_and_then_the_end() {
    let (sender, mut reader) = read(3);
    for n in 1..=3 {
        sender.send(Event::new(n.to_string())).await.unwrap();
    }
    drop(sender);
    for n in 1..=3 {
        assert_eq!(reader.expect_event().await.data, n.to_string());
    }
    reader.expect_end().await;
}

#[tokio::test]
async fn a_full_channel_makes_the_sender_wait_for_the_client() {
    let (sender, mut reader) = read(1);
    sender.send(Event::new("1")).await.unwrap();
    assert_eq!(sender.try_send(Event::new("2")), Err(TrySendError::Full(Event::new("2"))));

    let (sent, read) = tokio::join!(sender.send(Event::new("2")), reader.expect_event());

    assert_eq!(sent, Ok(()));
    assert_eq!(read.data, "1");
    assert_eq!(reader.expect_event().await.data, "2");
}

#[tokio::test]
async fn a_capacity_of_nothing_or_of_everything_is_no_panic() {
    for capacity in [0, usize::MAX] {
        let (sender, mut reader) = read(capacity);
        sender.send(Event::new("1")).await.unwrap();
        reader.expect_event().await;
    }
}

#[tokio::test]
async fn the_event_comes_back_when_the_client_is_gone() {
    let (sender, sse) = channel(1);
    drop(sse);
    assert!(sender.is_closed());
    assert_eq!(sender.send(Event::new("a")).await, Err(SendError(Event::new("a"))));
    assert_eq!(sender.try_send(Event::new("a")), Err(TrySendError::Closed(Event::new("a"))));
    sender.closed().await;
    assert_eq!(sender.close().await, Err(SendError(())));
}

#[tokio::test]
async fn a_sender_that_waits_hears_that_the_client_left() {
    let (sender, sse) = channel(1);
    sender.send(Event::new("1")).await.unwrap();
    let sender = Arc::new(sender);
    let waiting = tokio::spawn({
        let sender = Arc::clone(&sender);
        async move { sender.send(Event::new("2")).await }
    });
    tokio::task::yield_now().await;
    drop(sse);
    assert_eq!(waiting.await.unwrap(), Err(SendError(Event::new("2"))));
}

#[tokio::test]
async fn close_says_goodbye_and_ends_the_stream_whoever_else_holds_a_sender() {
    let (sender, mut reader) = read(2);
    let other = sender.clone();
    sender.send(Event::new("1")).await.unwrap();
    sender.close().await.unwrap();
    assert_eq!(reader.expect_event().await.data, "1");
    assert!(other.send(Event::new("late")).await.is_err());
    reader.expect_event().await;
    reader.expect_end().await;
    assert_eq!(reader.bytes(), b"data: 1\n\nevent: close\ndata: Closing the connection\n\n");
    other.closed().await;
}

#[tokio::test]
async fn close_can_say_something_else() {
    let (sender, mut reader) = read(1);
    sender.close_with("see\nyou").await.unwrap();
    let farewell = reader.expect_event().await;
    assert_eq!((farewell.name.as_str(), farewell.data.as_str()), ("close", "see\nyou"));
}

/// An `Ok` for an event that is never sent would be a lie.
#[tokio::test]
async fn nothing_is_taken_behind_the_end_although_the_client_has_not_come_to_it() {
    let (sender, mut reader) = read(4);
    let other = sender.clone();
    sender.close().await.unwrap();
    assert!(other.send(Event::new("late")).await.is_err());
    assert!(matches!(other.try_send(Event::new("late")), Err(TrySendError::Closed(_))));
    assert_eq!(other.clone().close().await, Err(SendError(())));
    assert_eq!(reader.expect_event().await.name, "close");
    reader.expect_end().await;
}
