//! The idempotency keys that an engine remembers, each with what was published under it and what was answered.
//!
//! It is bounded by count and by age, is told the time, and takes no lock. It never stores anything: an engine that
//! survives a restart stores each key with its entry, and remembers them again in the log's order.
//!
//! Keys are held as text. A digest of them would be shorter, but who picks keys could pick two with one digest, and
//! so learn what another publisher was answered.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use crate::IdempotencyKey;
use crate::engine::Appended;

/// How many keys are remembered, and for how long. The default: 100,000 keys, 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// The newest so many are remembered; 0 for none.
    pub count: usize,
    /// A key is remembered for less than this.
    pub age: Duration,
}

impl Default for KeyLimits {
    fn default() -> Self {
        Self { count: 100_000, age: Duration::from_secs(24 * 60 * 60) }
    }
}

/// The keys that were used lately.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use fanfare_hub::IdempotencyKey;
/// use fanfare_hub::engine::{Appended, Found, KeyLimits, Keys};
/// use fanfare_wire::EventId;
///
/// let mut keys = Keys::new(KeyLimits::default());
/// let (key, now) = (IdempotencyKey::new("order 41"), SystemTime::UNIX_EPOCH);
/// assert_eq!(keys.find(&key, 7, now), Found::New);
///
/// let appended = Appended { position: 1, id: EventId::from_static("41"), duplicate: false };
/// keys.remember(key.clone(), 7, now, appended.clone());
/// assert_eq!(keys.find(&key, 7, now), Found::Same(Appended { duplicate: true, ..appended }));
/// assert_eq!(keys.find(&key, 8, now), Found::Other);
/// assert_eq!(keys.find(&key, 7, now + Duration::from_secs(24 * 60 * 60)), Found::New);
/// ```
#[derive(Debug)]
pub struct Keys {
    limits: KeyLimits,
    /// Oldest first. INVARIANT: `at` never falls from one to the next.
    used: VecDeque<Used>,
    /// How many were forgotten: the number of the oldest.
    forgotten: u64,
    /// The number of each key's newest use.
    newest: HashMap<IdempotencyKey, u64>,
}

/// One use of a key.
#[derive(Debug)]
struct Used {
    key: IdempotencyKey,
    fingerprint: u128,
    at: SystemTime,
    appended: Appended,
}

/// What is known about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: append, and [`remember`](Keys::remember).
    New,
    /// It was used for the same publication. The answer to give; [`Appended::duplicate`] is set.
    Same(Appended),
    /// It was used for another publication: answer [`AppendError::KeyReused`](crate::engine::AppendError::KeyReused).
    Other,
}

impl Keys {
    /// Makes an empty table. It allocates as it grows.
    #[must_use]
    pub fn new(limits: KeyLimits) -> Self {
        Self { limits, used: VecDeque::new(), forgotten: 0, newest: HashMap::new() }
    }

    /// Looks a key up at the time `now`, for the submission whose [`fingerprint`](crate::Submission::fingerprint) is
    /// given.
    ///
    /// What is too old is forgotten on the way, so a call costs as much as there is to forget.
    pub fn find(&mut self, key: &IdempotencyKey, fingerprint: u128, now: SystemTime) -> Found {
        self.note_the_time(now);
        let newest = self.newest.get(key);
        let used = newest.and_then(|number| self.used.get(usize::try_from(number - self.forgotten).ok()?));
        match used {
            None => Found::New,
            Some(used) if used.fingerprint == fingerprint => {
                Found::Same(Appended { duplicate: true, ..used.appended.clone() })
            }
            Some(_) => Found::Other,
        }
    }

    /// Remembers that `key` was used at the time `at`, and what was answered. Where there are too many, the oldest
    /// are forgotten.
    ///
    /// A key that is known already means its newest use from now on; the older one counts until it is forgotten.
    /// Call it in the log's order.
    pub fn remember(&mut self, key: IdempotencyKey, fingerprint: u128, at: SystemTime, appended: Appended) {
        self.note_the_time(at);
        if self.limits.count == 0 {
            return;
        }
        if self.used.len() == self.limits.count {
            self.forget_oldest();
        }
        self.newest.insert(key.clone(), self.forgotten + self.used.len() as u64);
        self.used.push_back(Used { key, fingerprint, at, appended });
    }

    /// Forgets what is too old at the time `now`.
    ///
    /// Whatever was used later than `now`, by a clock that has since been set back, counts as used now: so it is not kept
    /// for longer than the limit from here on. A clock that jumps can make keys older than they are, never younger.
    fn note_the_time(&mut self, now: SystemTime) {
        for used in self.used.iter_mut().rev().take_while(|used| used.at > now) {
            used.at = now;
        }
        let age = self.limits.age;
        while self.used.front().is_some_and(|used| is_over(used.at, age, now)) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(Used { key, .. }) = self.used.pop_front() else { return };
        if self.newest.get(&key) == Some(&self.forgotten) {
            self.newest.remove(&key);
        }
        self.forgotten += 1;
    }
}

/// Whether something from `at`, which is not later than `now`, has reached `age`.
fn is_over(at: SystemTime, age: Duration, now: SystemTime) -> bool {
    now.duration_since(at).is_ok_and(|since| since >= age)
}

#[cfg(test)]
mod tests {
    use fanfare_wire::EventId;
    use proptest::prelude::*;

