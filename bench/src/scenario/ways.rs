//! Ways to a hub beside plain HTTP/1.1: HTTP/2 and TLS, which no socket can be taken from. What a delivery and an idle subscriber
//! cost the server there.
//!
//! Each way has its turn in each round, in a fresh process. It judges no figure.

use super::durable::Folder;
use super::{Figure, Name, Outcome, Stage};
use crate::contestant::Contestant;
use crate::gateway::Gateway;
use crate::generator::Pace;
use crate::measure::{Measurement, PhaseName, Plan, measure};
use crate::statistics::summarise;
use crate::target::{Selection, Target};
use crate::trust::Certificate;
use anyhow::Context;
use std::net::SocketAddr;

const FIGURES: [Figure; 4] = [
    ("cpu_us_per_delivery_one_at_a_time", |seen| seen.phases.first()?.cpu_us_per_delivery),
    ("cpu_us_per_delivery_saturated", |seen| seen.phases.get(1)?.cpu_us_per_delivery),
    ("idle_heap_bytes", |seen| seen.idle_heap_bytes),
    ("idle_rss_bytes", |seen| seen.idle_rss_bytes),
];
/// How far the server batched, where nobody puts together what he has read before he passes it on.
const BATCHED: Figure =
    ("deliveries_per_read_saturated", |seen| Some(seen.phases.get(1)?.deliveries_per_read));
/// Cores that the generator's process used, its gateway among it.
const BUSY: Figure = ("generator_busy_saturated", |seen| Some(seen.phases.get(1)?.generator_busy));

#[derive(Clone, Copy)]
struct Way {
    /// As figures are named.
    name: &'static str,
    is_http2: bool,
    is_secured: bool,
}

const PLAIN: Way = Way { name: "http1", is_http2: false, is_secured: false };

/// HTTP/2, beside HTTP/1.1.
pub(super) fn http2(stage: &Stage, hub: &Contestant) -> anyhow::Result<Outcome> {
    let http2 = Way { name: "http2", is_http2: true, is_secured: false };
    compare(stage, hub, Name::Http2, &[PLAIN, http2], BATCHED)
}

/// HTTP/1.1 and HTTP/2 over TLS, beside HTTP/1.1 without.
pub(super) fn tls(stage: &Stage, hub: &Contestant) -> anyhow::Result<Outcome> {
    let http1 = Way { name: "http1_over_tls", is_http2: false, is_secured: true };
    let http2 = Way { name: "http2_over_tls", is_http2: true, is_secured: true };
    compare(stage, hub, Name::Tls, &[PLAIN, http1, http2], BUSY)
}

/// Ratios are to the first way, of the same round.
fn compare(
    stage: &Stage,
    hub: &Contestant,
    name: Name,
    ways: &[Way],
    last: Figure,
) -> anyhow::Result<Outcome> {
    let subscribers = stage.subscribers.unwrap_or(1_000);
    let mut outcome = Outcome::new(name, &hub.name, subscribers);
    let phases =
        vec![(PhaseName::OneAtATime, Pace::Outstanding(1)), (PhaseName::Saturated, Pace::Outstanding(64))];
    let plan = stage.plan(subscribers, phases);
    let mut all: Vec<Vec<Measurement>> = ways.iter().map(|_| Vec::new()).collect();
    for round in 0..stage.rounds {
        for turn in 0..ways.len() {
            // Each comes first in turn.
            let way = (round + turn) % ways.len();
            let seen = play(stage, hub, &plan, ways[way])?;
            outcome.faults.add(&seen.faults);
            all[way].push(seen);
        }
    }
    for (figure, of) in FIGURES.into_iter().chain([last]) {
        for (way, seen) in ways.iter().zip(&all) {
            let figures: Vec<f64> = seen.iter().filter_map(of).collect();
            if let Some(summary) = summarise(&figures) {
                outcome.figures.insert(format!("{figure}_{}", way.name), summary.median);
            }
        }
        for (way, seen) in ways.iter().zip(&all).skip(1) {
            // Only where both have the figure.
            let pairs = seen.iter().zip(&all[0]).filter_map(|(seen, first)| Some((of(seen)?, of(first)?)));
            let ratios: Vec<f64> =
                pairs.filter(|(_, first)| *first > 0.0).map(|(seen, first)| seen / first).collect();
            let ratio = format!("{figure}_{}_to_{}", way.name, ways[0].name);
            outcome.ratios.extend(summarise(&ratios).map(|summary| (ratio, summary)));
        }
    }
    Ok(outcome)
}

fn play(stage: &Stage, hub: &Contestant, plan: &Plan, way: Way) -> anyhow::Result<Measurement> {
    let mut hub = hub.clone();
    let folder = way.is_secured.then(|| Folder::new("certificate")).transpose()?;
    let certificate = folder.as_ref().map(|folder| Certificate::issue(folder.path())).transpose()?;
    hub.command.extend(certificate.iter().flat_map(Certificate::arguments));
    let server = hub.start()?;
    let (_, address) = server.base.split_once("://").context("the hub has no address")?;
    let address: SocketAddr = address.trim_end_matches('/').parse()?;
    let trust = |protocol| certificate.as_ref().map(|certificate| certificate.trust(protocol)).transpose();
    let gateway = match way {
        Way { is_http2: true, .. } => {
            let requests = plan.subscribers + usize::from(plan.publishers);
            Some(Gateway::open(address, requests, trust("h2")?)?)
        }
        _ => trust("http/1.1")?.map(|trust| Gateway::tunnel(address, trust)).transpose()?,
    };
    let base = gateway.as_ref().map_or(&server.base, |gateway| &gateway.base);
    let target = Target::new(base, hub.dialect.clone(), "bench", Selection::Shared)?;
    measure(&target, Some(server.pid()), plan, &stage.stop)
}
