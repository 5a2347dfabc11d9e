//! One handler that answers with a stream or with JSON, as its client wishes, with axum.
//!
//! `cargo run -p fanfare --example accept_axum --features axum-08 [ADDRESS]` prints `listening on http://127.0.0.1:3000`.
//!
//! `curl localhost:3000/clock` gets the time as JSON, `curl -N -H 'Accept: text/event-stream' localhost:3000/clock` as a stream, and
//! `-H 'Accept: image/png'` a 406. `/ticks` is a stream alone, and `/table` is a stream or CSV, which takes a while to make.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::{Router, routing::get};
use fanfare::{Accept, Event, Negotiated, NotAcceptable, Sse};
use futures_util::stream;
use tokio::time::{interval, sleep};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let clock = async |accept: Accept| accept.dual(ticks, || json(&now()));
    let only = async |accept: Accept| accept.only(ticks);
    let router =
        Router::new().route("/clock", get(clock)).route("/ticks", get(only)).route("/table", get(table));
    axum::serve(listener, router).await
}

/// Whatever takes time to make is made only once the choice is clear.
async fn table(accept: Accept) -> Negotiated<impl IntoResponse> {
    let offered = ["text/event-stream", "text/csv"];
    match accept.preferred(&offered) {
        Some("text/csv") => {
            sleep(Duration::from_millis(100)).await;
            Negotiated::Other(([(CONTENT_TYPE, "text/csv")], format!("seconds\n{}\n", now())))
        }
        Some(_) => Negotiated::Stream(ticks()),
        None => Negotiated::NotAcceptable(NotAcceptable::offering(&offered)),
    }
}

fn ticks() -> Sse {
    Sse::new(stream::unfold(interval(Duration::from_secs(1)), |mut clock| async {
        clock.tick().await;
        Some((Event::new(now()), clock))
    }))
}

fn json(seconds: &str) -> impl IntoResponse + use<> {
    ([(CONTENT_TYPE, "application/json")], format!("{{\"seconds\":{seconds}}}\n"))
}

/// Seconds since 1970.
fn now() -> String {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string()
}
