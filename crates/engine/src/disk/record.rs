//! Records, of an entry or of a run of presence, and the groups that they stand in: what is in their bytes.
//!
//! It knows no file; who puts a group together is [`writer`](super::writer). What is where stands in `docs/log-format.md`; whatever does not have that form is invalid, never half read.

use std::ops::Range;

use fanfare_hub::engine::Content;
use fanfare_hub::{Check, IdempotencyKey, Position, Submission};

use super::checksum::Checksum;
use super::run::Run;
use crate::payload::{self, NoPayload, PLACE, Payload};

/// What a group begins with; larger than any record's length.
pub(super) const GROUP_MARK: u32 = 0x4752_4F55;
pub(super) const GROUP_HEADER_BYTES: usize = 32;
/// The longest record, behind its CRC.
pub(super) const RECORD_BYTES_MAX: usize = 1 << 30;
/// Length and CRC.
pub(super) const RECORD_PREFIX_BYTES: usize = 8;
/// What is added when an entry is committed: length, CRC, position, time, check.
pub(super) const RECORD_STAMP_BYTES: usize = RECORD_PREFIX_BYTES + 8 + 8 + 5;

/// The record of one entry of presence: the shortest there is.
pub(super) const PLACE_BYTES: usize = RECORD_STAMP_BYTES + PLACE.len();
/// That many subscribers came or went, one after the other: only their places are kept.
pub(super) const KIND_RUN: u8 = 2;

/// Encodes all of an entry that its publisher's thread knows; `None` if a text in it is longer than the format has room for.
pub(super) fn payload(submission: &Submission, key: Option<&IdempotencyKey>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    payload::write(&mut out, submission, key)?;
    Some(out)
}

pub(super) fn group_crc(checksum: Checksum, group: &[u8]) -> u32 {
    checksum.of([&group[..12], &group[16..]])
}

/// A valid group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) first: Position,
    /// How many entries its records have.
    pub(super) entries: u32,
    /// How long the file was when it was synced last before this group was written.
    pub(super) synced: u64,
    /// With its header.
    pub(super) bytes: usize,
}

/// Reads the group at the beginning of `bytes`; `None` if there is no whole one.
pub(super) fn group(checksum: Checksum, bytes: &[u8]) -> Option<Group> {
    let header: &[u8; GROUP_HEADER_BYTES] = bytes.first_chunk()?;
    if u32_at(header, 0)? != GROUP_MARK {
        return None;
    }
    let length = GROUP_HEADER_BYTES.checked_add(u32_at(header, 4)? as usize)?;
    let whole = bytes.get(..length)?;
    let is_valid = group_crc(checksum, whole) == u32_at(header, 12)?;
    is_valid.then_some(Group {
        first: u64_at(header, 16)?,
        entries: u32_at(header, 8)?,
        synced: u64_at(header, 24)?,
        bytes: length,
    })
}

/// Where at `from` or behind it something begins that may be a group, by its mark.
pub(super) fn next_mark(bytes: &[u8], from: usize) -> Option<usize> {
    let mark = GROUP_MARK.to_le_bytes();
    let found = bytes.get(from..)?.windows(4).position(|four| four == mark)?;
    Some(from + found)
}

/// An entry that has not been copied out of what was read; of a run, the first one.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) position: Position,
    /// Microseconds since 1970.
    pub(super) at: u64,
    pub(super) check: Check,
    pub(super) id: Option<&'a str>,
    pub(super) key: Option<&'a str>,
    payload: Payload<'a>,
    run: Option<Run>,
    /// All of its record, with length and CRC; for one of a run's entries, as much as a record of its own would take.
    pub(super) bytes: usize,
}

/// What stands where a record should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoEntry {
    /// It goes on behind what was read: with its length and CRC it has this many bytes.
    Longer(usize),
    /// It is not whole.
    Invalid,
    /// A newer release wrote it.
    UnknownKind(u8),
}

/// How long the record at the beginning of `bytes` says it is, with length and CRC.
pub(super) fn record_bytes(bytes: &[u8]) -> Option<usize> {
    let length = u32_at(bytes, 0)? as usize;
    (length <= RECORD_BYTES_MAX).then_some(RECORD_PREFIX_BYTES + length)
}

