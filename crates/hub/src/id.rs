//! The ids that the hub makes: one enciphered block that says which log, where in it, and which entry.
//!
//! An id is `#1` and 22 base64url characters: one AES-128 block of epoch (32 bits), position (56) and
//! check (40), enciphered with a key that is stored with the log. So any node resumes it without a
//! look-up, and nothing can be read from it, volume included. A publisher's id never starts with `#`,
//! so the two kinds never mix; the digit is the format's version.

use std::hash::Hasher;
use std::sync::Arc;

use aes::Aes128;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare_wire::EventId;
use siphasher::sip128::{Hash128, Hasher128, SipHasher13};

/// Where an entry stands in its log. The first is 1; 0 is the place before it.
///
/// Positions fit into 56 bits.
pub type Position = u64;

/// Random bits drawn when an entry is appended and stored with it, never derived from its content.
///
/// They tell an entry from another one that took its position after the log had lost its newest entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Check(u64);

impl Check {
    /// The check of the place before the first entry of a log.
    pub const START: Self = Self(0);

    /// Takes the lower 40 bits of `random`.
    #[must_use]
    pub fn from_random(random: u64) -> Self {
        Self(random & CHECK_MASK)
    }

    /// Whether an id with this check may be of the entry with that one: it is the same, or the id was made for a place whose check
    /// was not known any more.
    pub(crate) fn may_be(self, of_entry: Self) -> bool {
        self == of_entry || self == Self::START
    }

    /// The 40 bits, to store them.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }
}

const CHECK_MASK: u64 = (1 << 40) - 1;
const POSITION_MASK: u64 = (1 << 56) - 1;
const PREFIX: &str = "#1";
/// How long an id of the hub's own is.
pub(crate) const ID_BYTES: usize = PREFIX.len() + 22;

/// A place in a log: which one, where, and which entry stood there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which log: a random number stored with it.
    pub epoch: u32,
    /// Where in it.
    pub position: Position,
    /// The check of the entry there.
    pub check: Check,
}

/// The key that a log's ids are enciphered with. It is stored with the log. Cheap to clone.
#[derive(Clone)]
pub struct IdKey(Arc<Aes128>);

impl IdKey {
    /// Takes the 16 bytes stored with the log.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(Arc::new(Aes128::new(&bytes.into())))
    }

    /// Makes the id of a place. The same place always has the same id.
    #[must_use]
    pub fn encipher(&self, place: Place) -> EventId {
        let packed = (u128::from(place.epoch) << 96)
            | (u128::from(place.position & POSITION_MASK) << 40)
            | u128::from(place.check.0);
        let mut block = packed.to_be_bytes().into();
        self.0.encrypt_block(&mut block);
        let mut text = String::with_capacity(ID_BYTES);
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(block, &mut text);
        EventId::parse(text).unwrap_or_else(|_| unreachable!("base64 has no line break"))
    }

    /// Reads an id back; `None` if it does not have the form of one of ours.
    ///
    /// An id that was made up, or by another hub, gives some place: its epoch tells it apart.
    #[must_use]
    pub fn decipher(&self, id: &EventId) -> Option<Place> {
        let encoded = id.as_str().strip_prefix(PREFIX)?;
        let mut bytes = [0; 16];
        // 22 characters are 16 bytes exactly, so a longer text does not fit.
        let written = URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes).ok()?;
        if written != bytes.len() {
            return None;
        }
        let mut block = bytes.into();
        self.0.decrypt_block(&mut block);
        let packed = u128::from_be_bytes(block.into());
        let low = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
        Some(Place {
            epoch: u32::try_from(packed >> 96).unwrap_or(0),
            position: low(packed >> 40) & POSITION_MASK,
            check: Check(low(packed) & CHECK_MASK),
        })
    }
}

impl IdKey {
    /// An id made of `prefix` and a digest of `topic`, 22 characters: the same on every node of a log, and nobody without the
    /// log's key can make it, or read the topic from it.
    pub(crate) fn id_for(&self, prefix: &str, topic: &str) -> EventId {
        // No entry has this place: the hash's key is nobody's id.
        let mut secret = [0xff; 16].into();
        self.0.encrypt_block(&mut secret);
        let mut digest = SipHasher13::new_with_key(&secret.into());
        digest.write(prefix.as_bytes());
        digest.write(topic.as_bytes());
        let Hash128 { h1, h2 } = digest.finish128();
        let mut text = String::with_capacity(prefix.len() + 22);
        text.push_str(prefix);
        URL_SAFE_NO_PAD.encode_string((u128::from(h1) | u128::from(h2) << 64).to_be_bytes(), &mut text);
        EventId::parse(text).unwrap_or_else(|_| unreachable!("base64 has no line break"))
    }
}

impl std::fmt::Debug for IdKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_place_comes_back_from_its_id(key: [u8; 16], epoch: u32, position in 0..=POSITION_MASK, check: u64) {
            let key = IdKey::new(key);
            let place = Place { epoch, position, check: Check::from_random(check) };
            let id = key.encipher(place);
            prop_assert_eq!(id.as_str().len(), ID_BYTES);
            prop_assert_eq!(key.decipher(&id), Some(place));
        }

        #[test]
        fn no_text_makes_decipher_panic(text in "(#1)?[^\r\n\0]{0,40}") {
            if let Ok(id) = EventId::parse(text) {
                let _ = IdKey::new([7; 16]).decipher(&id);
            }
        }
    }

    #[test]
    fn another_key_reads_another_epoch_m079() {
        let place = Place { epoch: 7, position: 1, check: Check::from_random(3) };
        let id = IdKey::new([1; 16]).encipher(place);
        assert_ne!(IdKey::new([2; 16]).decipher(&id).map(|place| place.epoch), Some(7));
    }

    #[test]
    fn what_is_not_ours_is_no_place() {
        let key = IdKey::new([0; 16]);
        for text in
            ["", "#", "#1", "#2AAAAAAAAAAAAAAAAAAAAAA", "#1AAAA", "#1AAAAAAAAAAAAAAAAAAAAAAA", "urn:uuid:1"]
        {
            assert_eq!(key.decipher(&EventId::parse(text).expect("an id")), None, "{text}");
        }
    }
}
