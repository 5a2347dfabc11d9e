//! WHATWG URL Patterns over topics, on the library that Deno keeps.

use regex::{Regex, RegexBuilder};
use url::Url;
use urlpattern::component::Component;
use urlpattern::matcher::{InnerMatcher, Matcher};
use urlpattern::parser::RegexSyntax;
use urlpattern::regexp::RegExp;
use urlpattern::{UrlPatternInit, UrlPatternOptions};

/// A compiled pattern with the URL that topics are resolved against.
pub(crate) struct UrlPattern {
    base: Url,
    pattern: urlpattern::UrlPattern<Bounded>,
}

/// An expression of bounded size. A few bytes such as `\p{L}{0,200}` would otherwise compile to megabytes, for every
/// subscriber who cares to send them (M-049).
#[derive(Debug)]
struct Bounded(Regex);

impl Bounded {
    /// The largest compiled expression, in bytes; a pattern has one for each of eight components.
    const BYTES_MAX: usize = 128 * 1024;

    /// What a search may use besides, in bytes. With less it becomes slower, never wrong.
    const SEARCH_BYTES_MAX: usize = 64 * 1024;
}

impl RegExp for Bounded {
    fn syntax() -> RegexSyntax {
        RegexSyntax::Rust
    }

    fn parse(pattern: &str, _flags: &str, _force_eval: bool) -> Result<Self, ()> {
        let mut builder = RegexBuilder::new(pattern);
        let builder = builder.size_limit(Self::BYTES_MAX).dfa_size_limit(Self::SEARCH_BYTES_MAX);
        builder.build().map(Self).map_err(|_| ())
    }

    fn matches<'a>(&self, text: &'a str) -> Option<Vec<Option<&'a str>>> {
        RegExp::matches(&self.0, text)
    }

    fn pattern_string(&self) -> &str {
        self.0.as_str()
    }
}

impl UrlPattern {
    pub(crate) fn compile(text: &str, base: &str) -> Option<Self> {
        let base = Url::parse(base).ok()?;
        let init = UrlPatternInit::parse_constructor_string::<Bounded>(text, Some(base.clone())).ok()?;
        let pattern = urlpattern::UrlPattern::parse(init, UrlPatternOptions::default()).ok()?;
        Some(Self { base, pattern })
    }

    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    pub(crate) fn matches(&self, topic: &str) -> bool {
        // A topic that is no URL reference matches nothing (M-046).
        self.base.join(topic).is_ok_and(|url| self.matches_url(&url))
    }

    /// Whether a topic is matched that has been resolved against [`base`](Self::base) already.
    ///
    /// Says what `urlpattern::UrlPattern::test` says, which copies all components before it compares the first.
    pub(crate) fn matches_url(&self, url: &Url) -> bool {
        // A text that breaks the limits of the expression engine is not matched (M-048).
        let fits = |part: &Component<Bounded>, text: &str| part.matcher.matches(text).is_some();
        let pattern = &self.pattern;
        // Those that differ most often come first.
        fits(&pattern.pathname, url.path())
            && fits(&pattern.hostname, url.host_str().unwrap_or_default())
            && fits(&pattern.protocol, url.scheme())
            && fits(&pattern.port, url::quirks::port(url))
            && fits(&pattern.search, url.query().unwrap_or_default())
            && fits(&pattern.hash, url.fragment().unwrap_or_default())
            && fits(&pattern.username, url.username())
            && fits(&pattern.password, url.password().unwrap_or_default())
    }

    /// What every URL begins with that is matched, spelled as its host with the path right behind it.
    ///
    /// It is taken from the very texts that [`matches_url`](Self::matches_url) compares with, so that no rule about
    /// upper case, percent signs or optional slashes has to be told twice.
    pub(crate) fn prefix(&self) -> String {
        let (host, is_all) = beginning(&self.pattern.hostname.matcher);
        // Behind a host that may go on, the path begins anywhere.
        let path = if is_all { beginning(&self.pattern.pathname.matcher).0 } else { "" };
        [host, path].concat()
    }
}

