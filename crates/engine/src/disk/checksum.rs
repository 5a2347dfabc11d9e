//! The CRCs of groups and entries, which from format 2 on nobody can make who does not know the log's secret.
//!
//! It is no proof against whoever can read or write the files: it tells what the log wrote from what a publisher put into an event.

use crc32fast::Hasher;

/// What the CRCs of a segment begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checksum(u32);

impl Checksum {
    /// The plain CRC, as in a segment of format 1.
    pub(super) const PLAIN: Self = Self(0);

    /// The lower 32 bits of `secret` count.
    pub(super) const fn keyed(secret: u64) -> Self {
        Self((secret & 0xFFFF_FFFF) as u32)
    }

    pub(super) fn of<const N: usize>(self, parts: [&[u8]; N]) -> u32 {
        let mut crc = Hasher::new_with_initial(self.0);
        for part in parts {
            crc.update(part);
        }
        crc.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyed_crc_is_that_of_bytes_behind_others_and_tells_a_plain_one_apart() {
        let before = crc32fast::hash(b"secret");
        let keyed = Checksum::keyed(u64::from(before) | 7 << 32);
        assert_eq!(keyed.of([b"so", b"me"]), crc32fast::hash(b"secretsome"));
        assert_eq!(Checksum::PLAIN.of([b"some"]), crc32fast::hash(b"some"));
        assert_ne!(keyed.of([b"some"]), Checksum::PLAIN.of([b"some"]));
    }
}
