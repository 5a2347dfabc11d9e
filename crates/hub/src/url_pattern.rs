//! WHATWG URL Patterns over topics.
//!
//! The library that Deno keeps says what a pattern means, and is asked once: what it read is kept in a form of a few hundred
//! bytes. Nothing here knows the syntax of patterns. A regular expression is compiled only for a part of a pattern that has
//! one of its own. Rules: M-044 to M-050.

use std::cell::RefCell;
use std::sync::Arc;

use url::Url;
use urlpattern::regexp::RegExp;
use urlpattern::{UrlPatternInit, UrlPatternOptions};

use crate::demand::{Demand, Unread};
use crate::expression::ExpressionError;
use crate::host_groups::without_foreign_texts;
use crate::{CompileBudget, MatcherError};

/// A compiled pattern with the URL that topics are resolved against.
pub(crate) struct UrlPattern {
    base: Arc<Url>,
    /// What is asked of the parts of a URL; those of which nothing is are left out.
    demands: Box<[(Part, Demand)]>,
}

/// The parts of a URL; those that differ most often come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Path,
    Host,
    Scheme,
    Port,
    Query,
    Fragment,
    Username,
    Password,
}

/// Where a pattern is found by the literals in it: a URL that lacks one of them is not matched.
///
/// They are taken from the very texts that [`UrlPattern::matches_url`] compares with, so that no rule about upper case, percent
/// signs or optional slashes has to be told twice.
#[derive(Debug)]
pub(crate) struct Anchor<'a> {
    pub(crate) host: HostAnchor<'a>,
    /// What path, query and fragment begin with, written one behind the other, as in [`spell`].
    pub(crate) start: String,
    /// What the path ends with, where that says more.
    pub(crate) end: &'a str,
    /// Segments that the path has between them.
    pub(crate) run: Option<&'a str>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum HostAnchor<'a> {
    Start(&'a str),
    End(&'a str),
}

impl UrlPattern {
    pub(crate) fn compile(
        text: &str,
        base: &str,
        budget: &mut CompileBudget,
    ) -> Result<Self, ExpressionError> {
        let base = base_url(base).ok_or(ExpressionError::Malformed)?;
        // Built with checks of overflow, as for tests, the library panics at a host with a bracket too many. Whoever sends
        // such a pattern is told that it is none.
        let parsed = std::panic::catch_unwind(|| parse::<Unread>(text, &base));
        let pattern = parsed.ok().flatten().ok_or(ExpressionError::Malformed)?;
        let mut demands = Vec::new();
        for (part, component) in [
            (Part::Path, pattern.pathname),
            (Part::Host, pattern.hostname),
            (Part::Scheme, pattern.protocol),
            (Part::Port, pattern.port),
            (Part::Query, pattern.search),
            (Part::Fragment, pattern.hash),
            (Part::Username, pattern.username),
            (Part::Password, pattern.password),
        ] {
            let before = budget.work_spent();
            demands.extend(Demand::read(component, budget)?.map(|demand| (part, demand)));
            // The library was told that it is none, where it is that costly.
            if part == Part::Scheme && budget.work_spent() - before > Demand::SCHEME_WORK {
                return Err(MatcherError::TooMuchWork { limit: Demand::SCHEME_WORK }.into());
            }
        }
        Ok(Self { base, demands: demands.into() })
    }

    pub(crate) fn base(&self) -> &Arc<Url> {
        &self.base
    }

    pub(crate) fn matches(&self, topic: &str) -> bool {
        // A topic that is no URL reference matches nothing (M-046).
        self.base.join(topic).is_ok_and(|url| self.matches_url(&url))
    }

    /// Whether a topic is matched that has been resolved against [`base`](Self::base) already.
    pub(crate) fn matches_url(&self, url: &Url) -> bool {
        self.demands.iter().all(|(part, demand)| demand.matches(part.of(url)))
    }

    pub(crate) fn anchor(&self) -> Anchor<'_> {
        let (host_start, host_end) = self.ends_of(Part::Host);
        let host = if host_start.len() > host_end.len() && !self.is_literal(Part::Host) {
            HostAnchor::Start(host_start)
        } else {
            HostAnchor::End(host_end)
        };
        let (path_start, end) = self.ends_of(Part::Path);
        let mut start = path_start.to_owned();
        // What a part begins with says something where all before it is known.
        let mut is_known = self.is_literal(Part::Path);
        for (part, sign) in [(Part::Query, '?'), (Part::Fragment, '#')] {
            let (more, _) = self.ends_of(part);
            if is_known && !more.is_empty() {
                start.push(sign);
                start.push_str(more);
            }
            is_known &= self.is_literal(part);
        }
        Anchor { host, start, end, run: self.demand(Part::Path).and_then(Demand::run) }
    }

    fn demand(&self, part: Part) -> Option<&Demand> {
        self.demands.iter().find(|(of, _)| *of == part).map(|(_, demand)| demand)
    }

    fn is_literal(&self, part: Part) -> bool {
        self.demand(part).is_some_and(Demand::is_literal)
    }

    /// What a part begins and ends with.
    fn ends_of(&self, part: Part) -> (&str, &str) {
        self.demand(part).map_or(("", ""), Demand::ends)
    }

    /// What it takes in the heap, in bytes, but for the base, which is shared.
    /// What it takes to evaluate, as [`Demand::cost`] tells it.
    pub(crate) fn cost(&self) -> usize {
        self.demands.iter().map(|(_, demand)| demand.cost()).sum()
    }

    /// What it takes in the heap, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.demands) + self.demands.iter().map(|(_, demand)| demand.bytes()).sum::<usize>()
    }
}

