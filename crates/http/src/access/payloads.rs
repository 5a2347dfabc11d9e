//! What is told of a subscriber to those who may see active subscriptions, by what its token grants.
//!
//! It announces nothing and lists nothing. Rule: M-150.

use std::sync::Arc;

use fanfare_hub::Matcher;
use serde_json::Value;

/// Which payload goes with which subscription: the details of a token that grant `subscribe`, in the token's order.
///
/// ```
/// use fanfare_http::Payloads;
/// use serde_json::json;
/// use fanfare_hub::Matcher;
///
/// let room = [Matcher::exact("rooms/7")?];
/// let payloads = Payloads::default()
///     .detail(room, Some(json!({"desk": "north"})))
///     .detail([Matcher::any()], Some(json!({"desk": "any"})));
/// assert_eq!(payloads.of("rooms/7").as_deref(), Some(&json!({"desk": "north"})));
/// assert_eq!(payloads.of("rooms/8").as_deref(), Some(&json!({"desk": "any"})));
/// # Ok::<(), fanfare_hub::MatcherError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Payloads(Arc<[Detail]>);

#[derive(Clone, Debug)]
struct Detail {
    topics: Vec<Matcher>,
    payload: Option<Arc<Value>>,
}

impl Payloads {
    /// Adds a detail behind the others.
    ///
    /// A token from before Mercure 1.0 has one payload: one detail of [`Matcher::any`].
    #[must_use]
    pub fn detail(self, topics: impl IntoIterator<Item = Matcher>, payload: Option<Value>) -> Self {
        let detail = Detail { topics: topics.into_iter().collect(), payload: payload.map(Arc::new) };
        Self(self.0.iter().cloned().chain([detail]).collect())
    }

    /// The payload of a subscription, by its matcher as it was asked for: that of the first detail one of whose topics
    /// matches that text, taken for a topic. If that detail has none, there is none.
    ///
    /// Source: requirement M-150 of the Mercure protocol.
    #[must_use]
    pub fn of(&self, matcher: &str) -> Option<Arc<Value>> {
        let is_it = |detail: &&Detail| detail.topics.iter().any(|topic| topic.matches_text(matcher));
        self.0.iter().find(is_it)?.payload.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUB: &str = "https://hub.test/.well-known/mercure";

    fn exact(text: &str) -> Matcher {
        Matcher::exact(text).expect("a matcher")
    }

    fn pattern(text: &str) -> Matcher {
        Matcher::url_pattern(text, HUB).expect("a pattern")
    }

    #[track_caller]
    fn check(details: &[(&[Matcher], Option<&str>)], matcher: &str, expected: Option<&str>) {
        let add = |payloads: Payloads, (topics, payload): &(&[Matcher], Option<&str>)| {
            payloads.detail(topics.iter().cloned(), payload.map(Into::into))
        };
        let payloads = details.iter().fold(Payloads::default(), add);
        assert_eq!(payloads.of(matcher).as_deref().and_then(Value::as_str), expected, "{matcher}");
    }

    #[test]
    fn the_first_detail_that_matches_the_matcher_itself_says_the_payload_m150() {
        let (any, books) = ([Matcher::any()], [pattern("https://example.com/books/:id")]);
        let (one, two) = ([exact("a")], [exact("b"), exact("c")]);
        check(&[(&one, Some("1")), (&two, Some("2"))], "a", Some("1"));
        check(&[(&one, Some("1")), (&two, Some("2"))], "c", Some("2"));
        check(&[(&one, Some("1")), (&two, Some("2"))], "d", None);
        check(&[(&one, Some("1")), (&any, Some("2"))], "a", Some("1"));
        check(&[(&any, Some("2")), (&one, Some("1"))], "a", Some("2"));
        check(&[(&books, Some("1"))], "https://example.com/books/7", Some("1"));
        // A pattern that is asked for is a topic here, and is matched by the same pattern.
        check(&[(&books, Some("1"))], "https://example.com/books/:id", Some("1"));
        check(&[(&books, Some("1"))], "https://example.com/films/:id", None);
        check(&[], "a", None);
    }

    #[test]
    fn a_first_match_without_a_payload_is_no_payload_m150() {
        check(&[(&[exact("a")], None), (&[Matcher::any()], Some("2"))], "a", None);
    }

    #[test]
    fn who_asks_for_everything_is_matched_as_everything_else_is_m150() {
        check(&[(&[exact("a")], Some("1")), (&[Matcher::any()], Some("2"))], "*", Some("2"));
        check(&[(&[exact("*")], Some("1"))], "*", Some("1"));
        check(&[(&[exact("a")], Some("1"))], "*", None);
    }
}
