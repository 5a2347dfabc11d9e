//! Complete encoded bytes, ready to write.

use bytes::Bytes;

/// An encoded event or comment, complete: what is written to a socket as it is.
///
/// Only the encoder makes frames, so a frame never holds half an event. Cheap to clone and share;
/// comparable with byte slices.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame(Bytes);

impl Frame {
    /// The keep-alive comment: `:` and LF, without a blank line after it, which some client libraries
    /// would report as an event.
    pub const KEEP_ALIVE: Self = Self(Bytes::from_static(b":\n"));

    pub(crate) fn encoded(bytes: Bytes) -> Self {
        Self(bytes)
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
