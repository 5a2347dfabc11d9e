//! Takes a connection from hyper when its response is a hub's stream, and hands it to the fan-out.
//!
//! All middleware has shaped the head by then. hyper is left waiting for a response that never comes, until it has
//! written everything from before; then the socket is taken from it, and it is dropped.

use std::any::Any;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use fanfare_fanout::{Adoption, Client, Fanout, Terms};
use fanfare_hub::{Framing, Subscription};
use fanfare_stream::{Offer, Sse, SseParts};
use fanfare_wire::Coding;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header, response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::io::{self, Impatient};
use super::lent::Owner;
use super::places::Place;
use crate::drain::UntilDrained;
use crate::lease::Deadline;
use crate::revocation::Ticket;

/// What hands one connection over, for its service and for whoever drives it.
#[derive(Clone)]
pub(crate) struct Handover(Arc<Inner>);

struct Inner {
    socket: Owner<Impatient>,
    /// What goes on instead of a response, once there is one.
    stream: Mutex<Option<Stream>>,
}

/// A response that is written without hyper.
struct Stream {
    head: Vec<u8>,
    subscription: Subscription,
    terms: Terms,
    guest: Guest,
    /// By what token it lives, where that can be revoked. Nobody listens to it until the socket is handed over.
    ticket: Option<Ticket>,
}

/// Whom a stream is for.
#[derive(Default)]
pub(crate) struct Guest {
    /// The client's address, if the connection is a proxy's.
    pub(crate) address: Option<IpAddr>,
    /// What of it counts.
    pub(crate) place: Option<Place>,
}

/// What the response to a request depends on, besides the response.
pub(crate) struct Asked {
    version: Version,
    is_head: bool,
    /// Whether no byte of the request is still to come.
    is_whole: Arc<AtomicBool>,
}

impl Handover {
    pub(crate) fn new(socket: Owner<Impatient>) -> Self {
        Self(Arc::new(Inner { socket, stream: Mutex::new(None) }))
    }

    /// Notes what will be needed of a request, and lets its body tell when it was read.
    pub(crate) fn look(request: Request<Incoming>) -> (Asked, Request<Body>) {
        let is_whole = Arc::new(AtomicBool::new(request.body().is_end_stream()));
        let is_head = request.method() == Method::HEAD;
        let asked = Asked { version: request.version(), is_head, is_whole: is_whole.clone() };
        let request = request.map(|body| {
            if body.is_end_stream() { Body::new(body) } else { Body::new(Watched { body, is_whole }) }
        });
        (asked, request)
    }

    /// Takes the stream of a response, to be handed over when all before it is written; gives any other response back.
    pub(crate) fn take(&self, asked: &Asked, response: Response, guest: Guest) -> Option<(Response, Guest)> {
        if asked.is_head || !asked.is_whole.load(Ordering::Relaxed) || !is_own_stream(&response) {
            return Some((response, guest));
        }
        let Some(offer) = response.extensions().get::<Offer>().cloned() else {
            return Some((response, guest));
        };
        let Some(sse) = offer.take() else { return Some((response, guest)) };
        if !is_coded_as(sse.coding(), &response) {
            offer.give_back(sse);
            return Some((response, guest));
        }
        let Taken { subscription, deadline, parts } = match subscription(sse) {
            Ok(taken) => taken,
            Err(sse) => {
                offer.give_back(sse);
                return Some((response, guest));
            }
        };
        let (shaped, _body) = response.into_parts();
        let framing = if asked.version == Version::HTTP_10 { Framing::Bare } else { Framing::Chunked };
        #[allow(unused_mut)]
        let mut head = head(framing, &shaped);
        #[cfg(feature = "zstd")]
        if let Some(dictionary) = &parts.dictionary {
            framing.put(dictionary.head(), &mut head);
        }
        let keep_alive = parts.keep_alive.interval().map(|after| (after, parts.keep_alive.to_frame()));
        let ends_at = deadline.ends_at().map(Instant::into_std);
        let coding = parts.coding.map_or(Coding::Identity, |(coding, _)| coding);
        let opening = parts.opening;
        let terms =
            Terms { keep_alive, ends_at, expires_at: deadline.expires_at(), framing, coding, opening };
        self.0.socket.await_flush();
        *self.stream() = Some(Stream { head, subscription, terms, guest, ticket: deadline.into_ticket() });
        None
    }

    /// Whether a stream waits for the socket.
    pub(crate) fn has_begun(&self) -> bool {
        self.stream().is_some()
    }

    /// Whether hyper has nothing left to write. It begins with no request before that, but does not promise so.
    pub(crate) fn is_due(&self) -> bool {
        self.has_begun() && self.0.socket.was_flushed()
    }

    /// Closes the socket and throws away what waits in it.
    pub(crate) fn reset(&self) {
        if let Some(socket) = self.0.socket.take() {
            io::reset_on_drop(&socket.into_inner());
        }
    }

