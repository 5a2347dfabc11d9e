//! [`Sse`]: a stream of events as a response, and all that can be said about one.
//!
//! It holds no event back and keeps none. What is sent besides events is put [around](Around) them elsewhere, and what happens at the
//! end is the [`Life`]'s.

use std::fmt;
#[cfg(any(feature = "tokio", feature = "blocking"))]
use std::time::Duration;

#[cfg(feature = "zstd")]
use fanfare_wire::Dictionary;
use fanfare_wire::{Coding, Frame};
use futures_core::Stream;
use http::{Method, Response};

#[cfg(feature = "tokio")]
use crate::Shutdown;
use crate::around::{Around, Report};
use crate::body::Ending;
use crate::compressed::Compressed;
use crate::life::{Life, Owned};
#[cfg(feature = "tokio")]
use crate::limits::Limits;
use crate::source::Source;
use crate::{AcceptEncoding, BoxError, Closed, Closing, IntoFrame, KeepAlive, SseBody, head, offer};

/// How long a client may take nothing, unless something else is said.
#[cfg(any(feature = "tokio", feature = "blocking"))]
pub(crate) const WRITE_DEADLINE: Duration = Duration::from_secs(30);

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
    pub(crate) life: Owned,
    pub(crate) around: Around,
    keep_on_http: bool,
    pub(crate) ending: Ending,
    #[cfg(feature = "tokio")]
    pub(crate) limits: Limits,
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
            life: Owned(Life::of(Source::of(stream))),
            around: Around::default(),
            keep_on_http: false,
            ending: Ending::default(),
            #[cfg(feature = "tokio")]
            limits: Limits::default(),
        }
    }

    /// Sets when and how a quiet stream is kept alive. Default: a comment line after 15 s without traffic.
    ///
    /// Everything the stream yields is traffic. The stream is asked first each time, so what it yields at
    /// the moment a keep-alive is due goes out instead of it.
    ///
    /// The timer is tokio's: without feature `tokio`, or polled outside a tokio runtime, none is sent, unless `blocking::serve` writes the
    /// stream, which has a clock of its own.
    ///
    /// # Panics
    ///
    /// Polling panics in a tokio runtime that was built without `enable_time`, unless this is
    /// [`KeepAlive::off`].
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: KeepAlive) -> Self {
        self.around.keep_alive = keep_alive;
        self
    }

    /// Sends `frame` at once, before anything of the stream.
    ///
    /// The head goes out by itself, but some hosts and proxies hold it back until the first byte of the body:
    /// `Frame::KEEP_ALIVE`, an invisible comment line, is that byte. A `retry` can travel here too.
    #[must_use]
    pub fn opening(mut self, frame: impl Into<Frame>) -> Self {
        self.around.opening = Some(frame.into());
        self
    }

    /// Compresses the stream if its client takes gzip or zstd, as far as these features are there; gzip if it likes both.
    ///
    /// Nothing is held back: each event is compressed by itself and leaves at once, so the last one is there with its last byte, whatever comes
    /// next. And no window spans two events, so the length of one tells nothing about what is in another. An event that
    /// holds both a secret and what an attacker chose can still be guessed at by its length, as with any compression; do not publish such.
    /// From 128 bytes on a frame is compressed; below that it is only put into a form that says that it is not.
    /// What several streams share, as a hub's events, is compressed once for all of them.
    ///
    /// The response says `Content-Encoding` and `Vary: Accept-Encoding`. One whose head names a coding already is left alone; middleware that compresses
    /// leaves this one alone. A stream that ends in order ends as its coding wants it; one that is cut does not, and its client can tell.
    ///
    /// ```
    /// use fanfare_stream::{AcceptEncoding, Sse};
    /// use fanfare_wire::Event;
    /// # use futures_util::stream;
    ///
    /// # let request = http::Request::get("/events").header("accept-encoding", "br").body(())?;
    /// let accepted = AcceptEncoding::from_headers(request.headers());
    /// let sse = Sse::new(stream::iter([Event::new("one")])).compress(&accepted);
    /// # assert!(!sse.response().headers().contains_key("content-encoding"));
    /// # Ok::<(), http::Error>(())
    /// ```
    #[must_use]
    pub fn compress(mut self, accepted: &AcceptEncoding) -> Self {
        self.around.compressed = Compressed::for_client(accepted);
        self
    }

    /// Codes the stream in this coding, which its client has to take; frames of fewer than `min_bytes` are not compressed. See
    /// [`compress`](Self::compress).
    ///
    /// Also with [`Coding::Identity`] the response says that it depends on what its client takes.
    #[cfg_attr(feature = "zstd", doc = "")]
    #[cfg_attr(
        feature = "zstd",
        doc = "What `Coding::Dcz` refers to is not said by its name: that is [`with_dictionary`](Self::with_dictionary), and here it is as `Coding::Identity`."
    )]
    #[must_use]
    pub fn in_coding(mut self, coding: Coding, min_bytes: usize) -> Self {
        self.around.compressed = Compressed::by(coding, min_bytes);
        self
    }

    /// Codes the stream in [`Coding::Dcz`], which its client has to take, with a dictionary that it has to have. See [`compress`](Self::compress).
    ///
    /// Frames that are [kept](fanfare_wire::Frame::kept_in) with a dictionary have to be kept with this one: it is that of the hub whose events
    /// these are. All others do without, and are compressed from `min_bytes` on.
    ///
    /// That the response depends on `Available-Dictionary`, too, is said in `Vary` by whoever has read that header.
    ///
    /// Source: [RFC 9842](https://www.rfc-editor.org/rfc/rfc9842).
    #[cfg(feature = "zstd")]
    #[must_use]
    pub fn with_dictionary(mut self, dictionary: &Dictionary, min_bytes: usize) -> Self {
        self.around.compressed = Compressed::with(dictionary.clone(), min_bytes);
        self
    }

    /// In which coding the body is.
    #[must_use]
    pub fn coding(&self) -> Coding {
        self.around.compressed.coding()
    }

    /// Hands the error that ends the stream to `report`, after which the response ends cleanly.
    ///
    /// Without it the error becomes the body's: the HTTP server sees it and breaks the response off, which
    /// with HTTP/1.1 closes the connection and with HTTP/2 resets the stream. A browser reconnects either way.
    #[must_use]
    pub fn on_error(mut self, report: impl FnOnce(BoxError) + Send + 'static) -> Self {
        self.around.on_error = Some(Box::new(report));
        self
    }

    /// Ends the response, between two events, as soon as `signal` is done.
    ///
    /// A browser reconnects. For a server that shuts down there is [`ends_with`](Self::ends_with).
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
        self.around.until = Some(Box::pin(signal));
        self
    }

    /// Calls `hook` once when the stream is over, with the reason. Several are called in the order in which they were given.
    ///
    /// It is called by whoever ends the stream, wherever that is: it should do little, and not block. By then the stream that this
    /// was made of has been dropped, unless it is just being polled elsewhere.
    ///
    /// A server that owns its sockets leaves a stream with a hook where it is, like one with [`hold`](Self::hold) or
    /// [`closed`](Self::closed): see [`keep_on_http`](Self::keep_on_http).
    ///
    /// ```
    /// # use fanfare_stream::{Closed, Sse};
    /// # use fanfare_wire::Event;
    /// # use futures_util::stream;
    /// # let (told, heard) = std::sync::mpsc::channel();
    /// let sse = Sse::new(stream::pending::<Event>()).on_close(move |why: Closed| {
    ///     println!("a stream is over: {why}");
    /// #   told.send(why).unwrap();
    /// });
    /// # drop(sse);
    /// # assert_eq!(heard.recv(), Ok(Closed::ByClient));
    /// ```
    #[must_use]
    pub fn on_close(self, hook: impl FnOnce(Closed) + Send + 'static) -> Self {
        self.life.0.at_the_end(|last_acts| last_acts.call(Box::new(hook)));
        self
    }

    /// Keeps `guard` until the stream is over, and drops it then: a permit, a number of those who are there, a lock on something.
    #[must_use]
    pub fn hold(self, guard: impl Send + 'static) -> Self {
        self.life.0.at_the_end(|last_acts| last_acts.hold(Box::new(guard)));
        self
    }

    /// A future that waits until the stream is over, and says why.
    ///
    /// ```
    /// # use fanfare_stream::{Closed, Sse};
    /// # use fanfare_wire::Event;
    /// # use futures_util::{FutureExt, stream};
    /// let sse = Sse::new(stream::pending::<Event>());
    /// let closed = sse.closed();
    /// drop(sse); // As a server does when the client is gone.
    /// assert_eq!(closed.now_or_never(), Some(Closed::ByClient));
    /// ```
    pub fn closed(&self) -> Closing {
        Closing::of(&self.life.0)
    }

    /// Ends the response, between two events, when it has been served for `lifetime`. A browser reconnects.
    ///
    /// The source is dropped then, even while the client takes nothing. Like the keep-alive it needs a tokio runtime to be polled in, or `blocking::serve`.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.limits.set_lifetime(lifetime);
        self
    }

    /// Sets how long a client may take nothing, while there is something for it, before its stream is over
    /// ([`Closed::WriteDeadline`]). Default: 30 s. `None` is for ever.
    ///
    /// It is the HTTP server that takes from the stream what the client is to get, some 64 KiB at a time, and comes back for more when it has
    /// got rid of some. If it does not for so long, its client reads nothing, or very little. Then the source is dropped, and what the
    /// server is told next is an error, on which it cuts the connection. But it may not ask before the client reads on, so give the
    /// connection a deadline, too: [`WriteDeadline`](crate::WriteDeadline), or the kernel's (`tcp::cut_stalled`, feature `tcp`).
    ///
    /// A server that owns its sockets has a deadline of its own, and leaves a stream with HTTP for which this was called.
    ///
    /// Like the keep-alive it needs a tokio runtime to be polled in, or `blocking::serve`.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn write_deadline(mut self, deadline: impl Into<Option<Duration>>) -> Self {
        self.limits.set_write_deadline(deadline.into());
        self
    }

    /// Ends the response when `shutdown` has begun: at a random moment within its window, with a farewell and a `retry` of its own. A
    /// browser reconnects, to whoever listens then.
    ///
    /// A client that does not take its farewell within a second is cut. Without a shutdown a server that stops gracefully waits for an
    /// open stream for ever. Like the keep-alive it needs a tokio runtime to be polled in, or `blocking::serve`.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn ends_with(mut self, shutdown: &Shutdown) -> Self {
        self.limits.set_shutdown(shutdown.clone(), false);
        self
    }

    /// Lets the stream go on to its own end when `shutdown` has begun, but not for longer than
    /// [it says](crate::ShutdownBuilder::finish_within): for one that cannot be resumed, and is nearly done.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn finishes_before(mut self, shutdown: &Shutdown) -> Self {
        self.limits.set_shutdown(shutdown.clone(), true);
        self
    }

    /// Keeps the stream with the HTTP library, whatever the server could do instead.
    ///
    /// A server that owns its sockets, such as `fanfare::serve`, takes the connection of a hub's subscription over when
    /// all middleware has shaped the response, and drops the body. Say this where a middleware looks at the body
    /// itself, to count or to change what is sent. See [`Offer`](crate::Offer).
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
    /// The `Sse`, unchanged: it is made of something else than an `S`, was polled, ends by a signal or a time of its own
    /// ([`until`](Self::until), [`lifetime`](Self::lifetime), [`write_deadline`](Self::write_deadline), [`ends_with`](Self::ends_with)), or somebody wants to hear of its end.
    #[allow(clippy::result_large_err)] // It is what the caller had before.
    pub fn into_source<S: 'static>(self) -> Result<(S, SseParts), Self> {
        #[cfg(feature = "tokio")]
        if self.limits.are_own() {
            return Err(self);
        }
        if self.around.until.is_some() || self.life.0.is_watched() {
            return Err(self);
        }
        let Some(source) = self.life.0.source().take() else { return Err(self) };
        let Around { opening, keep_alive, on_error, compressed, .. } = self.around;
        let coding = compressed.is_negotiated().then(|| (compressed.coding(), compressed.min_bytes()));
        #[cfg(feature = "zstd")]
        let dictionary = compressed.dictionary().cloned();
        Ok((
            source,
            SseParts {
                opening,
                keep_alive,
                on_error,
                coding,
                #[cfg(feature = "zstd")]
                dictionary,
            },
        ))
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn life(&self) -> &Life {
        &self.life.0
    }

    /// Makes an HTTP response of it, with status 200.
    ///
    /// Its extensions hold an [`Offer`](crate::Offer) of the stream, unless [`keep_on_http`](Self::keep_on_http) was called.
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
    pub fn response_with(mut self, head: Response<()>) -> Response<SseBody> {
        let (mut parts, ()) = head.into_parts();
        head::complete(&mut parts.headers);
        self.around.compressed.complete(&mut parts.headers);
        let keep_on_http = self.keep_on_http;
        let body = offer::leave_in(&mut parts.extensions, self, keep_on_http);
        Response::from_parts(parts, body)
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
            .field("keep_alive", &self.around.keep_alive)
            .field("opening", &self.around.opening)
            .field("coding", &self.coding())
            .field("over", &self.life.0.why())
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
    /// What was said by [`compress`](Sse::compress) or [`in_coding`](Sse::in_coding): the coding, and from how many bytes on a frame is compressed.
    pub coding: Option<(Coding, usize)>,
    /// What was said by [`with_dictionary`](Sse::with_dictionary), whose coding is [`Coding::Dcz`].
    #[cfg(feature = "zstd")]
    pub dictionary: Option<Dictionary>,
}

impl fmt::Debug for SseParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseParts")
            .field("opening", &self.opening)
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}
