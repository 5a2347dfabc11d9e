//! The encoder: an event's bytes, all but the `id` line in front.
//!
//! It knows the exact length before it writes and allocates once. It never changes a field's text beyond
//! cutting it into lines, and nothing in a field can end the event.
//!
//! The id line stands first on the wire and is written last: its position is only known inside the
//! log's lock, everything else is encoded outside it, and field order carries no meaning.
//! First, because some clients commit the id of an event that breaks off in the middle.
//! Source: [WHATWG HTML § 9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation).

use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use memchr::memchr2;

use crate::frame::{comment_bytes, write_comment};
use crate::lines::lines;
use crate::{Event, EventId, Frame};

/// An event encoded but for its `id`, with room left for one in front.
///
/// ```
/// use fanfare_wire::{Draft, Event, EventId};
///
/// let draft = Draft::new(&Event::new("hi"), 20);
/// assert_eq!(draft.stamp(&EventId::from_static("7")), b"id: 7\ndata: hi\n\n");
/// ```
#[derive(Clone, Debug)]
pub struct Draft {
    /// INVARIANT: `room` bytes without meaning, then the frame.
    bytes: Vec<u8>,
    room: usize,
}

/// What an id line costs beside the id.
const ID_LINE: usize = "id: \n".len();

impl Draft {
    /// Encodes `event` without its id, leaving room for an id of up to `id_bytes_max` bytes.
    ///
    /// Costs one allocation of the frame's length and the room, and two passes over the data, three if it has line ends.
    #[inline]
    #[must_use]
    pub fn new(event: &Event, id_bytes_max: usize) -> Self {
        Self::with_room(event, id_bytes_max.saturating_add(ID_LINE))
    }

    /// Takes an encoded event as [`frame_without_id`](Self::frame_without_id) gave it, with room for an id of up to
    /// `id_bytes_max` bytes: for whoever stores drafts and reads them back.
    ///
    /// The bytes are taken as they are, so they must come from there: what is no frame is no frame afterwards either.
    ///
    /// ```
    /// use fanfare_wire::{Draft, Event, EventId};
    ///
    /// let stored = Draft::new(&Event::new("hi"), 20).frame_without_id().to_vec();
    /// let draft = Draft::from_frame(&stored, 20);
    /// assert_eq!(draft.stamp(&EventId::from_static("7")), b"id: 7\ndata: hi\n\n");
    /// ```
    #[must_use]
    pub fn from_frame(frame_without_id: &[u8], id_bytes_max: usize) -> Self {
        let room = id_bytes_max.saturating_add(ID_LINE);
        let mut bytes = Vec::with_capacity(room.saturating_add(frame_without_id.len()));
        bytes.resize(room, 0);
        bytes.extend_from_slice(frame_without_id);
        Self { bytes, room }
    }

    /// Encodes `event` without room for an id.
    #[inline]
    pub(crate) fn without_room(event: &Event) -> Self {
        Self::with_room(event, 0)
    }

    #[inline]
    fn with_room(event: &Event, room: usize) -> Self {
        let data = Data::of(event);
        let body = body_bytes(event, &data);
        let mut bytes = Vec::with_capacity(room.saturating_add(body));
        bytes.resize(room, 0);
        write_body(&mut bytes, event, &data);
        debug_assert_eq!(bytes.len() - room, body, "the length is known before the bytes are written");
        Self { bytes, room }
    }

    /// Writes the id in front of the rest. One longer than the room left for it costs a copy.
    #[inline]
    #[must_use]
    pub fn stamp(mut self, id: &EventId) -> Frame {
        let id = id.as_str().as_bytes();
        let need = id.len() + ID_LINE;
        if need > self.room {
            let mut bytes = Vec::with_capacity(need + self.frame_bytes());
            bytes.resize(need, 0);
            bytes.extend_from_slice(&self.bytes[self.room..]);
            self = Self { bytes, room: need };
        }
        let line = &mut self.bytes[self.room - need..self.room];
        line[..4].copy_from_slice(b"id: ");
        line[4..4 + id.len()].copy_from_slice(id);
        line[4 + id.len()] = b'\n';
        Self::frame(self.bytes, self.room - need)
    }

    /// Completes the frame of an event that has no id.
    #[inline]
    #[must_use]
    pub fn without_id(self) -> Frame {
        Self::frame(self.bytes, self.room)
    }

    /// The frame so far, without an id and without the room for one.
    #[inline]
    #[must_use]
    pub fn frame_without_id(&self) -> &[u8] {
        &self.bytes[self.room..]
    }

    /// How many bytes the frame has so far, without an id.
    #[inline]
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        self.bytes.len() - self.room
    }

    #[inline]
    fn frame(bytes: Vec<u8>, start: usize) -> Frame {
        let mut bytes = Bytes::from(bytes);
        // Not `slice`: it would make a second handle, and with that the shared count, in an allocation of its own.
        bytes.advance(start);
        Frame::encoded(bytes)
    }
}

