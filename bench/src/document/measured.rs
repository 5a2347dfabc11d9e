//! Figures of a report by contestant, subscribers and phase: over the rounds, and as ratios within a round.
//!
//! It reads the turns and not the summaries of a report, which know one saturated phase alone.

use crate::compare::Report;
use crate::measure::{Measurement, PhaseMeasurement, PhaseName};
use crate::statistics::{Summary, ratios, summarise};
use std::collections::BTreeMap;

/// Which phase of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum During {
    OneAtATime,
    /// The first one that is saturated.
    Saturated,
    /// The one that is saturated with so many publications outstanding.
    Outstanding(usize),
}

/// A figure of a measurement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Figure {
    /// In bytes for each subscriber.
    IdleRss,
    /// In bytes for each subscriber.
    IdleHeap,
    /// The server's CPU time for one delivery, in microseconds.
    Cpu(During),
    DeliveriesPerS(During),
    GeneratorBusy(During),
    /// In microseconds.
    Latency(During, Percentile),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Percentile {
    P50,
    P99,
    P999,
    Max,
}

impl Percentile {
    pub(super) const ALL: [(Self, &'static str); 4] =
        [(Self::P50, "p50"), (Self::P99, "p99"), (Self::P999, "p99.9"), (Self::Max, "max")];
}

/// One contestant with so many subscribers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case<'a> {
    pub(super) report: &'a Report,
    pub(super) subscribers: usize,
    pub(super) contestant: &'a str,
}

impl Case<'_> {
    /// Over all rounds.
    pub(super) fn absolute(self, figure: Figure) -> Option<Summary> {
        summarise(&self.by_round(figure).into_values().collect::<Vec<_>>())
    }

    /// Divided by what `other` had in the same round.
    pub(super) fn ratio(self, other: &str, figure: Figure) -> Option<Summary> {
        ratios(&self.by_round(figure), &Case { contestant: other, ..self }.by_round(figure))
    }

    fn by_round(self, figure: Figure) -> BTreeMap<usize, f64> {
        let turns = self.report.turns.iter();
        turns
            .filter(|turn| turn.subscribers == self.subscribers && turn.contestant == self.contestant)
            .filter_map(|turn| Some((turn.round, figure.of(turn.measurement.as_ref()?)?)))
            .collect()
    }
}

impl Figure {
    fn of(self, measurement: &Measurement) -> Option<f64> {
        let phase = |during| during_of(measurement, during);
        match self {
            Self::IdleRss => measurement.idle_rss_bytes,
            Self::IdleHeap => measurement.idle_heap_bytes,
            Self::Cpu(during) => phase(during)?.cpu_us_per_delivery,
            Self::DeliveriesPerS(during) => Some(phase(during)?.deliveries_per_s),
            Self::GeneratorBusy(during) => Some(phase(during)?.generator_busy),
            Self::Latency(during, percentile) => {
                let latency = &phase(during)?.latency_us;
                Some(match percentile {
                    Percentile::P50 => latency.p50,
                    Percentile::P99 => latency.p99,
                    Percentile::P999 => latency.p99_9,
                    Percentile::Max => latency.max,
                })
            }
        }
    }
}

fn during_of(measurement: &Measurement, during: During) -> Option<&PhaseMeasurement> {
    measurement.phases.iter().find(|phase| match during {
        During::OneAtATime => phase.phase == PhaseName::OneAtATime,
        During::Saturated => phase.phase == PhaseName::Saturated,
        During::Outstanding(most) => phase.phase == PhaseName::Saturated && phase.outstanding == Some(most),
    })
}

/// With how many publications outstanding `report` has saturated phases, in ascending order.
pub(super) fn outstanding(report: &Report) -> Vec<usize> {
    let phases =
        report.turns.iter().filter_map(|turn| turn.measurement.as_ref()).flat_map(|seen| &seen.phases);
    let mut all: Vec<usize> = phases
        .filter(|phase| phase.phase == PhaseName::Saturated)
        .filter_map(|phase| phase.outstanding)
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::compare::{Absent, turn_of_figure as turn};
    use crate::measure::Latency;

    /// A report of turns of ten subscribers, in which every figure of a phase is the one given: by round and contestant.
    pub(in crate::document) fn report(figures: &[(usize, &str, f64)]) -> Report {
        let mut contestants: Vec<String> = Vec::new();
        let mut turns = Vec::new();
        for &(round, contestant, figure) in figures {
            if !contestants.iter().any(|name| name == contestant) {
                contestants.push(contestant.to_owned());
            }
            let phases = [(PhaseName::OneAtATime, 1), (PhaseName::Saturated, 64), (PhaseName::Saturated, 4)];
            let phases = phases.map(|(name, outstanding)| phase(name, outstanding, figure));
            let mut turn = turn(round, contestant, figure);
            turn.measurement.as_mut().unwrap().phases = phases.into();
            turns.push(turn);
        }
        let absent = Absent { contestant: "y".to_owned(), reason: "it is ill".to_owned() };
        Report::new(contestants, vec![absent], vec![10], turns, 0.0)
    }

    /// Every figure is `figure`, times the number outstanding.
    fn phase(phase: PhaseName, outstanding: usize, figure: f64) -> PhaseMeasurement {
        let figure = figure * outstanding as f64;
        PhaseMeasurement {
            phase,
            outstanding: Some(outstanding),
            publications: 1,
            deliveries: 10,
            seconds: 1.0,
            publications_per_s: figure,
            deliveries_per_s: figure,
            cpu_us_per_delivery: Some(figure),
            cpu_seconds: None,
            cpu_user_seconds: None,
            cpu_system_seconds: None,
            deliveries_per_read: 1.0,
            generator_busy: 0.5,
            latency_us: Latency { p50: figure, p99: figure, p99_9: figure, max: figure },
            answering_us: None,
            stalled: false,
        }
    }

    #[test]
    fn a_ratio_is_taken_within_a_round_and_a_phase_is_found_by_what_is_outstanding() {
        // The machine gets slower; in every round x takes twice as long as the floor. A round without a floor has no ratio.
        let report = report(&[(0, "f", 1.0), (0, "x", 2.0), (1, "x", 20.0), (1, "f", 10.0), (2, "x", 7.0)]);
        let case = Case { report: &report, subscribers: 10, contestant: "x" };
        let ratio = case.ratio("f", Figure::Cpu(During::OneAtATime)).unwrap();
        assert_eq!((ratio.low, ratio.median, ratio.high, ratio.count), (2.0, 2.0, 2.0, 2));
        let rate = |during| case.absolute(Figure::DeliveriesPerS(during)).unwrap().low;
        assert!((rate(During::Outstanding(4)) - 8.0).abs() < 1e-9);
        assert!((rate(During::Saturated) - 128.0).abs() < 1e-9);
        assert!(case.absolute(Figure::DeliveriesPerS(During::Outstanding(5))).is_none());
        assert!(case.absolute(Figure::IdleHeap).is_none());
        assert_eq!(outstanding(&report), [4, 64]);
    }
}
