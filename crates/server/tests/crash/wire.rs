//! As much of HTTP as a publisher and a subscriber need, on a blocking socket.
//!
//! It never judges an answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::chunks::Chunks;
use crate::stage::Stage;

/// The head of an answer.
pub(crate) struct AnswerHead {
    pub(crate) status: u16,
    lines: String,
}

impl AnswerHead {
    /// The value of a header, by its name in lower case.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let fields = self.lines.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut of_name = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        of_name.next().map(|(_, value)| value.trim())
    }

    pub(crate) fn content_length(&self) -> Option<usize> {
        self.value("content-length").and_then(|length| length.parse().ok())
    }
}

/// A socket with what was read ahead.
pub(crate) struct Connection<'s> {
    stage: &'s Stage,
    socket: TcpStream,
    ahead: Vec<u8>,
    /// What takes the body apart, if it comes in chunks.
    chunks: Option<Chunks>,
}

impl<'s> Connection<'s> {
    pub(crate) fn new(stage: &'s Stage, socket: TcpStream) -> Self {
        Self { stage, socket, ahead: Vec::new(), chunks: None }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Reads to the end of a head.
    pub(crate) fn head(&mut self) -> io::Result<AnswerHead> {
        let end = loop {
            if let Some(end) = self.ahead.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            self.read_more()?;
        };
        let lines = String::from_utf8(self.ahead.drain(..end).collect()).map_err(|_| invalid())?;
        let status = lines.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(invalid)?;
        Ok(AnswerHead { status, lines })
    }

    /// Reads a body of so many bytes.
    pub(crate) fn body(&mut self, bytes: usize) -> io::Result<String> {
        while self.ahead.len() < bytes {
            self.read_more()?;
        }
        String::from_utf8(self.ahead.drain(..bytes).collect()).map_err(|_| invalid())
    }

    /// Takes the body apart that follows, which comes in chunks.
    pub(crate) fn chunks(&mut self) {
        let chunks = self.chunks.insert(Chunks::default());
        self.ahead = chunks.take_in(&self.ahead);
    }

    /// Some bytes of a body without end, at most `most`; none at the end, or when nothing came for a while.
    ///
    /// # Errors
    /// `WouldBlock` or `TimedOut` for the latter.
    pub(crate) fn some(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; most];
        while self.ahead.is_empty() {
            let read = match self.socket.read(&mut bytes)? {
                0 => break,
                count => &bytes[..count],
            };
            match &mut self.chunks {
                Some(chunks) => self.ahead = chunks.take_in(read),
                None => self.ahead.extend_from_slice(read),
            }
        }
        Ok(std::mem::take(&mut self.ahead))
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4_096];
        loop {
            match self.socket.read(&mut bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.ahead.extend_from_slice(&bytes[..count]);
                    return Ok(());
                }
                Err(error) if is_pause(&error) && !self.stage.is_out_of_patience() => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether nothing has come so far.
pub(crate) fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn invalid() -> io::Error {
    ErrorKind::InvalidData.into()
}
