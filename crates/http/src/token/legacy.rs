//! Reads what a token of the older protocol grants: the claim `mercure`.
//!
//! Whether such a token is taken at all is decided before, by the keys that are configured for it.
//! Source: requirements M-199 and M-201.

use serde_json::Value;

use super::details::{Detail, DetailFault, Language, TopicMatcher, match_type};
use super::error::{Counted, TokenError};
use super::json::Object;
use super::limits::TokenLimits;

/// The name that identity providers which ask for namespaced claims use; it wins.
const NAMESPACED: &str = "https://mercure.rocks/";

/// Whether there is such a claim.
pub(super) fn has_claim(claims: &Object) -> bool {
    claims.contains_key(NAMESPACED) || claims.contains_key("mercure")
}

/// Reads the claim as grants: one to publish, one to subscribe, and one more for each matcher with a payload of its own.
pub(super) fn details(claims: &Object, limits: &TokenLimits) -> Result<Vec<Detail>, TokenError> {
    let claim = match claims.get(NAMESPACED).or_else(|| claims.get("mercure")) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(claim)) => claim,
        Some(_) => return Err(TokenError::MalformedClaim { name: "mercure" }),
    };
    let publish = list(claim, "publish", "mercure.publish")?;
    let subscribe = list(claim, "subscribe", "mercure.subscribe")?;
    if publish.len() + subscribe.len() > limits.legacy_matchers {
        return Err(TokenError::TooMany { what: Counted::LegacyMatchers, limit: limits.legacy_matchers });
    }
    let payload = claim.get("payload").filter(|payload| !payload.is_null());
    let blank = Detail { publish: false, subscribe: false, topics: Vec::new(), payload: None };
    let mut details = grants(publish, &Detail { publish: true, ..blank.clone() })?;
    // Also without a matcher: the payload is everybody's who has this token, whatever it may read.
    let subscribing = Detail { subscribe: true, payload: payload.cloned(), ..blank };
    details.extend(grants(subscribe, &subscribing)?);
    if subscribe.is_empty() && payload.is_some() {
        details.push(subscribing);
    }
    Ok(details)
}

/// The older hubs read `null` as they read nothing.
fn list<'a>(claim: &'a Object, name: &str, full_name: &'static str) -> Result<&'a [Value], TokenError> {
    match claim.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(TokenError::MalformedClaim { name: full_name }),
    }
}

fn grants(items: &[Value], like: &Detail) -> Result<Vec<Detail>, TokenError> {
    let mut shared = like.clone();
    let mut apart = Vec::new();
    for item in items {
        let (matcher, payload) = match item {
            // It grants nothing, and there are tokens that hold it: a setting left blank.
            Value::String(text) if text.is_empty() => continue,
            Value::String(text) => (TopicMatcher::new(Language::Selector, text), None),
            Value::Object(object) => {
                let text = object.get("match").and_then(Value::as_str).ok_or(DetailFault::Topic);
                let matcher = text.and_then(|text| {
                    TopicMatcher::new(match_type(object)?.unwrap_or(Language::Selector), text)
                });
                (matcher, object.get("payload").filter(|_| like.subscribe))
            }
            _ => (Err(DetailFault::Topic), None),
        };
        let matcher = matcher.map_err(|fault| TokenError::LegacyMatcher { fault })?;
        match payload {
            None => shared.topics.push(matcher),
            Some(payload) => {
                apart.push(Detail { topics: vec![matcher], payload: Some(payload.clone()), ..like.clone() });
            }
        }
    }
    if !shared.topics.is_empty() {
        apart.insert(0, shared);
    }
    Ok(apart)
}
