//! Which patterns may match a topic, found by what every topic that they match begins with.
//!
//! It never tells that a pattern matches: a candidate still has to be evaluated. It may name one too many and never one
//! too few. What a publication costs depends on how many patterns begin as its topics do, and on no others.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;

use hashbrown::HashMap;
#[cfg(feature = "urlpattern")]
use url::Url;

use crate::matcher::{Pattern, Spelling};
use crate::router::{Slots, forget};

/// The patterns' slots, by how they spell topics and by what they want topics to begin with.
#[derive(Default)]
pub(crate) struct Candidates {
    /// Patterns that are held against topics as they stand.
    text: Prefixes,
    /// URL Patterns, by the base that topics are resolved against: once for each topic and base, however many share it.
    #[cfg(feature = "urlpattern")]
    urls: HashMap<Url, Prefixes, RandomState>,
    /// Room for a resolved topic, kept between topics.
    #[cfg(feature = "urlpattern")]
    spelled: String,
}

impl Candidates {
    /// Takes in a pattern that is not there yet.
    pub(crate) fn insert(&mut self, slot: u32, pattern: &Pattern) {
        let prefix = pattern.prefix();
        #[cfg(feature = "urlpattern")]
        if let Some(base) = pattern.base() {
            return self.urls.entry(base.clone()).or_default().insert(&prefix, slot);
        }
        self.text.insert(&prefix, slot);
    }

    /// Forgets a pattern that was taken in with this slot.
    pub(crate) fn remove(&mut self, slot: u32, pattern: &Pattern) {
        let prefix = pattern.prefix();
        #[cfg(feature = "urlpattern")]
        if let Some(base) = pattern.base() {
            let Some(prefixes) = self.urls.get_mut(base) else { return };
            prefixes.remove(&prefix, slot);
            if prefixes.lengths.is_empty() {
                self.urls.remove(base);
            }
            return;
        }
        self.text.remove(&prefix, slot);
    }

    /// Visits each pattern that may match `topic`, with the topic as that pattern reads it.
    pub(crate) fn each(&mut self, topic: &str, mut visit: impl FnMut(u32, Spelling<'_>)) {
        self.text.each(topic, |slot| visit(slot, Spelling::Text(topic)));
        #[cfg(feature = "urlpattern")]
        for (base, prefixes) in &self.urls {
            // What is no URL reference matches no URL Pattern (M-046).
            let Ok(url) = base.join(topic) else { continue };
            self.spelled.clear();
            self.spelled.push_str(url.host_str().unwrap_or_default());
            self.spelled.push_str(url.path());
            prefixes.each(&self.spelled, |slot| visit(slot, Spelling::Url(&url)));
        }
    }
}

/// Slots by prefix. A text's prefixes are looked up one by one, for each length that occurs.
#[derive(Default)]
struct Prefixes {
    slots: HashMap<Box<str>, Slots, RandomState>,
    /// How many distinct prefixes have each length, in bytes.
    lengths: BTreeMap<usize, usize>,
}

impl Prefixes {
    /// Bounds the look-ups for one topic, for strangers choose the prefixes; what they agree in beyond is left to evaluation.
    const BYTES_MAX: usize = 128;

    fn insert(&mut self, prefix: &str, slot: u32) {
        let prefix = cut(prefix, Self::BYTES_MAX);
        if let Some(slots) = self.slots.get_mut(prefix) {
            return slots.push(slot);
        }
        self.slots.insert(prefix.into(), Slots::from_elem(slot, 1));
        *self.lengths.entry(prefix.len()).or_default() += 1;
    }

    fn remove(&mut self, prefix: &str, slot: u32) {
        let prefix = cut(prefix, Self::BYTES_MAX);
        let Some(slots) = self.slots.get_mut(prefix) else { return };
        forget(slots, slot);
        if !slots.is_empty() {
            return;
        }
        self.slots.remove(prefix);
        if let Some(count) = self.lengths.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
    }

