//! What one request may do: publish what, read what, and for how long.

use std::sync::Arc;
use std::time::SystemTime;

use fanfare_hub::{Grant, Topic};

use crate::access::{Denied, Payloads};
use crate::revocation::Licence;

/// What a request may do. Made by a token, or by an application's own [`Authorize`](crate::Authorize).
///
/// ```
/// use fanfare_http::Rights;
/// use fanfare_hub::{Grant, Matcher};
///
/// let orders = Grant::from_iter([Matcher::exact("orders/41")?]);
/// let rights = Rights::nothing().read(orders).who("customer 7");
/// # let _ = rights;
/// # Ok::<(), fanfare_hub::MatcherError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rights {
    pub(crate) publish: Grant,
    pub(crate) read: Grant,
    pub(crate) payloads: Payloads,
    pub(crate) until: Option<SystemTime>,
    pub(crate) who: Option<Arc<str>>,
    /// Whether it showed no token, where it needed none.
    pub(crate) anonymous: bool,
    /// Whether its token is of the protocol before 1.0.
    pub(crate) legacy: bool,
    /// By which token it lives, where that can be revoked.
    pub(crate) licence: Option<Licence>,
}

impl Rights {
    /// Publishes nothing and reads what is public.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Lets it publish to the topics that `grant` matches; a publication has to match with each of its topics (M-118).
    #[must_use]
    pub fn publish(mut self, grant: Grant) -> Self {
        self.publish = grant;
        self
    }

    /// Lets it read the private events of which `grant` matches a topic (M-119).
    #[must_use]
    pub fn read(mut self, grant: Grant) -> Self {
        self.read = grant;
        self
    }

    /// Says what is told of its subscriptions to those who may see them.
    #[must_use]
    pub fn payloads(mut self, payloads: Payloads) -> Self {
        self.payloads = payloads;
        self
    }

    /// Ends its streams by then, by the wall clock, and takes no publication whose body comes later.
    #[must_use]
    pub fn until(mut self, end: impl Into<Option<SystemTime>>) -> Self {
        self.until = end.into();
        self
    }

    /// Says who it is, for what is counted and remembered by publisher: rates and idempotency keys. Equal texts are one.
    #[must_use]
    pub fn who(mut self, name: impl Into<Arc<str>>) -> Self {
        self.who = Some(name.into());
        self
    }

    /// What somebody has who showed no token, where none is needed.
    pub(crate) fn anonymous() -> Self {
        Self { anonymous: true, ..Self::default() }
    }

    /// Whether it still holds, for who has taken a while since it was judged.
    ///
    /// # Errors
    /// Its time is over, or its token was revoked.
    pub(crate) fn check_again(&self) -> Result<(), Denied> {
        if self.until.is_some_and(|until| until <= SystemTime::now()) {
            return Err(Denied::Invalid("it expired while the request came".into()));
        }
        match &self.licence {
            Some(Licence { revocations, bearer }) => Ok(revocations.check(bearer)?),
            None => Ok(()),
        }
    }

    /// Whether something may be published to all of `topics` (M-118).
    pub(crate) fn may_publish(&self, topics: &[Topic]) -> bool {
        topics.iter().all(|topic| self.publish.allows(std::slice::from_ref(topic)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanfare_hub::Matcher;

    fn topics(texts: &[&str]) -> Vec<Topic> {
        texts.iter().map(|text| Topic::parse(text).expect("a topic")).collect()
    }

    #[test]
    fn every_topic_of_a_publication_has_to_be_granted_m118() {
        let matchers = ["a", "b"].map(|text| Matcher::exact(text).expect("a matcher"));
        let rights = Rights::nothing().publish(Grant::from_iter(matchers));
        assert!(rights.may_publish(&topics(&["a"])));
        assert!(rights.may_publish(&topics(&["b", "a"])));
        assert!(!rights.may_publish(&topics(&["a", "c"])));
        assert!(!Rights::nothing().may_publish(&topics(&["a"])));
    }
}
