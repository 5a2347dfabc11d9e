//! What becomes of a client that takes nothing: its stream, what is kept for it, and its connection.
//!
//! What every adapter does about one is tested in `adapters`.
#![allow(clippy::unwrap_used)]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fanfare_stream::{Capacity, Closed, Closing, Sse, TrySendError, WriteDeadline, channel, hyper_1, tcp};
use fanfare_wire::Event;
use futures_util::{StreamExt, stream};
use http::Request;
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const SECOND: Duration = Duration::from_secs(1);

/// What a kernel would hold.
const BUFFER: usize = 64 * 1024;

fn poll(sse: &mut Sse) -> Poll<Option<Result<Vec<u8>, String>>> {
    let polled = Pin::new(sse).poll_frame(&mut Context::from_waker(Waker::noop()));
    polled.map(|next| {
        next.map(|frame| {
            frame.map(|frame| frame.into_data().unwrap().to_vec()).map_err(|error| error.to_string())
        })
    })
}

fn endless() -> Sse {
    Sse::new(stream::once(async { Event::new("a") }).chain(stream::pending()))
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_server_does_not_come_back_is_over_after_the_deadline_and_then_an_error() {
    let mut sse = endless().write_deadline(10 * SECOND);
    let closed = sse.closed();
    assert!(matches!(poll(&mut sse), Poll::Ready(Some(Ok(_)))));
    let begun = tokio::time::Instant::now();
    assert_eq!(closed.await, Closed::WriteDeadline);
    assert_eq!(begun.elapsed(), 10 * SECOND);
    assert!(!sse.is_end_stream(), "a server that believes in an end would not cut the connection");
    assert_eq!(poll(&mut sse), Poll::Ready(Some(Err("the client took nothing for too long".to_owned()))));
    assert_eq!(poll(&mut sse), Poll::Ready(None));
    assert!(sse.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn by_default_it_is_half_a_minute_and_none_is_for_ever() {
    let mut sse = endless();
    let begun = tokio::time::Instant::now();
    let closed = sse.closed();
    assert!(poll(&mut sse).is_ready());
    assert_eq!(closed.await, Closed::WriteDeadline);
    assert_eq!(begun.elapsed(), 30 * SECOND);

    let mut sse = endless().write_deadline(None);
    assert!(poll(&mut sse).is_ready());
    assert!(tokio::time::timeout(86_400 * SECOND, sse.closed()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_server_waits_for_it_has_all_the_time() {
    let mut sse = endless().write_deadline(10 * SECOND);
    assert!(poll(&mut sse).is_ready());
    tokio::time::sleep(9 * SECOND).await;
    assert!(poll(&mut sse).is_pending());
    assert!(tokio::time::timeout(86_400 * SECOND, sse.closed()).await.is_err());
    assert!(poll(&mut sse).is_ready(), "a keep-alive");
    tokio::time::sleep(9 * SECOND).await;
    assert!(poll(&mut sse).is_pending());
}

#[tokio::test]
async fn a_channel_holds_so_many_bytes_and_one_event_more() {
    let (sender, mut sse) = channel(Capacity::events(1_000).bytes(100));
    let event = || Event::new("x".repeat(32)); // 40 bytes, encoded.
    for _ in 0..3 {
        sender.try_send(event()).unwrap();
    }
    assert_eq!(sender.try_send(event()), Err(TrySendError::Full(event())));
    let (sent, piece) = tokio::join!(sender.send(event()), async { poll(&mut sse) });
    assert_eq!(sent, Ok(()));
    assert!(matches!(piece, Poll::Ready(Some(Ok(piece))) if piece.len() == 120));

    // All of the room came back.
    assert!(matches!(poll(&mut sse), Poll::Ready(Some(Ok(piece))) if piece.len() == 40));
    let large = Event::new("x".repeat(1_000));
    sender.try_send(large).unwrap();
    assert!(matches!(sender.try_send(event()), Err(TrySendError::Full(_))));
}

#[tokio::test]
async fn whoever_waits_for_room_hears_that_the_client_left() {
    let (sender, sse) = channel(Capacity::events(1_000).bytes(1));
    sender.try_send(Event::new("a")).unwrap();
    let (sent, ()) = tokio::join!(sender.send(Event::new("b")), async { drop(sse) });
    assert_eq!(sent.unwrap_err().0, Event::new("b"));
}

/// A stream that always has more, 1 KiB each, and how much was taken of it.
fn flood(write_deadline: Option<Duration>) -> (Sse, Stream) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = taken.clone();
    let sse = Sse::new(stream::repeat_with(move || {
        counted.fetch_add(1024, Ordering::Relaxed);
        Event::new("x".repeat(1024))
    }));
    let sse = sse.write_deadline(write_deadline);
    let closed = sse.closed();
    (sse, Stream { closed, taken })
}

struct Stream {
    closed: Closing,
    taken: Arc<AtomicUsize>,
}

impl Stream {
    /// Whether there is no more of it than a kernel would hold, what hyper does, and a piece.
    fn is_bounded(&self) -> bool {
        self.taken.load(Ordering::Relaxed) < BUFFER + 420 * 1024 + 128 * 1024
    }
}

/// A client that has sent a request over HTTP/1 and reads nothing, the stream that it is sent, and the server of its connection.
async fn stalled(write_deadline: Option<Duration>) -> (DuplexStream, Stream, JoinHandle<hyper::Result<()>>) {
    let (mut client, server) = duplex(BUFFER);
    let (streams, mut begun) = mpsc::unbounded_channel();
    let service = hyper_1::service(move |_: Request<Incoming>| {
        let (sse, stream) = flood(write_deadline);
        streams.send(stream).ok();
        std::future::ready(sse)
    });
    let io = TokioIo::new(WriteDeadline::new(server, 40 * SECOND));
    let serving = tokio::spawn(http1::Builder::new().serve_connection(io, service));
    client.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let stream = begun.recv().await.unwrap();
    (client, stream, serving)
}

#[tokio::test(start_paused = true)]
async fn over_http_1_the_stream_ends_and_says_why_and_its_connection_is_cut_p5() {
    let (_client, stream, serving) = stalled(Some(30 * SECOND)).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(stream.closed.clone().await, Closed::WriteDeadline);
    assert_eq!(begun.elapsed(), 30 * SECOND);
    assert!(stream.is_bounded());
    assert!(serving.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_a_deadline_is_cut_whatever_its_streams_say_p5() {
    let (_client, stream, serving) = stalled(None).await;
    let begun = tokio::time::Instant::now();
    assert!(serving.await.unwrap().is_err());
    assert_eq!(begun.elapsed(), 40 * SECOND);
    assert!(stream.is_bounded());
    assert_eq!(stream.closed.await, Closed::ByClient);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_little_now_and_then_is_left_alone_p5() {
    let (mut client, stream, serving) = stalled(Some(30 * SECOND)).await;
    let mut some = vec![0; 2 * BUFFER];
    for _ in 0..100 {
        tokio::time::sleep(20 * SECOND).await;
        client.read_exact(&mut some).await.unwrap();
    }
    assert!(!serving.is_finished());
    drop(client);
    assert_eq!(stream.closed.await, Closed::ByClient);
}

#[tokio::test(start_paused = true)]
async fn over_http_2_a_stream_whose_window_is_shut_ends_and_the_others_go_on_p5() {
    let (client, server) = duplex(BUFFER);
    let (streams, mut begun) = mpsc::unbounded_channel();
    let service = hyper_1::service(move |_: Request<Incoming>| {
        let (sse, stream) = flood(Some(30 * SECOND));
        streams.send(stream).ok();
        std::future::ready(sse)
    });
    tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(server), service));
    let mut client_settings = h2::client::Builder::new();
    // One stream that is not read must not take the window of all.
    client_settings.initial_connection_window_size(1 << 20);
    let (requests, connection) = client_settings.handshake::<_, bytes::Bytes>(client).await.unwrap();
    tokio::spawn(connection);
    let mut requests = requests.ready().await.unwrap();
    let mut ask = || requests.send_request(Request::get("http://test/").body(()).unwrap(), true).unwrap().0;
    let _stalled = ask().await.unwrap();
    let stalled = begun.recv().await.unwrap();
    let mut read = ask().await.unwrap().into_body();
    let reader = tokio::spawn(async move {
        for _ in 0..100 {
            let bytes = read.data().await.unwrap().unwrap().len();
            read.flow_control().release_capacity(bytes).unwrap();
            tokio::time::sleep(SECOND).await;
        }
    });
    assert_eq!(stalled.closed.clone().await, Closed::WriteDeadline);
    assert!(stalled.is_bounded());
    reader.await.unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernel_cuts_a_connection_whose_peer_makes_no_room() {
    use std::io::{ErrorKind, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    tcp::cut_stalled(&server, Duration::from_millis(50)).unwrap();
    let error = loop {
        if let Err(error) = server.write(&[0; 1024]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(Closed::from(&error), Closed::WriteDeadline);
    drop(client);
}
