//! Streams that refer to the hub's dictionary: who gets them, where the dictionary is, and that they are what any other stream is.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::decompressed::{Decompressed, dictionary, with_dictionary};
use common::socket::{Client, Server};
use common::{Answer, HUB, PATIENCE, Stream, send, subscription, until};
use fanfare_http::{Access, ConnectionLimits, Drain, Mercure, Origins};
use fanfare_hub::Hub;
use fanfare_stream::Sse;
use fanfare_wire::{Coding, Dictionary, Event};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, LINK, VARY};
use http::{HeaderMap, Request, StatusCode};
use url::Url;

const BROWSER: &str = "gzip, deflate, br, zstd, dcb, dcz";

fn hub() -> Hub {
    with_dictionary(Hub::builder()).build().unwrap()
}

fn mercure(hub: &Hub) -> Mercure {
    Mercure::new(hub.clone()).access(Access::open())
}

fn serve(app: Router) -> Server {
    Server::start(app, ConnectionLimits::default(), Drain::new())
}

/// As a client names a dictionary that it has.
fn named(dictionary: &Dictionary) -> String {
    format!(":{}:", STANDARD.encode(dictionary.sha256()))
}

fn text(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> Vec<String> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

async fn publish(hub: &Hub, data: &str) -> String {
    hub.publish("a", Event::new(data.to_owned())).await.unwrap().id.as_str().to_owned()
}

/// Opens a stream in dcz, on a connection that ends with it.
async fn open(server: &Server, target: &str, version: &str) -> Client {
    let mut client = server.connect().await;
    let named = named(&dictionary());
    client
        .send(format!(
            "GET {target} {version}\r\nHost: localhost\r\nConnection: close\r\nAccept-Encoding: {BROWSER}\r\nAvailable-Dictionary: {named}\r\n\r\n"
        ))
        .await;
    let head = client.head().await;
    assert!(head.contains("content-encoding: dcz\r\n"), "{head}");
    client
}

/// Goal: such a stream is one like any other, whoever writes it.
/// Method: each event is read before the next is published, by a decoder that has the dictionary; the hub closes.
#[tokio::test]
async fn each_event_arrives_by_itself_and_the_end_is_whole() {
    let heard = async |State(hub): State<Hub>| {
        Sse::new(hub.subscribe("a")).with_dictionary(&dictionary(), 0).on_error(|_| ())
    };
    let kept = async |State(hub): State<Hub>| {
        Sse::new(hub.subscribe("a")).with_dictionary(&dictionary(), 0).keep_on_http()
    };
    let own = async |State(hub): State<Hub>| Sse::new(hub.subscribe("a")).with_dictionary(&dictionary(), 0);
    let subscribed = format!("{HUB}?match=a");
    for (target, version, adopted) in [
        (&*subscribed, "HTTP/1.1", 1),
        (&subscribed, "HTTP/1.0", 1),
        ("/own", "HTTP/1.1", 1),
        ("/kept", "HTTP/1.1", 0),
        ("/heard", "HTTP/1.1", 0),
    ] {
        let hub = hub();
        let router =
            Router::new().route("/heard", get(heard)).route("/kept", get(kept)).route("/own", get(own));
        let server = serve(router.with_state(hub.clone()).merge(mercure(&hub).router()));
        let mut client = open(&server, target, version).await;
        until(|| hub.counts().subscribers == 1).await;
        for data in ["one two three".to_owned(), "x".to_owned(), "three ".repeat(500)] {
            publish(&hub, &data).await;
            client.until(&format!("data: {data}\n\n")).await;
        }
        hub.close();
        client.rest().await;
        assert!(client.has_decoded_body(), "{target}");
        assert_eq!(server.counts.fanout().unwrap().counts().adopted, adopted, "{target}");
    }
}

#[tokio::test]
async fn over_http2_each_event_arrives_by_itself_too_and_a_small_one_is_half_as_long() {
    let hub = hub();
    let server = serve(mercure(&hub).router());
    let mut sender = server.connect_http2(1 << 20).await.ready().await.unwrap();
    let request = Request::get(format!("http://{}{HUB}?match=a", server.address))
        .header(ACCEPT_ENCODING, BROWSER)
        .header("available-dictionary", named(&dictionary()));
    let (response, _) = sender.send_request(request.body(()).unwrap(), true).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.headers()[CONTENT_ENCODING], "dcz");
    let mut body = response.into_body();
    let mut decompressed = Decompressed::of(Coding::Dcz);
    let mut said = Vec::new();
    for data in ["one two three 0 1 2 3 4 ".repeat(5), "two three 0 1 2 3 4 one two three ".repeat(4)] {
        let id = publish(&hub, &data).await;
        let expected = format!("id: {id}\ndata: {data}\n\n");
        let mut bytes = 0;
        while !said.ends_with(expected.as_bytes()) {
            let piece = tokio::time::timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            said.extend(decompressed.take_in(&piece));
            bytes = piece.len();
        }
        // Of these, the id alone is 22 characters of nothing but chance.
        assert!(bytes < expected.len() / 2, "{bytes} of {}", expected.len());
    }
    hub.close();
    while let Some(piece) = body.data().await {
        said.extend(decompressed.take_in(&piece.unwrap()));
    }
    assert!(decompressed.has_ended());
}

