//! Complete encoded bytes, ready to write.
//!
//! A frame never holds half an event, half a comment or a line that a caller wrote by hand: it is made
//! by the encoder of this crate alone.

#[cfg(any(feature = "gzip", feature = "zstd"))]
use alloc::boxed::Box;
#[cfg(any(feature = "gzip", feature = "zstd"))]
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::hash::{Hash, Hasher};
#[cfg(any(feature = "gzip", feature = "zstd"))]
use std::sync::OnceLock;

use crate::lines::lines;
use crate::{Coded, CodedForms, Coding, Sum};

/// An encoded event or comment, or several, complete: what is written to a socket as it is.
///
/// Only the encoder makes frames, so a frame never holds half an event. Cheap to clone and share;
/// comparable with byte slices.
#[derive(Clone, Debug)]
pub struct Frame {
    bytes: Bytes,
    /// Its coded forms, shared by all clones.
    #[cfg(any(feature = "gzip", feature = "zstd"))]
    forms: Option<Arc<Forms>>,
}

/// The coded forms of a frame, each made once.
#[cfg(any(feature = "gzip", feature = "zstd"))]
#[derive(Debug)]
struct Forms {
    /// On the heap: most are never made.
    made: [OnceLock<Box<Coded>>; Coding::COUNT - 1],
    all: Arc<CodedForms>,
}

impl Frame {
    /// The keep-alive comment: `:` and LF, without a blank line after it, which some client libraries
    /// would report as an event.
    pub const KEEP_ALIVE: Self = Self::of(Bytes::from_static(b":\n"));

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
        Self::of(bytes.into())
    }

    pub(crate) fn encoded(bytes: Bytes) -> Self {
        Self::of(bytes)
    }

    const fn of(bytes: Bytes) -> Self {
        Self {
            bytes,
            #[cfg(any(feature = "gzip", feature = "zstd"))]
            forms: None,
        }
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
        frames.into_iter().for_each(|frame| bytes.extend_from_slice(&frame.bytes));
        Self::of(bytes.into())
    }

    /// The bytes to write.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes to write, shared.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Has each coded form of it made only once, and shared by all clones from now on; what they take is counted in `all`.
    #[must_use]
    #[cfg_attr(not(any(feature = "gzip", feature = "zstd")), allow(unused_variables, clippy::unused_self))]
    pub fn kept_in(self, all: &alloc::sync::Arc<CodedForms>) -> Self {
        #[cfg(any(feature = "gzip", feature = "zstd"))]
        return Self { forms: Some(Arc::new(Forms { made: Default::default(), all: all.clone() })), ..self };
        #[cfg(not(any(feature = "gzip", feature = "zstd")))]
        self
    }

    /// The frame as it stands in a body of this coding: from `min_bytes` on compressed, where that makes it smaller. The same frame always
    /// gives the same bytes. One that is [kept](Self::kept_in) goes by the limit and the dictionary that were given there.
    ///
    /// Compressing takes some microseconds for each kilobyte, and a thread that does it keeps room for it, some 300 kB for gzip and about
    /// 1 MB for zstd.
    #[must_use]
    #[cfg_attr(not(any(feature = "gzip", feature = "zstd")), allow(unused_variables))]
    pub fn coded(&self, coding: Coding, min_bytes: usize) -> Coded {
        #[cfg(any(feature = "gzip", feature = "zstd"))]
        if coding != Coding::Identity {
            let Some(forms) = &self.forms else { return coding.code(&self.bytes, min_bytes) };
            let made = forms.made[coding.number() - 1].get_or_init(|| {
                let coded = forms.all.code(coding, &self.bytes);
                forms.all.add(coded.bytes.len());
                Box::new(coded)
            });
            return (**made).clone();
        }
        Coded { bytes: self.bytes.clone(), sum: Sum::default() }
    }

    /// What its coded forms take now, in bytes, if it is [kept](Self::kept_in).
    #[must_use]
    #[cfg_attr(not(any(feature = "gzip", feature = "zstd")), allow(clippy::unused_self))]
    pub fn coded_bytes(&self) -> usize {
        #[cfg(any(feature = "gzip", feature = "zstd"))]
        return self.forms.as_ref().map_or(0, |forms| forms.bytes());
        #[cfg(not(any(feature = "gzip", feature = "zstd")))]
        0
    }

    /// The frame as it stands in a body of this coding, if that costs nothing: because it is plain, or was [made](Self::coded) before.
    #[must_use]
    pub fn ready(&self, coding: Coding) -> Option<(&[u8], Sum)> {
        match coding {
            Coding::Identity => Some((&self.bytes, Sum::default())),
            #[cfg(any(feature = "gzip", feature = "zstd"))]
            coding => {
                let made = self.forms.as_ref()?.made[coding.number() - 1].get()?;
                Some((&made.bytes, made.sum))
            }
        }
    }
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
impl Forms {
    fn bytes(&self) -> usize {
        self.made.iter().filter_map(OnceLock::get).map(|coded| coded.bytes.len()).sum()
    }
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
impl Drop for Forms {
    fn drop(&mut self) {
        self.all.subtract(self.bytes());
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Frame {}

impl Hash for Frame {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
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
        &self.bytes
    }
}

impl From<Frame> for Bytes {
    fn from(frame: Frame) -> Self {
        frame.bytes
    }
}

impl PartialEq<[u8]> for Frame {
    fn eq(&self, other: &[u8]) -> bool {
        self.bytes == other
    }
}
impl PartialEq<&[u8]> for Frame {
    fn eq(&self, other: &&[u8]) -> bool {
        self.bytes == *other
    }
}
impl<const N: usize> PartialEq<[u8; N]> for Frame {
    fn eq(&self, other: &[u8; N]) -> bool {
        self.bytes == other[..]
    }
}
impl<const N: usize> PartialEq<&[u8; N]> for Frame {
    fn eq(&self, other: &&[u8; N]) -> bool {
        self.bytes == other[..]
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
