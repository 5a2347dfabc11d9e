//! Answers the requests of one connection: says whose each is, and refuses those of a client that has too many.
//!
//! What is answered to the others is the application's matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Request, Version, header};
use tower::Service;

use super::client::{ClientInfo, Origin};
use super::connection::House;
use super::handover::Guest;
use super::places::Standing;
use crate::refusal::Refusal;
use crate::{jitter, stream};

/// One connection, as its requests see it.
pub(crate) struct Visit {
    pub(crate) house: Arc<House>,
    pub(crate) origin: Origin,
    /// Whether the client has too many connections already, counting this one.
    pub(crate) is_refused: bool,
    /// Whether a handler was called.
    pub(crate) spoken: Arc<AtomicBool>,
}

impl Visit {
    /// Answers a request, and says for whom.
    pub(crate) async fn answer(&self, mut request: Request<Body>) -> (Response, Guest) {
        self.spoken.store(true, Ordering::Relaxed);
        let client = ClientInfo::of(&self.origin, request.uri(), request.headers(), &self.house.trusted);
        let Ok(client) = client else {
            let sentence = "The header Forwarded that came through a trusted proxy is not well-formed.";
            let refused = Refusal::bad(sentence).into_response();
            return (self.house.cors.let_read(&request, refused).await, Guest::default());
        };
        let mut guest = Guest::default();
        if client.address != self.origin.address || client.address != client.peer.ip().to_canonical() {
            guest.address = Some(client.address);
        }
        let mut is_refused = self.is_refused;
        if self.counts_requests(&client, request.version())
            && let Some(places) = &self.house.places
        {
            let place = places.take(client.address);
            is_refused |= place.standing() > Standing::Within;
            guest.place = Some(place);
        }
        if is_refused {
            let refused = self.refuse(&client, &request);
            return (self.house.cors.let_read(&request, refused).await, guest);
        }
        request.extensions_mut().insert(client);
        // A router is always ready, and never fails.
        let Ok(response) = self.house.router.clone().call(request).await;
        (response, guest)
    }

    /// Whether the connection's own place does not stand for this request.
    fn counts_requests(&self, client: &ClientInfo, version: Version) -> bool {
        if self.house.trusted.contains(self.origin.address) {
            // Whoever is left without a name would be all of a proxy's clients at once.
            return !self.house.trusted.contains(client.address);
        }
        version == Version::HTTP_2
    }

    fn refuse(&self, client: &ClientInfo, request: &Request<Body>) -> Response {
        self.house.counts.refused();
        tracing::debug!(address = %client.address, "refused a request of a client that has too many");
        let most = self.house.places.as_ref().map_or(0, |places| places.most());
        let mut response = stream::sent_away(request.headers()).unwrap_or_else(|| {
            let sentence = format!("One client may have {most} connections at a time.");
            Refusal::too_many(sentence, jitter::reconnection_time()).into_response()
        });
        // The connection is the one that is too much, unless it is a proxy's. HTTP/2 has no such header.
        if self.is_refused && request.version() < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
