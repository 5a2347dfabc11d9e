//! Why a request may not even try, and what it is told.

use std::fmt;

use crate::causes::Causes;
use crate::refusal::{Challenge, Refusal};
use crate::revocation::RevokedToken;

/// Why a request was not let through.
///
/// The client learns which of these it was. What was wrong with a token it does not learn (M-104); that is told in the
/// log, at level debug.
#[derive(Debug)]
#[non_exhaustive]
pub enum Denied {
    /// Somebody has to say who they are, and nobody did: 401.
    NoToken,
    /// What was shown does not hold: 401.
    Invalid(Box<dyn std::error::Error + Send + Sync>),
    /// It was not shown as it has to be, for the reason given as a sentence: 400.
    Presentation(&'static str),
    /// A web page of an origin that may not publish sent the browser's cookie along: 400.
    ForeignOrigin,
    /// They may not, for the reason given as a sentence: 403.
    Forbidden(&'static str),
    /// It cannot be decided now: 503.
    Unavailable,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoToken => "a token is needed",
            Self::Invalid(_) => "the token is not valid here",
            Self::Presentation(_) => "the token was not sent as it has to be",
            Self::ForeignOrigin => "the page may not publish with a cookie",
            Self::Forbidden(_) => "it is not allowed",
            Self::Unavailable => "tokens cannot be checked now",
        })
    }
}

impl std::error::Error for Denied {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid(error) => Some(&**error),
            _ => None,
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NoToken => Self::unauthorized(
                "This needs a token: send it in the header Authorization, as `Bearer` and the token.",
            ),
            Denied::Invalid(reason) => {
                tracing::debug!(reason = %Causes(&*reason), "refused a token");
                Self::unauthorized("The token is not valid here.").challenge(Challenge::InvalidToken)
            }
            Denied::Presentation(sentence) => Self::bad(sentence).challenge(Challenge::InvalidRequest),
            Denied::ForeignOrigin => Self::bad(
                "A page of this origin may not publish with a cookie (headers Origin and Referer); use the header Authorization.",
            )
            .challenge(Challenge::InvalidRequest),
            Denied::Forbidden(sentence) => Self::forbidden(sentence),
            Denied::Unavailable => {
                Self::unavailable("Tokens cannot be checked now.", fanfare_wire::jitter::reconnection_time())
            }
        }
    }
}

impl From<RevokedToken> for Denied {
    fn from(revoked: RevokedToken) -> Self {
        match revoked {
            RevokedToken::By(_) => Self::Invalid(revoked.into()),
            RevokedToken::Unknown => Self::Unavailable,
        }
    }
}
