//! Which subscribers may be sent presence: those whose matchers, and whose grant's, reach into the topics that tell of it.
//!
//! It may say yes where the truth is no, and then somebody gets a gap too many; never the other way round.

use crate::matcher::{Found, Kind};
use crate::topic::is_internal;
#[cfg(feature = "urlpattern")]
use crate::url_pattern::HostAnchor;
use crate::{Grant, Matcher, Selection};

/// What every topic begins with that tells of presence.
#[derive(Debug)]
pub(crate) struct Namespace(pub(crate) Box<str>);

impl Namespace {
    /// Whether who asks for this, and may read that, may be sent presence.
    pub(crate) fn is_seen_by(&self, selection: &Selection, grant: &Grant) -> bool {
        let reaches = |matchers: &[Matcher]| matchers.iter().any(|matcher| self.is_reached_by(matcher));
        reaches(grant.matchers()) && reaches(selection.matchers())
    }

    fn is_reached_by(&self, matcher: &Matcher) -> bool {
        match &matcher.0 {
            Kind::Any => true,
            // What a hub asks itself for may be addressed besides the topics that tell of presence.
            Kind::Exact(text) => text.starts_with(&*self.0) || is_internal(text),
            Kind::Pattern(pattern) => match pattern.found() {
                Found::Text { start, .. } => is_one_way(start, &self.0),
                #[cfg(feature = "urlpattern")]
                Found::Url(base, anchor) => base.join(&self.0).is_ok_and(|url| {
                    let host = url.host_str().unwrap_or_default();
                    let is_there = match anchor.host {
                        HostAnchor::Start(start) => host.starts_with(start),
                        HostAnchor::End(end) => host.ends_with(end),
                    };
                    is_there && is_one_way(&anchor.start, url.path())
                }),
            },
        }
    }
}

/// Whether a text can begin with both.
fn is_one_way(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "/.well-known/mercure/subscriptions/";

    #[allow(clippy::needless_pass_by_value)] // Each is made for this.
    fn check(matcher: Matcher, expected: bool) {
        assert_eq!(Namespace(AT.into()).is_reached_by(&matcher), expected, "{matcher:?}");
    }

    fn exact(text: &str) -> Matcher {
        Matcher::exact(text).expect("a matcher")
    }

    #[test]
    fn topics_below_it_and_all_topics_reach_it_and_others_do_not() {
        check(Matcher::any(), true);
        check(exact("/.well-known/mercure/subscriptions/exact/a/urn%3Auuid%3A1"), true);
        check(exact("/.well-known/mercure/subscriptions"), false);
        check(exact("rooms/7"), false);
        check(Matcher::from(crate::Topic::internal("presence")), true);
    }

    #[cfg(feature = "urlpattern")]
    #[test]
    fn url_patterns_reach_it_by_host_and_path() {
        let hub = "https://hub.test/.well-known/mercure";
        let pattern = |text: &str| Matcher::url_pattern(text, hub).expect("a pattern");
        check(pattern("/.well-known/mercure/subscriptions/:type/:match/:subscriber"), true);
        check(pattern("/.well-known/mercure/subscriptions/exact/rooms%2F7/*"), true);
        check(pattern("/*"), true);
        check(pattern("https://hub.test/.well-known/:any*"), true);
        check(pattern("https://other.test/.well-known/mercure/subscriptions/*"), false);
        check(pattern("/rooms/:id"), false);
    }

    #[cfg(feature = "uri-template")]
    #[test]
    fn templates_reach_it_by_what_they_begin_with() {
        let template = |text: &str| Matcher::topic_selector(text).expect("a template");
        check(template("/.well-known/mercure/subscriptions{/topic}{/subscriber}"), true);
        check(template("{+any}"), true);
        check(template("/rooms/{id}"), false);
    }

    #[test]
    fn both_what_is_asked_and_what_may_be_read_have_to_reach_it() {
        let namespace = Namespace(AT.into());
        let (inside, outside) = (exact(&format!("{AT}exact/a/b")), exact("rooms/7"));
        let grant = |matcher: &Matcher| Grant::from_iter([matcher.clone()]);
        for (asked, granted, expected) in
            [(&inside, &inside, true), (&inside, &outside, false), (&outside, &inside, false)]
        {
            assert_eq!(namespace.is_seen_by(&asked.clone().into(), &grant(granted)), expected);
        }
        assert!(!namespace.is_seen_by(&Matcher::any().into(), &Grant::nothing()));
    }
}
