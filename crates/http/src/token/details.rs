//! Reads what a token grants: the Mercure entries of the claim `authorization_details`.
//!
//! It checks their shape and the text of their matchers; whether a pattern compiles is the hub's matter.
//! Source: requirements M-110 to M-117, [RFC 9396](https://www.rfc-editor.org/rfc/rfc9396).

use std::fmt;

use fanfare_hub::{CompileBudget, Matcher, MatcherError, forbidden_character};
use serde_json::Value;
use url::Url;

use super::error::{Counted, TokenError};
use super::json::Object;
use super::limits::TokenLimits;

/// The `type` of a Mercure entry of `authorization_details`.
pub const DETAIL_TYPE: &str = "https://mercure.rocks/authorization-detail";

/// One entry of what a token grants.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// Whether its topics may be published to.
    pub publish: bool,
    /// Whether private updates of its topics may be read.
    pub subscribe: bool,
    /// Which topics.
    pub topics: Vec<TopicMatcher>,
    /// What others see of the subscriber in subscription events. An object, but in legacy tokens, which may hold any JSON.
    pub payload: Option<Value>,
}

/// A matcher as the token's issuer wrote it; its text is checked, but it is not compiled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicMatcher {
    /// What the text is written in.
    pub language: Language,
    /// At least one character, at most [`Matcher::BYTES_MAX`] bytes, none of them forbidden. `*` matches every topic,
    /// whatever the language (M-040).
    pub text: String,
}

/// In which language a matcher is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// One topic, byte for byte: `exact`.
    Exact,
    /// A WHATWG URL Pattern: `urlpattern`.
    UrlPattern,
    /// A text or an RFC 6570 URI Template: what tokens of the older protocol hold, and what its clients ask for by `topic`.
    Selector,
}

/// What is wrong with one grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DetailFault {
    /// `actions` is not an array of strings with at least one of them.
    Actions,
    /// `topics` is not an array with at least one entry.
    Topics,
    /// A topic is not an object with a string `match`.
    Topic,
    /// `match_type` is not one that is supported.
    MatchType,
    /// `match` is empty.
    Empty,
    /// `match` holds a control or format character.
    Forbidden,
    /// `match` is too long.
    TooLong,
    /// `payload` is not an object.
    Payload,
}

/// Whether the claims hold a Mercure entry, or something in its place that only this protocol's checks may judge.
pub(super) fn is_modern(claims: &Object) -> bool {
    match claims.get("authorization_details") {
        None => false,
        Some(Value::Array(entries)) => entries.iter().any(is_mercure),
        Some(_) => true,
    }
}

fn is_mercure(entry: &Value) -> bool {
    entry.get("type").and_then(Value::as_str) == Some(DETAIL_TYPE)
}

/// Reads all Mercure entries; one defective entry refuses the token (M-115).
pub(super) fn details(claims: &Object, limits: &TokenLimits) -> Result<Vec<Detail>, TokenError> {
    let entries = match claims.get("authorization_details") {
        None => return Ok(Vec::new()),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(TokenError::MalformedClaim { name: "authorization_details" }),
    };
    let mut details = Vec::new();
    let mut topics = 0;
    for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| is_mercure(entry)) {
        if details.len() == limits.details {
            return Err(TokenError::TooMany { what: Counted::Details, limit: limits.details });
        }
        // Before they are read: a limit is there to save that work.
        topics += entry.get("topics").and_then(Value::as_array).map_or(0, Vec::len);
        if topics > limits.topics {
            return Err(TokenError::TooMany { what: Counted::Topics, limit: limits.topics });
        }
        details.push(detail(entry).map_err(|fault| TokenError::Detail { index, fault })?);
    }
    Ok(details)
}

fn detail(entry: &Value) -> Result<Detail, DetailFault> {
    let actions = filled(entry.get("actions")).ok_or(DetailFault::Actions)?;
    let actions: Option<Vec<&str>> = actions.iter().map(Value::as_str).collect();
    let actions = actions.ok_or(DetailFault::Actions)?;
    let topics = filled(entry.get("topics")).ok_or(DetailFault::Topics)?;
    let payload = match entry.get("payload") {
        None => None,
        Some(payload @ Value::Object(_)) => Some(payload.clone()),
        Some(_) => return Err(DetailFault::Payload),
    };
    Ok(Detail {
        publish: actions.contains(&"publish"),
        subscribe: actions.contains(&"subscribe"),
        topics: topics.iter().map(topic).collect::<Result<_, _>>()?,
        payload,
    })
}

