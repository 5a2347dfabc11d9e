//! A hub in this process over a store, with one subscriber of the topic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use fanfare_engine::NatsEngine;
use fanfare_engine::redis::RedisEngine;
use fanfare_hub::engine::Engine;
use fanfare_hub::{Delivery, Health, Hub};
use fanfare_wire::{Event, EventId};
use futures_util::StreamExt;

use crate::race::{self, Arrivals, END};
use crate::{ACKNOWLEDGED_WITHIN, NAME};

const TOPIC: &str = "rooms/7";
/// How many of the newest entries a hub has in memory when it starts.
const WARM: u64 = 10_000;

#[derive(Clone)]
enum Store {
    Nats { urls: Vec<String>, replicas: usize },
    Redis { url: String },
}

/// A log on a store, and a hub over it.
#[derive(Clone)]
pub(crate) struct Log {
    store: Store,
    hub: Hub,
}

impl Log {
    pub(crate) async fn on_nats(urls: &[String], replicas: usize) -> anyhow::Result<Self> {
        Self::on(Store::Nats { urls: urls.to_owned(), replicas }).await
    }

    pub(crate) async fn on_redis(url: &str) -> anyhow::Result<Self> {
        Self::on(Store::Redis { url: url.to_owned() }).await
    }

    async fn on(store: Store) -> anyhow::Result<Self> {
        let hub = store.open(WARM).await?;
        Ok(Self { store, hub })
    }
}

impl Store {
    /// A hub that has so many of the log's newest entries in memory.
    async fn open(&self, warm: u64) -> anyhow::Result<Hub> {
        let engine: Arc<dyn Engine> = match self {
            Self::Nats { urls, replicas } => Arc::new(
                NatsEngine::options(urls.clone())
                    .hub(NAME)
                    .replicas(*replicas)
                    .warm_events(warm)
                    .ack_timeout(ACKNOWLEDGED_WITHIN)
                    .connect()
                    .await?,
            ),
            Self::Redis { url } => Arc::new(
                RedisEngine::options(url.clone())
                    .hub(NAME)
                    .warm_events(warm)
                    .ack_timeout(ACKNOWLEDGED_WITHIN)
                    .connect()?,
            ),
        };
        let hub = Hub::builder().engine(engine).catch_up_bytes(64 << 20).build()?;
        let begin = Instant::now();
        while !matches!(hub.health(), Health::Ready) {
            anyhow::ensure!(begin.elapsed() < Duration::from_secs(10), "the hub is {:?}", hub.health());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(hub)
    }
}

impl race::Log for Log {
    async fn publish(&self, data: &str) -> anyhow::Result<u64> {
        Ok(self.hub.publish(TOPIC, Event::new(data.to_owned())).await?.position)
    }

    async fn follow(&self, arrivals: Arrivals) -> anyhow::Result<()> {
        let mut subscription = self.hub.subscribe(TOPIC).bookmarks(false);
        subscription.opened().await?;
        tokio::spawn(async move {
            while let Some(Ok(Delivery::Event(entry))) = subscription.next().await {
                arrivals.arrived(entry.position());
                if entry.frame().as_bytes().ends_with(format!("data: {END}\n\n").as_bytes()) {
                    return;
                }
            }
        });
        Ok(())
    }

    /// By a hub that has nothing in memory.
    async fn replay(&self, count: u64) -> anyhow::Result<Duration> {
        let late = self.store.open(0).await?;
        let earliest = EventId::parse("earliest").map_err(|error| anyhow!("{error}"))?;
        let begin = Instant::now();
        let mut subscription = late.subscribe(TOPIC).bookmarks(false).after(earliest);
        for read in 0..count {
            match subscription.next().await {
                Some(Ok(Delivery::Event(_))) => {}
                other => anyhow::bail!("{other:?} behind {read}"),
            }
        }
        Ok(begin.elapsed())
    }
}
