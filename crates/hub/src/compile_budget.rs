//! What compiling matchers may cost, for one request or one token all together.
//!
//! It is counted and not timed, so that the same matchers are always taken or always refused. Rule: M-049.

use crate::{Matcher, MatcherError};

/// What is left to be spent on compiling patterns: taken from by [`Matcher::url_pattern_within`] and
/// [`Matcher::topic_selector_within`], and what they could not pay for they refuse.
///
/// *Work* is about a microsecond each: one for a byte of text, and more where a regular expression speaks of many characters, as
/// `\p{L}` does, or ignores case. *Bytes* are those of [`Matcher::memory_bytes`].
///
/// ```
/// use fanfare_hub::{CompileBudget, Matcher, MatcherError};
///
/// let mut budget = CompileBudget::new(1_000, 64 * 1024);
/// let (costly, hub_url) = (format!("/:a((?i){})", "\\p{L}".repeat(100)), "https://hub.test/");
/// # #[cfg(feature = "urlpattern")] {
/// assert!(Matcher::url_pattern_within("/books/:id", hub_url, &mut budget).is_ok());
/// let refused = Matcher::url_pattern_within(&costly, hub_url, &mut budget);
/// assert_eq!(refused, Err(MatcherError::TooMuchWork { limit: 1_000 }));
/// # }
/// # let _ = (costly, hub_url, &mut budget);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileBudget {
    work: Purse,
    bytes: Purse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Purse {
    left: usize,
    limit: usize,
}

impl Purse {
    const fn of(limit: usize) -> Self {
        Self { left: limit, limit }
    }

    /// What is not there is not taken, and the error is the limit.
    fn take(&mut self, amount: usize) -> Result<(), usize> {
        self.left = self.left.checked_sub(amount).ok_or(self.limit)?;
        Ok(())
    }
}

impl CompileBudget {
    /// So much work, and so many bytes.
    #[must_use]
    pub const fn new(work: usize, bytes: usize) -> Self {
        Self { work: Purse::of(work), bytes: Purse::of(bytes) }
    }

    /// Takes what a matcher cost that was compiled before: for whoever keeps some, so that nobody gets more because of that.
    ///
    /// # Errors
    /// There is not so much left: [`MatcherError::TooMuchWork`] or [`MatcherError::TooManyBytes`].
    pub fn charge(&mut self, matcher: &Matcher) -> Result<(), MatcherError> {
        self.take_work(matcher.compile_work())?;
        self.take_bytes(matcher.memory_bytes())
    }

    pub(crate) fn take_work(&mut self, work: usize) -> Result<(), MatcherError> {
        self.work.take(work).map_err(|limit| MatcherError::TooMuchWork { limit })
    }

    pub(crate) fn take_bytes(&mut self, bytes: usize) -> Result<(), MatcherError> {
        self.bytes.take(bytes).map_err(|limit| MatcherError::TooManyBytes { limit })
    }

    /// How much work has been spent.
    #[cfg(any(feature = "urlpattern", feature = "uri-template"))]
    pub(crate) fn work_spent(&self) -> usize {
        self.work.limit - self.work.left
    }
}

impl Default for CompileBudget {
    /// 50,000 of work and 512 KiB: some hundreds of ordinary patterns, or one that is as costly as can be.
    fn default() -> Self {
        Self::new(50_000, 512 * 1024)
    }
}
