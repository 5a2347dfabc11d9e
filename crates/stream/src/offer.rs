//! [`Offer`]: the stream of a response, left where a server that owns its sockets can take it.
//!
//! Where nobody takes it, the response is like any other. It serves nothing itself.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Extensions;
use http_body::{Body, SizeHint};

use crate::{BoxError, Sse};

/// The stream of a response, in the response's extensions.
///
/// Middleware shapes the head and may wrap the body; when all of it has run, a server that knows this extension may
/// [take](Self::take) the stream, drop the body with all that wraps it, and serve the stream by means of its own. The
/// offer ends as soon as the body is polled or dropped, so a body that was replaced is never mistaken for the stream.
///
/// ```
/// use fanfare_stream::{Offer, Sse};
/// use fanfare_wire::Event;
/// use futures_util::stream::{self, Empty};
///
/// let response = Sse::new(stream::empty::<Event>()).response();
/// let offer = response.extensions().get::<Offer>().expect("nobody said keep_on_http");
/// let (_source, _parts) = offer.take().expect("nobody took it").into_source::<Empty<Event>>().expect("its type");
/// assert!(offer.take().is_none());
/// ```
#[derive(Clone)]
pub struct Offer(Arc<Mutex<Option<Sse>>>);

impl Offer {
    pub(crate) fn of(sse: Sse) -> Self {
        Self(Arc::new(Mutex::new(Some(sse))))
    }

    /// Takes the stream; the response's body is empty from then on. `None` if the body was polled or dropped, or
    /// somebody else was first.
    #[must_use]
    pub fn take(&self) -> Option<Sse> {
        self.slot().take()
    }

    /// Gives a stream back, or another: the response's body goes on with it.
    pub fn give_back(&self, sse: Sse) {
        *self.slot() = Some(sse);
    }

    fn slot(&self) -> MutexGuard<'_, Option<Sse>> {
        // Nothing panics while it is locked, and an option is never half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Offer").field(&*self.slot()).finish()
    }
}

/// The same for whoever stands in for the HTTP library, which a stream may be kept for.
#[cfg(feature = "blocking")]
#[derive(Clone)]
struct Kept(Offer);

/// Leaves a way to a response's stream in its extensions, and makes the body.
pub(crate) fn leave_in(extensions: &mut Extensions, sse: Sse, keep_on_http: bool) -> SseBody {
    let offer = Offer::of(sse);
    if !keep_on_http {
        extensions.insert(offer.clone());
    }
    #[cfg(feature = "blocking")]
    extensions.insert(Kept(offer.clone()));
    SseBody(Held::Offered(offer))
}

/// Takes the stream of a response, also one that is kept for the HTTP library.
#[cfg(feature = "blocking")]
pub(crate) fn taken_from(extensions: &Extensions) -> Option<Sse> {
    extensions.get::<Kept>()?.0.take()
}

/// The body of a response that was made of an [`Sse`]: the same bytes, unless somebody took the [`Offer`].
#[derive(Debug)]
pub struct SseBody(Held);

// All become the large one as soon as they are polled.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
enum Held {
    Offered(Offer),
    /// Nobody can take it any more; `None` if somebody did.
    Own(Option<Sse>),
}

impl SseBody {
    /// A body that has ended.
    pub(crate) fn ended() -> Self {
        Self(Held::Own(None))
    }

    fn look<T>(&self, look: impl FnOnce(&Sse) -> T) -> Option<T> {
        match &self.0 {
            Held::Offered(offer) => offer.slot().as_ref().map(look),
            Held::Own(sse) => sse.as_ref().map(look),
        }
    }
}

impl Body for SseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        if let Held::Offered(offer) = &self.0 {
            let sse = offer.take();
            self.0 = Held::Own(sse);
        }
        match &mut self.0 {
            Held::Own(Some(sse)) => Pin::new(sse).poll_frame(cx),
            _ => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.look(Sse::is_end_stream).unwrap_or(true)
    }

    fn size_hint(&self) -> SizeHint {
        self.look(Sse::size_hint).unwrap_or_else(|| SizeHint::with_exact(0))
    }
}

impl Drop for SseBody {
    /// Whoever still holds the extension must not keep the stream of a client that is gone.
    fn drop(&mut self) {
        if let Held::Offered(offer) = &self.0 {
            drop(offer.take());
        }
    }
}
