//! [`IntoResponse`]: what a request may be answered with where no framework says it.
//!
//! It serves nothing.

use http::{Method, Response};

use crate::{Negotiated, NegotiatedBody, NotAcceptable, Sse, SseBody};

/// What a handler may answer with: an [`Sse`], a response that has one as its body, or what was [`Negotiated`].
pub trait IntoResponse {
    /// The response's body.
    type Body;

    /// Answers a request that was made with `method`.
    fn into_response(self, method: &Method) -> Response<Self::Body>;
}

impl IntoResponse for Sse {
    type Body = SseBody;

    fn into_response(self, method: &Method) -> Response<SseBody> {
        self.response_to(method)
    }
}

impl IntoResponse for Response<SseBody> {
    type Body = SseBody;

    fn into_response(self, method: &Method) -> Self {
        if method == Method::HEAD { self.map(|_unread| SseBody::ended()) } else { self }
    }
}

impl<B> IntoResponse for Negotiated<Response<B>> {
    type Body = NegotiatedBody<B>;

    fn into_response(self, method: &Method) -> Response<NegotiatedBody<B>> {
        self.into_response(method)
    }
}

impl IntoResponse for Negotiated<NotAcceptable> {
    type Body = NegotiatedBody<String>;

    fn into_response(self, method: &Method) -> Response<NegotiatedBody<String>> {
        self.map(NotAcceptable::into_response).into_response(method)
    }
}