    fn each(&self, text: &str, mut visit: impl FnMut(u32)) {
        for &length in self.lengths.keys() {
            // A text that is shorter, or has no character's end there, has no such prefix.
            let slots = text.get(..length).and_then(|prefix| self.slots.get(prefix));
            slots.into_iter().flatten().for_each(|&slot| visit(slot));
        }
    }
}

/// The first characters of `text` that fit into so many bytes.
fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(prefixes: &Prefixes, text: &str) -> Vec<u32> {
        let mut found = Vec::new();
        prefixes.each(text, |slot| found.push(slot));
        found.sort_unstable();
        found
    }

    #[test]
    fn a_prefix_is_cut_between_characters() {
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 0), "");
        assert_eq!(cut("", 128), "");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Goal: slots come and go, and a text finds those whose prefix it has, each once.
        /// Method: random insertions and removals against a list that is walked.
        #[test]
        fn a_text_finds_the_slots_of_its_prefixes_and_no_others(
            ops in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..60),
        ) {
            let long = ["x".repeat(127), "é".repeat(40), "y".to_owned()].concat();
            let texts = ["", "a", "ab", "aé", "é", "b/", "b/c", &long[..127], &long[..129], &long[..131], &long];
            let mut prefixes = Prefixes::default();
            let mut model: Vec<(u32, &str)> = Vec::new();
            for (slot, (is_insert, index)) in (0..).zip(ops) {
                if is_insert || model.is_empty() {
                    let prefix = *index.get(&texts);
                    prefixes.insert(prefix, slot);
                    model.push((slot, prefix));
                } else {
                    let (slot, prefix) = model.remove(index.index(model.len()));
                    prefixes.remove(prefix, slot);
                }
                for text in texts {
                    // What is longer than the limit is cut there, inside a character in this case.
                    let has = |prefix: &str| text.starts_with(&prefix[..prefix.len().min(127)]);
                    let expected: Vec<u32> = model.iter().filter(|(_, p)| has(p)).map(|(slot, _)| *slot).collect();
                    prop_assert_eq!(found(&prefixes, text), expected, "{}", text);
                }
            }
            for (slot, prefix) in model {
                prefixes.remove(prefix, slot);
            }
            prop_assert!(prefixes.slots.is_empty() && prefixes.lengths.is_empty());
        }
    }

    #[cfg(any(feature = "urlpattern", feature = "uri-template"))]
    mod patterns {
        use proptest::prelude::*;
        use proptest::sample::{Index, select};

        use crate::candidates::Candidates;
        use crate::matcher::{Kind, Pattern};
        use crate::{Matcher, Topic};

        /// A piece of a pattern, and pieces of topics that it may match.
        type Piece = (&'static str, &'static [&'static str]);

        fn compiled(matcher: &Matcher) -> &Pattern {
            match &matcher.0 {
                Kind::Pattern(pattern) => pattern,
                Kind::Any | Kind::Exact(_) => unreachable!("no pattern"),
            }
        }

        /// Patterns and topics, put together from the same pieces.
        fn texts(
            starts: &'static [Piece],
            pieces: &'static [Piece],
        ) -> impl Strategy<Value = Vec<(String, Vec<String>)>> {
            let parts = (select(starts), prop::collection::vec(select(pieces), 0..4));
            let choices = prop::collection::vec(prop::collection::vec(any::<Index>(), 4), 4);
            let text = (parts, choices).prop_map(|((start, pieces), choices)| {
                let all = || std::iter::once(start).chain(pieces.iter().copied());
                let topic =
                    |choice: &Vec<Index>| all().zip(choice).map(|((_, of), index)| *index.get(of)).collect();
                (all().map(|(piece, _)| piece).collect(), choices.iter().map(topic).collect())
            });
            prop::collection::vec(text, 1..6)
        }

        /// Holds every topic against every pattern, with the index and without.
        fn check<M: Fn(&Topic) -> bool>(
            texts: &[(String, Vec<String>)],
            compile: impl Fn(&str) -> Option<Matcher>,
            reference: impl Fn(&Matcher) -> M,
        ) -> Result<(), TestCaseError> {
            let mut candidates = Candidates::default();
            let mut matchers: Vec<_> = texts.iter().filter_map(|(pattern, _)| compile(pattern)).collect();
            matchers.retain(|matcher| matches!(matcher.0, Kind::Pattern(_)));
            let references: Vec<_> = matchers.iter().map(reference).collect();
            for (slot, matcher) in (0..).zip(&matchers) {
                candidates.insert(slot, compiled(matcher));
            }
            let topics = texts.iter().flat_map(|(_, topics)| topics);
            for topic in topics.filter_map(|topic| Topic::parse(topic).ok()) {
                let mut found = vec![None; matchers.len()];
                candidates.each(topic.as_str(), |slot, spelling| {
                    let slot = slot as usize;
                    let before = found[slot].replace(compiled(&matchers[slot]).matches(spelling));
                    assert_eq!(before, None, "{:?} twice for {topic}", matchers[slot]);
                });
                for ((matcher, reference), found) in matchers.iter().zip(&references).zip(found) {
                    let expected = reference(&topic);
                    prop_assert_eq!(matcher.matches(&topic), expected, "{:?} on {}", matcher, topic);
                    prop_assert_eq!(found.unwrap_or(false), expected, "{:?} for {}", matcher, topic);
                }
            }
            for (slot, matcher) in (0..).zip(&matchers) {
                candidates.remove(slot, compiled(matcher));
            }
            prop_assert!(candidates.text.slots.is_empty() && candidates.text.lengths.is_empty());
            #[cfg(feature = "urlpattern")]
            prop_assert!(candidates.urls.is_empty());
            Ok(())
        }

        #[cfg(feature = "uri-template")]
        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

            /// Goal: no template that matches is left out.
            #[test]
            fn a_template_that_matches_is_a_candidate(
                texts in texts(
                    &[("", &[""]), ("https://a.test", &["https://a.test"]), ("é", &["é", "e"]), ("{s}", &["x", "", "{s}"])],
                    &[
                        ("/x", &["/x", "/X"]),
                        ("/{a}", &["/1", "/", "/{a}", "/%C3%A9"]),
                        ("{/b}", &["/1", "", "{/b}"]),
                        ("{+c}", &["/1/2", "", "{+c}"]),
                        ("{#d}", &["#1", ""]),
                        ("{?q}", &["?q=1", "", "?"]),
                        ("%7B", &["%7B", "%7b", "{"]),
                    ],
                ),
            ) {
                let reference = |matcher: &Matcher| {
                    let matcher = matcher.clone();
                    move |topic: &Topic| matcher.matches(topic)
                };
                check(&texts, |text| Matcher::topic_selector(text).ok(), reference)?;
            }
        }

        #[cfg(feature = "urlpattern")]
        const BASES: [&str; 3] =
            ["https://hub.test/.well-known/mercure?a=b#c", "http://b.test:8080/books/", "urn:isbn:1"];

        /// What the library itself says, with nothing of ours between.
        #[cfg(feature = "urlpattern")]
        fn by_library(pattern: &Matcher) -> impl Fn(&Topic) -> bool + use<> {
            use urlpattern::{UrlPattern, UrlPatternInit, UrlPatternMatchInput, UrlPatternOptions};
            let (_, text, base) = pattern.identity();
            let base = url::Url::parse(base).expect("a URL");
            let init = UrlPatternInit::parse_constructor_string::<regex::Regex>(text, Some(base.clone()))
                .expect("parts");
            let pattern: UrlPattern =
                UrlPattern::parse(init, UrlPatternOptions::default()).expect("a pattern");
            move |topic| {
                let url = base.join(topic.as_str()).map(UrlPatternMatchInput::Url);
                url.is_ok_and(|url| pattern.test(url).expect("an answer"))
            }
        }

        #[cfg(feature = "urlpattern")]
        const STARTS: &[Piece] = &[
            ("", &["", "https://hub.test"]),
            ("/", &["/", "https://hub.test/"]),
            (
                "https://hub.test",
                &["https://hub.test", "https://HUB.test", "https://hub.test:443", "https://u:p@hub.test"],
            ),
            ("https://HUB.test", &["https://HUB.test", "https://hub.test", "https://hub%2Etest", ""]),
            ("https://*.hub.test", &["https://a.hub.test", "https://a.b.hub.test"]),
            ("https://hub*", &["https://hub.test", "https://hub", "https://hubbub.test"]),
            ("https://:a.test", &["https://hub.test", "https://b.test"]),
            ("https://{www.}?hub.test", &["https://hub.test", "https://www.hub.test"]),
            ("https://{hub.test}", &["https://hub.test", ""]),
            ("https://(hub|b).test", &["https://hub.test", "https://b.test"]),
            ("https://hub.test:8443", &["https://hub.test:8443", "https://hub.test"]),
            ("https://hub.test::port", &["https://hub.test:8443", "https://hub.test"]),
            ("http{s}?://b.test", &["https://b.test", "http://b.test", "http:b.test"]),
            ("*://hub.test", &["https://hub.test", "ftp://hub.test"]),
            ("https://bücher.test", &["https://bücher.test", "https://xn--bcher-kva.test"]),
            ("https://xn--bcher-kva.test", &["https://bücher.test", "https://XN--bcher-kva.test"]),
            ("https://[\\:\\:1]", &["https://[::1]", "https://[0:0::1]"]),
            ("https://127.1", &["https://127.1", "https://127.0.0.1", "https://0x7f.1"]),
            ("file://", &["file://", "file:///x"]),
            ("x://hub.test", &["x://hub.test", "x://HUB.test"]),
            ("urn:isbn", &["urn:isbn", "URN:isbn"]),
            ("urn:", &["urn:", "urn:x"]),
            ("mailto:*", &["mailto:a@hub.test"]),
            ("?q=:q", &["?q=1", "?q=", "/.well-known/mercure?q=1"]),
            ("#:h", &["#x", ""]),
        ];

        #[cfg(feature = "urlpattern")]
        const PIECES: &[Piece] = &[
            ("/books", &["/books", "/Books", "\\books", "/x/../books"]),
            ("books", &["books", "./books"]),
            ("/:id", &["/1", "/", "/a%2Fb", "/é"]),
            ("/:n?", &["/1", "", "/"]),
            ("/:s*", &["/1/2", "/1", ""]),
            ("/:p+", &["/1/2", "/1", ""]),
            ("/*", &["/1/2", "/", ""]),
            ("/*?", &["/1/2", "/", ""]),
            ("*", &["", "x", "/x"]),
            ("{/x}?", &["/x", ""]),
            ("{/y}+", &["/y", "/y/y"]),
            ("{/z}", &["/z", ""]),
            ("{/b-:b}?", &["/b-1", "", "/b-"]),
            ("/(\\d+)", &["/12", "/x"]),
            ("/:d(\\d+)?", &["/12", "", "/x"]),
            ("/x-:e.:f", &["/x-1.js", "/x-.js"]),
            ("/é", &["/é", "/%C3%A9", "/%c3%a9"]),
            ("/%C3%A9", &["/é", "/%C3%A9", "/%c3%a9"]),
            ("/a b", &["/a b", "/a%20b"]),
            ("/a%2fb", &["/a%2fb", "/a%2Fb", "/a/b"]),
            ("/..", &["/..", "", "/%2e%2E"]),
            ("/.", &["/.", "/", ""]),
            ("/.{.}?", &["/..", "/.", ""]),
            ("/", &["/", "", "//"]),
            ("\\:x\\*\\+", &[":x*+", "%3Ax*+"]),
            ("/\\:x", &["/:x", "/%3Ax"]),
            ("/|^'\"", &["/|^'\"", "/%7C%5E%27%22"]),
            ("\\?v=*", &["?v=1", "?v="]),
            ("#top", &["#top", ""]),
        ];

        #[cfg(feature = "urlpattern")]
        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

            /// Goal: no URL Pattern that matches is left out, and the library's own judgement is ours.
            #[test]
            fn a_url_pattern_that_matches_is_a_candidate(texts in texts(STARTS, PIECES)) {
                let compile = |text: &str| Matcher::url_pattern(text, BASES[text.len() % 5 % 3]).ok();
                check(&texts, compile, by_library)?;
            }
        }
    }
}
