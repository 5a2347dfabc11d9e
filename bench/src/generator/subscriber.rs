//! One connection that subscribes: connects, sends its request, reads the stream.
//!
//! It keeps no bytes but an unfinished head or line, and decides nothing about what it received.

use super::socket;
use crate::protocol::events::{EventReader, Received};
use crate::protocol::payload::Payloads;
use crate::protocol::response::ResponseReader;
use anyhow::{Context, bail};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{self, Read, Write};
use std::net::SocketAddr;

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Connecting, or waiting for the response head.
    Coming,
    /// The head has arrived: the server knows this subscriber.
    Subscribed,
    /// The stream has ended or broken.
    Ended,
}

#[derive(Debug)]
pub(crate) struct Subscriber {
    /// None once this side has closed it.
    stream: Option<TcpStream>,
    standing: Standing,
    /// Empty once it is sent.
    request: Vec<u8>,
    /// It reads nothing once its head has arrived.
    pub(crate) stalls: bool,
    /// Its stream may end without a fault.
    pub(crate) may_end: bool,
    response: ResponseReader,
    events: EventReader,
}

impl Subscriber {
    /// `request` is sent once connected; `receive_bytes` is what the kernel may hold for it, if not the usual.
    pub(crate) fn connect(
        server: SocketAddr,
        index: usize,
        registry: &Registry,
        request: Vec<u8>,
        receive_bytes: Option<usize>,
    ) -> anyhow::Result<Self> {
        let mut stream = socket::connect(server, index, receive_bytes)
            .with_context(|| format!("subscriber {index} cannot connect"))?;
        registry.register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream: Some(stream),
            standing: Standing::Coming,
            request,
            stalls: false,
            may_end: false,
            response: ResponseReader::new(),
            events: EventReader::new(),
        })
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    /// It will come back: keeps its last event ID, which is `last` so far.
    pub(crate) fn keep_ids(&mut self, last: Vec<u8>) {
        self.events.keep_ids(last);
    }

    pub(crate) fn last_event_id(&self) -> Option<&[u8]> {
        self.events.last_event_id()
    }

    /// Closes the connection from this side.
    pub(crate) fn close(&mut self) {
        self.standing = Standing::Ended;
        self.stream = None;
    }

    /// Does what `event` allows. Events go to `on_event`. Returns how many reads brought something.
    ///
    /// # Errors
    /// While coming: the connection or its response failed, in a sentence. A stream that breaks later only ends.
    pub(crate) fn ready(
        &mut self,
        event: &Event,
        buffer: &mut [u8],
        payloads: &Payloads,
        on_event: impl FnMut(Received),
    ) -> anyhow::Result<u64> {
        let Some(stream) = &mut self.stream else { return Ok(0) };
        if !self.request.is_empty() {
            if let Some(error) = stream.take_error()? {
                return Err(error).context("a subscriber's connection was refused");
            }
            if !event.is_writable() {
                return Ok(0);
            }
            // The socket is new and the request short: it is taken whole.
            let sent = stream.write(&self.request).context("a subscriber's request cannot be sent")?;
            if sent < self.request.len() {
                bail!("a new connection took only {sent} bytes of the request");
            }
            self.request = Vec::new();
        }
        let reads = !self.stalls || self.standing == Standing::Coming;
        if reads && (event.is_readable() || event.is_read_closed()) {
            return self.read(event.is_read_closed(), buffer, payloads, on_event);
        }
        Ok(0)
    }

    /// Reads what there is, or to the end if there is one.
    ///
    /// # Errors
    /// Like [`ready`](Self::ready).
    pub(crate) fn read(
        &mut self,
        until_end: bool,
        buffer: &mut [u8],
        payloads: &Payloads,
        mut on_event: impl FnMut(Received),
    ) -> anyhow::Result<u64> {
        let mut reads = 0;
        while self.standing != Standing::Ended {
            let Some(stream) = &mut self.stream else { break };
            let read = match stream.read(buffer) {
                Ok(0) => return self.ended(None).map(|()| reads),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return self.ended(Some(error.into())).map(|()| reads),
            };
            reads += 1;
            let events = &mut self.events;
            let pushed =
                self.response.push(&buffer[..read], |body| events.push(body, payloads, &mut on_event));
            if let Err(error) = pushed {
                return self.ended(Some(error.into())).map(|()| reads);
            }
            if self.standing == Standing::Coming
                && let Some(status) = self.response.status()
            {
                if status != 200 {
                    bail!("a subscriber was answered with status {status}");
                }
                self.standing = Standing::Subscribed;
            }
            if self.response.is_complete() {
                return self.ended(None).map(|()| reads);
            }
            // A short read has emptied the socket, and the next bytes bring an event of their own (epoll(7), question 9):
            // half of all system calls of a subscriber saved.
            if read < buffer.len() && !until_end {
                break;
            }
        }
        Ok(reads)
    }

    fn ended(&mut self, error: Option<anyhow::Error>) -> anyhow::Result<()> {
        let was = std::mem::replace(&mut self.standing, Standing::Ended);
        if was == Standing::Coming {
            return Err(error.unwrap_or_else(|| anyhow::anyhow!("the server closed the connection")))
                .context("a subscriber got no response head");
        }
        Ok(())
    }
}
