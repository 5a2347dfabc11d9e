//! A text that is never shown: a key, a password, a token.
//!
//! It cannot be printed by accident, in a log, an error or `check`: `Debug` and `Display` say only that it is set. It does not
//! keep the text out of the memory of this process.

use std::fmt;

use subtle::ConstantTimeEq;

/// A secret, as it was given.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

/// What is shown in place of a secret.
pub(crate) const SET: &str = "(set)";

impl Secret {
    /// The text itself. What is done with it must not show it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `sent` is this secret, in a time that does not tell how much of it is right.
    pub(crate) fn is(&self, sent: &[u8]) -> bool {
        bool::from(sent.ct_eq(self.0.as_bytes()))
    }
}

// Infallible: an error of the command line's parser would repeat what it was given.
impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SET)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::from("hunter2".to_owned());
        assert_eq!(format!("{secret} {secret:?} {:#?}", Some(&secret)), "(set) (set) Some(\n    (set),\n)");
        assert_eq!(secret.expose(), "hunter2");
    }
}
