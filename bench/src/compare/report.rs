//! From turns to medians and ratios: each figure of a contestant, and its ratio to each floor's in the same round.
//!
//! It prints nothing; [`table`](super::table) does.

use super::{Absent, FLOORS, Turn};
use crate::measure::{Measurement, PhaseMeasurement, PhaseName};
use crate::statistics::{Summary, ratios, summarise};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// A figure that is summarised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    ConnectsPerS,
    IdleRssBytes,
    IdlePssBytes,
    IdleHeapBytes,
    /// The server's CPU time for one delivery, in microseconds.
    #[serde(rename = "cpu_us_per_delivery")]
    Cpu(PhaseName),
    DeliveriesPerS(PhaseName),
    PublicationsPerS(PhaseName),
    #[serde(rename = "p50_us")]
    P50(PhaseName),
    #[serde(rename = "p99_us")]
    P99(PhaseName),
    #[serde(rename = "p99_9_us")]
    P999(PhaseName),
    #[serde(rename = "max_us")]
    Max(PhaseName),
    DeliveriesPerRead(PhaseName),
    GeneratorBusy(PhaseName),
}

impl PartialOrd for PhaseName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PhaseName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (*self as u8).cmp(&(*other as u8))
    }
}

impl Metric {
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::ConnectsPerS, Self::IdleRssBytes, Self::IdlePssBytes, Self::IdleHeapBytes];
        for phase in [PhaseName::OneAtATime, PhaseName::Saturated] {
            all.extend([
                Self::Cpu(phase),
                Self::DeliveriesPerS(phase),
                Self::PublicationsPerS(phase),
                Self::P50(phase),
                Self::P99(phase),
                Self::P999(phase),
                Self::Max(phase),
                Self::DeliveriesPerRead(phase),
                Self::GeneratorBusy(phase),
            ]);
        }
        all
    }

    fn of(self, measurement: &Measurement) -> Option<f64> {
        let phase = |name: PhaseName, of: fn(&PhaseMeasurement) -> Option<f64>| {
            measurement.phases.iter().find(|phase| phase.phase == name).and_then(of)
        };
        match self {
            Self::ConnectsPerS => Some(measurement.connects_per_s),
            Self::IdleRssBytes => measurement.idle_rss_bytes,
            Self::IdlePssBytes => measurement.idle_pss_bytes,
            Self::IdleHeapBytes => measurement.idle_heap_bytes,
            Self::Cpu(name) => phase(name, |phase| phase.cpu_us_per_delivery),
            Self::DeliveriesPerS(name) => phase(name, |phase| Some(phase.deliveries_per_s)),
            Self::PublicationsPerS(name) => phase(name, |phase| Some(phase.publications_per_s)),
            Self::P50(name) => phase(name, |phase| Some(phase.latency_us.p50)),
            Self::P99(name) => phase(name, |phase| Some(phase.latency_us.p99)),
            Self::P999(name) => phase(name, |phase| Some(phase.latency_us.p99_9)),
            Self::Max(name) => phase(name, |phase| Some(phase.latency_us.max)),
            Self::DeliveriesPerRead(name) => phase(name, |phase| Some(phase.deliveries_per_read)),
            Self::GeneratorBusy(name) => phase(name, |phase| Some(phase.generator_busy)),
        }
    }
}

/// One figure of one contestant over all rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) subscribers: usize,
    pub(crate) contestant: String,
    pub(crate) metric: Metric,
    pub(crate) absolute: Summary,
    /// By floor: the ratio of the same round.
    pub(crate) ratio_to: BTreeMap<String, Summary>,
}

/// Everything that a comparison found out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) environment: Environment,
    pub(crate) contestants: Vec<String>,
    pub(crate) absent: Vec<Absent>,
    pub(crate) subscribers: Vec<usize>,
    pub(crate) lines: Vec<Line>,
    pub(crate) turns: Vec<Turn>,
}

/// Where and how it was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Environment {
    /// Of the tree that was measured, where `FANFARE_BENCH_COMMIT` says it.
    pub(crate) commit: Option<String>,
    pub(crate) arguments: Vec<String>,
    pub(crate) finished_unix_s: u64,
    pub(crate) kernel: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    /// Load average of the last minute before the first round: well above 0, something else ran.
    pub(crate) load_average_before: f64,
    /// The same at the end: well above 2 (a server and the generator), something else ran.
    pub(crate) load_average_after: f64,
}

