//! Compiles the patterns of subscribers without holding anybody else up.
//!
//! A pattern costs milliseconds where an exact topic costs nothing, and whoever wants to can write one that costs a
//! hundred times more. So patterns are compiled on threads of their own, one request at a time, and the recent ones are
//! kept, because a page's visitors ask for the same ones. What a pattern means is the hub's matter. Rule: M-049.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanfare_hub::{Matcher, MatcherError};
use tokio::sync::Semaphore;
use url::Url;

use crate::token::Language;

/// A pattern as a subscriber wrote it.
pub(crate) type Source = (Language, String);

/// How many compiled patterns are kept.
const KEPT_MAX: usize = 256;

/// How long a request waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// The compiled patterns of one hub URL. Cheap to clone; clones share them.
#[derive(Clone)]
pub(crate) struct Patterns(Arc<Shared>);

struct Shared {
    hub: Url,
    /// One permit: patterns get one processor's worth of time between them.
    turn: Semaphore,
    kept: Mutex<HashMap<Source, Matcher>>,
}

/// Why there is no matcher.
#[derive(Debug)]
pub(crate) enum CompileError {
    Matcher(MatcherError),
    /// Too many others wait for theirs.
    Busy,
}

impl Patterns {
    /// Makes patterns that are resolved against `hub`.
    pub(crate) fn new(hub: Url) -> Self {
        Self(Arc::new(Shared { hub, turn: Semaphore::new(1), kept: Mutex::default() }))
    }

    /// Compiles all of `sources`, in order, or finds them compiled.
    pub(crate) async fn matchers(&self, sources: Vec<Source>) -> Result<Vec<Matcher>, CompileError> {
        if let Some(matchers) = self.0.all_kept(&sources) {
            return Ok(matchers);
        }
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.0.turn.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(CompileError::Busy) };
        let shared = self.0.clone();
        let compiling = tokio::task::spawn_blocking(move || {
            sources.into_iter().map(|source| shared.matcher(source)).collect::<Result<_, _>>()
        });
        match compiling.await {
            Ok(compiled) => compiled.map_err(CompileError::Matcher),
            Err(error) => {
                tracing::error!(%error, "compiling a pattern failed");
                Err(CompileError::Busy)
            }
        }
    }
}

impl Shared {
    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<Source, Matcher>> {
        // Nothing between lock and unlock can leave the map half changed.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_kept(&self, sources: &[Source]) -> Option<Vec<Matcher>> {
        let kept = self.kept();
        sources.iter().map(|source| kept.get(source).cloned()).collect()
    }

    fn matcher(&self, source: Source) -> Result<Matcher, MatcherError> {
        if let Some(matcher) = self.kept().get(&source) {
            return Ok(matcher.clone());
        }
        let (language, text) = &source;
        let matcher = language.matcher(text, &self.hub)?;
        let mut kept = self.kept();
        // A flood of patterns that nobody asks for twice costs the others no more than compiling theirs again.
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(source, matcher.clone());
        Ok(matcher)
    }
}

impl std::fmt::Debug for Patterns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Patterns").field("hub", &self.0.hub.as_str()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns() -> Patterns {
        Patterns::new(Url::parse("https://push.test/.well-known/mercure").expect("a URL"))
    }

    fn url(text: &str) -> Source {
        (Language::UrlPattern, text.to_owned())
    }

    #[tokio::test]
    async fn a_pattern_is_compiled_once_and_then_found() {
        let patterns = patterns();
        let sources = vec![url("/a/:id"), (Language::Selector, "/a/{id}".to_owned()), url("/a/:id")];
        let matchers = patterns.matchers(sources.clone()).await.expect("matchers");
        assert_eq!(matchers.len(), 3);
        assert_eq!(patterns.0.kept().len(), 2);
        assert_eq!(patterns.0.all_kept(&sources), Some(matchers));
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let patterns = patterns();
        for number in 0..=KEPT_MAX {
            patterns.0.matcher((Language::Selector, format!("/{{a}}/{number}"))).expect("a matcher");
        }
        assert_eq!(patterns.0.kept().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_too_long_for_a_turn_is_sent_away() {
        let patterns = patterns();
        let _busy = patterns.0.turn.acquire().await.expect("a turn");
        assert!(matches!(patterns.matchers(vec![url("/a/:id")]).await, Err(CompileError::Busy)));
    }

    #[tokio::test]
    async fn a_malformed_one_is_an_error_and_is_not_kept() {
        let patterns = patterns();
        assert!(matches!(patterns.matchers(vec![url("/(x")]).await, Err(CompileError::Matcher(_))));
        assert!(patterns.0.kept().is_empty());
    }
}