/// Reads the record at the beginning of `bytes`.
pub(super) fn entry(checksum: Checksum, bytes: &[u8]) -> Result<Entry<'_>, NoEntry> {
    if bytes.len() < 4 {
        return Err(NoEntry::Longer(RECORD_PREFIX_BYTES));
    }
    let whole = record_bytes(bytes).ok_or(NoEntry::Invalid)?;
    let bytes = bytes.get(..whole).ok_or(NoEntry::Longer(whole))?;
    let crc = u32_at(bytes, 4).ok_or(NoEntry::Invalid)?;
    if checksum.of([&bytes[RECORD_PREFIX_BYTES..]]) != crc {
        return Err(NoEntry::Invalid);
    }
    fields(bytes).ok_or(NoEntry::Invalid)?
}

fn fields(bytes: &[u8]) -> Option<Result<Entry<'_>, NoEntry>> {
    let (position, at) = (u64_at(bytes, 8)?, u64_at(bytes, 16)?);
    let mut check = [0; 8];
    check[..5].copy_from_slice(bytes.get(24..29)?);
    let payload = match Payload::read(bytes.get(29..)?, KIND_RUN) {
        Ok(payload) => payload,
        Err(NoPayload::Invalid) => return None,
        Err(NoPayload::UnknownKind(kind)) => return Some(Err(NoEntry::UnknownKind(kind))),
    };
    let run = if payload.kind == KIND_RUN { Some(Run::read(position, bytes)?) } else { None };
    Some(Ok(Entry {
        position,
        at,
        check: run.map_or(Check::from_random(u64::from_le_bytes(check)), |run| run.seed.check(position)),
        id: payload.id,
        key: payload.key,
        payload,
        run,
        bytes: bytes.len(),
    }))
}

impl<'a> Entry<'a> {
    pub(super) fn topics(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.payload.topics()
    }

    /// How many entries its record has: more than one if it is the first of a run.
    pub(super) fn count(&self) -> u32 {
        self.run.map_or(1, |run| run.count)
    }

    /// The positions of the entries of its record.
    pub(super) fn positions(&self) -> Range<Position> {
        self.position..self.position.saturating_add(self.count().into())
    }

    /// The check of the last entry of its record.
    pub(super) fn last_check(&self) -> Check {
        self.run.map_or(self.check, |run| run.seed.check(self.position + Position::from(run.count) - 1))
    }

    /// The entry of its record at a position, which need not be the first.
    pub(super) fn standing_at(&self, position: Position) -> Option<Self> {
        self.positions().contains(&position).then(|| match self.run {
            Some(Run { seed, .. }) => {
                let check = seed.check(position);
                Self { position, check, run: None, bytes: PLACE_BYTES, ..self.clone() }
            }
            None => self.clone(),
        })
    }

