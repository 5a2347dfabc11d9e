//! Whose request it is behind proxies that are trusted and before others, and how many connections one client may have.
#![allow(clippy::unwrap_used)]

mod common;

use std::num::NonZeroUsize;
use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Router};
use common::socket::{Client, Server};
use common::{HUB, PATIENCE, app, hub, until};
use fanfare_http::{ClientInfo, ConnectionLimits, Drain, Origins, TrustedProxies};
use fanfare_wire::Event;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// This machine is the proxy.
const LOOPBACK: &str = "127.0.0.0/8";
/// Somewhere else.
const ELSEWHERE: &str = "10.0.0.0/8";

fn trusting(proxies: &str) -> TrustedProxies {
    proxies.parse().unwrap()
}

/// Answers with what it knows of who asks.
fn whoami() -> Router {
    let answer = async |Extension(client): Extension<ClientInfo>| {
        let host = client.host.unwrap_or_default();
        format!("address={} peer={} scheme={} host={host}.", client.address, client.peer.ip(), client.scheme)
    };
    Router::new().route("/", get(answer))
}

fn server(app: Router, limits: ConnectionLimits, proxies: TrustedProxies) -> Server {
    Server::start_with(app, limits, Drain::new(), |serve| serve.trusted_proxies(proxies))
}

fn request(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: hub.test\r\nConnection: close\r\n{fields}\r\n")
}

/// A header of the PROXY protocol, version 2, that says 198.51.100.7.
fn announcement() -> Vec<u8> {
    let address = [198, 51, 100, 7, 10, 0, 0, 1, 0xc3, 0x50, 0, 80];
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &address].concat()
}

#[tokio::test]
async fn forwarding_headers_count_from_trusted_proxies_alone() {
    for (fields, expected) in [
        ("", "address=127.0.0.1 peer=127.0.0.1 scheme=http host=hub.test."),
        (
            "X-Forwarded-For: 203.0.113.9, 198.51.100.7\r\nX-Forwarded-Proto: https\r\n",
            "address=198.51.100.7 peer=127.0.0.1 scheme=https host=hub.test.",
        ),
        (
            "Forwarded: for=\"[2001:db8::7]\";proto=https;host=a.test\r\n",
            "address=2001:db8::7 peer=127.0.0.1 scheme=https host=a.test.",
        ),
    ] {
        let believing = server(whoami(), ConnectionLimits::default(), trusting(LOOPBACK));
        let answer = believing.answer(request(fields)).await;
        assert!(answer.ends_with(expected), "{answer}");
        let doubting = server(whoami(), ConnectionLimits::default(), trusting(ELSEWHERE));
        let answer = doubting.answer(request(fields)).await;
        assert!(answer.ends_with("address=127.0.0.1 peer=127.0.0.1 scheme=http host=hub.test."), "{answer}");
    }
}

