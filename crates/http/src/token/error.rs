//! Why a token is refused, for whoever runs the hub.
//!
//! The sentences go to debug logs and to whoever explains a token; whoever sent it hears `invalid_token` and no more
//! (M-104). None of them quotes the token, a key or the text of a claim, but for a matcher
//! that an [`Explanation`](super::Explanation) finds fault with.

use std::fmt;
use std::time::Duration;

use fanfare_hub::MatcherError;

use super::algorithm::Algorithm;
use super::details::DetailFault;
use super::span::rounded;
use super::verifier::Role;

/// Why a token was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// It is longer than a token may be.
    TooLong {
        /// Its length.
        bytes: usize,
        /// [`TokenLimits::token_bytes`](super::TokenLimits::token_bytes).
        limit: usize,
    },
    /// It is not three parts of base64url without padding, joined by dots.
    NotCompact,
    /// A part is not a JSON object.
    NotJson {
        /// Which one.
        part: Part,
    },
    /// Two members of one object have the same name.
    DuplicateMember {
        /// Where.
        part: Part,
    },
    /// Objects and arrays lie too deep in each other.
    TooDeep {
        /// Where.
        part: Part,
        /// [`TokenLimits::json_depth`](super::TokenLimits::json_depth).
        limit: usize,
    },
    /// A header parameter has the wrong JSON type.
    MalformedHeader {
        /// Its name.
        name: &'static str,
    },
    /// The header `crit` asks for an extension; none is known.
    Critical,
    /// The header `alg` is missing, is `none`, or names nothing that is known.
    UnknownAlgorithm,
    /// No key that the token may be checked with is for its algorithm.
    AlgorithmNotAllowed {
        /// That of the token.
        algorithm: Algorithm,
        /// Those of the keys.
        allowed: Vec<Algorithm>,
    },
    /// The header `typ` is not `at+jwt`.
    NotAccessToken,
    /// The token is of the older protocol, and no key is configured for that.
    LegacyOff {
        /// What it was presented for.
        role: Role,
    },
    /// A claim has the wrong JSON type.
    MalformedClaim {
        /// Its name.
        name: &'static str,
    },
    /// A claim that must be there is missing.
    MissingClaim {
        /// Its name.
        name: &'static str,
    },
    /// The claim `iss` is none of the trusted issuers.
    UnknownIssuer,
    /// The issuer is trusted, but not for this.
    NoKeys {
        /// What the token was presented for.
        role: Role,
    },
    /// None of the keys has the token's `kid`.
    UnknownKeyId,
    /// The set of the issuer's keys could not be read yet.
    KeysUnavailable,
    /// No key made the signature.
    Signature {
        /// The keys of this role were tried.
        role: Role,
    },
    /// The claim `exp` has passed.
    Expired {
        /// How long ago, leeway included.
        ago: Duration,
    },
    /// The claim `nbf` lies ahead.
    NotYetValid {
        /// How far, leeway included.
        ahead: Duration,
    },
    /// The claim `aud` does not name this hub.
    Audience {
        /// What it must contain: one of these.
        expected: Vec<String>,
    },
    /// A Mercure entry of `authorization_details` is defective, which makes the whole token so.
    Detail {
        /// Its place in the claim, counted from 0.
        index: usize,
        /// What is wrong with it.
        fault: DetailFault,
    },
    /// A claim holds more than it may.
    TooMany {
        /// What there are too many of.
        what: Counted,
        /// The limit.
        limit: usize,
    },
    /// A matcher of the claim `mercure` is defective.
    LegacyMatcher {
        /// What is wrong with it.
        fault: DetailFault,
    },
    /// A matcher does not compile, or costs too much with the others of the token. A verifier does not look; an
    /// [`Explanation`](super::Explanation) does, as the hub does.
    Matcher(MatcherError),
}

/// A part of a token that holds JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first.
    Header,
    /// The second.
    Claims,
}

/// What a token may hold only so many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Mercure authorization details.
    Details,
    /// Topic matchers in them.
    Topics,
    /// Matchers in a claim of the older protocol.
    LegacyMatchers,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes, limit } => {
                write!(f, "the token has {bytes} bytes; at most {limit} are allowed")
            }
            Self::NotCompact => f.write_str(
                "the token is not three parts of base64url without padding, joined by dots (JWS compact)",
            ),
            Self::NotJson { part } => write!(f, "the token's {part} is not a JSON object"),
            Self::DuplicateMember { part } => {
                write!(f, "an object in the token's {part} has two members of one name")
            }
            Self::TooDeep { part, limit } => {
                write!(f, "objects and arrays in the token's {part} lie more than {limit} levels deep")
            }
            Self::MalformedHeader { name } => write!(f, "the header {name:?} has the wrong JSON type"),
            Self::Critical => f.write_str("the header \"crit\" asks for an extension, and none is supported"),
            Self::UnknownAlgorithm => f.write_str(
                "the header \"alg\" is missing, is \"none\", or names no algorithm that is supported",
            ),
            Self::AlgorithmNotAllowed { algorithm, allowed } => {
                write!(
                    f,
                    "the token is signed with {algorithm}, but the keys that are configured for it are for "
                )?;
                join(f, allowed, "nothing")
            }
            Self::NotAccessToken => f.write_str("the header \"typ\" is not \"at+jwt\""),
            Self::LegacyOff { role } => write!(
                f,
                "the token is of the older protocol (claim \"mercure\", no Mercure entry in \"authorization_details\"), \
                 and no {role} key is configured for that"
            ),
            Self::MalformedClaim { name } => write!(f, "the claim {name:?} has the wrong JSON type"),
            Self::MissingClaim { name } => write!(f, "the claim {name:?} is missing"),
            Self::UnknownIssuer => f.write_str(
                "the claim \"iss\" is not a trusted issuer (it is compared character by character)",
            ),
            Self::NoKeys { role } => write!(f, "the token's issuer has no {role} key"),
            Self::UnknownKeyId => f.write_str("the issuer's keys include none with the token's \"kid\""),
            Self::KeysUnavailable => f.write_str("the issuer's key set could not be read yet"),
            Self::Signature { role } => {
                write!(f, "the signature was not made with a {role} key that is configured")
            }
            Self::Expired { ago } => write!(f, "the token expired {} ago (claim \"exp\")", rounded(*ago)),
            Self::NotYetValid { ahead } => {
                write!(f, "the token becomes valid only in {} (claim \"nbf\")", rounded(*ahead))
            }
            Self::Audience { expected } => {
                f.write_str("the claim \"aud\" does not contain this hub's resource identifier, ")?;
                join(f, expected, "of which there is none")
            }
            Self::Detail { index, fault } => write!(f, "entry {index} of \"authorization_details\": {fault}"),
            Self::TooMany { what, limit } => write!(f, "the token has more than {limit} {what}"),
            Self::LegacyMatcher { fault } => write!(f, "a matcher of the claim \"mercure\": {fault}"),
            Self::Matcher(_) => f.write_str("the hub cannot use the topics that it grants"),
        }
    }
}

impl std::error::Error for TokenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Matcher(error) => Some(error),
            _ => None,
        }
    }
}

/// Writes `items` with commas between, or `none`.
fn join(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display], none: &str) -> fmt::Result {
    if items.is_empty() {
        return f.write_str(none);
    }
    for (number, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if number == 0 { "" } else { ", " })?;
    }
    Ok(())
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Claims => "claims",
        })
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Details => "Mercure entries in \"authorization_details\"",
            Self::Topics => "topics in \"authorization_details\"",
            Self::LegacyMatchers => "matchers in the claim \"mercure\"",
        })
    }
}
