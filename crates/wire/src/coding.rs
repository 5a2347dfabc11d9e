//! [`Coding`]: how the bytes of a body are compressed, one frame by itself.
//!
//! Each frame is coded without a look at another: it can be shared by all who get it, arrives as soon as its bytes are there, and
//! nothing of one event can be told from the size of another. So a body in a coding is what goes [before](Coding::head) its first
//! frame, the [coded](crate::Frame::coded) frames, and what goes [behind](Coding::end) the last. It negotiates nothing and writes nowhere.
//!
//! - **gzip** ([RFC 1952](https://www.rfc-editor.org/rfc/rfc1952), [RFC 1951](https://www.rfc-editor.org/rfc/rfc1951)): one header, then
//!   blocks of deflate that refer to nothing before their own frame, an empty stored block behind each frame (some decoders, such as
//!   Go's, hand nothing on before), and at the end an empty last block, the CRC-32 and the length of all that was said.
//! - **zstd** ([RFC 8878](https://www.rfc-editor.org/rfc/rfc8878)): each frame is one of zstd's, and at the end there is an empty one.
//! - **dcz** ([RFC 9842](https://www.rfc-editor.org/rfc/rfc9842#section-5)): the same behind the hash of a `Dictionary`, which frames may refer to.

#[cfg(any(feature = "gzip", feature = "zstd"))]
use alloc::vec::Vec;
#[cfg(any(feature = "gzip", feature = "zstd"))]
use core::cell::RefCell;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;

#[cfg(feature = "zstd")]
use crate::Dictionary;
use crate::Sum;

/// How a body is coded. Which there are is a matter of features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Coding {
    /// As it is.
    #[default]
    Identity,
    /// gzip, with a feature of this name.
    #[cfg(feature = "gzip")]
    Gzip,
    /// zstd, with a feature of this name.
    #[cfg(feature = "zstd")]
    Zstd,
    /// zstd with a [`Dictionary`], with the feature `zstd`. It is that of the [forms](CodedForms::with_dictionary) that a frame is kept with;
    /// one that is kept with none is coded as in zstd, which a body in this coding may hold as well.
    #[cfg(feature = "zstd")]
    Dcz,
}

/// How many there are at most.
const CODINGS: usize = 4;

impl Coding {
    /// All that compress without anything that was agreed before, and were compiled in, those first that we prefer: gzip is what every client has, and in what its decoders do with
    /// one event by itself there are the fewest surprises.
    pub const COMPRESSING: &'static [Self] = &[
        #[cfg(feature = "gzip")]
        Self::Gzip,
        #[cfg(feature = "zstd")]
        Self::Zstd,
    ];

    /// How many numbers [`number`](Self::number) gives.
    pub const COUNT: usize = CODINGS;

    /// A small number of its own, for tables.
    #[must_use]
    pub const fn number(self) -> usize {
        match self {
            Self::Identity => 0,
            #[cfg(feature = "gzip")]
            Self::Gzip => 1,
            #[cfg(feature = "zstd")]
            Self::Zstd => 2,
            #[cfg(feature = "zstd")]
            Self::Dcz => 3,
        }
    }

    /// Its name in `Content-Encoding`; the body as it is has none.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            #[cfg(feature = "gzip")]
            Self::Gzip => Some("gzip"),
            #[cfg(feature = "zstd")]
            Self::Zstd => Some("zstd"),
            #[cfg(feature = "zstd")]
            Self::Dcz => Some("dcz"),
        }
    }

    /// What goes before the first frame. Of `Dcz` that is its dictionary's to say: `Dictionary::head`.
    #[must_use]
    pub const fn head(self) -> &'static [u8] {
        match self {
            Self::Identity => b"",
            // Deflate, no flags, no time, no extra, no system.
            #[cfg(feature = "gzip")]
            Self::Gzip => b"\x1f\x8b\x08\0\0\0\0\0\0\xff",
            #[cfg(feature = "zstd")]
            Self::Zstd | Self::Dcz => b"",
        }
    }

    /// What goes behind the last frame of a body that ends in order; `sum` is of all frames, as they were before they were coded.
    #[must_use]
    #[cfg_attr(not(feature = "gzip"), allow(unused_variables))]
    pub fn end(self, sum: Sum) -> Bytes {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip => {
                // A last block with nothing in it.
                let mut end = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                end[2..6].copy_from_slice(&sum.crc().to_le_bytes());
                end[6..].copy_from_slice(&sum.bytes().to_le_bytes());
                Bytes::copy_from_slice(&end)
            }
            // A frame of nothing, for no body at all would not be one of zstd.
            #[cfg(feature = "zstd")]
            Self::Zstd | Self::Dcz => Bytes::from_static(&[0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0]),
            Self::Identity => Bytes::new(),
        }
    }

    /// Codes a frame's bytes on their own; those of fewer than `min_bytes` are not compressed, only put in a form that says so.
    #[cfg(any(feature = "gzip", feature = "zstd"))]
    pub(crate) fn code(self, plain: &Bytes, min_bytes: usize) -> Coded {
        let compresses = plain.len() >= min_bytes;
        match self {
            Self::Identity => Coded { bytes: plain.clone(), sum: Sum::default() },
            #[cfg(feature = "gzip")]
            Self::Gzip => Coded { bytes: gzip::code(plain, compresses).into(), sum: Sum::of(plain) },
            #[cfg(feature = "zstd")]
            Self::Zstd | Self::Dcz => {
                Coded { bytes: zstandard::code(plain, compresses, None).into(), sum: Sum::default() }
            }
        }
    }
}

