//! The data of a published event: who published it, which one it is, when it was sent, and filling up to a size.
//!
//! All of it is unreserved in URLs (hexadecimal digits, letters, full stops), so that a form needs no escapes and a
//! frame has one data line. It reads no clock: times are handed in.

/// Length of the stamp: three hexadecimal numbers, each followed by a full stop.
pub(crate) const STAMP_BYTES: usize = 4 + 1 + 16 + 1 + 16 + 1;

/// What a subscriber learns from one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Index of the publisher, from 0.
    pub(crate) publisher: u16,
    /// The publisher's own count, from 0 without holes.
    pub(crate) sequence: u64,
    /// Nanoseconds since the generator's origin at which it was sent, or should have been (at a fixed rate).
    pub(crate) sent_ns: u64,
}

/// Writes and reads data of one size, or of several in turn.
#[derive(Clone, Debug)]
pub(crate) struct Payloads {
    /// That of the largest.
    fill: Vec<u8>,
    /// How much of it there is, by the publication's number.
    fills: Vec<usize>,
}

impl Payloads {
    /// Data of `data_bytes` bytes; less than [`STAMP_BYTES`] is raised to it.
    pub(crate) fn new(data_bytes: usize) -> Self {
        Self::of_sizes(&[data_bytes])
    }

    /// Data of these sizes, one after the other.
    pub(crate) fn of_sizes(sizes: &[usize]) -> Self {
        let fills: Vec<usize> = sizes.iter().map(|size| size.saturating_sub(STAMP_BYTES)).collect();
        let largest = fills.iter().copied().max().unwrap_or(0);
        Self { fill: (b'a'..=b'z').cycle().take(largest).collect(), fills }
    }

    /// Length of a publication's data in bytes.
    pub(crate) fn data_bytes(&self, sequence: u64) -> usize {
        STAMP_BYTES + self.fill(sequence).len()
    }

    fn fill(&self, sequence: u64) -> &[u8] {
        let sizes = self.fills.len().max(1) as u64;
        let place = usize::try_from(sequence % sizes).unwrap_or(0);
        &self.fill[..self.fills.get(place).copied().unwrap_or(0)]
    }

    /// Appends the data of `stamp` to `out`.
    pub(crate) fn write(&self, stamp: Stamp, out: &mut Vec<u8>) {
        push_hex(u64::from(stamp.publisher), 4, out);
        push_hex(stamp.sequence, 16, out);
        push_hex(stamp.sent_ns, 16, out);
        out.extend_from_slice(self.fill(stamp.sequence));
    }

    /// Reads the stamp back, or `None` if any byte, filling included, is not what [`write`](Self::write) wrote.
    pub(crate) fn read(&self, data: &[u8]) -> Option<Stamp> {
        let (stamp, fill) = data.split_at_checked(STAMP_BYTES)?;
        let publisher = u16::try_from(hex(&stamp[..5])?).ok()?;
        let sequence = hex(&stamp[5..22])?;
        if fill != self.fill(sequence) {
            return None;
        }
        let sent_ns = hex(&stamp[22..])?;
        Some(Stamp { publisher, sequence, sent_ns })
    }
}

fn push_hex(number: u64, digits: u32, out: &mut Vec<u8>) {
    for place in (0..digits).rev() {
        let digit = (number >> (4 * place)) & 0xf;
        // `digit` is below 16, so the index exists.
        out.push(b"0123456789abcdef"[usize::try_from(digit).unwrap_or(0)]);
    }
    out.push(b'.');
}

/// Reads hexadecimal digits that end with a full stop.
fn hex(field: &[u8]) -> Option<u64> {
    let (&dot, digits) = field.split_last()?;
    if dot != b'.' {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some((number << 4) | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const STAMP: Stamp = Stamp { publisher: 0xbeef, sequence: 42, sent_ns: u64::MAX };

    fn written(data_bytes: usize) -> (Payloads, Vec<u8>) {
        let payloads = Payloads::new(data_bytes);
        let mut data = Vec::new();
        payloads.write(STAMP, &mut data);
        (payloads, data)
    }

    #[test]
    fn what_is_written_is_read_back_at_every_size() {
        for size in [0, STAMP_BYTES, 100, 1024] {
            let (payloads, data) = written(size);
            assert_eq!(data.len(), size.max(STAMP_BYTES));
            assert_eq!(data.len(), payloads.data_bytes(STAMP.sequence));
            assert_eq!(payloads.read(&data), Some(STAMP));
        }
    }

    #[test]
    fn sizes_come_in_turn_and_each_is_held_against_its_own() {
        let payloads = Payloads::of_sizes(&[100, 39, 500]);
        for (sequence, size) in [(0, 100), (1, 39), (2, 500), (3, 100)] {
            let stamp = Stamp { sequence, ..STAMP };
            let mut data = Vec::new();
            payloads.write(stamp, &mut data);
            assert_eq!((data.len(), payloads.data_bytes(sequence)), (size, size));
            assert_eq!(payloads.read(&data), Some(stamp));
            data.push(b'a');
            assert_eq!(payloads.read(&data), None);
        }
    }

    #[test]
    fn a_changed_byte_anywhere_is_never_the_same_event() {
        let (payloads, data) = written(100);
        for place in 0..data.len() {
            let mut changed = data.clone();
            changed[place] ^= 1;
            assert_ne!(payloads.read(&changed), Some(STAMP), "byte {place}");
        }
        assert_eq!(payloads.read(&data[..99]), None);
        assert_eq!(payloads.read(b""), None);
    }
}
