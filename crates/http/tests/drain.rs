//! Stopping in order: nobody new, streams end with a `retry`, what is left is cut, and it is over within bounds.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::socket::{Client, Server};
use common::{HUB, hub, until};
use fanfare_http::{Access, ConnectionLimits, Drain, Mercure};
use fanfare_hub::Hub;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

const WINDOW: Duration = Duration::from_millis(200);

fn server(hub: &Hub, limits: ConnectionLimits) -> Server {
    let drain = Drain::new();
    let app = Mercure::new(hub.clone()).access(Access::open()).drain(drain.clone()).router();
    Server::start(app, limits, drain)
}

async fn subscriber(server: &Server) -> Client {
    let mut client = server.connect().await;
    client.request(&format!("{HUB}?match=a")).await;
    client.head().await;
    client.until(":\n").await;
    client
}

#[tokio::test]
async fn streams_end_cleanly_each_with_a_retry_of_its_own_m063_m065() {
    let hub = hub();
    let server = server(&hub, ConnectionLimits::default());
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(subscriber(&server).await);
    }
    server.drain.begin(WINDOW);
    let mut retries = std::collections::HashSet::new();
    for client in &mut clients {
        let last = client.rest().await;
        assert!(last.starts_with("retry: ") && last.ends_with("\n\n"), "{last:?}");
        assert!(client.has_whole_body());
        retries.insert(last);
    }
    assert!(retries.len() > 25, "the clients come back at moments of their own: {retries:?}");
    server.ended().await;
    assert_eq!(hub.counts().subscribers, 0);
}

#[tokio::test]
async fn nobody_is_accepted_any_more_and_idle_connections_are_closed() {
    let hub = hub();
    let server = server(&hub, ConnectionLimits::default());
    let address = server.address;
    let mut streaming = subscriber(&server).await;
    let mut idle = server.connect().await;
    idle.send(format!("OPTIONS {HUB} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    idle.until("\r\n\r\n").await;

    server.drain.begin(WINDOW);
    assert_eq!(idle.rest().await, "");
    streaming.rest().await;
    server.ended().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn events_arrive_until_the_stream_ends() {
    let hub = hub();
    let server = server(&hub, ConnectionLimits::default());
    let mut client = subscriber(&server).await;
    server.drain.begin(Duration::from_secs(3600));
    hub.publish("a", fanfare_wire::Event::new("late")).await.unwrap();
    // The window is an hour: that this stream has left already is one in millions.
    client.until("data: late\n\n").await;
}

/// Who neither reads nor leaves does not hold the process.
#[tokio::test]
async fn what_does_not_end_is_cut_after_the_grace() {
    let hub = hub();
    let limits = ConnectionLimits { drain_grace: WINDOW, ..ConnectionLimits::default() };
    let server = server(&hub, limits);
    let stalled = subscriber(&server).await;
    let mut half_a_request = server.connect().await;
    half_a_request.send("GET / HT").await;
    until(|| server.counts.connections_open() >= 2).await;
    // More than the kernel's buffers hold, so that the farewell has no room.
    for _ in 0..60 {
        hub.publish("a", fanfare_wire::Event::new("x".repeat(200_000))).await.unwrap();
        tokio::task::yield_now().await;
    }
    server.drain.begin(Duration::ZERO);
    server.ended().await;
    drop(stalled);
}

#[tokio::test]
async fn http2_streams_end_too_and_share_a_connection() {
    let hub = hub();
    let server = server(&hub, ConnectionLimits::default());
    let io = TokioIo::new(TcpStream::connect(server.address).await.unwrap());
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);

    let mut bodies = Vec::new();
    for _ in 0..20 {
        let request = http::Request::get(format!("http://localhost{HUB}?match=a"))
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .unwrap();
        let response = sender.clone().send_request(request).await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_2);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(!response.headers().contains_key("connection"));
        bodies.push(response.into_body());
    }
    hub.publish("a", fanfare_wire::Event::new("to all")).await.unwrap();
    server.drain.begin(WINDOW);
    for body in bodies {
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        assert!(text.contains("data: to all\n\n") && text.contains("retry: "), "{text}");
    }
    server.ended().await;
    connection.await.unwrap().unwrap();
}
