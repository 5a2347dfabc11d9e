//! A page and a stream of numbered ticks from bare sockets: a thread for each connection, no runtime, no framework.
//!
//! `cargo run -p fanfare --example blocking --features blocking [ADDRESS]` prints `listening on http://127.0.0.1:3000`.
//!
//! The contract of `/events`, the same in the examples `actix`, `axum` and `hyper`: events `id: n`, `data: tick n`,
//! numbered from 1, the first at once and then one every 200 ms. Who comes back with `Last-Event-ID: n` continues with
//! n + 1; an id that is not a number begins again at 1. `?count=N` ends the stream after N events with the close event
//! (`event: close`, `data: Closing the connection`).

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use fanfare::blocking::{Connection, Socket};
use fanfare::{Event, EventId, LastEventId};
use http::{Method, Request, StatusCode};

/// How long a request's head may take and how long a client may take no bytes.
const PATIENCE: Duration = Duration::from_secs(5);
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(address)?;
    println!("listening on http://{}", listener.local_addr()?);
    for client in listener.incoming() {
        let served =
            client.and_then(|client| thread::Builder::new().spawn(move || serve(client)).map(|_thread| ()));
        if let Err(error) = served {
            // Too many open files or threads: wait for some to end instead of spinning.
            eprintln!("a connection was not served: {error}");
            thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}

fn serve(mut client: TcpStream) {
    // An error here means that the client is gone, and then there is nobody left to tell.
    let _gone = match read_request(&mut client) {
        Ok(request) => respond(client, &request),
        Err(Refusal::Status(status)) => answer(client, status, "text/plain", &format!("{status}\n")),
        Err(Refusal::Io(error)) => Err(error),
    };
}

fn respond(client: TcpStream, request: &Request<()>) -> io::Result<()> {
    let refuse = |client, status: StatusCode| answer(client, status, "text/plain", &format!("{status}\n"));
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => {
            answer(client, StatusCode::OK, "text/html; charset=utf-8", include_str!("page.html"))
        }
        (&Method::GET, "/events") => match count(request.uri().query().unwrap_or_default()) {
            Ok(count) => tick(client, &LastEventId::from_request(request.headers(), request.uri()), count),
            Err(_) => refuse(client, StatusCode::BAD_REQUEST),
        },
        (_, "/" | "/events") => refuse(client, StatusCode::METHOD_NOT_ALLOWED),
        _ => refuse(client, StatusCode::NOT_FOUND),
    }
}

fn tick(client: TcpStream, last: &LastEventId, count: u64) -> io::Result<()> {
    let first = last.id().and_then(|id| id.as_str().parse::<u64>().ok()).map_or(1, |n| n.saturating_add(1));
    let mut connection = Connection::open(client)?;
    let mut next = Instant::now();
    for n in (first..).take(usize::try_from(count).unwrap_or(usize::MAX)) {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        next += Duration::from_millis(200);
        let id = EventId::parse(n.to_string()).map_err(io::Error::other)?;
        connection.send(Event::new(format!("tick {n}")).id(id))?;
    }
    connection.close()
}

/// The value of `count`, by default no end.
fn count(query: &str) -> Result<u64, std::num::ParseIntError> {
    query.split('&').find_map(|pair| pair.strip_prefix("count=")).map_or(Ok(u64::MAX), str::parse)
}

fn answer(mut client: TcpStream, status: StatusCode, content_type: &str, body: &str) -> io::Result<()> {
    write!(
        client,
        "HTTP/1.1 {} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        status.as_str(),
        status.canonical_reason().unwrap_or_default(),
        body.len()
    )?;
    client.end()
}

enum Refusal {
    Status(StatusCode),
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads one request head, within a size and a time. A body is left unread.
fn read_request(client: &mut TcpStream) -> Result<Request<()>, Refusal> {
    client.set_write_timeout(Some(PATIENCE))?;
    let start = Instant::now();
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    loop {
        // One limit for the whole head: a client that sends a byte now and then gets no more time.
        let left = PATIENCE.checked_sub(start.elapsed()).filter(|left| !left.is_zero());
        client.set_read_timeout(Some(left.ok_or(io::Error::from(io::ErrorKind::TimedOut))?))?;
        match client.read(&mut buffer)? {
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            bytes => head.extend_from_slice(&buffer[..bytes]),
        }
        if let Some(request) = parse(&head).map_err(Refusal::Status)? {
            return Ok(request);
        }
        if head.len() > HEAD_BYTES_MAX {
            return Err(Refusal::Status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
    }
}

/// The request, or `None` if its head is not complete yet.
fn parse(head: &[u8]) -> Result<Option<Request<()>>, StatusCode> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        Err(_) => return Err(StatusCode::BAD_REQUEST),
    }
    let mut request =
        Request::builder().method(parsed.method.unwrap_or_default()).uri(parsed.path.unwrap_or_default());
    for header in parsed.headers {
        request = request.header(header.name, header.value);
    }
    request.body(()).map(Some).map_err(|_| StatusCode::BAD_REQUEST)
}
