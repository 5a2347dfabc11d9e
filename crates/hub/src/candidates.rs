//! Which patterns may match a topic, found by the literals in them.
//!
//! It never tells that a pattern matches: a candidate still has to be evaluated. It may name one too many and never one
//! too few. What a publication costs depends on how many patterns have literals where its topics have the same, and on no
//! others. Of a host it looks at the end, or at the beginning if only that is literal; of what is behind it at the
//! beginning, at the end of the path, and at whole segments in its midst, wherever they stand. How many patterns the same
//! literals find is counted, for whoever has to bound it.

#[cfg(feature = "urlpattern")]
use std::collections::hash_map::RandomState;
#[cfg(feature = "urlpattern")]
use std::sync::Arc;

#[cfg(feature = "urlpattern")]
use hashbrown::HashMap;
#[cfg(feature = "urlpattern")]
use url::Url;

use crate::affixes::{Affixes, Empties, Side};
use crate::matcher::{Found, Pattern, Spelling};
use crate::router::{Slots, forget};
use crate::segments::Runs;
use crate::topic::is_internal;
#[cfg(feature = "urlpattern")]
use crate::url_pattern::{Anchor, HostAnchor, spell};

/// The patterns' slots, by how they spell topics and by what they want topics to have.
#[derive(Default)]
pub(crate) struct Candidates {
    /// Patterns that are held against topics as they stand.
    text: Affixes<Ends>,
    /// URL Patterns, by the base that topics are resolved against: once for each topic and base, however many share it.
    #[cfg(feature = "urlpattern")]
    urls: HashMap<Arc<Url>, Hosts, RandomState>,
    /// Room for a resolved topic, kept between topics.
    #[cfg(feature = "urlpattern")]
    spelled: String,
}

/// Slots by host, and by what is behind it.
#[cfg(feature = "urlpattern")]
#[derive(Default)]
struct Hosts {
    by_end: Affixes<Affixes<Ends>>,
    by_start: Affixes<Affixes<Ends>>,
}

/// Slots by what a text ends with.
#[derive(Default)]
struct Ends {
    /// Those to which any end is right.
    any: Middles,
    by_end: Option<Box<Affixes<Middles>>>,
}

/// Slots by segments that a text has.
#[derive(Default)]
struct Middles {
    /// Those to which any segments are right.
    any: Alike,
    by_run: Option<Box<Runs<Alike>>>,
}

/// Slots that the same literals find.
#[derive(Default)]
struct Alike {
    slots: Slots,
    /// What they weigh together.
    weight: usize,
}

/// Where a text begins, ends, and what it has between.
#[derive(Clone, Copy)]
struct Literals<'a> {
    start: &'a str,
    end: &'a str,
    run: Option<&'a str>,
}

impl Candidates {
    /// Takes in a pattern that is not there yet.
    pub(crate) fn insert(&mut self, slot: u32, pattern: &Pattern) {
        self.change(pattern, |alike| {
            alike.slots.push(slot);
            alike.weight += pattern.weight();
        });
    }

    /// Forgets a pattern that was taken in with this slot.
    pub(crate) fn remove(&mut self, slot: u32, pattern: &Pattern) {
        self.change(pattern, |alike| {
            forget(&mut alike.slots, slot);
            alike.weight -= pattern.weight();
        });
    }

    /// What those weigh that the literals of `pattern` find, together.
    pub(crate) fn weight_beside(&self, pattern: &Pattern) -> usize {
        let alike = match pattern.found() {
            Found::Text { start, end, run } => alike_in(&self.text, Literals { start, end, run }),
            #[cfg(feature = "urlpattern")]
            Found::Url(base, anchor) => self.urls.get(base).and_then(|hosts| {
                let behind = match anchor.host {
                    HostAnchor::Start(host) => hosts.by_start.get(Side::Start, host),
                    HostAnchor::End(host) => hosts.by_end.get(Side::End, host),
                };
                let Anchor { start, end, run, .. } = &anchor;
                alike_in(behind?, Literals { start, end, run: *run })
            }),
        };
        alike.map_or(0, |alike| alike.weight)
    }

    fn change(&mut self, pattern: &Pattern, change: impl FnOnce(&mut Alike)) {
        match pattern.found() {
            Found::Text { start, end, run } => {
                change_alike(&mut self.text, Literals { start, end, run }, change);
            }
            #[cfg(feature = "urlpattern")]
            Found::Url(base, anchor) => {
                let hosts = self.urls.entry(base.clone()).or_default();
                let (side, host, hosts) = match anchor.host {
                    HostAnchor::Start(host) => (Side::Start, host, &mut hosts.by_start),
                    HostAnchor::End(host) => (Side::End, host, &mut hosts.by_end),
                };
                let Anchor { start, end, run, .. } = &anchor;
                let literals = Literals { start, end, run: *run };
                hosts.change(side, host, |behind| change_alike(behind, literals, change));
                if self
                    .urls
                    .get(base)
                    .is_some_and(|hosts| hosts.by_end.is_empty() && hosts.by_start.is_empty())
                {
                    self.urls.remove(base);
                }
            }
        }
    }

