//! A thread for each connection, with a loop of its own that sends what it has.

use std::io;
use std::net::TcpStream;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use fanfare_stream::blocking::{Connection, head_only};
use fanfare_stream::{AcceptEncoding, Closed, LastEventId};
use fanfare_wire::Event;
use http::{Method, Response};

use super::blocking::read_request;
use super::{Host, Pushed, Told, Visit, keep_alive, large, write_deadline};

pub(crate) struct Looping;

impl Looping {
    pub(crate) fn start() -> Host {
        Host::run_in_threads(serve)
    }
}

/// What the test holds of a stream; the thread that writes it has the rest.
struct Held {
    orders: mpsc::SyncSender<Order>,
    ended: mpsc::Receiver<Closed>,
}

enum Order {
    Send(Event),
    Close,
}

impl Pushed for Held {
    fn send(&self, event: Event) {
        self.orders.send(Order::Send(event)).unwrap();
    }

    fn close(self: Box<Self>) {
        self.orders.send(Order::Close).unwrap();
    }

    fn flood(&self) -> Closed {
        while self.orders.send(Order::Send(large())).is_ok() {}
        self.closed()
    }

    fn closed(&self) -> Closed {
        self.ended.recv().unwrap()
    }
}

fn serve(socket: TcpStream, told: &Told) -> io::Result<()> {
    let request = read_request(&socket)?;
    let last = LastEventId::from_request(request.headers(), request.uri());
    let (orders, ordered) = mpsc::sync_channel(16);
    let (over, ended) = mpsc::channel();
    told.visits.send(Visit::new(&last, Held { orders, ended })).ok();
    let on_close = move |why| _ = over.send(why);
    if request.method() == Method::HEAD {
        // There is no stream that could say so.
        on_close(Closed::ByClient);
        return head_only(socket, Response::new(()));
    }
    let path = request.uri().path();
    socket.set_write_timeout(write_deadline(path))?;
    let connection = match path {
        "/compressed" => {
            let accepted = AcceptEncoding::from_headers(request.headers());
            Connection::open_compressed(socket, Response::new(()), &accepted)?
        }
        _ => Connection::open(socket)?,
    };
    let mut connection = connection.keep_alive(keep_alive(path)).on_close(on_close);
    loop {
        match ordered.recv_timeout(connection.keep_alive_in().unwrap_or(Duration::MAX)) {
            Ok(Order::Send(event)) => connection.send(event)?,
            Ok(Order::Close) => return connection.close(),
            Err(RecvTimeoutError::Timeout) => _ = connection.keep_alive_if_due()?,
            Err(RecvTimeoutError::Disconnected) => return connection.end(),
        }
    }
}
