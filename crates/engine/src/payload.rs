//! What an entry holds, as bytes and back: what is the same wherever a log lives.
//!
//! It knows no store: position, time and check stand in front of it, as each store lays down.

use fanfare_hub::engine::Content;
use fanfare_hub::{IdempotencyKey, Submission, Topic};
use fanfare_wire::{Draft, EventId};

pub(crate) const KIND_PUBLICATION: u8 = 0;
/// The kind of what tells of presence. A store that keeps no more of it than the place says so by no topic.
pub(crate) const KIND_PRESENCE: u8 = 1;
/// What stands where presence said something that is not kept: its kind, no flags, and no topics.
pub(crate) const PLACE: [u8; 6] = [KIND_PRESENCE, 0, 0, 0, 0, 0];
const PRIVATE: u8 = 1;
const HAS_ID: u8 = 2;
const HAS_KEY: u8 = 4;

/// How long an id of the hub's own is, for which room is left in front of a frame.
pub(crate) const HUB_ID_BYTES: usize = 24;

/// Writes a publication behind what `out` holds; `None` if a text in it is longer than the form has room for.
pub(crate) fn write(out: &mut Vec<u8>, submission: &Submission, key: Option<&IdempotencyKey>) -> Option<()> {
    let frame = submission.draft.frame_without_id();
    let topics = submission.topics.iter().map(|topic| 2 + topic.as_str().len()).sum::<usize>();
    let id = submission.chosen_id.as_ref().map_or(0, |id| 2 + id.as_str().len());
    let key_bytes = key.map_or(0, |key| 2 + key.as_str().len());
    out.reserve(6 + topics + id + key_bytes + frame.len());
    out.push(KIND_PUBLICATION);
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    out.push(
        flag(submission.private, PRIVATE)
            | flag(submission.chosen_id.is_some(), HAS_ID)
            | flag(key.is_some(), HAS_KEY),
    );
    // A topic has one byte at least, so there are fewer topics than bytes in the largest entry.
    out.extend_from_slice(&u32::try_from(submission.topics.len()).unwrap_or(u32::MAX).to_le_bytes());
    for topic in &*submission.topics {
        push_text(out, topic.as_str())?;
    }
    if let Some(id) = &submission.chosen_id {
        push_text(out, id.as_str())?;
    }
    if let Some(key) = key {
        push_text(out, key.as_str())?;
    }
    out.extend_from_slice(frame);
    Some(())
}

fn push_text(out: &mut Vec<u8>, text: &str) -> Option<()> {
    out.extend_from_slice(&u16::try_from(text.len()).ok()?.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    Some(())
}

/// What an entry holds, not yet copied out of what was read.
#[derive(Clone, Debug)]
pub(crate) struct Payload<'a> {
    pub(crate) kind: u8,
    private: bool,
    topics: Topics<'a>,
    pub(crate) id: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    frame: &'a [u8],
}

/// Why bytes are no payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPayload {
    /// They do not have its form.
    Invalid,
    /// A newer release wrote them.
    UnknownKind(u8),
}

impl<'a> Payload<'a> {
    /// Reads what [`write`] wrote, or what else has its form, in a store that has kinds up to `newest`.
    pub(crate) fn read(bytes: &'a [u8], newest: u8) -> Result<Self, NoPayload> {
        Self::fields(bytes, newest).ok_or(NoPayload::Invalid)?
    }

    fn fields(bytes: &'a [u8], newest: u8) -> Option<Result<Self, NoPayload>> {
        let (&kind, &flags) = (bytes.first()?, bytes.get(1)?);
        if kind > newest || flags & !(PRIVATE | HAS_ID | HAS_KEY) != 0 {
            return Some(Err(NoPayload::UnknownKind(kind)));
        }
        let count = u32::from_le_bytes(*bytes.get(2..)?.first_chunk()?);
        let mut rest = bytes.get(6..)?;
        let topics = Topics { rest, count };
        for _ in 0..count {
            take_text(&mut rest)?;
        }
        let id = if flags & HAS_ID == 0 { None } else { Some(take_text(&mut rest)?) };
        let key = if flags & HAS_KEY == 0 { None } else { Some(take_text(&mut rest)?) };
        Some(Ok(Self { kind, private: flags & PRIVATE != 0, topics, id, key, frame: rest }))
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.topics.clone()
    }

    /// Copies out what it holds; `None` if a text in it is none that the hub would have let in.
    pub(crate) fn content(&self) -> Option<Content> {
        match self.kind {
            KIND_PUBLICATION => self.submission().map(Content::Publication),
            KIND_PRESENCE if self.topics.count > 0 => self.submission().map(Content::Presence),
            _ => Some(Content::Forgotten),
        }
    }

    /// Copies the publication out; `None` if a text in it is none that the hub would have let in.
    pub(crate) fn submission(&self) -> Option<Submission> {
        let topics = self.topics().map(Topic::parse_stored).collect::<Result<Vec<_>, _>>().ok()?;
        let chosen_id = self.id.map(EventId::parse).transpose().ok()?;
        let room = self.id.map_or(HUB_ID_BYTES, str::len);
        Some(Submission {
            topics: topics.into(),
            private: self.private,
            chosen_id,
            draft: Draft::from_frame(self.frame, room),
        })
    }
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_le_bytes(*length));
    let text = std::str::from_utf8(rest.get(..length)?).ok()?;
    *bytes = &rest[length..];
    Some(text)
}

/// The topics of an entry.
#[derive(Clone, Debug)]
struct Topics<'a> {
    rest: &'a [u8],
    count: u32,
}

impl<'a> Iterator for Topics<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.count = self.count.checked_sub(1)?;
        take_text(&mut self.rest)
    }
}
