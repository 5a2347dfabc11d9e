//! One setting as it was written down: what it is called, its values, and where it stands.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// A setting of some layer, not looked at yet.
pub(super) struct Setting {
    /// The name of its flag, without the dashes in front.
    pub(super) long: String,
    pub(super) values: Vec<OsString>,
    pub(super) origin: Origin,
}

impl Setting {
    /// The arguments that say the same.
    pub(super) fn arguments(&self) -> impl Iterator<Item = OsString> {
        self.values.iter().map(|value| {
            let mut argument = OsString::from(format!("--{}=", self.long));
            argument.push(value);
            argument
        })
    }
}

/// Where a setting stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// On the command line.
    Flag,
    /// In the environment, under this name.
    Variable(String),
    /// In the environment, under a name of the reference hub.
    Reference(String),
    /// In a file. Lines are counted from 1.
    File { path: PathBuf, line: usize },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("command line"),
            Self::Variable(name) | Self::Reference(name) => f.write_str(name),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
        }
    }
}

/// A setting that counts, as it may be shown.
pub(crate) struct Set {
    /// The name of its flag, without the dashes in front.
    pub(crate) long: String,
    /// The values as they were written; of a secret, only that there is one.
    pub(crate) shown: String,
    pub(crate) origin: Origin,
}

/// Something that whoever wrote the settings should know, in a whole sentence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) is_warning: bool,
    pub(crate) sentence: String,
}

impl Note {
    pub(crate) fn warning(sentence: impl Into<String>) -> Self {
        Self { is_warning: true, sentence: sentence.into() }
    }

    pub(crate) fn info(sentence: impl Into<String>) -> Self {
        Self { is_warning: false, sentence: sentence.into() }
    }
}
