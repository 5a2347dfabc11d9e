//! Takes the chunks off a body: bytes in any cut go in, the body's own bytes come out.
//!
//! It keeps no body bytes. Trailer fields are skipped. Source: RFC 9112, section 7.1.

use std::fmt;

/// Longest chunk-size line and trailer line taken, in bytes.
const LINE_BYTES_MAX: usize = 4096;

/// Where in the body the last byte was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the size: digits so far.
    Size {
        digits: u8,
    },
    /// Behind the size, up to the line feed.
    Extension,
    /// In the chunk's data: this many bytes are left.
    Data,
    /// Behind the data: a carriage return must come, then a line feed.
    DataCr,
    DataLf,
    /// In the trailer: whether the line so far is empty.
    Trailer {
        empty: bool,
    },
    Done,
}

/// The body is not a chunked one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BrokenChunk;

impl fmt::Display for BrokenChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the chunked body is broken")
    }
}

impl std::error::Error for BrokenChunk {}

/// Reads one chunked body.
#[derive(Clone, Debug)]
pub(crate) struct ChunkReader {
    state: State,
    left: u64,
    line_bytes: usize,
}

impl ChunkReader {
    pub(crate) fn new() -> Self {
        Self { state: State::Size { digits: 0 }, left: 0, line_bytes: 0 }
    }

    /// Whether the last chunk and the trailer have been read.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::Done
    }

    /// Reads from `input`, hands body bytes to `on_body`, and returns how much of `input` belongs to this body.
    pub(crate) fn push(
        &mut self,
        input: &[u8],
        mut on_body: impl FnMut(&[u8]),
    ) -> Result<usize, BrokenChunk> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if self.state == State::Data {
                let rest = &input[at..];
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                on_body(&rest[..take]);
                at += take;
                self.left -= take as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
            } else {
                self.state = self.step(input[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    /// One byte outside the data.
    fn step(&mut self, byte: u8) -> Result<State, BrokenChunk> {
        self.line_bytes += 1;
        if self.line_bytes > LINE_BYTES_MAX {
            return Err(BrokenChunk);
        }
        Ok(match (self.state, byte) {
            (State::Size { digits }, byte) if byte.is_ascii_hexdigit() && digits < 16 => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                self.left = (self.left << 4) | u64::from(digit);
                State::Size { digits: digits + 1 }
            }
            (State::Size { digits: 1.. } | State::Extension, b'\n') => {
                self.line_bytes = 0;
                if self.left == 0 { State::Trailer { empty: true } } else { State::Data }
            }
            (State::Size { digits: 1.. }, b'\r' | b';' | b' ' | b'\t') | (State::Extension, _) => {
                State::Extension
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => {
                self.line_bytes = 0;
                State::Size { digits: 0 }
            }
            (State::Trailer { empty: true }, b'\n') => State::Done,
            (State::Trailer { empty: false }, b'\n') => {
                self.line_bytes = 0;
                State::Trailer { empty: true }
            }
            (State::Trailer { empty }, b'\r') => State::Trailer { empty },
            (State::Trailer { .. }, _) => State::Trailer { empty: false },
            _ => return Err(BrokenChunk),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BODY: &[u8] =
        b"5\r\nhello\r\n1;name=value\r\n \r\n00A\r\nworld\r\n\n!!\r\n1c\r\nabcdefghijklmnopqrstuvwxyz01\r\n\
        0\r\nTrailer: x\r\n\r\nnext";
    const MEANS: &[u8] = b"hello world\r\n\n!!abcdefghijklmnopqrstuvwxyz01";

    fn read(pieces: &[&[u8]]) -> (Vec<u8>, usize, bool) {
        let mut reader = ChunkReader::new();
        let mut body = Vec::new();
        let mut taken = 0;
        for piece in pieces {
            taken += reader.push(piece, |bytes| body.extend_from_slice(bytes)).unwrap();
        }
        (body, taken, reader.is_complete())
    }

    /// Goal: where the network cuts the bytes must not matter.
    /// Method: the whole body in one piece, in two cut at every byte, and byte by byte.
    #[test]
    fn a_cut_at_any_byte_changes_nothing() {
        let expected = (MEANS.to_vec(), BODY.len() - 4, true);
        assert_eq!(read(&[BODY]), expected);
        for cut in 0..BODY.len() {
            assert_eq!(read(&[&BODY[..cut], &BODY[cut..]]), expected, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = BODY.chunks(1).collect();
        assert_eq!(read(&bytes), expected);
    }

    #[test]
    fn a_body_that_is_not_chunked_is_refused() {
        for broken in
            [&b"\r\n"[..], b"g\r\n", b"5\r\nhelloX", b"5\r\nhello\rX", b"-1\r\n", b"11111111111111111\r\n"]
        {
            assert_eq!(ChunkReader::new().push(broken, |_| ()), Err(BrokenChunk), "{broken:?}");
        }
        let endless = [b"0;".to_vec(), vec![b'x'; 5000]].concat();
        assert_eq!(ChunkReader::new().push(&endless, |_| ()), Err(BrokenChunk));
    }
}
