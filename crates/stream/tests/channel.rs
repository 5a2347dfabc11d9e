//! What a sender may rely on.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use fanfare_stream::{SendError, Sse, TrySendError, channel};
use fanfare_wire::Event;
use http_body_util::BodyExt;

/// The next piece of the body as text; `None` at its end.
async fn next(sse: &mut Sse) -> Option<String> {
    let frame = sse.frame().await?.unwrap().into_data().unwrap();
    Some(String::from_utf8(frame.into()).unwrap())
}

#[tokio::test]
async fn what_was_sent_arrives_in_order_and_then_the_end() {
    let (sender, mut sse) = channel(3);
    for n in 1..=3 {
        sender.send(Event::new(n.to_string())).await.unwrap();
    }
    drop(sender);
    assert_eq!(next(&mut sse).await.unwrap(), "data: 1\n\ndata: 2\n\ndata: 3\n\n");
    assert_eq!(next(&mut sse).await, None);
}

#[tokio::test]
async fn a_full_channel_makes_the_sender_wait_for_the_client() {
    let (sender, mut sse) = channel(1);
    sender.send(Event::new("1")).await.unwrap();
    assert_eq!(sender.try_send(Event::new("2")), Err(TrySendError::Full(Event::new("2"))));

    let (sent, read) = tokio::join!(sender.send(Event::new("2")), next(&mut sse));

    assert_eq!(sent, Ok(()));
    assert_eq!(read.unwrap(), "data: 1\n\n");
    assert_eq!(next(&mut sse).await.unwrap(), "data: 2\n\n");
}

#[tokio::test]
async fn a_capacity_of_nothing_or_of_everything_is_no_panic() {
    for capacity in [0, usize::MAX] {
        let (sender, mut sse) = channel(capacity);
        sender.send(Event::new("1")).await.unwrap();
        assert!(next(&mut sse).await.is_some());
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
    let (sender, mut sse) = channel(2);
    let other = sender.clone();
    sender.send(Event::new("1")).await.unwrap();
    sender.close().await.unwrap();
    let all = "data: 1\n\nevent: close\ndata: Closing the connection\n\n";
    assert_eq!(next(&mut sse).await.unwrap(), all);
    assert!(other.send(Event::new("late")).await.is_err());
    assert_eq!(next(&mut sse).await, None);
    other.closed().await;
}

#[tokio::test]
async fn close_can_say_something_else() {
    let (sender, mut sse) = channel(1);
    sender.close_with("see\nyou").await.unwrap();
    assert_eq!(next(&mut sse).await.unwrap(), "event: close\ndata: see\ndata: you\n\n");
}

/// An `Ok` for an event that is never sent would be a lie.
#[tokio::test]
async fn nothing_is_taken_behind_the_end_although_the_client_has_not_come_to_it() {
    let (sender, mut sse) = channel(4);
    let other = sender.clone();
    sender.close().await.unwrap();
    assert!(other.send(Event::new("late")).await.is_err());
    assert!(matches!(other.try_send(Event::new("late")), Err(TrySendError::Closed(_))));
    assert_eq!(other.clone().close().await, Err(SendError(())));
    assert_eq!(next(&mut sse).await.unwrap(), "event: close\ndata: Closing the connection\n\n");
    assert_eq!(next(&mut sse).await, None);
}
