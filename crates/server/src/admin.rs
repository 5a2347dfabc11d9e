//! What operators and their machines ask: is it alive, is it ready, what has it counted.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use fanfare_engine::DiskEngine;
use fanfare_fanout::{Fanout, Subscriber};
use fanfare_http::{Drain, ServeCounts};
use fanfare_hub::{Health, Hub};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::metrics;

/// What the answers are made of.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) hub: Hub,
    /// The log on disk, if that is where it lives.
    pub(crate) disk: Option<Arc<DiskEngine>>,
    pub(crate) serve: ServeCounts,
    pub(crate) fanout: Fanout,
    pub(crate) drain: Drain,
}

/// Serves `/healthz`, `/readyz`, `/metrics` and `/admin/subscribers`.
pub(crate) fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(counts))
        .route("/admin/subscribers", get(subscribers))
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
    let mut text =
        metrics::text(&admin.hub.counts(), &admin.serve, &admin.fanout.counts(), crate::heap_live_bytes());
    if let Some(disk) = &admin.disk {
        text.push_str(&metrics::disk_text(&disk.counts()));
    }
    (headers, text)
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
