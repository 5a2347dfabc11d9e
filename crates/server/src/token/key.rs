//! Reads the keys that `fanfare token` is given: as `serve` reads them, as a text or from a file.
//!
//! It never prints one.

use fanfare_http::token::{Algorithm, Key, SigningKey};

use super::{Refusal, at};
use crate::access::key_text;
use crate::secret::Secret;

/// The key that `--{flag}` gives, and its algorithm: HS256 for a secret; a PEM block does not say for what it is used.
fn read(given: &Secret, named: Option<Algorithm>, flag: &str) -> Result<(Algorithm, Secret), Refusal> {
    let text = key_text(given).map_err(|reason| at(flag)(&reason))?;
    match named {
        Some(algorithm) => Ok((algorithm, text)),
        None if text.expose().contains("-----BEGIN ") => Err(at(flag)(
            &"this is a key in PEM, so its algorithm must be named, such as RS256, ES256 or EdDSA",
        )),
        None => Ok((Algorithm::Hs256, text)),
    }
}

pub(super) fn checking(given: &Secret, named: Option<Algorithm>, flag: &str) -> Result<Key, Refusal> {
    let (algorithm, text) = read(given, named, flag)?;
    let text = text.expose();
    let key = if algorithm.is_symmetric() { Key::secret(algorithm, text) } else { Key::pem(algorithm, text) };
    key.map_err(|error| at(flag)(&error))
}

pub(super) fn signing(given: &Secret, named: Option<Algorithm>, flag: &str) -> Result<SigningKey, Refusal> {
    let (algorithm, text) = read(given, named, flag)?;
    let text = text.expose();
    let key = if algorithm.is_symmetric() {
        SigningKey::secret(algorithm, text)
    } else {
        SigningKey::pem(algorithm, text)
    };
    key.map_err(|error| at(flag)(&error))
}
