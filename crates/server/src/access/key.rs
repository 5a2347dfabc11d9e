//! What a token is checked with: a key, or a JWK set.
//!
//! It reads a key from where it is kept and sees that it goes with its algorithm. It parses no key and fetches no set.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use fanfare_http::token::{Algorithm, Key, UnknownAlgorithm};
use url::Url;

use crate::secret::Secret;

/// What the tokens of one role are checked with.
#[derive(Clone, Debug)]
pub(crate) enum Verification {
    /// With a secret or a public key.
    Key {
        key: Key,
        /// Whether everybody can look it up.
        is_well_known: bool,
    },
    /// With the JWK set at this URL, whose scheme is `https`, `http` or `file`.
    KeySet { url: Url, algorithms: Vec<Algorithm> },
}

/// How a key was written down.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Itself, or the name of its file behind an `@`.
    Ours,
    /// Always itself, as in the variables of the reference hub.
    Literal,
}

impl Verification {
    /// A key with its algorithm, if one was named.
    pub(super) fn key(text: &Secret, form: Form, algorithms: &[Algorithm]) -> Result<Self, String> {
        let text = if form == Form::Ours { self::text(text)? } else { with_line_ends(text.clone()) };
        let is_pem = text.expose().trim_start().starts_with("-----BEGIN ");
        let algorithm = match *algorithms {
            [] if is_pem => {
                return Err(
                    "a key in PEM needs its algorithm to be said, such as RS256, ES256 or EdDSA".to_owned()
                );
            }
            [] => Algorithm::Hs256,
            [algorithm] => algorithm,
            _ => return Err("a key has one algorithm, not several".to_owned()),
        };
        let key = if is_pem || !algorithm.is_symmetric() {
            Key::pem(algorithm, text.expose())
        } else {
            Key::secret(algorithm, text.expose())
        };
        let is_well_known = text.expose() == super::DEVELOPMENT_KEY;
        key.map(|key| Self::Key { key, is_well_known }).map_err(|error| error.to_string())
    }

    /// A JWK set, with the algorithms it may be used with.
    pub(super) fn key_set(url: &Secret, algorithms: &[Algorithm]) -> Result<Self, String> {
        const EXPECTED: &str =
            "write the URL of a JWK set: https://… or file:///…, without a user's name and password";
        let url = Url::parse(url.expose()).map_err(|_| EXPECTED)?;
        let is_at_host = matches!(url.scheme(), "https" | "http") && url.has_host();
        if !(is_at_host || url.scheme() == "file") || !url.username().is_empty() || url.password().is_some() {
            return Err(EXPECTED.to_owned());
        }
        match algorithms.iter().find(|algorithm| algorithm.is_symmetric()) {
            Some(symmetric) => {
                Err(format!("the keys of a JWK set are public, so {symmetric} cannot be used with them"))
            }
            None => Ok(Self::KeySet { url, algorithms: algorithms.to_vec() }),
        }
    }

    /// Whether a key set would be fetched by plain HTTP.
    pub(super) fn comes_without_tls(&self) -> bool {
        matches!(self, Self::KeySet { url, .. } if url.scheme() == "http")
    }
}

/// The algorithm of this name. It may be a key that was written into the wrong setting, so it is not repeated.
pub(super) fn algorithm(name: &str) -> Result<Algorithm, String> {
    name.parse().map_err(|error: UnknownAlgorithm| error.to_string())
}

/// The key itself, or what stands in the file that it names.
pub(crate) fn text(text: &Secret) -> Result<Secret, String> {
    read(text).map(with_line_ends)
}

/// The secret itself, or what stands in the file that it names.
pub(crate) fn read(text: &Secret) -> Result<Secret, String> {
    let path = match text.expose() {
        "" => return Err("a key cannot be empty".to_owned()),
        text if text.starts_with('@') => PathBuf::from(&text[1..]),
        text if text.starts_with("file://") => Url::parse(text)
            .ok()
            .and_then(|url| url.to_file_path().ok())
            .ok_or("this is no URL of a file; write file:///folder/file, or @ and a path")?,
        _ => return Ok(text.clone()),
    };
    let bytes =
        fs::read(&path).map_err(|error| format!("the file {} cannot be read: {error}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("the file {} is not text", path.display()))?;
    // Editors and `echo` end a file with a line end, which was never meant.
    let text = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
    match text {
        "" => Err(format!("the file {} is empty", path.display())),
        text => Ok(text.to_owned().into()),
    }
}

/// Where a variable can hold but one line, people write the line ends of PEM as `\n`.
fn with_line_ends(text: Secret) -> Secret {
    let is_one_line = text.expose().starts_with("-----BEGIN ") && !text.expose().contains('\n');
    if is_one_line { text.expose().replace("\\n", "\n").into() } else { text }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { key, .. } => {
                let names: Vec<_> = key.algorithms().iter().map(Algorithm::to_string).collect();
                write!(f, "a key for {}", names.join(", "))
            }
            // What stands behind the path may be a secret.
            Self::KeySet { url, algorithms } => {
                let host = url.host_str().unwrap_or_default();
                write!(f, "the JWK set at {}://{host}{}", url.scheme(), url.path())?;
                let names: Vec<_> = algorithms.iter().map(Algorithm::to_string).collect();
                if names.is_empty() { Ok(()) } else { write!(f, " for {}", names.join(", ")) }
            }
        }
    }
}
