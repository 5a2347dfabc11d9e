//! The string that a publication is addressed to.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::forbidden_character;

/// A topic: 1 to 4,096 bytes of text without control and format characters, and not `*`.
///
/// It may be an IRI and need not be one. Two topics are the same when their bytes are: nothing is
/// normalised. Cheap to clone.
///
/// Source: requirements M-011, M-017 and M-041 of the Mercure protocol.
///
/// ```
/// use fanfare_hub::{Topic, TopicError};
///
/// assert_eq!(Topic::parse("rooms/7")?.as_str(), "rooms/7");
/// assert_eq!(Topic::parse("*"), Err(TopicError::Wildcard));
/// # Ok::<(), TopicError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

/// What internal topics begin with: a control character, which no topic from outside holds.
const INTERNAL: char = '\u{0}';

/// What those of them begin with that say whom a publication is not for.
const EXCEPTION: &str = "\u{0}except/";

/// Whether a text is that of an internal topic.
pub(crate) fn is_internal(topic: &str) -> bool {
    topic.starts_with(INTERNAL)
}

/// Whether a text is that of a topic that says whom a publication is not for.
pub(crate) fn is_exception(topic: &str) -> bool {
    topic.starts_with(EXCEPTION)
}

/// Why a text is not a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicError {
    /// It has no characters.
    Empty,
    /// It is longer than a topic may be.
    TooLong {
        /// Its length.
        bytes: usize,
        /// [`Topic::BYTES_MAX`].
        limit: usize,
    },
    /// It holds a control or format character.
    Forbidden {
        /// The first one.
        character: char,
    },
    /// It is `*`, which matchers use for every topic.
    Wildcard,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the topic is empty"),
            Self::TooLong { bytes, limit } => {
                write!(f, "the topic has {bytes} bytes; at most {limit} are allowed")
            }
            Self::Forbidden { character } => {
                write!(f, "the topic contains the control or format character {}", character.escape_unicode())
            }
            Self::Wildcard => f.write_str("the topic is `*`, which stands for every topic"),
        }
    }
}

impl std::error::Error for TopicError {}

impl Topic {
    /// The longest topic, in bytes of UTF-8.
    pub const BYTES_MAX: usize = 4096;

