//! [`Dictionary`]: what small frames have in common, known to both sides before the first of them.
//!
//! It is the one of a [`Coding::Dcz`](crate::Coding::Dcz), and knows what that needs: what a body begins with, and what compresses.
//! How clients come by it is not known here. Source: [RFC 9842](https://www.rfc-editor.org/rfc/rfc9842), sections 2 and 5.

use alloc::sync::Arc;
use core::fmt;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use zstd::dict::EncoderDictionary;

/// Better than where there is no dictionary: by a tenth for events of some hundred bytes, which still takes only 5 µs for each.
const LEVEL: i32 = 6;
/// What a body begins with, before the dictionary's hash: a frame that decoders of zstd skip, and how long it is.
const MAGIC: [u8; 8] = [0x5e, 0x2a, 0x4d, 0x18, 0x20, 0, 0, 0];
/// What dictionaries in zstd's own format begin with.
const ZSTD_MAGIC: [u8; 4] = 0xec30_a437_u32.to_le_bytes();

/// Bytes that frames in [`Coding::Dcz`](crate::Coding::Dcz) refer to as if they stood before each of them: typical events.
///
/// Everybody may have it, and has to before anything can be read, so it must hold nothing secret. What is most like the events to come
/// belongs at its end. Cheap to clone; two are equal that have the same bytes.
///
/// ```
/// use std::sync::Arc;
/// use fanfare_wire::{CodedForms, Coding, Dictionary, Event};
///
/// let tick = |price: u32| Event::new(format!("{{\"symbol\":\"ACME\",\"price\":{price},\"currency\":\"EUR\"}}")).to_frame();
/// let dictionary = Dictionary::new(tick(100).into_bytes())?;
/// let forms = Arc::new(CodedForms::new(128).with_dictionary(dictionary));
/// let coded = tick(105).kept_in(&forms).coded(Coding::Dcz, 128);
/// assert!(coded.bytes.len() * 2 < tick(105).as_bytes().len());
/// # Ok::<(), fanfare_wire::DictionaryError>(())
/// ```
#[derive(Clone)]
pub struct Dictionary(Arc<Prepared>);

struct Prepared {
    content: Bytes,
    head: [u8; MAGIC.len() + Dictionary::SHA256_BYTES],
    compressing: EncoderDictionary<'static>,
}

impl Dictionary {
    /// How short one may be, in bytes. zstd passes over what is shorter.
    pub const BYTES_MIN: usize = 8;
    /// How long one may be, in bytes: 1 MiB. Each client fetches it before it gains anything, and 8 to 64 KiB is what small events need.
    pub const BYTES_MAX: usize = 1024 * 1024;
    const SHA256_BYTES: usize = 32;

    /// Takes these bytes as they are, which is what HTTP clients do. Makes it ready for compressing, in some milliseconds.
    ///
    /// # Errors
    ///
    /// It is too short or too long, or is in zstd's own format, which clients of HTTP do not read.
    pub fn new(content: impl Into<Bytes>) -> Result<Self, DictionaryError> {
        let content = content.into();
        let bytes = content.len();
        if bytes < Self::BYTES_MIN {
            return Err(DictionaryError::TooShort { bytes });
        }
        if bytes > Self::BYTES_MAX {
            return Err(DictionaryError::TooLong);
        }
        if content.starts_with(&ZSTD_MAGIC) {
            return Err(DictionaryError::InZstdFormat);
        }
        let mut head = [0; MAGIC.len() + Self::SHA256_BYTES];
        head[..MAGIC.len()].copy_from_slice(&MAGIC);
        head[MAGIC.len()..].copy_from_slice(&Sha256::digest(&content));
        let compressing = EncoderDictionary::copy(&content, LEVEL);
        Ok(Self(Arc::new(Prepared { content, head, compressing })))
    }

    /// Its bytes, as clients fetch them.
    #[must_use]
    pub fn content(&self) -> &Bytes {
        &self.0.content
    }

    /// What a client names it by.
    #[must_use]
    pub fn sha256(&self) -> &[u8] {
        &self.0.head[MAGIC.len()..]
    }

    /// What goes before the first frame of a body in [`Coding::Dcz`](crate::Coding::Dcz).
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.0.head
    }

    pub(crate) fn compressing(&self) -> &EncoderDictionary<'static> {
        &self.0.compressing
    }
}

impl PartialEq for Dictionary {
    fn eq(&self, other: &Self) -> bool {
        self.0.head == other.0.head
    }
}

impl Eq for Dictionary {}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dictionary").field("bytes", &self.content().len()).finish_non_exhaustive()
    }
}

/// Why bytes make no [`Dictionary`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DictionaryError {
    /// There are fewer than [`Dictionary::BYTES_MIN`].
    TooShort {
        /// How many there are.
        bytes: usize,
    },
    /// There are more than [`Dictionary::BYTES_MAX`].
    TooLong,
    /// It is what `zstd --train` writes.
    InZstdFormat,
}

impl fmt::Display for DictionaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { bytes } => {
                write!(f, "it has {bytes} bytes, and needs {} or more", Dictionary::BYTES_MIN)
            }
            Self::TooLong => write!(f, "it has more than {} bytes", Dictionary::BYTES_MAX),
            Self::InZstdFormat => f.write_str(
                "it is in zstd's own format, as zstd --train writes it, and clients of HTTP take it for mere bytes; use the sample of events itself",
            ),
        }
    }
}

impl core::error::Error for DictionaryError {}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn a_body_begins_with_what_the_dictionary_is_named_by() {
        let dictionary = Dictionary::new(&b"data: 12345"[..]).expect("a dictionary");
        assert_eq!(dictionary.head()[..8], *b"\x5e\x2a\x4d\x18\x20\0\0\0");
        assert_eq!(&dictionary.head()[8..], dictionary.sha256());
        // As `sha256sum` has it.
        assert_eq!(dictionary.sha256()[..4], [0x50, 0x6b, 0xc8, 0xe4]);
    }

    #[test]
    fn what_no_client_could_use_is_refused() {
        let check = |content: Vec<u8>, expected| assert_eq!(Dictionary::new(content).err(), expected);
        check(vec![b'x'; 7], Some(DictionaryError::TooShort { bytes: 7 }));
        check(vec![b'x'; 8], None);
        check(vec![b'x'; Dictionary::BYTES_MAX], None);
        check(vec![b'x'; Dictionary::BYTES_MAX + 1], Some(DictionaryError::TooLong));
        check([&ZSTD_MAGIC[..], &[0; 100]].concat(), Some(DictionaryError::InZstdFormat));
    }
}
