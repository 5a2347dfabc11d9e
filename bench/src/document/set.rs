//! The files of one run of everything: which there may be, and what is in them.
//!
//! It calculates nothing. A missing file is a part that was not measured; one that cannot be read is an error.

use crate::compare::{Environment, Report};
use crate::scenario::{Name, Played};
use anyhow::Context;
use clap::ValueEnum as _;
use serde::de::DeserializeOwned;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// One run of everything, as far as it is there.
#[derive(Debug, Default)]
pub(super) struct Set {
    /// All contestants at the sizes of the goals.
    pub(super) sizes: Option<Report>,
    /// A readership for each subscriber: floors and hubs.
    pub(super) own: Option<Report>,
    /// Memory with one topic.
    pub(super) idle_1: Option<Report>,
    /// Memory with four topics.
    pub(super) idle_4: Option<Report>,
    /// All contestants with ever more publications outstanding.
    pub(super) batch: Option<Report>,
    pub(super) scenarios: Vec<(Name, Played)>,
}

/// A part of the set: its name is that of its file, without `.json`.
pub(super) struct Part<'a> {
    pub(super) name: String,
    pub(super) environment: Option<&'a Environment>,
    /// Of `compare`.
    pub(super) report: Option<&'a Report>,
    /// Of `scenario`.
    pub(super) played: Option<&'a Played>,
}

impl Set {
    /// What is in `folder`.
    ///
    /// # Errors
    /// A file is there and is not what its name says, or the folder is not there.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        fs::metadata(folder).with_context(|| format!("{} is not there", folder.display()))?;
        let mut scenarios = Vec::new();
        for &name in Name::value_variants() {
            if let Some(played) = file(folder, &scenario_name(name))? {
                scenarios.push((name, played));
            }
        }
        Ok(Self {
            sizes: file(folder, "sizes")?,
            own: file(folder, "own")?,
            idle_1: file(folder, "idle-1")?,
            idle_4: file(folder, "idle-4")?,
            batch: file(folder, "batch")?,
            scenarios,
        })
    }

    pub(super) fn scenario(&self, name: Name) -> Option<&Played> {
        self.scenarios.iter().find(|(other, _)| *other == name).map(|(_, played)| played)
    }

    /// All parts, those that are missing too, in the order in which they are measured.
    pub(super) fn parts(&self) -> Vec<Part<'_>> {
        let compared = [
            ("sizes", &self.sizes),
            ("own", &self.own),
            ("idle-1", &self.idle_1),
            ("idle-4", &self.idle_4),
            ("batch", &self.batch),
        ];
        let compared = compared.into_iter().map(|(name, report)| Part {
            name: name.to_owned(),
            environment: report.as_ref().map(|report| &report.environment),
            report: report.as_ref(),
            played: None,
        });
        let scenarios = Name::value_variants().iter().map(|&name| {
            let played = self.scenario(name);
            Part {
                name: scenario_name(name),
                environment: played.map(|played| &played.environment),
                report: None,
                played,
            }
        });
        compared.chain(scenarios).collect()
    }
}

/// What a scenario is called on the command line.
pub(super) fn scenario_name(name: Name) -> String {
    name.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn file<T: DeserializeOwned>(folder: &Path, name: &str) -> anyhow::Result<Option<T>> {
    let path = folder.join(format!("{name}.json"));
    match fs::read(&path) {
        Ok(json) => {
            let read = serde_json::from_slice(&json);
            read.map(Some).with_context(|| format!("{} is no report", path.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}