/// What every text that is matched begins with, and whether that is the only one.
fn beginning(matcher: &Matcher<Bounded>) -> (&str, bool) {
    match &matcher.inner {
        InnerMatcher::Literal { literal } if matcher.prefix.is_empty() && !matcher.ignore_case => {
            (literal, matcher.suffix.is_empty())
        }
        _ => (&matcher.prefix, false),
    }
}

#[cfg(test)]
mod tests {
    use urlpattern::UrlPatternMatchInput;

    use super::UrlPattern;

    const HUB: &str = "https://hub.example.com/.well-known/mercure";

    fn check(pattern: &str, topic: &str, expected: bool) {
        let compiled =
            UrlPattern::compile(pattern, HUB).unwrap_or_else(|| panic!("{pattern} does not compile"));
        assert_eq!(compiled.matches(topic), expected, "{pattern} on {topic}");
        assert_eq!(matches_by_library(&compiled, topic), expected, "{pattern} on {topic}");
    }

    fn matches_by_library(compiled: &UrlPattern, topic: &str) -> bool {
        let Ok(url) = compiled.base.join(topic) else { return false };
        compiled.pattern.test(UrlPatternMatchInput::Url(url)).expect("an answer")
    }

    /// M-044 to M-050, as Chromium 156 answers.
    #[test]
    fn patterns_match_as_in_a_browser() {
        let book = "https://example.com/books/:id";
        for topic in [
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
        ] {
            check(book, topic, true);
        }
        for topic in [
            "https://example.com/books/",
            "https://example.com/books/1/",
            "https://example.com/books/1/reviews",
            "https://example.com/Books/1",
            "https://example.com:8443/books/1",
            "http://example.com/books/1",
            "https://[bad",
        ] {
            check(book, topic, false);
        }
        check("https://example.com/books/:id(\\d+)", "https://example.com/books/42", true);
        check("https://example.com/books/:id(\\d+)", "https://example.com/books/x", false);
        check("https://example.com/books/*", "https://example.com/books/1/2", true);
        check("https://example.com/books/*", "https://example.com/books/", true);
        check("https://example.com/books/*", "https://example.com/books", false);
        check("https://*.example.com/books/:id", "https://eu.example.com/books/1", true);
        check("https://*.example.com/books/:id", "https://example.com/books/1", false);
        check("https://example.com/{books,films}/:id", "https://example.com/films/1", false);
        check("https://example.com/books/{id}", "https://example.com/books/1", false);
        check("https://example.com/books/{id}", "https://example.com/books/id", true);
        check("https://example.com", "https://example.com/a", true);
        check("https://example.com/", "https://example.com/a", false);
        check("/books/:id", "/books/1", true);
        check("/books/:id", "https://hub.example.com/books/1", true);
        check("/books/:id", "https://example.com/books/1", false);
        check("foo", "foo", true);
        check("foo", "/.well-known/foo", true);
        check("foo", "/foo", false);
        check("/*", "chat", true);
        check("urn:*", "urn:isbn:99", false);
        check("/.well-known/mercure/subscriptions/*", "/.well-known/mercure/subscriptions", false);
        check("/.well-known/mercure/subscriptions{/*}?", "/.well-known/mercure/subscriptions", true);
    }

    #[test]
    fn broken_patterns_do_not_compile() {
        for pattern in ["https://example.com/(unclosed", "https://example.com/{x", "/:id/:id", "/(?=a)"] {
            assert!(UrlPattern::compile(pattern, HUB).is_none(), "{pattern}");
        }
    }

    /// M-049: a subscriber cannot make the hub hold megabytes with a few bytes.
    #[test]
    fn a_pattern_that_would_compile_to_megabytes_is_refused_and_ordinary_ones_are_not() {
        for pattern in ["/:a(\\p{L}{0,200})", "/:a(((x{0,100}){0,100}){0,100})", "/:a((?:x{0,100}){0,100})"] {
            assert!(UrlPattern::compile(pattern, HUB).is_none(), "{pattern}");
        }
        for pattern in
            ["/:a(\\w+)", "/:a([\\p{L}\\p{N}_-]+)", "/:a([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4})/:b(\\d{4})"]
        {
            assert!(UrlPattern::compile(pattern, HUB).is_some(), "{pattern}");
        }
        check("/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l", &"/x".repeat(12), true);
    }
}
