//! The client alone: it publishes what a hub would, and a pull consumer counts what comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::{Config, Stream};
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt;

use crate::{ACKNOWLEDGED_WITHIN, Done, Task, cpu};

pub(crate) async fn run(task: &Task) -> anyhow::Result<Done> {
    let client = async_nats::connect(&task.url).await?;
    let context = jetstream::context::ContextBuilder::new()
        .max_ack_inflight(16_384)
        .timeout(ACKNOWLEDGED_WITHIN)
        .build(client);
    let config = Config {
        name: format!("BARE_{}", task.name),
        subjects: vec![format!("bare.{}.>", task.name)],
        num_replicas: task.replicas,
        ..Config::default()
    };
    let stream = context.create_stream(config).await?;
    let done = measure(task, &context, &stream).await;
    context.delete_stream(format!("BARE_{}", task.name)).await?;
    done
}

async fn measure(task: &Task, context: &Context, stream: &Stream) -> anyhow::Result<Done> {
    let subject = format!("bare.{}.n", task.name);
    let consumer = pull::Config {
        ack_policy: AckPolicy::None,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(consumer).await?;
    let mut messages = consumer.stream().max_messages_per_batch(256).messages().await?;
    let arrived = Arc::new(AtomicU64::new(0));
    let counted = arrived.clone();
    let tail = tokio::spawn(async move {
        let mut when = Vec::new();
        while let Some(Ok(message)) = messages.next().await {
            counted.fetch_add(1, Ordering::Relaxed);
            when.push((message.info().map(|info| info.stream_sequence).unwrap_or(0), Instant::now()));
            if message.payload.ends_with(b"end") {
                return when;
            }
        }
        when
    });

    let (begin, cpu_before) = (Instant::now(), cpu::used()?);
    let published = Arc::new(AtomicU64::new(0));
    let publishers = (0..task.in_flight).map(|_| {
        let (context, subject, data) = (context.clone(), subject.clone(), task.data.clone());
        let (seconds, published) = (task.seconds, published.clone());
        tokio::spawn(async move {
            while begin.elapsed() < seconds {
                context.publish(subject.clone(), data.clone().into()).await?.await?;
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
        let ack = context.publish(subject.clone(), task.data.clone().into()).await?.await?;
        sent.push((ack.sequence, at));
    }
    context.publish(subject.clone(), "end".into()).await?.await?;
    let when = tail.await?;
    anyhow::ensure!(when.len() as u64 == published + 201, "{} of {} came", when.len(), published + 201);
    let mut latencies: Vec<f64> = sent
        .iter()
        .filter_map(|(sequence, at)| {
            let came = when.iter().rev().find(|(number, _)| number == sequence)?;
            Some((came.1 - *at).as_secs_f64() * 1e3)
        })
        .collect();
    latencies.sort_by(f64::total_cmp);

    Ok(Done {
        published_per_second: published as f64 / took.as_secs_f64(),
        cpu,
        latencies,
        replayed_per_second: replay(task, context, stream, &subject, published).await?,
    })
}

/// Reads what a stream holds, with as much in it as is asked for.
async fn replay(
    task: &Task,
    context: &Context,
    stream: &Stream,
    subject: &str,
    published: u64,
) -> anyhow::Result<f64> {
    let mut acks = Vec::new();
    for _ in published..task.replayed {
        acks.push(context.publish(subject.to_owned(), task.data.clone().into()).await?);
        if acks.len() == 4_096 {
            for ack in acks.drain(..) {
                ack.await?;
            }
        }
    }
    for ack in acks {
        ack.await?;
    }
    let begin = Instant::now();
    let consumer = pull::Config {
        ack_policy: AckPolicy::None,
        memory_storage: true,
        num_replicas: 1,
        deliver_policy: DeliverPolicy::All,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(consumer).await?;
    let mut read = 0;
    while read < task.replayed {
        let mut batch = consumer.fetch().max_messages(10_000).messages().await?;
        let before = read;
        while let Some(message) = batch.next().await {
            message.map_err(|error| anyhow!("{error}"))?;
            read += 1;
        }
        anyhow::ensure!(read > before, "{read} of {} were read", task.replayed);
    }
    Some(read as f64 / begin.elapsed().as_secs_f64()).context("a rate")
}
