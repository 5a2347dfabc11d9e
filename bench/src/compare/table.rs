//! Writes a report as Markdown tables: ratios with their intervals first, absolute medians beside them.
//!
//! It calculates nothing.

use super::Absent;
use super::report::{Metric, Report};
use super::{FLOOR_CURSOR, FLOOR_SEND, FLOOR_URING};
use crate::generator::Faults;
use crate::measure::PhaseName;
use crate::statistics::Summary;
use std::fmt::Write as _;

/// How a phase is called in headings and progress.
pub(crate) fn phase_title(phase: PhaseName) -> &'static str {
    match phase {
        PhaseName::OneAtATime => "One event at a time",
        PhaseName::Saturated => "Saturated",
        PhaseName::Rate => "At a rate",
    }
}

/// Load averages above which something else was running: a quiet machine before, server and generator after (the axum
/// rival runs a thread for each core).
const BUSY_BEFORE: f64 = 0.8;
const BUSY_AFTER: f64 = 3.5;

/// A column: its heading and what stands in it.
struct Column {
    heading: &'static str,
    metric: Metric,
    shows: Shows,
}

#[derive(Clone, Copy)]
enum Shows {
    /// The median, with so many digits behind the point.
    Median(usize),
    RatioTo(&'static str),
}

/// The whole report.
pub(crate) fn markdown(report: &Report) -> String {
    let mut out = String::new();
    let environment = &report.environment;
    let rounds = report.turns.iter().map(|turn| turn.round + 1).max().unwrap_or(0);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{rounds} interleaved rounds on {} cores ({}), Linux {}, load average {:.2} before and {:.2} after.\n\
         Ratios (÷) are medians of the ratios of the same round, with {}.\n",
        environment.cores,
        environment.cpu,
        environment.kernel,
        environment.load_average_before,
        environment.load_average_after,
        interval(report),
    );
    if environment.load_average_before > BUSY_BEFORE || environment.load_average_after > BUSY_AFTER {
        out.push_str("**Something else ran on this machine: these figures are not for quoting.**\n\n");
    }
    for Absent { contestant, reason } in &report.absent {
        let _ = writeln!(out, "{contestant} took no part: {reason}.\n");
    }
    for &subscribers in &report.subscribers {
        let plural = if subscribers == 1 { "subscriber" } else { "subscribers" };
        let _ = writeln!(out, "## {subscribers} {plural}\n");
        for phase in [PhaseName::OneAtATime, PhaseName::Saturated] {
            section(&mut out, report, subscribers, phase_title(phase), &phase_columns(phase));
        }
        section(&mut out, report, subscribers, "Idle subscribers", &idle_columns());
        faults(&mut out, report, subscribers);
    }
    out
}

fn interval(report: &Report) -> String {
    let ratios = report.lines.iter().flat_map(|line| line.ratio_to.values());
    match ratios.map(|ratio| ratio.coverage).reduce(f64::min) {
        Some(coverage) => {
            format!(
                "the interval in which the median lies with at least {:.1}% (sign test)",
                coverage * 100.0
            )
        }
        None => "no interval: no floor took part".to_owned(),
    }
}

fn phase_columns(phase: PhaseName) -> Vec<Column> {
    let cpu = Metric::Cpu(phase);
    let (rate, p99) = (Metric::DeliveriesPerS(phase), Metric::P99(phase));
    vec![
        Column { heading: "CPU ÷ floor-send", metric: cpu, shows: Shows::RatioTo(FLOOR_SEND) },
        Column { heading: "CPU ÷ floor-cursor", metric: cpu, shows: Shows::RatioTo(FLOOR_CURSOR) },
        Column { heading: "CPU ÷ floor-uring", metric: cpu, shows: Shows::RatioTo(FLOOR_URING) },
        Column { heading: "CPU for one delivery, µs", metric: cpu, shows: Shows::Median(2) },
        Column { heading: "deliveries/s ÷ floor-cursor", metric: rate, shows: Shows::RatioTo(FLOOR_CURSOR) },
        Column { heading: "deliveries/s", metric: rate, shows: Shows::Median(0) },
        Column {
            heading: "publications/s",
            metric: Metric::PublicationsPerS(phase),
            shows: Shows::Median(0),
        },
        Column { heading: "p99 ÷ floor-cursor", metric: p99, shows: Shows::RatioTo(FLOOR_CURSOR) },
        Column { heading: "p50, µs", metric: Metric::P50(phase), shows: Shows::Median(0) },
        Column { heading: "p99, µs", metric: p99, shows: Shows::Median(0) },
        Column { heading: "p99.9, µs", metric: Metric::P999(phase), shows: Shows::Median(0) },
        Column { heading: "max, µs", metric: Metric::Max(phase), shows: Shows::Median(0) },
        Column {
            heading: "deliveries for each read",
            metric: Metric::DeliveriesPerRead(phase),
            shows: Shows::Median(2),
        },
        Column { heading: "generator busy", metric: Metric::GeneratorBusy(phase), shows: Shows::Median(2) },
    ]
}