    /// Takes a topic from outside.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, TopicError> {
        let text = text.as_ref();
        if text.is_empty() {
            return Err(TopicError::Empty);
        }
        if text.len() > Self::BYTES_MAX {
            return Err(TopicError::TooLong { bytes: text.len(), limit: Self::BYTES_MAX });
        }
        if text == "*" {
            return Err(TopicError::Wildcard);
        }
        match forbidden_character(text) {
            Some(character) => Err(TopicError::Forbidden { character }),
            None => Ok(Self(text.into())),
        }
    }

    /// A topic for what the hub tells itself, or other nodes: nobody outside can name it.
    ///
    /// Its text begins with U+0000, which [`parse`](Self::parse) and every matcher that is written as text refuse. What is
    /// published to it is private, and no pattern matches it; of grants it needs one that holds this very topic, for
    /// neither `*` nor [`Grant::everything`](crate::Grant::everything) lets it through. It is logged, kept and replayed as any
    /// other, and a subscription to it alone is not counted among the subscribers.
    ///
    /// ```
    /// use fanfare_hub::{Grant, Matcher, Topic};
    ///
    /// let topic = Topic::internal("revocations");
    /// assert!(Topic::parse(topic.as_str()).is_err());
    /// assert!(!Grant::everything().allows(&[topic.clone()]));
    /// assert!(Grant::from_iter([Matcher::from(topic.clone())]).allows(&[topic]));
    /// ```
    ///
    /// # Panics
    /// `name` is no topic itself, or begins with `except/`.
    #[must_use]
    pub fn internal(name: &'static str) -> Self {
        assert!(Self::parse(name).is_ok() && name.len() < Self::BYTES_MAX, "{name:?} is no name for a topic");
        let internal = Self(format!("{INTERNAL}{name}").into());
        assert!(!internal.is_exception(), "{name:?} says whom a publication is not for");
        internal
    }

    /// What a publication carries among its topics that is for everybody but those of this name.
    pub(crate) fn exception(name: &str) -> Result<Self, TopicError> {
        let text = format!("{EXCEPTION}{name}");
        Self::parse(name)?;
        Self::parse_stored(&text)
    }

    /// Whether it says whom a publication is not for.
    pub(crate) fn is_exception(&self) -> bool {
        is_exception(&self.0)
    }

    /// The internal topic for what the hub tells itself about `topic`.
    ///
    /// # Errors
    /// With `name` before it, the topic is longer than one may be.
    pub(crate) fn internal_about(name: &str, topic: &Topic) -> Result<Self, TopicError> {
        let text = Self::internal_text(name, topic.as_str());
        let (bytes, around) = (topic.0.len(), text.len() - topic.0.len());
        if text.len() > Self::BYTES_MAX {
            return Err(TopicError::TooLong { bytes, limit: Self::BYTES_MAX - around });
        }
        Ok(Self(text.into()))
    }

    /// The text of the internal topic for what the hub tells itself about `topic`.
    pub(crate) fn internal_text(name: &str, topic: &str) -> String {
        format!("{INTERNAL}{name}{topic}")
    }

    /// An internal topic whose name the hub has made itself.
    pub(crate) fn internal_named(name: &str) -> Self {
        Self(Self::internal_text(name, "").into())
    }

    /// The internal topic's name, if it is one.
    pub(crate) fn internal_name(&self) -> Option<&str> {
        self.0.strip_prefix(INTERNAL)
    }

    /// Takes a topic back that a hub has handed to its engine: one from outside, or an internal one.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse).
    pub fn parse_stored(text: &str) -> Result<Self, TopicError> {
        match text.strip_prefix(INTERNAL) {
            Some(name) if text.len() <= Self::BYTES_MAX => Self::parse(name).map(|_| Self(text.into())),
            _ => Self::parse(text),
        }
    }

    /// Whether nobody outside can name it.
    pub(crate) fn is_internal(&self) -> bool {
        is_internal(&self.0)
    }

    /// The topic as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Topic {
    type Error = TopicError;
    fn try_from(text: &str) -> Result<Self, TopicError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Topic {
    type Error = TopicError;
    fn try_from(text: String) -> Result<Self, TopicError> {
        Self::parse(text)
    }
}

impl std::str::FromStr for Topic {
    type Err = TopicError;
    fn from_str(text: &str) -> Result<Self, TopicError> {
        Self::parse(text)
    }
}

/// So that `hub.publish(topic, …)` takes a `Topic` as well as a text.
impl From<std::convert::Infallible> for TopicError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Topic, TopicError};

    #[test]
    fn a_topic_is_as_long_as_the_limit_and_no_longer() {
        assert!(Topic::parse("x".repeat(4096)).is_ok());
        assert_eq!(Topic::parse("x".repeat(4097)), Err(TopicError::TooLong { bytes: 4097, limit: 4096 }));
    }

    #[test]
    fn nobody_outside_can_name_an_internal_topic_p7() {
        let internal = Topic::internal("x");
        assert!(matches!(Topic::parse(internal.as_str()), Err(TopicError::Forbidden { .. })));
        assert!(crate::Matcher::exact(internal.as_str()).is_err());
        assert_eq!(Topic::parse_stored(internal.as_str()), Ok(internal));
        assert_eq!(Topic::parse_stored("x"), Topic::parse("x"));
        for none in ["\u{0}", "\u{0}\u{0}x", "\u{0}*", "", "a\u{0}"] {
            assert!(Topic::parse_stored(none).is_err(), "{none:?}");
        }
    }

    #[test]
    fn a_topic_is_neither_empty_nor_a_wildcard_nor_two_lines_m041() {
        assert_eq!(Topic::parse(""), Err(TopicError::Empty));
        assert_eq!(Topic::parse("*"), Err(TopicError::Wildcard));
        assert_eq!(Topic::parse("a\rb"), Err(TopicError::Forbidden { character: '\r' }));
    }
}
