//! What the tests over a store of several machines share: hubs on a server, and what their subscribers get.

use std::future::Future;
use std::time::Duration;

use fanfare_hub::{Delivery, Gap, Health, Hub, Publication, Published, Subscription, Topic};
use fanfare_wire::{Event, EventId};
use futures_util::StreamExt;

use crate::server::{Options, connect};

/// How long anything may take that a healthy run does at once.
const DEADLINE: Duration = Duration::from_secs(60);

pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what} took too long"))
}

/// A hub that has begun.
pub async fn hub(options: Options) -> Hub {
    let hub = hub_at_once(options).await;
    ready(&hub).await;
    hub
}

/// A hub that need not have begun.
pub async fn hub_at_once(options: Options) -> Hub {
    Hub::builder().engine(connect(options).await).build().expect("a hub")
}

pub async fn ready(hub: &Hub) {
    until(hub, |health| matches!(health, Health::Ready)).await;
}

/// Waits until the hub's health is as wished. It is not told, so it is asked for.
pub async fn until(hub: &Hub, is_as_wished: impl Fn(&Health) -> bool) {
    let wait = async {
        while !is_as_wished(&hub.health()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, wait).await;
    assert!(waited.is_ok(), "the hub is {:?}", hub.health());
}

pub fn topic(text: &str) -> Topic {
    Topic::parse(text).expect("a topic")
}

pub fn id(text: &str) -> EventId {
    EventId::parse(text).expect("an id")
}

pub fn to(topic_text: &str, event: Event) -> Publication {
    Publication::to([topic(topic_text)]).event(event)
}

pub async fn publish(hub: &Hub, to: &str, data: &str) -> Published {
    soon("publishing", hub.publish(to, Event::new(data.to_owned()))).await.expect("published")
}

/// Publishes until it is taken, as a publisher does who is answered 503 or 504: with a key of its own.
pub async fn publish_until_taken(hub: &Hub, topic: &str, data: &str) -> Published {
    let publication =
        || to(topic, Event::new(data.to_owned())).idempotency_key(fanfare_hub::IdempotencyKey::new(data));
    let attempts = async {
        loop {
            match hub.publish_all(publication()).await {
                Ok(published) => return published,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    soon("publishing", attempts).await
}

/// What comes next.
pub async fn next(subscription: &mut Subscription) -> Delivery {
    soon("the next delivery", subscription.next()).await.expect("it goes on").expect("no error")
}

/// The `data` and ids of the next `count` events; nothing else may come before them.
pub async fn events(subscription: &mut Subscription, count: usize) -> Vec<(String, EventId)> {
    let mut events = Vec::new();
    for _ in 0..count {
        match next(subscription).await {
            Delivery::Event(entry) => events.push((data(entry.frame().as_bytes()), entry.id().clone())),
            other => panic!("expected an event, got {other:?} behind {events:?}"),
        }
    }
    events
}

pub async fn next_data(subscription: &mut Subscription, count: usize) -> Vec<String> {
    events(subscription, count).await.into_iter().map(|(data, _)| data).collect()
}

pub async fn gap(subscription: &mut Subscription) -> Gap {
    match next(subscription).await {
        Delivery::Gap(gap) => gap,
        other => panic!("expected a gap, got {other:?}"),
    }
}

fn data(frame: &[u8]) -> String {
    let text = String::from_utf8(frame.to_vec()).expect("UTF-8");
    text.lines().find_map(|line| line.strip_prefix("data: ")).expect("a data line").to_owned()
}
