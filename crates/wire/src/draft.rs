//! An encoded event that only lacks its `id` line.
//!
//! The id line stands first on the wire and is written last: its position is only known inside the
//! log's lock, everything else is encoded outside it.

use alloc::vec::Vec;
use bytes::Bytes;

use crate::{Event, EventId, Frame};

/// An event encoded but for its `id`, with room left for one in front.
#[derive(Clone, Debug)]
pub struct Draft {
    bytes: Vec<u8>,
    room: usize,
}

const ID_LINE: usize = "id: \n".len();

impl Draft {
    /// Encodes `event` without its id, leaving room for an id of up to `id_bytes_max` bytes.
    #[must_use]
    pub fn new(event: &Event, id_bytes_max: usize) -> Self {
        let room = id_bytes_max + ID_LINE;
        let mut bytes = Vec::with_capacity(room + 64);
        bytes.resize(room, 0);
        if let Some(comment) = &event.comment {
            lines(comment, |line| field(&mut bytes, b": ", line));
        }
        if let Some(name) = &event.event {
            field(&mut bytes, b"event: ", name.as_str().as_bytes());
        }
        if let Some(retry) = event.retry_ms {
            field(&mut bytes, b"retry: ", alloc::format!("{retry}").as_bytes());
        }
        if let Some(data) = &event.data {
            lines(data, |line| field(&mut bytes, b"data: ", line));
        }
        bytes.push(b'\n');
        Self { bytes, room }
    }

    /// Writes the id in front of the rest. One longer than the room left for it costs a copy.
    #[must_use]
    pub fn stamp(mut self, id: &EventId) -> Frame {
        let id = id.as_str().as_bytes();
        let need = id.len() + ID_LINE;
        if need > self.room {
            let mut bytes = alloc::vec![0; need];
            bytes.extend_from_slice(&self.bytes[self.room..]);
            self = Self { bytes, room: need };
        }
        let start = self.room - need;
        self.bytes[start..start + 4].copy_from_slice(b"id: ");
        self.bytes[start + 4..start + 4 + id.len()].copy_from_slice(id);
        self.bytes[self.room - 1] = b'\n';
        Frame::encoded(Bytes::from(self.bytes).slice(start..))
    }

    /// Completes the frame of an event that has no id.
    #[must_use]
    pub fn without_id(self) -> Frame {
        Frame::encoded(Bytes::from(self.bytes).slice(self.room..))
    }

    /// How many bytes the frame has so far, without an id.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        self.bytes.len() - self.room
    }
}

fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn lines(text: &str, mut each: impl FnMut(&[u8])) {
    let normal = text.replace("\r\n", "\n").replace('\r', "\n");
    normal.split('\n').for_each(|line| each(line.as_bytes()));
}
