//! Turns a subscriber's parameters into a selection and a last event ID.
//!
//! Names are judged before values, and cheap checks come before patterns are compiled, which happens elsewhere. So does
//! the decision whether the subscriber may read what it asks for. Rules: sections 3, 4 and 20.1 of the protocol.

use fanfare_hub::{Matcher, MatcherError};
use fanfare_wire::EventId;
use http::HeaderMap;

use crate::cursor::{QueryCursors, cursor};
use crate::form::Form;
use crate::limits::RequestLimits;
use crate::patterns::Source;
use crate::refusal::{Refusal, sentence};
use crate::subscriptions::AsAsked;
use crate::text::plain_text;
use crate::token::Language;

/// What a subscriber asks for.
pub(crate) struct Asked {
    /// Matchers that cost nothing to make.
    pub(crate) exact: Vec<Matcher>,
    /// Matchers that have to be compiled.
    pub(crate) patterns: Vec<Source>,
    /// The last event ID, if one was sent; an empty one was sent too.
    pub(crate) last: Option<EventId>,
    /// All matchers in the order and the words in which they were asked for.
    pub(crate) in_words: Vec<AsAsked>,
}

/// What a subscriber's parameters are held against.
pub(crate) struct Rules<'a> {
    pub(crate) limits: &'a RequestLimits,
    /// Whether the names that clients before Mercure 1.0 send are known.
    pub(crate) legacy: bool,
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
    let mut asked = Asked { exact: Vec::new(), patterns: Vec::new(), last, in_words: Vec::new() };
    for (language, field, value) in wanted {
        asked.add(language, plain_text(field, value)?)?;
    }
    Ok(asked)
}

impl Asked {
    fn add(&mut self, language: Language, text: String) -> Result<(), Refusal> {
        self.in_words.push(AsAsked { language, text: text.clone() });
        if language.has_to_compile(&text) {
            self.patterns.push((language, text));
        } else {
            self.exact.push(Matcher::exact(&text)?);
        }
        Ok(())
    }
}

/// In which language a parameter's matcher is, `None` if it is none; the whole of `match…`, in any case, is ours (M-024).
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

/// What a subscriber is told whose matcher is none.
impl From<MatcherError> for Refusal {
    fn from(error: MatcherError) -> Self {
        match error {
            // The pattern compiler's own words would tell about its insides (M-026).
            MatcherError::Malformed { .. } => Self::bad("Invalid topic matcher pattern."),
            _ => Self::bad(sentence(error)),
        }
    }
}
