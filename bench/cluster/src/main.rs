//! What a hub adds to a log that nodes share: publishing, delivery and replay through a hub in this process, beside the bare
//! client with the same store and a tail like the hub's, in interleaved rounds.
//!
//! What arrives is counted; a run in which something is missing ends with an error.

mod bare_nats;
mod bare_redis;
mod cpu;
#[path = "../../stores/src/figures.rs"]
mod figures;
mod hub;
mod race;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use figures::Figures;
use race::Done;
use server::{NatsServers, RedisServer};

/// Measures logs on JetStream and on Redis beside their bare clients.
///
/// Starts servers of its own that sync before they acknowledge: nats-server and redis-server on the path, or what FANFARE_NATS_SERVER
/// and FANFARE_REDIS_SERVER say. Figures go to standard output as a table, progress to standard error. It ends by itself, at the
/// defaults within five minutes.
#[derive(Parser)]
#[command(max_term_width = 100)]
struct Arguments {
    /// Interleaved rounds.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// For how long to publish in each part of a round, in seconds.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// How many publications are under way at once.
    #[arg(long, default_value_t = 512)]
    in_flight: usize,
    /// Bytes of an event's data.
    #[arg(long, default_value_t = 256)]
    data_bytes: usize,
    /// Entries that are read back in one go.
    #[arg(long, default_value_t = 30_000)]
    replayed: u64,
    /// Which stores: nats, redis.
    #[arg(long, value_delimiter = ',', default_value = "nats,redis")]
    stores: Vec<String>,
    /// How many servers of NATS there are, each of which keeps the stream: 1, 3 or 5.
    #[arg(long, default_value_t = 1)]
    replicas: usize,
    /// Write the figures of all rounds to this file as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// So long only that nothing is given up that still comes.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(60);
/// The hub's name, and of what is compared to it.
const NAME: &str = "bench";

/// What all are asked for.
struct Task {
    data: String,
    in_flight: usize,
    time: Duration,
    replayed: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.rounds == 0 || ![1, 3, 5].contains(&arguments.replicas) {
        bail!("--rounds is at least 1, and --replicas 1, 3 or 5");
    }
    let (mut nats, mut redis) = (None, None);
    for store in &arguments.stores {
        match store.as_str() {
            "nats" => nats = Some(NatsServers::start(arguments.replicas)?),
            "redis" => redis = Some(RedisServer::start()?),
            other => bail!("--stores knows nats and redis, not {other}"),
        }
    }
    if let Some(nats) = &nats {
        nats.until_ready().await?;
    }
    let task = Task {
        data: "x".repeat(arguments.data_bytes),
        in_flight: arguments.in_flight,
        time: Duration::from_secs_f64(arguments.seconds),
        replayed: arguments.replayed,
    };
    let mut figures = Figures::default();
    for _ in 0..arguments.rounds {
        if let Some(nats) = &nats {
            let log = bare_nats::Log::create(nats.client().await?, arguments.replicas).await?;
            note(&mut figures, "async-nats", &race::run(&task, &log).await?);
            log.delete().await?;
            let log = hub::Log::on_nats(&nats.urls, arguments.replicas).await?;
            note(&mut figures, "fanfare on NATS", &race::run(&task, &log).await?);
            nats.forget_hub().await?;
        }
        if let Some(redis) = &redis {
            let log = bare_redis::Log::connect(&redis.url).await?;
            note(&mut figures, "redis-rs", &race::run(&task, &log).await?);
            redis.forget_all().await?;
            let log = hub::Log::on_redis(&redis.url).await?;
            note(&mut figures, "fanfare on Redis", &race::run(&task, &log).await?);
            drop(log);
            redis.forget_all().await?;
        }
    }
    print!("{}", figures.table());
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_string_pretty(&figures.json())?)
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}

fn note(figures: &mut Figures, who: &'static str, done: &Done) {
    let at = |part: f64| done.latencies[((done.latencies.len() - 1) as f64 * part) as usize];
    figures.add("publications/s", who, done.published_per_second);
    figures.add("CPU for one publication and its delivery, µs", who, done.cpu);
    figures.add("publish to delivery at 200/s, p50, ms", who, at(0.5));
    figures.add("publish to delivery at 200/s, p99, ms", who, at(0.99));
    figures.add("replay, entries/s", who, done.replayed_per_second);
}
