//! Clients that mean no good, or are merely broken: each is answered or cut within its limits, and nobody else is touched.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::socket::{Client, Server};
use common::{HUB, hub, until};
use fanfare_http::{Access, ConnectionLimits, Drain, Mercure, RequestLimits};
use fanfare_hub::Hub;
use tokio::io::AsyncWriteExt;

/// Short enough to be waited for. No test asks how long something took.
const SHORT: Duration = Duration::from_millis(100);

fn server(hub: &Hub) -> Server {
    with(hub, ConnectionLimits::default(), RequestLimits::default())
}

fn with(hub: &Hub, connection: ConnectionLimits, request: RequestLimits) -> Server {
    let drain = Drain::new();
    let app = Mercure::new(hub.clone()).access(Access::open()).limits(request).drain(drain.clone()).router();
    Server::start(app, connection, drain)
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

/// Runs `attack` while a subscriber listens, and then publishes to it; gives the subscriber, who still listens.
async fn untouched(server: &Server, attack: impl AsyncFnOnce()) -> Client {
    let mut bystander = server.connect().await;
    bystander.request(&format!("{HUB}?match=a")).await;
    bystander.until(":\n").await;
    attack().await;
    let answer = server.answer(publication("topic=a&data=still%20here")).await;
    assert_eq!(status(&answer), "200", "{answer}");
    bystander.until("data: still here\n\n").await;
    bystander
}

fn publication(form: &str) -> String {
    format!(
        "POST {HUB} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
}

#[tokio::test]
async fn a_head_that_does_not_come_is_cut() {
    let hub = hub();
    let limits = ConnectionLimits { head_timeout: SHORT, ..ConnectionLimits::default() };
    let server = with(&hub, limits, RequestLimits::default());
    for begun in ["", "G", "GET / HTTP/1.1\r\nHost: loc", "PRI * HTTP/2.0\r\n\r\nS"] {
        let answer = server.answer(begun).await;
        assert!(answer.is_empty() || status(&answer) == "408", "{begun:?}: {answer}");
    }
}

#[tokio::test]
async fn an_http2_client_that_never_asks_is_cut() {
    let hub = hub();
    let limits = ConnectionLimits { head_timeout: SHORT, ..ConnectionLimits::default() };
    let server = with(&hub, limits, RequestLimits::default());
    // The preface and empty settings: a whole greeting, and then nothing.
    server.answer(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00").await;
}

#[tokio::test]
async fn a_connection_that_idles_after_its_request_is_closed() {
    let hub = hub();
    let limits = ConnectionLimits { head_timeout: SHORT, ..ConnectionLimits::default() };
    let server = with(&hub, limits, RequestLimits::default());
    let answer = server.answer(publication("topic=a&data=x").replace("Connection: close\r\n", "")).await;
    assert_eq!(status(&answer), "200");
}

/// A stream is no idle connection: it outlives the time that a head may take.
#[tokio::test]
async fn a_stream_is_not_cut_by_the_limit_for_heads() {
    let hub = hub();
    let limits = ConnectionLimits { head_timeout: SHORT, ..ConnectionLimits::default() };
    let server = with(&hub, limits, RequestLimits::default());
    let _bystander = untouched(&server, async || {
        server.answer("G").await;
        server.answer("G").await;
    })
    .await;
}

#[tokio::test]
async fn heads_that_are_too_large_are_431_m180() {
    let hub = hub();
    let limits =
        ConnectionLimits { head_bytes_max: 8_192, head_fields_max: 20, ..ConnectionLimits::default() };
    let server = with(&hub, limits, RequestLimits::default());
    let _bystander = untouched(&server, async || {
        let long =
            format!("GET {HUB}?match=a HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(9_000));
        let answer = server.answer(long).await;
        assert_eq!(status(&answer), "431");
        assert!(answer.ends_with("than this server takes.\n"), "{answer}");
        let many = format!("GET {HUB}?match=a HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: x\r\n".repeat(30));
        assert_eq!(status(&server.answer(many).await), "431");
    })
    .await;
}

#[tokio::test]
async fn a_head_that_is_no_http_is_400_with_a_sentence() {
    let hub = hub();
    let server = with(&hub, ConnectionLimits::default(), RequestLimits::default());
    let _bystander = untouched(&server, async || {
        for head in ["GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n"] {
            let answer = server.answer(head).await;
            assert_eq!(status(&answer), "400", "{head:?}");
            assert!(answer.ends_with("The head of the request is not well-formed HTTP.\n"), "{answer}");
        }
    })
    .await;
}

#[tokio::test]
async fn bodies_that_are_too_large_are_413_whether_announced_or_not_m083() {
    let hub = hub();
    let limits = RequestLimits { body_bytes_max: 1_000, ..RequestLimits::default() };
    let server = with(&hub, ConnectionLimits::default(), limits);
    let _bystander = untouched(&server, async || {
        let form = format!("topic=a&data={}", "x".repeat(100_000));
        let answer = server.answer(publication(&form)).await;
        assert_eq!(status(&answer), "413");
        assert!(answer.ends_with("The body is larger than 1000 bytes.\n"), "{answer}");

        let chunks = format!(
            "POST {HUB} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{form}\r\n0\r\n\r\n",
            form.len()
        );
        assert_eq!(status(&server.answer(chunks).await), "413");

        // Who asks first is told before anything is sent.
        let expect = format!(
            "POST {HUB} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n"
        );
        assert_eq!(status(&server.answer(expect).await), "413");
    })
    .await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let hub = hub();
    let limits = RequestLimits { body_timeout: SHORT, ..RequestLimits::default() };
    let server = with(&hub, ConnectionLimits::default(), limits);
    let _bystander = untouched(&server, async || {
        let stalled = format!(
            "POST {HUB} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ntopic=a"
        );
        let answer = server.answer(stalled).await;
        assert_eq!(status(&answer), "408");
        assert!(answer.ends_with("The body did not arrive within 0.1 seconds.\n"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_http_is_400_or_cut() {
    let hub = hub();
    let server = server(&hub);
    let _bystander = untouched(&server, async || {
        for garbage in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            b"HELO localhost\r\n\r\n",
            b"GET /\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n",
        ] {
            let answer = server.answer(garbage).await;
            assert!(!answer.contains("200 OK"), "{garbage:?}: {answer}");
        }
    })
    .await;
    assert_eq!(hub.counts().publications, 1, "only the bystander's");
}

#[tokio::test]
async fn a_flood_of_bad_requests_touches_nobody() {
    let hub = hub();
    let server = server(&hub);
    let _bystander = untouched(&server, async || {
        let flood = (0..200).map(|number| {
            let server = &server;
            async move {
                let answer = match number % 4 {
                    0 => server.answer(publication("topic=%FF").as_str()).await,
                    1 => server.answer("GET /.well-known/mercure?Match=x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await,
                    2 => server.answer("BREW /.well-known/mercure HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await,
                    _ => server.answer("\r\n\r\nnonsense\r\n\r\n").await,
                };
                assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
            }
        });
        futures_util::future::join_all(flood).await;
    })
    .await;
    assert_eq!(hub.counts().subscribers, 1);
}

#[tokio::test]
async fn publishers_that_vanish_in_the_middle_leave_nothing() {
    let hub = hub();
    let server = server(&hub);
    let _bystander = untouched(&server, async || {
        for _ in 0..50 {
            let mut client = server.connect().await;
            let whole = publication("topic=a&data=half");
            client.send(&whole[..whole.len() - 3]).await;
        }
    })
    .await;
    assert_eq!(hub.counts().publications, 1);
}

/// RFC 9112 lets a client close its sending side after the request and read on.
#[tokio::test]
async fn a_publisher_that_only_half_closes_gets_its_answer() {
    let hub = hub();
    let server = server(&hub);
    let mut client = server.connect().await;
    client.send(publication("topic=a&data=x&id=7")).await;
    client.socket.shutdown().await.unwrap();
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n7"), "{answer}");
}

/// For a stream a closed sending side is how most clients leave; who merely half-closes is taken for gone, too.
#[tokio::test]
async fn a_subscriber_that_closes_its_side_is_gone() {
    let hub = hub();
    let server = server(&hub);
    let mut client = server.connect().await;
    client.request(&format!("{HUB}?match=a")).await;
    client.until(":\n").await;
    assert_eq!(hub.counts().subscribers, 1);
    client.socket.shutdown().await.unwrap();
    client.rest().await;
    until(|| hub.counts().subscribers == 0).await;
}

/// P5: a subscriber that reads nothing holds a bounded number of bytes and is cut; the others get everything.
#[tokio::test]
async fn a_subscriber_that_takes_nothing_is_cut_and_delays_nobody_p5() {
    let hub = hub();
    // Long enough for a bystander that waits for its core on a busy machine.
    let limits = ConnectionLimits { write_timeout: 5 * SHORT, ..ConnectionLimits::default() };
    let server = with(&hub, limits, RequestLimits::default());
    let mut stalled = server.connect().await;
    stalled.request(&format!("{HUB}?match=a")).await;
    stalled.until(":\n").await;
    let mut bystander = server.connect().await;
    bystander.request(&format!("{HUB}?match=a")).await;
    let reading =
        tokio::spawn(async move { bystander.until("data: still here\n\n").await.matches("id: ").count() });

    let form = format!("topic=a&data={}", "x".repeat(200_000));
    let mut published = 0;
    // Until the kernel's buffers are full, and then until the patience ends.
    while server.counts.connections_cut() == 0 {
        assert_eq!(status(&server.answer(publication(&form)).await), "200");
        published += 1;
        assert!(published < 500, "a hundred megabytes are in nobody's buffers");
    }
    server.answer(publication("topic=a&data=still%20here")).await;
    assert_eq!(reading.await.unwrap(), published + 1, "the bystander got everything");
}