/// What the library reads.
fn parse<R: RegExp>(text: &str, base: &Url) -> Option<urlpattern::UrlPattern<R>> {
    let mut init = UrlPatternInit::parse_constructor_string::<R>(text, Some(base.clone())).ok()?;
    init.hostname = init.hostname.map(|host| without_foreign_texts(&host).into_owned());
    urlpattern::UrlPattern::parse(init, UrlPatternOptions::default()).ok()
}

/// Writes a URL's path, query and fragment as an [`Anchor`]'s beginning is written.
pub(crate) fn spell(url: &Url, spelled: &mut String) {
    spelled.push_str(url.path());
    // What is empty and what is not there are the same to a pattern.
    for (sign, part) in [('?', url.query()), ('#', url.fragment())] {
        if let Some(part) = part.filter(|part| !part.is_empty()) {
            spelled.push(sign);
            spelled.push_str(part);
        }
    }
}

/// The patterns of a hub have one base. A thread keeps the last one, so that they share it.
fn base_url(text: &str) -> Option<Arc<Url>> {
    thread_local! {
        static LAST: RefCell<Option<Arc<Url>>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| {
        if let Some(last) = last.as_ref().filter(|last| last.as_str() == text) {
            return Some(last.clone());
        }
        let base = Arc::new(Url::parse(text).ok()?);
        *last = Some(base.clone());
        Some(base)
    })
}

