//! The revocations that hold, found by what a token says.
//!
//! A pure state machine: it is told the time and locks nothing.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::num::NonZeroU64;
use std::time::{SystemTime, UNIX_EPOCH};

use super::rule::{Revocation, RevocationId, Tokens};
use crate::token::Claims;

/// What of a token revocations are held against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) issuer: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) issued_at: Option<SystemTime>,
}

impl Bearer {
    pub(crate) fn of(claims: &Claims) -> Self {
        Self {
            issuer: claims.issuer.clone(),
            subject: claims.subject.clone(),
            id: claims.id.clone(),
            issued_at: claims.issued_at,
        }
    }
}

/// What is kept of the token that a stream lives by: hashes in place of names, for there may be very many streams.
///
/// Two names have the same hash once in 2^63, and nobody can choose them so. A stream that is ended for such a reason comes back
/// with its token, and that is judged by its names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trace {
    issuer: Name,
    subject: Name,
    id: Name,
    /// In milliseconds since 1970; `None` as the largest there is.
    issued_at: u64,
}

/// The hash of a name, or none.
type Name = Option<NonZeroU64>;

/// A revocation that holds.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) rule: Revocation,
    issuer: Name,
    /// How many streams it has cut here.
    pub(super) streams_cut: u64,
}

/// INVARIANT: each rule stands in one index, under the name that it has.
#[derive(Default)]
pub(super) struct List {
    rules: HashMap<RevocationId, Kept>,
    by_token: HashMap<NonZeroU64, Vec<RevocationId>>,
    by_subject: HashMap<NonZeroU64, Vec<RevocationId>>,
    of_all: Vec<RevocationId>,
    hasher: RandomState,
}

impl List {
    pub(super) fn len(&self) -> usize {
        self.rules.len()
    }

    pub(super) fn get(&self, id: RevocationId) -> Option<&Kept> {
        self.rules.get(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.rules.values()
    }

    fn hash(&self, name: &str) -> NonZeroU64 {
        NonZeroU64::MIN | self.hasher.hash_one(name)
    }

    /// What is to be kept of a token for its stream.
    pub(super) fn trace(&self, bearer: &Bearer) -> Trace {
        let name = |name: &Option<String>| name.as_ref().map(|name| self.hash(name));
        Trace {
            issuer: name(&bearer.issuer),
            subject: name(&bearer.subject),
            id: name(&bearer.id),
            issued_at: bearer.issued_at.map_or(u64::MAX, whole_milliseconds),
        }
    }

    /// Adds a revocation, in place of an equal one; tells whether that changes anything.
    pub(super) fn add(&mut self, rule: Revocation) -> bool {
        let id = rule.id();
        if let Some(kept) = self.rules.get_mut(&id) {
            let is_new = kept.rule != rule;
            kept.rule = rule;
            return is_new;
        }
        match rule.tokens() {
            Tokens::Id(token) => self.by_token.entry(self.hash(token)).or_default().push(id),
            Tokens::Subject(subject) => self.by_subject.entry(self.hash(subject)).or_default().push(id),
            Tokens::All => self.of_all.push(id),
        }
        let issuer = rule.only_issuer().map(|issuer| self.hash(issuer));
        self.rules.insert(id, Kept { rule, issuer, streams_cut: 0 });
        true
    }

    pub(super) fn lift(&mut self, id: RevocationId) {
        let Some(Kept { rule, .. }) = self.rules.remove(&id) else { return };
        match rule.tokens() {
            Tokens::Id(token) => {
                let name = self.hash(token);
                forget(&mut self.by_token, name, id);
            }
            Tokens::Subject(subject) => {
                let name = self.hash(subject);
                forget(&mut self.by_subject, name, id);
            }
            Tokens::All => self.of_all.retain(|each| *each != id),
        }
    }

    /// Drops those that are over.
    pub(super) fn drop_over(&mut self, now: SystemTime) {
        let over: Vec<_> =
            self.rules.iter().filter(|(_, kept)| kept.rule.is_over(now)).map(|(id, _)| *id).collect();
        for id in over {
            self.lift(id);
        }
    }

    /// The revocation by which a token is not honoured, if there is one.
    ///
    /// It costs a look at those that name its id or its subject, and at those that name neither.
    pub(super) fn revoking(&self, bearer: &Bearer, now: SystemTime) -> Option<RevocationId> {
        let is_named = |rule: &Revocation| {
            let is_of =
                |name: Option<&str>, of: &Option<String>| name.is_none_or(|name| of.as_deref() == Some(name));
            is_of(rule.token_id(), &bearer.id)
                && is_of(rule.subject(), &bearer.subject)
                && is_of(rule.only_issuer(), &bearer.issuer)
        };
        self.find(&self.trace(bearer), now, is_named)
    }

    /// The one by which a stream has to end that lives by such a token.
    pub(super) fn ending(&self, trace: &Trace, now: SystemTime) -> Option<RevocationId> {
        self.find(trace, now, |_| true)
    }

    fn find(
        &self,
        trace: &Trace,
        now: SystemTime,
        is_named: impl Fn(&Revocation) -> bool,
    ) -> Option<RevocationId> {
        let named = |index: &'_ HashMap<NonZeroU64, Vec<RevocationId>>, name: Name| {
            let ids = name.and_then(|name| index.get(&name));
            ids.into_iter().flatten().copied().find(|id| self.holds(*id, trace, now, &is_named))
        };
        named(&self.by_token, trace.id)
            .or_else(|| named(&self.by_subject, trace.subject))
            .or_else(|| self.of_all.iter().copied().find(|id| self.holds(*id, trace, now, &is_named)))
    }