/// An array with something in it.
fn filled(value: Option<&Value>) -> Option<&Vec<Value>> {
    value.and_then(Value::as_array).filter(|items| !items.is_empty())
}

fn topic(topic: &Value) -> Result<TopicMatcher, DetailFault> {
    let topic = topic.as_object().ok_or(DetailFault::Topic)?;
    let text = topic.get("match").and_then(Value::as_str).ok_or(DetailFault::Topic)?;
    TopicMatcher::new(match_type(topic)?.unwrap_or(Language::Exact), text)
}

/// The language that `match_type` names, if it is there.
pub(super) fn match_type(topic: &Object) -> Result<Option<Language>, DetailFault> {
    match topic.get("match_type") {
        None => Ok(None),
        Some(name) => name.as_str().and_then(Language::of_match_type).map(Some).ok_or(DetailFault::MatchType),
    }
}

impl TopicMatcher {
    /// Checks `text`.
    pub fn new(language: Language, text: impl Into<String>) -> Result<Self, DetailFault> {
        let text = text.into();
        if text.is_empty() {
            return Err(DetailFault::Empty);
        }
        if text.len() > Matcher::BYTES_MAX {
            return Err(DetailFault::TooLong);
        }
        if forbidden_character(&text).is_some() {
            return Err(DetailFault::Forbidden);
        }
        Ok(Self { language, text })
    }
}

impl Language {
    /// The name in `match_type`; the older language has none.
    #[must_use]
    pub fn match_type(self) -> Option<&'static str> {
        match self {
            Self::Exact => Some("exact"),
            Self::UrlPattern => Some("urlpattern"),
            Self::Selector => None,
        }
    }

    /// The language with this name in `match_type`.
    pub(crate) fn of_match_type(name: &str) -> Option<Self> {
        [Self::Exact, Self::UrlPattern].into_iter().find(|language| language.match_type() == Some(name))
    }

    /// Whether `text` has to be compiled: a template without an expression is a text (M-187), and `*` is every topic (M-040).
    pub(crate) fn has_to_compile(self, text: &str) -> bool {
        match self {
            Self::Exact => false,
            Self::UrlPattern => text != "*",
            Self::Selector => text.contains('{'),
        }
    }

    /// The matcher that `text` is in this language, at the hub with this URL.
    ///
    /// Compiling a pattern can take long: where others wait for the thread, do it elsewhere.
    ///
    /// # Errors
    /// It is malformed, or too large.
    pub fn matcher(self, text: &str, hub_url: &Url) -> Result<Matcher, MatcherError> {
        self.matcher_within(text, hub_url, &mut CompileBudget::default())
    }

    /// The same, at the cost of a budget that others share.
    ///
    /// # Errors
    /// It is malformed, too large, or more than is left of the budget.
    pub fn matcher_within(
        self,
        text: &str,
        hub_url: &Url,
        budget: &mut CompileBudget,
    ) -> Result<Matcher, MatcherError> {
        match self {
            Self::Exact => Matcher::exact(text),
            Self::UrlPattern => Matcher::url_pattern_within(text, hub_url.as_str(), budget),
            Self::Selector => Matcher::topic_selector_within(text, budget),
        }
    }
}

impl fmt::Display for DetailFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Actions => f.write_str("\"actions\" must be an array of strings, and not empty"),
            Self::Topics => f.write_str("\"topics\" must be an array, and not empty"),
            Self::Topic => f.write_str("each topic must be an object with a string \"match\""),
            Self::MatchType => f.write_str("\"match_type\" must be \"exact\" or \"urlpattern\""),
            Self::Empty => f.write_str("\"match\" must not be empty"),
            Self::Forbidden => f.write_str("\"match\" contains a control or format character"),
            Self::TooLong => write!(f, "\"match\" has more than {} bytes", Matcher::BYTES_MAX),
            Self::Payload => f.write_str("\"payload\" must be an object"),
        }
    }
}

impl std::error::Error for DetailFault {}
