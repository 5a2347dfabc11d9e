//! A chat room on a hub in the process, with axum. Who loses the connection misses nothing.
//!
//! `cargo run -p fanfare --example hub_axum --features axum-08 [ADDRESS]` prints `listening on http://127.0.0.1:3000`.
//!
//! `GET /rooms/7` is a stream that resumes, `POST /rooms/7` says the body to everyone in the room.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse};
use axum::{Router, routing::get};
use fanfare::{Event, Hub, LastEventId, Sse};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let hub = Hub::builder().history_events(1_000).build()?;
    let router = Router::new()
        .route("/", get(|| async { Html(include_str!("room.html")) }))
        .route("/rooms/{room}", get(room).post(say))
        .with_state(hub);
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}

/// From now on for who comes for the first time; for who comes back, what it missed and then from now on.
async fn room(State(hub): State<Hub>, Path(room): Path<String>, last: LastEventId) -> impl IntoResponse {
    Sse::new(hub.subscribe(format!("rooms/{room}")).after(last))
        .on_error(|error| eprintln!("a stream ended: {error}"))
}

async fn say(State(hub): State<Hub>, Path(room): Path<String>, text: String) -> impl IntoResponse {
    match hub.publish(format!("rooms/{room}"), Event::new(text)).await {
        Ok(published) => (StatusCode::OK, published.id.to_string()),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
    }
}
