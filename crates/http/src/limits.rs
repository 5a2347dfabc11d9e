//! How much one request to the hub may hold.

use std::time::Duration;

use fanfare_hub::CompileBudget;

/// What a request may hold before it is refused.
///
/// How large an event may be is the hub's own limit; how large a request's head may be is that of
/// [`ConnectionLimits`](crate::ConnectionLimits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// The longest body, in bytes. Default: 1 MiB. Longer: 413.
    pub body_bytes_max: usize,
    /// The longest body of a `QUERY`, in bytes: what is asked for. Default: 64 KiB. Longer: 413.
    pub query_bytes_max: usize,
    /// How long a body may take to arrive. Default: 30 s. Longer: 408.
    pub body_timeout: Duration,
    /// How many topics a publication may have. Default: 1,000. More: 413.
    pub topics_max: usize,
    /// How many matchers a subscription may have. Default: 100. More: 400.
    pub matchers_max: usize,
    /// What the patterns of one subscription may cost to compile, all together; and so may those of one token. Default:
    /// [`CompileBudget::default`]. More: 400, and for a token 401.
    pub patterns: CompileBudget,
    /// How long the log may take to answer. Default: 10 s. Longer: 504 for a publication, which may have been stored; a
    /// subscriber is sent away for a while.
    pub log_timeout: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1024 * 1024,
            query_bytes_max: 64 * 1024,
            body_timeout: Duration::from_secs(30),
            topics_max: 1_000,
            matchers_max: 100,
            patterns: CompileBudget::default(),
            log_timeout: Duration::from_secs(10),
        }
    }
}
