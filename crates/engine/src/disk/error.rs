//! What can go wrong with a log on disk, in the words of whoever has to mend it.
//!
//! [`OpenError`] is for the start, [`DiskFault`] for what happens later, when the hub is at work.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fanfare_hub::Position;

/// Why a log could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process uses the folder.
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A newer release wrote it.
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The number of its format.
        format: u32,
    },
    /// A file holds what was never written, and what was acknowledged is missing.
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first byte that is not as it was written.
        at: u64,
    },
    /// A file is not there.
    Missing {
        /// The folder.
        folder: PathBuf,
        /// What it would have held, or the file's name.
        what: String,
    },
    /// The folder or a file in it cannot be used.
    Io {
        /// What was tried: "read", "write".
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's answer.
        error: io::Error,
    },
    /// The system refused something that is no file.
    System {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        error: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(what: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), error }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { folder } => {
                write!(
                    f,
                    "another process uses the log in {}; stop it, or choose another folder",
                    folder.display()
                )
            }
            Self::NewerFormat { path, format } => write!(
                f,
                "{} was written by a newer release (format {format}); start that one, or choose another folder",
                path.display()
            ),
            Self::Damaged { path, at } => write!(
                f,
                "{} is damaged at byte {at}, and entries that were acknowledged may be lost; restore the folder from a backup, \
                 or move it away to begin a new log, of which subscribers are told by a gap",
                path.display()
            ),
            Self::Missing { folder, what } => write!(
                f,
                "{what} is missing in {}; restore the folder from a backup, or move it away to begin a new log",
                folder.display()
            ),
            Self::Io { what, path, error } => match error.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => write!(
                    f,
                    "cannot {what} {}: this user may not write there; the log needs a folder of its own that it can write to",
                    path.display()
                ),
                _ => write!(f, "cannot {what} {}", path.display()),
            },
            Self::System { what, .. } => write!(f, "the system could not {what}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } | Self::System { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Why a log on disk does not take publications, or cannot be read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DiskFault {
    /// The disk has no room. Publications are taken again as soon as it has.
    Full(Arc<io::Error>),
    /// Writing failed. Nothing is taken before the log is opened again, which looks at its newest entries.
    Broken(Arc<io::Error>),
    /// More publications wait for the disk than are allowed to.
    Busy,
    /// An entry is too large for the format.
    TooLarge,
    /// An entry cannot be read back as it was written.
    DamagedEntry {
        /// Where it stands.
        position: Position,
    },
    /// Reading failed.
    Unreadable(Arc<io::Error>),
    /// The engine is being shut down, or one of its threads has died.
    Gone,
}

impl DiskFault {
    pub(super) fn unreadable(error: io::Error) -> Self {
        Self::Unreadable(Arc::new(error))
    }
}

impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the disk of the log is full; publications are taken again once it has room"),
            Self::Broken(_) => f.write_str(
                "the log could not be written to; check the disk and start again: nothing is taken before its newest entries have been looked at",
            ),
            Self::Busy => f.write_str("too many publications wait for the disk"),
            Self::TooLarge => f.write_str("the publication is too large for the log's format"),
            Self::DamagedEntry { position } => write!(f, "the entry at position {position} is damaged on disk"),
            Self::Unreadable(_) => f.write_str("the log could not be read"),
            Self::Gone => f.write_str("the log is closed"),
        }
    }
}

impl std::error::Error for DiskFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Full(error) | Self::Broken(error) | Self::Unreadable(error) => Some(&**error),
            _ => None,
        }
    }
}