    /// Visits each pattern that may match `topic`, with the topic as that pattern reads it.
    pub(crate) fn each(&mut self, topic: &str, mut visit: impl FnMut(u32, Spelling<'_>)) {
        // No pattern matches these; resolved as URLs they would be like others.
        if is_internal(topic) {
            return;
        }
        each_of(&self.text, topic, topic, &mut |slot| visit(slot, Spelling::Text(topic)));
        #[cfg(feature = "urlpattern")]
        for (base, hosts) in &self.urls {
            // What is no URL reference matches no URL Pattern (M-046).
            let Ok(url) = base.join(topic) else { continue };
            self.spelled.clear();
            spell(&url, &mut self.spelled);
            let host = url.host_str().unwrap_or_default();
            let mut each = |behind: &Affixes<Ends>| {
                each_of(behind, &self.spelled, url.path(), &mut |slot| visit(slot, Spelling::Url(&url)));
            };
            hosts.by_end.each(Side::End, host, &mut each);
            hosts.by_start.each(Side::Start, host, &mut each);
        }
    }
}

impl Empties for Ends {
    fn is_empty(&self) -> bool {
        self.any.is_empty() && self.by_end.is_none()
    }
}

impl Empties for Middles {
    fn is_empty(&self) -> bool {
        self.any.is_empty() && self.by_run.is_none()
    }
}

impl Empties for Alike {
    fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

impl Literals<'_> {
    /// Whether the end says more than the beginning does: all that there is does not, unless it was cut.
    fn has_end(&self) -> bool {
        let is_said = self.start.starts_with(self.end) && self.start.len() <= Side::BYTES_MAX;
        !self.end.is_empty() && !is_said
    }

    /// Whether they tell one path from another, for all begin with a slash.
    fn tell(&self) -> bool {
        !matches!(self.start, "" | "/") || self.has_end() || self.run.is_some()
    }
}

/// Whether no literal finds a pattern, besides its host: it is held against all topics of that.
pub(crate) fn is_unfound(pattern: &Pattern) -> bool {
    match pattern.found() {
        Found::Text { start, end, run } => !Literals { start, end, run }.tell(),
        #[cfg(feature = "urlpattern")]
        Found::Url(_, Anchor { start, end, run, .. }) => !Literals { start: &start, end, run }.tell(),
    }
}

fn change_alike(to: &mut Affixes<Ends>, literals: Literals<'_>, change: impl FnOnce(&mut Alike)) {
    to.change(Side::Start, literals.start, |ends| {
        if !literals.has_end() {
            return change_middle(&mut ends.any, literals.run, change);
        }
        let by_end = ends.by_end.get_or_insert_default();
        by_end.change(Side::End, literals.end, |middles| change_middle(middles, literals.run, change));
        if by_end.is_empty() {
            ends.by_end = None;
        }
    });
}

fn change_middle(middles: &mut Middles, run: Option<&str>, change: impl FnOnce(&mut Alike)) {
    let Some(run) = run else { return change(&mut middles.any) };
    let by_run = middles.by_run.get_or_insert_default();
    by_run.change(run, change);
    if by_run.is_empty() {
        middles.by_run = None;
    }
}

fn alike_in<'a>(from: &'a Affixes<Ends>, literals: Literals<'_>) -> Option<&'a Alike> {
    let ends = from.get(Side::Start, literals.start)?;
    let middles =
        if literals.has_end() { ends.by_end.as_ref()?.get(Side::End, literals.end)? } else { &ends.any };
    match literals.run {
        Some(run) => middles.by_run.as_ref()?.get(run),
        None => Some(&middles.any),
    }
}

fn each_of(from: &Affixes<Ends>, start: &str, end: &str, visit: &mut impl FnMut(u32)) {
    from.each(Side::Start, start, |ends| {
        each_middle(&ends.any, end, visit);
        if let Some(by_end) = &ends.by_end {
            by_end.each(Side::End, end, |middles| each_middle(middles, end, visit));
        }
    });
}

fn each_middle(from: &Middles, text: &str, visit: &mut impl FnMut(u32)) {
    let mut each = |alike: &Alike| alike.slots.iter().for_each(|&slot| visit(slot));
    each(&from.any);
    if let Some(by_run) = &from.by_run {
        by_run.each(text, each);
    }
}

#[cfg(test)]
mod tests {
    #[cfg(any(feature = "urlpattern", feature = "uri-template"))]
    mod patterns {
        use proptest::prelude::*;
        use proptest::sample::{Index, select};

        use crate::affixes::Empties;
        use crate::candidates::Candidates;
        #[cfg(feature = "urlpattern")]
        use crate::host_groups::without_foreign_texts;
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
            prop_assert!(candidates.text.is_empty());
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

        /// What the library itself says, but for [groups of a host](crate::host_groups).
        #[cfg(feature = "urlpattern")]
        fn by_library(pattern: &Matcher) -> impl Fn(&Topic) -> bool + use<> {
            use urlpattern::{UrlPattern, UrlPatternInit, UrlPatternMatchInput, UrlPatternOptions};
            let (_, text, base) = pattern.identity();
            let base = url::Url::parse(base).expect("a URL");
            let mut init = UrlPatternInit::parse_constructor_string::<regex::Regex>(text, Some(base.clone()))
                .expect("parts");
            init.hostname = init.hostname.map(|host| without_foreign_texts(&host).into_owned());
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