    /// Copies out what it holds; `None` if a text in it is none that the hub would have let in.
    pub(super) fn content(&self) -> Option<Content> {
        self.payload.content()
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use fanfare_hub::Topic;
    use fanfare_wire::{Draft, Event, EventId};
    use proptest::prelude::*;

    use super::*;
    use crate::disk::run::Seed;
    use crate::disk::writer::GroupWriter;
    use crate::payload::HUB_ID_BYTES;

    const KEYED: Checksum = Checksum::keyed(0x1234_5678);

    fn submission(topics: &[&str], id: Option<&str>, private: bool, data: &str) -> Submission {
        let topics: Vec<_> = topics.iter().map(|text| Topic::parse(text).expect("a topic")).collect();
        let chosen_id = id.map(|id| EventId::parse(id).expect("an id"));
        let draft = Draft::new(&Event::new(data.to_owned()), HUB_ID_BYTES);
        Submission { topics: topics.into(), private, chosen_id, draft }
    }

    fn written(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut group = GroupWriter::begin(KEYED, Vec::new(), 41);
        for payload in payloads {
            group.push(1_000, Check::from_random(77), payload);
        }
        group.finish(40)
    }

    #[test]
    fn of_presence_only_the_place_is_stored() {
        let bytes = written(&[PLACE.to_vec()]);
        let read = entry(KEYED, &bytes[GROUP_HEADER_BYTES..]).expect("an entry");
        assert_eq!((read.position, read.check.bits(), read.bytes, read.count()), (41, 77, 35, 1));
        assert!(matches!(read.content(), Some(Content::Forgotten)));
    }

    #[test]
    fn each_entry_of_a_run_has_its_place_and_a_check_of_its_own() {
        let seed = Seed([9; 16]);
        let bytes = written(&[Run { count: 1_000_000, seed }.payload().to_vec()]);
        let read = entry(KEYED, &bytes[GROUP_HEADER_BYTES..]).expect("a record");
        assert_eq!((read.position, read.bytes, read.count()), (41, 55, 1_000_000));
        for position in [41, 42, 500_000, 1_000_040] {
            let entry = read.standing_at(position).expect("an entry");
            assert_eq!((entry.position, entry.at, entry.count()), (position, 1_000, 1));
            assert_eq!(entry.check, seed.check(position));
            assert!(matches!(entry.content(), Some(Content::Forgotten)));
        }
        assert_eq!(read.last_check(), seed.check(1_000_040));
        assert!(read.standing_at(40).is_none() && read.standing_at(1_000_041).is_none());
    }

    proptest! {
        #[test]
        fn an_entry_comes_back_as_it_was_stored(
            topics in prop::collection::vec("[a-z/]{1,40}", 1..5),
            id in prop::option::of("[a-z0-9]{1,60}"),
            key in prop::option::of("[!-~]{1,60}"),
            private: bool,
            data in ".{0,200}",
        ) {
            let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
            let stored = submission(&topics, id.as_deref(), private, &data);
            let key = key.map(IdempotencyKey::new);
            let bytes = written(&[payload(&stored, key.as_ref()).expect("short texts")]);
            let read = entry(KEYED, &bytes[GROUP_HEADER_BYTES..]).expect("an entry");
            prop_assert_eq!((read.position, read.at, read.check.bits()), (41, 1_000, 77));
            prop_assert_eq!(read.key, key.as_ref().map(IdempotencyKey::as_str));
            let back = read.payload.submission().expect("a publication");
            prop_assert_eq!(&*back.topics, &*stored.topics);
            prop_assert_eq!(&back.chosen_id, &stored.chosen_id);
            prop_assert_eq!(back.private, private);
            let id = EventId::from_static("7");
            prop_assert_eq!(back.draft.stamp(&id), stored.draft.stamp(&id));
        }

        /// Goal: a group is valid whole or not at all.
        /// Method: one of three entries, with one bit turned, or cut short.
        #[test]
        fn a_group_with_a_turned_bit_or_a_missing_end_is_none(bit in 0..2_000_usize, cut in 1..250_usize) {
            let payloads: Vec<_> = (0..3).map(|n| payload(&submission(&["a"], None, false, &format!("{n}")), None).expect("short texts")).collect();
            let whole = written(&payloads);
            prop_assert_eq!(group(KEYED, &whole).map(|group| (group.first, group.entries, group.bytes)), Some((41, 3, whole.len())));
            let mut turned = whole.clone();
            let bit = bit % (whole.len() * 8);
            turned[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(group(KEYED, &turned), None);
            prop_assert_eq!(group(KEYED, &whole[..whole.len() - cut.min(whole.len())]), None);
        }

        #[test]
        fn whatever_bytes_are_read_nothing_panics(bytes: Vec<u8>) {
            let _ = group(Checksum::PLAIN, &bytes);
            if let Ok(entry) = entry(Checksum::PLAIN, &bytes) {
                let _ = entry.payload.submission();
            }
        }

        /// Bytes with a right CRC and nonsense behind it, which random ones never are.
        #[test]
        fn an_entry_with_a_right_crc_may_hold_anything(body in prop::collection::vec(any::<u8>(), 0..120)) {
            let mut bytes = u32::try_from(body.len()).expect("short").to_le_bytes().to_vec();
            bytes.extend(crc32fast::hash(&body).to_le_bytes());
            bytes.extend(body);
            if let Ok(entry) = entry(Checksum::PLAIN, &bytes) {
                let _ = entry.payload.submission();
            }
        }
    }
}
