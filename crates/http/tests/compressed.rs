//! Streams in a coding: chosen by what the client takes, each event by itself, whoever writes it, and with an end that can be checked.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use common::socket::{Client, Server};
use common::{HUB, PATIENCE, Stream, app, hub, subscription, until};
use fanfare_http::{Access, ConnectionLimits, Drain, Mercure};
use fanfare_hub::Hub;
use fanfare_stream::{AcceptEncoding, Sse};
use fanfare_wire::{Coding, Event};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
use tower_http::compression::CompressionLayer;

/// Streams of a hub in an application of one's own.
fn application(hub: &Hub) -> Router {
    let stream = async |State(hub): State<Hub>, accepted: AcceptEncoding| {
        Sse::new(hub.subscribe("a").bookmarks(true)).compress(&accepted)
    };
    let kept = async |State(hub): State<Hub>, accepted: AcceptEncoding| {
        Sse::new(hub.subscribe("a").bookmarks(true)).compress(&accepted).keep_on_http()
    };
    Router::new().route("/stream", get(stream)).route("/kept", get(kept)).with_state(hub.clone())
}

fn both(hub: &Hub) -> Router {
    application(hub).merge(app(hub))
}

fn request(target: &str, accepted: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {accepted}\r\n\r\n")
}

fn name(coding: Coding) -> &'static str {
    coding.name().unwrap()
}

async fn publish(hub: &Hub, data: &str) {
    hub.publish("a", Event::new(data.to_owned())).await.unwrap();
}

fn long(what: &str) -> String {
    format!("{what} ").repeat(200)
}

fn serve(app: Router) -> Server {
    Server::start(app, ConnectionLimits::default(), Drain::new())
}

fn adopted(server: &Server) -> u64 {
    server.counts.fanout().unwrap().counts().adopted
}

/// Opens a stream on a connection that ends with it.
async fn open(server: &Server, target: &str, coding: Coding) -> (Client, String) {
    let mut client = server.connect().await;
    client.send(request(target, name(coding)).replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)).await;
    let head = client.head().await;
    assert!(head.contains(&format!("content-encoding: {}\r\n", name(coding))), "{head}");
    assert!(head.contains("vary: Accept-Encoding\r\n"), "{head}");
    (client, head)
}

/// Goal: nothing is held back, whoever writes the stream, and a strict decoder finds nothing to complain about to the end.
/// Method: each event is read before the next is published; comments and bookmarks go between; the hub closes.
#[tokio::test]
async fn each_event_arrives_by_itself_and_the_end_is_whole_m064() {
    for &coding in Coding::COMPRESSING {
        for (target, is_handed_over) in
            [("/stream".to_owned(), 1), ("/kept".to_owned(), 0), (format!("{HUB}?match=a"), 1)]
        {
            let hub = hub();
            let server = serve(both(&hub));
            let (mut client, _) = open(&server, &target, coding).await;
            until(|| hub.counts().subscribers == 1).await;
            for data in [long("one"), "two".to_owned(), long("three")] {
                publish(&hub, &data).await;
                client.until(&format!("data: {data}\n\n")).await;
            }
            assert_eq!(adopted(&server), is_handed_over, "{target}");
            hub.close();
            client.rest().await;
            assert!(client.has_whole_body(), "{target} in {coding:?}");
        }
    }
}

#[tokio::test]
async fn over_http_1_0_the_coding_alone_tells_that_the_body_is_whole() {
    let hub = hub();
    let server = serve(both(&hub));
    let mut client = server.connect().await;
    client.send("GET /stream HTTP/1.0\r\nAccept-Encoding: x-gzip\r\n\r\n").await;
    assert!(client.head().await.contains("content-encoding: gzip\r\n"));
    publish(&hub, &long("one")).await;
    client.until(&long("one")).await;
    assert!(!client.has_decoded_body());
    hub.close();
    client.rest().await;
    assert!(client.has_decoded_body());
    assert_eq!(adopted(&server), 1);
}

/// P2: an end in order is one, and what is cut does not look like it.
#[tokio::test]
async fn a_drain_ends_a_compressed_stream_whole_and_a_cut_does_not() {
    for target in ["/stream", "/kept"] {
        let (hub, drain) = (hub(), Drain::new());
        let server = Server::start(both(&hub), ConnectionLimits::default(), drain.clone());
        let (mut client, _) = open(&server, &format!("{HUB}?match=a"), Coding::Gzip).await;
        publish(&hub, &long("one")).await;
        client.until(&long("one")).await;
        drain.begin(Duration::from_millis(50));
        let last = client.rest().await;
        assert!(last.contains("retry: ") && client.has_whole_body(), "{last}");

        let server = serve(both(&hub));
        let (mut client, _) = open(&server, target, Coding::Gzip).await;
        drop(server);
        client.rest().await;
        assert!(!client.has_whole_body(), "{target}");
    }
}