    fn holds(
        &self,
        id: RevocationId,
        trace: &Trace,
        now: SystemTime,
        is_named: &impl Fn(&Revocation) -> bool,
    ) -> bool {
        let Some(Kept { rule, issuer, .. }) = self.rules.get(&id) else { return false };
        let is_before = |limit| trace.issued_at == u64::MAX || trace.issued_at < whole_milliseconds(limit);
        !rule.is_over(now)
            && (issuer.is_none() || *issuer == trace.issuer)
            && rule.only_before().is_none_or(is_before)
            && is_named(rule)
    }

    /// Counts a stream that was cut.
    pub(super) fn count_cut(&mut self, id: RevocationId) {
        if let Some(kept) = self.rules.get_mut(&id) {
            kept.streams_cut += 1;
        }
    }
}

/// Rounded down, which leaves it on the same side of every limit, for these are whole milliseconds.
fn whole_milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX - 1)
}

fn forget(index: &mut HashMap<NonZeroU64, Vec<RevocationId>>, name: NonZeroU64, id: RevocationId) {
    if let Some(ids) = index.get_mut(&name) {
        ids.retain(|each| *each != id);
        if ids.is_empty() {
            index.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn bearer(issuer: &str, subject: &str, id: &str, issued_at: Option<u64>) -> Bearer {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let issued_at = issued_at.map(at);
        Bearer { issuer: text(issuer), subject: text(subject), id: text(id), issued_at }
    }

    fn check(rule: &Revocation, bearer: &Bearer, expected: bool) {
        let mut list = List::default();
        assert!(list.add(rule.clone()));
        let expected = expected.then(|| rule.id());
        assert_eq!(list.revoking(bearer, at(50)), expected, "{rule:?} {bearer:?}");
        // Its stream fares alike.
        assert_eq!(list.ending(&list.trace(bearer), at(50)), expected, "{rule:?} {bearer:?}");
    }

    #[test]
    fn a_subject_is_revoked_of_one_issuer_or_of_all_p7() {
        let alice = bearer("i", "alice", "1", Some(10));
        check(&Revocation::of_subject("alice"), &alice, true);
        check(&Revocation::of_subject("alice").issuer("i"), &alice, true);
        check(&Revocation::of_subject("alice").issuer("j"), &alice, false);
        check(&Revocation::of_subject("alice").issuer("i"), &bearer("", "alice", "", None), false);
        check(&Revocation::of_subject("alice"), &bearer("i", "bob", "alice", Some(10)), false);
        check(&Revocation::of_subject(""), &bearer("i", "", "", Some(10)), false);
    }

    /// Whoever has the hash of somebody who was revoked is let in, for names are what counts.
    #[test]
    fn equal_hashes_are_not_enough_to_refuse_a_token_p7() {
        let mut list = List::default();
        let rule = Revocation::of_subject("alice").issuer("i");
        list.add(rule.clone());
        let alice = bearer("i", "alice", "1", None);
        let trace = list.trace(&alice);
        let is_named_bob = |rule: &Revocation| rule.subject() == Some("bob");
        assert_eq!(list.find(&trace, at(0), |_| true), Some(rule.id()));
        assert_eq!(list.find(&trace, at(0), is_named_bob), None);
    }

    #[test]
    fn a_fraction_of_a_millisecond_keeps_a_token_on_its_side_of_a_limit_p7() {
        let limit = at(10) + Duration::from_nanos(1);
        let before = Revocation::of_issued_before(limit);
        let issued =
            |nanos| Bearer { issued_at: Some(at(10) + Duration::from_nanos(nanos)), ..Bearer::default() };
        // The limit is a whole millisecond, rounded up.
        check(&before, &issued(0), true);
        check(&before, &issued(999_999), true);
        check(&before, &issued(1_000_000), false);
    }

    #[test]
    fn a_token_is_revoked_by_its_id_p7() {
        check(&Revocation::of_token("1"), &bearer("i", "alice", "1", None), true);
        check(&Revocation::of_token("1").issuer("j"), &bearer("i", "alice", "1", None), false);
        check(&Revocation::of_token("1"), &bearer("i", "1", "2", None), false);
    }

    /// A token that does not say when it was issued counts as issued before any time.
    #[test]
    fn tokens_are_revoked_by_when_they_were_issued_p7() {
        let before = Revocation::of_issued_before(at(10));
        check(&before, &bearer("i", "alice", "1", Some(9)), true);
        check(&before, &bearer("i", "alice", "1", Some(10)), false);
        check(&before, &bearer("", "", "", None), true);
        check(&before.clone().issuer("i"), &bearer("i", "", "", None), true);
        check(&before.issuer("i"), &bearer("j", "", "", None), false);
        let logged_out = Revocation::of_subject("alice").issued_before(at(10));
        check(&logged_out, &bearer("i", "alice", "1", Some(9)), true);
        check(&logged_out, &bearer("i", "alice", "1", Some(11)), false);
        check(&logged_out, &bearer("i", "bob", "1", Some(9)), false);
    }

    #[test]
    fn a_revocation_that_is_over_holds_no_more_and_is_dropped_p7() {
        let alice = bearer("i", "alice", "1", None);
        let rule = Revocation::of_subject("alice").until(at(60));
        let mut list = List::default();
        list.add(rule.clone());
        assert!(list.revoking(&alice, at(59)).is_some());
        assert!(list.revoking(&alice, at(60)).is_none());
        list.drop_over(at(59));
        assert_eq!(list.len(), 1);
        // Said once more it holds for longer.
        assert!(list.add(rule.clone().until(at(70))));
        list.drop_over(at(60));
        assert!(list.revoking(&alice, at(69)).is_some());
        list.drop_over(at(70));
        assert_eq!((list.len(), list.by_subject.len()), (0, 0));
    }

    #[test]
    fn what_is_lifted_holds_no_more_and_leaves_nothing_behind_p7() {
        let rules = [
            Revocation::of_subject("alice"),
            Revocation::of_subject("alice").issuer("i"),
            Revocation::of_token("1"),
            Revocation::of_issued_before(at(20)),
        ];
        let alice = bearer("i", "alice", "1", Some(10));
        let mut list = List::default();
        for rule in &rules {
            assert!(list.add(rule.clone()));
            assert!(!list.add(rule.clone()));
        }
        for rule in &rules {
            assert!(list.revoking(&alice, at(0)).is_some());
            list.lift(rule.id());
            list.lift(rule.id());
        }
        assert_eq!(list.revoking(&alice, at(0)), None);
        let left = (list.len(), list.by_subject.len(), list.by_token.len(), list.of_all.len());
        assert_eq!(left, (0, 0, 0, 0));
    }
}
