//! actix-web 4: [`Sse`] and [`Negotiated`] as responders, [`LastEventId`], [`Accept`] and [`AcceptEncoding`] as extractors. No logic of its own.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::http::header::{ACCEPT, ACCEPT_ENCODING, HeaderValue, VARY};
use actix_web::http::{Method, StatusCode};
use actix_web::{FromRequest, HttpRequest, HttpResponse, Responder};
use bytes::Bytes;
use http_body::Body;

use crate::negotiated::is_said_by;
use crate::{Accept, AcceptEncoding, LastEventId, Negotiated, NotAcceptable, Sse, SseBody};

/// Status and headers of your own are set by `sse.customize()`.
impl Responder for Sse {
    type Body = SseBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse<SseBody> {
        // actix-web has the `http` of before 1.0.
        let method = if request.method() == Method::HEAD { http::Method::HEAD } else { http::Method::GET };
        let (head, body) = self.response_to(&method).into_parts();
        respond(&head, body)
    }
}

impl<R: Responder> Responder for Negotiated<R>
where
    R::Body: 'static,
{
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let mut response = match self {
            Self::Stream(sse) => sse.respond_to(request).map_into_boxed_body(),
            Self::Other(other) => other.respond_to(request).map_into_boxed_body(),
            Self::NotAcceptable(refusal) => refusal.respond_to(request).map_into_boxed_body(),
        };
        if !is_said_by(response.headers().get_all(VARY).map(HeaderValue::as_bytes)) {
            response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
        }
        response
    }
}

impl Responder for NotAcceptable {
    type Body = String;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<String> {
        let (head, sentence) = self.into_response().into_parts();
        respond(&head, sentence)
    }
}

fn respond<B>(head: &http::response::Parts, body: B) -> HttpResponse<B> {
    let status = StatusCode::from_u16(head.status.as_u16()).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::with_body(status, body);
    for (name, value) in &head.headers {
        if let (Ok(name), Ok(value)) = (name.as_str().try_into(), value.as_bytes().try_into()) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

impl MessageBody for SseBody {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        if self.is_end_stream() { BodySize::None } else { BodySize::Stream }
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        // It has no trailers, so each frame is data.
        self.poll_frame(cx)
            .map_ok(|frame| frame.into_data().unwrap_or_default())
            .map_err(|error| -> Box<dyn Error> { error })
    }
}

/// Never rejects: without a last event ID there is just none.
impl FromRequest for LastEventId {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let header = request.headers().get("last-event-id").map(HeaderValue::as_bytes);
        ready(Ok(Self::from_values(header, Some(request.query_string()), &Self::QUERY_NAMES)))
    }
}

/// Never rejects: what is refused is the handler's to say.
impl FromRequest for Accept {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::from_values(request.headers().get_all(ACCEPT).map(HeaderValue::as_bytes))))
    }
}

/// Never rejects: without a wish a stream is not compressed.
impl FromRequest for AcceptEncoding {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::from_values(request.headers().get_all(ACCEPT_ENCODING).map(HeaderValue::as_bytes))))
    }
}
