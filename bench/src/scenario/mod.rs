//! `fanfare-bench scenario NAME`: one situation that a hub must stand, with every delivery checked.
//!
//! Each prints one line and its figures as JSON, and fails when a delivery was wrong or something promised did not happen.
//! Figures that depend on the machine alone never make it fail.

mod churn;
mod durable;
mod outcome;
mod patterns;
mod restless;
mod rivalry;
mod soak;
mod stalled;
mod storm;
mod ways;

pub(crate) use outcome::Outcome;
use storm::Restarted;

use crate::compare::{Chosen, Environment, FANFARE, contestants, environment, load_average};
use crate::contestant::{Contestant, Server};
use crate::generator::{Generator, Pace, Phase};
use crate::load::seconds;
use crate::measure::{Measurement, PhaseName, Plan, SETTLE, STALL};
use crate::process;
use crate::stop::Stop;
use crate::target::{Ids, Selection, Target};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Which situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Name {
    /// Publishing over HTTP with one subscriber, beside axum.
    Publish,
    /// Connecting, beside axum and the floor.
    Connects,
    /// A thousand different patterns.
    Patterns,
    /// Subscribers come and go while others are served.
    Churn,
    /// A fifth of the subscribers stops reading.
    Stalled,
    /// All subscribers are cut at once and come back.
    Storm,
    /// The hub is killed under its subscribers and started again.
    Kill,
    /// The hub is killed under its subscribers and started again over its log on disk.
    Restart,
    /// One of two nodes over one log is killed, and its subscribers go on at the other: give a log that nodes share, such as
    /// --fanfare-arguments '--engine nats://… --nats-replicas 1'.
    Takeover,
    /// Publishing with the log on disk, beside the same hub with its log in memory.
    Durable,
    /// Everything for a long time, with the log on disk: nothing grows.
    Soak,
    /// HTTP/2, beside HTTP/1.1.
    Http2,
    /// HTTP/1.1 and HTTP/2 over TLS, beside HTTP/1.1 without.
    Tls,
}

/// What `scenario` is told.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    name: Name,
    #[command(flatten)]
    chosen: Chosen,
    /// Subscribers; each situation has its own number unless told otherwise.
    #[arg(long)]
    subscribers: Option<usize>,
    /// Rounds, where contestants are compared.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// For how long to publish in each part, in seconds.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Size of an event's data, in bytes; at least 39.
    #[arg(long, default_value_t = 100)]
    data_bytes: usize,
    /// Write the figures to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// End everything after this many seconds.
    #[arg(long, default_value_t = 600)]
    time_limit: u64,
}

/// What every situation works with.
#[derive(Clone)]
struct Stage {
    contestants: Vec<Contestant>,
    program: Option<String>,
    subscribers: Option<usize>,
    rounds: usize,
    time: Duration,
    data_bytes: usize,
    stop: Stop,
}

/// What is written as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Played {
    pub(crate) environment: Environment,
    pub(crate) outcomes: Vec<Outcome>,
}