#[tokio::test]
async fn it_is_for_who_has_the_dictionary_and_wants_that_coding_most() {
    let hub = hub();
    let app: Router = mercure(&hub).router();
    let (ours, other) = (named(&dictionary()), named(&Dictionary::new(&b"something else"[..]).unwrap()));
    for (accepted, available, expected) in [
        (BROWSER, &[&*ours][..], "dcz"),
        ("dcz", &[&ours], "dcz"),
        ("*", &[&ours], "dcz"),
        ("gzip;q=0.9, dcz", &[&ours], "dcz"),
        ("gzip, dcz;q=0.9", &[&ours], "gzip"),
        ("zstd, dcz;q=0", &[&ours], "zstd"),
        ("identity, dcz;q=0.5", &[&ours], ""),
        ("gzip, deflate, br, zstd", &[&ours], "gzip"),
        (BROWSER, &[], "gzip"),
        ("dcz", &[], ""),
        (BROWSER, &[&other], "gzip"),
        (BROWSER, &[&ours, &ours], "gzip"),
        (BROWSER, &[&ours[1..]], "gzip"),
        (BROWSER, &["?1"], "gzip"),
    ] {
        let mut request = subscription("match=a").header(ACCEPT_ENCODING, accepted);
        for value in available {
            request = request.header("available-dictionary", *value);
        }
        let headers = Stream::of(&app, request.body(Body::empty()).unwrap()).await.headers;
        assert_eq!(text(&headers, CONTENT_ENCODING).concat(), expected, "{accepted} {available:?}");
        assert_eq!(text(&headers, VARY).join(", "), "Accept-Encoding, Available-Dictionary");
        assert_eq!(
            text(&headers, LINK),
            ["</.well-known/mercure/dictionary>; rel=\"compression-dictionary\""]
        );
    }
}