#[tokio::test]
async fn over_http2_each_event_arrives_by_itself_too() {
    for &coding in Coding::COMPRESSING {
        let hub = hub();
        let server = serve(both(&hub));
        let mut sender = server.connect_http2(1 << 20).await.ready().await.unwrap();
        let uri = format!("http://{}{HUB}?match=a", server.address);
        let request = http::Request::get(uri).header(ACCEPT_ENCODING, name(coding)).body(()).unwrap();
        let (response, _) = sender.send_request(request, true).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.headers()[CONTENT_ENCODING], name(coding));
        let mut body = response.into_body();
        let mut decompressed = common::decompressed::Decompressed::of(coding);
        let mut said = Vec::new();
        for data in [long("one"), "two".to_owned()] {
            publish(&hub, &data).await;
            let expected = format!("data: {data}\n\n");
            while !said.ends_with(expected.as_bytes()) {
                let piece = tokio::time::timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap();
                body.flow_control().release_capacity(piece.len()).unwrap();
                said.extend(decompressed.take_in(&piece));
            }
        }
        hub.close();
        while let Some(piece) = body.data().await {
            said.extend(decompressed.take_in(&piece.unwrap()));
        }
        assert!(decompressed.has_ended());
    }
}

#[tokio::test]
async fn a_head_and_refusals_are_as_they_are_without_a_coding() {
    let hub = hub();
    let server = serve(both(&hub));
    let mut client = server.connect().await;
    client.send(request(&format!("{HUB}?match=a"), "gzip").replacen("GET", "HEAD", 1)).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
    // The connection goes on behind it.
    client.send(request(HUB, "gzip")).await;
    let refused = client.until("\n").await + &client.until("\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 400") && !refused.contains("content-encoding"), "{refused}");
    assert_eq!(hub.counts().subscribers, 0);
}

#[tokio::test]
async fn the_client_chooses_and_the_hub_may_refuse_to_compress() {
    let hub = hub();
    let said = async |app: &Router, accepted: &str| {
        let request = subscription("match=a").header(ACCEPT_ENCODING, accepted).body(Body::empty()).unwrap();
        let headers = Stream::of(app, request).await.headers;
        let text =
            |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap().to_owned());
        (text(CONTENT_ENCODING), text(VARY))
    };
    let vary = Some("Accept-Encoding".to_owned());
    let on = app(&hub);
    for (accepted, coding) in [
        ("gzip, deflate, br, zstd", Some("gzip")),
        ("zstd;q=1, gzip;q=0.9", Some("zstd")),
        ("identity;q=0, *", Some("gzip")),
        ("identity, gzip;q=0.5", None),
        ("br", None),
    ] {
        assert_eq!(said(&on, accepted).await, (coding.map(str::to_owned), vary.clone()), "{accepted}");
    }
    let mercure = || Mercure::new(hub.clone()).access(Access::open());
    let zstd_first = mercure().compression([Coding::Zstd, Coding::Gzip]).router();
    assert_eq!(said(&zstd_first, "gzip, zstd").await.0.as_deref(), Some("zstd"));
    let off = mercure().compression([]).router();
    assert_eq!(said(&off, "gzip, zstd").await, (None, None));
}

#[tokio::test]
async fn a_layer_that_compresses_leaves_ours_alone_and_one_that_decodes_keeps_the_body() {
    let hub = hub();
    let compression = CompressionLayer::new().compress_when(
        |_: http::StatusCode, _: http::Version, _: &http::HeaderMap, _: &http::Extensions| true,
    );
    let server = serve(both(&hub).layer(compression));
    let (mut client, head) = open(&server, "/stream", Coding::Gzip).await;
    assert_eq!(head.matches("content-encoding").count(), 1, "{head}");
    publish(&hub, &long("one")).await;
    client.until(&long("one")).await;
    assert_eq!(adopted(&server), 1);

    let decode = axum::middleware::map_response(async |mut response: Response| {
        response.headers_mut().remove(CONTENT_ENCODING);
        response
    });
    let server = serve(both(&hub).layer(decode));
    let mut client = server.connect().await;
    client.send(request("/stream", "gzip")).await;
    client.until("\r\n\r\n").await;
    until(|| server.counts.connections_on_http() == 1).await;
    assert_eq!(adopted(&server), 0);
}

/// P2, P3: what was cut in the midst of a compressed body is resumed where its client was.
#[tokio::test]
async fn a_client_that_was_cut_resumes_in_another_coding() {
    let hub = hub();
    let app = app(&hub);
    let open = async |coding: &str, last: Option<String>| {
        let request = subscription("match=a").header(ACCEPT_ENCODING, coding);
        let request = if let Some(last) = last { request.header("last-event-id", last) } else { request };
        Stream::of(&app, request.body(Body::empty()).unwrap()).await
    };
    let mut stream = open("gzip", None).await;
    for (number, coding) in ["zstd", "identity", "gzip", "zstd"].into_iter().enumerate() {
        let data = long(&number.to_string());
        let id = hub.publish("a", Event::new(data.clone())).await.unwrap().id;
        let seen = stream.until(&format!("data: {data}\n\n")).await;
        assert_eq!(seen.matches("data: ").count(), 1, "{seen}");
        stream = open(coding, Some(id.as_str().to_owned())).await;
    }
}
