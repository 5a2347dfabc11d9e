//! What a subscriber asks for, and what it may read.

use std::sync::Arc;

use crate::matcher::{Kind, Resolved};
use crate::topic::{is_exception, is_internal};
use crate::{Entry, Matcher, Topic};

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

/// Whether a matcher lets a private event with this topic through. To route, `*` is every topic; to permit, it is not those
/// that nobody outside can name; and what says whom a publication is not for permits nothing.
fn permits(matcher: &Matcher, topic: &Topic) -> bool {
    matcher.matches(topic)
        && !(topic.is_internal() && (matches!(matcher.0, Kind::Any) || topic.is_exception()))
}

/// What a publication carries that is not for who has this matcher in its grant, if it says that.
fn exception(matcher: &Matcher) -> Option<&str> {
    match &matcher.0 {
        Kind::Exact(text) if is_exception(text) => Some(text),
        _ => None,
    }
}

fn exact_topics(matchers: &[Matcher]) -> Option<impl Iterator<Item = &str>> {
    let exact = matchers.iter().all(|matcher| matches!(matcher.0, Kind::Exact(_)));
    exact.then(|| matchers.iter().map(Matcher::as_str))
}

/// The same matchers, with those that `known` has in place of their equals.
fn with_known(matchers: &[Matcher], known: impl Fn(&Matcher) -> Option<Matcher>) -> Arc<[Matcher]> {
    matchers.iter().map(|matcher| known(matcher).unwrap_or_else(|| matcher.clone())).collect()
}

/// How often patterns were held against topics, and about how long that took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Evaluations {
    pub(crate) count: u64,
    pub(crate) micros: u64,
}