fn idle_columns() -> Vec<Column> {
    let connects = Metric::ConnectsPerS;
    vec![
        Column { heading: "live heap, bytes each", metric: Metric::IdleHeapBytes, shows: Shows::Median(0) },
        Column { heading: "RSS, bytes each", metric: Metric::IdleRssBytes, shows: Shows::Median(0) },
        Column { heading: "PSS, bytes each", metric: Metric::IdlePssBytes, shows: Shows::Median(0) },
        Column { heading: "connects/s", metric: connects, shows: Shows::Median(0) },
        Column {
            heading: "connects/s ÷ floor-cursor",
            metric: connects,
            shows: Shows::RatioTo(FLOOR_CURSOR),
        },
    ]
}

fn section(out: &mut String, report: &Report, subscribers: usize, title: &str, columns: &[Column]) {
    let headings: Vec<&str> = columns.iter().map(|column| column.heading).collect();
    let _ = writeln!(
        out,
        "### {title}\n\n| | {} |\n|---|{}",
        headings.join(" | "),
        "---:|".repeat(columns.len())
    );
    for contestant in &report.contestants {
        let _ = write!(out, "| {contestant} |");
        for column in columns {
            let line = report.line(subscribers, contestant, column.metric);
            let cell = line.and_then(|line| match column.shows {
                Shows::Median(digits) => Some(format!("{:.digits$}", line.absolute.median)),
                Shows::RatioTo(floor) if floor == contestant => None,
                Shows::RatioTo(floor) => line.ratio_to.get(floor).map(ratio),
            });
            let _ = write!(out, " {} |", cell.as_deref().unwrap_or("–"));
        }
        out.push('\n');
    }
    out.push('\n');
}

fn ratio(summary: &Summary) -> String {
    format!("{:.2} ({:.2}–{:.2})", summary.median, summary.low, summary.high)
}

fn faults(out: &mut String, report: &Report, subscribers: usize) {
    let mut any = false;
    for contestant in &report.contestants {
        let mut sum = Faults::default();
        let (mut failed, mut stalled) = (0, 0);
        let turns = report.turns.iter();
        for turn in turns.filter(|turn| turn.subscribers == subscribers && &turn.contestant == contestant) {
            failed += usize::from(turn.error.is_some());
            if let Some(measurement) = &turn.measurement {
                sum.add(&measurement.faults);
                stalled += measurement.phases.iter().filter(|phase| phase.stalled).count();
            }
        }
        if failed + stalled > 0 || !sum.is_none() {
            any = true;
            let Faults { lost, doubled, misordered, foreign, corrupt, named, ended } = sum;
            let _ = writeln!(
                out,
                "**{contestant}**: {lost} deliveries lost, {doubled} doubled, {misordered} misordered, {foreign} \
                 foreign, {corrupt} corrupt, {named} named events, {ended} streams ended; {stalled} phases stalled, \
                 {failed} turns failed.\n"
            );
        }
    }
    if !any {
        out.push_str("Every delivery was checked: none lost, doubled or misordered.\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::turn;
    use super::*;

    #[test]
    fn every_contestant_has_a_row_and_faults_are_named() {
        let contestants = vec![FLOOR_SEND.to_owned(), FLOOR_CURSOR.to_owned(), "x".to_owned()];
        let mut turns: Vec<_> = (0..9).map(|round| turn(round, FLOOR_CURSOR, 4.0)).collect();
        turns.extend((0..9).map(|round| turn(round, "x", 6.0)));
        let right = markdown(&Report::new(contestants.clone(), Vec::new(), vec![10], turns.clone(), 0.0));
        assert!(right.contains("| x | – | 6 | 6 | 6 | 1.50 (1.50–1.50) |"), "{right}");
        assert!(right.contains("| floor-send | – | – | – | – | – |"), "{right}");
        assert!(right.contains("at least 96.1%"), "{right}");
        assert!(right.contains("none lost"), "{right}");
        if let Some(measurement) = &mut turns[10].measurement {
            measurement.faults.lost = 3;
        }
        let wrong = markdown(&Report::new(contestants, Vec::new(), vec![10], turns, 5.0));
        assert!(wrong.contains("**x**: 3 deliveries lost"), "{wrong}");
        assert!(!wrong.contains("none lost"), "{wrong}");
        assert!(wrong.contains("not for quoting"), "{wrong}");
    }
}
