//! One keep-alive connection that publishes: a form by `POST`, one request at a time, and every answer read.
//!
//! It does not decide when to publish, and anything but a 2xx answer is an error.

use super::socket;
use crate::protocol::response::ResponseReader;
use anyhow::{Context, bail};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Publisher {
    stream: TcpStream,
    connected: bool,
    waiting: bool,
    sent: Instant,
    /// The request, and how much of it the socket has taken.
    request: Vec<u8>,
    written: usize,
    response: ResponseReader,
}

impl Publisher {
    /// `index` chooses the source address, `token` names the connection in the poll.
    pub(crate) fn connect(
        server: SocketAddr,
        index: usize,
        token: Token,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let mut stream = socket::connect(server, index, None)
            .with_context(|| format!("publisher {index} cannot connect"))?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            connected: false,
            waiting: false,
            sent: Instant::now(),
            request: Vec::new(),
            written: 0,
            response: ResponseReader::new(),
        })
    }

    /// Whether it can take a request.
    pub(crate) fn is_idle(&self) -> bool {
        self.connected && !self.waiting
    }

    /// When its last request was sent.
    pub(crate) fn sent(&self) -> Instant {
        self.sent
    }

    /// Sends the request that `write` puts into the empty buffer.
    pub(crate) fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> anyhow::Result<()> {
        self.request.clear();
        write(&mut self.request);
        self.written = 0;
        self.waiting = true;
        self.sent = Instant::now();
        self.flush()
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        while self.written < self.request.len() {
            match self.stream.write(&self.request[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("a publication cannot be sent"),
            }
        }
        Ok(())
    }

    /// Does what `event` allows, and returns whether a request was answered.
    pub(crate) fn ready(&mut self, event: &Event, buffer: &mut [u8]) -> anyhow::Result<bool> {
        if event.is_writable() {
            if !self.connected {
                if let Some(error) = self.stream.take_error()? {
                    return Err(error).context("a publisher's connection was refused");
                }
                self.connected = true;
            }
            self.flush()?;
        }
        let mut answered = false;
        if event.is_readable() || event.is_read_closed() {
            loop {
                let read = match self.stream.read(buffer) {
                    Ok(0) => bail!("the server closed a publisher's connection"),
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error).context("a publisher's connection broke"),
                };
                answered |= self.answer(&buffer[..read])?;
            }
        }
        Ok(answered)
    }

    fn answer(&mut self, bytes: &[u8]) -> anyhow::Result<bool> {
        if !self.waiting {
            bail!("the server answered a publisher without a request");
        }
        let mut reason = Vec::new();
        let taken = self.response.push(bytes, |body| reason.extend_from_slice(body))?;
        if !self.response.is_complete() {
            return Ok(false);
        }
        let status = self.response.status().unwrap_or(0);
        if !(200..300).contains(&status) {
            let reason = String::from_utf8_lossy(&reason);
            bail!("a publication was answered with status {status}: {}", reason.trim());
        }
        if taken < bytes.len() {
            bail!("the server sent more than one answer to a publication");
        }
        self.response.reset();
        self.waiting = false;
        Ok(true)
    }
}
