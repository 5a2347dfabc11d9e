//! A thread for each connection, without a runtime and without a framework.

use std::io::{self, BufRead, BufReader};
use std::net::TcpStream;

use fanfare_stream::{Accept, AcceptEncoding, LastEventId, blocking};
use http::header::CONTENT_TYPE;
use http::{Request, Response};

use super::{Host, ORDERS, Told, answer, orders};

pub(crate) struct Blocking;

impl Blocking {
    pub(crate) fn start() -> Host {
        Host::run_in_threads(serve)
    }
}

fn serve(socket: TcpStream, told: &Told) -> io::Result<()> {
    let request = read_request(&socket)?;
    let accept = Accept::from_headers(request.headers());
    let accepted = AcceptEncoding::from_headers(request.headers());
    let last = LastEventId::from_request(request.headers(), request.uri());
    let json =
        || Response::builder().header(CONTENT_TYPE, "application/json").body(ORDERS.to_owned()).unwrap();
    match request.uri().path() {
        "/orders" => blocking::serve(socket, request.method(), accept.dual(orders, json)),
        "/orders-as-they-come" => blocking::serve(socket, request.method(), accept.only(orders)),
        path => blocking::serve(socket, request.method(), answer(path, &last, &accepted, told)),
    }
}

pub(super) fn read_request(socket: &TcpStream) -> io::Result<Request<()>> {
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
