//! One revocation: which tokens are not honoured any more, and how it is written into the log.
//!
//! It knows no token that was shown and no stream; what it is held against is told to it.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// Which tokens are not honoured any more: one by its id, those of a subject, or those that were issued before some time.
///
/// ```
/// use std::time::SystemTime;
/// use fanfare_http::Revocation;
///
/// let everywhere = Revocation::of_subject("customer-7").issuer("https://shop.test");
/// // Whoever logs in again gets a token that is honoured.
/// let logged_out = everywhere.clone().issued_before(SystemTime::now());
/// assert_eq!(everywhere.subject(), logged_out.subject());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    tokens: Tokens,
    issuer: Option<String>,
    issued_before: Option<SystemTime>,
    until: Option<SystemTime>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tokens {
    Id(String),
    Subject(String),
    /// Bounded by `issued_before`.
    All,
}

/// What tells a revocation from others: the same tokens of the same issuer, the same id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevocationId([u8; 16]);

impl Revocation {
    /// Revokes the token of which the claim `jti` says `id`.
    #[must_use]
    pub fn of_token(id: impl Into<String>) -> Self {
        Self::of(Tokens::Id(id.into()))
    }

    /// Revokes every token of which the claim `sub` says `subject`, those that are issued later too.
    #[must_use]
    pub fn of_subject(subject: impl Into<String>) -> Self {
        Self::of(Tokens::Subject(subject.into()))
    }

    /// Revokes every token that was issued before `time`.
    #[must_use]
    pub fn of_issued_before(time: SystemTime) -> Self {
        Self::of(Tokens::All).issued_before(time)
    }

    fn of(tokens: Tokens) -> Self {
        Self { tokens, issuer: None, issued_before: None, until: None }
    }

    /// Spares the tokens that do not say `issuer` in their claim `iss`. Issuers do not share names of subjects and tokens, so it
    /// should be said wherever several are trusted.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Spares the tokens that were issued at `time` or later, as their claim `iat` says; one that does not say so is not spared.
    /// Counted in whole milliseconds, rounded up.
    #[must_use]
    pub fn issued_before(mut self, time: SystemTime) -> Self {
        self.issued_before = Some(in_milliseconds(time));
        self
    }

    /// Forgets the revocation at `time`, when those tokens must have expired. Default: when it is lifted. Counted in whole
    /// milliseconds, rounded up.
    #[must_use]
    pub fn until(mut self, time: impl Into<Option<SystemTime>>) -> Self {
        self.until = time.into().map(in_milliseconds);
        self
    }

    /// Whose tokens are revoked, if it is those of a subject.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        match &self.tokens {
            Tokens::Subject(subject) => Some(subject),
            _ => None,
        }
    }

    /// The token that is revoked, if it is a single one.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        match &self.tokens {
            Tokens::Id(id) => Some(id),
            _ => None,
        }
    }

    /// Whose tokens alone are revoked, if not everybody's.
    #[must_use]
    pub fn only_issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Before when they were issued, if that matters.
    #[must_use]
    pub fn only_before(&self) -> Option<SystemTime> {
        self.issued_before
    }

    /// When it is over, if it ever is.
    #[must_use]
    pub fn over_at(&self) -> Option<SystemTime> {
        self.until
    }

    /// What it can be lifted by. How long it holds is no part of it.
    #[must_use]
    pub fn id(&self) -> RevocationId {
        let mut digest = Context::new(&SHA256);
        let (kind, name) = match &self.tokens {
            Tokens::Id(id) => (1, Some(&**id)),
            Tokens::Subject(subject) => (2, Some(&**subject)),
            Tokens::All => (3, None),
        };
        digest.update(&[kind]);
        for text in [name, self.issuer.as_deref()] {
            // The length first, or else a part of one could be a part of the other.
            digest.update(&text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
            digest.update(text.unwrap_or_default().as_bytes());
        }
        digest.update(&self.issued_before.map_or(u64::MAX, milliseconds).to_le_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&digest.finish().as_ref()[..16]);
        RevocationId(id)
    }

    pub(super) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// The longest text in it, in bytes.
    pub(super) fn text_bytes_max(&self) -> usize {
        let name = self.subject().or(self.token_id()).map_or(0, str::len);
        name.max(self.issuer.as_ref().map_or(0, String::len))
    }
}

impl RevocationId {
    /// Reads an id as [`Display`](fmt::Display) writes it: 22 characters of base64url.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The last millisecond that a date may lie at: in the year 9999, as for the dates in tokens.
const LAST_MILLISECOND: u64 = 253_402_300_799_999;

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).min(LAST_MILLISECOND)
}

fn at(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds.min(LAST_MILLISECOND))
}

fn in_milliseconds(time: SystemTime) -> SystemTime {
    at(milliseconds(time))
}

/// What an entry of the log says, as JSON. What is new in a later release and not known here is passed over.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Notice {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    revoked: Vec<Written>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lifted: Vec<String>,
}

/// A revocation in an entry.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued_before_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
}

