//! A page and a stream of numbered ticks with hyper alone.
//!
//! `cargo run -p fanfare --example hyper --features hyper-1 [ADDRESS]` prints `listening on http://127.0.0.1:3000`.
//!
//! The contract of `/events`, the same in the examples `actix`, `axum` and `blocking`: events `id: n`, `data: tick n`,
//! numbered from 1, the first at once and then one every 200 ms. Who comes back with `Last-Event-ID: n` continues with
//! n + 1; an id that is not a number begins again at 1. `?count=N` ends the stream after N events with the close event
//! (`event: close`, `data: Closing the connection`).

use std::convert::Infallible;
use std::time::Duration;

use fanfare::{BoxError, Event, EventId, LastEventId, Sender, Sse, SseBody, WriteDeadline, channel};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A stream, or what is there as a whole. Whoever serves streams alone needs neither: `fanfare::hyper_1::service(handler)`.
type Body = Either<SseBody, Full<Bytes>>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (client, _) = listener.accept().await?;
        // A client that takes nothing is cut off; hyper alone would wait for it for ever.
        let client = WriteDeadline::new(client, Duration::from_secs(40));
        tokio::spawn(async {
            // An error here is one of the client's, and what it ends is the stream.
            http1::Builder::new().serve_connection(TokioIo::new(client), service_fn(respond)).await.ok();
        });
    }
}

async fn respond(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let whole = |status: StatusCode, kind: &str, body: &'static str| {
        let response = Response::builder().status(status).header("content-type", kind);
        response.body(Either::Right(Full::from(body))).expect("the parts are known to be good")
    };
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/events") => match count(request.uri().query().unwrap_or_default()) {
            Ok(count) => {
                let last = LastEventId::from_request(request.headers(), request.uri());
                events(&last, count).response_to(request.method()).map(Either::Left)
            }
            Err(_) => whole(StatusCode::BAD_REQUEST, "text/plain", "count has to be a number\n"),
        },
        (&Method::GET | &Method::HEAD, "/") => {
            whole(StatusCode::OK, "text/html; charset=utf-8", include_str!("page.html"))
        }
        (_, "/" | "/events") => whole(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET alone\n"),
        _ => whole(StatusCode::NOT_FOUND, "text/plain", "there is / and /events\n"),
    })
}

/// The value of `count`, by default no end.
fn count(query: &str) -> Result<u64, std::num::ParseIntError> {
    query.split('&').find_map(|pair| pair.strip_prefix("count=")).map_or(Ok(u64::MAX), str::parse)
}

fn events(last: &LastEventId, count: u64) -> Sse {
    let first = last.id().and_then(|id| id.as_str().parse::<u64>().ok()).map_or(1, |n| n.saturating_add(1));
    let (sender, sse) = channel(16);
    tokio::spawn(async move {
        // It fails when the client is gone, and then there is nothing left to do.
        tick(sender, first, count).await.ok();
    });
    sse
}

async fn tick(sender: Sender, first: u64, count: u64) -> Result<(), BoxError> {
    let mut clock = tokio::time::interval(Duration::from_millis(200));
    for n in (first..).take(usize::try_from(count).unwrap_or(usize::MAX)) {
        clock.tick().await;
        sender.send(Event::new(format!("tick {n}")).id(EventId::parse(n.to_string())?)).await?;
    }
    Ok(sender.close().await?)
}
