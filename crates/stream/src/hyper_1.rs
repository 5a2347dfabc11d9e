//! hyper 1: a plain `Service` whose answers are event streams. No logic of its own.
//!
//! Any other service needs nothing from here: [`SseBody`](crate::SseBody) is a body that hyper takes, and
//! [`LastEventId::from_request`](crate::LastEventId::from_request) reads hyper's requests.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Method, Request, Response};
use hyper::service::Service;
use pin_project_lite::pin_project;

pub use crate::into_response::IntoResponse;

/// Answers each request with what `handler` makes of it; see [`IntoResponse`].
///
/// Of a `HEAD` there is the head of a stream alone.
///
/// ```
/// use fanfare_stream::{LastEventId, Sse, hyper_1};
/// use fanfare_wire::Event;
/// use hyper::service::Service;
/// # use futures_util::{FutureExt, stream};
///
/// let service = hyper_1::service(|request: http::Request<()>| async move {
///     let last = LastEventId::from_request(request.headers(), request.uri());
///     Sse::new(stream::iter([Event::new(format!("after {:?}", last.id()))]))
/// });
/// // For a connection: `http1::Builder::new().serve_connection(io, service)`.
/// # let response = service.call(http::Request::new(())).now_or_never().expect("nothing to wait for").expect("infallible");
/// # assert_eq!(response.headers()["content-type"], "text/event-stream");
/// ```
pub fn service<H>(handler: H) -> SseService<H> {
    SseService { handler }
}

/// A hyper `Service` of a function. See [`service`].
#[derive(Clone, Copy)]
pub struct SseService<H> {
    handler: H,
}

impl<H, B, F> Service<Request<B>> for SseService<H>
where
    H: Fn(Request<B>) -> F,
    F: Future<Output: IntoResponse>,
{
    type Response = Response<<F::Output as IntoResponse>::Body>;
    type Error = Infallible;
    type Future = Answer<F>;

    fn call(&self, request: Request<B>) -> Answer<F> {
        let method = request.method().clone();
        Answer { future: (self.handler)(request), method }
    }
}

impl<H> fmt::Debug for SseService<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseService").finish_non_exhaustive()
    }
}

pin_project! {
    /// The answer of an [`SseService`], once there is one.
    pub struct Answer<F> {
        #[pin]
        future: F,
        method: Method,
    }
}

impl<F: Future<Output: IntoResponse>> Future for Answer<F> {
    type Output = Result<Response<<F::Output as IntoResponse>::Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(Ok(ready!(this.future.poll(cx)).into_response(this.method)))
    }
}

impl<F> fmt::Debug for Answer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}
