//! The same application in each framework: it answers every request with a stream, and hands that to the test.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use fanfare_stream::{AcceptEncoding, Closed, KeepAlive, LastEventId, Sender, Shutdown, Sse, channel};
use fanfare_wire::{Event, EventId, EventName};

mod actix_4;
mod axum_08;
mod blocking;
mod connection;
mod hyper_1;

pub(crate) use actix_4::Actix4;
pub(crate) use axum_08::Axum08;
pub(crate) use blocking::Blocking;
pub(crate) use connection::Looping;
pub(crate) use hyper_1::Hyper1;

/// A server that runs until the process ends.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    visits: mpsc::Receiver<Visit>,
    pub(crate) shutdown: Shutdown,
}

/// What the application has.
#[derive(Clone)]
struct Told {
    /// Tells the test of each request.
    visits: mpsc::Sender<Visit>,
    shutdown: Shutdown,
}

/// A request that has come.
pub(crate) struct Visit {
    pub(crate) last: Option<String>,
    pub(crate) stream: Box<dyn Pushed>,
}

/// The stream that answers it.
pub(crate) trait Pushed: Send {
    fn send(&self, event: Event);
    fn close(self: Box<Self>);
    /// Sends as much as there is room for, until it is over.
    fn flood(&self) -> Closed;
    /// Sends more than there is room for, which is the end. Not asked of a host where what is sent waits for room.
    fn overflow(&self) {
        unreachable!("what is sent waits for room");
    }
    /// Waits for the end.
    fn closed(&self) -> Closed;
}

impl Host {
    /// Runs `serve` in a thread of its own.
    fn run(serve: impl FnOnce(TcpListener, Told) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (told, visits) = mpsc::channel();
        let farewell = Event::new("").event(EventName::from_static("bye"));
        let shutdown = Shutdown::builder().window(Duration::ZERO).farewell(farewell).build();
        let told = Told { visits: told, shutdown: shutdown.clone() };
        std::thread::spawn(move || serve(listener, told));
        Self { address, visits, shutdown }
    }

    /// As [`run`](Self::run), with a thread for each connection.
    fn run_in_threads(serve: fn(TcpStream, &Told) -> io::Result<()>) -> Self {
        Self::run(move |listener, told| {
            while let Ok((socket, _)) = listener.accept() {
                let told = told.clone();
                std::thread::spawn(move || serve(socket, &told));
            }
        })
    }

    /// Waits for the next request.
    pub(crate) fn visit(&self) -> Visit {
        self.visits.recv_timeout(Duration::from_secs(60)).expect("a request")
    }
}

impl Visit {
    fn new(last: &LastEventId, stream: impl Pushed + 'static) -> Self {
        Self { last: last.id().as_ref().map(EventId::to_string), stream: Box::new(stream) }
    }
}

fn keep_alive(path: &str) -> KeepAlive {
    match path {
        "/kept-alive-every-millisecond" => KeepAlive::every(Duration::from_millis(1)),
        _ => KeepAlive::default(),
    }
}

/// After how long without a byte a client is given up.
fn write_deadline(path: &str) -> Option<Duration> {
    (path == "/given-up-after-a-moment").then_some(Duration::from_millis(50))
}

fn large() -> Event {
    Event::new("x".repeat(64 * 1024))
}

/// The application, wherever the handler is asynchronous.
fn answer(path: &str, last: &LastEventId, accepted: &AcceptEncoding, told: &Told) -> Sse {
    let (sender, sse) = channel(16);
    // A test that is over asks for nothing.
    told.visits.send(Visit::new(last, sender)).ok();
    let sse = sse.keep_alive(keep_alive(path)).write_deadline(write_deadline(path));
    match path {
        "/compressed" => sse.compress(accepted),
        "/for-a-moment" => sse.lifetime(Duration::from_millis(50)),
        "/until-the-shutdown" => sse.ends_with(&told.shutdown),
        _ => sse,
    }
}

/// What `/orders` answers with if that is no stream.
const ORDERS: &str = "[\"an order\"]";

/// What it answers with if it is one.
fn orders() -> Sse {
    Sse::new(futures_util::stream::iter([Event::new("an order")]))
}

impl Pushed for Sender {
    fn send(&self, event: Event) {
        self.try_send(event).unwrap();
    }

    fn close(self: Box<Self>) {
        block_on(Sender::close(*self)).unwrap();
    }

    fn flood(&self) -> Closed {
        block_on(async {
            while self.send(large()).await.is_ok() {}
            Sender::closed(self).await
        })
    }

    fn overflow(&self) {
        while self.send_or_end(large()).is_ok() {}
    }

    fn closed(&self) -> Closed {
        block_on(Sender::closed(self))
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Runs an asynchronous server for ever.
fn serve_async<F: Future>(listener: TcpListener, serve: impl FnOnce(tokio::net::TcpListener) -> F) {
    listener.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async { serve(tokio::net::TcpListener::from_std(listener).unwrap()).await });
}
