//! `fanfare-bench compare`: every contestant in every round, in turn, each in a fresh process; then ratios.
//!
//! A round that fails is reported and leaves no ratio behind; the other contestants go on.

mod contestants;
mod report;

mod table;

use crate::contestant::Contestant;
use crate::generator::{Faults, Pace};
use crate::load::seconds;
use crate::measure::{Measurement, PhaseName, Plan, measure};
use crate::stop::Stop;
use crate::target::{Ids, Selection, Target};
use anyhow::{Context, bail};
pub(crate) use contestants::{
    AXUM, Absent, Chosen, FANFARE, FLOOR_CURSOR, FLOOR_SEND, FLOOR_URING, FLOORS, contestants, has_option,
};
#[cfg(test)]
pub(crate) use report::tests::turn as turn_of_figure;
pub(crate) use report::{Environment, Report, environment, load_average};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// What `compare` is told.
#[derive(clap::Args, Debug)]
pub(crate) struct Compare {
    /// Subscribers; several numbers, separated by commas, are measured one after the other in each round.
    #[arg(long, default_value = "1000", value_delimiter = ',')]
    subscribers: Vec<usize>,
    /// Rounds in which every contestant has its turn; nine or more for an interval that leaves out the extremes.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// For how long to publish one event at a time, and again saturated, in seconds.
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Size of an event's data, in bytes; at least 39.
    #[arg(long, default_value_t = 100)]
    data_bytes: usize,
    /// Connections that publish, each with one request at a time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    publishers: u16,
    /// Publications that may lack a delivery at once when saturated; of several, the first is what tables show.
    #[arg(long, default_value = "64", value_delimiter = ',')]
    outstanding: Vec<usize>,
    #[command(flatten)]
    chosen: Chosen,
    /// Each subscriber has a selection of its own: the topic that is published to, and one that nobody else asks for.
    #[arg(long)]
    each_own: bool,
    /// Topics that each subscriber asks for: the one that is published to, and others of its own.
    #[arg(long, conflicts_with = "each_own")]
    topics: Option<usize>,
    /// Only connecting and idle memory: nothing is published but to warm up.
    #[arg(long)]
    idle_only: bool,
    /// Write everything to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The gauge on a server's /metrics that tells its live heap in bytes.
    #[arg(long, default_value = crate::HEAP_METRIC)]
    heap_metric: String,
    /// End everything after this many seconds and report what there is.
    #[arg(long, default_value_t = 3_600)]
    time_limit: u64,
}

/// One contestant's turn in one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Turn {
    pub(crate) round: usize,
    pub(crate) contestant: String,
    pub(crate) subscribers: usize,
    /// Why there is no measurement.
    pub(crate) error: Option<String>,
    pub(crate) measurement: Option<Measurement>,
}

/// Runs it.
pub(crate) fn compare(compare: &Compare) -> anyhow::Result<()> {
    if compare.rounds == 0 || compare.outstanding.contains(&0) || compare.subscribers.contains(&0) {
        bail!("rounds, subscribers and outstanding are at least 1");
    }
    let time = seconds(compare.seconds)?;
    let (contestants, absent) = contestants(&compare.chosen)?;
    for Absent { contestant, reason } in &absent {
        eprintln!("{contestant} takes no part: {reason}");
    }
    let selection = match (compare.each_own, compare.topics) {
        (true, _) => Selection::Own { topics: 1 },
        (false, None | Some(0 | 1)) => Selection::Shared,
        (false, Some(topics)) => Selection::Own { topics: topics - 1 },
    };
    let mut phases = Vec::new();
    if !compare.idle_only {
        phases.push((PhaseName::OneAtATime, Pace::Outstanding(1)));
        phases
            .extend(compare.outstanding.iter().map(|&most| (PhaseName::Saturated, Pace::Outstanding(most))));
    }
    let stop = Stop::after(Duration::from_secs(compare.time_limit))?;
    let load_before = report::load_average();
    let mut turns: Vec<Turn> = Vec::new();
    let mut stopped = None;
    'rounds: for round in 0..compare.rounds {
        for &subscribers in &compare.subscribers {
            for place in 0..contestants.len() {
                // Each is first in some round, so that none is always measured after the same other.
                let contestant = &contestants[(place + round) % contestants.len()];
                let plan = Plan {
                    subscribers,
                    publishers: compare.publishers,
                    data_bytes: compare.data_bytes,
                    ids: Ids::Hub,
                    time,
                    publications_max: u64::MAX,
                    phases: phases.clone(),
                    heap_metric: compare.heap_metric.clone(),
                };
                let measured = turn(contestant, selection, &plan, &stop);
                if let Err(error) = stop.check() {
                    stopped = Some(error);
                    break 'rounds;
                }
                let name = &contestant.name;
                match &measured {
                    Ok(measurement) => {
                        eprintln!("round {}: {name}, {}", round + 1, in_short(measurement));
                    }
                    Err(error) => eprintln!("round {}: {name} failed: {error:#}", round + 1),
                }
                turns.push(Turn {
                    round,
                    contestant: name.clone(),
                    subscribers,
                    error: measured.as_ref().err().map(|error| format!("{error:#}")),
                    measurement: measured.ok(),
                });
            }
        }
    }
    let names = contestants.iter().map(|contestant| contestant.name.clone()).collect();
    let report = Report::new(names, absent, compare.subscribers.clone(), turns, load_before);
    print!("{}", table::markdown(&report));
    if let Some(file) = &compare.json {
        let json = serde_json::to_vec_pretty(&report)?;
        std::fs::write(file, json).with_context(|| format!("{} cannot be written", file.display()))?;
        eprintln!("everything is in {}", file.display());
    }
    if let Some(error) = stopped {
        return Err(error);
    }
    verdict(&report.turns)
}

/// Starts, measures and ends one server.
pub(crate) fn turn(
    contestant: &Contestant,
    selection: Selection,
    plan: &Plan,
    stop: &Stop,
) -> anyhow::Result<Measurement> {
    let server = contestant.start()?;
    let mut target = Target::new(&server.base, contestant.dialect.clone(), "bench", selection)?;
    target.identify(plan.ids);
    measure(&target, Some(server.pid()), plan, stop)
}

/// One line of progress.
fn in_short(measurement: &Measurement) -> String {
    let phases = measurement.phases.iter().map(|phase| {
        format!(
            "{}: {:.2} µs CPU for one delivery, {:.0} deliveries/s",
            table::phase_title(phase.phase).to_lowercase(),
            phase.cpu_us_per_delivery.unwrap_or(f64::NAN),
            phase.deliveries_per_s
        )
    });
    let phases: Vec<String> = phases.collect();
    let faults = if measurement.faults.is_none() { "" } else { "; DELIVERIES WRONG" };
    format!("{} subscribers; {}{faults}", measurement.subscribers, phases.join("; "))
}

/// Fails when any delivery of any turn was wrong, or any turn failed.
fn verdict(turns: &[Turn]) -> anyhow::Result<()> {
    let mut faults = Faults::default();
    for measurement in turns.iter().filter_map(|turn| turn.measurement.as_ref()) {
        faults.add(&measurement.faults);
    }
    let failed = turns.iter().filter(|turn| turn.error.is_some()).count();
    if !faults.is_none() {
        bail!("deliveries were wrong: {faults:?}");
    }
    if failed > 0 {
        bail!("{failed} of {} turns failed", turns.len());
    }
    Ok(())
}