    /// Hands the socket over. What the client has sent behind its request and hyper has read is dropped, as everything
    /// will be that it sends from now on. `place` is the connection's own, if it has one.
    pub(crate) fn finish(&self, fanout: &Fanout, place: Option<Place>) {
        let (Some(stream), Some(socket)) = (self.stream().take(), self.0.socket.take()) else { return };
        let Stream { head, subscription, terms, guest, ticket } = stream;
        let client = client(guest.address, place.or(guest.place));
        let adopted = socket
            .into_inner()
            .into_std()
            .map(|socket| fanout.adopt(Adoption { socket, head, subscription, terms, client }).is_ok());
        match adopted {
            // What was revoked on the way here has waited for this.
            Ok(true) => ticket.iter().for_each(|ticket| ticket.adopted(fanout)),
            Ok(false) => tracing::debug!("cut a stream: the fan-out has ended"),
            Err(error) => tracing::warn!(%error, "could not hand a connection over"),
        }
    }

    fn stream(&self) -> MutexGuard<'_, Option<Stream>> {
        // Nothing panics while it is locked, and an option is never half changed.
        self.0.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Most connections have nothing to say here, and pay nothing for it.
fn client(address: Option<IpAddr>, place: Option<Place>) -> Option<Box<Client>> {
    if address.is_none() && place.is_none() {
        return None;
    }
    let held = place.map(|place| Box::new(place) as Box<dyn Any + Send>);
    Some(Box::new(Client { address, held }))
}

/// Whether no layer has given the response a form that frames alone would break, but for a coding.
fn is_own_stream(response: &Response) -> bool {
    let headers = response.headers();
    let reshaped = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    response.status() == StatusCode::OK
        && is_event_stream(headers)
        && reshaped.iter().all(|name| !headers.contains_key(name))
}

/// Whether a response says of its coding what its stream does: otherwise a layer codes the body, or decodes it.
fn is_coded_as(coding: Coding, response: &Response) -> bool {
    let said = response.headers().get_all(header::CONTENT_ENCODING);
    said.iter().map(HeaderValue::as_bytes).eq(coding.name().map(str::as_bytes))
}

/// Whether a response says that it is an event stream.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// A stream that is a subscription and nothing else.
struct Taken {
    subscription: Subscription,
    deadline: Deadline,
    parts: SseParts,
}

/// Takes the subscription out of a stream that is nothing else, and what ends it; otherwise gives the stream back.
#[allow(clippy::result_large_err)] // It is what the caller had before.
fn subscription(sse: Sse) -> Result<Taken, Sse> {
    let sse = match sse.into_source::<UntilDrained<Subscription>>() {
        // The fan-out is drained by itself, and counts how its connections end.
        Ok((frames, parts)) => {
            return match frames.into_inner() {
                Ok((subscription, deadline)) => Ok(Taken { subscription, deadline, parts }),
                Err(frames) => Err(again(Sse::new(frames), parts)),
            };
        }
        Err(sse) => sse,
    };
    let (subscription, parts) = sse.into_source::<Subscription>()?;
    if parts.on_error.is_some() {
        // Somebody wants to hear of its errors.
        return Err(again(Sse::new(subscription), parts));
    }
    Ok(Taken { subscription, deadline: Deadline::default(), parts })
}

/// The stream as it was before it was taken apart.
fn again(mut sse: Sse, parts: SseParts) -> Sse {
    sse = sse.keep_alive(parts.keep_alive);
    if let Some(on_error) = parts.on_error {
        sse = sse.on_error(on_error);
    }
    if let Some((coding, min_bytes)) = parts.coding {
        sse = sse.in_coding(coding, min_bytes);
        #[cfg(feature = "zstd")]
        if let Some(dictionary) = &parts.dictionary {
            sse = sse.with_dictionary(dictionary, min_bytes);
        }
    }
    match parts.opening {
        Some(opening) => sse.opening(opening),
        None => sse,
    }
}

/// The head of a response after which the connection ends. HTTP/1.0 knows no chunks.
fn head(framing: Framing, response: &response::Parts) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    head.extend_from_slice(match framing {
        Framing::Bare => b"HTTP/1.0 200 OK\r\n",
        Framing::Chunked => b"HTTP/1.1 200 OK\r\n",
    });
    let own = [header::CONNECTION, HeaderName::from_static("keep-alive"), header::UPGRADE];
    let mut line = |name: &HeaderName, value: &HeaderValue| {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    };
    for (name, value) in response.headers.iter().filter(|(name, _)| !own.contains(name)) {
        line(name, value);
    }
    if !response.headers.contains_key(header::DATE)
        && let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now()))
    {
        line(&header::DATE, &date);
    }
    if framing == Framing::Chunked {
        line(&header::TRANSFER_ENCODING, &HeaderValue::from_static("chunked"));
    }
    line(&header::CONNECTION, &HeaderValue::from_static("close"));
    head.extend_from_slice(b"\r\n");
    head
}

/// A request's body that tells when it was read to its end.
struct Watched {
    body: Incoming,
    is_whole: Arc<AtomicBool>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.is_whole.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
