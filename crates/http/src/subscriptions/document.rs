//! How a subscription is named and described: its path, which is the topic of its events too, and its JSON document.
//!
//! A subscription here is the protocol's: one matcher of one subscriber. It knows no hub. Rules: M-145, M-146, M-149, M-158
//! and, for subscriptions that were asked for by `topic`, M-203 to M-206.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::token::Language;

/// A matcher as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AsAsked {
    pub(crate) language: Language,
    pub(crate) text: String,
}

/// One connection and the subscriptions that it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscriber {
    /// `urn:uuid:…`, made by the hub (M-147).
    pub(crate) id: String,
    pub(crate) subscriptions: Vec<Subscription>,
}

/// One matcher of a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) asked: AsAsked,
    /// As it was in the token.
    pub(crate) payload: Option<Arc<Value>>,
}

/// The document of a subscription, in one shape or the other.
#[derive(Serialize)]
pub(crate) struct Document<'a> {
    #[serde(rename = "@context", skip_serializing_if = "Option::is_none")]
    context: Option<&'static str>,
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    match_type: Option<&'static str>,
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    matcher: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    subscriber: &'a str,
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a Value>,
    #[serde(rename = "lastEventID", skip_serializing_if = "Option::is_none")]
    last_event_id: Option<&'a str>,
}

/// What goes into a document besides the subscription.
#[derive(Clone, Copy, Default)]
pub(crate) struct Around<'a> {
    /// Whether the document is part of another one, which has the context for both.
    pub(crate) within: bool,
    /// For single documents of the older protocol.
    pub(crate) last_event_id: Option<&'a str>,
}

/// What the documents of the older protocol say that they are.
pub(crate) const CONTEXT: &str = "https://mercure.rocks/";

impl Subscriber {
    /// The same one with those subscriptions alone that `other` has not.
    pub(crate) fn but_for(&self, other: &Self) -> Self {
        let is_other =
            |each: &&Subscription| !other.subscriptions.iter().any(|known| known.asked == each.asked);
        Self {
            id: self.id.clone(),
            subscriptions: self.subscriptions.iter().filter(is_other).cloned().collect(),
        }
    }

    /// About how many bytes it takes in memory: its texts are its own, whoever asks for the same.
    pub(crate) fn bytes(&self) -> usize {
        /// Its place, its id, and what is to be done when it has gone.
        const PLACE: usize = 350;
        /// An allocation for each text.
        const TEXT: usize = 16;
        let each =
            |subscription: &Subscription| size_of::<Subscription>() + TEXT + subscription.asked.text.len();
        PLACE + self.subscriptions.iter().map(each).sum::<usize>()
    }
}

impl Subscription {
    /// Its path below that of the hub: where it is asked for, and the topic of its events.
    pub(crate) fn path(&self, hub_path: &str, subscriber: &str) -> String {
        let mut path = format!("{hub_path}/subscriptions");
        for segment in
            self.asked.language.match_type().into_iter().chain([self.asked.text.as_str(), subscriber])
        {
            path.push('/');
            push_encoded(&mut path, segment);
        }
        path
    }

    /// Its document, in the shape in which it was asked for.
    pub(crate) fn document<'a>(
        &'a self,
        hub_path: &str,
        subscriber: &'a str,
        active: bool,
        around: Around<'a>,
    ) -> Document<'a> {
        let match_type = self.asked.language.match_type();
        let (is_modern, text) = (match_type.is_some(), self.asked.text.as_str());
        Document {
            context: (!is_modern && !around.within).then_some(CONTEXT),
            id: self.path(hub_path, subscriber),
            kind: if is_modern { "subscription" } else { "Subscription" },
            match_type,
            matcher: is_modern.then_some(text),
            topic: (!is_modern).then_some(text),
            subscriber,
            active,
            payload: self.payload.as_deref(),
            last_event_id: around.last_event_id,
        }
    }
}

/// A document as JSON.
pub(crate) fn json(document: &impl Serialize) -> String {
    // Texts, truths and a value that was JSON: there is nothing that cannot be written.
    serde_json::to_string(document).unwrap_or_default()
}

