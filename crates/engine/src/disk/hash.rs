//! The hash that indexes find topics and ids by.
//!
//! Keyed, so that nobody can choose topics that collide; what it finds is compared with the entry itself.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

/// What an index is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Term<'a> {
    Topic(&'a str),
    Id(&'a str),
}

/// Makes a log's hashes.
#[derive(Clone)]
pub(super) struct TermHasher([u8; 16]);

impl TermHasher {
    pub(super) fn new(salt: [u8; 16]) -> Self {
        Self(salt)
    }

    pub(super) fn hash(&self, term: Term<'_>) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        let (kind, text) = match term {
            Term::Topic(text) => (0, text),
            Term::Id(text) => (1, text),
        };
        hasher.write_u8(kind);
        hasher.write(text.as_bytes());
        hasher.finish()
    }
}
