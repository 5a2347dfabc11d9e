//! The hash that indexes find topics and ids by, and the secret of a log's CRCs.
//!
//! Keyed, so that nobody can choose topics that collide; what it finds is compared with the entry itself.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use super::checksum::Checksum;

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

    /// What the CRCs of a segment of a format begin with.
    pub(super) fn checksum(&self, format: u16) -> Checksum {
        if format == 1 {
            return Checksum::PLAIN;
        }
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write_u8(2);
        Checksum::keyed(hasher.finish())
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