    use super::*;

    fn key(number: u8) -> IdempotencyKey {
        IdempotencyKey::new(number.to_string())
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn appended(position: u64) -> Appended {
        Appended { position, id: EventId::parse(position.to_string()).expect("an id"), duplicate: false }
    }

    fn keys(count: usize, age_seconds: u64) -> Keys {
        Keys::new(KeyLimits { count, age: Duration::from_secs(age_seconds) })
    }

    #[test]
    fn the_oldest_of_too_many_are_forgotten() {
        let mut keys = keys(2, 100);
        for number in 1..=3 {
            keys.remember(key(number), 0, at(0), appended(number.into()));
        }
        assert_eq!(keys.find(&key(1), 0, at(0)), Found::New);
        assert_eq!(keys.find(&key(2), 1, at(0)), Found::Other);
        assert_eq!(keys.find(&key(3), 0, at(0)), Found::Same(Appended { duplicate: true, ..appended(3) }));
        assert_eq!((keys.used.len(), keys.newest.len()), (2, 2));
    }

    #[test]
    fn a_key_that_is_used_again_outlives_its_first_use() {
        let mut keys = keys(2, 100);
        for number in 1..=3 {
            keys.remember(key(1), number.into(), at(0), appended(number));
        }
        assert_eq!(keys.find(&key(1), 2, at(0)), Found::Other);
        assert!(matches!(keys.find(&key(1), 3, at(0)), Found::Same(_)));
    }

    #[test]
    fn a_key_from_a_clock_that_was_ahead_is_forgotten_in_time() {
        let mut keys = keys(10, 100);
        keys.remember(key(1), 0, at(1_000_000), appended(1));
        keys.remember(key(2), 0, at(50), appended(2));
        assert!(matches!(keys.find(&key(1), 0, at(149)), Found::Same(_)));
        assert_eq!(keys.find(&key(1), 0, at(150)), Found::New);
        assert!(keys.used.is_empty() && keys.newest.is_empty());
    }

    #[test]
    fn limits_of_zero_remember_nothing() {
        for mut keys in [keys(0, 100), keys(100, 0)] {
            keys.remember(key(1), 0, at(5), appended(1));
            assert_eq!(keys.find(&key(1), 0, at(5)), Found::New);
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Find { key: u8, fingerprint: u128 },
        Remember { key: u8, fingerprint: u128 },
    }

    fn op() -> impl Strategy<Value = (Op, i64)> {
        // Mostly forward, sometimes back, sometimes far.
        let step = prop_oneof![6 => 0..4i64, 2 => -6..0i64, 1 => -50..50i64];
        let op = (0..6u8, 0..2u128, any::<bool>()).prop_map(|(key, fingerprint, is_find)| {
            if is_find { Op::Find { key, fingerprint } } else { Op::Remember { key, fingerprint } }
        });
        (op, step)
    }

    /// Every use in its order, with no thought for the cost.
    struct Model {
        limits: KeyLimits,
        used: Vec<(u8, u128, SystemTime, Appended)>,
    }

    impl Model {
        fn note_the_time(&mut self, now: SystemTime) {
            for (_, _, at, _) in &mut self.used {
                *at = now.min(*at);
            }
            self.used.retain(|(_, _, at, _)| now.duration_since(*at).expect("not later") < self.limits.age);
        }

        fn find(&mut self, key: u8, fingerprint: u128, now: SystemTime) -> Found {
            self.note_the_time(now);
            match self.used.iter().rev().find(|(used, ..)| *used == key) {
                None => Found::New,
                Some((_, known, _, appended)) if *known == fingerprint => {
                    Found::Same(Appended { duplicate: true, ..appended.clone() })
                }
                Some(_) => Found::Other,
            }
        }

        fn remember(&mut self, key: u8, fingerprint: u128, now: SystemTime, appended: Appended) {
            self.note_the_time(now);
            self.used.push((key, fingerprint, now, appended));
            let too_many = self.used.len().saturating_sub(self.limits.count);
            self.used.drain(..too_many);
        }
    }

    proptest! {
        /// Goal: what is found is what was remembered last, within both limits, whatever the clock does.
        #[test]
        fn the_table_finds_what_a_list_of_all_uses_finds(
            count in 0..6usize,
            age in 0..20u64,
            ops in prop::collection::vec(op(), 1..100),
        ) {
            let mut keys = keys(count, age);
            let mut model = Model { limits: keys.limits, used: Vec::new() };
            let mut now = 1_000u64;
            for (number, (op, step)) in (1..).zip(ops) {
                now = now.saturating_add_signed(step);
                match op {
                    Op::Find { key: of, fingerprint } => {
                        let found = keys.find(&key(of), fingerprint, at(now));
                        prop_assert_eq!(found, model.find(of, fingerprint, at(now)));
                    }
                    Op::Remember { key: of, fingerprint } => {
                        keys.remember(key(of), fingerprint, at(now), appended(number));
                        model.remember(of, fingerprint, at(now), appended(number));
                    }
                }
                prop_assert_eq!(keys.used.len(), model.used.len());
                prop_assert!(keys.newest.len() <= keys.used.len() && keys.used.len() <= count);
                prop_assert!(keys.used.iter().is_sorted_by_key(|used| used.at));
            }
        }
    }
}
