//! Lays the layers over each other: what an earlier one has set, a later one leaves alone.
//!
//! Every value is checked, also one that another layer has already decided: a mistake must not come to light on the day that
//! the variable above it is gone.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::num::{IntErrorKind, ParseIntError};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::command::{CONFIG, is_secret, settings};
use super::setting::Setting;
use super::{Failure, Origin, Set};
use crate::secret;

/// The layers so far.
pub(super) struct Layers<'a> {
    command: &'a Command,
    /// By the name of the flag.
    origins: BTreeMap<String, Origin>,
    /// What the layers below the command line add to it.
    added: Vec<Setting>,
}

impl<'a> Layers<'a> {
    /// Begins with the command line, as `given`.
    pub(super) fn over(command: &'a Command, given: &ArgMatches) -> Self {
        let is_given =
            |flag: &&Arg| given.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine);
        let given = settings(command).filter(is_given).filter_map(Arg::get_long);
        let origins = given.map(|long| (long.to_owned(), Origin::Flag)).collect();
        Self { command, origins, added: Vec::new() }
    }

    /// Adds a layer below those that are there.
    pub(super) fn add(&mut self, layer: Vec<Setting>) -> Result<(), Failure> {
        for setting in &layer {
            self.check(setting)?;
        }
        for setting in layer {
            if !self.origins.contains_key(&setting.long) {
                self.origins.insert(setting.long.clone(), setting.origin.clone());
                self.added.push(setting);
            }
        }
        Ok(())
    }

    /// Where this is set, if it is.
    pub(super) fn origin(&self, long: &str) -> Option<&Origin> {
        self.origins.get(long)
    }

    /// The file that a variable names.
    pub(super) fn added_file(&self) -> Option<&OsStr> {
        let setting = self.added.iter().find(|setting| setting.long == CONFIG)?;
        setting.values.first().map(OsString::as_os_str)
    }

    /// The whole command line: `given`, with what was added.
    pub(super) fn arguments(&self, given: &[OsString], subcommand: &str) -> Vec<OsString> {
        // Right behind the subcommand: at the end, it would stand behind a `--` that somebody wrote.
        let at = given.iter().position(|argument| argument == subcommand).map_or(given.len(), |at| at + 1);
        let (before, after) = given.split_at(at);
        let added = self.added.iter().flat_map(Setting::arguments);
        before.iter().cloned().chain(added).chain(after.iter().cloned()).collect()
    }

    /// What is not left at its default, out of what all layers together came to.
    pub(super) fn set(&self, all: &ArgMatches) -> Vec<Set> {
        let set = settings(self.command).filter_map(|flag| {
            let long = flag.get_long()?.to_owned();
            let origin = self.origins.get(&long)?.clone();
            let values: Vec<_> =
                all.get_raw(flag.get_id().as_str())?.map(|value| value.to_string_lossy()).collect();
            let shown = if is_secret(flag) { secret::SET.to_owned() } else { values.join(", ") };
            Some(Set { long, shown, origin })
        });
        set.collect()
    }

    /// Reads the setting alone, so that what is wrong can be told with its place.
    fn check(&self, setting: &Setting) -> Result<(), Failure> {
        let arguments = ["fanfare", "serve"].into_iter().map(OsString::from).chain(setting.arguments());
        let Err(error) = self.command.clone().try_get_matches_from(arguments) else { return Ok(()) };
        let reason = match error.kind() {
            ErrorKind::ValueValidation => error.source().map(expected),
            ErrorKind::InvalidValue => Some(allowed(&error)),
            ErrorKind::InvalidUtf8 => Some("it is not UTF-8".to_owned()),
            // What needs others, or excludes them, is judged when all layers are there.
            _ => return Ok(()),
        };
        let reason = reason.unwrap_or_else(|| "it is not understood".to_owned());
        let reason = match error.get(ContextKind::InvalidValue) {
            Some(ContextValue::String(value)) if !self.is_secret(setting) => {
                format!("\"{value}\" is not understood: {reason}")
            }
            _ => reason,
        };
        Err(Failure::Setting { origin: setting.origin.clone(), long: setting.long.clone(), reason })
    }

    fn is_secret(&self, setting: &Setting) -> bool {
        settings(self.command).any(|flag| flag.get_long() == Some(&setting.long) && is_secret(flag))
    }
}

fn expected(cause: &(dyn Error + 'static)) -> String {
    // Its own sentences are about digits in strings.
    match cause.downcast_ref::<ParseIntError>().map(ParseIntError::kind) {
        Some(IntErrorKind::Zero) => "write a whole number, 1 or more".to_owned(),
        Some(IntErrorKind::PosOverflow) => "write a smaller number".to_owned(),
        Some(_) => "write a whole number".to_owned(),
        None => cause.to_string(),
    }
}

fn allowed(error: &clap::Error) -> String {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            format!("write one of {}", values.join(", "))
        }
        _ => "a value is missing".to_owned(),
    }
}
