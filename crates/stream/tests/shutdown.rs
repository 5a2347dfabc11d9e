//! What a shutdown does to streams, and to servers that wait for them.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::future::IntoFuture;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::{Router, routing::get};
use fanfare_stream::testing::Reader;
use fanfare_stream::{Closed, Sender, Shutdown, Sse, WriteDeadline, channel, hyper_1};
use fanfare_wire::{Event, EventName, Frame};
use futures_util::stream;
use http::Request;
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

fn endless() -> Sse {
    Sse::new(stream::pending::<Event>())
}

/// The reconnection time of a stream that says nothing else, and ends.
async fn retry(sse: Sse) -> u64 {
    // An hour of keep-alives may come before.
    let mut reader = Reader::of_body(sse).patience(2 * HOUR);
    let retry = reader.expect_reconnection_time().await;
    reader.expect_end().await;
    retry.as_millis().try_into().unwrap()
}

#[tokio::test(start_paused = true)]
async fn streams_end_within_the_window_at_moments_of_their_own_with_reconnection_times_of_their_own() {
    let shutdown = Shutdown::builder().window(10 * SECOND).retry(2 * SECOND..4 * SECOND).build();
    let streams = (0..20).map(|_| endless().ends_with(&shutdown));
    let streams: Vec<_> = streams
        .map(|sse| {
            let closed = sse.closed();
            tokio::spawn(async move {
                let retry = retry(sse).await;
                assert_eq!(closed.await, Closed::Shutdown);
                (Instant::now(), retry)
            })
        })
        .collect();
    sleep(HOUR).await;
    assert!(streams.iter().all(|stream| !stream.is_finished()));
    let begun = Instant::now();
    shutdown.begin();
    shutdown.begin();
    let (mut moments, mut times) = (HashSet::new(), HashSet::new());
    for stream in streams {
        let (ended, retry) = stream.await.unwrap();
        assert!(ended - begun < 10 * SECOND);
        assert!((2_000..4_000).contains(&retry));
        moments.insert(ended);
        times.insert(retry);
    }
    assert!(moments.len() > 10 && times.len() > 10, "{moments:?} {times:?}");
}

