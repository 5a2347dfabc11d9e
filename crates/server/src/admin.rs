//! What operators and their machines ask: is it alive, is it ready, what has it counted.

use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use fanfare_fanout::{Fanout, Subscriber};
use fanfare_http::{Drain, Revocations, ServeCounts};
use fanfare_hub::{Health, Hub};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::log::Store;
use crate::metrics;
use crate::revocations;
use crate::secret::Secret;

/// What the answers are made of.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) hub: Hub,
    pub(crate) name: Arc<str>,
    pub(crate) store: Store,
    pub(crate) serve: ServeCounts,
    pub(crate) fanout: Fanout,
    pub(crate) drain: Drain,
    pub(crate) revocations: Revocations,
}

/// Serves `/healthz`, `/readyz`, `/metrics`, `/admin/subscribers` and `/admin/revocations`; with a token, but for `/healthz`, only to who has it.
pub(crate) fn router(admin: Admin, token: Option<&Secret>) -> Router {
    let revoking = revocations::router(admin.revocations.clone());
    let mut asked = Router::new()
        .route("/readyz", get(readyz))
        .route("/metrics", get(counts))
        .route("/admin/subscribers", get(subscribers))
        .with_state(admin)
        .merge(revoking);
    if let Some(token) = token {
        asked = asked.route_layer(middleware::from_fn_with_state(Arc::new(token.clone()), authorized));
    }
    asked.route("/healthz", get(|| async { "ok" }))
}

async fn authorized(State(token): State<Arc<Secret>>, request: Request, next: Next) -> Response {
    let sent = request.headers().get(header::AUTHORIZATION).map_or(&[][..], HeaderValue::as_bytes);
    let sent = sent.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
    if sent.is_some_and(|(_, sent)| token.is(sent)) {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, "Operators need the token of --admin-token.\n").into_response()
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    if admin.drain.has_begun() {
        return (StatusCode::SERVICE_UNAVAILABLE, "The server is shutting down.\n".to_owned());
    }
    let why_not = match admin.hub.health() {
        Health::Ready if !admin.revocations.is_caught_up() => {
            "What was revoked has not been read from the log yet.".to_owned()
        }
        Health::Ready => return (StatusCode::OK, "ready".to_owned()),
        Health::Starting => "The log has not answered yet.".to_owned(),
        Health::Stalled(fault) => format!("The log is not available: {fault}."),
        Health::Closed => "The hub is closed.".to_owned(),
        _ => "The hub is not ready.".to_owned(),
    };
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why_not}\n"))
}

async fn counts(State(admin): State<Admin>) -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")];
    let mut page = metrics::Page::of(&admin.name);
    let heap = crate::heap_live_bytes();
    metrics::write_all(&mut page, &admin.hub.counts(), &admin.serve, &admin.fanout.counts(), heap);
    metrics::write_revocations(&mut page, &admin.revocations.counts());
    admin.store.write_metrics(&mut page);
    (headers, page.into_text())
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default = "Listing::default_limit")]
    limit: usize,
}

impl Listing {
    fn default_limit() -> usize {
        100
    }
}

/// One line of the list. Durations are in seconds.
#[derive(Serialize)]
struct Row {
    /// The client's address, which is the other end's unless that is a trusted proxy; null if it has just gone.
    address: Option<String>,
    connected_seconds: f64,
    /// How many positions of the log it has not been looked at for.
    behind: u64,
    /// For how long its socket has taken nothing; null if it takes bytes.
    stalled_seconds: Option<f64>,
}

impl From<Subscriber> for Row {
    fn from(subscriber: Subscriber) -> Self {
        Self {
            address: match subscriber.client {
                Some(client) => Some(client.to_string()),
                None => subscriber.address.map(|address| address.to_string()),
            },
            connected_seconds: subscriber.connected.as_secs_f64(),
            behind: subscriber.behind,
            stalled_seconds: subscriber.full.map(|full| full.as_secs_f64()),
        }
    }
}

/// Lists the subscribers that the fan-out serves, those that are furthest behind first.
async fn subscribers(
    State(admin): State<Admin>,
    Query(Listing { limit }): Query<Listing>,
) -> impl IntoResponse {
    let rows = admin.fanout.subscribers(limit).await.into_iter().map(Row::from);
    ([(header::CACHE_CONTROL, "no-store")], Json(rows.collect::<Vec<_>>()))
}
