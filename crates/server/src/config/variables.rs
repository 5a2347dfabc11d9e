//! Reads `FANFARE_…` out of the environment: a variable for each flag.
//!
//! An empty variable is one that is not set: that is how a compose file says "nothing". No variable is ever changed.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{Arg, Command};

use super::command::{settings as flags, variable};
use super::file::similar;
use super::setting::Setting;
use super::{Note, Origin};

/// What was found.
pub(super) struct Variables {
    pub(super) settings: Vec<Setting>,
    /// About variables that look like ours and are not.
    pub(super) notes: Vec<Note>,
}

pub(super) fn settings(environment: &BTreeMap<OsString, OsString>, command: &Command) -> Variables {
    let mut found = Variables { settings: Vec::new(), notes: Vec::new() };
    for (name, value) in environment {
        // A name that is not UTF-8 is none of ours.
        let Some(name) = name.to_str().filter(|name| name.starts_with("FANFARE_") && !value.is_empty())
        else {
            continue;
        };
        let mut names = flags(command).filter_map(Arg::get_long);
        if let Some(long) = names.find(|long| variable(long) == name) {
            let (long, values) = (long.to_owned(), vec![value.clone()]);
            found.settings.push(Setting { long, values, origin: Origin::Variable(name.to_owned()) });
        } else if let Some(note) = misspelt(name, command) {
            found.notes.push(note);
        }
    }
    found
}

/// Only with a suggestion: others put variables of this name there, too. Kubernetes gives every container
/// `FANFARE_SERVICE_HOST` and `FANFARE_PORT` when a service is called fanfare.
fn misspelt(name: &str, command: &Command) -> Option<Note> {
    let long = name.strip_prefix("FANFARE_")?.to_ascii_lowercase().replace('_', "-");
    let meant = similar(&long, command)?;
    Some(Note::warning(format!(
        "the variable {name} is no setting and was ignored; did you mean {}?",
        variable(&meant)
    )))
}
