//! [`Negotiated`]: the answer to a request that may be answered with a stream or with something else.
//!
//! Every such answer says that it depends on `Accept`, so that no cache gives one client what another asked for. Which it is, is
//! decided [elsewhere](crate::Accept).

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::{Body, SizeHint};
use pin_project_lite::pin_project;

use crate::{BoxError, Sse, SseBody};

/// A stream, something else, or that there is nothing the client takes; all with `Vary: Accept`.
///
/// Made by [`Accept::only`](crate::Accept::only) and [`Accept::dual`](crate::Accept::dual), or by hand by whoever has decided. An adapter's
/// feature makes it a response of that framework wherever `R` is one; without a framework [`into_response`](Self::into_response) does.
///
/// By hand:
///
/// ```
/// use fanfare_stream::{Accept, Negotiated, NotAcceptable, Sse};
/// # use fanfare_wire::Event;
/// # use futures_util::stream;
///
/// # async fn table() -> String { "1,2".into() }
/// async fn prices(accept: Accept) -> Negotiated<String> {
///     let offered = ["text/event-stream", "text/csv"];
///     match accept.preferred(&offered) {
///         Some("text/csv") => Negotiated::Other(table().await),
///         Some(_) => Negotiated::Stream(Sse::new(stream::iter([Event::new("1,2")]))),
///         None => Negotiated::NotAcceptable(NotAcceptable::offering(&offered)),
///     }
/// }
/// # use futures_util::FutureExt;
/// # assert!(matches!(prices(Accept::default()).now_or_never(), Some(Negotiated::Stream(_))));
/// ```
#[allow(clippy::large_enum_variant)] // It is returned once and taken apart at once.
#[derive(Debug)]
pub enum Negotiated<R> {
    /// The stream.
    Stream(Sse),
    /// What else there is.
    Other(R),
    /// 406.
    NotAcceptable(NotAcceptable),
}

/// 406: the client takes nothing of what there is. The body says what that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAcceptable {
    sentence: String,
}

impl NotAcceptable {
    /// Refuses a client that takes none of these media types.
    #[must_use]
    pub fn offering(media_types: &[&str]) -> Self {
        Self { sentence: format!("This is there as {}.\n", media_types.join(" or ")) }
    }

    /// The response.
    #[must_use]
    pub fn into_response(self) -> Response<String> {
        let mut response = Response::new(self.sentence);
        *response.status_mut() = StatusCode::NOT_ACCEPTABLE;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        vary(response.headers_mut());
        response
    }
}

impl<R> Negotiated<R> {
    /// Makes something else of what is no stream.
    pub fn map<T>(self, change: impl FnOnce(R) -> T) -> Negotiated<T> {
        match self {
            Self::Stream(sse) => Negotiated::Stream(sse),
            Self::Other(other) => Negotiated::Other(change(other)),
            Self::NotAcceptable(refusal) => Negotiated::NotAcceptable(refusal),
        }
    }
}

impl<B> Negotiated<Response<B>> {
    /// Makes one response of it, for a request that was made with `method`: of `HEAD` there is no stream.
    pub fn into_response(self, method: &Method) -> Response<NegotiatedBody<B>> {
        let mut response = match self {
            Self::Stream(sse) => sse.response_to(method).map(|body| Of::Stream { body }),
            Self::Other(response) => response.map(|body| Of::Other { body }),
            Self::NotAcceptable(refusal) => refusal.into_response().map(|sentence| Of::Refusal { sentence }),
        }
        .map(|of| NegotiatedBody { of });
        vary(response.headers_mut());
        response
    }
}

/// Says that the response depends on `Accept`, unless it does already.
pub(crate) fn vary(headers: &mut HeaderMap) {
    if !is_said_by(headers.get_all(VARY).iter().map(HeaderValue::as_bytes)) {
        headers.append(VARY, HeaderValue::from_static("Accept"));
    }
}

/// Whether one of these values of `Vary` names `Accept`, or everything.
pub(crate) fn is_said_by<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> bool {
    let names =
        values.into_iter().flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    names.into_iter().any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept"))
}

pin_project! {
    /// The body of a [`Negotiated`] response.
    #[derive(Debug)]
    pub struct NegotiatedBody<B> {
        #[pin]
        of: Of<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = OfProjection]
    enum Of<B> {
        Stream { #[pin] body: SseBody },
        Other { #[pin] body: B },
        Refusal { #[pin] sentence: String },
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>>> Body for NegotiatedBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        match self.project().of.project() {
            OfProjection::Stream { body } => body.poll_frame(cx),
            OfProjection::Other { body } => body.poll_frame(cx).map_err(Into::into),
            OfProjection::Refusal { sentence } => sentence.poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.of {
            Of::Stream { body } => body.is_end_stream(),
            Of::Other { body } => body.is_end_stream(),
            Of::Refusal { sentence } => sentence.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.of {
            Of::Stream { body } => body.size_hint(),
            Of::Other { body } => body.size_hint(),
            Of::Refusal { sentence } => sentence.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &[&'static str], expected: &[&str]) {
        let mut headers = HeaderMap::new();
        for value in given {
            headers.append(VARY, HeaderValue::from_static(value));
        }
        vary(&mut headers);
        assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), expected, "{given:?}");
    }

    #[test]
    fn vary_is_said_once_and_what_is_there_stays() {
        check(&[], &["Accept"]);
        check(&["Origin"], &["Origin", "Accept"]);
        check(&["Origin, Accept-Encoding"], &["Origin, Accept-Encoding", "Accept"]);
        check(&["Origin , accept"], &["Origin , accept"]);
        check(&["Origin", "ACCEPT"], &["Origin", "ACCEPT"]);
        check(&["*"], &["*"]);
    }
}