impl Report {
    /// `load_average_before` is what [`load_average`] said before the first round.
    pub(crate) fn new(
        contestants: Vec<String>,
        absent: Vec<Absent>,
        subscribers: Vec<usize>,
        turns: Vec<Turn>,
        load_average_before: f64,
    ) -> Self {
        let mut lines = Vec::new();
        for &count in &subscribers {
            for contestant in &contestants {
                lines.extend(
                    Metric::all().into_iter().filter_map(|metric| line(&turns, count, contestant, metric)),
                );
            }
        }
        Self { environment: environment(load_average_before), contestants, absent, subscribers, lines, turns }
    }

    pub(crate) fn line(&self, subscribers: usize, contestant: &str, metric: Metric) -> Option<&Line> {
        self.lines.iter().find(|line| {
            line.subscribers == subscribers && line.contestant == contestant && line.metric == metric
        })
    }
}

/// By round: the figure of one contestant.
fn figures(turns: &[Turn], subscribers: usize, contestant: &str, metric: Metric) -> BTreeMap<usize, f64> {
    let own = turns.iter().filter(|turn| turn.subscribers == subscribers && turn.contestant == contestant);
    own.filter_map(|turn| Some((turn.round, metric.of(turn.measurement.as_ref()?)?))).collect()
}

fn line(turns: &[Turn], subscribers: usize, contestant: &str, metric: Metric) -> Option<Line> {
    let own = figures(turns, subscribers, contestant, metric);
    let absolute = summarise(&own.values().copied().collect::<Vec<_>>())?;
    let mut ratio_to = BTreeMap::new();
    for floor in FLOORS {
        let floors = figures(turns, subscribers, floor, metric);
        if let Some(summary) = ratios(&own, &floors) {
            ratio_to.insert(floor.to_owned(), summary);
        }
    }
    Some(Line { subscribers, contestant: contestant.to_owned(), metric, absolute, ratio_to })
}

pub(crate) fn environment(load_average_before: f64) -> Environment {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    Environment {
        commit: std::env::var("FANFARE_BENCH_COMMIT").ok(),
        arguments: std::env::args().skip(1).collect(),
        finished_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        cpu: model.map(|(_, model)| model.trim().to_owned()).unwrap_or_default(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        load_average_before,
        load_average_after: load_average(),
    }
}

/// How many processes ran or wanted to, on average over the last minute.
pub(crate) fn load_average() -> f64 {
    let loads = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    loads.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{FLOOR_CURSOR, FLOOR_SEND};
    use super::*;
    use crate::generator::Faults;

    /// A turn in which every figure is `figure`.
    pub(crate) fn turn(round: usize, contestant: &str, figure: f64) -> Turn {
        let measurement = Measurement {
            subscribers: 10,
            connects_per_s: figure,
            idle_rss_bytes: Some(figure),
            idle_pss_bytes: Some(figure),
            idle_heap_bytes: None,
            empty: None,
            phases: Vec::new(),
            faults: Faults::default(),
        };
        Turn {
            round,
            contestant: contestant.to_owned(),
            subscribers: 10,
            error: None,
            measurement: Some(measurement),
        }
    }

    #[test]
    fn a_ratio_is_taken_within_a_round_and_never_across() {
        // Rounds get ten times slower each; in every one the contestant takes twice the floor.
        let mut turns = Vec::new();
        for (round, speed) in [1.0, 10.0, 100.0].into_iter().enumerate() {
            turns.push(turn(round, FLOOR_SEND, speed));
            turns.push(turn(round, "x", 2.0 * speed));
        }
        // A round without a floor has no ratio.
        turns.push(turn(3, "x", 7.0));
        let report =
            Report::new(vec![FLOOR_SEND.to_owned(), "x".to_owned()], Vec::new(), vec![10], turns, 0.0);
        let line = report.line(10, "x", Metric::ConnectsPerS).unwrap();
        let ratio = line.ratio_to[FLOOR_SEND];
        assert_eq!((ratio.low, ratio.median, ratio.high, ratio.count), (2.0, 2.0, 2.0, 3));
        assert_eq!(line.absolute.count, 4);
        assert!(!line.ratio_to.contains_key(FLOOR_CURSOR));
        assert!(report.line(10, "x", Metric::IdleHeapBytes).is_none());
    }
}
