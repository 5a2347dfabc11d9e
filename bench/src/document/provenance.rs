//! What was measured where, when and by which commands, and whether something else ran.
//!
//! It judges the machine and the deliveries, never a figure.

use super::set::{Part, Set};
use super::{NOT_MEASURED, words};
use crate::compare::{Environment, Report};
use crate::generator::Faults;
use crate::scenario::Outcome;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Load averages above which something else was running: a quiet machine before the first part, a server and the generator
/// at any other time (some rivals run a thread for each core).
const BUSY_BEFORE: f64 = 0.8;
const BUSY_AFTER: f64 = 3.5;

/// What the page is.
pub(super) fn introduction(set: &Set) -> String {
    let reports = set.parts().into_iter().filter_map(|part| part.report);
    let rounds = reports.map(rounds).max();
    let rounds = rounds.map_or_else(String::new, |rounds| format!(" (up to {rounds})"));
    format!(
        "Fanfare beside bare loops of system calls (the floors) and beside rivals, each server a process of its own on the \
         same machine as the generator, over loopback.\nRatios are taken within interleaved rounds{rounds}; beside a \
         median stands the interval in which it lies.\nThis page is written by `scripts/bench --all`: every figure is \
         computed from the reports of its run."
    )
}

/// The machine, and a table of the parts.
pub(super) fn place(set: &Set) -> String {
    let parts = set.parts();
    let environments: Vec<&Environment> = parts.iter().filter_map(|part| part.environment).collect();
    let mut out = String::new();
    if environments.is_empty() {
        out += "The machine: not measured.\n\n";
    } else {
        let all = |of: fn(&Environment) -> String| {
            let mut all: Vec<String> = environments.iter().map(|environment| of(environment)).collect();
            all.sort();
            all.dedup();
            all.join("; ")
        };
        let finished = || environments.iter().map(|environment| environment.finished_unix_s);
        let time = |time: Option<u64>| words::time(time.unwrap_or_default());
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "- Machine: {}\n- Kernel: Linux {}\n- Finished: from {} to {}\n- Commit: {}\n",
            all(|environment| format!("{}, {}", environment.cpu, words::plural(environment.cores, "core"))),
            all(|environment| environment.kernel.clone()),
            time(finished().min()),
            time(finished().max()),
            all(|environment| environment.commit.clone().unwrap_or_else(|| "not told".to_owned())),
        );
    }
    let busy = busy(&parts);
    if !busy.is_empty() {
        let _ = writeln!(
            out,
            "**Something else ran on this machine during {}: these figures are not for quoting.**\n",
            busy.join(", ")
        );
    }
    let headings = ["part", "finished", "rounds", "load average before", "after", "deliveries"];
    let rows: Vec<Vec<String>> = parts.iter().map(row).collect();
    out += &words::table(&headings.map(str::to_owned), &rows);
    for part in &parts {
        for sentence in part.report.iter().flat_map(|report| wrong(report)) {
            let _ = writeln!(out, "**{}**: {sentence}\n", part.name);
        }
    }
    out
}

fn row(part: &Part<'_>) -> Vec<String> {
    let Some(environment) = part.environment else {
        return [&part.name, NOT_MEASURED, "–", "–", "–", "–"].map(str::to_owned).to_vec();
    };
    let right = part.report.is_none_or(|report| wrong(report).is_empty())
        && part.played.is_none_or(|played| played.outcomes.iter().all(Outcome::passed));
    let outcomes = part.played.iter().flat_map(|played| &played.outcomes);
    let of_ratios = outcomes.flat_map(|outcome| outcome.ratios.values()).map(|ratio| ratio.count).max();
    vec![
        part.name.clone(),
        words::time(environment.finished_unix_s),
        words::cell(part.report.map(rounds).or(of_ratios).map(words::count)),
        words::number(environment.load_average_before, 2),
        words::number(environment.load_average_after, 2),
        if right { "all right" } else { "**see below**" }.to_owned(),
    ]
}

