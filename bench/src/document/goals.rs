//! The goals, what was measured of each, and whether it is met.
//!
//! A goal is missed only when the whole interval misses it. The limits are the project's, not measured ones.

use super::measured::{Case, During, Figure, Percentile};
use super::set::Set;
use super::{NOT_MEASURED, words};
use crate::compare::{AXUM, FANFARE, FLOOR_CURSOR, FLOOR_URING, Report};
use crate::scenario::Name;
use crate::statistics::Summary;
use std::fmt::Write as _;

/// The hubs that are judged, each beside the floor of its kind.
const HUBS: [(&str, &str); 2] = [(FANFARE, FLOOR_CURSOR), ("fanfare-uring", FLOOR_URING)];
/// Of these, all contestants are measured.
const SIZES: [usize; 3] = [1_000, 10_000, 19_000];
/// Of these, a readership for each subscriber is measured.
const OWN_SIZES: [usize; 2] = [1_000, 10_000];
/// Of these, idle memory is measured.
const IDLE_SIZE: usize = 10_000;
/// With fewer rounds an interval says next to nothing of how figures are spread.
const ROUNDS_MIN: usize = 3;
/// Share of a core from which on the generator may be the limit and not the server.
const BUSY: f64 = 0.95;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Met,
    /// The median misses and the interval reaches the goal.
    MetWithinNoise,
    /// All of the interval misses.
    Missed,
    NotDecided,
}

struct Goal {
    what: String,
    bound: Bound,
    /// Behind the point.
    digits: usize,
    /// By hub; and whether the generator may have been the limit.
    measured: [Option<(Summary, bool)>; 2],
}

/// All of them in one table, and how many are met.
pub(super) fn section(set: &Set) -> String {
    let goals = goals(set);
    let mut counts = [
        (Some(Verdict::Met), "met", 0_usize),
        (Some(Verdict::MetWithinNoise), "met within noise", 0),
        (Some(Verdict::Missed), "missed", 0),
        (Some(Verdict::NotDecided), "not decided", 0),
        (None, NOT_MEASURED, 0),
    ];
    let mut rows = Vec::new();
    for goal in &goals {
        let mut row = vec![goal.what.clone(), goal.bound.words(goal.digits)];
        for measured in &goal.measured {
            let verdict = measured.as_ref().map(|(summary, _)| judge(summary, goal.bound));
            for (counted, _, count) in &mut counts {
                *count += usize::from(*counted == verdict);
            }
            row.push(match (measured, verdict) {
                (Some((summary, generator)), Some(verdict)) => format!(
                    "{}{}, {}",
                    words::interval(summary, goal.bound.digits(summary, goal.digits)),
                    if *generator { "†" } else { "" },
                    verdict.words()
                ),
                _ => NOT_MEASURED.to_owned(),
            });
        }
        rows.push(row);
    }
    let counted = counts.iter().filter(|(_, _, count)| *count > 0);
    let counted: Vec<String> =
        counted.map(|(_, name, count)| format!("{} {name}", words::count(*count))).collect();
    let mut out = format!("{}.\n\n", counted.join(", "));
    let [(epoll, cursor), (uring, floor_uring)] = HUBS;
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "\"Its floor\" is `{cursor}` for `{epoll}`, which writes through epoll, and `{floor_uring}` for `{uring}`. Missed: \
         the whole interval misses. Met within noise: the median misses and the interval reaches the goal. Not decided: \
         fewer than {ROUNDS_MIN} rounds. †: the generator was busy nearly all the time, so its one thread may have been the \
         limit, and not the servers.\n"
    );
    let headings = ["goal".to_owned(), "limit".to_owned(), format!("`{epoll}`"), format!("`{uring}`")];
    out + &words::table(&headings, &rows)
}

fn judge(summary: &Summary, bound: Bound) -> Verdict {
    if summary.count < ROUNDS_MIN {
        return Verdict::NotDecided;
    }
    let best = match bound {
        Bound::AtMost(_) => summary.low,
        Bound::AtLeast(_) => summary.high,
    };
    if bound.is_kept_by(summary.median) {
        Verdict::Met
    } else if bound.is_kept_by(best) {
        Verdict::MetWithinNoise
    } else {
        Verdict::Missed
    }
}

