//! What all floors share: accepting, the two requests, and the frames that publications become.
//!
//! It never writes an event to a subscriber: that is what the floors differ in.

use anyhow::Context;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

const LISTENER: Token = Token(usize::MAX - 1);
/// The one path, with whatever query.
const PATH: &str = "/.well-known/mercure";
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\
    Connection: close\r\n\r\n";

/// A client, before and after it has said what it wants.
pub(super) enum Connection {
    /// Sends requests; publishers stay here.
    Talking(Box<Talking>),
    Subscribed(Subscribed),
}

/// All that is kept for a subscriber.
pub(super) struct Subscribed {
    pub(super) stream: TcpStream,
    /// How many bytes of all frames ever made have been sent, or were made before it came.
    pub(super) cursor: u64,
    /// The socket took less than it was offered; it says so when it takes more.
    pub(super) full: bool,
    /// The ring knows the socket (the floor over `io_uring` alone).
    pub(super) in_ring: bool,
}

pub(super) struct Talking {
    stream: TcpStream,
    request: Vec<u8>,
    response: Vec<u8>,
}

/// The listener and its connections.
pub(super) struct Door {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    pub(super) connections: Slab<Connection>,
    buffer: Vec<u8>,
    frame: Vec<u8>,
    publications: u64,
    /// Length of all frames ever made.
    end: u64,
    /// A subscriber's socket takes bytes again.
    pub(super) drained: bool,
    /// Slots freed since the last [`take_in`](Self::take_in) began, whether or not they are taken again.
    pub(super) closed: Vec<usize>,
}