/// The parts during which something else ran.
fn busy(parts: &[Part<'_>]) -> Vec<String> {
    let first = parts.iter().filter_map(|part| Some(part.environment?.finished_unix_s)).min();
    let is_busy = |environment: &Environment| {
        // Every other part has the one before it in its load average.
        let is_first = first == Some(environment.finished_unix_s);
        environment.load_average_before > if is_first { BUSY_BEFORE } else { BUSY_AFTER }
            || environment.load_average_after > BUSY_AFTER
    };
    let busy = parts.iter().filter(|part| part.environment.is_some_and(is_busy));
    busy.map(|part| format!("`{}`", part.name)).collect()
}

fn rounds(report: &Report) -> usize {
    report.turns.iter().map(|turn| turn.round + 1).max().unwrap_or(0)
}

/// What went wrong, a sentence for each contestant.
fn wrong(report: &Report) -> Vec<String> {
    report.contestants.iter().filter_map(|contestant| wrong_of(report, contestant)).collect()
}

fn wrong_of(report: &Report, contestant: &str) -> Option<String> {
    let (mut faults, mut stalled, mut errors) = (Faults::default(), 0, Vec::new());
    for turn in report.turns.iter().filter(|turn| turn.contestant == contestant) {
        errors.extend(&turn.error);
        if let Some(seen) = &turn.measurement {
            faults.add(&seen.faults);
            stalled += seen.phases.iter().filter(|phase| phase.stalled).count();
        }
    }
    let mut out = Vec::new();
    if !faults.is_none() {
        out.push(format!("deliveries wrong ({})", faults_in_words(&faults)));
    }
    if stalled > 0 {
        out.push(format!("{} stalled", words::plural(stalled, "phase")));
    }
    if let Some(first) = errors.first() {
        out.push(format!("{} failed, the first because {first}", words::plural(errors.len(), "turn")));
    }
    (!out.is_empty()).then(|| format!("`{contestant}`: {}.", out.join("; ")))
}

/// Only those that there were.
pub(super) fn faults_in_words(faults: &Faults) -> String {
    let Faults { lost, doubled, misordered, foreign, corrupt, named, ended } = *faults;
    let all = [
        (lost, "lost"),
        (doubled, "doubled"),
        (misordered, "misordered"),
        (foreign, "foreign"),
        (corrupt, "corrupt"),
        (named, "named events"),
        (ended, "streams ended"),
    ];
    let there = all.iter().filter(|(count, _)| *count > 0);
    let there: Vec<String> =
        there.map(|(count, name)| format!("{} {name}", words::number(*count as f64, 0))).collect();
    there.join(", ")
}

/// One line for each contestant that could not take part.
pub(super) fn absent(set: &Set) -> String {
    let reports: Vec<_> = set.parts().into_iter().filter_map(|part| part.report).collect();
    let takes_part = |contestant: &str| {
        reports.iter().any(|report| report.contestants.iter().any(|each| each == contestant))
    };
    let mut reasons: BTreeMap<&str, String> = BTreeMap::new();
    // One that could not be had at first may be there in a part that was measured again.
    let absent = reports.iter().flat_map(|report| &report.absent);
    for absent in absent.filter(|absent| !takes_part(&absent.contestant)) {
        // Where this tree lies on one machine is nothing to a reader.
        let reason = absent.reason.replace(env!("CARGO_MANIFEST_DIR"), "bench");
        reasons.entry(&absent.contestant).or_insert(reason);
    }
    let sentences: Vec<String> = reasons
        .iter()
        .map(|(contestant, reason)| format!("`{contestant}` took no part: {reason}.\n\n"))
        .collect();
    sentences.concat()
}

/// What each part was measured with.
pub(super) fn commands(set: &Set) -> String {
    let mut out =
        "`scripts/bench --all` runs them one after the other; `--only-part NAME` repeats one.\n\n```sh\n"
            .to_owned();
    for part in set.parts() {
        let command = part.environment.map_or_else(
            || format!("# {NOT_MEASURED}"),
            |environment| words::command(&environment.arguments),
        );
        // Writing to a string cannot fail.
        let _ = writeln!(out, "# {}\n{command}", part.name);
    }
    out + "```\n"
}

pub(super) fn how_to_read() -> String {
    "\
- **A ratio** is taken between turns of the same round; beside its median stands the interval of the sign test, which
  assumes nothing about how figures are spread. Absolute figures are medians over the rounds and belong to this machine.
- **One event at a time**: the next publication when every subscriber has the one before. **Saturated**: several
  publications may lack a delivery at once, so a server that writes several events with one call gains by it.
- **CPU for one delivery** is the server's CPU time, publishing included, divided by the deliveries. On loopback the
  receiving half of TCP runs inside the sender's `send`, so no server can be much cheaper than a floor.
- **Latency** is the time from sending a publication to reading its event.
- **Memory** is what the process grew by from none to all subscribers, for each of them. RSS counts pages, so it is coarse
  for few subscribers; live heap is told by the server itself, where it does.
- [bench/README.md](../bench/README.md) says what the contestants are, what is checked, and where the time goes in what is
  missed.
"
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::measured::tests::report;
    use super::*;

    #[test]
    fn a_part_that_ran_beside_something_else_is_named_and_so_is_a_lost_delivery_and_who_was_absent() {
        let mut own = report(&[(0, "x", 1.0)]);
        own.environment.load_average_before = 0.1;
        own.environment.load_average_after = 1.0;
        own.environment.commit = Some("abc".to_owned());
        own.environment.finished_unix_s = 0;
        let mut set = Set { own: Some(own), ..Set::default() };
        let quiet = place(&set);
        assert!(!quiet.contains("not for quoting") && quiet.contains("Commit: abc\n"), "{quiet}");
        assert!(
            quiet.contains("| own | Thu, 01 Jan 1970 00:00:00 GMT | 1 | 0.10 | 1.00 | all right |"),
            "{quiet}"
        );
        assert_eq!(absent(&set), "`y` took no part: it is ill.\n\n");
        if let Some(own) = &mut set.own {
            own.environment.load_average_before = 1.0;
            own.turns[0].error = Some("it fell".to_owned());
            if let Some(seen) = &mut own.turns[0].measurement {
                seen.faults.lost = 3;
            }
        }
        let busy = place(&set);
        assert!(busy.contains("during `own`: these figures are not for quoting"), "{busy}");
        assert!(
            busy.contains(
                "**own**: `x`: deliveries wrong (3 lost); 1 turn failed, the first because it fell."
            ),
            "{busy}"
        );
    }
}
