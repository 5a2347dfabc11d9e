//! What ends by itself, whatever a client takes or keeps open.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use axum::routing::get;
use common::socket::Server;
use common::{HUB, PATIENCE, app, hub, until};
use fanfare_http::{Access, ConnectionLimits, Drain, Mercure};
use fanfare_hub::Hub;

const SHORT: Duration = Duration::from_millis(200);

/// Publishes to a stream of topic `a`, and reads it.
async fn still_gets_events(hub: &Hub, body: &mut h2::RecvStream) {
    hub.publish("a", fanfare_wire::Event::new("still there")).await.unwrap();
    let mut read = String::new();
    while !read.contains("data: still there\n\n") {
        let data = tokio::time::timeout(PATIENCE, body.data()).await.expect("it goes on").unwrap().unwrap();
        read.push_str(&String::from_utf8_lossy(&data));
    }
}

/// Goal: nobody is subscribed, or listed, for longer than they may be.
/// Method: grant no window at all, so that hyper asks for nothing.
#[tokio::test]
async fn over_http2_a_stream_that_its_client_does_not_take_leaves_the_hub_when_its_time_is_over_m060() {
    let hub = hub();
    let app = Mercure::new(hub.clone()).access(Access::open()).lifetime(SHORT).router();
    let server = Server::start(app, ConnectionLimits::default(), Drain::new());
    let mut sender = server.connect_http2(0).await;
    let request = http::Request::get(format!("http://localhost{HUB}?match=a")).body(()).unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    let mut body = response.await.unwrap().into_body();
    until(|| hub.counts().subscribers == 0).await;
    let reset = tokio::time::timeout(PATIENCE, body.data()).await.expect("an end");
    assert!(reset.expect("no end in order").is_err());
}

/// Goal: whoever has asked once does not keep a connection for ever by answering pings, and a stream keeps it.
/// Method: a connection that is idle is opened after one with a stream, so it is idle for less long.
#[tokio::test]
async fn an_http2_connection_without_a_request_is_closed_after_a_while_and_one_with_a_stream_is_not_p5() {
    let hub = hub();
    let limits = ConnectionLimits { head_timeout: SHORT, ..ConnectionLimits::default() };
    let app = Mercure::new(hub.clone()).access(Access::open()).router();
    let server = Server::start(app, limits, Drain::new());
    let ask = async |method: &str| {
        let mut sender = server.connect_http2(65_535).await;
        let request = http::Request::builder().method(method);
        let request = request.uri(format!("http://localhost{HUB}?match=a")).body(()).unwrap();
        let (response, _) = sender.send_request(request, true).unwrap();
        (response.await.unwrap(), sender)
    };
    let (streaming, _sender) = ask("GET").await;
    let (idle, mut sender) = ask("HEAD").await;
    assert_eq!(idle.status(), 200);
    let gone = async {
        loop {
            match sender.ready().await {
                Ok(ready) => sender = ready,
                Err(error) => return error,
            }
            tokio::task::yield_now().await;
        }
    };
    let error = tokio::time::timeout(PATIENCE, gone).await.expect("it is closed");
    assert!(error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR), "{error}");
    until(|| server.counts.connections_open() == 1).await;
    still_gets_events(&hub, &mut streaming.into_body()).await;
}

/// Goal: a client that has died without a word, or that a network has cut off, is noticed although nothing is to be sent to it.
/// Method: one that takes everything and answers no ping, so only the ping can tell; and one before it that answers them.
#[tokio::test]
async fn an_http2_client_that_answers_no_ping_is_gone_and_one_that_does_is_not_p5() {
    let hub = hub();
    let limits = ConnectionLimits { http2_ping_timeout: SHORT, ..ConnectionLimits::default() };
    let app = Mercure::new(hub.clone()).access(Access::open()).router();
    let server = Server::start(app, limits, Drain::new());
    let mut sender = server.connect_http2(65_535).await;
    let request = http::Request::get(format!("http://localhost{HUB}?match=a")).body(()).unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    let mut body = response.await.unwrap().into_body();

    let mut dead = server.connect().await;
    // The preface, no settings, and a request: `:method` GET, `:scheme` http, `:authority` and `:path` as texts (RFC 7541).
    let path = format!("{HUB}?match=a");
    let mut fields = vec![0x82, 0x86, 0x01, 1, b'a', 0x04, u8::try_from(path.len()).unwrap()];
    fields.extend_from_slice(path.as_bytes());
    dead.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    // Headers that end the head and the stream, of stream 1.
    dead.send([&[0, 0, u8::try_from(fields.len()).unwrap(), 1, 0x05, 0, 0, 0, 1][..], &fields].concat())
        .await;
    dead.until(":\n").await;
    assert_eq!(hub.counts().subscribers, 2);
    assert!(dead.rest().await.contains("\0\0\x08\x06\0\0\0\0\0"), "it was asked");
    until(|| hub.counts().subscribers == 1).await;

    still_gets_events(&hub, &mut body).await;
}

/// Goal: nobody keeps a connection by not taking an answer, however small.
/// Method: windows of nothing, and of less than the answer, which is beyond what can be reset.
#[tokio::test]
async fn over_http2_a_refusal_that_its_client_does_not_take_does_not_keep_the_connection_p5() {
    let hub = hub();
    let limits = ConnectionLimits {
        write_timeout: SHORT,
        head_timeout: SHORT,
        drain_grace: SHORT,
        ..ConnectionLimits::default()
    };
    let server = Server::start(app(&hub), limits, Drain::new());
    for window in [0, 5] {
        let mut sender = server.connect_http2(window).await;
        let request = http::Request::get(format!("http://localhost{HUB}")).body(()).unwrap();
        let (response, _) = sender.send_request(request, true).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 400);
        let mut body = response.into_body();
        if window == 0 {
            let reset = tokio::time::timeout(PATIENCE, body.data()).await.expect("an end");
            assert!(reset.expect("no end in order").expect_err("no byte").is_reset());
        }
        until(|| server.counts.connections_open() == 0).await;
        drop(body);
    }
}

/// Goal: an answer that its client leaves lying ends, and nothing else of the connection.
/// Method: a window for a part of it.
#[tokio::test]
async fn over_http2_an_answer_that_its_client_stops_taking_is_reset_and_no_other_p5() {
    let hub = hub();
    let app = app(&hub).route("/large", get(async || vec![b'x'; 200_000]));
    let limits = ConnectionLimits { write_timeout: SHORT, ..ConnectionLimits::default() };
    let server = Server::start(app, limits, Drain::new());
    let mut sender = server.connect_http2(20_000).await;
    let mut ask = async |target: &str| {
        let request = http::Request::get(format!("http://localhost{target}")).body(()).unwrap();
        let (response, _) = sender.send_request(request, true).unwrap();
        response.await.unwrap().into_body()
    };
    let mut stream = ask(&format!("{HUB}?match=a")).await;
    let mut large = ask("/large").await;
    let mut taken = 0;
    let error = loop {
        match tokio::time::timeout(PATIENCE, large.data())
            .await
            .expect("more, or an end")
            .expect("no end in order")
        {
            Ok(data) => taken += data.len(),
            Err(error) => break error,
        }
    };
    assert!(error.is_reset() && taken == 20_000, "{error} after {taken}");
    hub.publish("a", fanfare_wire::Event::new("still there")).await.unwrap();
    let mut read = String::new();
    while !read.contains("data: still there\n\n") {
        let data = tokio::time::timeout(PATIENCE, stream.data()).await.expect("it goes on").unwrap().unwrap();
        read.push_str(&String::from_utf8_lossy(&data));
    }
}
