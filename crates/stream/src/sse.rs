//! [`Sse`]: a stream of events as a response body.
//!
//! It frames, keeps alive and ends; it holds no event back, keeps none, and never puts anything between the
//! bytes of a frame. What is due at once leaves in one piece: a write costs more than the bytes it carries.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use fanfare_wire::Frame;
use futures_core::Stream;
use http::{Method, Response};
use http_body::{Body, SizeHint};

use crate::source::Source;
#[cfg(feature = "tokio")]
use crate::timer::Timer;
use crate::{BoxError, IntoFrame, KeepAlive, Offer, SseBody, head};

/// How many bytes go into one piece of the body at the most, unless a single frame is longer.
const PIECE_BYTES: usize = 64 * 1024;

/// Hears of the error that ends a stream.
type Report = Box<dyn FnOnce(BoxError) + Send>;

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
    source: Source,
    opening: Option<Frame>,
    keep_alive: KeepAlive,
    on_error: Option<Report>,
    until: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    keep_on_http: bool,
    /// What ended the stream behind frames that had to go first.
    failed: Option<BoxError>,
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
            source: Source::of(stream),
            opening: None,
            keep_alive: KeepAlive::default(),
            on_error: None,
            until: None,
            keep_on_http: false,
            failed: None,
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

    /// Keeps the stream with the HTTP library, whatever the server could do instead.
    ///
    /// A server that owns its sockets, such as `fanfare::serve`, takes the connection of a hub's subscription over when
    /// all middleware has shaped the response, and drops the body. Say this where a middleware looks at the body
    /// itself, to count or to change what is sent. See [`Offer`].
    #[must_use]
    pub fn keep_on_http(mut self) -> Self {
        self.keep_on_http = true;
        self
    }

    /// Gives the stream back that this was made of, and what was said about it.
    ///
    /// ```
    /// use fanfare_stream::{KeepAlive, Sse};
    /// use fanfare_wire::Event;
    /// use futures_util::stream::{self, Empty};
    ///
    /// let sse = Sse::new(stream::empty::<Event>()).keep_alive(KeepAlive::off());
    /// let (_source, parts) = sse.into_source::<Empty<Event>>().expect("that is what it was made of");
    /// assert_eq!(parts.keep_alive, KeepAlive::off());
    /// ```
    ///
    /// # Errors
    ///
    /// The `Sse`, unchanged: it is made of something else than an `S`, was polled, or ends by a signal
    /// ([`until`](Self::until)).
    #[allow(clippy::result_large_err)] // It is what the caller had before.
    pub fn into_source<S: 'static>(mut self) -> Result<(S, SseParts), Self> {
        if self.until.is_some() {
            return Err(self);
        }
        let Some(source) = self.source.take() else { return Err(self) };
        let Self { opening, keep_alive, on_error, .. } = self;
        Ok((source, SseParts { opening, keep_alive, on_error }))
    }

    /// Makes an HTTP response of it, with status 200.
    ///
    /// Its extensions hold an [`Offer`] of the stream, unless [`keep_on_http`](Self::keep_on_http) was called.
    #[must_use]
    pub fn response(self) -> Response<SseBody> {
        self.response_with(Response::new(()))
    }

    /// Answers a request that was made with `method`: of `HEAD` there is the head alone, and the stream is dropped.
    ///
    /// Most servers cut the body off by themselves then. Some go on asking an endless one for bytes that they throw away: hyper
    /// over HTTP/2, and actix-web.
    ///
    /// ```
    /// use fanfare_stream::Sse;
    /// use fanfare_wire::Event;
    /// use http_body::Body;
    /// # use futures_util::stream;
    ///
    /// let request = http::Request::head("/events").body(())?;
    /// let response = Sse::new(stream::pending::<Event>()).response_to(request.method());
    /// assert_eq!(response.headers()["content-type"], "text/event-stream");
    /// assert!(response.body().is_end_stream());
    /// # Ok::<(), http::Error>(())
    /// ```
    #[must_use]
    pub fn response_to(self, method: &Method) -> Response<SseBody> {
        let response = self.response();
        if method == Method::HEAD { response.map(|_unread| SseBody::ended()) } else { response }
    }

    /// Puts it under a head of your own: its status, headers and extensions stay.
    ///
    /// `Cache-Control: no-cache, no-transform` and `X-Accel-Buffering: no` are added where they are missing,
    /// and `Content-Type: text/event-stream` unless it says that already. `Content-Length` and
    /// `Transfer-Encoding` are taken out. Mind that an `EventSource` accepts status 200 alone.
    #[must_use]
    pub fn response_with(self, head: Response<()>) -> Response<SseBody> {
        let (mut parts, ()) = head.into_parts();
        head::complete(&mut parts.headers);
        if self.keep_on_http {
            return Response::from_parts(parts, SseBody::of(self));
        }
        let offer = Offer::of(self);
        parts.extensions.insert(offer.clone());
        Response::from_parts(parts, SseBody::offered(offer))
    }

    /// What is to be sent next: the opening, then the stream, then a keep-alive if both are silent.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BoxError>>> {
        if self.source.has_ended() {
            return Poll::Ready(None);
        }
        if self.until.as_mut().is_some_and(|until| until.as_mut().poll(cx).is_ready()) {
            self.end();
            return Poll::Ready(None);
        }
        #[cfg(feature = "tokio")]
        self.timer.start(self.keep_alive.interval());
        if let Some(frame) = self.opening.take() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match self.source.poll_next(cx) {
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

    /// Puts what is due besides `first` behind it, and waits for nothing. A lone frame is not copied.
    fn gather(&mut self, first: Frame, cx: &mut Context<'_>) -> Bytes {
        let first = first.into_bytes();
        let mut piece = BytesMut::new();
        while first.len().max(piece.len()) < PIECE_BYTES {
            match self.poll_next(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if piece.is_empty() {
                        piece.extend_from_slice(&first);
                    }
                    piece.extend_from_slice(frame.as_bytes());
                }
                Poll::Ready(Some(Err(error))) => {
                    self.failed = Some(error);
                    break;
                }
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        if piece.is_empty() { first } else { piece.freeze() }
    }

    /// Lets go of all that the stream held.
    fn end(&mut self) {
        self.source = Source::Ended;
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
        let this = self.get_mut();
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        this.poll_next(cx)
            .map(|next| next.map(|frame| frame.map(|frame| http_body::Frame::data(this.gather(frame, cx)))))
    }

    fn is_end_stream(&self) -> bool {
        self.source.has_ended() && self.failed.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

impl From<Sse> for Response<SseBody> {
    fn from(sse: Sse) -> Self {
        sse.response()
    }
}

impl fmt::Debug for Sse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sse")
            .field("keep_alive", &self.keep_alive)
            .field("opening", &self.opening)
            .field("ended", &self.source.has_ended())
            .finish_non_exhaustive()
    }
}

/// What was said about a stream that was [taken out](Sse::into_source) of its `Sse`.
#[non_exhaustive]
pub struct SseParts {
    /// What goes before anything of the stream.
    pub opening: Option<Frame>,
    /// When and how a quiet stream is kept alive.
    pub keep_alive: KeepAlive,
    /// Who wants to hear of the error that ends the stream.
    pub on_error: Option<Report>,
}

impl fmt::Debug for SseParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseParts")
            .field("opening", &self.opening)
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}
