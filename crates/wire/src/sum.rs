//! [`Sum`]: CRC-32 and length of bytes, told for the whole from those of its parts.
//!
//! What ends a gzip body has to say both of all that was in it. A connection's body is put together of frames that others get too, so
//! each frame is summed up once, and a connection adds sums: a few dozen operations, whatever the bytes. It never looks at bytes
//! itself but in [`Sum::of`]. A CRC is a remainder of polynomials over GF(2), and that of a whole is the remainder of its first part,
//! moved up by the length of the second, and that of the second. Source: [RFC 1952, section 8](https://www.rfc-editor.org/rfc/rfc1952#section-8).

/// CRC-32 (IEEE 802.3) and length of some bytes; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    crc: u32,
    /// Modulo 2³², as gzip has it.
    bytes: u32,
}

/// How a CRC is moved up by a length, kept for the next who needs the same.
#[derive(Clone, Copy, Debug)]
pub struct Shift {
    bytes: u32,
    factor: u32,
}

impl Sum {
    /// Sums up bytes.
    #[cfg(feature = "gzip")]
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // Modulo 2³².
    pub fn of(bytes: &[u8]) -> Self {
        Self { crc: crc32fast::hash(bytes), bytes: bytes.len() as u32 }
    }

    /// The CRC-32.
    #[must_use]
    pub fn crc(&self) -> u32 {
        self.crc
    }

    /// The length in bytes, modulo 2³².
    #[must_use]
    pub fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Adds what stands behind. `shift` is whatever was used before; it is made anew if it is of another length.
    ///
    /// ```
    /// # #[cfg(feature = "gzip")] {
    /// use fanfare_wire::{Shift, Sum};
    ///
    /// let mut sum = Sum::of(b"data: a\n\n");
    /// sum.add(Sum::of(b"data: b\n\n"), &mut Shift::default());
    /// assert_eq!(sum, Sum::of(b"data: a\n\ndata: b\n\n"));
    /// # }
    /// ```
    pub fn add(&mut self, behind: Self, shift: &mut Shift) {
        self.add_between(Self::default(), behind, shift);
    }

    /// Adds what stands between two places of something else, given the sums of all that stands there before each.
    ///
    /// It costs the same however much that is.
    pub fn add_between(&mut self, from: Self, to: Self, shift: &mut Shift) {
        let bytes = to.bytes.wrapping_sub(from.bytes);
        if bytes == 0 {
            return;
        }
        // The part's own remainder is `to.crc` without `from.crc`, moved up; both are moved at once.
        self.crc = shift.by(bytes).move_up(self.crc ^ from.crc) ^ to.crc;
        self.bytes = self.bytes.wrapping_add(bytes);
    }
}

impl Default for Shift {
    fn default() -> Self {
        Self { bytes: 0, factor: ONE }
    }
}

impl Shift {
    fn by(&mut self, bytes: u32) -> Self {
        if self.bytes != bytes {
            let mut factor = ONE;
            for (bit, power) in POWERS.iter().enumerate() {
                if bytes >> bit & 1 == 1 {
                    factor = product(factor, *power);
                }
            }
            *self = Self { bytes, factor };
        }
        *self
    }

    fn move_up(self, crc: u32) -> u32 {
        product(self.factor, crc)
    }
}

/// The polynomial 1: the lowest power stands in the highest bit.
const ONE: u32 = 1 << 31;
/// What everything is a remainder by, without its highest power.
const POLYNOMIAL: u32 = 0xedb8_8320;
/// x to the powers 8, 16, 32, …: the factors for 1, 2, 4, … bytes.
const POWERS: [u32; 32] = powers();

const fn powers() -> [u32; 32] {
    let mut powers = [ONE >> 8; 32];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = product(powers[at - 1], powers[at - 1]);
        at += 1;
    }
    powers
}

const fn product(a: u32, mut b: u32) -> u32 {
    let (mut sum, mut rest) = (0, a);
    while rest != 0 {
        // All ones, or none: a branch would be guessed wrong half of the time.
        sum ^= b & 0_u32.wrapping_sub(rest >> 31);
        rest <<= 1;
        b = b >> 1 ^ POLYNOMIAL & 0_u32.wrapping_sub(b & 1);
    }
    sum
}

#[cfg(all(test, feature = "gzip"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Goal: the sum of parts is that of the whole, whatever the parts.
        #[test]
        fn parts_summed_up_are_the_whole(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20)) {
            let (mut sum, mut shift) = (Sum::default(), Shift::default());
            for part in &parts {
                sum.add(Sum::of(part), &mut shift);
            }
            prop_assert_eq!(sum, Sum::of(&parts.concat()));
        }

        #[test]
        fn what_stands_between_two_places_is_added_without_being_seen(
            before in proptest::collection::vec(any::<u8>(), 0..100),
            all in proptest::collection::vec(any::<u8>(), 0..1_000),
            from in 0..1_000_usize,
            to in 0..1_000_usize,
        ) {
            let (from, to) = (from.min(to).min(all.len()), from.max(to).min(all.len()));
            let mut sum = Sum::of(&before);
            sum.add_between(Sum::of(&all[..from]), Sum::of(&all[..to]), &mut Shift::default());
            prop_assert_eq!(sum, Sum::of(&[&before[..], &all[from..to]].concat()));
        }
    }

    #[test]
    fn a_sum_agrees_with_the_check_value_of_the_standard() {
        assert_eq!(Sum::of(b"123456789"), Sum { crc: 0xcbf4_3926, bytes: 9 });
    }
}
