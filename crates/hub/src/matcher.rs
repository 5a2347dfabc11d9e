//! An expression that topics are held against.
//!
//! A matcher routes; whether somebody may read what it matches is a [`Grant`](crate::Grant)'s matter.
//! Source: sections 4 and 20.1 of the Mercure protocol.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

#[cfg(any(feature = "urlpattern", feature = "uri-template"))]
use crate::CompileBudget;
#[cfg(feature = "urlpattern")]
use crate::expression::{Expression, ExpressionError};
use crate::topic::is_internal;
#[cfg(feature = "urlpattern")]
use crate::url_pattern::{Anchor, UrlPattern};
use crate::{Topic, forbidden_character};

/// Matches topics: one topic exactly, every topic, or a pattern.
///
/// Two matchers of the same kind and text are equal. Cheap to clone.
///
/// ```
/// use fanfare_hub::{Matcher, Topic};
///
/// let topic = Topic::parse("rooms/7")?;
/// assert!(Matcher::exact("rooms/7")?.matches(&topic));
/// assert!(Matcher::any().matches(&topic));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Matcher(pub(crate) Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    Any,
    Exact(Arc<str>),
    #[cfg_attr(not(any(feature = "urlpattern", feature = "uri-template")), allow(dead_code))]
    Pattern(Arc<Pattern>),
}

/// A matcher that has to be evaluated, topic by topic.
pub(crate) struct Pattern {
    text: Box<str>,
    test: Test,
    /// What compiling it cost, of a [`CompileBudget`].
    work: usize,
}

enum Test {
    #[cfg(feature = "urlpattern")]
    Url(UrlPattern),
    #[cfg(feature = "uri-template")]
    Template(crate::uri_template::UriTemplate),
    #[cfg(not(any(feature = "urlpattern", feature = "uri-template")))]
    #[allow(dead_code)]
    Never,
}

/// A topic as a pattern reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spelling<'a> {
    /// As it stands.
    #[cfg_attr(not(any(feature = "urlpattern", feature = "uri-template")), allow(dead_code))]
    Text(&'a str),
    /// Resolved against the pattern's base.
    #[cfg(feature = "urlpattern")]
    Url(&'a url::Url),
}

/// A topic that is resolved once for all patterns of a base that are held against it in turn.
pub(crate) struct Resolved<'a> {
    topic: &'a str,
    #[cfg(feature = "urlpattern")]
    last: Option<(&'a Arc<url::Url>, Option<url::Url>)>,
}

impl<'a> Resolved<'a> {
    pub(crate) fn new(topic: &'a Topic) -> Self {
        Self {
            topic: topic.as_str(),
            #[cfg(feature = "urlpattern")]
            last: None,
        }
    }

    pub(crate) fn is_matched_by(&mut self, pattern: &'a Pattern) -> bool {
        // Resolved as a URL it would lose the control character that it begins with.
        if is_internal(self.topic) {
            return false;
        }
        match &pattern.test {
            #[cfg(feature = "urlpattern")]
            Test::Url(url_pattern) => {
                let base = url_pattern.base();
                let known = self.last.take().filter(|(last, _)| Arc::ptr_eq(last, base) || *last == base);
                let (_, url) = self.last.insert(known.unwrap_or_else(|| (base, base.join(self.topic).ok())));
                url.as_ref().is_some_and(|url| pattern.matches(Spelling::Url(url)))
            }
            #[cfg(feature = "uri-template")]
            Test::Template(_) => pattern.matches(Spelling::Text(self.topic)),
            #[cfg(not(any(feature = "urlpattern", feature = "uri-template")))]
            Test::Never => false,
        }
    }
}

/// Where a pattern is found by the literals in it.
pub(crate) enum Found<'a> {
    /// Topics as they stand begin and end so, and have the segments between.
    #[cfg_attr(not(feature = "uri-template"), allow(dead_code))]
    Text { start: &'a str, end: &'a str, run: Option<&'a str> },
    /// Topics resolved against the base have these.
    #[cfg(feature = "urlpattern")]
    Url(&'a Arc<url::Url>, Anchor<'a>),
}

/// Which language a matcher is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MatcherKind {
    /// `*`: every topic.
    Any,
    /// One topic, byte for byte.
    Exact,
    /// A WHATWG URL Pattern.
    UrlPattern,
    /// An RFC 6570 URI Template, as Mercure hubs before 1.0 match it.
    UriTemplate,
}

