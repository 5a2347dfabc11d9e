//! Reads HTTP/1.1 responses: head, then a body that is chunked, of a known length, or ends with the connection.
//!
//! Sans-IO: bytes in any cut go in, body bytes come out. It follows no redirects and undoes no content coding.
//! Source: RFC 9112, section 6.3.

use super::chunked::{BrokenChunk, ChunkReader};
use std::fmt;

/// Longest response head taken, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Why a response could not be read.
#[derive(Debug)]
pub(crate) enum ResponseError {
    Head(httparse::Error),
    HeadTooLong,
    Length,
    Chunk(BrokenChunk),
    /// The connection ended before the response did.
    CutShort,
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => write!(f, "the response head is broken: {error}"),
            Self::HeadTooLong => write!(f, "the response head is longer than {HEAD_BYTES_MAX} bytes"),
            Self::Length => f.write_str("the Content-Length is no number"),
            Self::Chunk(error) => error.fmt(f),
            Self::CutShort => f.write_str("the connection ended in the middle of a response"),
        }
    }
}

impl std::error::Error for ResponseError {}

#[derive(Debug)]
enum Body {
    Chunked(ChunkReader),
    Length(u64),
    UntilClose,
}

#[derive(Debug)]
enum State {
    Head(Vec<u8>),
    Body(Body),
    Done,
}

/// Reads one response after the other from one connection; call [`reset`](Self::reset) between them.
#[derive(Debug)]
pub(crate) struct ResponseReader {
    state: State,
    status: Option<u16>,
}

impl ResponseReader {
    pub(crate) fn new() -> Self {
        Self { state: State::Head(Vec::new()), status: None }
    }

    /// The status, once the head has been read.
    pub(crate) fn status(&self) -> Option<u16> {
        self.status
    }

    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Makes ready for the next response on the same connection.
    pub(crate) fn reset(&mut self) {
        *self = Self::new();
    }

    /// Reads from `input`, hands body bytes to `on_body`, and returns how much of `input` belongs to this response.
    pub(crate) fn push(
        &mut self,
        input: &[u8],
        mut on_body: impl FnMut(&[u8]),
    ) -> Result<usize, ResponseError> {
        let mut at = 0;
        if let State::Head(head) = &mut self.state {
            let before = head.len();
            head.extend_from_slice(input);
            let Some((head_bytes, status, body)) = parse_head(head)? else { return Ok(input.len()) };
            at = head_bytes - before;
            if status < 200 {
                // An interim response: the real one follows.
                self.reset();
                return Ok(at + self.push(&input[at..], on_body)?);
            }
            self.status = Some(status);
            self.state = match body {
                Body::Length(0) => State::Done,
                body => State::Body(body),
            };
        }
        let rest = &input[at..];
        if let State::Body(body) = &mut self.state {
            let complete = match body {
                Body::Chunked(reader) => {
                    at += reader.push(rest, on_body).map_err(ResponseError::Chunk)?;
                    reader.is_complete()
                }
                Body::Length(left) => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    on_body(&rest[..take]);
                    at += take;
                    *left -= take as u64;
                    *left == 0
                }
                Body::UntilClose => {
                    on_body(rest);
                    at += rest.len();
                    false
                }
            };
            if complete {
                self.state = State::Done;
            }
        }
        Ok(at)
    }

    /// The connection has ended: is the response whole?
    pub(crate) fn end(&self) -> Result<(), ResponseError> {
        match self.state {
            State::Done | State::Body(Body::UntilClose) => Ok(()),
            _ => Err(ResponseError::CutShort),
        }
    }
}

/// The head's length, the status and how the body is framed; `None` while the head is unfinished.
fn parse_head(head: &[u8]) -> Result<Option<(usize, u16, Body)>, ResponseError> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let head_bytes = match response.parse(head).map_err(ResponseError::Head)? {
        httparse::Status::Complete(bytes) => bytes,
        httparse::Status::Partial if head.len() > HEAD_BYTES_MAX => return Err(ResponseError::HeadTooLong),
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.unwrap_or(0);
    if status == 204 || status == 304 {
        return Ok(Some((head_bytes, status, Body::Length(0))));
    }
    let mut body = Body::UntilClose;
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            body = Body::Chunked(ChunkReader::new());
            break;
        }
        if header.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(header.value).map_err(|_| ResponseError::Length)?;
            body = Body::Length(text.trim().parse().map_err(|_| ResponseError::Length)?);
        }
    }
    Ok(Some((head_bytes, status, body)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(pieces: &[&[u8]]) -> (Vec<u8>, Option<u16>, bool, bool) {
        let mut reader = ResponseReader::new();
        let mut body = Vec::new();
        for piece in pieces {
            reader.push(piece, |bytes| body.extend_from_slice(bytes)).unwrap();
        }
        (body, reader.status(), reader.is_complete(), reader.end().is_ok())
    }

    fn check(response: &[u8], body: &[u8], status: u16, complete: bool, clean_end: bool) {
        for cut in 0..=response.len() {
            assert_eq!(
                read(&[&response[..cut], &response[cut..]]),
                (body.to_vec(), Some(status), complete, clean_end),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_chunked_body_ends_with_its_last_chunk() {
        let response = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
        check(response, b"hi", 200, true, true);
        check(&response[..response.len() - 5], b"hi", 200, false, false);
    }

    #[test]
    fn a_body_of_known_length_ends_with_its_last_byte() {
        check(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nhi", b"hi", 401, true, true);
        check(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", b"hi", 200, false, false);
        check(b"HTTP/1.1 204 None\r\n\r\n", b"", 204, true, true);
    }

    #[test]
    fn a_body_without_framing_ends_with_the_connection() {
        check(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ndata: x\n\n", b"data: x\n\n", 200, false, true);
    }

    #[test]
    fn an_interim_response_is_passed_over() {
        check(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
            b"x",
            200,
            true,
            true,
        );
    }

    #[test]
    fn two_responses_on_one_connection_are_told_apart() {
        let first = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx";
        let both = [&first[..], b"HTTP/1.1 204 None\r\n\r\n"].concat();
        let mut reader = ResponseReader::new();
        let taken = reader.push(&both, |_| ()).unwrap();
        assert_eq!(taken, first.len());
        reader.reset();
        assert_eq!(reader.push(&both[taken..], |_| ()).unwrap(), both.len() - taken);
        assert_eq!(reader.status(), Some(204));
    }
}
