//! What operators and their machines ask: is it alive, is it ready, what has it counted.

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use fanfare_http::{Drain, ServeCounts};
use fanfare_hub::{Health, Hub};
use http::{StatusCode, header};

use crate::metrics;

/// What the answers are made of.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) hub: Hub,
    pub(crate) serve: ServeCounts,
    pub(crate) drain: Drain,
}

/// Serves `/healthz`, `/readyz` and `/metrics`.
pub(crate) fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(counts))
        .with_state(admin)
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    if admin.drain.has_begun() {
        return (StatusCode::SERVICE_UNAVAILABLE, "The server is shutting down.\n".to_owned());
    }
    let why_not = match admin.hub.health() {
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
    (headers, metrics::text(&admin.hub.counts(), &admin.serve))
}
