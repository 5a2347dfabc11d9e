//! Answers the requests of one connection: says whose each is, and refuses those of a client that has too many, or of all.
//!
//! What is answered to the others is the application's matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use fanfare_wire::jitter;
use http::{HeaderValue, Method, Request, Version, header};
use tower::Service;

use super::client::{ClientInfo, Origin};
use super::connection::House;
use super::handover::Guest;
use super::places::Standing;
use crate::refusal::Refusal;
use crate::stream;

/// One connection, as its requests see it.
pub(crate) struct Visit {
    pub(crate) house: Arc<House>,
    pub(crate) origin: Origin,
    /// Of what there were too many when the connection began, counting this one.
    pub(crate) excess: Option<Excess>,
    /// Whether a handler was called.
    pub(crate) spoken: Arc<AtomicBool>,
}

/// Of what there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// Of the client's connections.
    OfClient,
    /// Of connections, whosever.
    InAll,
}

impl Visit {
    /// Answers a request, and says for whom.
    pub(crate) async fn answer(&self, mut request: Request<Body>) -> (Response, Guest) {
        self.spoken.store(true, Ordering::Relaxed);
        let client = ClientInfo::of(&self.origin, request.uri(), request.headers(), &self.house.trusted);
        let Ok(client) = client else {
            let sentence = "The header Forwarded that came through a trusted proxy is not well-formed.";
            let refused = Refusal::bad(sentence).into_response();
            return (self.told(&request, refused).await, Guest::default());
        };
        let mut guest = Guest::default();
        if client.address != self.origin.address || client.address != client.peer.ip().to_canonical() {
            guest.address = Some(client.address);
        }
        // A connection over HTTP/2 is left open, and may find room later.
        let is_over = |excess: &Excess| match excess {
            Excess::InAll => self.house.standing() > Standing::Within,
            Excess::OfClient => {
                let places = self.house.places.as_ref();
                places.is_some_and(|places| places.standing(self.origin.address) > Standing::Within)
            }
        };
        let mut excess = self.excess.filter(is_over);
        if self.counts_requests(&client, request.version())
            && let Some(places) = &self.house.places
        {
            let place = places.take(client.address);
            if place.standing() > Standing::Within {
                excess = Some(Excess::OfClient);
            }
            guest.place = Some(place);
        }
        if let Some(excess) = excess {
            let refused = self.refuse(excess, &client, &request);
            return (self.told(&request, refused).await, guest);
        }
        request.extensions_mut().insert(client);
        // A router is always ready, and never fails.
        let Ok(response) = self.house.router.clone().call(request).await;
        (response, guest)
    }

    /// What is refused before the router is asked, as the router would have it: with the headers for pages, and of a `HEAD` alone.
    fn told(
        &self,
        request: &Request<Body>,
        refused: Response,
    ) -> impl Future<Output = Response> + Send + use<> {
        let is_head = request.method() == Method::HEAD;
        let reading = self.house.cors.let_read(request, refused);
        async move {
            let told = reading.await;
            // Over HTTP/2 hyper would send it.
            if is_head { told.map(|_| Body::empty()) } else { told }
        }
    }

    /// Whether the connection's own place does not stand for this request.
    fn counts_requests(&self, client: &ClientInfo, version: Version) -> bool {
        if self.house.trusted.contains(self.origin.address) {
            // Whoever is left without a name would be all of a proxy's clients at once.
            return !self.house.trusted.contains(client.address);
        }
        version == Version::HTTP_2
    }

    fn refuse(&self, excess: Excess, client: &ClientInfo, request: &Request<Body>) -> Response {
        let (house, address) = (&self.house, client.address);
        let sentence = match excess {
            Excess::OfClient => {
                house.counts.refused();
                tracing::debug!(%address, "refused a request of a client that has too many");
                let most = house.places.as_ref().map_or(0, |places| places.most());
                format!("One client may have {most} connections at a time.")
            }
            Excess::InAll => {
                house.counts.refused_as_full();
                tracing::debug!(%address, "refused a request: there are too many connections");
                "There are as many connections as there may be.".to_owned()
            }
        };
        let mut response = stream::sent_away(request.headers())
            .unwrap_or_else(|| Refusal::too_many(sentence, jitter::reconnection_time()).into_response());
        // The connection is the one that is too much, unless it is a proxy's. HTTP/2 has no such header.
        if self.excess.is_some() && request.version() < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
