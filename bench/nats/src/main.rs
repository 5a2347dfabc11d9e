//! What a hub adds to JetStream: publishing, delivery and replay through a hub in this process, beside the bare client with the
//! same stream and the same tail, in interleaved rounds.
//!
//! What arrives is counted; a run in which something is missing ends with an error.

mod bare;
mod cpu;
#[path = "../../stores/src/figures.rs"]
mod figures;
mod hub;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use figures::Figures;

/// Measures the log on JetStream beside the bare client.
///
/// Starts a server of its own (nats-server on the path, or what FANFARE_NATS_SERVER says) unless --servers names one. Figures go to
/// standard output as a table, progress to standard error. It ends by itself, at the defaults within two minutes.
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
    /// Servers to use instead of one that is started, such as nats://127.0.0.1:4222. Streams are made there and removed again.
    #[arg(long)]
    servers: Option<String>,
    /// On how many servers the streams are kept.
    #[arg(long, default_value_t = 1)]
    replicas: usize,
    /// Write the figures of all rounds to this file as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// So long only that nothing is given up that still comes.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(60);

/// What both are asked for.
#[derive(Clone)]
struct Task {
    url: String,
    replicas: usize,
    /// Of the stream.
    name: String,
    data: String,
    in_flight: usize,
    seconds: Duration,
    replayed: u64,
}

/// What one of them did.
struct Done {
    published_per_second: f64,
    /// In microseconds of this process, for one publication that was stored and came back.
    cpu: f64,
    /// From the call that publishes to the delivery, in milliseconds, sorted.
    latencies: Vec<f64>,
    replayed_per_second: f64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let server = match &arguments.servers {
        Some(_) => None,
        None => Some(server::Server::start()?),
    };
    let url = arguments.servers.clone().or_else(|| server.as_ref().map(|server| server.url.clone()));
    let task = Task {
        url: url.context("a server")?,
        replicas: arguments.replicas,
        name: "bench".to_owned(),
        data: "x".repeat(arguments.data_bytes),
        in_flight: arguments.in_flight,
        seconds: Duration::from_secs_f64(arguments.seconds),
        replayed: arguments.replayed,
    };
    let mut figures = Figures::default();
    for _ in 0..arguments.rounds {
        note(&mut figures, "async-nats", &bare::run(&task).await?);
        note(&mut figures, "fanfare", &hub::run(&task).await?);
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
