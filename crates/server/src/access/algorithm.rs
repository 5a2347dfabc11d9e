//! The names of the algorithms that tokens are signed with.
//!
//! It signs and checks nothing. Source: RFC 7518 § 3.1; M-096, M-097.

use std::fmt;

/// An algorithm, by its name in a token's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Algorithm(&'static str);

const NAMES: [&str; 12] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
    "EdDSA",
];

impl Algorithm {
    pub(crate) const HS256: Self = Self(NAMES[0]);

    /// The algorithm of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMES.into_iter().find(|known| *known == name).map(Self)
    }

    /// Whether whoever can check a token can also make one.
    pub(crate) fn is_symmetric(self) -> bool {
        self.0.starts_with("HS")
    }

    /// All names, for people.
    pub(crate) fn all() -> String {
        NAMES.join(", ")
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
