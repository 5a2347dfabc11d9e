//! The same application in each framework: it answers every request with a stream, and hands that to the test.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;

use fanfare_stream::{Closed, KeepAlive, LastEventId, Sender, Sse, channel};
use fanfare_wire::{Event, EventId};

mod actix_4;
mod axum_08;
mod blocking;
mod hyper_1;

pub(crate) use actix_4::Actix4;
pub(crate) use axum_08::Axum08;
pub(crate) use blocking::Blocking;
pub(crate) use hyper_1::Hyper1;

/// A server that runs until the process ends.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    visits: mpsc::Receiver<Visit>,
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
    /// Waits for the end.
    fn closed(&self) -> Closed;
}

/// Tells a test of each request.
type Visits = mpsc::Sender<Visit>;

impl Host {
    /// Runs `serve` in a thread of its own.
    fn run(serve: impl FnOnce(TcpListener, Visits) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (told, visits) = mpsc::channel();
        std::thread::spawn(move || serve(listener, told));
        Self { address, visits }
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
fn answer(path: &str, last: &LastEventId, visits: &Visits) -> Sse {
    let (sender, sse) = channel(16);
    // A test that is over asks for nothing.
    visits.send(Visit::new(last, sender)).ok();
    sse.keep_alive(keep_alive(path)).write_deadline(write_deadline(path))
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
