//! A page and a stream of numbered ticks with actix-web.
//!
//! `cargo run -p fanfare --example actix --features actix-4,tcp [ADDRESS]` prints `listening on http://127.0.0.1:3000`.
//!
//! The contract of `/events`, the same in the examples `axum`, `blocking` and `hyper`: events `id: n`, `data: tick n`,
//! numbered from 1, the first at once and then one every 200 ms. Who comes back with `Last-Event-ID: n` continues with
//! n + 1; an id that is not a number begins again at 1. `?count=N` ends the stream after N events with the close event
//! (`event: close`, `data: Closing the connection`).

use std::any::Any;
use std::time::Duration;

use actix_web::dev::Extensions;
use actix_web::rt::System;
use actix_web::rt::net::TcpStream;
use actix_web::web::{self, Html, Query};
use actix_web::{App, HttpServer};
use fanfare::{Event, EventId, LastEventId, Sender, Sse, channel};

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let page = || async { Html::new(include_str!("page.html")) };
    let app = move || {
        let stream = web::resource("/events").get(events).route(web::head().to(events));
        App::new().route("/", web::get().to(page)).service(stream)
    };
    let server = HttpServer::new(app).on_connect(cut_stalled).bind(address)?;
    for address in server.addrs() {
        println!("listening on http://{address}");
    }
    System::new().block_on(server.run())
}

/// A client that takes nothing is cut off; actix-web alone would wait for it for ever.
fn cut_stalled(socket: &dyn Any, _: &mut Extensions) {
    if let Some(socket) = socket.downcast_ref::<TcpStream>() {
        // Linux alone can. Elsewhere the stream ends all the same, and the connection stays.
        fanfare::tcp::cut_stalled(socket, Duration::from_secs(40)).ok();
    }
}

#[derive(serde::Deserialize)]
struct Wanted {
    count: Option<u64>,
}

async fn events(last: LastEventId, Query(Wanted { count }): Query<Wanted>) -> Sse {
    let first = last.id().and_then(|id| id.as_str().parse::<u64>().ok()).map_or(1, |n| n.saturating_add(1));
    let (sender, sse) = channel(16);
    actix_web::rt::spawn(async move {
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