/// A frame in a [`Coding`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coded {
    /// What is written.
    pub bytes: Bytes,
    /// What the end of the body has to know; nothing where it has to know nothing.
    pub sum: Sum,
}

/// How the frames of a log are coded, and how many bytes their coded forms take together.
///
/// Each form is made when it is first wanted, and lives as long as the [frame](crate::Frame::kept_in), so whoever keeps frames within limits
/// has to look at this too.
#[derive(Debug)]
pub struct CodedForms {
    min_bytes: usize,
    #[cfg(feature = "zstd")]
    dictionary: Option<Dictionary>,
    bytes: AtomicUsize,
}

/// From what size on a frame is compressed by default, in bytes.
///
/// Below it the code saves about what it adds.
pub const COMPRESSED_FROM_BYTES: usize = 128;

impl CodedForms {
    /// Begins with none. Frames of fewer than `min_bytes` will not be compressed.
    #[must_use]
    pub fn new(min_bytes: usize) -> Self {
        Self {
            min_bytes,
            #[cfg(feature = "zstd")]
            dictionary: None,
            bytes: AtomicUsize::new(0),
        }
    }

    /// Has frames in [`Coding::Dcz`] refer to this dictionary, which their bodies have to begin with. As that pays sooner, they are compressed
    /// from a fourth of the size on.
    #[cfg(feature = "zstd")]
    #[must_use]
    pub fn with_dictionary(mut self, dictionary: impl Into<Option<Dictionary>>) -> Self {
        self.dictionary = dictionary.into();
        self
    }

    /// What frames in [`Coding::Dcz`] refer to.
    #[cfg(feature = "zstd")]
    #[must_use]
    pub fn dictionary(&self) -> Option<&Dictionary> {
        self.dictionary.as_ref()
    }

    /// Codes a frame that is kept with these.
    #[cfg(any(feature = "gzip", feature = "zstd"))]
    pub(crate) fn code(&self, coding: Coding, plain: &Bytes) -> Coded {
        #[cfg(feature = "zstd")]
        if let (Coding::Dcz, Some(dictionary)) = (coding, &self.dictionary) {
            let compresses = plain.len() >= self.min_bytes / 4;
            let bytes = zstandard::code(plain, compresses, Some(dictionary)).into();
            return Coded { bytes, sum: Sum::default() };
        }
        coding.code(plain, self.min_bytes)
    }

    /// How many bytes they take now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// From what size on a frame is compressed, in bytes.
    #[must_use]
    pub fn min_bytes(&self) -> usize {
        self.min_bytes
    }

    #[cfg(any(feature = "gzip", feature = "zstd"))]
    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    #[cfg(any(feature = "gzip", feature = "zstd"))]
    pub(crate) fn subtract(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }
}

#[cfg(feature = "gzip")]
mod gzip {
    use flate2::{Compress, Compression, FlushCompress};

    use super::{RefCell, Vec};

    /// Behind each frame: a stored block of no bytes.
    const MARK: [u8; 5] = [0, 0, 0, 0xff, 0xff];
    /// How many bytes a stored block has at most.
    const STORED_BYTES_MAX: usize = 0xffff;