/// Whether one of `matchers` matches one of `topics`; counts what that took.
pub(crate) fn matches_any(matchers: &[Matcher], topics: &[Topic], evaluations: &mut Evaluations) -> bool {
    topics.iter().any(|topic| {
        let mut topic_once = Resolved::new(topic);
        matchers.iter().any(|matcher| match &matcher.0 {
            Kind::Pattern(pattern) => {
                evaluations.count += 1;
                evaluations.micros += pattern.evaluation_micros(topic.as_str().len());
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
        matches_any(&self.0, topics, &mut Evaluations::default())
    }

    /// The topics themselves, where every matcher names one.
    pub(crate) fn exact_topics(&self) -> Option<impl Iterator<Item = &str>> {
        exact_topics(&self.0)
    }

    /// Whether it asks for nothing but topics that nobody outside can name.
    pub(crate) fn is_internal(&self) -> bool {
        let is_internal = |matcher: &Matcher| matches!(&matcher.0, Kind::Exact(text) if is_internal(text));
        !self.0.is_empty() && self.0.iter().all(is_internal)
    }

    /// The topic, if it asks for a single one and nothing else.
    pub(crate) fn one_topic(&self) -> Option<&str> {
        match &*self.0 {
            [Matcher(Kind::Exact(text))] => Some(text),
            _ => None,
        }
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

    /// Lets every private event through, but for those on [internal](Topic::internal) topics.
    #[must_use]
    pub fn everything() -> Self {
        Self::from_iter([Matcher::any()])
    }

    /// All that it holds, which may be what it does not let through.
    pub(crate) fn matchers(&self) -> &[Matcher] {
        &self.0
    }

    /// Whether it lets nothing private through.
    pub(crate) fn is_nothing(&self) -> bool {
        self.0.iter().all(|matcher| exception(matcher).is_some())
    }

    /// The same for somebody of a name: whatever carries this exception is not for it.
    pub(crate) fn but_for(&self, excepted: Option<Topic>) -> Self {
        let kept = self.0.iter().filter(|matcher| exception(matcher).is_none()).cloned();
        Self(kept.chain(excepted.map(Matcher::from)).collect())
    }

    /// What an entry carries that is not for who has this grant, public or not.
    pub(crate) fn excepted(&self) -> Option<Topic> {
        self.0.iter().find_map(exception).and_then(|text| Topic::parse_stored(text).ok())
    }

    /// Whether an entry is for others than who has this grant.
    pub(crate) fn excepts(&self, entry: &Entry) -> bool {
        let carries = |text| entry.topics.iter().any(|topic| topic.as_str() == text);
        // It stands behind all others.
        self.0.last().and_then(exception).is_some_and(carries)
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
        topics.iter().any(|topic| {
            let mut topic_once = Resolved::new(topic);
            self.0.iter().any(|matcher| match &matcher.0 {
                Kind::Pattern(pattern) => topic_once.is_matched_by(pattern),
                _ => permits(matcher, topic),
            })
        })
    }

    /// The same for who knows already that none of its patterns matches.
    pub(crate) fn allows_but_for_patterns(&self, topics: &[Topic]) -> bool {
        let is_pattern = |matcher: &Matcher| matches!(matcher.0, Kind::Pattern(_));
        let matches = |matcher: &Matcher| topics.iter().any(|topic| permits(matcher, topic));
        self.0.iter().any(|matcher| !is_pattern(matcher) && matches(matcher))
    }

    /// The topics themselves, where every matcher names one.
    pub(crate) fn exact_topics(&self) -> Option<impl Iterator<Item = &str>> {
        Some(exact_topics(&self.0)?.filter(|text| !is_exception(text)))
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
        let matchers: Vec<Matcher> = matchers.into_iter().collect();
        // What `*` does not stand for is kept beside it.
        let is_internal = |matcher: &&Matcher| matches!(&matcher.0, Kind::Exact(text) if is_internal(text));
        let internal: Vec<Matcher> = matchers.iter().filter(is_internal).cloned().collect();
        let granted = distinct(matchers);
        match &*granted {
            [one] if matches!(one.0, Kind::Any) && !internal.is_empty() => {
                Self(granted.iter().cloned().chain(distinct(internal).iter().cloned()).collect())
            }
            _ => Self(granted),
        }
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
    fn order_and_repetition_do_not_matter_m028() {
        let a = Selection::from_iter([exact("a"), exact("b"), exact("a")]);
        assert_eq!(a, Selection::from_iter([exact("b"), exact("a")]));
        assert_eq!(a.matchers().len(), 2);
    }

    #[test]
    fn a_star_swallows_the_rest() {
        assert_eq!(Selection::from_iter([exact("a"), Matcher::any()]), Selection::from(Matcher::any()));
    }

    #[test]
    fn what_nobody_outside_can_name_needs_a_grant_of_its_own_p7() {
        let topic = Topic::internal("x");
        let topics = [topic.clone()];
        let own = || Matcher::from(topic.clone());
        assert!(!Grant::everything().allows(&topics));
        assert!(!Grant::everything().allows_but_for_patterns(&topics));
        for matchers in [vec![own()], vec![own(), Matcher::any()], vec![Matcher::any(), own(), exact("a")]] {
            let grant = Grant::from_iter(matchers);
            assert!(grant.allows(&topics) && grant.allows_but_for_patterns(&topics), "{grant:?}");
        }
        assert!(Selection::from(own()).is_internal());
        assert!(!Selection::from_iter([own(), exact("a")]).is_internal());
        assert!(!Selection::from_iter([]).is_internal());
    }

    #[cfg(feature = "urlpattern")]
    #[test]
    fn no_pattern_lets_what_is_internal_through_p7() {
        let pattern = |text: &str| Matcher::url_pattern(text, "https://hub.test/").expect("a pattern");
        for text in ["/*", "/:any", "https://hub.test/*", "/x"] {
            let topics = [Topic::internal("x")];
            assert!(!Grant::from_iter([pattern(text)]).allows(&topics), "{text}");
            assert!(!Selection::from(pattern(text)).matches(&topics), "{text}");
            assert!(!pattern(text).matches(&topics[0]), "{text}");
        }
    }

    #[cfg(feature = "uri-template")]
    #[test]
    fn no_template_lets_what_is_internal_through_p7() {
        for text in ["{any}", "{+any}", "{#any}"] {
            let template = Matcher::topic_selector(text).expect("a template");
            assert!(!Grant::from_iter([template]).allows(&[Topic::internal("x")]), "{text}");
        }
    }

    #[test]
    fn no_grant_lets_nothing_private_through_m031() {
        let topics = [Topic::parse("a").expect("a topic")];
        assert!(!Grant::nothing().allows(&topics));
        assert!(Grant::everything().allows(&topics));
        assert!(Grant::from_iter([exact("a")]).allows(&topics));
    }
}
