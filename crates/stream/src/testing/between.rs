//! What lies between a server and its client: something that holds bytes back, or cuts whoever is quiet.
//!
//! A model, and a coarse one: it knows neither HTTP nor the network. What the real proxies do, [`Between::nginx`] says with its source.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Response};
use http_body::Body;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::BoxError;

/// A proxy, or whatever else stands between a server and its client.
///
/// ```
/// # use std::time::Duration;
/// use fanfare_stream::{KeepAlive, Sse, testing::{Between, Heard, Reader}};
/// use fanfare_wire::Event;
/// # use futures_util::stream;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let quiet = || Sse::new(stream::pending::<Event>()).keep_alive(KeepAlive::off());
/// let mut reader = Reader::behind(Between::nginx(), quiet().response());
/// assert!(matches!(reader.next().await, Heard::Broken(_)), "nginx has cut it");
///
/// let kept = quiet().keep_alive(KeepAlive::default());
/// let mut reader = Reader::behind(Between::nginx(), kept.response());
/// reader.nothing_for(Duration::from_secs(3_600)).await;
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Between {
    holds_bytes: usize,
    asks_the_head: bool,
    idle_timeout: Option<Duration>,
}

impl Between {
    /// Nothing: what is sent arrives.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// nginx as it comes: it hands on what fills a buffer of 8 KiB, unless the head says `X-Accel-Buffering: no`, and cuts a
    /// connection after 60 s of silence. So it is with HTTP/1.0, its default before
    /// version 1.29.7; what comes in chunks of HTTP/1.1 it hands on sooner.
    ///
    /// Source: `proxy_buffering`, `proxy_buffer_size` and `proxy_read_timeout` of
    /// [ngx_http_proxy_module](https://nginx.org/en/docs/http/ngx_http_proxy_module.html).
    #[must_use]
    pub fn nginx() -> Self {
        Self { asks_the_head: true, ..Self::buffer(8 * 1024).idle_timeout(Duration::from_secs(60)) }
    }

    /// A buffer that is handed on when it holds `bytes`, or at the end, whatever the head says.
    #[must_use]
    pub fn buffer(bytes: usize) -> Self {
        Self { holds_bytes: bytes, ..Self::default() }
    }

    /// Cuts a connection on which the server has sent nothing for `timeout`.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    /// What it is for a response with this head.
    pub(super) fn under(mut self, headers: &HeaderMap) -> Self {
        let says_no = headers
            .get("x-accel-buffering")
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"no"));
        if self.asks_the_head && says_no {
            self.holds_bytes = 0;
        }
        self
    }
}

/// The way from a body to its reader.
pub(super) struct Way {
    /// `None` when it is over: a server lets go of a body then.
    body: Option<Pin<Box<dyn Pieces>>>,
    between: Between,
    /// What the one between holds back.
    held: BytesMut,
    failed: Option<BoxError>,
    /// When the server has been silent for too long.
    idle: Option<Pin<Box<Sleep>>>,
    /// After how many bytes more the connection is lost.
    left: Option<usize>,
    /// For how long the reader takes one byte.
    byte_takes: Duration,
    /// What it is taking.
    taken: Option<(Bytes, Pin<Box<Sleep>>)>,
}

impl Way {
    pub(super) fn from<B>(body: B, between: Between) -> Self
    where
        B: Body<Error: Into<BoxError>> + Send + 'static,
    {
        Self {
            body: Some(Box::pin(body)),
            between,
            held: BytesMut::new(),
            failed: None,
            idle: None,
            left: None,
            byte_takes: Duration::ZERO,
            taken: None,
        }
    }

    pub(super) fn from_response<B>(between: Between, response: Response<B>) -> Self
    where
        B: Body<Error: Into<BoxError>> + Send + 'static,
    {
        let (head, body) = response.into_parts();
        Self::from(body, between.under(&head.headers))
    }

    pub(super) fn slow_down(&mut self, bytes_per_second: u32) {
        self.byte_takes = Duration::from_secs(1) / bytes_per_second.max(1);
    }

    /// As slow as another one.
    pub(super) fn as_slow_as(&mut self, other: &Self) {
        self.byte_takes = other.byte_takes;
    }

    pub(super) fn lost_after(mut self, bytes: usize) -> Self {
        self.left = Some(bytes);
        self
    }

    /// Lets go of the body, as a server does when its client is gone.
    pub(super) fn cut(&mut self) {
        self.body = None;
        self.held.clear();
        self.failed = None;
        self.taken = None;
    }

    /// What arrives next; `None` at the end.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        if self.left == Some(0) {
            return Poll::Ready(Some(Err("the connection was lost".into())));
        }
        let mut polled = ready!(self.poll_taken(cx));
        if let (Some(Ok(piece)), Some(left)) = (&mut polled, &mut self.left) {
            piece.truncate(*left);
            *left -= piece.len();
        }
        Poll::Ready(polled)
    }

    /// What arrives next at the reader's own speed.
    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        if self.taken.is_none() {
            let piece = match ready!(self.poll_handed_on(cx)) {
                Some(Ok(piece)) if !self.byte_takes.is_zero() => piece,
                other => return Poll::Ready(other),
            };
            let bytes = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            let there = Instant::now() + self.byte_takes.saturating_mul(bytes);
            self.taken = Some((piece, Box::pin(sleep_until(there))));
        }
        if let Some((_, there)) = &mut self.taken {
            ready!(there.as_mut().poll(cx));
        }
        Poll::Ready(self.taken.take().map(|(piece, _)| Ok(piece)))
    }

    /// What the one between hands on next.
    fn poll_handed_on(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        loop {
            let Some(body) = &mut self.body else {
                // Held back until now; only then comes what ended it.
                let rest = self.held.split().freeze();
                let rest = if rest.is_empty() { self.failed.take().map(Err) } else { Some(Ok(rest)) };
                return Poll::Ready(rest);
            };
            match body.as_mut().poll_piece(cx) {
                Poll::Ready(Some(Ok(piece))) => {
                    self.idle = None;
                    if self.held.is_empty() && piece.len() >= self.between.holds_bytes {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                    self.held.extend_from_slice(&piece);
                    if self.held.len() >= self.between.holds_bytes {
                        return Poll::Ready(Some(Ok(self.held.split().freeze())));
                    }
                }
                Poll::Ready(end) => {
                    self.failed = end.and_then(Result::err);
                    self.body = None;
                }
                Poll::Pending => {
                    let Some(timeout) = self.between.idle_timeout else { return Poll::Pending };
                    let idle =
                        self.idle.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + timeout)));
                    ready!(idle.as_mut().poll(cx));
                    self.failed = Some(
                        format!("nothing was sent for {timeout:?}, and the proxy has cut the connection")
                            .into(),
                    );
                    self.body = None;
                }
            }
        }
    }
}

/// A body, whatever it is made of.
trait Pieces: Send {
    fn poll_piece(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>>;
}

impl<B: Body<Error: Into<BoxError>> + Send> Pieces for B {
    fn poll_piece(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        loop {
            match ready!(self.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers say nothing to a page.
                    if let Ok(mut data) = frame.into_data() {
                        let bytes = data.remaining();
                        return Poll::Ready(Some(Ok(data.copy_to_bytes(bytes))));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            }
        }
    }
}