/// What a connection asked for.
enum Asked {
    NotYet,
    Subscribe,
    /// To publish this; the request's length.
    Publish(String, usize),
    /// Something else: the status line's rest. The connection ends.
    Refuse(&'static str),
}

impl Door {
    /// Listens and says so on standard output.
    pub(super) fn open(listen: SocketAddr) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        println!("listening on http://{}", listener.local_addr()?);
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            listener,
            connections: Slab::new(),
            buffer: vec![0; 64 * 1024],
            frame: Vec::new(),
            publications: 0,
            end: 0,
            drained: false,
            closed: Vec::new(),
        })
    }

    /// Waits for at most `timeout` (or for ever), does what clients want, and hands each new frame to `on_frame`.
    pub(super) fn take_in(
        &mut self,
        timeout: Option<Duration>,
        mut on_frame: impl FnMut(&[u8]),
    ) -> anyhow::Result<()> {
        self.closed.clear();
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        match self.poll.poll(&mut events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            if event.token() == LISTENER {
                self.accept()?;
            } else {
                self.ready(event, &mut on_frame);
            }
        }
        self.events = events;
        Ok(())
    }

    /// Forgets a subscriber that is gone.
    pub(super) fn close(&mut self, key: usize) {
        if self.connections.try_remove(key).is_some() {
            self.closed.push(key);
        }
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // The client was gone before we came.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error).context("cannot accept"),
            };
            stream.set_nodelay(true)?;
            let entry = self.connections.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(entry.key()), interest)?;
            let talking = Talking { stream, request: Vec::new(), response: Vec::new() };
            entry.insert(Connection::Talking(Box::new(talking)));
        }
    }

    fn ready(&mut self, event: &Event, on_frame: &mut impl FnMut(&[u8])) {
        let key = event.token().0;
        let alive = match self.connections.get_mut(key) {
            None => return,
            Some(Connection::Subscribed(subscriber)) => {
                if event.is_writable() && subscriber.full {
                    subscriber.full = false;
                    self.drained = true;
                }
                !event.is_readable() || discard(&mut subscriber.stream, &mut self.buffer)
            }
            Some(Connection::Talking(_)) => self.talk(key, event, on_frame).is_ok_and(|alive| alive),
        };
        if !alive {
            self.close(key);
        }
    }

    /// Reads requests and answers them; false when the connection is done.
    fn talk(&mut self, key: usize, event: &Event, on_frame: &mut impl FnMut(&[u8])) -> io::Result<bool> {
        let Some(Connection::Talking(talking)) = self.connections.get_mut(key) else { return Ok(true) };
        let mut ended = false;
        while event.is_readable() {
            match talking.stream.read(&mut self.buffer) {
                Ok(0) => {
                    ended = true;
                    break;
                }
                Ok(read) => talking.request.extend_from_slice(&self.buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        loop {
            match parse(&talking.request) {
                Asked::NotYet => break,
                Asked::Publish(data, request_bytes) => {
                    talking.request.drain(..request_bytes);
                    self.publications += 1;
                    // As long on the wire as an id that the hub makes: the same bytes for every contestant.
                    let id = format!("#1{:022}", self.publications);
                    self.frame.clear();
                    write!(self.frame, "id: {id}\ndata: {data}\n\n")?;
                    self.end += self.frame.len() as u64;
                    on_frame(&self.frame);
                    write!(
                        talking.response,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{id}",
                        id.len()
                    )?;
                }
                Asked::Refuse(status) => {
                    write!(
                        talking.response,
                        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                    )?;
                    ended = true;
                    break;
                }
                Asked::Subscribe => {
                    talking.stream.write_all(STREAM_HEAD)?;
                    self.subscribe(key);
                    return Ok(!ended);
                }
            }
        }
        while !talking.response.is_empty() {
            match talking.stream.write(&talking.response) {
                Ok(written) => drop(talking.response.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(!ended)
    }

    /// Turns a talking connection into a subscriber that keeps nothing of its request.
    fn subscribe(&mut self, key: usize) {
        if !matches!(self.connections.get(key), Some(Connection::Talking(_))) {
            return;
        }
        let old = self.connections.try_remove(key);
        if let Some(Connection::Talking(talking)) = old {
            // The slot that was just freed is the next one given out, so the token stays right.
            let subscriber =
                Subscribed { stream: talking.stream, cursor: self.end, full: false, in_ring: false };
            let new_key = self.connections.insert(Connection::Subscribed(subscriber));
            debug_assert_eq!(new_key, key);
        }
    }
}

/// Reads what a subscriber has no reason to send; false when it is gone.
fn discard(stream: &mut TcpStream, buffer: &mut [u8]) -> bool {
    loop {
        match stream.read(buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

fn parse(request: &[u8]) -> Asked {
    if request.is_empty() {
        return Asked::NotYet;
    }
    if request.len() > REQUEST_BYTES_MAX {
        return Asked::Refuse("413 Content Too Large");
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    let head_bytes = match head.parse(request) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) => return Asked::NotYet,
        Err(_) => return Asked::Refuse("400 Bad Request"),
    };
    if !head.path.is_some_and(|path| path.starts_with(PATH)) {
        return Asked::Refuse("404 Not Found");
    }
    match head.method {
        Some("GET") => return Asked::Subscribe,
        Some("POST") => {}
        _ => return Asked::Refuse("405 Method Not Allowed"),
    }
    let length = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length =
        length.and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse::<usize>().ok());
    let Some(length) = length else { return Asked::Refuse("411 Length Required") };
    let Some(end) = head_bytes.checked_add(length) else { return Asked::Refuse("413 Content Too Large") };
    let Some(body) = request.get(head_bytes..end) else { return Asked::NotYet };
    match form_urlencoded::parse(body).find(|(name, _)| name == "data") {
        Some((_, data)) if !data.contains(['\r', '\n']) => Asked::Publish(data.into_owned(), end),
        _ => Asked::Refuse("400 Bad Request"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLICATION: &[u8] =
        b"POST /.well-known/mercure HTTP/1.1\r\ncontent-length: 20\r\n\r\ntopic=bench&data=a+b";

    #[test]
    fn a_publication_is_read_when_its_last_byte_is_there() {
        for cut in 0..PUBLICATION.len() {
            assert!(matches!(parse(&PUBLICATION[..cut]), Asked::NotYet), "cut at {cut}");
        }
        let twice = [PUBLICATION, PUBLICATION].concat();
        for request in [PUBLICATION, &twice] {
            assert!(
                matches!(parse(request), Asked::Publish(data, bytes) if data == "a b" && bytes == PUBLICATION.len())
            );
        }
    }

    #[test]
    fn what_is_no_request_of_ours_is_refused() {
        for (request, status) in [
            (&b"\0\r\n\r\n"[..], "400"),
            (b"GET /metrics HTTP/1.1\r\n\r\n", "404"),
            (b"PUT /.well-known/mercure HTTP/1.1\r\n\r\n", "405"),
            (b"POST /.well-known/mercure HTTP/1.1\r\n\r\n", "411"),
            (b"POST /.well-known/mercure HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n", "413"),
            (b"POST /.well-known/mercure HTTP/1.1\r\nContent-Length: 7\r\n\r\nno=data", "400"),
            (b"POST /.well-known/mercure HTTP/1.1\r\nContent-Length: 10\r\n\r\ndata=a%0Ab", "400"),
        ] {
            assert!(
                matches!(parse(request), Asked::Refuse(answer) if answer.starts_with(status)),
                "{status}"
            );
        }
        assert!(matches!(parse(b"GET /.well-known/mercure?match=x HTTP/1.1\r\n\r\n"), Asked::Subscribe));
    }
}
