//! A run: presence that follows each other in one group, as one record.
//!
//! The checks of its entries are derived from a seed, so that they take no room. It is drawn for one run and stored with it: checks
//! are random bits as they are everywhere else, and a log that was rewound draws others. Nothing is drawn here.

use std::hash::Hasher as _;

use fanfare_hub::{Check, Position};
use siphasher::sip::SipHasher24;

use super::record::{KIND_RUN, PLACE_BYTES, RECORD_STAMP_BYTES, u32_at};
use crate::payload::PLACE;

/// The record of a run, however long it is.
pub(super) const RUN_BYTES: usize = PLACE_BYTES + 4 + 16;
const PAYLOAD_BYTES: usize = RUN_BYTES - RECORD_STAMP_BYTES;

/// What a run's record holds beside the position of its first entry and their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) count: u32,
    pub(super) seed: Seed,
}

impl Run {
    /// All that is stored behind the stamp of its record: no flags, no topics, how many entries, and the seed.
    pub(super) fn payload(self) -> [u8; PAYLOAD_BYTES] {
        let mut payload = [0; PAYLOAD_BYTES];
        payload[0] = KIND_RUN;
        payload[PLACE.len()..][..4].copy_from_slice(&self.count.to_le_bytes());
        payload[PLACE.len() + 4..].copy_from_slice(&self.seed.0);
        payload
    }

    /// Reads the whole record of a run that begins at a position; `None` if it does not have that form.
    pub(super) fn read(position: Position, record: &[u8]) -> Option<Self> {
        let record: &[u8; RUN_BYTES] = record.try_into().ok()?;
        let run = Self { count: u32_at(record, PLACE_BYTES)?, seed: Seed(*record.last_chunk()?) };
        let has_positions = run.count > 0 && position.checked_add(run.count.into()).is_some();
        (has_positions && record[RECORD_STAMP_BYTES..] == run.payload()).then_some(run)
    }
}

/// Sixteen random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seed(pub(super) [u8; 16]);

impl Seed {
    /// The check of the entry at a position of the run.
    pub(super) fn check(self, position: Position) -> Check {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(&position.to_le_bytes());
        Check::from_random(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of the reference implementation's own vectors: the key is the bytes 0 to 15, and the input those from 0 to 7.
    #[test]
    fn a_check_is_the_lower_forty_bits_of_siphash() {
        let seed = Seed(std::array::from_fn(|at| u8::try_from(at).expect("below 16")));
        let position = Position::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(seed.check(position).bits(), 0x93F5_F579_9A93_2462 & 0xFF_FFFF_FFFF);
    }

    #[test]
    fn a_run_that_is_empty_or_has_anything_else_in_it_is_none() {
        let whole = Run { count: 2, seed: Seed([0; 16]) }.payload();
        let is_one = |payload: &[u8]| Run::read(41, &[&[0; RECORD_STAMP_BYTES], payload].concat()).is_some();
        assert!(is_one(&whole));
        for (at, bit) in [(1, 1), (2, 1), (6, 2)] {
            let mut changed = whole;
            changed[at] ^= bit;
            assert!(!is_one(&changed), "byte {at}");
        }
        assert!(!is_one(&whole[..whole.len() - 1]) && !is_one(&[&whole[..], &[0]].concat()));
    }
}
