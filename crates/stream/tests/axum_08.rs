//! An `Sse` behind a real axum server, read from a raw socket.
#![allow(clippy::unwrap_used)]

use std::future::IntoFuture;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Router, routing::get};
use fanfare_stream::{BoxError, KeepAlive, LastEventId, Sender, Sse, channel};
use fanfare_wire::{Event, Frame};
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tower_http::compression::CompressionLayer;

/// Serves `router` on a free port until the test's runtime ends.
async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A client that has sent its request.
async fn request(router: Router, headers: &str) -> TcpStream {
    let mut client = TcpStream::connect(serve(router).await).await.unwrap();
    client.write_all(format!("GET /?x HTTP/1.1\r\nHost: test\r\n{headers}\r\n").as_bytes()).await.unwrap();
    client
}

/// What the client reads until `end` has come.
async fn read_until(client: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(end) {
        assert_ne!(client.read_buf(&mut read).await.unwrap(), 0, "the end came early: {read:?}");
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// A router whose handler hands its sender to the test.
fn pushed() -> (Router, mpsc::UnboundedReceiver<Sender>) {
    let (senders, taken) = mpsc::unbounded_channel();
    let handler = move || async move {
        let (sender, sse) = channel(16);
        senders.send(sender).unwrap();
        sse
    };
    (Router::new().route("/", get(handler)), taken)
}

#[tokio::test]
async fn the_head_arrives_before_the_first_event() {
    let endless = || async { Sse::new(stream::pending::<Event>()) };
    let mut client = request(Router::new().route("/", get(endless)), "").await;

    let head = read_until(&mut client, "\r\n\r\n").await;

    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("cache-control: no-cache, no-transform\r\n"), "{head}");
    assert!(head.contains("x-accel-buffering: no\r\n"), "{head}");
}

#[tokio::test]
async fn the_callers_status_and_headers_win() {
    let handler = || async {
        let headers = [("cache-control", "no-store"), ("x-mine", "yes")];
        (StatusCode::ACCEPTED, headers, Sse::new(stream::pending::<Event>()))
    };
    let mut client = request(Router::new().route("/", get(handler)), "").await;

    let head = read_until(&mut client, "\r\n\r\n").await;

    assert!(head.starts_with("HTTP/1.1 202 Accepted\r\n"), "{head}");
    assert!(head.contains("cache-control: no-store\r\n") && head.contains("x-mine: yes\r\n"), "{head}");
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
}

#[tokio::test]
async fn each_event_arrives_when_it_is_sent_and_a_closed_stream_ends() {
    let (router, mut senders) = pushed();
    let mut client = request(router, "").await;
    let sender = senders.recv().await.unwrap();

    sender.send(Event::new("one")).await.unwrap();
    read_until(&mut client, "data: one\n\n").await;
    sender.send(Event::new("two")).await.unwrap();
    read_until(&mut client, "data: two\n\n").await;
    sender.close().await.unwrap();
    read_until(&mut client, "event: close\ndata: Closing the connection\n\n\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_while_nothing_is_sent() {
    let (router, mut senders) = pushed();
    let mut client = request(router, "").await;
    let sender = senders.recv().await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;

    drop(client);
    sender.closed().await;

    let error = sender.send(Event::new("lost")).await.unwrap_err();
    assert_eq!(error.0, Event::new("lost"));
}

#[tokio::test]
async fn the_last_event_id_is_extracted_from_header_bytes_and_never_rejects() {
    let echo = |last: LastEventId| async move {
        let id = last.id().map_or("none".into(), |id| id.to_string());
        Sse::new(stream::iter([Event::new(id)]))
    };
    let router = Router::new().route("/", get(echo));
    for (header, expected) in [("", "none"), ("Last-Event-ID: é7\r\n", "é7")] {
        let mut client = request(router.clone(), header).await;
        read_until(&mut client, &format!("data: {expected}\n\n")).await;
    }
    let mut client = request(router, &format!("Last-Event-ID: {}\r\n", "x".repeat(600))).await;
    read_until(&mut client, "data: #unusable\n\n").await;
}

/// Goal: compressing middleware polls a body after its end; that must not panic, and must not lose the end.
#[tokio::test]
async fn a_stream_ends_cleanly_under_compression() {
    // `unfold` panics when it is polled after its end, as many a generated stream does.
    let twice = || stream::unfold(0, |n| async move { (n < 2).then(|| (Event::new("a"), n + 1)) });
    let handler = move || async move { Sse::new(twice()) };
    let layer = CompressionLayer::new()
        .compress_when(|_: StatusCode, _: axum::http::Version, _: &_, _: &axum::http::Extensions| true);
    let router = Router::new().route("/", get(handler)).layer(layer);
    let mut client = request(router, "Accept-Encoding: gzip\r\nConnection: close\r\n").await;

    let mut response = Vec::new();
    client.read_to_end(&mut response).await.unwrap();

    assert!(String::from_utf8_lossy(&response).contains("content-encoding: gzip"));
    assert!(response.ends_with(b"\r\n0\r\n\r\n"), "the last chunk is missing");
}

/// Goal: an event must not wait in a compressor for the next one.
#[tokio::test]
async fn under_a_layer_that_compresses_each_event_can_be_read_when_it_was_sent() {
    let (router, mut senders) = pushed();
    let layer = CompressionLayer::new()
        .compress_when(|_: StatusCode, _: axum::http::Version, _: &_, _: &axum::http::Extensions| true);
    let mut client = request(router.layer(layer), "Accept-Encoding: gzip\r\n").await;
    let sender = senders.recv().await.unwrap();
    let mut plain = flate2::write::GzDecoder::new(Vec::new());
    let mut rest: Vec<u8> = Vec::new();
    for n in 0..5 {
        sender.send(Event::new(format!("event {n}"))).await.unwrap();
        while !String::from_utf8_lossy(plain.get_ref()).contains(&format!("data: event {n}\n\n")) {
            assert_ne!(client.read_buf(&mut rest).await.unwrap(), 0, "the end came early");
            take_chunks(&mut rest, &mut plain);
            plain.flush().unwrap();
        }
    }
}

/// Hands on what is in the whole chunks at the beginning of `read`; the head is passed over.
fn take_chunks(read: &mut Vec<u8>, to: &mut impl Write) {
    let line = |read: &[u8]| read.windows(2).position(|bytes| bytes == b"\r\n");
    while let Some(end) = line(read) {
        let Ok(length) = usize::from_str_radix(std::str::from_utf8(&read[..end]).unwrap(), 16) else {
            read.drain(..end + 2);
            continue;
        };
        let Some(chunk) = read.get(end + 2..end + 2 + length) else { return };
        to.write_all(chunk).unwrap();
        read.drain(..(end + length + 4).min(read.len()));
    }
}

#[tokio::test]
async fn an_error_breaks_the_response_off_so_that_it_does_not_look_complete() {
    let handler =
        || async { Sse::new(stream::iter([Ok(Event::new("a")), Err(BoxError::from("log is gone"))])) };
    let mut client = request(Router::new().route("/", get(handler)), "").await;

    let mut response = Vec::new();
    client.read_to_end(&mut response).await.ok();

    assert!(!response.ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn an_error_that_the_application_takes_ends_the_response_cleanly() {
    let (errors, mut reported) = mpsc::unbounded_channel();
    let handler = move || async move {
        let items = stream::iter([Ok(Event::new("a")), Err(BoxError::from("log is gone"))]);
        Sse::new(items).on_error(move |error| errors.send(error.to_string()).unwrap())
    };
    let mut client = request(Router::new().route("/", get(handler)), "").await;

    read_until(&mut client, "data: a\n\n\r\n0\r\n\r\n").await;

    assert_eq!(reported.recv().await.unwrap(), "log is gone");
}

#[tokio::test]
async fn an_opening_and_a_keep_alive_reach_the_socket() {
    let handler = || async {
        Sse::new(stream::pending::<Event>())
            .opening(Frame::KEEP_ALIVE)
            .keep_alive(KeepAlive::every(Duration::from_millis(1)))
            .into_response()
    };
    let mut client = request(Router::new().route("/", get(handler)), "").await;
    read_until(&mut client, "\r\n\r\n2\r\n:\n\r\n2\r\n:\n\r\n").await;
}

/// Goal: a graceful shutdown must not wait for a stream that has no end of its own.
#[tokio::test]
async fn a_graceful_shutdown_ends_an_endless_stream_cleanly() {
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let stopped = |mut stopping: tokio::sync::watch::Receiver<bool>| async move {
        stopping.wait_for(|stop| *stop).await.unwrap();
    };
    let signal = stopped(stopping.clone());
    let handler = move || async move { Sse::new(stream::pending::<Event>()).until(stopped(stopping)) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let router = Router::new().route("/", get(handler));
    let server = tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(signal).into_future());
    client.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;

    stop.send(true).unwrap();

    read_until(&mut client, "0\r\n\r\n").await;
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn two_branches_of_a_handler_return_one_type() {
    async fn handler(last: LastEventId) -> Sse {
        if last.is_present() {
            return Sse::new(stream::empty::<Frame>());
        }
        Sse::new(stream::iter(["a"]).map(Event::new).map(Ok::<_, std::io::Error>))
    }
    let mut client = request(Router::new().route("/", get(handler)), "").await;
    read_until(&mut client, "data: a\n\n").await;
}
