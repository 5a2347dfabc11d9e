//! One entry as a message of the stream, and back.
//!
//! A version, the check that was drawn for it, when it was appended if the stream does not know, and what it holds. The position is
//! the message's sequence number, which the stream gives.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanfare_hub::{Check, IdempotencyKey, Submission};

use crate::payload::{self, KIND_PRESENCE, NoPayload, PLACE, Payload};

/// The newest form, which is the only one so far.
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + 5 + 8;

/// Writes an entry; `None` if a text in it is too long. Without a time, the one at which the stream took it counts.
pub(crate) fn write(
    check: Check,
    at: Option<SystemTime>,
    submission: &Submission,
    key: Option<&IdempotencyKey>,
) -> Option<Vec<u8>> {
    let mut out = begin(check, at, 256);
    payload::write(&mut out, submission, key)?;
    Some(out)
}

/// Writes what tells of presence; `None` if a text in it is too long.
pub(crate) fn write_presence(check: Check, presence: &Submission) -> Option<Vec<u8>> {
    let mut out = begin(check, None, 256);
    payload::write(&mut out, presence, None)?;
    out[HEADER_BYTES] = KIND_PRESENCE;
    Some(out)
}

/// Writes an entry of which nothing is kept but its place.
pub(crate) fn write_place(check: Check, at: Option<SystemTime>) -> Vec<u8> {
    let mut out = begin(check, at, PLACE.len());
    out.extend_from_slice(&PLACE);
    out
}

fn begin(check: Check, at: Option<SystemTime>, room: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + room);
    out.push(VERSION);
    out.extend_from_slice(&check.bits().to_le_bytes()[..5]);
    let micros = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_micros());
    out.extend_from_slice(&u64::try_from(micros).unwrap_or(u64::MAX).to_le_bytes());
    out
}

/// An entry that was read.
#[derive(Clone, Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) check: Check,
    /// When it was appended, if its writer said so.
    pub(crate) at: Option<SystemTime>,
    pub(crate) payload: Payload<'a>,
}

/// Why a message is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoEnvelope {
    /// It does not have the form of one.
    Invalid,
    /// A newer release wrote it.
    Newer,
}

impl<'a> Envelope<'a> {
    /// Reads what [`write`] wrote.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, NoEnvelope> {
        let (&version, rest) = bytes.split_first().ok_or(NoEnvelope::Invalid)?;
        if version > VERSION {
            return Err(NoEnvelope::Newer);
        }
        let (check, rest) = rest.split_first_chunk::<5>().ok_or(NoEnvelope::Invalid)?;
        let (micros, rest) = rest.split_first_chunk::<8>().ok_or(NoEnvelope::Invalid)?;
        if version == 0 {
            return Err(NoEnvelope::Invalid);
        }
        let mut bits = [0; 8];
        bits[..5].copy_from_slice(check);
        let micros = u64::from_le_bytes(*micros);
        let payload = Payload::read(rest, KIND_PRESENCE).map_err(|error| match error {
            NoPayload::Invalid => NoEnvelope::Invalid,
            NoPayload::UnknownKind(_) => NoEnvelope::Newer,
        })?;
        Ok(Self {
            check: Check::from_random(u64::from_le_bytes(bits)),
            at: (micros != 0).then(|| UNIX_EPOCH.checked_add(Duration::from_micros(micros))).flatten(),
            payload,
        })
    }
}

/// How many bytes of an entry [`check_of`] needs.
#[cfg(feature = "redis")]
pub(crate) const CHECKED_BYTES: usize = 1 + 5;

/// The check of an entry of which no more than the beginning was read; `None` if it is none.
pub(crate) fn check_of(beginning: &[u8]) -> Option<Check> {
    let (&version, rest) = beginning.split_first()?;
    let check = rest.first_chunk::<5>().filter(|_| version == VERSION)?;
    Some(Check::from_random(check.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte))))
}