impl Bound {
    fn is_kept_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }

    /// As many digits as are wanted, or so many more that nothing that misses is rounded to what does not.
    fn digits(self, summary: &Summary, wanted: usize) -> usize {
        let same = |digits: usize| {
            let unit = 10.0_f64.powi(i32::try_from(digits).unwrap_or(0));
            let ends = [summary.median, summary.low, summary.high];
            ends.iter().all(|end| self.is_kept_by(*end) == self.is_kept_by((end * unit).round() / unit))
        };
        (wanted..wanted + 3).find(|digits| same(*digits)).unwrap_or(wanted + 3)
    }

    fn words(self, digits: usize) -> String {
        match self {
            Self::AtMost(limit) => format!("≤ {}", words::number(limit, digits)),
            Self::AtLeast(limit) => format!("≥ {}", words::number(limit, digits)),
        }
    }
}

impl Verdict {
    fn words(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::MetWithinNoise => "met within noise",
            Self::Missed => "**missed**",
            Self::NotDecided => "not decided",
        }
    }
}

fn goals(set: &Set) -> Vec<Goal> {
    let mut goals = Vec::new();
    let phases = [(During::OneAtATime, "one event at a time"), (During::Saturated, "saturated")];
    let mut fan_out = |report: &Option<Report>, sizes: &[usize], more: &str| {
        let report = report.as_ref();
        for &subscribers in sizes {
            let who = format!("{}{more}", words::plural(subscribers, "subscriber"));
            for (during, phase) in phases {
                let what = format!("CPU for one delivery ÷ its floor's, {phase}, {who}");
                let cpu = Figure::Cpu(during);
                goals.push(beside_floors(report, subscribers, what, Bound::AtMost(1.1), cpu, None));
            }
            let what = format!("deliveries/s ÷ its floor's, saturated, {who}");
            let (rate, busy) =
                (Figure::DeliveriesPerS(During::Saturated), Figure::GeneratorBusy(During::Saturated));
            goals.push(beside_floors(report, subscribers, what, Bound::AtLeast(0.9), rate, Some(busy)));
        }
    };
    fan_out(&set.sizes, &SIZES, "");
    fan_out(&set.own, &OWN_SIZES, " with a readership each");
    for subscribers in SIZES {
        for (during, phase) in phases {
            let what =
                format!("p99 latency ÷ its floor's, {phase}, {}", words::plural(subscribers, "subscriber"));
            let p99 = Figure::Latency(during, Percentile::P99);
            let report = set.sizes.as_ref();
            goals.push(beside_floors(report, subscribers, what, Bound::AtMost(1.2), p99, None));
        }
    }
    for (report, topics, limit) in [(&set.idle_1, "one topic", 512.0), (&set.idle_4, "four topics", 1_000.0)]
    {
        goals.push(Goal {
            what: format!("live heap for an idle subscriber with {topics}, bytes"),
            bound: Bound::AtMost(limit),
            digits: 0,
            measured: HUBS.map(|(contestant, _)| {
                let case = Case { report: report.as_ref()?, subscribers: IDLE_SIZE, contestant };
                Some((case.absolute(Figure::IdleHeap)?, false))
            }),
        });
    }
    for (name, phase) in [("one_at_a_time", "one at a time"), ("saturated", "saturated")] {
        let ratio = format!("publications_per_s_{name}_to_{AXUM}");
        goals.push(Goal {
            what: format!("publications/s over HTTP with one subscriber ÷ {AXUM}'s, {phase}"),
            bound: Bound::AtLeast(1.0),
            digits: 2,
            measured: HUBS.map(|(contestant, _)| {
                let outcomes = &set.scenario(Name::Publish)?.outcomes;
                let outcome = outcomes.iter().find(|outcome| outcome.contestant == contestant)?;
                Some((*outcome.ratios.get(&ratio)?, false))
            }),
        });
    }
    goals.push(Goal {
        what: "publications/s over HTTP with the log on disk ÷ in memory, 512 under way".to_owned(),
        bound: Bound::AtLeast(0.8),
        digits: 2,
        measured: HUBS.map(|(contestant, _)| {
            let on_disk = format!("{contestant} on disk");
            let outcomes = &set.scenario(Name::Durable)?.outcomes;
            let outcome = outcomes.iter().find(|outcome| outcome.contestant == on_disk)?;
            Some((*outcome.ratios.get("publications_per_s_512_under_way_to_memory")?, false))
        }),
    });
    goals
}

