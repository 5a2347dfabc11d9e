//! Gives the refusals that hyper makes by itself a sentence.
//!
//! A head that hyper cannot read never reaches a handler: hyper answers 400, 414 or 431 with an empty body. This wrapper
//! adds what was wrong. It looks at the first bytes that are written before any handler was called, which can be nothing
//! else, and never at an answer of ours.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection whose first answer may be one of hyper's own.
pub(crate) struct Worded<IO> {
    io: IO,
    /// Whether a handler was called: from then on every answer is ours.
    spoken: Arc<AtomicBool>,
    /// The answer that goes out in place of hyper's, and how much of it has.
    answer: Option<(Vec<u8>, usize)>,
}

impl<IO> Worded<IO> {
    pub(crate) fn new(io: IO, spoken: Arc<AtomicBool>) -> Self {
        Self { io, spoken, answer: None }
    }
}

/// The whole answer for a bare refusal of hyper's; `None` for anything else.
fn word(head: &[u8]) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(head).ok()?;
    let (status_line, fields) = head.strip_suffix("\r\n\r\n")?.split_once("\r\n")?;
    let status = status_line.strip_prefix("HTTP/1.1 ").or_else(|| status_line.strip_prefix("HTTP/1.0 "))?;
    let sentence = match status.get(..3)? {
        "400" => "The head of the request is not well-formed HTTP.\n",
        "414" => "The URL is longer than this server takes.\n",
        "431" => "The head of the request is larger, or has more fields, than this server takes.\n",
        _ => return None,
    };
    let kept =
        fields.split("\r\n").filter(|field| !field.to_ascii_lowercase().starts_with("content-length:"));
    let length = format!("content-length: {}", sentence.len());
    let content = ["content-type: text/plain; charset=utf-8", &length, "", sentence];
    let lines: Vec<&str> = std::iter::once(status_line).chain(kept).chain(content).collect();
    Some(lines.join("\r\n").into_bytes())
}

impl<IO: AsyncWrite + Unpin> Worded<IO> {
    /// Writes the worded answer; ready when all of it has been taken, as if the `claimed` bytes had been.
    fn poll_worded(&mut self, cx: &mut Context<'_>, claimed: usize) -> Poll<io::Result<usize>> {
        while let Some((answer, taken)) = &mut self.answer {
            if *taken == answer.len() {
                self.answer = None;
                break;
            }
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &answer[*taken..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *taken += written;
        }
        Poll::Ready(Ok(claimed))
    }

    fn begins_with_a_refusal(&mut self, bytes: &[u8]) -> bool {
        if self.answer.is_none() && !self.spoken.load(Ordering::Relaxed) {
            self.answer = word(bytes).map(|answer| (answer, 0));
        }
        self.answer.is_some()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Worded<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Worded<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.begins_with_a_refusal(bytes) {
            return self.poll_worded(cx, bytes.len());
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // hyper's refusal is one slice with nothing behind it.
        if let [first] = slices
            && self.begins_with_a_refusal(first)
        {
            return self.poll_worded(cx, first.len());
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const BARE: &[u8] =
        b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: today\r\n\r\n";

    async fn written(spoken: bool, bytes: &[u8]) -> String {
        // A pipe of a few bytes: the answer goes out in many pieces.
        let (ours, mut theirs) = duplex(7);
        let mut ours = Worded::new(ours, Arc::new(AtomicBool::new(spoken)));
        let bytes = bytes.to_vec();
        let writing = tokio::spawn(async move { ours.write_all(&bytes).await });
        let mut all = String::new();
        theirs.read_to_string(&mut all).await.expect("what was written");
        writing.await.expect("no panic").expect("written");
        all
    }

    #[tokio::test]
    async fn a_bare_refusal_gets_a_sentence_of_the_length_it_says() {
        let answer = written(false, BARE).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.starts_with("HTTP/1.1 431 ") && head.contains("connection: close\r\ndate: today\r\n"),
            "{head}"
        );
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        assert!(body.starts_with("The head of the request is larger"), "{body}");
    }

    #[tokio::test]
    async fn what_a_handler_answers_is_left_as_it_is() {
        assert_eq!(written(true, BARE).await.as_bytes(), BARE);
    }

    #[tokio::test]
    async fn other_first_bytes_pass_unchanged() {
        for bytes in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"\x00\x00\x12\x04", b"HTTP/1.1 100 Continue\r\n\r\n"]
        {
            assert_eq!(written(false, bytes).await.as_bytes(), bytes);
        }
    }
}
