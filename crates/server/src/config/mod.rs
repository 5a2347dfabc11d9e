//! Where settings come from: flags, variables, a file, defaults; what stands further left wins.
//!
//! Each layer is turned into arguments and read by the one parser that also reads the command line, so a value means the same
//! wherever it stands. Nothing here knows what a setting is for.

mod command;
mod failure;
mod file;
mod issuer;
mod layers;
mod reference;
mod setting;
mod template;
mod variables;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, FromArgMatches};

pub(crate) use failure::Failure;
pub(crate) use issuer::IssuerTable;
pub(crate) use setting::{Note, Origin, Set};
pub(crate) use template::init;

use self::command::CONFIG;
use self::layers::Layers;
use self::variables::Variables;
use crate::flags::{self, Flags, Init, Serve};
use crate::revoke::Revoke;
use crate::token::Token;

/// The flag with which there is HTTPS.
const CERTIFICATE: &str = "tls-cert";

/// The file that is read without being asked for.
const FILE: &str = "fanfare.toml";

/// What the program is asked to do.
pub(crate) enum Ask {
    Serve(Box<Config>),
    Check(Box<Config>),
    Init(Init),
    Token(Box<Token>),
    Revoke(Box<Revoke>),
    /// Copies a log.
    Copy(Box<crate::copy::Copy>),
}

/// All settings, and where they come from.
pub(crate) struct Config {
    pub(crate) serve: Serve,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    /// What is not left at its default, in the order of the flags.
    pub(crate) set: Vec<Set>,
    /// The tables `[[issuer]]` of the file.
    pub(crate) issuers: Vec<IssuerTable>,
    /// What whoever wrote the settings should know.
    pub(crate) notes: Vec<Note>,
}

impl Config {
    /// Where the setting of the flag `--long` stands; none if it is left at its default.
    pub(crate) fn origin(&self, long: &str) -> Option<&Origin> {
        self.set.iter().find(|set| set.long == long).map(|set| &set.origin)
    }

    /// Says that the flag `--long` cannot be what it is, with the place where it is set.
    pub(crate) fn refuse(&self, long: &str, reason: &str) -> Failure {
        let origin = self.origin(long).cloned().unwrap_or(Origin::Flag);
        Failure::Setting { origin, long: long.to_owned(), reason: reason.to_owned() }
    }
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
        return ask(&given, Found::default());
    };
    let environment: BTreeMap<OsString, OsString> = environment.into_iter().collect();
    let mut layers = Layers::over(&command, matches);
    let Variables { settings, mut notes } = variables::settings(&environment, &command);
    layers.add(settings)?;
    let named = layers.added_file().map(Path::new).or(matches.get_one(CONFIG).map(PathBuf::as_path));
    let file = match named {
        Some(path) => Some((path.to_owned(), content(path)?)),
        None => content_if_there(Path::new(FILE))?.map(|text| (PathBuf::from(FILE), text)),
    };
    let content = match &file {
        Some((path, text)) => file::read(path, text, &command)?,
        None => file::Content::default(),
    };
    // Also one that the file below names makes HTTPS possible.
    let has_certificate = layers.origin(CERTIFICATE).is_some()
        || content.settings.iter().any(|setting| setting.long == CERTIFICATE);
    reference::add(&environment, has_certificate, &mut layers, &mut notes)?;
    layers.add(content.settings)?;

    let all = parse(&command, &layers.arguments(arguments, subcommand)).map_err(Failure::Together)?;
    let set = all.subcommand().map_or_else(Vec::new, |(_, matches)| layers.set(matches));
    let file = file.map(|(path, _)| path);
    ask(&all, Found { file, set, issuers: content.issuers, notes })
}

#[derive(Default)]
struct Found {
    file: Option<PathBuf>,
    set: Vec<Set>,
    issuers: Vec<IssuerTable>,
    notes: Vec<Note>,
}

fn ask(matches: &ArgMatches, Found { file, set, issuers, notes }: Found) -> Result<Ask, Failure> {
    let flags = Flags::from_arg_matches(matches).map_err(Failure::CommandLine)?;
    let config = |serve: Box<Serve>| Box::new(Config { serve: *serve, file, set, issuers, notes });
    Ok(match flags.command {
        flags::Command::Serve(serve) => Ask::Serve(config(serve)),
        flags::Command::Check(serve) => Ask::Check(config(serve)),
        flags::Command::Config(flags::Config::Init(init)) => Ask::Init(init),
        flags::Command::Token(token) => Ask::Token(Box::new(token)),
        flags::Command::Revoke(revoke) => Ask::Revoke(revoke),
        flags::Command::Copy(copy) => Ask::Copy(copy),
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