/// Each hub's ratio to the floor of its kind; `busy` where a generator that is the limit says more than the ratio.
fn beside_floors(
    report: Option<&Report>,
    subscribers: usize,
    what: String,
    bound: Bound,
    figure: Figure,
    busy: Option<Figure>,
) -> Goal {
    let measured = HUBS.map(|(contestant, floor)| {
        let case = Case { report: report?, subscribers, contestant };
        let busiest = [contestant, floor]
            .into_iter()
            .filter_map(|contestant| Some(Case { contestant, ..case }.absolute(busy?)?.median))
            .fold(0.0, f64::max);
        Some((case.ratio(floor, figure)?, busiest >= BUSY))
    });
    Goal { what, bound, digits: 2, measured }
}

#[cfg(test)]
mod tests {
    use super::super::measured::tests::report;
    use super::*;

    fn check(bound: Bound, [low, median, high]: [f64; 3], count: usize, expected: Verdict) {
        let summary = Summary { median, low, high, coverage: 0.96, count };
        assert_eq!(judge(&summary, bound), expected, "{bound:?} {summary:?}");
    }

    #[test]
    fn a_goal_is_missed_only_when_the_whole_interval_misses() {
        for (interval, expected) in [
            ([1.11, 1.2, 1.3], Verdict::Missed),
            ([0.9, 1.0, 1.05], Verdict::Met),
            ([1.0, 1.1, 1.3], Verdict::Met),
            ([1.1, 1.2, 1.3], Verdict::MetWithinNoise),
            ([1.0, 1.11, 1.12], Verdict::MetWithinNoise),
        ] {
            check(Bound::AtMost(1.1), interval, 9, expected);
            check(Bound::AtMost(1.1), interval, 2, Verdict::NotDecided);
            // The same from the other side.
            let [low, median, high] = interval;
            check(Bound::AtLeast(-1.1), [-high, -median, -low], 3, expected);
        }
    }

    #[test]
    fn a_figure_that_misses_by_a_hair_does_not_look_as_if_it_met() {
        for (low, digits) in [(1.104, 3), (1.1, 2), (1.09, 2), (1.100_000_1, 5)] {
            let summary = Summary { median: 1.2, low, high: 1.3, coverage: 0.96, count: 9 };
            assert_eq!(Bound::AtMost(1.1).digits(&summary, 2), digits, "{low}");
        }
    }

    /// Goal: each hub is judged beside the floor of its kind, and what is not there is not judged.
    /// Method: one report in which the two floors differ tenfold; its only size is none of the goals', but for one.
    #[test]
    fn each_hub_is_judged_beside_the_floor_of_its_kind() {
        let mut turns = Vec::new();
        for round in 0..9 {
            turns.extend([(round, FLOOR_CURSOR, 10.0), (round, FANFARE, 12.0)]);
            turns.extend([(round, FLOOR_URING, 100.0), (round, "fanfare-uring", 105.0)]);
        }
        let mut sizes = report(&turns);
        for turn in &mut sizes.turns {
            turn.subscribers = SIZES[0];
        }
        let text = section(&Set { sizes: Some(sizes), ..Set::default() });
        let row = "| CPU for one delivery ÷ its floor's, saturated, 1,000 subscribers | ≤ 1.10 \
                   | 1.20 (1.20–1.20), **missed** | 1.05 (1.05–1.05), met |";
        assert!(text.contains(row), "{text}");
        let row = "| CPU for one delivery ÷ its floor's, saturated, 10,000 subscribers | ≤ 1.10 \
                   | not measured | not measured |";
        assert!(text.contains(row), "{text}");
        assert!(text.starts_with("8 met, 2 missed, 42 not measured.\n"), "{text}");
    }
}
