//! A hub, a fan-out, and clients on real sockets.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::Duration;

use fanfare_fanout::{Adoption, Fanout, Settings, Terms};
use fanfare_hub::{Framing, Hub, HubBuilder, Publication, Subscription, Topic};
use fanfare_wire::{Coding, Decoder, Event, EventId, Item};

use super::chunks::Chunks;
use super::decompressed::{self, CODINGS, Decompressed};

pub(crate) const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
/// A test that waits for longer than this has found a bug; no test waits for it to pass.
pub(crate) const HANGS: Duration = Duration::from_secs(60);

/// Settings for one worker, which writes as this test program is there to show.
pub(crate) fn settings() -> Settings {
    Settings { workers: NonZeroUsize::new(1), io_uring: crate::IO_URING, ..Settings::default() }
}

/// A hub that compresses nothing, for what is said over and over would leave nothing to be written; it is coded nevertheless.
pub(crate) fn hub() -> HubBuilder {
    decompressed::with_dictionary(Hub::builder().compressed_from_bytes(usize::MAX))
}

pub(crate) struct House {
    pub(crate) hub: Hub,
    pub(crate) fanout: Fanout,
    listener: TcpListener,
    /// Which client is next: every other one gets chunks, and they take turns with all codings, so that all stand side by side everywhere.
    turn: Cell<usize>,
}

pub(crate) fn house() -> House {
    House::new(hub().build().unwrap(), &settings())
}

impl House {
    pub(crate) fn new(hub: Hub, settings: &Settings) -> Self {
        let fanout = Fanout::start(settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { hub, fanout, listener, turn: Cell::new(0) }
    }

    /// A client of whatever `subscription` is.
    pub(crate) fn adopt(&self, subscription: Subscription, terms: Terms) -> Client {
        let socket = TcpStream::connect(self.address()).unwrap();
        let (server, _) = self.listener.accept().unwrap();
        self.adopt_between(socket, server, subscription, terms)
    }

    /// A client of `topic` on a socket that has just been connected to [`address`](Self::address), and the fan-out's end of it.
    pub(crate) fn subscribe_on(&self, socket: TcpStream, topic: &str) -> (Client, TcpStream) {
        let (server, _) = self.listener.accept().unwrap();
        let kept = server.try_clone().unwrap();
        let subscription = self.hub.subscribe(topic).bookmarks(false);
        (self.adopt_between(socket, server, subscription, Terms::default()), kept)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    fn adopt_between(
        &self,
        socket: TcpStream,
        server: TcpStream,
        subscription: Subscription,
        terms: Terms,
    ) -> Client {
        server.set_nonblocking(true).unwrap();
        let turn = self.turn.replace(self.turn.get() + 1);
        let framing = if turn.is_multiple_of(2) { Framing::Chunked } else { Framing::Bare };
        let codings = CODINGS.len() + 1;
        // One further with each time around, so that each coding stands in both framings.
        let coding = CODINGS.get((turn + turn / codings) % codings).copied().unwrap_or_default();
        let terms = Terms { framing, coding, ..terms };
        let mut head = HEAD.to_vec();
        framing.put(&decompressed::head(coding), &mut head);
        let adoption = Adoption { socket: server, head, subscription, terms, client: None };
        self.fanout.adopt(adoption).expect("a worker takes it");
        Client::new(socket, framing, coding)
    }

    /// A client of `topic` without bookmarks.
    pub(crate) fn subscribe(&self, topic: &str) -> Client {
        self.adopt(self.hub.subscribe(topic).bookmarks(false), Terms::default())
    }

    pub(crate) fn resume(&self, topic: &str, after: &str) -> Client {
        let after = EventId::parse(after).unwrap();
        self.adopt(self.hub.subscribe(topic).after(after).bookmarks(false), Terms::default())
    }

    pub(crate) fn publish(&self, topic: &str, data: &str) -> EventId {
        block_on(self.hub.publish(topic, Event::new(data.to_owned()))).unwrap().id
    }

    pub(crate) fn publish_all(&self, topics: &[&str], data: &str) {
        let topics: Vec<Topic> = topics.iter().map(|topic| Topic::parse(topic).unwrap()).collect();
        block_on(self.hub.publish_all(Publication::to(topics).event(Event::new(data.to_owned())))).unwrap();
    }

    /// Waits until the hub has so many subscribers.
    pub(crate) fn until_subscribers(&self, count: u64) {
        until(|| self.hub.counts().subscribers == count);
    }
}

pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    framing: Framing,
    chunks: Chunks,
    decompressed: Decompressed,
    decoder: Decoder,
    head: Vec<u8>,
    got: std::collections::VecDeque<Got>,
    /// The whole stream behind the head, without what stands around frames.
    pub(crate) bytes: Vec<u8>,
}

/// What a client saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Event {
        name: String,
        data: String,
        id: String,
    },
    Comment,
    Retry,
    Bookmark,
    /// The stream ended in order.
    End,
    /// It was reset, or broke off before the end that its framing or its coding asks for.
    Broken,
}

