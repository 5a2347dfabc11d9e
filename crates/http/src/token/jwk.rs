//! Reads the public keys of a JSON Web Key Set.
//!
//! Keys that are not for checking signatures, or of a kind that is not known, are left out, as RFC 7517 § 5 asks. Secrets
//! are left out too: a set is a thing that is handed around. Source: requirements M-097, M-098 and M-106.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde_json::Value;

use super::algorithm::{Algorithm, Family};
use super::key::Key;

/// A signature is checked against every key that fits, so their number is bounded.
pub(super) const KEYS_MAX: usize = 64;

/// Why a text is not a set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwksError {
    /// It is not a JSON object with an array `keys`.
    Malformed,
    /// It holds more than 64 keys.
    TooMany,
    /// None of its keys is one that tokens can be checked with.
    NoUsableKey,
}

/// Reads all keys of `json` that can be used.
pub(super) fn keys(json: &[u8]) -> Result<Vec<Key>, JwksError> {
    let set: Value = serde_json::from_slice(json).map_err(|_| JwksError::Malformed)?;
    let entries = set.get("keys").and_then(Value::as_array).ok_or(JwksError::Malformed)?;
    if entries.len() > KEYS_MAX {
        return Err(JwksError::TooMany);
    }
    let keys: Vec<Key> = entries.iter().filter_map(key).collect();
    if keys.is_empty() { Err(JwksError::NoUsableKey) } else { Ok(keys) }
}

fn key(entry: &Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(entry.clone()).ok()?;
    if !is_for_signatures(&jwk) {
        return None;
    }
    let family = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Family::Rsa,
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => Family::P256,
            EllipticCurve::P384 => Family::P384,
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Family::Ed25519,
        _ => return None,
    };
    let named: Option<Algorithm> = match entry.get("alg") {
        None => None,
        // One that is not known is for something else, such as encryption.
        Some(name) => Some(name.as_str()?.parse().ok()?),
    };
    let fits =
        |algorithm: &Algorithm| algorithm.family() == family && named.is_none_or(|named| named == *algorithm);
    let algorithms: Vec<Algorithm> = Algorithm::ALL.into_iter().filter(fits).collect();
    if algorithms.is_empty() {
        return None;
    }
    let id = jwk.common.key_id.as_deref().map(Arc::from);
    Key::public(id, family, algorithms, &DecodingKey::from_jwk(&jwk).ok()?).ok()
}

fn is_for_signatures(jwk: &Jwk) -> bool {
    let used = !matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_)));
    let allowed =
        jwk.common.key_operations.as_ref().is_none_or(|allowed| allowed.contains(&KeyOperations::Verify));
    used && allowed
}

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the text is not a JSON Web Key Set, an object with an array \"keys\""),
            Self::TooMany => write!(f, "the key set has more than {KEYS_MAX} keys"),
            Self::NoUsableKey => f.write_str(
                "the key set holds no public key that tokens can be checked with (RSA of 2048 bits or more, P-256, P-384, Ed25519)",
            ),
        }
    }
}

impl std::error::Error for JwksError {}
