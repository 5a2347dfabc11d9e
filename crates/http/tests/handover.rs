//! A connection leaves the HTTP library when its response is a hub's stream, and only then; either way nothing is lost.
#![allow(clippy::unwrap_used)]

mod common;

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use axum::{Router, http::HeaderMap};
use common::socket::{Client, Server};
use common::{HUB, PATIENCE, app, hub, until};
use fanfare_fanout::Ended;
use fanfare_http::{ConnectionLimits, Drain};
use fanfare_hub::{Hub, Subscription};
use fanfare_stream::{KeepAlive, LastEventId, Sse};
use fanfare_wire::{Event, Frame};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

/// Somebody's application: a stream of the hub's, and a little of everything else.
fn application(hub: &Hub) -> Router {
    let stream = async |State(hub): State<Hub>, last: LastEventId| Sse::new(subscription(&hub).after(last));
    let own = async |State(hub): State<Hub>| {
        let greeting = futures_util::stream::iter([Ok(Frame::from(Event::new("hello")))]);
        Sse::new(greeting.chain(subscription(&hub).map(|each| each.map(|delivery| delivery.frame()))))
    };
    Router::new()
        .route("/stream", any(stream))
        .route("/kept", get(async |State(hub): State<Hub>| Sse::new(subscription(&hub)).keep_on_http()))
        .route("/reported", get(async |State(hub): State<Hub>| Sse::new(subscription(&hub)).on_error(|_| ())))
        .route("/own", get(own))
        .route(
            "/opened",
            get(async |State(hub): State<Hub>| {
                let stream =
                    Sse::new(subscription(&hub)).opening(Event::new("first")).keep_alive(KeepAlive::off());
                ([("x-shaped", "by the handler"), ("set-cookie", "a=b")], stream.response()).into_response()
            }),
        )
        .route("/large", get(async || Body::from(vec![b'x'; LARGE])))
        .route(
            "/read",
            post(async |State(hub): State<Hub>, body: Bytes| {
                let opening = Event::new(format!("{} bytes", body.len()));
                Sse::new(subscription(&hub)).opening(opening)
            }),
        )
        .route("/unread", post(async |State(hub): State<Hub>, _: HeaderMap| Sse::new(subscription(&hub))))
        .with_state(hub.clone())
}

const LARGE: usize = 20 * 1024 * 1024;

fn subscription(hub: &Hub) -> Subscription {
    hub.subscribe("a").bookmarks(false)
}

fn serve(app: Router) -> Server {
    Server::start(app, ConnectionLimits::default(), Drain::new())
}

async fn publish(hub: &Hub, data: &str) {
    hub.publish("a", Event::new(data.to_owned())).await.unwrap();
}

fn adopted(server: &Server) -> u64 {
    server.counts.fanout().unwrap().counts().adopted
}

fn ended(server: &Server, how: Ended) -> u64 {
    server.counts.fanout().unwrap().counts().ended(how)
}

/// Asks for `target`, waits until the hub has the subscriber, and has an event arrive.
async fn streamed(server: &Server, hub: &Hub, request: &str) -> (Client, String) {
    let mut client = server.connect().await;
    client.send(request).await;
    let mut seen = client.head().await;
    until(|| hub.counts().subscribers == 1).await;
    publish(hub, "it works").await;
    seen += &client.until("data: it works\n\n").await;
    (client, seen)
}

