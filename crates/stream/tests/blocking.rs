//! What only `blocking` does, on real sockets: a `Connection`, and what `serve` reports to the thread that called it.
#![allow(clippy::unwrap_used)]

use std::io::{self, BufWriter, Read, Write};
use std::net::{self, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use fanfare_stream::blocking::{Connection, IntoResponse, Socket, serve};
use fanfare_stream::{
    AcceptEncoding, BoxError, Closed, KeepAlive, Negotiated, NotAcceptable, Shutdown, Sse, channel,
};
use fanfare_wire::Event;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body::Body;

/// The two ends of a connection over loopback: the client's and the server's.
fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    // After this long without a byte a test has failed; none waits for it otherwise.
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
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
    client.shutdown(net::Shutdown::Write).unwrap();
    server.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
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
        client.shutdown(net::Shutdown::Write).unwrap();
        end(connection);
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [(Closed::ByApplication, 1)]);
    }
}

#[test]
fn a_client_that_takes_no_bytes_is_reported_after_the_write_timeout() {
    let (client, server) = connected();
    server.set_write_timeout(Some(Duration::from_millis(10))).unwrap();
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

/// Serves what `answer` makes, in a thread of its own, and gives what it reported and what the client got.
fn served<A>(method: Method, answer: A) -> (io::Result<()>, String)
where
    A: IntoResponse + Send + 'static,
    A::Body: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let (mut client, server) = connected();
    client.shutdown(net::Shutdown::Write).unwrap();
    let serving = thread::spawn(move || serve(server, &method, answer));
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    (serving.join().unwrap(), response)
}

#[test]
fn an_answer_that_is_no_stream_says_how_long_it_is_and_is_written_whole() {
    let head = || Response::builder().status(StatusCode::CREATED).header("set-cookie", "a=b");
    let json = || Negotiated::Other(head().body("[1]".to_owned()).unwrap());
    let (served_whole, response) = served(Method::GET, json());
    served_whole.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 201 Created\r\n"), "{head}");
    for line in ["set-cookie: a=b", "content-length: 3", "connection: close", "vary: Accept"] {
        assert!(head.lines().any(|has| has == line), "{line}: {head}");
    }
    assert!(!head.contains("event-stream") && !head.contains("x-accel"), "{head}");
    assert_eq!(body, "[1]");

    let (_, response) = served(Method::HEAD, json());
    assert!(response.contains("content-length: 3\r\n") && response.ends_with("\r\n\r\n"), "{response}");
    let refusal: Negotiated<NotAcceptable> =
        Negotiated::NotAcceptable(NotAcceptable::offering(&["text/event-stream"]));
    let (_, response) = served(Method::GET, refusal);
    assert!(response.starts_with("HTTP/1.1 406 Not Acceptable\r\n"), "{response}");
    let nothing: Negotiated<Response<String>> =
        Negotiated::Other(Response::builder().status(StatusCode::NO_CONTENT).body(String::new()).unwrap());
    let (_, response) = served(Method::GET, nothing);
    assert!(response.starts_with("HTTP/1.1 204 No Content\r\n"), "{response}");
    assert!(!response.contains("content-length"), "{response}");
}

#[test]
fn a_stream_under_a_status_without_a_body_is_refused_before_anything_is_written_and_is_over() {
    let (told, heard) = mpsc::channel();
    let sse = Sse::new(stream::pending::<Event>()).on_close(move |why| told.send(why).unwrap());
    let own = Response::builder().status(StatusCode::NO_CONTENT).body(()).unwrap();
    let (refused, response) = served(Method::GET, sse.response_with(own));
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(response, "");
    assert_eq!(heard.recv(), Ok(Closed::ByClient));
}

#[test]
fn a_stream_whose_head_says_that_it_is_something_else_is_written_whole_all_the_same() {
    let mut response = Sse::new(stream::iter([Event::new("one")])).response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    let (served_whole, response) = served(Method::GET, response);
    served_whole.unwrap();
    assert!(
        !response.contains("content-length") && response.ends_with("\r\n\r\ndata: one\n\n"),
        "{response}"
    );
}

#[test]
fn what_a_stream_failed_with_is_reported_unless_somebody_hears_of_it() {
    let failing = || stream::iter([Ok(Event::new("before")), Err("the disk is on fire")]);
    let (reported, response) = served(Method::GET, Sse::new(failing()));
    assert_eq!(reported.unwrap_err().to_string(), "the disk is on fire");
    assert!(response.ends_with("data: before\n\n"));
    let (told, heard) = mpsc::channel();
    let sse = Sse::new(failing()).on_error(move |error| told.send(error.to_string()).unwrap());
    let (reported, _) = served(Method::GET, sse);
    reported.unwrap();
    assert_eq!(heard.recv().unwrap(), "the disk is on fire");
}

