//! The scenarios that are a race: publishing with one subscriber, and connecting, ratios to axum and the floor.

use super::{Figure, Name, Outcome, PUBLISHERS, Stage};
use crate::compare::{AXUM, FANFARE, FLOOR_CURSOR, FLOOR_URING, turn};
use crate::generator::Pace;
use crate::measure::PhaseName;
use crate::statistics::summarise;
use crate::target::Selection;
use std::collections::BTreeMap;

/// Publishing over HTTP with one subscriber.
pub(super) fn publish(stage: &Stage) -> anyhow::Result<Vec<Outcome>> {
    let phases = vec![
        (PhaseName::OneAtATime, Pace::Outstanding(1)),
        (PhaseName::Saturated, Pace::Outstanding(usize::from(PUBLISHERS))),
    ];
    let figures: [Figure; 2] = [
        ("publications_per_s_one_at_a_time", |seen| Some(seen.phases.first()?.publications_per_s)),
        ("publications_per_s_saturated", |seen| Some(seen.phases.get(1)?.publications_per_s)),
    ];
    race(stage, Name::Publish, stage.subscribers.unwrap_or(1), &phases, &figures)
}

/// Connecting, 64 at a time.
pub(super) fn connects(stage: &Stage) -> anyhow::Result<Vec<Outcome>> {
    let figures: [Figure; 1] = [("connects_per_s", |seen| Some(seen.connects_per_s))];
    race(stage, Name::Connects, stage.subscribers.unwrap_or(10_000), &[], &figures)
}

fn race(
    stage: &Stage,
    name: Name,
    subscribers: usize,
    phases: &[(PhaseName, Pace)],
    figures: &[Figure],
) -> anyhow::Result<Vec<Outcome>> {
    let plan = stage.plan(subscribers, phases.to_vec());
    let racers: Vec<_> = stage
        .contestants
        .iter()
        .filter(|racer| {
            [AXUM, FLOOR_CURSOR, FLOOR_URING].contains(&racer.name.as_str())
                || racer.name.starts_with(FANFARE)
        })
        .collect();
    let mut outcomes: Vec<_> =
        racers.iter().map(|racer| Outcome::new(name, &racer.name, subscribers)).collect();
    // By figure and contestant: one for each round.
    let mut seen: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for round in 0..stage.rounds {
        for place in 0..racers.len() {
            let place = (place + round) % racers.len();
            let measurement = turn(racers[place], Selection::Shared, &plan, &stage.stop)?;
            outcomes[place].faults.add(&measurement.faults);
            for (figure, of) in figures {
                let value = of(&measurement).unwrap_or(f64::NAN);
                eprintln!("round {}: {}, {figure} {value:.0}", round + 1, racers[place].name);
                seen.entry((figure, &racers[place].name)).or_default().push(value);
            }
        }
    }
    for outcome in &mut outcomes {
        for (figure, _) in figures {
            let Some(own) = seen.get(&(*figure, outcome.contestant.as_str())) else { continue };
            if let Some(summary) = summarise(own) {
                outcome.figures.insert((*figure).to_owned(), summary.median);
            }
            for other in [AXUM, FLOOR_CURSOR] {
                let Some(others) = seen.get(&(*figure, other)).filter(|_| other != outcome.contestant) else {
                    continue;
                };
                let ratios: Vec<f64> = own.iter().zip(others).map(|(own, other)| own / other).collect();
                if let Some(summary) = summarise(&ratios) {
                    outcome.ratios.insert(format!("{figure}_to_{other}"), summary);
                }
            }
        }
    }
    Ok(outcomes)
}
