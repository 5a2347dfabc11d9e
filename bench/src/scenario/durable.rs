//! What a log on disk costs, with ids of the hub's and of publishers': publishing beside the same hub with its log in memory, and coming back after a kill.
//!
//! Both hubs are the same program in the same run. The folder lies beside the figures, on whatever disk that is.

use super::storm::{self, Restarted};
use super::{Name, Outcome, Stage};
use crate::compare::turn;
use crate::contestant::Contestant;
use crate::generator::Pace;
use crate::measure::PhaseName;
use crate::statistics::{ratios, summarise};
use crate::target::{Ids, Selection};
use anyhow::Context;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Publications under way, each on a connection of its own.
const UNDER_WAY: [u16; 3] = [1, 64, 512];

/// A folder that is removed when it is dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> anyhow::Result<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("target")
            .join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The hub with its log here.
    pub(super) fn hub(&self, hub: &Contestant) -> Contestant {
        let mut disk = hub.clone();
        disk.name = format!("{} on disk", hub.name);
        disk.command.extend(["--data-dir".to_owned(), self.0.display().to_string()]);
        disk
    }

    /// What its files take.
    pub(super) fn bytes(&self) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for file in std::fs::read_dir(self.0.join("default"))? {
            // One that retention has removed in between takes nothing.
            bytes += file?.metadata().map_or(0, |metadata| metadata.len());
        }
        Ok(bytes)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Publishing with one subscriber: the log in memory, and on disk.
pub(super) fn publish(stage: &Stage, hub: &Contestant) -> anyhow::Result<Vec<Outcome>> {
    let folder = Folder::new("publish")?;
    let racers = [hub.clone(), folder.hub(hub)];
    let mut outcomes = racers.each_ref().map(|racer| Outcome::new(Name::Durable, &racer.name, 1));
    // By figure and racer: one for each round.
    let mut seen: BTreeMap<(String, usize), BTreeMap<usize, f64>> = BTreeMap::new();
    for round in 0..stage.rounds {
        let kinds =
            UNDER_WAY.into_iter().flat_map(|under_way| [(under_way, Ids::Hub), (under_way, Ids::Publisher)]);
        for (under_way, ids) in kinds {
            for place in 0..racers.len() {
                let place = (place + round) % racers.len();
                let mut plan =
                    stage.plan(1, vec![(PhaseName::Saturated, Pace::Outstanding(usize::from(under_way)))]);
                (plan.publishers, plan.ids) = (under_way, ids);
                let measurement = turn(&racers[place], Selection::Shared, &plan, &stage.stop)?;
                outcomes[place].faults.add(&measurement.faults);
                let Some(phase) = measurement.phases.first() else { continue };
                let kind = match ids {
                    Ids::Hub => format!("{under_way}_under_way"),
                    Ids::Publisher => format!("{under_way}_under_way_with_publishers_ids"),
                };
                let answer = phase.answering_us.map(|answer| answer.p99);
                let figures = [
                    (format!("publications_per_s_{kind}"), Some(phase.publications_per_s)),
                    (format!("answer_p99_ms_{kind}"), answer.map(|answer| answer / 1_000.0)),
                    (format!("arrival_p99_ms_{kind}"), Some(phase.latency_us.p99 / 1_000.0)),
                ];
                for (figure, value) in figures {
                    let Some(value) = value else { continue };
                    eprintln!("round {}: {}, {figure} {value:.2}", round + 1, racers[place].name);
                    seen.entry((figure, place)).or_default().insert(round, value);
                }
            }
        }
    }
    for ((figure, place), values) in &seen {
        if let Some(summary) = summarise(&values.values().copied().collect::<Vec<_>>()) {
            outcomes[*place].figures.insert(figure.clone(), summary.median);
        }
        let memory = seen.get(&(figure.clone(), 0)).filter(|_| *place == 1);
        if let Some(summary) = memory.and_then(|memory| ratios(values, memory)) {
            outcomes[1].ratios.insert(format!("{figure}_to_memory"), summary);
        }
    }
    Ok(outcomes.into())
}

/// The hub is killed and started again over its folder; everybody goes on where they were.
pub(super) fn restart(stage: &Stage, hub: &Contestant) -> anyhow::Result<Outcome> {
    let folder = Folder::new("restart")?;
    storm::kill(stage, &folder.hub(hub), Restarted::WithItsLog)
}
