//! WHATWG URL Patterns over topics, on the library that Deno keeps.

use regex::{Regex, RegexBuilder};
use url::Url;
use urlpattern::parser::RegexSyntax;
use urlpattern::regexp::RegExp;
use urlpattern::{UrlPatternInit, UrlPatternMatchInput, UrlPatternOptions};

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

    pub(crate) fn matches(&self, topic: &str) -> bool {
        // A topic that is no URL reference matches nothing (M-046); so does one that breaks the limits of the
        // expression engine (M-048).
        let Ok(url) = self.base.join(topic) else { return false };
        self.pattern.test(UrlPatternMatchInput::Url(url)).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::UrlPattern;

    const HUB: &str = "https://hub.example.com/.well-known/mercure";

    fn check(pattern: &str, topic: &str, expected: bool) {
        let compiled =
            UrlPattern::compile(pattern, HUB).unwrap_or_else(|| panic!("{pattern} does not compile"));
        assert_eq!(compiled.matches(topic), expected, "{pattern} on {topic}");
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