/// A figure of a measurement, and its name.
type Figure = (&'static str, fn(&Measurement) -> Option<f64>);

/// Connections that publish.
const PUBLISHERS: u16 = 16;

/// Runs it.
pub(crate) fn scenario(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.rounds == 0 || arguments.subscribers == Some(0) {
        bail!("rounds and subscribers are at least 1");
    }
    let load_before = load_average();
    let (contestants, _) = contestants(&arguments.chosen)?;
    let stage = Stage {
        contestants,
        program: arguments.chosen.fanfare.clone(),
        subscribers: arguments.subscribers,
        rounds: arguments.rounds,
        time: seconds(arguments.seconds)?,
        data_bytes: arguments.data_bytes,
        stop: Stop::after(Duration::from_secs(arguments.time_limit))?,
    };
    let outcomes = match arguments.name {
        Name::Publish => rivalry::publish(&stage),
        Name::Connects => rivalry::connects(&stage),
        Name::Patterns => stage.each_hub(|hub| patterns::patterns(&stage, hub)),
        Name::Churn => stage.each_hub(|hub| churn::churn(&stage, hub)),
        Name::Stalled => stage.each_hub(|hub| stalled::stalled(&stage, hub)),
        Name::Storm => stage.each_hub(|hub| storm::cut(&stage, hub)),
        Name::Kill => stage.each_hub(|hub| storm::kill(&stage, hub, Restarted::WithoutItsLog)),
        Name::Restart => stage.each_hub(|hub| durable::restart(&stage, hub)),
        Name::Takeover => stage.each_hub(|hub| storm::takeover(&stage, hub)),
        Name::Durable => stage.hubs().iter().try_fold(Vec::new(), |mut all, hub| {
            all.extend(durable::publish(&stage, hub)?);
            Ok(all)
        }),
        Name::Soak => stage.each_hub(|hub| soak::soak(&stage, hub)),
        Name::Http2 => stage.each_hub(|hub| ways::http2(&stage, hub)),
        // The variants differ only in how they write to sockets of their own, and here they have none.
        Name::Tls => stage.hubs().into_iter().take(1).map(|hub| ways::tls(&stage, hub)).collect(),
    }?;
    for outcome in &outcomes {
        eprintln!("{}", outcome.line());
    }
    let played = Played { environment: environment(load_before), outcomes };
    let json = serde_json::to_string_pretty(&played)?;
    match &arguments.json {
        Some(file) => {
            std::fs::write(file, json).with_context(|| format!("{} cannot be written", file.display()))?;
        }
        None => println!("{json}"),
    }
    let failed = played.outcomes.iter().filter(|outcome| !outcome.passed()).count();
    if failed > 0 {
        bail!("{failed} of {} went wrong", played.outcomes.len());
    }
    Ok(())
}

impl Stage {
    /// Plays it with each variant of the hub, or whoever was chosen instead.
    fn each_hub(
        &self,
        play: impl Fn(&Contestant) -> anyhow::Result<Outcome>,
    ) -> anyhow::Result<Vec<Outcome>> {
        self.hubs().into_iter().map(play).collect()
    }

    /// The variants of the hub, or whoever was chosen instead.
    fn hubs(&self) -> Vec<&Contestant> {
        let mut hubs: Vec<_> =
            self.contestants.iter().filter(|contestant| contestant.name.starts_with(FANFARE)).collect();
        if hubs.is_empty() {
            hubs = self.contestants.iter().collect();
        }
        hubs
    }

    /// What is done to a server that is measured as a whole.
    fn plan(&self, subscribers: usize, phases: Vec<(PhaseName, Pace)>) -> Plan {
        Plan {
            subscribers,
            publishers: PUBLISHERS,
            data_bytes: self.data_bytes,
            ids: Ids::Hub,
            time: self.time,
            publications_max: u64::MAX,
            phases,
            heap_metric: crate::HEAP_METRIC.to_owned(),
        }
    }

    /// A generator with publishers and no subscribers, for `server`.
    fn generator(&self, hub: &Contestant, server: &Server, subscribers: usize) -> anyhow::Result<Generator> {
        let target = Target::new(&server.base, hub.dialect.clone(), "bench", Selection::Shared)?;
        let mut generator =
            Generator::connect(&target, PUBLISHERS, subscribers, self.data_bytes, &self.stop)?;
        // Nothing is measured for the first time.
        generator.run(&phase(Pace::Outstanding(1), Duration::from_millis(300), 64))?;
        generator.listen(SETTLE)?;
        Ok(generator)
    }
}

/// Looks at a server's memory now and then.
struct Watch {
    pid: u32,
    before: u64,
    peak: u64,
    next: Instant,
}

impl Watch {
    fn new(pid: u32) -> anyhow::Result<Self> {
        let before = process::memory(pid)?.rss;
        Ok(Self { pid, before, peak: before, next: Instant::now() })
    }

    /// Reads it ten times a second at most: reading costs the server a little.
    fn look(&mut self) -> anyhow::Result<()> {
        if Instant::now() >= self.next {
            self.next = Instant::now() + Duration::from_millis(100);
            self.peak = self.peak.max(process::memory(self.pid)?.rss);
        }
        Ok(())
    }

    /// In bytes.
    fn growth(&self) -> f64 {
        (self.peak - self.before) as f64
    }

    fn before_mib(&self) -> f64 {
        self.before as f64 / f64::from(1 << 20)
    }

    fn peak_mib(&self) -> f64 {
        self.peak as f64 / f64::from(1 << 20)
    }
}

fn phase(pace: Pace, time: Duration, publications_max: u64) -> Phase {
    Phase { pace, time, publications_max, stall: STALL }
}
