//! A hub in this process over the same server, with one subscriber of the topic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use fanfare_engine::NatsEngine;
use fanfare_hub::{Delivery, Health, Hub};
use fanfare_wire::{Event, EventId};
use futures_util::StreamExt;

use crate::{Done, Task, cpu};

const TOPIC: &str = "rooms/7";

pub(crate) async fn run(task: &Task) -> anyhow::Result<Done> {
    let done = measure(task).await;
    let client = async_nats::connect(&task.url).await?;
    let context = async_nats::jetstream::new(client);
    context.delete_stream(format!("FANFARE_{}", task.name)).await?;
    done
}

async fn open(task: &Task, warm: u64) -> anyhow::Result<Hub> {
    let engine = NatsEngine::options([task.url.clone()])
        .hub(&task.name)
        .replicas(task.replicas)
        .warm_events(warm)
        .ack_timeout(crate::ACKNOWLEDGED_WITHIN)
        .connect()
        .await?;
    let hub = Hub::builder().engine(engine).catch_up_bytes(64 << 20).build()?;
    let begin = Instant::now();
    while !matches!(hub.health(), Health::Ready) {
        anyhow::ensure!(begin.elapsed() < Duration::from_secs(10), "the hub is {:?}", hub.health());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(hub)
}

async fn measure(task: &Task) -> anyhow::Result<Done> {
    let hub = open(task, 10_000).await?;
    let mut subscription = hub.subscribe(TOPIC).bookmarks(false);
    subscription.opened().await?;
    let arrived = Arc::new(AtomicU64::new(0));
    let counted = arrived.clone();
    let tail = tokio::spawn(async move {
        let mut when = Vec::new();
        while let Some(Ok(Delivery::Event(entry))) = subscription.next().await {
            counted.fetch_add(1, Ordering::Relaxed);
            when.push((entry.position(), Instant::now()));
            if entry.frame().as_bytes().ends_with(b"end\n\n") {
                return when;
            }
        }
        when
    });

    let (begin, cpu_before) = (Instant::now(), cpu::used()?);
    let published = Arc::new(AtomicU64::new(0));
    let publishers = (0..task.in_flight).map(|_| {
        let (hub, data) = (hub.clone(), task.data.clone());
        let (seconds, published) = (task.seconds, published.clone());
        tokio::spawn(async move {
            while begin.elapsed() < seconds {
                hub.publish(TOPIC, Event::new(data.clone())).await?;
                published.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await??;
    }
    let took = begin.elapsed();
    let published = published.load(Ordering::Relaxed);
    while arrived.load(Ordering::Relaxed) < published {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let cpu = (cpu::used()? - cpu_before).as_secs_f64() * 1e6 / published as f64;

    let mut sent = Vec::new();
    let mut rhythm = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..200 {
        rhythm.tick().await;
        let at = Instant::now();
        sent.push((hub.publish(TOPIC, Event::new(task.data.clone())).await?.position, at));
    }
    hub.publish(TOPIC, Event::new("end")).await?;
    let when = tail.await?;
    anyhow::ensure!(when.len() as u64 == published + 201, "{} of {} came", when.len(), published + 201);
    let mut latencies: Vec<f64> = sent
        .iter()
        .filter_map(|(position, at)| {
            let came = when.iter().rev().find(|(number, _)| number == position)?;
            Some((came.1 - *at).as_secs_f64() * 1e3)
        })
        .collect();
    latencies.sort_by(f64::total_cmp);

    Ok(Done {
        published_per_second: published as f64 / took.as_secs_f64(),
        cpu,
        latencies,
        replayed_per_second: replay(task, &hub, published).await?,
    })
}

/// Reads what the log holds through a hub that has nothing of it in memory.
async fn replay(task: &Task, hub: &Hub, published: u64) -> anyhow::Result<f64> {
    let mut left = task.replayed.saturating_sub(published);
    while left > 0 {
        let now = left.min(4_096);
        let publishing = (0..now).map(|_| hub.publish(TOPIC, Event::new(task.data.clone())));
        for published in futures_util::future::join_all(publishing).await {
            published?;
        }
        left -= now;
    }
    let late = open(task, 0).await?;
    let earliest = EventId::parse("earliest").map_err(|error| anyhow!("{error}"))?;
    let begin = Instant::now();
    let mut subscription = late.subscribe(TOPIC).bookmarks(false).after(earliest);
    let mut read = 0;
    while read < task.replayed {
        match subscription.next().await {
            Some(Ok(Delivery::Event(_))) => read += 1,
            other => anyhow::bail!("{other:?} behind {read}"),
        }
    }
    Some(read as f64 / begin.elapsed().as_secs_f64()).context("a rate")
}
