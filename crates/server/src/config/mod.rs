//! Where settings come from: flags, variables, a file, defaults; what stands further left wins.
//!
//! Each layer is turned into arguments and read by the one parser that also reads the command line, so a value means the same
//! wherever it stands. Nothing here knows what a setting is for.

mod command;
mod failure;
mod file;
mod layers;
mod setting;
mod template;
mod variables;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, FromArgMatches};

pub(crate) use failure::Failure;
pub(crate) use setting::{Origin, Set};
pub(crate) use template::init;

use self::layers::Layers;
use crate::flags::{self, Flags, Init, Serve};

/// The file that is read without being asked for.
const FILE: &str = "fanfare.toml";

/// What the program is asked to do.
pub(crate) enum Ask {
    Serve(Box<Config>),
    Check(Box<Config>),
    Init(Init),
}

/// All settings, and where they come from.
pub(crate) struct Config {
    pub(crate) serve: Serve,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    /// What is not left at its default, in the order of the flags.
    pub(crate) set: Vec<Set>,
    /// What whoever wrote the settings should know, in whole sentences.
    pub(crate) notes: Vec<String>,
}

/// Reads the command line, the environment and the file.
///
/// # Errors
/// The first value that is not understood, with the place where it stands.
pub(crate) fn read(
    arguments: &[OsString],
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Ask, Failure> {
    let command = command::command();
    let given =
        parse(&command, arguments).map_err(|error| Failure::CommandLine(explained(error, arguments)))?;
    let Some((subcommand @ ("serve" | "check"), matches)) = given.subcommand() else {
        return ask(&given, None);
    };
    let mut layers = Layers::over(&command, matches);
    let variables = variables::settings(environment, &command);
    layers.add(variables.settings)?;
    let file =
        match layers.added_file().map(Path::new).or(matches.get_one(command::CONFIG).map(PathBuf::as_path)) {
            Some(path) => Some((path.to_owned(), content(path)?)),
            None => content_if_there(Path::new(FILE))?.map(|text| (PathBuf::from(FILE), text)),
        };
    if let Some((path, text)) = &file {
        layers.add(file::settings(path, text, &command)?)?;
    }

    let all = parse(&command, &layers.arguments(arguments, subcommand)).map_err(Failure::Together)?;
    let set = all.subcommand().map_or_else(Vec::new, |(_, matches)| layers.set(matches));
    let file = file.map(|(path, _)| path);
    ask(&all, Some(Found { file, set, notes: variables.notes }))
}

struct Found {
    file: Option<PathBuf>,
    set: Vec<Set>,
    notes: Vec<String>,
}

fn ask(matches: &ArgMatches, found: Option<Found>) -> Result<Ask, Failure> {
    let flags = Flags::from_arg_matches(matches).map_err(Failure::CommandLine)?;
    let Found { file, set, notes } =
        found.unwrap_or(Found { file: None, set: Vec::new(), notes: Vec::new() });
    let config = |serve: Box<Serve>| Box::new(Config { serve: *serve, file, set, notes });
    Ok(match flags.command {
        flags::Command::Serve(serve) => Ask::Serve(config(serve)),
        flags::Command::Check(serve) => Ask::Check(config(serve)),
        flags::Command::Config(flags::Config::Init(init)) => Ask::Init(init),
    })
}

fn parse(command: &Command, arguments: &[OsString]) -> Result<ArgMatches, clap::Error> {
    command.clone().try_get_matches_from(arguments)
}

/// Help names the variables; parsing does not look at them.
fn explained(error: clap::Error, arguments: &[OsString]) -> clap::Error {
    match error.kind() {
        ErrorKind::DisplayHelp => parse(&command::command_for_help(), arguments).err().unwrap_or(error),
        _ => error,
    }
}

fn content(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::Unreadable { path: path.to_owned(), error })
}

fn content_if_there(path: &Path) -> Result<Option<String>, Failure> {
    match content(path) {
        Err(Failure::Unreadable { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}
