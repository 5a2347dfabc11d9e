//! Turns a subscriber's parameters into a selection and a last event ID.
//!
//! Names are judged before values, and cheap checks come before patterns are compiled. Whether the subscriber may read
//! what it asks for is decided elsewhere. Rules: sections 3, 4 and 20.1 of the protocol.

use std::borrow::Cow;

use fanfare_hub::{Matcher, MatcherError, Selection};
use fanfare_wire::EventId;
use http::HeaderMap;
use url::Url;

use crate::cursor::{QueryCursors, cursor};
use crate::form::Form;
use crate::limits::RequestLimits;
use crate::refusal::{Refusal, sentence};
use crate::text::plain_text;

/// What a subscriber asks for.
pub(crate) struct Asked {
    pub(crate) selection: Selection,
    /// The last event ID, if one was sent; an empty one was sent too.
    pub(crate) last: Option<EventId>,
}

/// What a subscriber's parameters are held against.
pub(crate) struct Rules<'a> {
    pub(crate) hub: &'a Url,
    pub(crate) limits: &'a RequestLimits,
    /// Whether the names that clients before Mercure 1.0 send are known.
    pub(crate) legacy: bool,
}

#[derive(Clone, Copy)]
enum Language {
    Exact,
    UrlPattern,
    Selector,
}

/// Reads query and body as one list (M-005), in which the query comes first (M-006).
///
/// # Errors
/// 400, for unknown names that begin with `match`, for matchers that are too many, too long or malformed, for none at
/// all, and for a last event ID that is none.
pub(crate) fn asked(
    query: &[u8],
    body: &[u8],
    headers: &HeaderMap,
    rules: &Rules<'_>,
) -> Result<Asked, Refusal> {
    let mut wanted = Vec::new();
    let mut cursors = QueryCursors::default();
    for (name, value) in Form::new(query).chain(Form::new(body)) {
        if let Some((language, field)) = language(&name, rules.legacy)? {
            if wanted.len() == rules.limits.matchers_max {
                let limit = rules.limits.matchers_max;
                return Err(Refusal::bad(format!("A subscription may have at most {limit} matchers.")));
            }
            wanted.push((language, field, value));
        } else {
            cursors.offer(&name, &value, rules.legacy);
        }
    }
    let last = cursor(headers, &cursors)?;
    if wanted.is_empty() {
        return Err(Refusal::bad(
            "Ask for at least one topic, with a parameter `match` or `match_urlpattern`.",
        ));
    }
    let matchers =
        wanted.into_iter().map(|(language, field, value)| matcher(language, field, value, rules.hub));
    Ok(Asked { selection: matchers.collect::<Result<Selection, _>>()?, last })
}

/// Which matcher a parameter names, `None` if it is none; the whole of `match…`, in any case, is ours (M-024).
fn language(name: &[u8], legacy: bool) -> Result<Option<(Language, &'static str)>, Refusal> {
    match name {
        b"match" => Ok(Some((Language::Exact, "match"))),
        b"match_exact" => Ok(Some((Language::Exact, "match_exact"))),
        b"match_urlpattern" => Ok(Some((Language::UrlPattern, "match_urlpattern"))),
        b"topic" if legacy => Ok(Some((Language::Selector, "topic"))),
        b"topic" => {
            Err(Refusal::bad("The parameter `topic` is not known here; use `match` or `match_urlpattern`."))
        }
        _ if name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"match")) => {
            Err(Refusal::bad(format!(
                "The parameter `{}` is not known; there are `match`, `match_exact` and `match_urlpattern`.",
                name.escape_ascii()
            )))
        }
        _ => Ok(None),
    }
}

fn matcher(language: Language, field: &str, value: Cow<'_, [u8]>, hub: &Url) -> Result<Matcher, Refusal> {
    let text = plain_text(field, value)?;
    let matcher = match language {
        Language::Exact => Matcher::exact(&text),
        Language::UrlPattern => Matcher::url_pattern(&text, hub.as_str()),
        Language::Selector => Matcher::topic_selector(&text),
    };
    matcher.map_err(|error| match error {
        // The pattern compiler's own words would tell about its insides (M-026).
        MatcherError::Malformed { .. } => Refusal::bad("Invalid topic matcher pattern."),
        _ => Refusal::bad(sentence(error)),
    })
}
