//! What stands around each frame on a connection: nothing, or what makes it a chunk of an HTTP/1.1 response.
//!
//! Chunks tell a client where a frame ends, so that one that fills buffers of its own hands it on at once, and that a body which
//! breaks off has not ended. One frame is one chunk: so it stands in a batch for everybody, and a place in a frame is a place
//! in its chunk. Source: [RFC 9112, section 7.1](https://www.rfc-editor.org/rfc/rfc9112#section-7.1).

use std::io::Write;

use fanfare_wire::{Coding, Frame, Shift, Sum};

/// How frames follow each other on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// One behind the other; the body ends with the connection.
    #[default]
    Bare,
    /// Each as a chunk of its own; the body ends with the last chunk, an empty one.
    Chunked,
}

/// What a body looks like on a connection: its frames in a coding, and what stands around each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// How frames follow each other.
    pub framing: Framing,
    /// What they are compressed in.
    pub coding: Coding,
}

/// The longest line in front of a chunk: sixteen digits and the end of the line.
const SIZE_LINE_BYTES_MAX: usize = 18;

impl Framing {
    /// Appends a frame as it stands on the connection; of no bytes, nothing.
    ///
    /// ```
    /// use fanfare_hub::Framing;
    ///
    /// let mut body = Vec::new();
    /// Framing::Chunked.put(b"data: hi\n\n", &mut body);
    /// assert_eq!(body, b"a\r\ndata: hi\n\n\r\n");
    /// ```
    pub fn put(self, frame: &[u8], out: &mut Vec<u8>) {
        self.put_part(frame, 0, usize::MAX, out);
    }

    /// What the body ends with.
    #[must_use]
    pub const fn end(self) -> &'static [u8] {
        match self {
            Self::Bare => b"",
            Self::Chunked => b"0\r\n\r\n",
        }
    }

    /// Appends what stands for a frame from its byte `from` on, at most `most` bytes; gives whether that was all the rest.
    pub(crate) fn put_part(self, frame: &[u8], mut from: usize, mut most: usize, out: &mut Vec<u8>) -> bool {
        let mut line = [0; SIZE_LINE_BYTES_MAX];
        let parts: [&[u8]; 3] = match self {
            Self::Bare => [b"", frame, b""],
            // An empty chunk would end the body.
            Self::Chunked if frame.is_empty() => return true,
            Self::Chunked => [size_line(frame.len(), &mut line), frame, b"\r\n"],
        };
        for part in parts {
            let rest = &part[from.min(part.len())..];
            let taken = &rest[..rest.len().min(most)];
            out.extend_from_slice(taken);
            if taken.len() < rest.len() {
                return false;
            }
            from = from.saturating_sub(part.len());
            most -= taken.len();
        }
        true
    }
}

impl From<Framing> for Form {
    fn from(framing: Framing) -> Self {
        Self { framing, coding: Coding::Identity }
    }
}

impl Form {
    pub(crate) const COUNT: usize = 2 * Coding::COUNT;

    /// A small number of its own, for tables.
    pub(crate) fn number(self) -> usize {
        self.framing as usize * Coding::COUNT + self.coding.number()
    }

    /// Appends what goes before the first frame; of `Coding::Dcz` that is its dictionary's to say (`Dictionary::head`), and nothing here.
    pub fn begin(self, out: &mut Vec<u8>) {
        self.framing.put(self.coding.head(), out);
    }

    /// Appends a frame, and adds it to the sum of those before. One that is not [kept](Frame::kept_in) is not compressed: such are short, and
    /// sent to one client alone.
    pub fn put(self, frame: &Frame, sum: &mut Sum, out: &mut Vec<u8>) {
        let coded = frame.coded(self.coding, usize::MAX);
        sum.add(coded.sum, &mut Shift::default());
        self.framing.put(&coded.bytes, out);
    }

    /// Appends what the body ends with, behind frames of this sum.
    ///
    /// ```
    /// use fanfare_hub::{Form, Framing};
    /// use fanfare_wire::{Event, Sum};
    ///
    /// let (form, mut sum, mut body) = (Form::from(Framing::Chunked), Sum::default(), Vec::new());
    /// form.begin(&mut body);
    /// form.put(&Event::new("hi").to_frame(), &mut sum, &mut body);
    /// form.end(sum, &mut body);
    /// assert_eq!(body, b"a\r\ndata: hi\n\n\r\n0\r\n\r\n");
    /// ```
    pub fn end(self, sum: Sum, out: &mut Vec<u8>) {
        self.framing.put(&self.coding.end(sum), out);
        out.extend_from_slice(self.framing.end());
    }
}

fn size_line(bytes: usize, line: &mut [u8; SIZE_LINE_BYTES_MAX]) -> &[u8] {
    let mut room = &mut line[..];
    // There is room for every number.
    let _ = write!(room, "{bytes:x}\r\n");
    let left = room.len();
    &line[..SIZE_LINE_BYTES_MAX - left]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_tells_its_size_in_hexadecimal_and_no_frame_is_no_chunk() {
        let mut out = Vec::new();
        Framing::Chunked.put(&[b'x'; 300], &mut out);
        assert_eq!(out, [b"12c\r\n", &[b'x'; 300][..], b"\r\n"].concat());
        out.clear();
        Framing::Chunked.put(b"", &mut out);
        Framing::Bare.put(b"ab", &mut out);
        assert_eq!(out, b"ab");
        assert_eq!(
            size_line(usize::MAX, &mut [0; SIZE_LINE_BYTES_MAX]),
            format!("{:x}\r\n", usize::MAX).as_bytes()
        );
    }

    #[test]
    fn parts_of_any_size_put_together_are_the_whole() {
        for framing in [Framing::Bare, Framing::Chunked] {
            let frame = b"data: something\n\n";
            let mut whole = Vec::new();
            framing.put(frame, &mut whole);
            for most in 1..=whole.len() + 1 {
                let mut parts = Vec::new();
                while !framing.put_part(frame, parts.len(), most, &mut parts) {}
                assert_eq!(parts, whole, "{framing:?} by {most}");
            }
        }
    }
}
