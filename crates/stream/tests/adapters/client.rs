//! A client that shows every byte it gets. Follows nothing, retries nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::hosts::Host;

/// After this long without a byte a test has failed; none waits for it otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    socket: TcpStream,
    /// What was read and not looked at.
    read: Vec<u8>,
}

pub(crate) struct Head {
    pub(crate) status: String,
    headers: Vec<(String, String)>,
}

impl Client {
    pub(crate) fn get(host: &Host, target: &str, headers: &[&str]) -> Self {
        Self::ask(host, "GET", target, headers)
    }

    pub(crate) fn ask(host: &Host, method: &str, target: &str, headers: &[&str]) -> Self {
        let mut socket = TcpStream::connect(host.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n");
        for header in headers {
            request += header;
            request += "\r\n";
        }
        request += "\r\n";
        socket.write_all(request.as_bytes()).unwrap();
        Self { socket, read: Vec::new() }
    }

    /// Reads the head of the response.
    pub(crate) fn head(&mut self) -> Head {
        let head = self.read_until("\r\n\r\n");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().to_owned();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Head { status, headers: headers.collect() }
    }

    /// Reads until `end` has come, and gives all up to it.
    pub(crate) fn read_until(&mut self, end: &str) -> String {
        String::from_utf8(self.bytes_until(end.as_bytes())).unwrap()
    }

    /// As [`read_until`](Self::read_until), of what is no text.
    pub(crate) fn bytes_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut looked_at = 0;
        loop {
            let found = self.read[looked_at..].windows(end.len()).position(|bytes| bytes == end);
            if let Some(found) = found {
                let upto = looked_at + found + end.len();
                return self.read.drain(..upto).collect();
            }
            looked_at = self.read.len().saturating_sub(end.len());
            assert!(
                self.read_some(),
                "the end came before {:?}: {:?}",
                String::from_utf8_lossy(end),
                String::from_utf8_lossy(&self.read)
            );
        }
    }

    /// Reads up to the end of the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.read_some() {}
        std::mem::take(&mut self.read)
    }

    /// Reads up to the end of the connection, and says whether the response is known to be whole.
    pub(crate) fn gets_all(&mut self) -> bool {
        let head = self.head();
        // Whatever ends it, be it a reset.
        let mut body = std::mem::take(&mut self.read);
        self.socket.read_to_end(&mut body).ok();
        head.header("transfer-encoding") == Some("chunked") && unchunked(&body).is_some()
    }

    /// Reads head and body up to the end of the connection; the body has to be whole.
    pub(crate) fn whole_body(&mut self) -> String {
        let head = self.head();
        self.body_under(&head)
    }

    /// Reads the body up to the end of the connection; it has to be whole.
    pub(crate) fn body_under(&mut self, head: &Head) -> String {
        String::from_utf8(self.rest_of_body_after(head, Vec::new())).unwrap()
    }

    /// Reads the body, behind a piece that was read of it, up to the end of the connection; it has to be whole.
    pub(crate) fn rest_of_body(&mut self, head: &Head) -> String {
        let rest = self.rest();
        let rest = match head.header("transfer-encoding") {
            // The end of the chunk before.
            Some("chunked") => {
                unchunked(rest.strip_prefix(b"\r\n").unwrap()).expect("the last chunk is there")
            }
            _ => rest,
        };
        String::from_utf8(rest).unwrap()
    }

    /// The body, which begins with what was read of it, up to the end of the connection; it has to be whole.
    pub(crate) fn rest_of_body_after(&mut self, head: &Head, mut read: Vec<u8>) -> Vec<u8> {
        read.extend(self.rest());
        match head.header("transfer-encoding") {
            Some("chunked") => unchunked(&read).expect("the last chunk is there"),
            _ => read,
        }
    }

    fn read_some(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let bytes = self.socket.read(&mut buffer).unwrap();
        self.read.extend_from_slice(&buffer[..bytes]);
        bytes > 0
    }
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The body of a chunked response; `None` unless it is whole and nothing follows.
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|bytes| bytes == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?, 16).ok()?;
        rest = &rest[line + 2..];
        let (chunk, behind) = rest.split_at_checked(length)?;
        body.extend_from_slice(chunk);
        rest = behind.strip_prefix(b"\r\n")?;
        if length == 0 {
            return rest.is_empty().then_some(body);
        }
    }
}
