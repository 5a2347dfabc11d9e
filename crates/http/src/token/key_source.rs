//! Where a key set is read from, and how much of it.
//!
//! It parses nothing. The network is behind the feature `jwks`. Source: requirement M-106.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::jwk::JwksError;

/// The largest set.
pub(super) const SET_BYTES_MAX: usize = 256 * 1024;

/// How often a file is looked at.
const FILE_PAUSE: Duration = Duration::from_secs(10);

/// Where keys come from.
pub(super) enum Source {
    /// From configuration, once.
    Inline,
    File(PathBuf),
    #[cfg(feature = "jwks")]
    Network(super::fetch::Target),
}

/// Why a key set could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeySetError {
    /// The file could not be read.
    File(io::Error),
    /// It has more than 256 KiB.
    TooLarge,
    /// What was read is not a set of keys.
    Jwks(JwksError),
    /// It could not be fetched.
    #[cfg(feature = "jwks")]
    Fetch(super::fetch::FetchError),
}

impl Source {
    /// What stands there now, and after what time to look again; nothing if it never changes.
    pub(super) async fn read(&self) -> Result<Option<(Vec<u8>, Duration)>, KeySetError> {
        match self {
            Self::Inline => Ok(None),
            Self::File(path) => {
                let path = path.clone();
                // The whole file each time: a date of change would miss one that is written twice in a tick.
                let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
                let json = read.map_err(|stopped| KeySetError::File(io::Error::other(stopped)))??;
                Ok(Some((json, FILE_PAUSE)))
            }
            #[cfg(feature = "jwks")]
            Self::Network(target) => target.read().await.map(Some).map_err(KeySetError::Fetch),
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, KeySetError> {
    let mut json = Vec::new();
    let mut file = File::open(path).map_err(KeySetError::File)?.take(SET_BYTES_MAX as u64 + 1);
    file.read_to_end(&mut json).map_err(KeySetError::File)?;
    if json.len() > SET_BYTES_MAX { Err(KeySetError::TooLarge) } else { Ok(json) }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline => f.write_str("configuration"),
            Self::File(path) => path.display().fmt(f),
            #[cfg(feature = "jwks")]
            Self::Network(target) => target.fmt(f),
        }
    }
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(_) => f.write_str("the file could not be read"),
            Self::TooLarge => write!(f, "the key set has more than {SET_BYTES_MAX} bytes"),
            Self::Jwks(_) => f.write_str("what was read is not a usable key set"),
            #[cfg(feature = "jwks")]
            Self::Fetch(_) => f.write_str("the key set could not be fetched"),
        }
    }
}

impl std::error::Error for KeySetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            Self::TooLarge => None,
            Self::Jwks(error) => Some(error),
            #[cfg(feature = "jwks")]
            Self::Fetch(error) => Some(error),
        }
    }
}
