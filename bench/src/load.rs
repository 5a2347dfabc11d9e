//! `fanfare-bench load`: drives a server that runs already, and prints what was seen as JSON.
//!
//! It fails when a delivery was lost, doubled, misordered or not ours.

use crate::generator::Pace;
use crate::measure::{PhaseName, Plan, measure};
use crate::stop::Stop;
use crate::target::{Dialect, Ids, Selection, Target};
use anyhow::bail;
use std::time::Duration;

/// What `load` is told.
#[derive(clap::Args, Debug)]
pub(crate) struct Load {
    /// Where the server is, as http://HOST:PORT.
    #[arg(long)]
    url: String,
    /// The path that takes GET to subscribe and POST to publish.
    #[arg(long, default_value = "/.well-known/mercure")]
    path: String,
    /// The topic that all publish to and subscribe to.
    #[arg(long, default_value = "bench")]
    topic: String,
    /// Topics that each subscriber asks for: the one above and others of its own.
    #[arg(long, default_value_t = 1)]
    topics: usize,
    /// The server's process id: its CPU and memory are reported too.
    #[arg(long)]
    pid: Option<u32>,
    /// Subscribers, all in this process.
    #[arg(long, default_value_t = 1_000)]
    subscribers: usize,
    /// Connections that publish, each with one request at a time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    publishers: u16,
    /// Size of an event's data, in bytes; at least 39.
    #[arg(long, default_value_t = 100)]
    data_bytes: usize,
    /// Publications that may lack a delivery at once; 1 publishes the next when all have the one before.
    #[arg(long, default_value_t = 64, conflicts_with = "rate")]
    outstanding: usize,
    /// Publications a second, whatever the server manages, instead of a bounded number outstanding.
    #[arg(long)]
    rate: Option<f64>,
    /// For how long to publish, in seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Publish at most this many.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    publications: u64,
    /// The gauge on the server's /metrics that tells its live heap in bytes.
    #[arg(long, default_value = crate::HEAP_METRIC)]
    heap_metric: String,
    /// End everything after this many seconds.
    #[arg(long, default_value_t = 600)]
    time_limit: u64,
}

/// Runs it.
pub(crate) fn load(load: Load) -> anyhow::Result<()> {
    let phase = match load.rate {
        Some(rate) if rate.is_finite() && rate > 0.0 => (PhaseName::Rate, Pace::Rate(rate)),
        Some(rate) => bail!("{rate} is no rate"),
        None if load.outstanding == 0 => bail!("with nothing outstanding nothing is published"),
        None if load.outstanding == 1 => (PhaseName::OneAtATime, Pace::Outstanding(1)),
        None => (PhaseName::Saturated, Pace::Outstanding(load.outstanding)),
    };
    let selection = match load.topics {
        0 => bail!("a subscriber asks for one topic at least"),
        1 => Selection::Shared,
        topics => Selection::Own { topics: topics - 1 },
    };
    let plan = Plan {
        subscribers: load.subscribers,
        publishers: load.publishers,
        data_bytes: load.data_bytes,
        ids: Ids::Hub,
        time: seconds(load.seconds)?,
        publications_max: load.publications,
        phases: vec![phase],
        heap_metric: load.heap_metric,
    };
    let target = Target::new(&load.url, Dialect::Mercure { path: load.path }, &load.topic, selection)?;
    let stop = Stop::after(Duration::from_secs(load.time_limit))?;
    let measurement = measure(&target, load.pid, &plan, &stop)?;
    println!("{}", serde_json::to_string_pretty(&measurement)?);
    if !measurement.faults.is_none() {
        bail!("deliveries were wrong: {:?}", measurement.faults);
    }
    Ok(())
}

/// A time that a user gave.
pub(crate) fn seconds(seconds: f64) -> anyhow::Result<Duration> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => bail!("{seconds} is no number of seconds to measure for"),
    }
}