/// Why a text is not a matcher.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MatcherError {
    /// It holds a control or format character.
    Forbidden {
        /// The first one.
        character: char,
    },
    /// It is longer than a matcher may be.
    TooLong {
        /// Its length.
        bytes: usize,
        /// [`Matcher::BYTES_MAX`].
        limit: usize,
    },
    /// A regular expression in it is too large once it is compiled.
    TooLarge {
        /// How many bytes it may have.
        limit: usize,
    },
    /// Compiling it takes more work than is left of a [`CompileBudget`].
    TooMuchWork {
        /// How much all that share the budget may take.
        limit: usize,
    },
    /// Compiled it takes more memory than is left of a [`CompileBudget`].
    TooManyBytes {
        /// How many bytes all that share the budget may take.
        limit: usize,
    },
    /// It is not a well-formed pattern of its kind.
    Malformed {
        /// The pattern.
        pattern: String,
    },
}

impl fmt::Display for MatcherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden { character } => {
                write!(
                    f,
                    "the matcher contains the control or format character {}",
                    character.escape_unicode()
                )
            }
            Self::TooLong { bytes, limit } => {
                write!(f, "the matcher has {bytes} bytes; at most {limit} are allowed")
            }
            Self::TooLarge { limit } => {
                write!(
                    f,
                    "a regular expression in the matcher is too large: compiled it may have at most {limit} bytes"
                )
            }
            Self::TooMuchWork { .. } => f.write_str(
                "the patterns take too much work to compile; use fewer and shorter ones, with fewer classes of characters in their regular expressions",
            ),
            Self::TooManyBytes { limit } => write!(
                f,
                "compiled, the patterns take more than {limit} bytes together; use fewer and simpler ones"
            ),
            // The pattern compiler's own words would tell about its insides (M-026).
            Self::Malformed { pattern } => write!(f, "invalid topic matcher pattern {pattern:?}"),
        }
    }
}

impl std::error::Error for MatcherError {}

fn check_text(text: &str) -> Result<(), MatcherError> {
    if text.len() > Matcher::BYTES_MAX {
        return Err(MatcherError::TooLong { bytes: text.len(), limit: Matcher::BYTES_MAX });
    }
    match forbidden_character(text) {
        Some(character) => Err(MatcherError::Forbidden { character }),
        None => Ok(()),
    }
}

impl Matcher {
    /// The longest matcher, in bytes of UTF-8.
    pub const BYTES_MAX: usize = 4096;

    /// Matches every topic.
    #[must_use]
    pub fn any() -> Self {
        Self(Kind::Any)
    }

    /// Matches the topic that equals `text` byte for byte; `*` matches every topic, and the empty text none.
    pub fn exact(text: impl AsRef<str>) -> Result<Self, MatcherError> {
        let text = text.as_ref();
        if text == "*" {
            return Ok(Self::any());
        }
        check_text(text)?;
        Ok(Self(Kind::Exact(text.into())))
    }

    /// Matches topics by a WHATWG URL Pattern; pattern and topics are resolved against `base`.
    ///
    /// `base` is the hub's own URL, such as `https://example.com/.well-known/mercure`. A topic that is no
    /// URL even then matches no pattern. Regular expressions inside run in linear time; look-around is an error.
    ///
    /// It may cost what [`CompileBudget::default`] says.
    ///
    /// Source: <https://urlpattern.spec.whatwg.org/>, requirements M-044 to M-050.
    #[cfg(feature = "urlpattern")]
    pub fn url_pattern(text: impl AsRef<str>, base: &str) -> Result<Self, MatcherError> {
        Self::url_pattern_within(text, base, &mut CompileBudget::default())
    }

    /// The same, at the cost of a budget that others share.
    ///
    /// # Errors
    /// Besides those of [`url_pattern`](Self::url_pattern) [`MatcherError::TooMuchWork`] and [`MatcherError::TooManyBytes`]. What
    /// had been spent until then stays so.
    #[cfg(feature = "urlpattern")]
    pub fn url_pattern_within(
        text: impl AsRef<str>,
        base: &str,
        budget: &mut CompileBudget,
    ) -> Result<Self, MatcherError> {
        let text = text.as_ref();
        if text == "*" {
            return Ok(Self::any());
        }
        check_text(text)?;
        Self::pattern_within(text, budget, |budget| {
            let compiled = UrlPattern::compile(text, base, budget).map_err(|error| match error {
                ExpressionError::Malformed => MatcherError::Malformed { pattern: text.to_owned() },
                ExpressionError::TooLarge => MatcherError::TooLarge { limit: Expression::BYTES_MAX },
                ExpressionError::Unaffordable(error) => error,
            })?;
            Ok(Some(Test::Url(compiled)))
        })
    }

    /// Matches topics as Mercure hubs before 1.0 do: `*`, an equal text, or an RFC 6570 URI Template.
    ///
    /// A text that is no template is a plain string, never an error. A template may cost what [`CompileBudget::default`] says.
    ///
    /// Source: requirements M-187 to M-189 of the Mercure protocol.
    #[cfg(feature = "uri-template")]
    pub fn topic_selector(text: impl AsRef<str>) -> Result<Self, MatcherError> {
        Self::topic_selector_within(text, &mut CompileBudget::default())
    }

