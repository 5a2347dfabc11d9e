//! Reads the keys that `fanfare token` is given: as a text, or from a file.
//!
//! It never prints one.

use std::fs;

use fanfare_http::token::{Algorithm, Key, SigningKey};

use super::{Refusal, at};

/// What begins like this is a file, which nobody else on the machine can read from the list of processes.
const FILE: char = '@';

/// The key that `--{flag}` gives: its own text, or that of a file, without a line break at the end of a secret.
pub(super) fn text(given: &str, flag: &str) -> Result<String, Refusal> {
    let path = given.strip_prefix("file://").or_else(|| given.strip_prefix(FILE));
    let Some(path) = path else { return Ok(given.to_owned()) };
    let text =
        fs::read_to_string(path).map_err(|error| at(flag)(&format!("{path} cannot be read: {error}")))?;
    let is_pem = text.contains("-----BEGIN ");
    Ok(if is_pem { text } else { text.trim_end_matches(['\r', '\n']).to_owned() })
}

/// HS256 for a secret; a PEM block does not say for what it is used.
fn algorithm(text: &str, named: Option<Algorithm>, flag: &str) -> Result<Algorithm, Refusal> {
    match named {
        Some(algorithm) => Ok(algorithm),
        None if text.contains("-----BEGIN ") => Err(at(flag)(
            &"this is a key in PEM, so its algorithm must be named, such as RS256, ES256 or EdDSA",
        )),
        None => Ok(Algorithm::Hs256),
    }
}

pub(super) fn checking(given: &str, named: Option<Algorithm>, flag: &str) -> Result<Key, Refusal> {
    let text = text(given, flag)?;
    let algorithm = algorithm(&text, named, flag)?;
    let key =
        if algorithm.is_symmetric() { Key::secret(algorithm, &text) } else { Key::pem(algorithm, &text) };
    key.map_err(|error| at(flag)(&error))
}

pub(super) fn signing(given: &str, named: Option<Algorithm>, flag: &str) -> Result<SigningKey, Refusal> {
    let text = text(given, flag)?;
    let algorithm = algorithm(&text, named, flag)?;
    let key = if algorithm.is_symmetric() {
        SigningKey::secret(algorithm, &text)
    } else {
        SigningKey::pem(algorithm, &text)
    };
    key.map_err(|error| at(flag)(&error))
}
