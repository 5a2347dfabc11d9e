//! The coding of one stream's body: what is put before its first frame and behind its last, and the sum that the end tells.
//!
//! It keeps no bytes: frames are coded one by one, so none waits for another. Which coding it is was decided [elsewhere](crate::AcceptEncoding).

use bytes::{Bytes, BytesMut};
#[cfg(feature = "zstd")]
use fanfare_wire::Dictionary;
use fanfare_wire::{COMPRESSED_FROM_BYTES, Coding, Frame, Shift, Sum};
use http::header::{CONTENT_ENCODING, VARY};
use http::{HeaderMap, HeaderValue};

use crate::AcceptEncoding;

#[derive(Default)]
pub(crate) struct Compressed {
    coding: Coding,
    /// From what size on a frame is compressed, in bytes.
    min_bytes: usize,
    /// What its frames may refer to.
    #[cfg(feature = "zstd")]
    dictionary: Option<Dictionary>,
    /// Whether the head says that the response depends on what its client takes.
    is_negotiated: bool,
    has_begun: bool,
    has_ended: bool,
    sum: Sum,
    shift: Shift,
}

impl Compressed {
    pub(crate) fn by(coding: Coding, min_bytes: usize) -> Self {
        // Without a dictionary the body could not begin.
        #[cfg(feature = "zstd")]
        let coding = if coding == Coding::Dcz { Coding::Identity } else { coding };
        Self { coding, min_bytes, is_negotiated: true, ..Self::default() }
    }

    /// In the coding that a client likes best, of those that compress.
    pub(crate) fn for_client(accepted: &AcceptEncoding) -> Self {
        Self::by(accepted.preferred(Coding::COMPRESSING), COMPRESSED_FROM_BYTES)
    }

    #[cfg(feature = "zstd")]
    pub(crate) fn with(dictionary: Dictionary, min_bytes: usize) -> Self {
        Self { coding: Coding::Dcz, dictionary: Some(dictionary), ..Self::by(Coding::Identity, min_bytes) }
    }

    #[cfg(feature = "zstd")]
    pub(crate) fn dictionary(&self) -> Option<&Dictionary> {
        self.dictionary.as_ref()
    }

    pub(crate) fn coding(&self) -> Coding {
        self.coding
    }

    pub(crate) fn min_bytes(&self) -> usize {
        self.min_bytes
    }

    pub(crate) fn is_negotiated(&self) -> bool {
        self.is_negotiated
    }

    /// Completes the head. A body that is in a coding already, as the head says, is left as it is.
    pub(crate) fn complete(&mut self, headers: &mut HeaderMap) {
        if self.is_negotiated {
            vary(headers);
        }
        if headers.contains_key(CONTENT_ENCODING) {
            *self = Self { is_negotiated: self.is_negotiated, ..Self::default() };
        } else if let Some(name) = self.coding.name() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
        }
    }

    /// A frame as it stands in the body, with what goes before if it is the first.
    pub(crate) fn code(&mut self, frame: Frame) -> Bytes {
        if self.coding == Coding::Identity {
            return frame.into_bytes();
        }
        let coded = frame.coded(self.coding, self.min_bytes);
        self.sum.add(coded.sum, &mut self.shift);
        let head = self.begin();
        if head.is_empty() { coded.bytes } else { [head, &coded.bytes].concat().into() }
    }

    fn begin(&mut self) -> &[u8] {
        if std::mem::replace(&mut self.has_begun, true) {
            return b"";
        }
        #[cfg(feature = "zstd")]
        if let Some(dictionary) = &self.dictionary {
            return dictionary.head();
        }
        self.coding.head()
    }

    /// Whether the body still lacks its end.
    pub(crate) fn owes_end(&self) -> bool {
        self.coding != Coding::Identity && !self.has_ended
    }

    /// What a body that ends in order ends with, behind what goes out with it; nothing the second time.
    pub(crate) fn end(&mut self, piece: Option<Bytes>) -> Option<Bytes> {
        if !self.owes_end() {
            return piece;
        }
        let mut last = BytesMut::from(piece.unwrap_or_default());
        last.extend_from_slice(self.begin());
        last.extend_from_slice(&self.coding.end(self.sum));
        self.has_ended = true;
        Some(last.freeze())
    }

    /// The body breaks off, and must not look as if it were whole.
    pub(crate) fn break_off(&mut self) {
        self.has_ended = true;
    }
}

/// Says that the response depends on `Accept-Encoding`, unless it does already.
fn vary(headers: &mut HeaderMap) {
    let names =
        headers.get_all(VARY).into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let is_said = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding");
    if !names.map(<[u8]>::trim_ascii).any(is_said) {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}
