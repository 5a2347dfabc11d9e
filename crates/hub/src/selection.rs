//! What a subscriber asks for, and what it may read.

use std::sync::Arc;

use crate::matcher::{Kind, Resolved};
use crate::{Matcher, Topic};

/// What a subscriber asks for: the events of which a topic is matched by any of these matchers.
///
/// The order and repetition of matchers carry no meaning: selections of the same matchers are equal,
/// and the hub matches each distinct one once per entry, whoever shares it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selection(Arc<[Matcher]>);

/// What a subscriber may read of the private events: those of which a topic is matched. Public events need none.
///
/// Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grant(Arc<[Matcher]>);

fn distinct(matchers: impl IntoIterator<Item = Matcher>) -> Arc<[Matcher]> {
    let mut matchers: Vec<Matcher> = matchers.into_iter().collect();
    if matchers.iter().any(|matcher| matches!(matcher.0, Kind::Any)) {
        return [Matcher::any()].into();
    }
    matchers.sort_by(|a, b| a.identity().cmp(&b.identity()));
    matchers.dedup();
    matchers.into()
}

fn exact_topics(matchers: &[Matcher]) -> Option<impl Iterator<Item = &str>> {
    let exact = matchers.iter().all(|matcher| matches!(matcher.0, Kind::Exact(_)));
    exact.then(|| matchers.iter().map(Matcher::as_str))
}

/// The same matchers, with those that `known` has in place of their equals.
fn with_known(matchers: &[Matcher], known: impl Fn(&Matcher) -> Option<Matcher>) -> Arc<[Matcher]> {
    matchers.iter().map(|matcher| known(matcher).unwrap_or_else(|| matcher.clone())).collect()
}

/// Whether one of `matchers` matches one of `topics`; counts how often a pattern was evaluated.
pub(crate) fn matches_any(matchers: &[Matcher], topics: &[Topic], evaluations: &mut u64) -> bool {
    topics.iter().any(|topic| {
        let mut topic_once = Resolved::new(topic);
        matchers.iter().any(|matcher| match &matcher.0 {
            Kind::Pattern(pattern) => {
                *evaluations += 1;
                topic_once.is_matched_by(pattern)
            }
            _ => matcher.matches(topic),
        })
    })
}

impl Selection {
    /// An equal one that shares the matchers which `known` has.
    pub(crate) fn with_known(&self, known: impl Fn(&Matcher) -> Option<Matcher>) -> Self {
        Self(with_known(&self.0, known))
    }

    /// The matchers, each once.
    #[must_use]
    pub fn matchers(&self) -> &[Matcher] {
        &self.0
    }

    /// Whether one of `topics` is matched.
    #[must_use]
    pub fn matches(&self, topics: &[Topic]) -> bool {
        matches_any(&self.0, topics, &mut 0)
    }

    /// The topics themselves, where every matcher names one.
    pub(crate) fn exact_topics(&self) -> Option<impl Iterator<Item = &str>> {
        exact_topics(&self.0)
    }

    pub(crate) fn is_any(&self) -> bool {
        self.0.iter().any(|matcher| matches!(matcher.0, Kind::Any))
    }
}

impl Grant {
    /// Lets nothing private through: what an anonymous subscriber has.
    #[must_use]
    pub fn nothing() -> Self {
        Self::from_iter([])
    }

    /// Lets every private event through.
    #[must_use]
    pub fn everything() -> Self {
        Self::from_iter([Matcher::any()])
    }

    pub(crate) fn matchers(&self) -> &[Matcher] {
        &self.0
    }

    /// An equal one that shares the matchers which `known` has.
    pub(crate) fn with_known(&self, known: impl Fn(&Matcher) -> Option<Matcher>) -> Self {
        Self(with_known(&self.0, known))
    }

    /// Whether asking it again is as cheap as remembering what it said.
    pub(crate) fn is_quick(&self) -> bool {
        self.0.len() <= 8 && self.0.iter().all(|matcher| !matches!(matcher.0, Kind::Pattern(_)))
    }

    /// Whether a private event with these topics may be read.
    #[must_use]
    pub fn allows(&self, topics: &[Topic]) -> bool {
        matches_any(&self.0, topics, &mut 0)
    }

    /// The same for who knows already that none of its patterns matches.
    pub(crate) fn allows_but_for_patterns(&self, topics: &[Topic]) -> bool {
        let is_pattern = |matcher: &Matcher| matches!(matcher.0, Kind::Pattern(_));
        let matches = |matcher: &Matcher| topics.iter().any(|topic| matcher.matches(topic));
        self.0.iter().any(|matcher| !is_pattern(matcher) && matches(matcher))
    }

    /// The topics themselves, where every matcher names one.
    pub(crate) fn exact_topics(&self) -> Option<impl Iterator<Item = &str>> {
        exact_topics(&self.0)
    }
}

impl Default for Grant {
    fn default() -> Self {
        Self::nothing()
    }
}

impl FromIterator<Matcher> for Selection {
    fn from_iter<I: IntoIterator<Item = Matcher>>(matchers: I) -> Self {
        Self(distinct(matchers))
    }
}

impl FromIterator<Matcher> for Grant {
    fn from_iter<I: IntoIterator<Item = Matcher>>(matchers: I) -> Self {
        Self(distinct(matchers))
    }
}

impl From<Matcher> for Selection {
    fn from(matcher: Matcher) -> Self {
        Self([matcher].into())
    }
}

impl From<Topic> for Selection {
    fn from(topic: Topic) -> Self {
        Matcher::from(topic).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(text: &str) -> Matcher {
        Matcher::exact(text).expect("a matcher")
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        let a = Selection::from_iter([exact("a"), exact("b"), exact("a")]);
        assert_eq!(a, Selection::from_iter([exact("b"), exact("a")]));
        assert_eq!(a.matchers().len(), 2);
    }

    #[test]
    fn a_star_swallows_the_rest() {
        assert_eq!(Selection::from_iter([exact("a"), Matcher::any()]), Selection::from(Matcher::any()));
    }

    #[test]
    fn no_grant_lets_nothing_private_through() {
        let topics = [Topic::parse("a").expect("a topic")];
        assert!(!Grant::nothing().allows(&topics));
        assert!(Grant::everything().allows(&topics));
        assert!(Grant::from_iter([exact("a")]).allows(&topics));
    }
}
