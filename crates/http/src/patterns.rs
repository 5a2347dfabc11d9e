//! Compiles the patterns of subscribers without holding anybody else up.
//!
//! An ordinary pattern takes some microseconds, and is compiled where it is asked for. Whoever wants to can write one that takes
//! a thousand times as long: what has a regular expression of its own, or is long, is compiled on threads of their own, one
//! request at a time, and each request has a budget. Recent ones are kept, because a page's visitors ask for the same ones.
//! What a pattern means is the hub's matter. Rule: M-049.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanfare_hub::{CompileBudget, Matcher, MatcherError};
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

    /// Compiles all of `sources`, in order, or finds them compiled, which costs the same of the budget.
    pub(crate) async fn matchers(
        &self,
        sources: Vec<Source>,
        mut budget: CompileBudget,
    ) -> Result<Vec<Matcher>, CompileError> {
        let mut compile_all = move |shared: &Shared, sources: Vec<Source>| -> Result<_, MatcherError> {
            sources.into_iter().map(|source| shared.matcher(source, &mut budget)).collect()
        };
        if self.0.has_all(&sources) || are_quick(&sources) {
            return compile_all(&self.0, sources).map_err(CompileError::Matcher);
        }
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.0.turn.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(CompileError::Busy) };
        let shared = self.0.clone();
        let compiling = tokio::task::spawn_blocking(move || compile_all(&shared, sources));
        match compiling.await {
            Ok(compiled) => compiled.map_err(CompileError::Matcher),
            Err(error) => {
                tracing::error!(%error, "compiling a pattern failed");
                Err(CompileError::Busy)
            }
        }
    }
}

/// Whether they take less than a millisecond, all together: some microseconds each.
fn are_quick(sources: &[Source]) -> bool {
    /// Measured for the worst: 700 ns a byte of a pattern that is nothing but wildcards, 36 µs for an expression of a template.
    const BYTES_MAX: usize = 1_024;
    const EXPRESSIONS_MAX: usize = 16;
    let mut expressions = 0;
    let has_none_of_its_own = sources.iter().all(|(language, text)| match language {
        Language::Exact => true,
        Language::UrlPattern => !text.contains('('),
        Language::Selector => {
            expressions += text.matches('{').count();
            expressions <= EXPRESSIONS_MAX
        }
    });
    has_none_of_its_own && sources.iter().map(|(_, text)| text.len()).sum::<usize>() <= BYTES_MAX
}

impl Shared {
    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<Source, Matcher>> {
        // Nothing between lock and unlock can leave the map half changed.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_all(&self, sources: &[Source]) -> bool {
        let kept = self.kept();
        sources.iter().all(|source| kept.contains_key(source))
    }

    fn matcher(&self, source: Source, budget: &mut CompileBudget) -> Result<Matcher, MatcherError> {
        if let Some(matcher) = self.kept().get(&source) {
            budget.charge(matcher)?;
            return Ok(matcher.clone());
        }
        let (language, text) = &source;
        let matcher = language.matcher_within(text, &self.hub, budget)?;
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

    fn budget() -> CompileBudget {
        CompileBudget::default()
    }

    /// One that is compiled elsewhere.
    fn costly() -> Source {
        url("/a/:id(\\d+)")
    }

    #[tokio::test]
    async fn a_pattern_is_compiled_once_and_then_found() {
        let patterns = patterns();
        let sources = vec![costly(), (Language::Selector, "/a/{id}".to_owned()), costly()];
        assert!(!patterns.0.has_all(&sources));
        let matchers = patterns.matchers(sources.clone(), budget()).await.expect("matchers");
        assert_eq!(matchers.len(), 3);
        assert_eq!(patterns.0.kept().len(), 2);
        // Found, they need no turn.
        let _busy = patterns.0.turn.acquire().await.expect("a turn");
        assert_eq!(patterns.matchers(sources, budget()).await.ok(), Some(matchers));
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let patterns = patterns();
        for number in 0..=KEPT_MAX {
            let source = (Language::Selector, format!("/{{a}}/{number}"));
            patterns.matchers(vec![source], budget()).await.expect("a matcher");
        }
        assert_eq!(patterns.0.kept().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_too_long_for_a_turn_is_sent_away() {
        let patterns = patterns();
        let _busy = patterns.0.turn.acquire().await.expect("a turn");
        let long = url(&"/a".repeat(1_000));
        let templates = vec![(Language::Selector, "{a}".repeat(20))];
        for sources in [vec![costly()], vec![url("/a/:id"), costly()], vec![long], templates] {
            assert!(matches!(patterns.matchers(sources, budget()).await, Err(CompileError::Busy)));
        }
    }

    #[tokio::test]
    async fn an_ordinary_pattern_waits_for_nobody() {
        let patterns = patterns();
        let _busy = patterns.0.turn.acquire().await.expect("a turn");
        let sources = ["/a/:id", "https://*.a.test/{b}?/*", "/c"].map(url).into_iter();
        let template = (Language::Selector, "/a/{id}{?b,c}".to_owned());
        let matchers = patterns.matchers(sources.chain([template]).collect(), budget());
        let mut waited = std::pin::pin!(matchers);
        let polled = std::future::poll_fn(|context| std::task::Poll::Ready(waited.as_mut().poll(context)));
        assert!(matches!(polled.await, std::task::Poll::Ready(Ok(matchers)) if matchers.len() == 4));
    }

    #[tokio::test]
    async fn what_is_kept_costs_the_next_one_as_much_of_its_budget_m049() {
        let patterns = patterns();
        let sources = |count: usize| (0..count).map(|n| url(&format!("/{n}/:id(\\d+)"))).collect::<Vec<_>>();
        for number in 0..20 {
            let one = vec![url(&format!("/{number}/:id(\\d+)"))];
            assert!(patterns.matchers(one, budget()).await.is_ok());
        }
        assert!(patterns.0.has_all(&sources(20)));
        let small = CompileBudget::new(1_000, 1024 * 1024);
        assert!(patterns.matchers(sources(5), small).await.is_ok());
        let refused = patterns.matchers(sources(20), small).await;
        let limit = 1_000;
        assert!(
            matches!(refused, Err(CompileError::Matcher(error)) if error == MatcherError::TooMuchWork { limit })
        );
    }

    #[tokio::test]
    async fn a_malformed_one_is_an_error_and_is_not_kept() {
        let patterns = patterns();
        let malformed = patterns.matchers(vec![url("/(x")], budget()).await;
        assert!(matches!(malformed, Err(CompileError::Matcher(_))));
        assert!(patterns.0.kept().is_empty());
    }
}