impl Part {
    fn of(self, url: &Url) -> &str {
        match self {
            Self::Path => url.path(),
            Self::Host => url.host_str().unwrap_or_default(),
            Self::Scheme => url.scheme(),
            Self::Port => url::quirks::port(url),
            Self::Query => url.query().unwrap_or_default(),
            Self::Fragment => url.fragment().unwrap_or_default(),
            Self::Username => url.username(),
            Self::Password => url.password().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{Index, select};
    use urlpattern::UrlPatternMatchInput;

    use super::*;

    const HUB: &str = "https://hub.example.com/.well-known/mercure";

    /// What the library says, with nothing of ours between.
    type Library = urlpattern::UrlPattern<regex::Regex>;

    fn compile(text: &str, base: &str) -> Result<UrlPattern, ExpressionError> {
        UrlPattern::compile(text, base, &mut CompileBudget::default())
    }

    fn library(text: &str, base: &str) -> Option<Library> {
        let base = Url::parse(base).expect("a URL");
        std::panic::catch_unwind(|| parse(text, &base)).ok().flatten()
    }

    fn matches_by_library(pattern: &Library, topic: &str, base: &str) -> bool {
        let url = Url::parse(base).expect("a URL").join(topic).map(UrlPatternMatchInput::Url);
        url.is_ok_and(|url| pattern.test(url).expect("an answer"))
    }

    fn check(pattern: &str, topic: &str, expected: bool) {
        let compiled = compile(pattern, HUB).expect(pattern);
        assert_eq!(compiled.matches(topic), expected, "{pattern} on {topic}");
        let by_library = library(pattern, HUB).expect(pattern);
        assert_eq!(matches_by_library(&by_library, topic, HUB), expected, "{pattern} on {topic}");
    }

    /// Patterns, with topics that they match and topics that they do not.
    const TABLE: &[(&str, &[&str], &[&str])] = &[
        (
            "https://example.com/books/:id",
            &[
                "https://example.com/books/1",
                "https://example.com/books/1?x=1",
                "https://example.com/books/1#top",
                "https://EXAMPLE.com/books/1",
                "https://example.com:443/books/1",
                "https://user@example.com/books/1",
                "https://example.com/x/../books/1",
                "https://example.com\\books\\1",
                "https://example.com/books/a%2Fb",
                "https://example.com/books/é",
                "https://example.com/books/:id",
            ],
            &[
                "https://example.com/books/",
                "https://example.com/books/1/",
                "https://example.com/books/1/reviews",
                "https://example.com/Books/1",
                "https://example.com:8443/books/1",
                "http://example.com/books/1",
                "https://[bad",
            ],
        ),
        (
            "https://example.com/books/:id(\\d+)",
            &["https://example.com/books/42"],
            &["https://example.com/books/x"],
        ),
        (
            "https://example.com/books/*",
            &["https://example.com/books/1/2", "https://example.com/books/"],
            &["https://example.com/books"],
        ),
        (
            "https://*.example.com/books/:id",
            &["https://eu.example.com/books/1"],
            &["https://example.com/books/1"],
        ),
        ("https://example.com/{books,films}/:id", &[], &["https://example.com/films/1"]),
        (
            "https://example.com/books/{id}",
            &["https://example.com/books/id"],
            &["https://example.com/books/1"],
        ),
        ("https://example.com", &["https://example.com/a"], &[]),
        ("https://example.com/", &["https://example.com/"], &["https://example.com/a"]),
        ("/books/:id", &["/books/1", "https://hub.example.com/books/1"], &["https://example.com/books/1"]),
        ("foo", &["foo", "/.well-known/foo"], &["/foo"]),
        ("/*", &["chat"], &[]),
        ("urn:*", &[], &["urn:isbn:99"]),
        ("/.well-known/mercure/subscriptions/*", &[], &["/.well-known/mercure/subscriptions"]),
        ("/.well-known/mercure/subscriptions*", &["/.well-known/mercure/subscriptions"], &[]),
        (
            "/.well-known/mercure/subscriptions{/*}?",
            &["/.well-known/mercure/subscriptions", "/.well-known/mercure/subscriptions/a/b"],
            &["/.well-known/mercure/subscriptionsx"],
        ),
    ];

    /// M-044 to M-050, as Chromium 156 answers.
    #[test]
    fn patterns_match_as_in_a_browser_m044_m045_m046_m047_m050() {
        for (pattern, matched, others) in TABLE {
            matched.iter().for_each(|topic| check(pattern, topic, true));
            others.iter().for_each(|topic| check(pattern, topic, false));
        }
    }

    /// Where the library differs from browsers, and we follow these: Chromium 156.
    #[test]
    fn patterns_match_as_in_a_browser_where_the_library_does_not_m044() {
        for (pattern, matched, others) in [
            (
                "https://host.test{/x}?",
                &["https://host.test", "https://host.test/x"][..],
                &["https://hostx.test"][..],
            ),
            ("https://host.test{/x}*/y", &["https://host.test/y"], &["https://host.test/x/y"]),
            ("https://{:h/x}.test/", &["https://a.test/"], &["https://test/"]),
            ("/(a$|b)", &["/a", "/b"], &["/c"]),
            ("/(^a|b)", &["/b"], &["/a"]),
            ("/a(^)b", &[], &["/ab"]),
            ("/x/(a$)", &["/x/a"], &[]),
            ("/x/(a$)/y", &[], &["/x/a/y"]),
            ("/x(\\ba)y", &[], &["/xay"]),
            ("/x(a\\b)/y", &["/xa/y"], &[]),
            ("/x/(a$)?/y", &[], &["/x/a/y"]),
            ("https://(^a).test/", &["https://a.test/"], &[]),
            ("https://(a$).test/", &[], &["https://a.test/"]),
        ] {
            let compiled = compile(pattern, HUB).expect(pattern);
            for (topics, expected) in [(matched, true), (others, false)] {
                for topic in topics {
                    assert_eq!(compiled.matches(topic), expected, "{pattern} on {topic}");
                }
            }
        }
    }

    #[test]
    fn what_takes_long_to_compile_is_refused_before_it_does_m049() {
        for pattern in [
            format!("/((?i){})", "\\PL".repeat(500)),
            format!("/((?i)[{}])", "\\PL".repeat(500)),
            format!("/((?-i:{}))", "\\p{Lu}".repeat(500)),
            format!("/([{}])", "\\w".repeat(2_000)).repeat(4),
            "((?i)\\PL)://a.b".to_owned(),
        ] {
            let refused = compile(&pattern, HUB).err();
            let costs =
                matches!(refused, Some(ExpressionError::Unaffordable(MatcherError::TooMuchWork { .. })));
            assert!(costs, "{refused:?} for {pattern}");
        }
    }

    #[test]
    fn broken_patterns_do_not_compile_m048() {
        for pattern in [
            "https://example.com/(unclosed",
            "https://example.com/{x",
            "/:id/:id",
            "/(?=a)",
            "/a([)b",
            "/(a(?x)#)",
            "https://a]:80/b",
        ] {
            assert_eq!(compile(pattern, HUB).err(), Some(ExpressionError::Malformed), "{pattern}");
            assert!(library(pattern, HUB).is_none(), "{pattern}");
        }
    }

    /// M-049: a subscriber cannot make the hub hold megabytes with a few bytes.
    #[test]
    fn a_pattern_that_would_compile_to_megabytes_is_refused_and_ordinary_ones_are_not() {
        for pattern in
            ["/:a(\\p{L}{0,9999})", "/:a((?:(?:x{0,100}){0,100}){0,100})", "/:a((?:x{0,100}){0,100})"]
        {
            assert_eq!(compile(pattern, HUB).err(), Some(ExpressionError::TooLarge), "{pattern}");
        }
        for pattern in [
            "/:a(\\w+)",
            "/:a([\\p{L}\\p{N}_-]+)",
            "/:a(\\p{L}{0,200})",
            "/:a([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4})/:b(\\d{4})",
        ] {
            let compiled = compile(pattern, HUB).expect(pattern);
            assert!(compiled.bytes() < 16 * 1024, "{pattern} takes {} bytes", compiled.bytes());
        }
        check("/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l", &"/x".repeat(12), true);
    }

    #[test]
    fn a_pattern_without_an_expression_of_its_own_takes_some_hundred_bytes() {
        for pattern in [
            "https://example.com/books/:id",
            "https://*.example.com/books/:id",
            "/rooms/:room/doors/:door",
            "http{s}?://example.com/{archive/}?:year/*",
        ] {
            let bytes = compile(pattern, HUB).expect(pattern).bytes();
            assert!(bytes < 600, "{pattern} takes {bytes} bytes");
        }
    }

    const BASES: [&str; 4] = [HUB, "https://a.b/a/b?a#b", "http://u:p@a.b:8080/", "urn:a:b"];

    /// Pieces of few different characters, so that by chance much matches and much nearly does.
    const PIECES: &[&str] = &[
        "/",
        "a",
        "b",
        ".",
        "-",
        "/a",
        "/b",
        "/:x",
        "/:y?",
        "/:z*",
        "/:w+",
        ":v",
        ":u?",
        "/*",
        "*",
        "*?",
        "{a}?",
        "{/b}*",
        "{b.}+",
        "{/:t}",
        "{/a:s}?",
        "{-:r.}*",
        "{/:q-}+",
        "{a*}?",
        "{.*b}+",
        "(a|b)",
        "/(\\w)",
        "{/(a+)b}?",
        "/:p(b*)+",
        "(.*)",
        "([^/]+?)",
        "\\.",
        "\\:",
        "?a",
        "\\?b",
        "?*",
        "#b",
        "#:h",
        "@",
        ":80",
        "é",
        "%C3%A9",
        "+",
        "|",
        "^",
        "$",
        "([)",
        "(])",
        "(.+?)",
        "(.*?)",
        "(a)??",
        "\\(",
        "\\\\",
        "\\{",
    ];

    const STARTS: &[&str] = &[
        "",
        "",
        "/",
        "https://a.b",
        "https://:h.b",
        "https://*.b",
        "https://{a.}?b",
        "http{s}?://a.b",
        "*://a.b",
        "https://a*",
        "https://(a|b).b",
        "https://a.b::p",
        "x://a",
        "https://{:g.}*b",
        "https://a.b/",
        "h*://a.b/",
        "urn:",
    ];

    const TOPICS: &[&str] = &[
        "/", "a", "b", ".", "-", "/a", "/b", "/ab", "a.b", "-a.", "?a", "?b", "#b", "é", "%C3%A9", ":", "|",
        "^", "(", "$", "aa", "1", "[", "/a/b", "//", "\\",
    ];

    const TOPIC_STARTS: &[&str] = &[
        "",
        "",
        "/",
        "https://a.b",
        "http://a.b",
        "https://a.a.b",
        "https://b",
        "https://a.b:80",
        "x://a",
        "urn:",
        "https://a",
    ];

    fn text(
        starts: &'static [&'static str],
        pieces: &'static [&'static str],
    ) -> impl Strategy<Value = String> {
        (select(starts), prop::collection::vec(select(pieces), 0..6))
            .prop_map(|(start, pieces)| [start, &pieces.concat()].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        /// Goal: the compact form says of every topic what the library says, and refuses the patterns that it refuses.
        /// Method: 300 patterns, 40 topics each.
        #[test]
        fn the_library_s_own_judgement_is_ours(
            pattern in text(STARTS, PIECES),
            topics in prop::collection::vec(text(TOPIC_STARTS, TOPICS), 40),
            base in any::<Index>(),
        ) {
            let base = *base.get(&BASES);
            let by_library = library(&pattern, base);
            let compiled = compile(&pattern, base).ok();
            prop_assert_eq!(compiled.is_some(), by_library.is_some(), "{}", pattern);
            if let (Some(compiled), Some(by_library)) = (compiled, by_library) {
                for topic in topics {
                    let expected = matches_by_library(&by_library, &topic, base);
                    prop_assert_eq!(compiled.matches(&topic), expected, "{} on {}", pattern, topic);
                }
            }
        }
    }
}
