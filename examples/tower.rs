//! A page and a stream of numbered ticks as a service of tower, behind layers that know nothing of streams.
//!
//! `cargo run -p fanfare --example tower --features hyper-1 [ADDRESS]` prints `listening on http://127.0.0.1:3000`.
//!
//! The contract of `/events` is that of the example `hyper`.

use std::convert::Infallible;
use std::time::Duration;

use fanfare::{BoxError, Event, EventId, LastEventId, Sender, Sse, SseBody, WriteDeadline, channel};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // A stream is answered at once, so a limit on requests under way counts those that are being answered, never the streams.
    let service = ServiceBuilder::new()
        .concurrency_limit(64)
        .timeout(Duration::from_secs(10))
        .map_response(|response: Response<_>| {
            let mut response = response;
            response.headers_mut().insert("x-served-by", "tower".parse().expect("a value"));
            response
        })
        .service_fn(respond);
    loop {
        let (client, _) = listener.accept().await?;
        let client = WriteDeadline::new(client, Duration::from_secs(40));
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async {
            // An error here is one of the client's, and what it ends is the stream.
            http1::Builder::new().serve_connection(TokioIo::new(client), service).await.ok();
        });
    }
}

/// A stream, or what is there as a whole.
type Body = Either<SseBody, Full<Bytes>>;

async fn respond(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let whole = |status: StatusCode, kind: &str, body: &'static str| {
        let response = Response::builder().status(status).header("content-type", kind);
        response.body(Either::Right(Full::from(body))).expect("the parts are known to be good")
    };
    Ok(match request.uri().path() {
        "/events" => {
            let last = LastEventId::from_request(request.headers(), request.uri());
            let count = count(request.uri().query().unwrap_or_default());
            events(&last, count).response_to(request.method()).map(Either::Left)
        }
        "/" => whole(StatusCode::OK, "text/html; charset=utf-8", include_str!("page.html")),
        _ => whole(StatusCode::NOT_FOUND, "text/plain", "there is / and /events\n"),
    })
}

/// The value of `count`, by default no end.
fn count(query: &str) -> u64 {
    query.split('&').find_map(|pair| pair.strip_prefix("count=")?.parse().ok()).unwrap_or(u64::MAX)
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