#[tokio::test]
async fn a_malformed_forwarded_through_a_trusted_proxy_is_400() {
    let server = server(whoami(), ConnectionLimits::default(), trusting(LOOPBACK));
    let answer = server.answer(request("Forwarded: for=\"x, for=198.51.100.7\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("The header Forwarded"), "{answer}");
}

#[tokio::test]
async fn the_proxy_protocol_says_whose_connection_it_is() {
    let server = server(whoami(), ConnectionLimits::default(), trusting(LOOPBACK).proxy_protocol());
    let answer = server.answer([announcement(), request("").into_bytes()].concat()).await;
    assert!(answer.ends_with("address=198.51.100.7 peer=127.0.0.1 scheme=http host=hub.test."), "{answer}");
    // One that is not trusted has said it, through the proxy.
    let fields = request("X-Forwarded-For: 192.0.2.1\r\n").into_bytes();
    let answer = server.answer([announcement(), fields].concat()).await;
    assert!(answer.contains("address=198.51.100.7 "), "{answer}");
    // The proxy asks for itself whether we live.
    let own = [b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(), request("").into_bytes()].concat();
    assert!(server.answer(own).await.contains("address=127.0.0.1 "));
}

#[tokio::test]
async fn a_trusted_proxy_that_does_not_speak_the_protocol_is_cut_without_an_answer() {
    let limits =
        ConnectionLimits { handshake_timeout: Duration::from_millis(100), ..ConnectionLimits::default() };
    let server = server(whoami(), limits, trusting(LOOPBACK).proxy_protocol());
    let version_1 = format!("PROXY TCP4 198.51.100.7 10.0.0.1 50000 80\r\n{}", request(""));
    let mut datagram = announcement();
    datagram[13] = 0x12;
    for bytes in [
        request("").as_bytes(),
        version_1.as_bytes(),
        &datagram,
        // And those that do not get to its end.
        b"",
        &announcement()[..20],
    ] {
        assert_eq!(server.answer(bytes).await, "", "{bytes:?}");
    }
    until(|| server.counts.handshake_failures() == 5).await;
}

#[tokio::test]
async fn nobody_else_may_speak_the_proxy_protocol() {
    let server = server(whoami(), ConnectionLimits::default(), trusting(ELSEWHERE).proxy_protocol());
    let answer = server.answer([announcement(), request("").into_bytes()].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.contains("198.51.100.7"), "{answer}");
    assert!(server.answer(request("")).await.contains("address=127.0.0.1 "));
}

#[tokio::test]
async fn the_list_of_subscribers_names_the_client_and_not_the_proxy() {
    let hub = hub();
    let server = server(app(&hub), ConnectionLimits::default(), trusting(LOOPBACK));
    let mut client = server.connect().await;
    client
        .send(format!("GET {HUB}?match=a HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n"))
        .await;
    client.until(":\n").await;
    until(|| server.counts.fanout().is_some_and(|fanout| fanout.counts().connections == 1)).await;
    let listed = server.counts.fanout().unwrap().subscribers(9).await;
    assert_eq!(listed[0].client, Some("198.51.100.7".parse().unwrap()));
    assert_eq!(listed[0].address, Some(client.socket.local_addr().unwrap()));
}

fn at_most(count: usize) -> ConnectionLimits {
    ConnectionLimits { per_client_max: NonZeroUsize::new(count), ..ConnectionLimits::default() }
}

async fn subscriber(server: &Server, fields: &str) -> Client {
    let mut client = server.connect().await;
    client.send(format!("GET {HUB}?match=a HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    client.until(":\n").await;
    client
}

async fn refused(server: &Server, fields: &str) -> String {
    let mut client = server.connect().await;
    client.send(format!("GET {HUB}?match=a HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    client.rest().await.to_ascii_lowercase()
}

#[tokio::test]
async fn a_client_with_too_many_connections_is_429_or_sent_away_for_a_while_m033_m180() {
    let hub = hub();
    let server = server(app(&hub), at_most(2), TrustedProxies::default());
    let mut first = subscriber(&server, "").await;
    let second = subscriber(&server, "").await;

    let answer = refused(&server, "").await;
    assert!(answer.starts_with("http/1.1 429 ") && answer.contains("\r\nretry-after: "), "{answer}");
    assert!(answer.ends_with("one client may have 2 connections at a time.\n"), "{answer}");
    // `EventSource` would give up for good.
    let answer = refused(&server, "Accept: text/event-stream\r\n").await;
    assert!(answer.starts_with("http/1.1 200 ") && answer.contains("\r\n\r\nretry: "), "{answer}");
    assert_eq!(server.counts.refused_per_client(), 2);

    // Those that it has go on, and one that ends makes room; the fan-out has had it meanwhile.
    hub.publish("a", Event::new("still here")).await.unwrap();
    first.until("data: still here\n\n").await;
    drop(second);
    let third = async {
        loop {
            let answer = server.answer(request("")).await;
            if answer.starts_with("HTTP/1.1 404 ") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, third).await.expect("room");
}

/// Without these headers `EventSource` gives up for good, whatever the answer.
#[tokio::test]
async fn a_page_of_another_origin_may_read_that_its_client_has_too_many_connections_m122() {
    let hub = hub();
    let origins = Origins::parse(["https://app.test"]).unwrap();
    let server = Server::start_with(app(&hub), at_most(1), Drain::new(), |serve| serve.cors(origins));
    let _first = subscriber(&server, "").await;
    for accept in ["text/event-stream", "*/*"] {
        let mut fields = format!("Accept: {accept}\r\n");
        let answer = refused(&server, &fields).await;
        assert!(!answer.contains("access-control-allow"), "{answer}");
        fields.push_str("Origin: https://app.test\r\n");
        let answer = refused(&server, &fields).await;
        assert!(answer.contains("retry"), "{answer}");
        for line in [
            "access-control-allow-origin: https://app.test",
            "access-control-allow-credentials: true",
            "vary: origin",
        ] {
            assert!(answer.contains(&format!("\r\n{line}")), "{line} in {answer}");
        }
        let answer = refused(&server, "Origin: https://evil.test\r\n").await;
        assert!(!answer.contains("access-control-allow-origin"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_with_twice_as_many_gets_no_answer() {
    let hub = hub();
    let server = server(app(&hub), at_most(1), TrustedProxies::default());
    let _subscriber = subscriber(&server, "").await;
    let _waiting = server.connect().await;
    until(|| server.counts.connections_opened() == 2).await;
    assert_eq!(server.connect().await.rest().await, "");
}

fn at_most_in_all(count: usize) -> ConnectionLimits {
    ConnectionLimits { connections_max: NonZeroUsize::new(count), ..ConnectionLimits::default() }
}

#[tokio::test]
async fn with_too_many_connections_in_all_who_comes_is_429_or_sent_away_for_a_while_m033_m180() {
    let hub = hub();
    let server = server(app(&hub), at_most_in_all(2), TrustedProxies::default());
    let mut first = subscriber(&server, "").await;
    let second = subscriber(&server, "").await;
    until(|| server.counts.connections_on_http() == 0).await;

    let answer = refused(&server, "").await;
    assert!(answer.starts_with("http/1.1 429 ") && answer.contains("\r\nretry-after: "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("there are as many connections as there may be.\n"), "{answer}");
    let answer = refused(&server, "Accept: text/event-stream\r\n").await;
    assert!(answer.starts_with("http/1.1 200 ") && answer.contains("\r\n\r\nretry: "), "{answer}");
    assert_eq!((server.counts.refused_full(), server.counts.refused_per_client()), (2, 0));

    hub.publish("a", Event::new("still here")).await.unwrap();
    first.until("data: still here\n\n").await;
    drop(second);
    let third = async { while !server.answer(request("")).await.starts_with("HTTP/1.1 404 ") {} };
    tokio::time::timeout(PATIENCE, third).await.expect("room");
}

#[tokio::test]
async fn with_far_too_many_connections_in_all_who_comes_gets_no_answer() {
    let server = server(app(&hub()), at_most_in_all(1), TrustedProxies::default());
    let mut open = Vec::new();
    for _ in 0..17 {
        open.push(server.connect().await);
    }
    until(|| server.counts.connections_on_http() == 17).await;
    assert_eq!(server.connect().await.rest().await, "");
    assert_eq!(server.counts.refused_full(), 1);
}

/// Whoever stays connected over HTTP/2 is refused no longer than there are too many.
#[tokio::test]
async fn a_connection_over_http2_that_came_too_early_is_served_when_there_is_room() {
    // A request counts beside its connection.
    for (limits, others) in [(at_most_in_all(1), 1), (at_most(2), 2)] {
        let server = server(app(&hub()), limits, TrustedProxies::default());
        let mut first = Vec::new();
        for _ in 0..others {
            first.push(server.connect().await);
        }
        until(|| server.counts.connections_on_http() == others).await;
        let io = TokioIo::new(TcpStream::connect(server.address).await.unwrap());
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let ask = || {
            let request =
                http::Request::get(format!("http://localhost{HUB}")).body(Empty::<bytes::Bytes>::new());
            let answer = sender.clone().send_request(request.unwrap());
            async { answer.await.unwrap().status().as_u16() }
        };
        assert_eq!(ask().await, 429);
        let head =
            http::Request::head(format!("http://localhost{HUB}")).body(Empty::<bytes::Bytes>::new()).unwrap();
        let refused = sender.clone().send_request(head).await.unwrap();
        assert_eq!(refused.status(), 429);
        assert!(refused.into_body().collect().await.expect("no body").to_bytes().is_empty());
        drop(first);
        let room = async { while ask().await == 429 {} };
        tokio::time::timeout(PATIENCE, room).await.expect("room");
        assert_eq!(ask().await, 400);
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_is_counted_for_itself() {
    let hub = hub();
    let server = server(app(&hub), at_most(1), trusting(LOOPBACK));
    let mine = "X-Forwarded-For: 198.51.100.7\r\n";
    let first = subscriber(&server, mine).await;
    let _other = subscriber(&server, "X-Forwarded-For: 198.51.100.8\r\n").await;
    // Who is not named may be anybody.
    let _unnamed = (subscriber(&server, "").await, subscriber(&server, "").await);

    // The proxy's connection is not what is too much, and serves the next.
    let mut proxy = server.connect().await;
    proxy.send(format!("GET {HUB}?match=a HTTP/1.1\r\nHost: a\r\n{mine}\r\n")).await;
    assert!(proxy.until("at a time.\n").await.starts_with("HTTP/1.1 429 "));
    drop(first);
    let room = async {
        loop {
            proxy.send(format!("HEAD {HUB}?match=a HTTP/1.1\r\nHost: a\r\n{mine}\r\n")).await;
            if proxy.until("\r\n\r\n").await.starts_with("HTTP/1.1 200 ") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, room).await.expect("room");
}

#[tokio::test]
async fn streams_over_http2_count_beside_their_connection() {
    let hub = hub();
    let server = server(app(&hub), at_most(3), TrustedProxies::default());
    let io = TokioIo::new(TcpStream::connect(server.address).await.unwrap());
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let ask = |accept: &'static str| {
        let request = http::Request::get(format!("http://localhost{HUB}?match=a")).header("accept", accept);
        sender.clone().send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap())
    };
    let mut streams = Vec::new();
    for _ in 0..2 {
        streams.push(ask("*/*").await.unwrap());
    }
    assert!(streams.iter().all(|response| response.status() == 200));
    assert_eq!(ask("*/*").await.unwrap().status(), 429);
    let sent_away = ask("text/event-stream").await.unwrap();
    assert_eq!(sent_away.status(), 200);
    assert!(sent_away.into_body().collect().await.unwrap().to_bytes().starts_with(b"retry: "));
    streams.pop();
    let room = async { while ask("*/*").await.unwrap().status() != 200 {} };
    tokio::time::timeout(PATIENCE, room).await.expect("room");
}
