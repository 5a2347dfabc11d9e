//! What a fan-out is handed with a connection.

use std::fmt;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use fanfare_hub::Subscription;
use fanfare_wire::Frame;

/// A connection whose request was answered with a stream, and what is to be written to it.
#[derive(Debug)]
pub struct Adoption {
    /// The connection, not blocking.
    pub socket: TcpStream,
    /// The response's head, and whatever goes before the first event.
    pub head: Vec<u8>,
    /// Where in the hub it is.
    pub subscription: Subscription,
    /// What else was agreed with the client.
    pub terms: Terms,
}

/// What holds for one stream.
#[derive(Clone, PartialEq, Eq)]
pub struct Terms {
    /// After what time without traffic the stream gets which frame; `None` for never. Default: 15 s, a comment line.
    ///
    /// It is sent up to a second later.
    pub keep_alive: Option<(Duration, Frame)>,
    /// When the stream ends at the latest; within the second before or after, nothing is written any more. Default: never.
    pub ends_at: Option<Instant>,
}

impl Default for Terms {
    fn default() -> Self {
        Self { keep_alive: Some((Duration::from_secs(15), Frame::KEEP_ALIVE)), ends_at: None }
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("keep_alive", &self.keep_alive.as_ref().map(|(after, _)| after))
            .field("ends_at", &self.ends_at)
            .finish()
    }
}