/// Goal: nothing is lost of a stream that no server may take, nor of one that comes under a head of its own.
#[test]
fn a_stream_that_is_kept_on_http_is_kept_alive_as_well() {
    let (mut client, server) = connected();
    let sse = Sse::new(stream::pending::<Event>()).keep_alive(KeepAlive::every(Duration::from_millis(1)));
    let head = Response::builder().header("set-cookie", "a=b").body(()).unwrap();
    let response = sse.keep_on_http().response_with(head);
    let serving = thread::spawn(move || serve(server, &Method::GET, response));
    assert!(read_until(&mut client, "\r\n\r\n:\n:\n").contains("set-cookie: a=b\r\n"));
    drop(client);
    assert!(serving.join().unwrap().is_err());
}

/// Goal: a thread that sleeps is woken by whoever ends its stream, and by a runtime's clock if there happens to be one, without doing
/// things twice.
#[test]
fn within_a_runtime_it_is_the_thread_that_keeps_a_stream_alive() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (mut client, server) = connected();
    let (sender, sse) = channel(4);
    let sse = sse.keep_alive(KeepAlive::every(Duration::from_millis(1)));
    let serving = runtime.spawn_blocking(move || serve(server, &Method::GET, sse));
    read_until(&mut client, ":\n:\n");
    sender.try_send(Event::new("one")).unwrap();
    read_until(&mut client, "data: one\n\n");
    drop(sender);
    client.shutdown(net::Shutdown::Write).unwrap();
    runtime.block_on(serving).unwrap().unwrap();
}

/// A socket that tells when its client takes nothing.
struct Watched {
    socket: TcpStream,
    is_stuck: mpsc::Sender<()>,
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.socket.write(bytes);
        if written.is_err() {
            self.is_stuck.send(()).unwrap();
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl Socket for Watched {
    fn limit_writes(&mut self, limit: Duration) -> io::Result<()> {
        self.socket.limit_writes(limit.min(Duration::from_millis(10)))
    }

    fn end(&mut self) -> io::Result<()> {
        self.socket.end()
    }
}

/// A socket that keeps what its client has not taken, as those for TLS do.
struct Buffered(BufWriter<Watched>);

impl Write for Buffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Socket for Buffered {
    fn limit_writes(&mut self, limit: Duration) -> io::Result<()> {
        self.0.get_mut().limit_writes(limit)
    }

    fn end(&mut self) -> io::Result<()> {
        self.0.get_mut().end()
    }
}

/// Goal: a server that stops by joining its threads is not held up by one that can be neither woken nor told, be it writing or flushing.
#[test]
fn a_thread_whose_client_takes_nothing_comes_back_when_the_server_shuts_down() {
    // More than the kernel's buffers grow to, or it would be taken after all.
    const BYTES: usize = 64 << 20;
    for is_buffered in [false, true] {
        let shutdown = Shutdown::builder().window(Duration::ZERO).build();
        let (client, socket) = connected();
        let (is_stuck, stuck) = mpsc::channel();
        // Only so that a broken test ends.
        let deadline = Duration::from_secs(60);
        let events = stream::iter([Event::new("x".repeat(BYTES))]);
        let sse = Sse::new(events).write_deadline(deadline).ends_with(&shutdown);
        let closed = sse.closed();
        let serving = thread::spawn(move || {
            let socket = Watched { socket, is_stuck };
            if is_buffered {
                let buffered = BufWriter::with_capacity(2 * BYTES, socket);
                serve(Buffered(buffered), &Method::GET, sse)
            } else {
                serve(socket, &Method::GET, sse)
            }
        });
        stuck.recv().unwrap();
        shutdown.begin();
        assert_eq!(serving.join().unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(futures_util::FutureExt::now_or_never(closed), Some(Closed::Shutdown));
        drop(client);
    }
}

#[test]
fn a_loop_of_ones_own_leaves_with_a_shutdown_and_says_so() {
    let shutdown = Shutdown::builder().farewell(Event::new("bye")).build();
    let (mut client, server) = connected();
    client.shutdown(net::Shutdown::Write).unwrap();
    let (told, heard) = mpsc::channel();
    let connection = Connection::open(server).unwrap().on_close(move |why| told.send(why).unwrap());
    shutdown.begin();
    connection.leave(&shutdown).unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    let said = response.split_once("\r\n\r\n").unwrap().1;
    assert!(said.starts_with("retry: ") && said.ends_with("\n\ndata: bye\n\n"), "{said}");
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [Closed::Shutdown]);
}

#[test]
fn a_compressed_connection_that_is_dropped_breaks_off_and_one_that_ends_is_whole() {
    let accepted = AcceptEncoding::from_values([&b"gzip"[..]]);
    for ends in [true, false] {
        let (mut client, server) = connected();
        client.shutdown(net::Shutdown::Write).unwrap();
        let mut connection = Connection::open_compressed(server, Response::new(()), &accepted).unwrap();
        connection.send(Event::new("one ".repeat(100))).unwrap();
        if ends {
            connection.end().unwrap();
        } else {
            drop(connection);
        }
        let mut response = Vec::new();
        client.read_to_end(&mut response).unwrap();
        let body = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
        let mut said = String::new();
        let read = flate2::read::GzDecoder::new(&response[body..]).read_to_string(&mut said);
        assert_eq!(read.is_ok(), ends);
    }
}
