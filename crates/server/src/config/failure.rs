//! Why the settings cannot be used, said so that whoever wrote them finds the place.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use super::Origin;

/// Why the settings cannot be used.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is not understood, or only asks for help.
    CommandLine(clap::Error),
    /// Settings of several layers do not go together. clap says why, in the terms of the flags.
    Together(clap::Error),
    /// The file cannot be read.
    Unreadable { path: PathBuf, error: io::Error },
    /// A setting is not understood, or cannot be what it is.
    Setting { origin: Origin, long: String, reason: String },
    /// What cannot be used as a whole.
    File { path: PathBuf, line: usize, reason: String },
    /// Something has to be set that is not. A whole sentence.
    Missing(String),
}

impl Failure {
    /// Says what is wrong, and how the program ends.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::CommandLine(error) => {
                // Help and the version are errors, too. Nobody has to listen.
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
            failure => {
                eprintln!("fanfare: {failure}");
                ExitCode::from(2)
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine(error) => write!(f, "{error}"),
            Self::Together(error) => {
                let text = error.to_string();
                let text = text.strip_prefix("error: ").unwrap_or(&text);
                write!(f, "the settings do not go together: {}", text.trim_end())
            }
            Self::Unreadable { path, error } => write!(f, "{} cannot be read: {error}", path.display()),
            Self::Setting { origin, long, reason } => match origin {
                Origin::Flag => write!(f, "--{long}: {reason}"),
                Origin::File { .. } => write!(f, "{origin}: {long}: {reason}"),
                // Its name says what it is.
                Origin::Variable(_) | Origin::Reference(_) => write!(f, "{origin}: {reason}"),
            },
            Self::File { path, line, reason } => write!(f, "{}, line {line}: {reason}", path.display()),
            Self::Missing(sentence) => f.write_str(sentence),
        }
    }
}