    /// The same, at the cost of a budget that others share.
    ///
    /// # Errors
    /// Besides those of [`topic_selector`](Self::topic_selector) [`MatcherError::TooMuchWork`] and [`MatcherError::TooManyBytes`].
    /// What had been spent until then stays so.
    #[cfg(feature = "uri-template")]
    pub fn topic_selector_within(
        text: impl AsRef<str>,
        budget: &mut CompileBudget,
    ) -> Result<Self, MatcherError> {
        let text = text.as_ref();
        check_text(text)?;
        Self::pattern_within(text, budget, |budget| {
            Ok(crate::uri_template::UriTemplate::compile(text, budget)?.map(Test::Template))
        })
    }

    /// A pattern, or the text itself where it turns out to be none.
    #[cfg(any(feature = "urlpattern", feature = "uri-template"))]
    fn pattern_within(
        text: &str,
        budget: &mut CompileBudget,
        compile: impl FnOnce(&mut CompileBudget) -> Result<Option<Test>, MatcherError>,
    ) -> Result<Self, MatcherError> {
        let before = budget.work_spent();
        budget.take_work(text.len())?;
        let Some(compiled) = compile(budget)? else { return Self::exact(text) };
        let work = budget.work_spent() - before;
        let matcher = Self(Kind::Pattern(Arc::new(Pattern { text: text.into(), test: compiled, work })));
        budget.take_bytes(matcher.memory_bytes())?;
        Ok(matcher)
    }

    /// Whether `topic` is matched.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        match &self.0 {
            Kind::Any => true,
            Kind::Exact(text) => **text == *topic.as_str(),
            Kind::Pattern(pattern) => pattern.matches(Spelling::Text(topic.as_str())),
        }
    }

    /// Whether `text` would be matched if it were a topic. For texts that are none, such as `*`; a topic is asked about by
    /// [`matches`](Self::matches).
    #[must_use]
    pub fn matches_text(&self, text: &str) -> bool {
        match &self.0 {
            Kind::Any => true,
            Kind::Exact(exact) => **exact == *text,
            Kind::Pattern(pattern) => pattern.matches(Spelling::Text(text)),
        }
    }

    /// The matcher as it was written; `*` for the one that matches everything.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kind::Any => "*",
            Kind::Exact(text) => text,
            Kind::Pattern(pattern) => &pattern.text,
        }
    }

    /// Which language the matcher is written in.
    #[must_use]
    pub fn kind(&self) -> MatcherKind {
        match &self.0 {
            Kind::Any => MatcherKind::Any,
            Kind::Exact(_) => MatcherKind::Exact,
            Kind::Pattern(pattern) => pattern.kind(),
        }
    }

    /// What compiling it cost; exact matchers cost nothing.
    pub(crate) fn compile_work(&self) -> usize {
        match &self.0 {
            Kind::Any | Kind::Exact(_) => 0,
            Kind::Pattern(pattern) => pattern.work,
        }
    }

    pub(crate) fn identity(&self) -> (MatcherKind, &str, &str) {
        let base = match &self.0 {
            Kind::Pattern(pattern) => pattern.base(),
            Kind::Any | Kind::Exact(_) => "",
        };
        (self.kind(), self.as_str(), base)
    }

    /// About how many bytes of memory it takes. Clones share them.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        /// The counts of those who share it.
        const SHARED: usize = 2 * size_of::<usize>();
        match &self.0 {
            Kind::Any => 0,
            Kind::Exact(text) => SHARED + text.len(),
            Kind::Pattern(pattern) => {
                SHARED + size_of::<Pattern>() + pattern.text.len() + pattern.test.bytes()
            }
        }
    }
}

impl Pattern {
    fn kind(&self) -> MatcherKind {
        match &self.test {
            #[cfg(feature = "urlpattern")]
            Test::Url(_) => MatcherKind::UrlPattern,
            #[cfg(feature = "uri-template")]
            Test::Template(_) => MatcherKind::UriTemplate,
            #[cfg(not(any(feature = "urlpattern", feature = "uri-template")))]
            Test::Never => MatcherKind::Exact,
        }
    }

    /// What relative patterns and topics are resolved against; empty where the kind has no base.
    fn base(&self) -> &str {
        match &self.test {
            #[cfg(feature = "urlpattern")]
            Test::Url(pattern) => pattern.base().as_str(),
            #[cfg(feature = "uri-template")]
            Test::Template(_) => "",
            #[cfg(not(any(feature = "urlpattern", feature = "uri-template")))]
            Test::Never => "",
        }
    }

