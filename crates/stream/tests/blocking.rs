//! A `blocking::Connection` on a real socket.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;

use fanfare_stream::Closed;
use fanfare_stream::blocking::Connection;
use fanfare_wire::Event;

/// The two ends of a connection over loopback: the client's and the server's.
fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// What the client reads until `end` has come.
fn read_until(client: &mut TcpStream, end: &str) -> String {
    let (mut read, mut buffer) = (Vec::new(), [0; 1024]);
    while !String::from_utf8_lossy(&read).contains(end) {
        let bytes = client.read(&mut buffer).unwrap();
        assert_ne!(bytes, 0, "the end came early");
        read.extend_from_slice(&buffer[..bytes]);
    }
    String::from_utf8(read).unwrap()
}

#[test]
fn the_head_arrives_before_the_first_event_and_each_event_when_it_is_sent() {
    let (mut client, server) = connected();
    let mut connection = Connection::open(server).unwrap();
    let head = read_until(&mut client, "\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    for n in 0..3 {
        connection.send(Event::new(n.to_string())).unwrap();
        assert_eq!(read_until(&mut client, "\n\n"), format!("data: {n}\n\n"));
    }
    assert!(connection.socket().nodelay().unwrap());
    drop(client);
    connection.end().ok();
}

/// Goal: input that nobody reads must not turn the clean end into a reset, which takes what is still on its way.
/// Method: the client has sent more than its request, and reads only when the server is done. What is sent
/// to it is more than its receive buffer takes and less than both sides' buffers do.
#[test]
fn close_is_a_clean_end_even_when_the_client_sent_more_than_was_read() {
    let (mut client, server) = connected();
    client.write_all(&[b'x'; 10_000]).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    server.set_write_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let mut connection = Connection::open(server).unwrap();
    connection.send(Event::new("a".repeat(1 << 20))).unwrap();
    connection.close().unwrap();

    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();

    assert!(response.len() > 1 << 20);
    assert!(response.ends_with("a\n\nevent: close\ndata: Closing the connection\n\n"));
}

#[test]
fn a_client_that_left_is_reported_by_a_write() {
    let (client, server) = connected();
    let mut connection = Connection::open(server).unwrap();
    drop(client);
    while connection.send(Event::new("a")).is_ok() {
        thread::yield_now();
    }
    assert!(connection.close().is_err());
}

#[test]
fn a_connection_says_once_that_the_application_has_ended_it_however_it_did() {
    let endings: [fn(Connection<TcpStream>); 3] =
        [|connection| connection.close().unwrap(), |connection| connection.end().unwrap(), drop];
    for end in endings {
        let (client, server) = connected();
        let (told, heard) = mpsc::channel();
        let held = Arc::new(());
        let connection = Connection::open(server).unwrap().hold(held.clone());
        let connection = connection.on_close(move |why| told.send((why, Arc::strong_count(&held))).unwrap());
        client.shutdown(std::net::Shutdown::Write).unwrap();
        end(connection);
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [(Closed::ByApplication, 1)]);
    }
}

#[test]
fn a_client_that_takes_no_bytes_is_reported_after_the_write_timeout() {
    let (client, server) = connected();
    server.set_write_timeout(Some(std::time::Duration::from_millis(10))).unwrap();
    let (told, heard) = mpsc::channel();
    let mut connection = Connection::open(server).unwrap().on_close(move |why| told.send(why).unwrap());
    let event = Event::new("x".repeat(1 << 20)).to_frame();
    while connection.send(event.clone()).is_ok() {}
    assert!(connection.send(event).is_err());
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [Closed::WriteDeadline]);
    drop(client);
}

#[cfg(unix)]
#[test]
fn a_unix_socket_will_do() {
    let (mut client, server) = std::os::unix::net::UnixStream::pair().unwrap();
    let reader = thread::spawn(move || {
        let mut response = String::new();
        client.read_to_string(&mut response).unwrap();
        response
    });
    Connection::open(server).unwrap().close_with("bye").unwrap();
    assert!(reader.join().unwrap().ends_with("\r\n\r\nevent: close\ndata: bye\n\n"));
}