fn get_of(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

#[tokio::test]
async fn a_hubs_stream_leaves_the_http_library_with_the_head_as_it_was_shaped() {
    let hub = hub();
    let server = serve(application(&hub));
    let (_client, seen) = streamed(&server, &hub, &get_of("/opened")).await;
    let head = seen.split_once("\r\n\r\n").unwrap().0.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    let lines = [
        "content-type: text/event-stream",
        "x-shaped: by the handler",
        "set-cookie: a=b",
        "transfer-encoding: chunked",
        "connection: close",
    ];
    for line in lines {
        assert_eq!(head.lines().filter(|each| *each == line).count(), 1, "{line} in {head}");
    }
    assert!(head.contains("\r\ndate: "), "{head}");
    assert!(seen.contains("\r\n\r\ndata: first\n\n"), "{seen}");
    assert_eq!(adopted(&server), 1);
    until(|| server.counts.connections_on_http() == 0).await;
    assert_eq!(server.counts.connections_open(), 1);
}

#[tokio::test]
async fn the_hubs_own_endpoint_is_handed_over() {
    let hub = hub();
    let server = serve(app(&hub));
    let (_client, seen) = streamed(&server, &hub, &get_of(&format!("{HUB}?match=a"))).await;
    assert!(seen.contains("\r\n\r\n:\n"), "{seen}");
    assert_eq!(adopted(&server), 1);
}

/// P2.
#[tokio::test]
async fn a_large_response_before_the_stream_arrives_whole() {
    let hub = hub();
    let server = serve(application(&hub));
    let mut client = server.connect().await;
    client.send(get_of("/large") + &get_of("/stream")).await;
    let large = client.until("\r\n\r\n").await;
    assert!(large.to_ascii_lowercase().contains(&format!("content-length: {LARGE}")), "{large}");
    let between = client.until("text/event-stream").await;
    assert_eq!(between.find("HTTP/1.1 200 OK\r\n"), Some(LARGE));
    assert!(between.as_bytes()[..LARGE].iter().all(|&byte| byte == b'x'));
    client.until("\r\n\r\n").await;
    until(|| hub.counts().subscribers == 1).await;
    publish(&hub, "behind").await;
    assert_eq!(client.until("\n\n").await.lines().last(), Some(""));
    assert_eq!(adopted(&server), 1);
}

#[tokio::test]
async fn head_gets_the_head_and_keeps_its_connection() {
    let hub = hub();
    let server = serve(application(&hub));
    let mut client = server.connect().await;
    client.send("HEAD /stream HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(client.until("\r\n\r\n").await.contains("text/event-stream"));
    client.send(get_of("/nothing")).await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 404"));
    assert_eq!((adopted(&server), hub.counts().subscribers), (0, 0));
}

#[tokio::test]
async fn http_1_0_is_handed_over_and_answered_in_kind() {
    let hub = hub();
    let server = serve(application(&hub));
    let (_client, seen) = streamed(&server, &hub, "GET /stream HTTP/1.0\r\n\r\n").await;
    assert!(seen.starts_with("HTTP/1.0 200 OK\r\n") && !seen.contains("transfer-encoding"), "{seen}");
    assert!(seen.contains("\r\n\r\nid: "), "{seen}");
    assert_eq!(adopted(&server), 1);
}

#[tokio::test]
async fn a_request_whose_body_was_read_is_handed_over_expected_or_not() {
    let hub = hub();
    for expect in ["", "Expect: 100-continue\r\n"] {
        let server = serve(application(&hub));
        let head = format!("POST /read HTTP/1.1\r\nHost: localhost\r\n{expect}Content-Length: 7\r\n\r\n");
        let mut client = server.connect().await;
        client.send(head).await;
        if !expect.is_empty() {
            client.until("HTTP/1.1 100 Continue\r\n\r\n").await;
        }
        client.send("7 bytes").await;
        let seen = client.until("data: 7 bytes\n\n").await;
        assert!(seen.starts_with("HTTP/1.1 200 OK\r\n"), "{seen}");
        assert_eq!(adopted(&server), 1);
    }
}

#[tokio::test]
async fn a_request_whose_body_nobody_reads_stays_where_it_is() {
    let hub = hub();
    let server = serve(application(&hub));
    let request = "POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n";
    streamed(&server, &hub, request).await;
    assert_eq!(adopted(&server), 0);
}

/// P5.
#[tokio::test]
async fn what_a_client_sends_behind_its_request_is_thrown_away_up_to_a_bound() {
    let hub = hub();
    let server = serve(application(&hub));
    let (mut client, _) = streamed(&server, &hub, &(get_of("/stream") + &get_of("/large"))).await;
    client.send(vec![b'x'; 1_000]).await;
    publish(&hub, "still").await;
    client.until("data: still\n\n").await;
    client.send(vec![b'x'; 200 * 1024]).await;
    until(|| ended(&server, Ended::TooMuchInput) == 1).await;
    assert_eq!(hub.counts().subscribers, 0);
}

#[tokio::test]
async fn a_client_that_closes_its_side_has_gone() {
    let hub = hub();
    let server = serve(application(&hub));
    let (mut client, _) = streamed(&server, &hub, &get_of("/stream")).await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.socket).await.unwrap();
    until(|| ended(&server, Ended::ByClient) == 1).await;
    until(|| hub.counts().subscribers == 0 && server.counts.connections_open() == 0).await;
}

#[tokio::test]
async fn layers_that_wrap_the_body_lose_it_and_what_they_put_into_the_head_stays() {
    let hub = hub();
    let layers = (
        TraceLayer::new_for_http(),
        CorsLayer::permissive(),
        TimeoutLayer::with_status_code(http::StatusCode::REQUEST_TIMEOUT, Duration::from_secs(10)),
    );
    let server = serve(application(&hub).layer(layers));
    let (_client, seen) = streamed(&server, &hub, &get_of("/stream")).await;
    assert!(seen.contains("access-control-allow-origin: *"), "{seen}");
    assert_eq!(adopted(&server), 1);
}

#[tokio::test]
async fn a_layer_that_encodes_the_body_keeps_it() {
    let hub = hub();
    let compression = CompressionLayer::new()
        .compress_when(|_: http::StatusCode, _: http::Version, _: &HeaderMap, _: &http::Extensions| true);
    let server = serve(application(&hub).layer(compression));
    let mut client = server.connect().await;
    client.send("GET /stream HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n").await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.contains("content-encoding: gzip"), "{head}");
    assert_eq!(adopted(&server), 0);
}

