//! axum 0.8: [`Sse`] as a response and [`LastEventId`] as an extractor. No logic of its own.

use std::convert::Infallible;

use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::{LastEventId, Sse};

impl IntoResponse for Sse {
    fn into_response(self) -> Response {
        self.response().map(Body::new)
    }
}

/// Never rejects: without a last event ID there is just none.
impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_request(&parts.headers, &parts.uri))
    }
}
