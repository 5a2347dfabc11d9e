//! A thousand different URL Patterns: what publishing costs beside them when none matches.
//!
//! Rounds alternate between subscribers with and without patterns, each in a fresh process.

use super::{Name, Outcome, Stage, phase};
use crate::contestant::Contestant;
use crate::generator::{Manner, Pace};
use crate::process;
use crate::statistics::summarise;
use crate::target::Selection;

const PATTERNS: usize = 1_000;

/// What one round saw.
struct Seen {
    publications_per_s: f64,
    cpu_us_per_publication: f64,
}

pub(super) fn patterns(stage: &Stage, hub: &Contestant) -> anyhow::Result<Outcome> {
    let subscribers = stage.subscribers.unwrap_or(PATTERNS);
    let mut outcome = Outcome::new(Name::Patterns, &hub.name, subscribers);
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    let (mut rate_ratios, mut cost_ratios) = (Vec::new(), Vec::new());
    for round in 0..stage.rounds {
        // Either comes first in turn.
        let first = [Selection::Pattern, Selection::Stranger][round % 2];
        let second = [Selection::Stranger, Selection::Pattern][round % 2];
        let a = play(stage, hub, subscribers, first, &mut outcome)?;
        let b = play(stage, hub, subscribers, second, &mut outcome)?;
        let (with, without) = if first == Selection::Pattern { (a, b) } else { (b, a) };
        rates.push(with.publications_per_s);
        costs.push(with.cpu_us_per_publication);
        rate_ratios.push(with.publications_per_s / without.publications_per_s);
        cost_ratios.push(with.cpu_us_per_publication / without.cpu_us_per_publication);
    }
    for (name, figures) in [("publications_per_s", rates), ("cpu_us_per_publication", costs)] {
        outcome.figures.extend(summarise(&figures).map(|summary| (name.to_owned(), summary.median)));
    }
    for (name, ratios) in [
        ("publications_per_s_to_exact_topics", rate_ratios),
        ("cpu_per_publication_to_exact_topics", cost_ratios),
    ] {
        outcome.ratios.extend(summarise(&ratios).map(|summary| (name.to_owned(), summary)));
    }
    Ok(outcome)
}

/// One subscriber gets everything, the others' selections match nothing.
fn play(
    stage: &Stage,
    hub: &Contestant,
    subscribers: usize,
    others: Selection,
    outcome: &mut Outcome,
) -> anyhow::Result<Seen> {
    let server = hub.start()?;
    let mut generator = stage.generator(hub, &server, subscribers)?;
    generator.subscribe(1, Manner::STEADY)?;
    generator.select(others);
    generator.subscribe_bystanders(subscribers - 1)?;
    generator.run(&phase(Pace::Outstanding(16), stage.time / 4, u64::MAX))?;
    let before = process::cpu(server.pid())?;
    let figures = generator.run(&phase(Pace::Outstanding(16), stage.time, u64::MAX))?;
    let used = process::cpu(server.pid())?.since(&before);
    generator.gaps_are_faults();
    outcome.faults.add(&generator.faults());
    let publications = figures.publications as f64;
    Ok(Seen {
        publications_per_s: publications / figures.took.as_secs_f64(),
        cpu_us_per_publication: used.total.as_secs_f64() * 1e6 / publications,
    })
}