impl Client {
    fn new(socket: TcpStream, framing: Framing, coding: Coding) -> Self {
        socket.set_read_timeout(Some(HANGS)).unwrap();
        Self {
            socket,
            framing,
            chunks: Chunks::default(),
            decompressed: Decompressed::of(coding),
            decoder: Decoder::new(),
            head: Vec::new(),
            got: std::collections::VecDeque::new(),
            bytes: Vec::new(),
        }
    }

    /// What comes next; waits for it.
    pub(crate) fn next(&mut self) -> Got {
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(got) = self.got.pop_front() {
                return got;
            }
            match self.socket.read(&mut buffer) {
                Ok(0) => return self.closed(),
                Ok(read) => self.take_in(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Got::Broken,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    /// What has come, if anything has; for a socket that does not block.
    pub(crate) fn next_if_ready(&mut self) -> Option<Got> {
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(got) = self.got.pop_front() {
                return Some(got);
            }
            match self.socket.read(&mut buffer) {
                Ok(0) => return Some(self.closed()),
                Ok(read) => self.take_in(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => return Some(Got::Broken),
            }
        }
    }

    /// Reads the head, so that the connection is known to be served.
    pub(crate) fn served(mut self) -> Self {
        let mut byte = [0];
        while self.head.len() < HEAD.len() {
            self.socket.read_exact(&mut byte).unwrap();
            self.take_in(&byte);
        }
        self
    }

    /// The data of the next event, whatever else comes before it.
    pub(crate) fn next_event(&mut self) -> String {
        loop {
            match self.next() {
                Got::Event { data, .. } => return data,
                Got::End | Got::Broken => panic!("the stream ended"),
                _ => {}
            }
        }
    }

    pub(crate) fn events(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next_event()).collect()
    }

    fn take_in(&mut self, mut bytes: &[u8]) {
        if self.head.len() < HEAD.len() {
            let (head, rest) = bytes.split_at(bytes.len().min(HEAD.len() - self.head.len()));
            self.head.extend_from_slice(head);
            assert!(HEAD.starts_with(&self.head));
            bytes = rest;
        }
        let bytes = match self.framing {
            Framing::Bare => bytes.to_vec(),
            Framing::Chunked => self.chunks.take_in(bytes),
        };
        let bytes = self.decompressed.take_in(&bytes);
        self.bytes.extend_from_slice(&bytes);
        self.got.extend(decode(&mut self.decoder, &bytes));
    }

    /// What the end of the connection is to it.
    fn closed(&self) -> Got {
        let has_ended = match self.framing {
            // Its coding may tell, too.
            Framing::Bare => self.decompressed.has_ended(),
            Framing::Chunked => self.chunks.has_ended(),
        };
        assert!(!has_ended || self.decompressed.has_ended(), "an end in order has the end of its coding");
        let is_cut = !has_ended;
        if is_cut { Got::Broken } else { Got::End }
    }
}

/// Everything that the bytes finish.
fn decode(decoder: &mut Decoder, mut bytes: &[u8]) -> Vec<Got> {
    let mut got = Vec::new();
    while let Some(item) = decoder.next(&mut bytes).unwrap() {
        got.push(match item {
            Item::Event(event) => Got::Event {
                name: event.name.to_owned(),
                data: event.data.to_owned(),
                id: event.last_event_id.to_owned(),
            },
            Item::ReconnectionTime(_) => Got::Retry,
            Item::LastEventId(_) => Got::Bookmark,
            Item::Comment(_) => Got::Comment,
            other => panic!("{other:?}"),
        });
    }
    got
}

/// Waits until something holds, giving way meanwhile.
pub(crate) fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        thread::yield_now();
    }
}

pub(crate) fn shut(client: &Client, how: Shutdown) {
    client.socket.shutdown(how).unwrap();
}

pub(crate) fn send(client: &mut Client, bytes: &[u8]) -> io::Result<()> {
    client.socket.write_all(bytes)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Arc::new(Unpark(thread::current())).into();
    let (mut context, mut future) = (Context::from_waker(&waker), pin!(future));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        thread::park();
    }
}