impl Notice {
    pub(super) fn of<'a>(revoked: impl IntoIterator<Item = &'a Revocation>) -> Self {
        let written = |rule: &Revocation| Written {
            token_id: rule.token_id().map(str::to_owned),
            subject: rule.subject().map(str::to_owned),
            issuer: rule.issuer.clone(),
            issued_before_ms: rule.issued_before.map(milliseconds),
            until_ms: rule.until.map(milliseconds),
        };
        Self { revoked: revoked.into_iter().map(written).collect(), lifted: Vec::new() }
    }

    pub(super) fn lifting(id: RevocationId) -> Self {
        Self { revoked: Vec::new(), lifted: vec![id.to_string()] }
    }

    /// The revocations that it tells of, but for what is none.
    pub(super) fn revoked(&self) -> impl Iterator<Item = Revocation> {
        self.revoked.iter().filter_map(|written| {
            let tokens = match (&written.token_id, &written.subject) {
                (Some(id), None) => Tokens::Id(id.clone()),
                (None, Some(subject)) => Tokens::Subject(subject.clone()),
                (None, None) if written.issued_before_ms.is_some() => Tokens::All,
                _ => return None,
            };
            Some(Revocation {
                tokens,
                issuer: written.issuer.clone(),
                issued_before: written.issued_before_ms.map(at),
                until: written.until_ms.map(at),
            })
        })
    }

    pub(super) fn lifted(&self) -> impl Iterator<Item = RevocationId> {
        self.lifted.iter().filter_map(|id| RevocationId::parse(id))
    }

    /// How many bytes it has as JSON, about, and at the most unless its texts have to be escaped.
    pub(super) fn bytes(rule: &Revocation) -> usize {
        let texts = [rule.subject(), rule.token_id(), rule.only_issuer()];
        100 + texts.into_iter().flatten().map(str::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn time() -> impl Strategy<Value = SystemTime> {
        (0..u64::from(u32::MAX), 0..1_000_000_000u32)
            .prop_map(|(seconds, nanos)| UNIX_EPOCH + Duration::new(seconds, nanos))
    }

    fn rule() -> impl Strategy<Value = Revocation> {
        let of = prop_oneof![
            any::<String>().prop_map(Revocation::of_token),
            any::<String>().prop_map(Revocation::of_subject),
            time().prop_map(Revocation::of_issued_before),
        ];
        (of, option::of(any::<String>()), option::of(time()), option::of(time())).prop_map(
            |(mut rule, issuer, before, until)| {
                rule.issuer = issuer;
                rule = match before {
                    Some(before) => rule.issued_before(before),
                    None => rule,
                };
                rule.until(until)
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_into_the_log_is_read_from_it_p7(rules in proptest::collection::vec(rule(), 0..5)) {
            let json = serde_json::to_string(&Notice::of(&rules)).expect("JSON");
            let back: Notice = serde_json::from_str(&json).expect("a notice");
            prop_assert_eq!(back.revoked().collect::<Vec<_>>(), rules);
        }

        #[test]
        fn an_id_is_read_as_it_is_written(rule in rule()) {
            prop_assert_eq!(RevocationId::parse(&rule.id().to_string()), Some(rule.id()));
        }

        #[test]
        fn whatever_an_entry_holds_is_read_without_harm(text in any::<String>()) {
            if let Ok(notice) = serde_json::from_str::<Notice>(&text) {
                assert!(notice.revoked().count() + notice.lifted().count() < 1_000);
            }
        }
    }

    #[test]
    fn different_revocations_have_different_ids_and_how_long_they_hold_is_no_part_of_it() {
        let at = at(1_790_000_000_000);
        let rules = [
            Revocation::of_subject("a"),
            Revocation::of_token("a"),
            Revocation::of_subject("b"),
            Revocation::of_subject("a").issuer(""),
            Revocation::of_subject("a").issuer("b"),
            Revocation::of_subject("ab"),
            Revocation::of_subject("a").issued_before(at),
            Revocation::of_issued_before(at),
            Revocation::of_issued_before(at).issuer("b"),
            Revocation::of_issued_before(at + Duration::from_millis(1)),
        ];
        let ids: std::collections::HashSet<_> = rules.iter().map(Revocation::id).collect();
        assert_eq!(ids.len(), rules.len());
        assert_eq!(Revocation::of_subject("a").until(at).id(), Revocation::of_subject("a").id());
    }

    #[test]
    fn what_is_no_revocation_is_passed_over() {
        for none in [
            r"{}",
            r#"{"revoked":[{}]}"#,
            r#"{"revoked":[{"issuer":"a"}]}"#,
            r#"{"revoked":[{"subject":"a","token_id":"b"}]}"#,
        ] {
            let notice: Notice = serde_json::from_str(none).expect("a notice");
            assert_eq!(notice.revoked().count(), 0, "{none}");
        }
        let later = r#"{"revoked":[{"subject":"a","reason":"x"}],"more":1}"#;
        let notice: Notice = serde_json::from_str(later).expect("a notice");
        assert_eq!(notice.revoked().collect::<Vec<_>>(), [Revocation::of_subject("a")]);
    }
}
