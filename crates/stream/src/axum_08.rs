//! axum 0.8: [`Sse`] and [`Negotiated`] as responses, [`LastEventId`], [`Accept`] and [`AcceptEncoding`] as extractors. No logic of its own.

use std::convert::Infallible;

use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::negotiated::vary;
use crate::{Accept, AcceptEncoding, LastEventId, Negotiated, NotAcceptable, Sse};

impl IntoResponse for Sse {
    fn into_response(self) -> Response {
        self.response().map(Body::new)
    }
}

impl<R: IntoResponse> IntoResponse for Negotiated<R> {
    fn into_response(self) -> Response {
        let mut response = match self {
            Self::Stream(sse) => sse.into_response(),
            Self::Other(other) => other.into_response(),
            Self::NotAcceptable(refusal) => IntoResponse::into_response(refusal),
        };
        vary(response.headers_mut());
        response
    }
}

impl IntoResponse for NotAcceptable {
    fn into_response(self) -> Response {
        Self::into_response(self).map(Body::from)
    }
}

/// Never rejects: without a last event ID there is just none.
impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_request(&parts.headers, &parts.uri))
    }
}

/// Never rejects: what is refused is the handler's to say.
impl<S: Sync> FromRequestParts<S> for Accept {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

/// Never rejects: without a wish a stream is not compressed.
impl<S: Sync> FromRequestParts<S> for AcceptEncoding {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}
