//! How much a connection may ask for, and for how long.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::places::Standing;

/// What one connection may use before it is refused or cut. Nobody else is touched by that.
///
/// ```
/// use std::time::Duration;
/// use fanfare_http::ConnectionLimits;
///
/// let limits = ConnectionLimits { head_timeout: Duration::from_secs(10), ..ConnectionLimits::default() };
/// # let _ = limits;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// How long a request's head may take to arrive, and how long a connection may idle between two requests; over HTTP/2,
    /// without one that is being answered. Default: 30 s. Longer: cut.
    pub head_timeout: Duration,
    /// How long the handshake of TLS may take, with the header of the PROXY protocol before it. Default: 10 s. Longer: cut.
    pub handshake_timeout: Duration,
    /// The longest request head, in bytes. Default: 32 KiB; less than 8 KiB counts as 8 KiB. Longer: 431.
    pub head_bytes_max: usize,
    /// How many header fields a request may have. Default: 100. More: 431.
    pub head_fields_max: usize,
    /// How long a client may take none of the bytes that wait for it, or on Linux leave them unacknowledged.
    /// Default: 30 s. Longer: cut; it can resume. Over HTTP/2 so long it may also take nothing of one answer that is no event stream,
    /// although it takes others: longer, and that is reset.
    pub write_timeout: Duration,
    /// How many requests, so how many streams, one HTTP/2 connection may have open. Default: 1,000.
    pub http2_streams_max: u32,
    /// How long an HTTP/2 client may leave a ping unanswered; one is sent when this long nothing came. Default: 30 s.
    pub http2_ping_timeout: Duration,
    /// How long connections have after the window of a drain to take what is left. Default: 5 s. Then they are cut.
    pub drain_grace: Duration,
    /// How many connections one client may have. Default: `None`, no limit, for very many may share the address of a
    /// company's or a carrier's network.
    ///
    /// A client is an IPv4 address, or the first 64 bits of an IPv6 address. A connection counts from its beginning to its
    /// end, be it idle or a stream; over HTTP/2 each request that is being answered counts one more. Of clients behind
    /// [trusted proxies](crate::Serve::trusted_proxies), whose connections are the proxies', only requests that are being
    /// answered count; those in which no proxy names a client are not counted. More: 429 with `Retry-After`, and
    /// for whoever accepts an event stream an empty one that says when to come back, because `EventSource` gives up for good
    /// after any other status. Twice as many: closed without an answer.
    pub per_client_max: Option<NonZeroUsize>,
    /// How many connections there may be in all, those that the fan-out has included. Default: `None`, no limit but the
    /// system's, and whoever comes when the process has no file descriptor left waits until one ends.
    ///
    /// More: refused like a client's that has too many, for as long as it is so. A sixteenth more, and 16 at least: closed
    /// without an answer, so leave room for that.
    pub connections_max: Option<NonZeroUsize>,
}

impl ConnectionLimits {
    /// hyper refuses to work with a smaller buffer.
    const HEAD_BYTES_LEAST: usize = 8 * 1024;

    /// How it stands with so many connections.
    pub(crate) fn standing(&self, connections: u64) -> Standing {
        let most = self.connections_max.map_or(u64::MAX, |most| most.get() as u64);
        Standing::of(connections, most, most.saturating_add((most / 16).max(16)))
    }

    pub(crate) fn head_buffer_bytes(&self) -> usize {
        self.head_bytes_max.max(Self::HEAD_BYTES_LEAST)
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            head_bytes_max: 32 * 1024,
            head_fields_max: 100,
            write_timeout: Duration::from_secs(30),
            http2_streams_max: 1_000,
            http2_ping_timeout: Duration::from_secs(30),
            drain_grace: Duration::from_secs(5),
            per_client_max: None,
            connections_max: None,
        }
    }
}
