//! Takes a token apart: JWS compact serialisation.
//!
//! What it returns is what somebody wrote, and nothing of it may be believed before the signature was checked.
//! Source: [RFC 7515 § 7.1](https://www.rfc-editor.org/rfc/rfc7515#section-7.1), requirements M-095 and M-098.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use super::algorithm::Algorithm;
use super::error::{Part, TokenError};
use super::json::{self, Fault, Object};
use super::limits::TokenLimits;

/// A token taken apart, without a word about whether it is genuine.
#[derive(Debug)]
pub(super) struct Unverified<'a> {
    pub(super) header: Object,
    pub(super) claims: Object,
    /// What is signed: header and claims as they were sent.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    pub(super) fn parse(token: &'a str, limits: &TokenLimits) -> Result<Self, TokenError> {
        if token.len() > limits.token_bytes {
            return Err(TokenError::TooLong { bytes: token.len(), limit: limits.token_bytes });
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::NotCompact)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::NotCompact)?;
        Ok(Self {
            header: object(header, Part::Header, limits)?,
            claims: object(claims, Part::Claims, limits)?,
            signed: signed.as_bytes(),
            signature: base64_url(signature)?,
        })
    }

    /// The algorithm that the token says it is signed with: to be held against those that a key is for, never believed.
    pub(super) fn algorithm(&self) -> Result<Algorithm, TokenError> {
        let name = self.header.get("alg").and_then(Value::as_str).ok_or(TokenError::UnknownAlgorithm)?;
        name.parse().map_err(|_| TokenError::UnknownAlgorithm)
    }

    /// Which of the trusted keys the token wants to be checked with. The headers `jwk`, `jku`, `x5u` and `x5c` are not
    /// read at all (M-098).
    pub(super) fn key_id(&self) -> Result<Option<&str>, TokenError> {
        match self.header.get("kid") {
            None => Ok(None),
            Some(Value::String(id)) => Ok(Some(id)),
            Some(_) => Err(TokenError::MalformedHeader { name: "kid" }),
        }
    }

    /// Refuses a token that asks for extensions, of which none is known here (RFC 7515 § 4.1.11).
    pub(super) fn refuse_critical(&self) -> Result<(), TokenError> {
        if self.header.contains_key("crit") { Err(TokenError::Critical) } else { Ok(()) }
    }

    /// Whether the header's type is `at+jwt`, with or without `application/`, in any case.
    pub(super) fn is_access_token(&self) -> bool {
        let Some(kind) = self.header.get("typ").and_then(Value::as_str) else { return false };
        ["at+jwt", "application/at+jwt"].iter().any(|known| kind.eq_ignore_ascii_case(known))
    }
}

fn object(encoded: &str, part: Part, limits: &TokenLimits) -> Result<Object, TokenError> {
    let json = base64_url(encoded)?;
    json::object(&json, limits.json_depth).map_err(|fault| match fault {
        Fault::Malformed => TokenError::NotJson { part },
        Fault::Duplicate => TokenError::DuplicateMember { part },
        Fault::Deep => TokenError::TooDeep { part, limit: limits.json_depth },
    })
}

/// Without padding and with no stray bits at the end, so that each token has one spelling.
fn base64_url(encoded: &str) -> Result<Vec<u8>, TokenError> {
    BASE64_URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenError::NotCompact)
}
