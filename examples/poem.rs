//! A page and a stream of numbered ticks with poem, for which there is no adapter: an [`Sse`] is a response of the `http` crate with
//! an `http_body::Body`, and whatever takes that takes a stream.
//!
//! `cargo run -p fanfare --example poem --features tokio [ADDRESS]` prints `listening on http://127.0.0.1:3000`.
//!
//! The contract of `/events` is that of the examples `actix`, `axum`, `blocking` and `hyper`: events `id: n`, `data: tick n`,
//! numbered from 1, the first at once and then one every 200 ms. Who comes back with `Last-Event-ID: n` continues with
//! n + 1; an id that is not a number begins again at 1. `?count=N` ends the stream after N events with the close event
//! (`event: close`, `data: Closing the connection`).

use std::io;
use std::time::Duration;

use fanfare::{BoxError, Event, EventId, LastEventId, Sender, channel};
use futures_util::TryStreamExt;
use http_body_util::BodyExt;
use poem::listener::TcpAcceptor;
use poem::web::{Html, Query};
use poem::{Body, Request, Response, Route, Server, get, handler};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let routes = Route::new().at("/", get(page)).at("/events", get(events));
    Server::new_with_acceptor(TcpAcceptor::from_tokio(listener)?).run(routes).await?;
    Ok(())
}

#[handler]
fn page() -> Html<&'static str> {
    Html(include_str!("page.html"))
}

#[derive(serde::Deserialize)]
struct Wanted {
    count: Option<u64>,
}

#[handler]
fn events(request: &Request, Query(Wanted { count }): Query<Wanted>) -> Response {
    let last = LastEventId::from_request(request.headers(), request.uri());
    let first = last.id().and_then(|id| id.as_str().parse::<u64>().ok()).map_or(1, |n| n.saturating_add(1));
    let (sender, sse) = channel(16);
    tokio::spawn(async move {
        // It fails when the client is gone, and then there is nothing left to do.
        tick(sender, first, count.unwrap_or(u64::MAX)).await.ok();
    });
    let (head, body) = sse.response_to(request.method()).into_parts();
    let body = Body::from_bytes_stream(body.into_data_stream().map_err(io::Error::other));
    let mut response = Response::from(body);
    response.set_status(head.status);
    *response.headers_mut() = head.headers;
    response
}

async fn tick(sender: Sender, first: u64, count: u64) -> Result<(), BoxError> {
    let mut clock = tokio::time::interval(Duration::from_millis(200));
    for n in (first..).take(usize::try_from(count).unwrap_or(usize::MAX)) {
        clock.tick().await;
        sender.send(Event::new(format!("tick {n}")).id(EventId::parse(n.to_string())?)).await?;
    }
    Ok(sender.close().await?)
}