#[cfg(test)]
mod tests {
    use fanfare_hub::Topic;
    use fanfare_hub::engine::Content;
    use fanfare_wire::{Draft, Event, EventId};
    use proptest::prelude::*;

    use super::*;

    fn submission(topics: &[String], id: Option<&str>, private: bool, data: &str) -> Submission {
        let topics: Vec<_> = topics.iter().map(|text| Topic::parse(text).expect("a topic")).collect();
        let chosen_id = id.map(|id| EventId::parse(id).expect("an id"));
        let draft = Draft::new(&Event::new(data.to_owned()), 24);
        Submission { topics: topics.into(), private, chosen_id, draft }
    }

    proptest! {
        #[test]
        fn every_entry_comes_back_as_it_was_written(
            topics in prop::collection::vec("[a-z/]{1,20}", 1..4),
            id in prop::option::of("[a-z0-9:]{1,20}"),
            key in prop::option::of(".{0,30}"),
            private: bool,
            data in ".{0,60}",
            check: u64,
            micros in prop::option::of(1..4_000_000_000_000_000_u64),
        ) {
            let written = submission(&topics, id.as_deref(), private, &data);
            let (check, key) = (Check::from_random(check), key.map(IdempotencyKey::new));
            let at = micros.map(|micros| UNIX_EPOCH + Duration::from_micros(micros));
            let bytes = write(check, at, &written, key.as_ref()).expect("written");
            let read = Envelope::read(&bytes).expect("an entry");
            prop_assert_eq!((read.check, read.at), (check, at));
            prop_assert_eq!(check_of(&bytes[..6]), Some(check));
            prop_assert_eq!(read.payload.key, key.as_ref().map(IdempotencyKey::as_str));
            let copy = read.payload.submission().expect("a publication");
            prop_assert_eq!(copy.fingerprint(), written.fingerprint());
        }

        #[test]
        fn what_tells_of_presence_comes_back_as_that(
            topics in prop::collection::vec("[a-z/]{1,20}", 1..4),
            data in ".{0,60}",
            check: u64,
        ) {
            let (written, check) = (submission(&topics, None, true, &data), Check::from_random(check));
            let bytes = write_presence(check, &written).expect("written");
            let read = Envelope::read(&bytes).expect("an entry");
            prop_assert_eq!((read.check, read.at, read.payload.key), (check, None, None));
            match read.payload.content() {
                Some(Content::Presence(copy)) => prop_assert_eq!(copy.fingerprint(), written.fingerprint()),
                other => prop_assert!(false, "{:?}", other),
            }
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(read) = Envelope::read(&bytes) {
                let _ = read.payload.content();
            }
        }
    }

    #[test]
    fn a_place_comes_back_as_one_of_which_nothing_is_kept() {
        let (check, at) = (Check::from_random(77), UNIX_EPOCH + Duration::from_secs(5));
        let bytes = write_place(check, Some(at));
        let read = Envelope::read(&bytes).expect("an entry");
        assert_eq!((read.check, read.at), (check, Some(at)));
        assert!(matches!(read.payload.content(), Some(fanfare_hub::engine::Content::Forgotten)));
    }

    #[test]
    fn what_a_newer_release_wrote_is_told_from_what_nobody_wrote() {
        let bytes = write(Check::START, None, &submission(&["a".to_owned()], None, false, "x"), None)
            .expect("written");
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            Envelope::read(&bytes).expect_err("none")
        };
        assert_eq!(with(0, VERSION + 1), NoEnvelope::Newer);
        assert_eq!(with(0, 0), NoEnvelope::Invalid);
        assert_eq!(with(HEADER_BYTES, 9), NoEnvelope::Newer);
        assert_eq!(Envelope::read(&bytes[..20]).expect_err("none"), NoEnvelope::Invalid);
        assert_eq!(Envelope::read(b"").expect_err("none"), NoEnvelope::Invalid);
    }
}
