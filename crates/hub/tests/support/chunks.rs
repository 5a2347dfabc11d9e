//! Takes a body in chunks apart, as strictly as its writer has to be: no extension, no trailer, nothing behind the end.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::must_use_candidate, clippy::missing_panics_doc)]

/// How far a body was read.
#[derive(Debug, Default)]
pub struct Chunks {
    step: Step,
}

#[derive(Debug, Default)]
enum Step {
    /// In the line in front of a chunk, of which this was read.
    Size(String),
    /// So many bytes of a chunk are still to come.
    Data(usize),
    /// Behind a chunk; its end of line still lacks so many bytes.
    DataEnd(&'static [u8]),
    /// Behind the last chunk; the empty line still lacks so many bytes.
    Last(&'static [u8]),
    Ended,
    #[default]
    Begin,
}

impl Chunks {
    /// What the bytes carry. Panics where they are no such body.
    pub fn take_in(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some((&first, rest)) = bytes.split_first() {
            match &mut self.step {
                Step::Begin => self.step = Step::Size(String::new()),
                Step::Size(line) => {
                    line.push(char::from(first));
                    bytes = rest;
                    if let Some(digits) = line.strip_suffix("\r\n") {
                        let size = usize::from_str_radix(digits, 16);
                        let size = size.unwrap_or_else(|_| panic!("no size of a chunk: {digits:?}"));
                        self.step = if size == 0 { Step::Last(b"\r\n") } else { Step::Data(size) };
                    } else {
                        assert!(line.len() < 18, "no size of a chunk: {line:?}");
                    }
                }
                Step::Data(left) => {
                    let (data, behind) = bytes.split_at(bytes.len().min(*left));
                    out.extend_from_slice(data);
                    bytes = behind;
                    *left -= data.len();
                    if *left == 0 {
                        self.step = Step::DataEnd(b"\r\n");
                    }
                }
                Step::DataEnd(expected) | Step::Last(expected) => {
                    assert_eq!(first, expected[0], "behind a chunk");
                    *expected = &expected[1..];
                    bytes = rest;
                    if expected.is_empty() {
                        self.step = match self.step {
                            Step::Last(_) => Step::Ended,
                            _ => Step::Begin,
                        };
                    }
                }
                Step::Ended => panic!("{:?} behind the last chunk", String::from_utf8_lossy(bytes)),
            }
        }
        out
    }

    /// Whether the last chunk was read, and the line behind it.
    pub fn has_ended(&self) -> bool {
        matches!(self.step, Step::Ended)
    }
}
