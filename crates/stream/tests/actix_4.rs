//! What actix-web alone does with streams. What it has in common with the others is tested in `adapters`.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::rt::{System, spawn};
use actix_web::{App, HttpServer, Responder, web};
use fanfare_stream::{Closed, Sender, Shutdown, Sse, channel};
use fanfare_wire::Event;
use tokio::sync::mpsc;

/// A client of `listener` that has sent a request.
fn client(listener: &TcpListener) -> TcpStream {
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    client
}

#[test]
fn a_graceful_stop_comes_to_its_end_although_it_has_an_hour_to_wait_for_streams() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = client(&listener);
    let shutdown = Shutdown::builder().window(Duration::ZERO).build();
    let ours = shutdown.clone();
    let (streams, mut begun) = mpsc::unbounded_channel::<Sender>();
    let handler = move || {
        let (sender, sse) = channel(1);
        streams.send(sender).unwrap();
        std::future::ready(sse.ends_with(&ours))
    };
    let app = move || App::new().route("/", web::get().to(handler.clone()));
    let server = HttpServer::new(app).workers(1).disable_signals().shutdown_timeout(3_600);
    System::new().block_on(async {
        let server = server.listen(listener).unwrap().run();
        let handle = server.handle();
        let serving = spawn(server);
        let sender = begun.recv().await.unwrap();
        shutdown.begin();
        handle.stop(true).await;
        serving.await.unwrap().unwrap();
        assert_eq!(sender.closed().await, Closed::Shutdown);
    });
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    assert!(response.ends_with("\n\n\r\n0\r\n\r\n"), "{response}");
}

#[test]
fn the_callers_status_and_headers_win() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = client(&listener);
    let handler = || async {
        let sse = Sse::new(futures_util::stream::iter([Event::new("a")]));
        let answer = sse.customize().with_status(StatusCode::ACCEPTED);
        answer.insert_header(("cache-control", "no-store")).insert_header(("x-mine", "yes"))
    };
    let server = HttpServer::new(move || App::new().route("/", web::get().to(handler)));
    let server = server.workers(1).disable_signals().listen(listener).unwrap();
    let response = System::new().block_on(async {
        let server = server.run();
        let handle = server.handle();
        spawn(server);
        let response = web::block(move || {
            let mut response = [0; 4096];
            let mut length = 0;
            while !response[..length].ends_with(b"0\r\n\r\n") {
                length += client.read(&mut response[length..]).unwrap();
            }
            String::from_utf8(response[..length].to_vec()).unwrap()
        });
        let response = response.await.unwrap();
        handle.stop(false).await;
        response
    });
    assert!(response.starts_with("HTTP/1.1 202 Accepted\r\n"), "{response}");
    for header in ["cache-control: no-store\r\n", "x-mine: yes\r\n", "content-type: text/event-stream\r\n"] {
        assert!(response.contains(header), "{header} in {response}");
    }
    assert!(response.contains("data: a\n\n"), "{response}");
}
