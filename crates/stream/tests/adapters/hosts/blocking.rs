//! A thread for each connection, without a runtime and without a framework.

use std::io::{self, BufRead, BufReader};
use std::net::TcpStream;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use fanfare_stream::blocking::{Connection, head_only};
use fanfare_stream::{Closed, LastEventId};
use fanfare_wire::Event;
use http::{Method, Request, Response};

use super::{Host, Pushed, Visit, Visits, keep_alive, large, write_deadline};

pub(crate) struct Blocking;

impl Blocking {
    pub(crate) fn start() -> Host {
        Host::run(|listener, visits| {
            while let Ok((socket, _)) = listener.accept() {
                let visits = visits.clone();
                std::thread::spawn(move || serve(socket, &visits));
            }
        })
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

fn serve(socket: TcpStream, visits: &Visits) -> io::Result<()> {
    let request = read_request(&socket)?;
    let last = LastEventId::from_request(request.headers(), request.uri());
    let (orders, ordered) = mpsc::sync_channel(16);
    let (told, ended) = mpsc::channel();
    visits.send(Visit::new(&last, Held { orders, ended })).ok();
    let on_close = move |why| _ = told.send(why);
    if request.method() == Method::HEAD {
        // There is no stream that could say so.
        on_close(Closed::ByClient);
        return head_only(socket, Response::new(()));
    }
    let path = request.uri().path();
    socket.set_write_timeout(write_deadline(path))?;
    let mut connection = Connection::open(socket)?.keep_alive(keep_alive(path)).on_close(on_close);
    loop {
        match ordered.recv_timeout(connection.keep_alive_in().unwrap_or(Duration::MAX)) {
            Ok(Order::Send(event)) => connection.send(event)?,
            Ok(Order::Close) => return connection.close(),
            Err(RecvTimeoutError::Timeout) => _ = connection.keep_alive_if_due()?,
            Err(RecvTimeoutError::Disconnected) => return connection.end(),
        }
    }
}

fn read_request(socket: &TcpStream) -> io::Result<Request<()>> {
    let mut lines = BufReader::new(socket).split(b'\n');
    let mut line = || -> io::Result<Vec<u8>> {
        let line = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
        Ok(line.trim_ascii().to_vec())
    };
    let first = String::from_utf8(line()?).unwrap();
    let mut words = first.split(' ');
    let mut request = Request::builder().method(words.next().unwrap()).uri(words.next().unwrap());
    loop {
        let header = line()?;
        let Some(colon) = header.iter().position(|byte| *byte == b':') else {
            return Ok(request.body(()).unwrap());
        };
        request = request.header(&header[..colon], header[colon + 1..].trim_ascii());
    }
}
