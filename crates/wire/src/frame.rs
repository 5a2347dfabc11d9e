//! Complete encoded bytes, ready to write.
//!
//! A frame never holds half an event, half a comment or a line that a caller wrote by hand: it is made
//! by the encoder of this crate alone.

use alloc::vec::Vec;
use bytes::Bytes;

use crate::lines::lines;

/// An encoded event or comment, or several, complete: what is written to a socket as it is.
///
/// Only the encoder makes frames, so a frame never holds half an event. Cheap to clone and share;
/// comparable with byte slices.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame(Bytes);

impl Frame {
    /// The keep-alive comment: `:` and LF, without a blank line after it, which some client libraries
    /// would report as an event.
    pub const KEEP_ALIVE: Self = Self(Bytes::from_static(b":\n"));

    /// Encodes a comment alone, each of its lines as `: text`, an empty one as a lone `:`.
    ///
    /// No blank line follows, so between two events a comment is nothing but activity to a client.
    ///
    /// ```
    /// use fanfare_wire::Frame;
    ///
    /// assert_eq!(Frame::comment("hello\n\nyou"), b": hello\n:\n: you\n");
    /// assert_eq!(Frame::comment(""), Frame::KEEP_ALIVE);
    /// ```
    #[must_use]
    pub fn comment(text: &str) -> Self {
        let mut bytes = Vec::with_capacity(comment_bytes(text));
        write_comment(&mut bytes, text);
        Self(bytes.into())
    }

    pub(crate) fn encoded(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Puts frames one behind the other, as one that is written whole.
    ///
    /// ```
    /// use fanfare_wire::{Event, Frame};
    ///
    /// let both = Frame::join([Event::new("a").to_frame(), Event::new("b").to_frame()]);
    /// assert_eq!(both, b"data: a\n\ndata: b\n\n");
    /// ```
    #[must_use]
    pub fn join(frames: impl IntoIterator<Item = Self>) -> Self {
        let mut bytes = Vec::new();
        frames.into_iter().for_each(|frame| bytes.extend_from_slice(&frame.0));
        Self(bytes.into())
    }

    /// The bytes to write.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes to write, shared.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// How many bytes [`write_comment`] writes.
pub(crate) fn comment_bytes(text: &str) -> usize {
    lines(text.as_bytes())
        .map(|line| line.len() + if line.is_empty() { ":\n".len() } else { ": \n".len() })
        .sum()
}

/// Writes `text` as comment lines.
pub(crate) fn write_comment(out: &mut Vec<u8>, text: &str) {
    for line in lines(text.as_bytes()) {
        out.extend_from_slice(if line.is_empty() { b":" } else { b": " });
        out.extend_from_slice(line);
        out.push(b'\n');
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Frame> for Bytes {
    fn from(frame: Frame) -> Self {
        frame.0
    }
}

impl PartialEq<[u8]> for Frame {
    fn eq(&self, other: &[u8]) -> bool {
        self.0 == other
    }
}
impl PartialEq<&[u8]> for Frame {
    fn eq(&self, other: &&[u8]) -> bool {
        self.0 == *other
    }
}
impl<const N: usize> PartialEq<[u8; N]> for Frame {
    fn eq(&self, other: &[u8; N]) -> bool {
        self.0 == other[..]
    }
}
impl<const N: usize> PartialEq<&[u8; N]> for Frame {
    fn eq(&self, other: &&[u8; N]) -> bool {
        self.0 == other[..]
    }
}

#[cfg(test)]
mod tests {
    use super::Frame;

    fn check(text: &str, expected: &str) {
        assert_eq!(Frame::comment(text), expected.as_bytes(), "{text:?}");
        assert_eq!(super::comment_bytes(text), expected.len(), "{text:?}");
    }

    #[test]
    fn each_line_of_a_comment_is_a_comment_line() {
        check("", ":\n");
        check("a", ": a\n");
        check(" a", ":  a\n");
        check("a\rb\r\nc\n", ": a\n: b\n: c\n:\n");
        check("a\n\ndata: forged\n\n", ": a\n:\n: data: forged\n:\n:\n");
    }
}