#[tokio::test]
async fn streams_of_anybody_elses_stay_where_they_are_and_work() {
    let hub = hub();
    for target in ["/kept", "/own", "/reported"] {
        let server = serve(application(&hub));
        let (client, seen) = streamed(&server, &hub, &get_of(target)).await;
        assert!(seen.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{target}: {seen}");
        assert_eq!((adopted(&server), server.counts.connections_on_http()), (0, 1), "{target}");
        drop((client, server));
        until(|| hub.counts().subscribers == 0).await;
    }
}

/// P1, P2, P3.
#[tokio::test]
async fn a_client_resumes_in_an_application_of_ones_own() {
    let hub = hub();
    let server = serve(application(&hub));
    let first = hub.publish("a", Event::new("1")).await.unwrap().id;
    publish(&hub, "2").await;
    let mut client = server.connect().await;
    client.send(format!("GET /stream HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {first}\r\n\r\n")).await;
    let seen = client.until("data: 2\n\n").await;
    assert!(!seen.contains("data: 1\n"), "{seen}");
    assert_eq!(adopted(&server), 1);
}

#[tokio::test]
async fn a_drain_ends_what_was_handed_over_and_what_was_not() {
    let hub = hub();
    let drain = Drain::new();
    let server = Server::start(application(&hub), ConnectionLimits::default(), drain.clone());
    let (mut client, _) = streamed(&server, &hub, &get_of("/stream")).await;
    drain.begin(Duration::from_millis(50));
    let last = client.rest().await;
    assert!(last.starts_with("retry: ") && last.ends_with("\n\n"), "{last}");
    assert!(client.has_whole_body());
    server.ended().await;
    assert_eq!(hub.counts().subscribers, 0);
}

#[tokio::test]
async fn serving_that_is_given_up_cuts_its_streams() {
    let hub = hub();
    let server = serve(application(&hub));
    let (mut client, _) = streamed(&server, &hub, &get_of("/stream")).await;
    drop(server);
    assert_eq!(client.rest().await, "");
    assert!(!client.has_whole_body(), "it was cut, and did not end");
    until(|| hub.counts().subscribers == 0).await;
}

#[tokio::test]
async fn over_http2_streams_stay_with_the_http_library() {
    let hub = hub();
    let server = serve(application(&hub));
    let socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(format!("http://{}/stream", server.address));
    let request = request.body(http_body_util::Empty::<Bytes>::new()).unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    publish(&hub, "over 2").await;
    let frame = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
    assert!(frame.into_data().unwrap().ends_with(b"data: over 2\n\n"));
    assert_eq!(adopted(&server), 0);
}

#[tokio::test]
async fn an_upgraded_connection_is_the_handlers_own() {
    let upgrade = async |mut request: axum::extract::Request| {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgraded.await.unwrap());
            tokio::io::AsyncWriteExt::write_all(&mut io, b"another protocol").await.unwrap();
        });
        let headers = [("connection", "upgrade"), ("upgrade", "other")];
        Ok::<_, Infallible>((http::StatusCode::SWITCHING_PROTOCOLS, headers))
    };
    let server = serve(Router::new().route("/", get(upgrade)));
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n").await;
    client.until("another protocol").await;
}
