//! The two short fields of an event, as types that cannot hold a line break.
//!
//! Outside text becomes an [`EventId`] or an [`EventName`] once; from then on nobody checks again.
//! Nothing here is repaired: a text that does not fit is refused, never cut.
//! Source: [WHATWG HTML § 9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

/// Why a text cannot be an [`EventId`] or an [`EventName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// It has a CR or LF, which would end the line it stands in.
    LineBreak,
    /// It has a NUL; a client ignores an id with one.
    Nul,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LineBreak => "it contains a line break",
            Self::Nul => "it contains a NUL character, with which clients ignore an id",
        })
    }
}

impl core::error::Error for NameError {}

/// The value of an event's `id` field: any text without CR, LF and NUL. It may be empty, which
/// makes a client forget its last event ID.
///
/// Cheap to clone. Compares, orders and hashes as its text does.
///
/// ```
/// use fanfare_wire::{EventId, NameError};
///
/// const FIRST: EventId = EventId::from_static("1");
/// assert_eq!(EventId::parse("1")?, FIRST);
/// assert_eq!(EventId::parse("1\ndata: forged"), Err(NameError::LineBreak));
/// # Ok::<(), NameError>(())
/// ```
#[derive(Clone)]
pub struct EventId(Text);

impl EventId {
    /// Takes an id from outside.
    ///
    /// # Errors
    ///
    /// [`NameError::LineBreak`] or [`NameError::Nul`], whichever comes first in `text`.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, NameError> {
        let text = text.as_ref();
        check(text, Nul::Refused).map(|()| Self(Text::Shared(text.into())))
    }

    /// Takes a literal; in a `const` it is checked at compile time.
    ///
    /// # Panics
    ///
    /// If `text` has a CR, LF or NUL.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        assert!(check(text, Nul::Refused).is_ok(), "an event id holds no CR, LF or NUL");
        Self(Text::Static(text))
    }
}

/// The value of an event's `event` field, which is the type a browser dispatches: any text without CR and LF.
///
/// An empty name is the same as none: clients dispatch `message`. Cheap to clone. Compares, orders and
/// hashes as its text does.
#[derive(Clone)]
pub struct EventName(Text);

impl EventName {
    /// Takes a name from outside.
    ///
    /// # Errors
    ///
    /// [`NameError::LineBreak`]. A NUL is no error: clients take it as it is.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, NameError> {
        let text = text.as_ref();
        check(text, Nul::Allowed).map(|()| Self(Text::Shared(text.into())))
    }

    /// Takes a literal; in a `const` it is checked at compile time.
    ///
    /// ```
    /// use fanfare_wire::{Event, EventName};
    ///
    /// const PRICE: EventName = EventName::from_static("price");
    /// assert_eq!(Event::new("9.99").event(PRICE).to_frame(), b"event: price\ndata: 9.99\n\n");
    /// ```
    ///
    /// ```compile_fail
    /// # use fanfare_wire::EventName;
    /// const FORGED: EventName = EventName::from_static("price\ndata: 0");
    /// # let _ = FORGED;
    /// ```
    ///
    /// # Panics
    ///
    /// If `text` has a CR or LF.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        assert!(check(text, Nul::Allowed).is_ok(), "an event name holds no CR or LF");
        Self(Text::Static(text))
    }
}

/// Whether a NUL may stand in the text.
#[derive(Clone, Copy)]
enum Nul {
    Allowed,
    Refused,
}

const fn check(text: &str, nul: Nul) -> Result<(), NameError> {
    let bytes = text.as_bytes();
    // An index, because a `for` loop is not `const` yet.
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], nul) {
            (b'\r' | b'\n', _) => return Err(NameError::LineBreak),
            (0, Nul::Refused) => return Err(NameError::Nul),
            _ => at += 1,
        }
    }
    Ok(())
}

/// A literal costs nothing to clone, any other text a count.
#[derive(Clone)]
enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

macro_rules! text_type {
    ($type:ident) => {
        impl $type {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match &self.0 {
                    Text::Static(text) => text,
                    Text::Shared(text) => text,
                }
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($type)).field(&self.as_str()).finish()
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.as_str() == other.as_str()
            }
        }
        impl Eq for $type {}
        impl PartialEq<str> for $type {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }
        impl PartialEq<&str> for $type {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }
        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for $type {
            fn cmp(&self, other: &Self) -> Ordering {
                self.as_str().cmp(other.as_str())
            }
        }
        impl Hash for $type {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }
        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }
        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
        impl core::str::FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
        impl TryFrom<&str> for $type {
            type Error = NameError;
            fn try_from(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
        impl TryFrom<Box<str>> for $type {
            type Error = NameError;
            fn try_from(text: Box<str>) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
    };
}
text_type!(EventId);
text_type!(EventName);

#[cfg(test)]
mod tests {
    use super::{EventId, EventName, NameError};
    use std::collections::HashSet;
    use std::string::ToString;

    #[test]
    fn a_text_that_would_end_its_line_is_refused_m058() {
        for text in ["\n", "\r", "a\nb", "a\r", "\r\ndata: forged\n\n"] {
            assert_eq!(EventId::parse(text), Err(NameError::LineBreak), "{text:?}");
            assert_eq!(EventName::parse(text), Err(NameError::LineBreak), "{text:?}");
        }
    }

    #[test]
    fn a_nul_is_refused_where_clients_would_ignore_the_field() {
        assert_eq!(EventId::parse("a\0"), Err(NameError::Nul));
        assert_eq!(EventId::parse("a\0\n"), Err(NameError::Nul));
        assert!(EventName::parse("a\0").is_ok());
    }

    #[test]
    fn anything_else_is_kept_as_it_is() {
        for text in ["", " ", ":", "\u{feff}", "\u{2028}", "\u{85}", "\u{b}", "ü: "] {
            assert_eq!(EventId::parse(text).map(|id| id.to_string()), Ok(text.to_string()));
            assert_eq!(EventName::parse(text).map(|name| name.to_string()), Ok(text.to_string()));
        }
    }

    #[test]
    fn a_literal_equals_the_same_text_from_outside() {
        const LITERAL: EventId = EventId::from_static("7");
        let outside: EventId = "7".parse().expect("a digit is a valid id");
        assert_eq!(LITERAL, outside);
        let ids = HashSet::from([LITERAL]);
        assert!(ids.contains(&outside));
        assert!(ids.contains("7"));
    }
}
