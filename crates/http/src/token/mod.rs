//! Tokens: who made one, what it grants, and for how long.
//!
//! [`Verifier`] checks a token of the [Mercure protocol](https://mercure.rocks/spec) and answers its [`Claims`], or the
//! reason for its refusal. Nothing here knows of requests: where a token stands, and what an answer looks like, is decided
//! by whoever asks. Source: requirements M-095 to M-119 and M-196 to M-201.

mod algorithm;
mod builder;
mod claims;
mod crypto;
mod details;
mod error;
mod explain;
#[cfg(feature = "jwks")]
mod fetch;
mod json;
mod jwk;
mod jws;
mod key;
mod key_set;
mod key_source;
mod keys;
mod legacy;
mod limits;
mod mint;
mod signing_key;
mod span;
mod verifier;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use builder::{BuildError, Issuer, VerifierBuilder};
pub use claims::Claims;
pub use details::{DETAIL_TYPE, Detail, DetailFault, Language, TopicMatcher};
pub use error::{Counted, Part, TokenError};
pub use explain::{Explanation, Parts};
#[cfg(feature = "jwks")]
pub use fetch::{Fetch, FetchError, FetchSetupError};
pub use jwk::JwksError;
pub use key::{Key, KeyError, SECRET_BYTES_MIN};
pub use key_set::KeySet;
pub use key_source::KeySetError;
pub use keys::Keys;
pub use limits::TokenLimits;
pub use mint::{Mint, MintError};
pub use signing_key::SigningKey;
pub use verifier::{Role, Verifier};
