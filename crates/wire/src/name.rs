//! The two short fields of an event, as types that cannot hold a line break.
//!
//! Outside text becomes an [`EventId`] or an [`EventName`] once; from then on nobody checks again.
//! Source: [WHATWG HTML § 9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

/// Why a text cannot be an [`EventId`] or an [`EventName`].
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// The value of an event's `id` field: any text without CR, LF and NUL. It may be empty.
///
/// Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Arc<str>);

impl EventId {
    /// Takes an id from outside.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, NameError> {
        let text = text.as_ref();
        match text.bytes().find(|b| matches!(b, b'\r' | b'\n' | 0)) {
            None => Ok(Self(text.into())),
            Some(0) => Err(NameError::Nul),
            Some(_) => Err(NameError::LineBreak),
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The value of an event's `event` field, which is the type a browser dispatches: any text without CR and LF.
///
/// An empty name is the same as none: clients dispatch `message`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventName(Arc<str>);

impl EventName {
    /// Takes a name from outside.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, NameError> {
        let text = text.as_ref();
        if text.bytes().any(|b| matches!(b, b'\r' | b'\n')) {
            return Err(NameError::LineBreak);
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_type {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
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