#[tokio::test(start_paused = true)]
async fn the_farewell_is_the_last_that_is_sent() {
    let event = Event::new("maintenance").event(EventName::from_static("bye"));
    let shutdown = Shutdown::builder().farewell(event).build();
    let mut reader = Reader::of_body(endless().opening(Frame::KEEP_ALIVE).ends_with(&shutdown));
    reader.expect_comment().await;
    shutdown.begin();
    assert!((SECOND..5 * SECOND).contains(&reader.expect_reconnection_time().await));
    let farewell = reader.expect_event().await;
    assert_eq!((farewell.name.as_str(), farewell.data.as_str()), ("bye", "maintenance"));
    reader.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn events_arrive_until_the_stream_leaves() {
    let shutdown = Shutdown::builder().window(Duration::ZERO).build();
    let (sender, sse) = channel(16);
    let mut reader = Reader::of_body(sse.ends_with(&shutdown));
    sender.send(Event::new("before")).await.unwrap();
    assert_eq!(reader.expect_event().await.data, "before");
    shutdown.begin();
    reader.expect_reconnection_time().await;
    reader.expect_end().await;
    assert_eq!(sender.closed().await, Closed::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_finishes_first_goes_on_to_its_own_end() {
    let shutdown = Shutdown::builder().window(SECOND).finish_within(60 * SECOND).build();
    let (sender, sse) = channel(16);
    let mut reader = Reader::of_body(sse.finishes_before(&shutdown));
    reader.nothing_for(SECOND).await;
    shutdown.begin();
    reader.nothing_for(59 * SECOND).await;
    sender.send(Event::new("the end of the answer")).await.unwrap();
    sender.clone().close().await.unwrap();
    assert_eq!(reader.expect_event().await.data, "the end of the answer");
    assert_eq!(reader.expect_event().await.name, "close");
    reader.expect_end().await;
    assert_eq!(sender.closed().await, Closed::ByApplication);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_not_finish_in_time_is_sent_away() {
    let shutdown = Shutdown::builder().window(SECOND).finish_within(60 * SECOND).build();
    let stream = tokio::spawn(retry(endless().finishes_before(&shutdown)));
    tokio::task::yield_now().await;
    shutdown.begin();
    let begun = Instant::now();
    stream.await.unwrap();
    assert_eq!(begun.elapsed(), 60 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_while_the_server_shuts_down_is_sent_away_within_the_window_too() {
    let shutdown = Shutdown::builder().window(10 * SECOND).build();
    shutdown.begin();
    let begun = Instant::now();
    retry(endless().ends_with(&shutdown)).await;
    assert!(begun.elapsed() < 10 * SECOND);
    sleep(HOUR).await;
    let late = Instant::now();
    retry(endless().ends_with(&shutdown)).await;
    assert_eq!(late.elapsed(), Duration::ZERO);
}

/// Goal: the place of a client that takes nothing is free a second later, and its server has to cut it.
#[tokio::test(start_paused = true)]
async fn a_stream_whose_server_does_not_come_back_for_the_farewell_is_over_a_second_later() {
    let shutdown = Shutdown::builder().window(Duration::ZERO).build();
    let mut sse = Sse::new(stream::repeat_with(|| Event::new("a"))).ends_with(&shutdown);
    let closed = sse.closed();
    let mut poll = || Pin::new(&mut sse).poll_frame(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(poll(), Poll::Ready(Some(Ok(_)))));
    shutdown.begin();
    let begun = Instant::now();
    assert_eq!(closed.await, Closed::Shutdown);
    assert_eq!(begun.elapsed(), SECOND);
    assert!(matches!(poll(), Poll::Ready(Some(Err(_)))));
    assert!(matches!(poll(), Poll::Ready(None)));
}

/// A router whose every response is such a stream, and whoever feeds it.
fn router(
    made: impl Fn(Sse) -> Sse + Clone + Send + Sync + 'static,
) -> (Router, mpsc::UnboundedReceiver<Sender>) {
    let (senders, taken) = mpsc::unbounded_channel();
    let handler = move || {
        let (sender, sse) = channel(16);
        senders.send(sender).ok();
        std::future::ready(made(sse))
    };
    (Router::new().route("/", get(handler)), taken)
}

/// A client that has sent a request to `listener`.
async fn client(listener: &TcpListener) -> TcpStream {
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    client
}

async fn read_until(client: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(end) {
        assert_ne!(client.read_buf(&mut read).await.unwrap(), 0, "the end came early");
    }
    String::from_utf8(read).unwrap()
}

/// Axum's own graceful shutdown beside ours: the same server, the same client, one line apart.
#[tokio::test(start_paused = true)]
async fn axum_alone_waits_for_an_open_stream_for_ever_and_with_a_shutdown_it_stops() {
    for has_ours in [false, true] {
        let shutdown = Shutdown::builder().window(5 * SECOND).build();
        let ours = shutdown.clone();
        let (router, mut senders) = router(move |sse| if has_ours { sse.ends_with(&ours) } else { sse });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = client(&listener).await;
        let server = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().begun());
        let mut server = tokio::spawn(server.into_future());
        let sender = senders.recv().await.unwrap();
        read_until(&mut client, "\r\n\r\n").await;

        shutdown.begin();

        if has_ours {
            let rest = read_until(&mut client, "\r\n0\r\n\r\n").await;
            assert!(rest.contains("retry: "), "{rest}");
            server.await.unwrap().unwrap();
            assert_eq!(sender.closed().await, Closed::Shutdown);
        } else {
            assert!(timeout(HOUR, &mut server).await.is_err(), "an hour later it waits");
            assert!(!sender.is_closed());
            drop(client);
            server.await.unwrap().unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn hypers_graceful_shutdown_comes_to_its_end() {
    let shutdown = Shutdown::new();
    let graceful = GracefulShutdown::new();
    let ours = shutdown.clone();
    let service =
        hyper_1::service(move |_: Request<Incoming>| std::future::ready(endless().ends_with(&ours)));
    let (mut client, server) = duplex(1024);
    let connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
    let serving = tokio::spawn(graceful.watch(connection));
    client.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let reader = tokio::spawn(async move {
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        response
    });
    sleep(SECOND).await;
    shutdown.begin();
    let begun = Instant::now();
    assert_eq!(shutdown.run(graceful.shutdown()).await, Some(()));
    assert!(begun.elapsed() < 6 * SECOND);
    serving.await.unwrap().unwrap();
    assert!(reader.await.unwrap().ends_with("\n\n\r\n0\r\n\r\n"));
}

/// A client that reads nothing, of a stream that always has more.
#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_no_end_is_cut_at_the_last_moment_and_the_server_is_not_waited_for() {
    let shutdown = Shutdown::builder().window(5 * SECOND).finish_within(60 * SECOND).build();
    let ours = shutdown.clone();
    let service = hyper_1::service(move |_: Request<Incoming>| {
        // Larger than what hyper holds, so that it never comes back for more.
        let events = stream::repeat_with(|| Event::new("x".repeat(1 << 20)));
        std::future::ready(Sse::new(events).write_deadline(None).ends_with(&ours))
    });
    let (mut client, server) = duplex(1024);
    let io = TokioIo::new(WriteDeadline::new(server, HOUR).cut_by(&shutdown));
    let graceful = GracefulShutdown::new();
    let serving = tokio::spawn(graceful.watch(http1::Builder::new().serve_connection(io, service)));
    client.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    sleep(SECOND).await;
    shutdown.begin();
    let begun = Instant::now();
    // Whichever is first.
    shutdown.run(graceful.shutdown()).await;
    assert!(serving.await.unwrap().is_err());
    assert_eq!(begun.elapsed(), 62 * SECOND);
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_before_the_last_moment_gives_its_output_and_one_that_does_not_is_dropped() {
    let shutdown = Shutdown::builder().window(5 * SECOND).build();
    assert_eq!(shutdown.run(async { 7 }).await, Some(7));
    assert!(timeout(HOUR, shutdown.run(std::future::pending::<()>())).await.is_err(), "it has not begun");
    shutdown.begin();
    let begun = Instant::now();
    assert_eq!(shutdown.run(std::future::pending::<()>()).await, None);
    assert_eq!(begun.elapsed(), 7 * SECOND);
}