    /// Whether it matches a topic, which is no internal one where it is a URL already.
    pub(crate) fn matches(&self, topic: Spelling<'_>) -> bool {
        if matches!(topic, Spelling::Text(text) if is_internal(text)) {
            return false;
        }
        match (&self.test, topic) {
            #[cfg(feature = "urlpattern")]
            (Test::Url(pattern), Spelling::Text(topic)) => pattern.matches(topic),
            #[cfg(feature = "urlpattern")]
            (Test::Url(pattern), Spelling::Url(topic)) => pattern.matches_url(topic),
            #[cfg(feature = "uri-template")]
            (Test::Template(template), Spelling::Text(topic)) => {
                *self.text == *topic || template.matches(&self.text, topic)
            }
            #[cfg(all(feature = "urlpattern", feature = "uri-template"))]
            (Test::Template(_), Spelling::Url(_)) => false,
            #[cfg(not(any(feature = "urlpattern", feature = "uri-template")))]
            (Test::Never, Spelling::Text(_)) => false,
        }
    }

    /// How long it takes to evaluate on a topic of usual length, beside the others: one for most.
    pub(crate) fn weight(&self) -> usize {
        1 + self.test.cost() / 128
    }

    /// About how many microseconds it takes at the most to hold it against a topic of so many bytes: an expression goes through
    /// the topic once for each of its states (measured in a release build, 2026).
    pub(crate) fn evaluation_micros(&self, topic_bytes: usize) -> u64 {
        1 + (self.test.cost() * topic_bytes / 6_500) as u64
    }

    /// Where it is to be found. Possibly less than could be said, never more.
    pub(crate) fn found(&self) -> Found<'_> {
        match &self.test {
            #[cfg(feature = "urlpattern")]
            Test::Url(pattern) => Found::Url(pattern.base(), pattern.anchor()),
            #[cfg(feature = "uri-template")]
            Test::Template(template) => {
                let (start, end) = template.literals(&self.text);
                Found::Text { start, end, run: template.run() }
            }
            #[cfg(not(any(feature = "urlpattern", feature = "uri-template")))]
            Test::Never => Found::Text { start: "", end: "", run: None },
        }
    }
}

impl Test {
    /// What it takes to evaluate: one for each microsecond with a topic of 6,500 bytes.
    fn cost(&self) -> usize {
        match self {
            #[cfg(feature = "urlpattern")]
            Self::Url(pattern) => pattern.cost(),
            #[cfg(feature = "uri-template")]
            Self::Template(template) => template.cost(),
            #[cfg(not(any(feature = "urlpattern", feature = "uri-template")))]
            Self::Never => 0,
        }
    }

    /// What it takes in the heap, in bytes.
    fn bytes(&self) -> usize {
        match self {
            #[cfg(feature = "urlpattern")]
            Self::Url(pattern) => pattern.bytes(),
            #[cfg(feature = "uri-template")]
            Self::Template(template) => template.bytes(),
            #[cfg(not(any(feature = "urlpattern", feature = "uri-template")))]
            Self::Never => 0,
        }
    }
}

impl From<Topic> for Matcher {
    fn from(topic: Topic) -> Self {
        Self(Kind::Exact(topic.shared()))
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}
impl Eq for Matcher {}

impl Hash for Matcher {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({:?})", self.kind(), self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> Topic {
        Topic::parse(text).expect("a topic")
    }

    #[test]
    fn exact_compares_bytes_and_nothing_else_m017_m042() {
        let matcher = Matcher::exact("https://a.test/x").expect("a matcher");
        assert!(matcher.matches(&topic("https://a.test/x")));
        assert!(!matcher.matches(&topic("https://a.test:443/x")));
        assert!(!matcher.matches(&topic("https://A.test/x")));
    }

    #[test]
    fn the_empty_matcher_matches_nothing_m043() {
        assert!(!Matcher::exact("").expect("a matcher").matches(&topic("a")));
    }

    #[test]
    fn a_star_is_every_topic_whatever_the_kind_m040() {
        assert_eq!(Matcher::exact("*"), Ok(Matcher::any()));
        #[cfg(feature = "urlpattern")]
        assert_eq!(Matcher::url_pattern("*", "https://hub.test/"), Ok(Matcher::any()));
        #[cfg(feature = "uri-template")]
        assert_eq!(Matcher::topic_selector("*"), Ok(Matcher::any()));
    }

    #[test]
    fn equal_texts_of_different_kinds_are_different_matchers() {
        #[cfg(feature = "urlpattern")]
        assert_ne!(Matcher::exact("/a"), Matcher::url_pattern("/a", "https://hub.test/"));
        assert_eq!(Matcher::exact("/a"), Matcher::exact("/a"));
    }
}
