//! What a fan-out is handed with a connection.

use std::any::Any;
use std::fmt;
use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use fanfare_hub::{Form, Framing, Subscription};
use fanfare_wire::{Coding, Frame};

/// A connection whose request was answered with a stream, and what is to be written to it.
#[derive(Debug)]
pub struct Adoption {
    /// The connection, not blocking.
    pub socket: TcpStream,
    /// The response's head, as it is to stand on the connection.
    pub head: Vec<u8>,
    /// Where in the hub it is.
    pub subscription: Subscription,
    /// What else was agreed with the client.
    pub terms: Terms,
    /// Who is behind the connection, where there is more to say than its other end.
    pub client: Option<Box<Client>>,
}

/// Whom a connection is for, as far as its socket does not tell.
#[derive(Default)]
pub struct Client {
    /// The client's own address, if the connection is a proxy's.
    pub address: Option<IpAddr>,
    /// Kept until the connection has ended, and dropped then: whatever its owner counts by it.
    pub held: Option<Box<dyn Any + Send>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What holds for one stream.
#[derive(Clone, PartialEq, Eq)]
pub struct Terms {
    /// After what time without traffic the stream gets which frame; `None` for never. Default: 15 s, a comment line.
    ///
    /// It is sent up to a second later.
    pub keep_alive: Option<(Duration, Frame)>,
    /// When the stream ends at the latest: it ends within the second before, as soon as somebody looks at it. Default: never.
    pub ends_at: Option<Instant>,
    /// Until when it may be read by the wall clock: it ends within a second of that clock's saying so, also where somebody has set it.
    /// Setting it back prolongs nothing: that is what [`ends_at`](Self::ends_at) is for. Default: never.
    pub expires_at: Option<SystemTime>,
    /// How frames follow each other, which the response's head has told the client. Default: one behind the other, and the
    /// end is that of the connection.
    pub framing: Framing,
    /// What the body is compressed in, which the response's head has told the client. Default: nothing. Of `Coding::Dcz` the body's beginning,
    /// which its dictionary says (`Dictionary::head`), stands behind the response's [head](Adoption::head), in this framing.
    pub coding: Coding,
    /// What goes before the first event. Default: nothing.
    pub opening: Option<Frame>,
}

impl Terms {
    pub(crate) fn form(&self) -> Form {
        Form { framing: self.framing, coding: self.coding }
    }
}

impl Default for Terms {
    fn default() -> Self {
        let keep_alive = Some((Duration::from_secs(15), Frame::KEEP_ALIVE));
        Self {
            keep_alive,
            ends_at: None,
            expires_at: None,
            framing: Framing::default(),
            coding: Coding::Identity,
            opening: None,
        }
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("keep_alive", &self.keep_alive.as_ref().map(|(after, _)| after))
            .field("ends_at", &self.ends_at)
            .field("expires_at", &self.expires_at)
            .field("framing", &self.framing)
            .field("coding", &self.coding)
            .field("opening", &self.opening)
            .finish()
    }
}
