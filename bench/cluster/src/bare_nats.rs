//! The client of JetStream alone: it publishes what a hub would, and a pull consumer follows.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use async_nats::Client;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::{Config, Stream};
use async_nats::jetstream::{Context, context::ContextBuilder};
use futures_util::StreamExt;

use crate::race::{self, Arrivals, END};
use crate::{ACKNOWLEDGED_WITHIN, NAME};

#[derive(Clone)]
pub(crate) struct Log {
    context: Context,
    stream: Stream,
    subject: String,
}

impl Log {
    pub(crate) async fn create(client: Client, replicas: usize) -> anyhow::Result<Self> {
        let context =
            ContextBuilder::new().max_ack_inflight(16_384).timeout(ACKNOWLEDGED_WITHIN).build(client);
        let config = Config {
            name: format!("BARE_{NAME}"),
            subjects: vec![format!("bare.{NAME}.>")],
            num_replicas: replicas,
            ..Config::default()
        };
        let stream = context.create_stream(config).await?;
        Ok(Self { context, stream, subject: format!("bare.{NAME}.n") })
    }

    pub(crate) async fn delete(&self) -> anyhow::Result<()> {
        self.context.delete_stream(format!("BARE_{NAME}")).await?;
        Ok(())
    }
}

fn consumer(deliver_policy: DeliverPolicy) -> pull::Config {
    pull::Config {
        ack_policy: AckPolicy::None,
        memory_storage: true,
        num_replicas: 1,
        deliver_policy,
        ..pull::Config::default()
    }
}

impl race::Log for Log {
    async fn publish(&self, data: &str) -> anyhow::Result<u64> {
        Ok(self.context.publish(self.subject.clone(), data.to_owned().into()).await?.await?.sequence)
    }

    async fn follow(&self, arrivals: Arrivals) -> anyhow::Result<()> {
        let consumer = self.stream.create_consumer(consumer(DeliverPolicy::All)).await?;
        let mut messages = consumer.stream().max_messages_per_batch(256).messages().await?;
        tokio::spawn(async move {
            while let Some(Ok(message)) = messages.next().await {
                arrivals.arrived(message.info().map_or(0, |info| info.stream_sequence));
                if message.payload == END {
                    return;
                }
            }
        });
        Ok(())
    }

    async fn replay(&self, count: u64) -> anyhow::Result<Duration> {
        let begin = Instant::now();
        let consumer = self.stream.create_consumer(consumer(DeliverPolicy::All)).await?;
        let mut read = 0;
        while read < count {
            let mut batch = consumer.fetch().max_messages(10_000).messages().await?;
            let before = read;
            while let Some(message) = batch.next().await {
                message.map_err(|error| anyhow!("{error}"))?;
                read += 1;
            }
            anyhow::ensure!(read > before, "{read} of {count} were read");
        }
        Ok(begin.elapsed())
    }
}