async fn fetched(mercure: &Mercure, path: &str, origin: Option<&str>) -> Answer {
    let request = Request::get(path);
    let request = if let Some(origin) = origin { request.header("origin", origin) } else { request };
    send(&mercure.router(), request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn the_dictionary_is_beside_the_hub_for_everybody() {
    let hub = hub();
    let mercure = Mercure::new(hub.clone());
    let answer = fetched(&mercure, &format!("{HUB}/dictionary"), None).await;
    assert_eq!((answer.status, answer.text.as_bytes()), (StatusCode::OK, &dictionary().content()[..]));
    for (name, expected) in [
        ("use-as-dictionary", "match=\"/.well-known/mercure\""),
        ("cache-control", "public, max-age=86400"),
        ("content-type", "application/octet-stream"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(text(&answer.headers, name), [expected]);
    }

    let page = "https://shop.test";
    let listed = mercure.clone().cors(Origins::parse([page]).unwrap());
    let answer = fetched(&listed, &format!("{HUB}/dictionary"), Some(page)).await;
    assert_eq!(text(&answer.headers, "access-control-allow-origin"), [page]);

    let moved = mercure.hub_url(Url::parse("https://hub.test/events(1)/").unwrap());
    let answer = fetched(&moved, "/events(1)/dictionary", None).await;
    assert_eq!(text(&answer.headers, "use-as-dictionary"), ["match=\"/events\\\\(1\\\\)/\""]);
    let request = Request::get("/events(1)/?match=a").body(Body::empty()).unwrap();
    let headers = Stream::of(&moved.router(), request).await.headers;
    assert_eq!(text(&headers, LINK), ["</events(1)/dictionary>; rel=\"compression-dictionary\""]);
}

#[tokio::test]
async fn a_hub_without_one_says_nothing_of_it_and_neither_does_one_that_never_compresses() {
    let without = Mercure::new(Hub::builder().build().unwrap());
    for mercure in [without, Mercure::new(hub()).compression([])] {
        assert_eq!(fetched(&mercure, &format!("{HUB}/dictionary"), None).await.status, StatusCode::NOT_FOUND);
        let request = subscription("match=a")
            .header(ACCEPT_ENCODING, "dcz")
            .header("available-dictionary", named(&dictionary()));
        let headers = Stream::of(&mercure.router(), request.body(Body::empty()).unwrap()).await.headers;
        for name in ["link", "content-encoding"] {
            assert!(!headers.contains_key(name), "{headers:?}");
        }
        assert!(!text(&headers, VARY).concat().contains("dictionary"));
    }
}

/// P2, P3: what was cut in one coding goes on in another.
#[tokio::test]
async fn a_client_resumes_with_the_dictionary_and_without() {
    let hub = hub();
    let app: Router = mercure(&hub).router();
    let open = async |coding: &str, last: Option<String>| {
        let mut request = subscription("match=a")
            .header(ACCEPT_ENCODING, coding)
            .header("available-dictionary", named(&dictionary()));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let stream = Stream::of(&app, request.body(Body::empty()).unwrap()).await;
        assert_eq!(text(&stream.headers, CONTENT_ENCODING).concat(), coding.replace("identity", ""));
        stream
    };
    let mut stream = open("dcz", None).await;
    for (number, coding) in ["gzip", "dcz", "dcz", "identity", "dcz"].into_iter().enumerate() {
        let data = format!("{number}{}", " one two three".repeat(20));
        let (id, _) = (publish(&hub, &data).await, publish(&hub, "next").await);
        let seen = stream.until("data: next\n\n").await;
        assert_eq!(seen.matches("data: ").count(), 2, "{seen}");
        stream = open(coding, Some(id)).await;
        assert_eq!(stream.until("data: next\n\n").await.matches("data: ").count(), 1);
    }
}

/// P2: an end in order is one, and what is cut does not look like it.
#[tokio::test]
async fn a_drain_ends_such_a_stream_whole_and_a_cut_does_not() {
    let (hub, drain) = (hub(), Drain::new());
    let app: Router = mercure(&hub).drain(drain.clone()).router();
    let server = Server::start(app.clone(), ConnectionLimits::default(), drain.clone());
    let mut client = open(&server, &format!("{HUB}?match=a"), "HTTP/1.1").await;
    publish(&hub, "one two three").await;
    client.until("one two three").await;
    drain.begin(Duration::from_millis(50));
    let last = client.rest().await;
    assert!(last.contains("retry: ") && client.has_whole_body(), "{last}");

    let server = serve(mercure(&hub).router());
    let mut client = open(&server, &format!("{HUB}?match=a"), "HTTP/1.1").await;
    drop(server);
    client.rest().await;
    assert!(!client.has_whole_body());
}
