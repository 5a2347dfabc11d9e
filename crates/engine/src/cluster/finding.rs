//! What the owner of a store should know about it.

use std::fmt;

/// Something about a store that its owner should know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The log could not keep what it promises: it is not used.
    Refused(String),
    /// It can, but less than one might think.
    Warning(String),
}

impl Finding {
    /// The first reason not to use the store, if there is one.
    pub(crate) fn refused(findings: &[Self]) -> Option<&str> {
        findings.iter().find_map(|finding| match finding {
            Self::Refused(why) => Some(&**why),
            Self::Warning(_) => None,
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(text) | Self::Warning(text) => f.write_str(text),
        }
    }
}