    std::thread_local! {
        /// What compresses takes some 300 kB and is used again, each time as if it were new.
        static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::default(), false));
    }

    pub(super) fn code(plain: &[u8], compresses: bool) -> Vec<u8> {
        if plain.is_empty() {
            return Vec::new();
        }
        let stored = stored_bytes(plain.len());
        if compresses {
            let deflated = COMPRESS.with_borrow_mut(|compress| deflate(compress, plain, stored));
            if let Some(deflated) = deflated {
                return deflated;
            }
        }
        let mut out = Vec::with_capacity(stored);
        for block in plain.chunks(STORED_BYTES_MAX) {
            // It fits: that is how long a block is.
            let len = u16::try_from(block.len()).unwrap_or(u16::MAX);
            out.push(0);
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&(!len).to_le_bytes());
            out.extend_from_slice(block);
        }
        out.extend_from_slice(&MARK);
        out
    }

    fn stored_bytes(plain: usize) -> usize {
        plain + 5 * plain.div_ceil(STORED_BYTES_MAX) + MARK.len()
    }

    /// `None` unless it takes fewer than `stored` bytes.
    fn deflate(compress: &mut Compress, plain: &[u8], stored: usize) -> Option<Vec<u8>> {
        compress.reset();
        let mut out = Vec::with_capacity(stored);
        // It stops where there is no room, which is where it is no gain. The flush ends with the mark, on a whole byte.
        compress.compress_vec(plain, &mut out, FlushCompress::Full).ok()?;
        let is_all = compress.total_in() == plain.len() as u64 && out.len() < stored;
        out.shrink_to_fit();
        is_all.then_some(out)
    }
}

#[cfg(feature = "zstd")]
mod zstandard {
    use zstd::bulk::Compressor;

    use super::{Dictionary, RefCell, Vec};

    const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
    /// How many bytes a block has at most.
    const BLOCK_BYTES_MAX: usize = 128 * 1024;
    /// As good as gzip's usual one, and several times as fast.
    const LEVEL: i32 = 3;

    std::thread_local! {
        static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(Compressor::new(LEVEL).ok());
    }

    pub(super) fn code(plain: &[u8], compresses: bool, dictionary: Option<&Dictionary>) -> Vec<u8> {
        if plain.is_empty() {
            return Vec::new();
        }
        let raw = raw_bytes(plain.len());
        if compresses {
            let smaller = COMPRESSOR.with_borrow_mut(|compressor| {
                let compressor = compressor.as_mut()?;
                match dictionary {
                    Some(dictionary) => referring(compressor, plain, dictionary, raw),
                    None => compressor.compress(plain).ok(),
                }
            });
            if let Some(smaller) = smaller.filter(|smaller| smaller.len() < raw) {
                return smaller;
            }
        }
        let mut out = Vec::with_capacity(raw);
        out.extend_from_slice(&MAGIC);
        // A single segment, its size in one byte or two (less 256). Behind more a decoder would have to keep all of it, and those of HTTP keep 8 MiB
        // (RFC 9659): so it has a window of 128 KiB, which is more than what refers to nothing needs, and its size in four bytes.
        match u32::try_from(plain.len()).unwrap_or(u32::MAX) {
            len @ ..256 => out.extend_from_slice(&[0x20, len.to_le_bytes()[0]]),
            len @ 256..65_792 => {
                out.push(0x60);
                out.extend_from_slice(&(len - 256).to_le_bytes()[..2]);
            }
            len => {
                out.extend_from_slice(&[0x80, 0x38]);
                out.extend_from_slice(&len.to_le_bytes());
            }
        }
        let blocks = plain.len().div_ceil(BLOCK_BYTES_MAX);
        for (number, block) in plain.chunks(BLOCK_BYTES_MAX).enumerate() {
            let is_last = u32::from(number + 1 == blocks);
            let len = u32::try_from(block.len()).unwrap_or(0);
            out.extend_from_slice(&(is_last | len << 3).to_le_bytes()[..3]);
            out.extend_from_slice(block);
        }
        out
    }

    /// `None` unless it takes at most `room` bytes.
    fn referring(
        compressor: &mut Compressor<'static>,
        plain: &[u8],
        dictionary: &Dictionary,
        room: usize,
    ) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(room);
        let prepared = dictionary.compressing().as_cdict();
        compressor.context_mut().compress_using_cdict(&mut out, plain, prepared).ok()?;
        out.shrink_to_fit();
        Some(out)
    }

    fn raw_bytes(plain: usize) -> usize {
        let size = match plain {
            ..256 => 1,
            256..65_792 => 2,
            _ => 5,
        };
        MAGIC.len() + 1 + size + 3 * plain.div_ceil(BLOCK_BYTES_MAX) + plain
    }
}
