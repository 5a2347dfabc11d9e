//! [`Sse`]: a stream of events as a response body.
//!
//! It frames, keeps alive and ends; it holds no event back, keeps none, and never puts anything between the
//! bytes of a frame.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanfare_wire::Frame;
use futures_core::Stream;
use http::Response;
use http_body::{Body, SizeHint};

use crate::item::Frames;
#[cfg(feature = "tokio")]
use crate::timer::Timer;
use crate::{BoxError, IntoFrame, KeepAlive, head};

type BoxedFrames = Pin<Box<dyn Stream<Item = Result<Frame, BoxError>> + Send>>;

/// A response that is an event stream: body, head and keep-alive.
///
/// Made [of any stream](Self::new), or by [`channel`](crate::channel) for those who push. It is an
/// [`http_body::Body`], becomes an [`http::Response`], and an adapter's feature makes it a response of that
/// framework. The head needs no event to go out. When the client is gone the HTTP server drops the `Sse`, and
/// with it the stream it was made of.
///
/// The body is fused: after its end it stays ended, however often it is polled. The stream is dropped as
/// soon as it ends.
///
/// ```
/// use fanfare_stream::Sse;
/// use fanfare_wire::Event;
/// # use futures_util::stream;
///
/// let sse = Sse::new(stream::iter([Event::new("one"), Event::new("two")]));
/// let response = http::Response::from(sse);
/// assert_eq!(response.headers()["content-type"], "text/event-stream");
/// ```
pub struct Sse {
    /// `None` after the end.
    frames: Option<BoxedFrames>,
    opening: Option<Frame>,
    keep_alive: KeepAlive,
    on_error: Option<Box<dyn FnOnce(BoxError) + Send>>,
    until: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    #[cfg(feature = "tokio")]
    timer: Timer,
}

impl Sse {
    /// Makes a response of a stream of events, of frames, of whatever else is `Into<Frame>`, or of a `Result`
    /// of them.
    ///
    /// An error ends the stream; see [`on_error`](Self::on_error). The stream is put on the heap, so
    /// that `Sse` is a type that can be named, and two branches of a handler can return it.
    #[must_use]
    pub fn new<S, Form>(stream: S) -> Self
    where
        S: Stream<Item: IntoFrame<Form>> + Send + 'static,
        Form: 'static,
    {
        Self {
            frames: Some(Box::pin(Frames::of(stream))),
            opening: None,
            keep_alive: KeepAlive::default(),
            on_error: None,
            until: None,
            #[cfg(feature = "tokio")]
            timer: Timer::default(),
        }
    }

    /// Sets when and how a quiet stream is kept alive. Default: a comment line after 15 s without traffic.
    ///
    /// Everything the stream yields is traffic. The stream is asked first each time, so what it yields at
    /// the moment a keep-alive is due goes out instead of it.
    ///
    /// The timer is tokio's: without feature `tokio`, or polled outside a tokio runtime, none is sent.
    ///
    /// # Panics
    ///
    /// Polling panics in a tokio runtime that was built without `enable_time`, unless this is
    /// [`KeepAlive::off`].
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: KeepAlive) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// Sends `frame` at once, before anything of the stream.
    ///
    /// The head goes out by itself, but some hosts and proxies hold it back until the first byte of the body:
    /// `Frame::KEEP_ALIVE`, an invisible comment line, is that byte. A `retry` can travel here too.
    #[must_use]
    pub fn opening(mut self, frame: impl Into<Frame>) -> Self {
        self.opening = Some(frame.into());
        self
    }

    /// Hands the error that ends the stream to `report`, after which the response ends cleanly.
    ///
    /// Without it the error becomes the body's: the HTTP server sees it and breaks the response off, which
    /// with HTTP/1.1 closes the connection and with HTTP/2 resets the stream. A browser reconnects either way.
    #[must_use]
    pub fn on_error(mut self, report: impl FnOnce(BoxError) + Send + 'static) -> Self {
        self.on_error = Some(Box::new(report));
        self
    }

    /// Ends the response, between two events, as soon as `signal` is done.
    ///
    /// A server that shuts down gracefully waits for its responses, and an event stream has no end of its own:
    /// give it one. A browser reconnects, to whoever listens then.
    ///
    /// ```
    /// # use fanfare_stream::Sse;
    /// # use fanfare_wire::Event;
    /// # use futures_util::stream;
    /// let (stop, mut stopping) = tokio::sync::watch::channel(false);
    /// let sse = Sse::new(stream::pending::<Event>()).until(async move {
    ///     stopping.wait_for(|stop| *stop).await.ok();
    /// });
    /// # drop((stop, sse));
    /// ```
    #[must_use]
    pub fn until(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.until = Some(Box::pin(signal));
        self
    }

    /// Makes an HTTP response of it, with status 200.
    #[must_use]
    pub fn response(self) -> Response<Self> {
        self.response_with(Response::new(()))
    }

    /// Puts it under a head of your own: its status, headers and extensions stay.
    ///
    /// `Cache-Control: no-cache, no-transform` and `X-Accel-Buffering: no` are added where they are missing,
    /// and `Content-Type: text/event-stream` unless it says that already. `Content-Length` and
    /// `Transfer-Encoding` are taken out. Mind that an `EventSource` accepts status 200 alone.
    #[must_use]
    pub fn response_with(self, head: Response<()>) -> Response<Self> {
        let (mut parts, ()) = head.into_parts();
        head::complete(&mut parts.headers);
        Response::from_parts(parts, self)
    }

    /// What is to be sent next: the opening, then the stream, then a keep-alive if both are silent.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BoxError>>> {
        let Some(frames) = &mut self.frames else { return Poll::Ready(None) };
        if self.until.as_mut().is_some_and(|until| until.as_mut().poll(cx).is_ready()) {
            self.end();
            return Poll::Ready(None);
        }
        #[cfg(feature = "tokio")]
        self.timer.start(self.keep_alive.interval());
        if let Some(frame) = self.opening.take() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match frames.as_mut().poll_next(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                #[cfg(feature = "tokio")]
                self.timer.traffic();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.end();
                Poll::Ready(match self.on_error.take() {
                    Some(report) => {
                        report(error);
                        None
                    }
                    None => Some(Err(error)),
                })
            }
            Poll::Ready(None) => {
                self.end();
                Poll::Ready(None)
            }
            #[cfg(feature = "tokio")]
            Poll::Pending => self.timer.poll_due(cx).map(|()| Some(Ok(self.keep_alive.to_frame()))),
            #[cfg(not(feature = "tokio"))]
            Poll::Pending => Poll::Pending,
        }
    }

    /// Lets go of all that the stream held.
    fn end(&mut self) {
        self.frames = None;
        self.until = None;
        self.opening = None;
    }
}

impl Body for Sse {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        self.get_mut()
            .poll_next(cx)
            .map(|frame| frame.map(|frame| frame.map(|frame| http_body::Frame::data(frame.into_bytes()))))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.frames.is_none() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

impl From<Sse> for Response<Sse> {
    fn from(sse: Sse) -> Self {
        sse.response()
    }
}

impl fmt::Debug for Sse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sse")
            .field("keep_alive", &self.keep_alive)
            .field("opening", &self.opening)
            .field("ended", &self.frames.is_none())
            .finish_non_exhaustive()
    }
}
