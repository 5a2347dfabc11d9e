//! actix-web 4: [`Sse`] as a responder and [`LastEventId`] as an extractor. No logic of its own.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::Payload;
use actix_web::http::header::HeaderValue;
use actix_web::http::{Method, StatusCode};
use actix_web::{FromRequest, HttpRequest, HttpResponse, Responder};
use bytes::Bytes;
use http_body::Body;

use crate::{LastEventId, Sse, SseBody};

/// Status and headers of your own are set by `sse.customize()`.
impl Responder for Sse {
    type Body = SseBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse<SseBody> {
        // actix-web has the `http` of before 1.0.
        let method = if request.method() == Method::HEAD { http::Method::HEAD } else { http::Method::GET };
        let (head, body) = self.response_to(&method).into_parts();
        let mut response = HttpResponse::with_body(StatusCode::OK, body);
        for (name, value) in &head.headers {
            if let (Ok(name), Ok(value)) = (name.as_str().try_into(), value.as_bytes().try_into()) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
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
