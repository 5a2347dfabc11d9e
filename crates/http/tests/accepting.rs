//! Whoever connects while others connect in crowds is taken within a bounded number of them. Nothing is measured in time:
//! what counts is how many connections the server has when it answers. It looks at no error of accepting.

mod common;

use axum::Router;
use axum::routing::get;
use fanfare_http::{ServeCounts, listen, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How many connections wait before anybody is served.
const CROWD: usize = 300;
/// How many may be taken between one look of the runtime at all sockets and the next: it lets a task go on for 128 steps.
const BETWEEN_LOOKS: usize = 128;

fn listener() -> TcpListener {
    listen(([127, 0, 0, 1], 0).into()).expect("a free port")
}

/// Connections that the kernel holds until they are accepted, and that then stay and say nothing.
async fn crowd(listener: &TcpListener) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        crowd.push(connection(listener).await);
    }
    crowd
}

async fn connection(listener: &TcpListener) -> TcpStream {
    TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection")
}

/// Asks how many connections the server has.
async fn ask(socket: &mut TcpStream) {
    let request = b"GET /open HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    socket.write_all(request).await.expect("sent");
}

async fn answer(mut socket: TcpStream) -> usize {
    let mut read = Vec::new();
    tokio::time::timeout(common::PATIENCE, socket.read_to_end(&mut read))
        .await
        .expect("an end")
        .expect("read");
    let text = String::from_utf8(read).expect("text");
    let (_, body) = text.split_once("\r\n\r\n").expect("a response");
    body.parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

/// Serves on all `listeners` from now on.
fn serving(listeners: Vec<TcpListener>) -> tokio::task::JoinHandle<()> {
    let counts = ServeCounts::default();
    let counted = counts.clone();
    let app =
        Router::new().route("/open", get(move || async move { counted.connections_open().to_string() }));
    let serving = serve(listeners, app).counts(counts);
    tokio::spawn(async { serving.await.expect("threads for the fan-out") })
}

/// Goal: a crowd at one socket keeps nobody waiting at another, whichever of the two the server was given first.
/// Method: the crowd and one more are there before the server starts; when the one is served, most of the crowd waits.
#[tokio::test]
async fn a_crowd_at_one_listener_does_not_keep_another_waiting() {
    for crowded in 0..2 {
        let listeners = vec![listener(), listener()];
        let _crowd = crowd(&listeners[crowded]).await;
        let mut other = connection(&listeners[1 - crowded]).await;
        ask(&mut other).await;
        let serving = serving(listeners);
        let open = answer(other).await;
        assert!(open <= BETWEEN_LOOKS + 2, "served after {open} of {CROWD}");
        serving.abort();
    }
}

/// Goal: at one socket it is first come, first served: a crowd that came later does not get in before.
#[tokio::test]
async fn who_came_before_a_crowd_is_served_before_it() {
    let listener = listener();
    let mut first = connection(&listener).await;
    ask(&mut first).await;
    let _crowd = crowd(&listener).await;
    let serving = serving(vec![listener]);
    let open = answer(first).await;
    assert!(open <= BETWEEN_LOOKS + 1, "served after {open} of {CROWD}");
    serving.abort();
}
