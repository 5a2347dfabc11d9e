//! Why tokens could not be revoked, and why one is not honoured.

use std::fmt;

use fanfare_hub::PublishError;

use super::rule::RevocationId;

/// Why something could not be revoked, or lifted.
#[derive(Debug)]
#[non_exhaustive]
pub enum RevokeError {
    /// As many revocations hold as may.
    Full {
        /// [`Revocations::MAX`](super::Revocations::MAX).
        limit: usize,
    },
    /// The name of a subject, a token or an issuer is longer than it may be.
    NameTooLong {
        /// Its length.
        bytes: usize,
        /// [`Revocations::NAME_BYTES_MAX`](super::Revocations::NAME_BYTES_MAX).
        limit: usize,
    },
    /// What was revoked before has not been read yet; see [`Revocations::follow`](super::Revocations::follow).
    NotFollowed,
    /// The log did not take it, or does not say whether it did.
    Log(PublishError),
    /// It could not be written as JSON.
    Json(serde_json::Error),
}

impl fmt::Display for RevokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { limit } => write!(f, "at most {limit} revocations may hold; lift some"),
            Self::NameTooLong { bytes, limit } => {
                write!(f, "the name has {bytes} bytes; at most {limit} are allowed")
            }
            Self::NotFollowed => f.write_str("what was revoked before has not been read from the log yet"),
            Self::Log(_) => f.write_str("the log did not take the revocation"),
            Self::Json(_) => f.write_str("the revocation cannot be written as JSON"),
        }
    }
}

impl std::error::Error for RevokeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Log(error) => Some(error),
            Self::Json(error) => Some(error),
            _ => None,
        }
    }
}

/// Another log was there before this node had read from it what it wrote.
#[derive(Debug)]
pub(super) struct BegunAnew;

impl fmt::Display for BegunAnew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the log began anew meanwhile")
    }
}

impl std::error::Error for BegunAnew {}

/// Why a genuine token is not honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revoked {
    /// By this revocation.
    By(RevocationId),
    /// It is not known yet what is revoked.
    Unknown,
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(id) => write!(f, "the token was revoked, by revocation {id}"),
            Self::Unknown => f.write_str("it is not known yet what was revoked"),
        }
    }
}

impl std::error::Error for Revoked {}
