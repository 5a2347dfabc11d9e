//! HTTP/2, which no socket can be taken from: what a delivery and an idle subscriber cost there, beside HTTP/1.1.
//!
//! Rounds alternate between the two, each in a fresh process. It judges no figure.

use super::{Figure, Name, Outcome, Stage};
use crate::contestant::Contestant;
use crate::gateway::Gateway;
use crate::generator::Pace;
use crate::measure::{Measurement, PhaseName, Plan, measure};
use crate::statistics::summarise;
use crate::target::{Selection, Target};
use anyhow::Context;
use std::net::SocketAddr;

const FIGURES: [Figure; 4] = [
    ("cpu_us_per_delivery_one_at_a_time", |seen| seen.phases.first()?.cpu_us_per_delivery),
    ("cpu_us_per_delivery_saturated", |seen| seen.phases.get(1)?.cpu_us_per_delivery),
    ("idle_heap_bytes", |seen| seen.idle_heap_bytes),
    ("deliveries_per_read_saturated", |seen| Some(seen.phases.get(1)?.deliveries_per_read)),
];

pub(super) fn http2(stage: &Stage, hub: &Contestant) -> anyhow::Result<Outcome> {
    let subscribers = stage.subscribers.unwrap_or(1_000);
    let mut outcome = Outcome::new(Name::Http2, &hub.name, subscribers);
    let phases =
        vec![(PhaseName::OneAtATime, Pace::Outstanding(1)), (PhaseName::Saturated, Pace::Outstanding(64))];
    let plan = stage.plan(subscribers, phases);
    let (mut over_1, mut over_2) = (Vec::new(), Vec::new());
    for round in 0..stage.rounds {
        for turn in 0..2 {
            // Either comes first in turn.
            let is_http2 = (round + turn) % 2 == 1;
            let seen = play(stage, hub, &plan, is_http2)?;
            outcome.faults.add(&seen.faults);
            if is_http2 { &mut over_2 } else { &mut over_1 }.push(seen);
        }
    }
    for (name, of) in FIGURES {
        let all = |seen: &[Measurement]| seen.iter().filter_map(of).collect::<Vec<_>>();
        let (one, two) = (all(&over_1), all(&over_2));
        for (version, figures) in [("http1", &one), ("http2", &two)] {
            if let Some(summary) = summarise(figures) {
                outcome.figures.insert(format!("{name}_{version}"), summary.median);
            }
        }
        // Of the same round, and only where both have the figure.
        let pairs = over_2.iter().zip(&over_1).filter_map(|(two, one)| Some((of(two)?, of(one)?)));
        let ratios: Vec<f64> = pairs.filter(|(_, one)| *one > 0.0).map(|(two, one)| two / one).collect();
        outcome.ratios.extend(summarise(&ratios).map(|summary| (format!("{name}_http2_to_http1"), summary)));
    }
    Ok(outcome)
}

fn play(stage: &Stage, hub: &Contestant, plan: &Plan, is_http2: bool) -> anyhow::Result<Measurement> {
    let server = hub.start()?;
    let address = server.base.strip_prefix("http://").context("the hub has no address")?;
    let address: SocketAddr = address.trim_end_matches('/').parse()?;
    let gateway = is_http2
        .then(|| Gateway::open(address, plan.subscribers + usize::from(plan.publishers)))
        .transpose()?;
    let base = gateway.as_ref().map_or(&server.base, |gateway| &gateway.base);
    let target = Target::new(base, hub.dialect.clone(), "bench", Selection::Shared)?;
    measure(&target, Some(server.pid()), plan, &stage.stop)
}