/// Encodes a segment once: everything but `A-Z a-z 0-9 - . _ ~`, as RFC 6570 does in its simplest form.
pub(crate) fn push_encoded(path: &mut String, segment: &str) {
    for byte in segment.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(byte.into()),
            _ => push_percent(path, byte),
        }
    }
}

pub(crate) fn push_percent(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.extend([byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)])));
}

/// Decodes a segment; `None` if a `%` has no two hex digits behind it, or if the bytes are not UTF-8.
pub(crate) fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2)?;
        let digit = |digit: u8| char::from(digit).to_digit(16);
        bytes.push(u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HUB: &str = "/.well-known/mercure";
    const ID: &str = "urn:uuid:5a8f2f0e-91c9-4a86-bb5b-6f0f5f8f6d02";

    fn subscription(language: Language, text: &str, payload: Option<&str>) -> Subscription {
        let payload = payload.map(|text| Arc::new(serde_json::from_str(text).expect("JSON")));
        Subscription { asked: AsAsked { language, text: text.to_owned() }, payload }
    }

    #[track_caller]
    fn check_path(language: Language, text: &str, expected: &str) {
        let path = subscription(language, text, None).path(HUB, "s");
        assert_eq!(path, format!("{HUB}/subscriptions/{expected}/s"));
    }

    #[test]
    fn each_variable_is_encoded_once_m145() {
        check_path(
            Language::Exact,
            "https://shop.test/orders/41",
            "exact/https%3A%2F%2Fshop.test%2Forders%2F41",
        );
        check_path(Language::Exact, "a b+c%2F", "exact/a%20b%2Bc%252F");
        check_path(Language::Exact, "bücher~1_2-3.4", "exact/b%C3%BCcher~1_2-3.4");
        check_path(Language::UrlPattern, "*", "urlpattern/%2A");
        check_path(Language::UrlPattern, "/books/:id", "urlpattern/%2Fbooks%2F%3Aid");
        check_path(Language::Exact, "", "exact/");
        check_path(Language::Selector, "/books/{id}", "%2Fbooks%2F%7Bid%7D");
    }

    #[test]
    fn the_document_is_that_of_the_worked_example_m149() {
        let payload = Some(r#"{"desk":"north"}"#);
        let subscription = subscription(Language::Exact, "https://shop.test/orders/41", payload);
        assert_eq!(
            json(&subscription.document(HUB, ID, true, Around::default())),
            r#"{"id":"/.well-known/mercure/subscriptions/exact/https%3A%2F%2Fshop.test%2Forders%2F41/urn%3Auuid%3A5a8f2f0e-91c9-4a86-bb5b-6f0f5f8f6d02","type":"subscription","match_type":"exact","match":"https://shop.test/orders/41","subscriber":"urn:uuid:5a8f2f0e-91c9-4a86-bb5b-6f0f5f8f6d02","active":true,"payload":{"desk":"north"}}"#
        );
    }

    #[test]
    fn what_was_asked_for_by_topic_has_the_older_shape_m204_m206() {
        let subscription = subscription(Language::Selector, "a", None);
        let around = Around { within: false, last_event_id: Some("#1") };
        assert_eq!(
            json(&subscription.document("/hub", "s", false, around)),
            r##"{"@context":"https://mercure.rocks/","id":"/hub/subscriptions/a/s","type":"Subscription","topic":"a","subscriber":"s","active":false,"lastEventID":"#1"}"##
        );
        let within = Around { within: true, last_event_id: None };
        assert!(json(&subscription.document("/hub", "s", true, within)).starts_with(r#"{"id":"#));
    }

    #[test]
    fn what_is_encoded_badly_is_not_decoded_m161() {
        for segment in ["%", "%2", "%2G", "a%", "%FF", "%C3"] {
            assert_eq!(decode(segment), None, "{segment}");
        }
        assert_eq!(decode("%2f+%2B"), Some("/++".to_owned()));
    }

    proptest! {
        #[test]
        fn every_segment_comes_back(text in ".{0,60}") {
            let mut encoded = String::new();
            push_encoded(&mut encoded, &text);
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'));
            prop_assert_eq!(decode(&encoded), Some(text));
        }

        #[test]
        fn whatever_is_decoded_nothing_panics(text in "[%0-9A-Fg/é]{0,30}") {
            let _ = decode(&text);
        }
    }
}
