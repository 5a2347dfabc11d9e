//! How much one token may ask of the hub.
//!
//! Source: requirement M-117. What a request may ask is in [`RequestLimits`](crate::RequestLimits).

/// The bounds of one token; above any of them it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenLimits {
    /// The length of the token, in bytes. Default: 16 KiB.
    pub token_bytes: usize,
    /// How many Mercure authorization details it holds. Default: 100.
    pub details: usize,
    /// How many topic matchers its details hold together. Default: 100.
    pub topics: usize,
    /// How many matchers a claim of the older protocol holds. Default: 1000.
    pub legacy_matchers: usize,
    /// How deep objects and arrays lie in each other, in the header and in the claims. Default: 32, at most 100.
    pub json_depth: usize,
}

impl Default for TokenLimits {
    fn default() -> Self {
        Self { token_bytes: 16 * 1024, details: 100, topics: 100, legacy_matchers: 1000, json_depth: 32 }
    }
}

impl TokenLimits {
    /// [`token_bytes`](Self::token_bytes) set to this.
    #[must_use]
    pub fn token_bytes(mut self, bytes: usize) -> Self {
        self.token_bytes = bytes;
        self
    }

    /// [`details`](Self::details) set to this.
    #[must_use]
    pub fn details(mut self, count: usize) -> Self {
        self.details = count;
        self
    }

    /// [`topics`](Self::topics) set to this.
    #[must_use]
    pub fn topics(mut self, count: usize) -> Self {
        self.topics = count;
        self
    }

    /// [`legacy_matchers`](Self::legacy_matchers) set to this.
    #[must_use]
    pub fn legacy_matchers(mut self, count: usize) -> Self {
        self.legacy_matchers = count;
        self
    }

    /// [`json_depth`](Self::json_depth) set to this.
    #[must_use]
    pub fn json_depth(mut self, levels: usize) -> Self {
        self.json_depth = levels;
        self
    }
}
