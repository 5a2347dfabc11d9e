//! A page and a stream of numbered ticks with axum.
//!
//! `cargo run -p fanfare --example axum --features axum-08 [ADDRESS]` prints `listening on http://127.0.0.1:3000`.
//!
//! The contract of `/events`, the same in the examples `actix`, `blocking` and `hyper`: events `id: n`, `data: tick n`,
//! numbered from 1, the first at once and then one every 200 ms. Who comes back with `Last-Event-ID: n` continues with
//! n + 1; an id that is not a number begins again at 1. `?count=N` ends the stream after N events with the close event
//! (`event: close`, `data: Closing the connection`).

use std::time::Duration;

use axum::extract::Query;
use axum::response::Html;
use axum::{Router, routing::get};
use fanfare::{Event, EventId, LastEventId, Sender, Sse, channel};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let page = || async { Html(include_str!("page.html")) };
    axum::serve(listener, Router::new().route("/", get(page)).route("/events", get(events))).await?;
    Ok(())
}

#[derive(serde::Deserialize)]
struct Wanted {
    count: Option<u64>,
}

async fn events(last: LastEventId, Query(Wanted { count }): Query<Wanted>) -> Sse {
    let first = last.id().and_then(|id| id.as_str().parse::<u64>().ok()).map_or(1, |n| n.saturating_add(1));
    let (sender, sse) = channel(16);
    tokio::spawn(async move {
        // It fails when the client is gone, and then there is nothing left to do.
        tick(sender, first, count.unwrap_or(u64::MAX)).await.ok();
    });
    sse
}

async fn tick(
    sender: Sender,
    first: u64,
    count: u64,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut clock = tokio::time::interval(Duration::from_millis(200));
    for n in (first..).take(usize::try_from(count).unwrap_or(usize::MAX)) {
        clock.tick().await;
        sender.send(Event::new(format!("tick {n}")).id(EventId::parse(n.to_string())?)).await?;
    }
    Ok(sender.close().await?)
}