/// How many bytes an event's frame has, with its id.
pub(crate) fn frame_bytes(event: &Event) -> usize {
    let id = event.event_id().map_or(0, |id| id.as_str().len() + ID_LINE);
    id + body_bytes(event, &Data::of(event))
}

/// An event's data, once it has been looked through.
enum Data<'a> {
    Missing,
    /// Most data has no line end, and is not searched for one again when it is written.
    OneLine(&'a [u8]),
    Lines {
        text: &'a [u8],
        /// How many bytes its fields have.
        bytes: usize,
    },
}

impl<'a> Data<'a> {
    #[inline]
    fn of(event: &'a Event) -> Self {
        let Some(data) = &event.data else { return Self::Missing };
        let text = data.as_bytes();
        if memchr2(b'\n', b'\r', text).is_none() {
            return Self::OneLine(text);
        }
        Self::Lines { text, bytes: lines(text).map(|line| DATA.len() + line.len() + 1).sum() }
    }

    #[inline]
    fn bytes(&self) -> usize {
        match self {
            Self::Missing => 0,
            Self::OneLine(text) => DATA.len() + text.len() + 1,
            Self::Lines { bytes, .. } => *bytes,
        }
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Missing => {}
            Self::OneLine(text) => write_field(out, DATA, text),
            Self::Lines { text, .. } => lines(text).for_each(|line| write_field(out, DATA, line)),
        }
    }
}

#[inline]
fn body_bytes(event: &Event, data: &Data<'_>) -> usize {
    let comment = event.comment.as_deref().map_or(0, comment_bytes);
    let name = event.name.as_ref().map_or(0, |name| "event: \n".len() + name.as_str().len());
    let retry = event.retry_ms.map_or(0, |ms| "retry: \n".len() + Digits::of(ms).as_bytes().len());
    comment + name + retry + data.bytes() + 1
}

const DATA: &[u8] = b"data: ";

#[inline]
fn write_body(out: &mut Vec<u8>, event: &Event, data: &Data<'_>) {
    if let Some(comment) = &event.comment {
        write_comment(out, comment);
    }
    if let Some(name) = &event.name {
        write_field(out, b"event: ", name.as_str().as_bytes());
    }
    if let Some(ms) = event.retry_ms {
        write_field(out, b"retry: ", Digits::of(ms).as_bytes());
    }
    data.write(out);
    out.push(b'\n');
}

#[inline]
fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// A number in decimal, without an allocation.
struct Digits {
    digits: [u8; 20],
    start: usize,
}

impl Digits {
    fn of(mut number: u64) -> Self {
        let mut this = Self { digits: [b'0'; 20], start: 20 };
        loop {
            this.start -= 1;
            this.digits[this.start] += (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return this;
            }
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::{Digits, Draft};
    use crate::{Event, EventId, EventName};
    use std::string::ToString;

    #[test]
    fn digits_are_those_of_the_standard_library() {
        for number in [0, 1, 9, 10, 99, 1_000, 3_600_000, u64::MAX - 1, u64::MAX] {
            assert_eq!(Digits::of(number).as_bytes(), number.to_string().as_bytes());
        }
    }

    #[test]
    fn an_id_is_stamped_whether_the_room_is_too_large_exact_or_too_small() {
        let id = EventId::from_static("1234");
        for room in [0, 1, 3, 4, 5, 100] {
            let draft = Draft::new(&Event::new("hi"), room);
            assert_eq!(draft.frame_bytes(), "data: hi\n\n".len());
            assert_eq!(draft.stamp(&id), b"id: 1234\ndata: hi\n\n");
        }
        assert_eq!(Draft::without_room(&Event::new("hi")).stamp(&id), b"id: 1234\ndata: hi\n\n");
    }

    #[test]
    fn a_draft_that_was_stored_stamps_the_same_frame() {
        let id = EventId::from_static("1234");
        let event = Event::new("one\ntwo").event(EventName::from_static("greeting"));
        for (room, other_room) in [(0, 0), (4, 4), (0, 30), (30, 3)] {
            let draft = Draft::new(&event, room);
            let stored = draft.frame_without_id();
            assert_eq!(stored, b"event: greeting\ndata: one\ndata: two\n\n");
            let again = Draft::from_frame(stored, other_room);
            assert_eq!(again.frame_without_id(), stored);
            assert_eq!(again.clone().without_id(), draft.clone().without_id());
            assert_eq!(again.stamp(&id), draft.stamp(&id));
        }
    }

    #[test]
    fn a_draft_without_an_id_leaves_no_trace_of_the_room() {
        assert_eq!(Draft::new(&Event::new("hi"), 40).without_id(), b"data: hi\n\n");
    }
}
