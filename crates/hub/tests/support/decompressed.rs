//! A client's decoder of a body in a coding: it is given bytes as they come, and gives what can be told from them.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::must_use_candidate, clippy::missing_panics_doc)]

#[cfg(feature = "zstd")]
use fanfare_wire::Dictionary;
use fanfare_wire::{Coding, Sum};

/// All that streams are compressed in; dcz with [`dictionary`].
pub const CODINGS: &[Coding] = &[
    #[cfg(feature = "gzip")]
    Coding::Gzip,
    #[cfg(feature = "zstd")]
    Coding::Zstd,
    #[cfg(feature = "zstd")]
    Coding::Dcz,
];

/// The one of tests. Its text is like what they publish.
#[cfg(feature = "zstd")]
pub fn dictionary() -> Dictionary {
    static DICTIONARY: std::sync::LazyLock<Dictionary> = std::sync::LazyLock::new(|| {
        let frames =
            (0..40).map(|n| format!("id: #1kV7Dm0c0Qy2n3T6wVbZs9A\ndata: {n}one two three 0 1 2 3 4\n\n"));
        Dictionary::new(frames.collect::<String>()).expect("a dictionary")
    });
    DICTIONARY.clone()
}

/// The hub with the [`dictionary`], where there may be one.
#[cfg(feature = "zstd")]
pub fn with_dictionary(builder: fanfare_hub::HubBuilder) -> fanfare_hub::HubBuilder {
    builder.compression_dictionary(dictionary())
}

/// The hub with the [`dictionary`], where there may be one.
#[cfg(not(feature = "zstd"))]
pub fn with_dictionary(builder: fanfare_hub::HubBuilder) -> fanfare_hub::HubBuilder {
    builder
}

/// What goes before the first frame and is not the coding's own to say.
pub fn head(coding: Coding) -> Vec<u8> {
    match coding {
        #[cfg(feature = "zstd")]
        Coding::Dcz => dictionary().head().to_vec(),
        _ => Vec::new(),
    }
}

pub struct Decompressed {
    coding: Coding,
    #[cfg(feature = "gzip")]
    inflate: flate2::Decompress,
    #[cfg(feature = "zstd")]
    zstd: zstd::stream::raw::Decoder<'static>,
    /// What has come of the coding's header, and of what is behind gzip's last block.
    around: Vec<u8>,
    pub sum: Sum,
    has_ended: bool,
}

impl Decompressed {
    pub fn of(coding: Coding) -> Self {
        Self {
            coding,
            #[cfg(feature = "gzip")]
            inflate: flate2::Decompress::new(false),
            #[cfg(feature = "zstd")]
            zstd: match coding {
                Coding::Dcz => zstd::stream::raw::Decoder::with_dictionary(dictionary().content()),
                _ => zstd::stream::raw::Decoder::new(),
            }
            .expect("a decoder"),
            around: Vec::new(),
            sum: Sum::default(),
            has_ended: false,
        }
    }

    pub fn take_in(&mut self, bytes: &[u8]) -> Vec<u8> {
        let said = match self.coding.name() {
            #[cfg(feature = "gzip")]
            Some("gzip") => self.inflate(bytes),
            #[cfg(feature = "zstd")]
            Some("zstd") => self.unzstd(bytes),
            #[cfg(feature = "zstd")]
            Some("dcz") => {
                let lacking = head(self.coding).len().saturating_sub(self.around.len());
                self.around.extend_from_slice(&bytes[..lacking.min(bytes.len())]);
                self.unzstd(bytes)
            }
            _ => bytes.to_vec(),
        };
        #[cfg(feature = "gzip")]
        self.sum.add(Sum::of(&said), &mut fanfare_wire::Shift::default());
        said
    }

    /// Whether the body may end here: with all that its coding asks for at the end.
    pub fn has_ended(&self) -> bool {
        if self.coding.name() != Some("gzip") {
            return self.around == head(self.coding);
        }
        let tail = self.around.get(self.coding.head().len()..).unwrap_or_default();
        let expected = [self.sum.crc().to_le_bytes(), self.sum.bytes().to_le_bytes()].concat();
        self.has_ended && tail == expected
    }

    #[cfg(feature = "gzip")]
    fn inflate(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let header = self.coding.head().len();
        let skipped = bytes.len().min(header.saturating_sub(self.around.len()));
        self.around.extend_from_slice(&bytes[..skipped]);
        bytes = &bytes[skipped..];
        let mut said = Vec::new();
        while !self.has_ended {
            said.reserve(4_096);
            let (read, wrote) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress_vec(bytes, &mut said, flate2::FlushDecompress::None);
            bytes = &bytes[usize::try_from(self.inflate.total_in() - read).expect("small")..];
            self.has_ended = status.expect("deflate") == flate2::Status::StreamEnd;
            if bytes.is_empty() && self.inflate.total_out() == wrote {
                break;
            }
        }
        self.around.extend_from_slice(bytes);
        said
    }

    #[cfg(feature = "zstd")]
    fn unzstd(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        use zstd::stream::raw::Operation;
        let (mut said, mut room) = (Vec::new(), vec![0; 4_096]);
        loop {
            let status = self.zstd.run_on_buffers(bytes, &mut room).expect("zstd");
            bytes = &bytes[status.bytes_read..];
            said.extend_from_slice(&room[..status.bytes_written]);
            if bytes.is_empty() && status.bytes_written < room.len() {
                return said;
            }
        }
    }
}
