//! Serves a router on sockets of its own, within limits, until it is drained.
//!
//! hyper speaks HTTP, until a stream goes to the fan-out; this module decides how long it waits, when it gives a client up, what happens when the process
//! runs out of file descriptors, and how everything ends. It knows nothing of topics, and it never stops by itself.

mod accept;
mod arrival;
mod client;
mod connection;
mod counts;
mod forwarded;
mod handover;
mod io;
mod kept;
mod lent;
mod limits;
mod places;
mod proxy_protocol;
mod requests;
mod streams;
#[cfg(feature = "tls")]
mod tls;
mod trusted;
mod unread;
mod version;
mod visit;
mod worded;

use connection::{House, Protocols};
use places::Places;

use std::future::IntoFuture;
use std::io as std_io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use fanfare_fanout::{Fanout, Settings};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

pub use client::ClientInfo;
pub use counts::ServeCounts;
pub use limits::ConnectionLimits;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};
pub use trusted::{ForwardedHeaders, TrustedProxies, TrustedProxiesError};

use crate::{Drain, Origins};

/// How many connections the kernel may hold for us between two accepts.
const BACKLOG: u32 = 4_096;

/// Opens a listening socket with a backlog that takes a wave of reconnecting clients. Port 0 asks for any free port.
///
/// # Errors
/// The address is in use, is not ours, or may not be listened on.
///
/// # Panics
/// Outside a tokio runtime.
pub fn listen(address: SocketAddr) -> std_io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Without it a restart has to wait until the old connections are forgotten; on Windows it would mean something else.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves `router` on listening sockets, HTTP/1.1 and HTTP/2, in place of `axum::serve`.
///
/// Handlers stay as they are, and find a [`ClientInfo`] in each request's extensions. A stream that is a hub's [`Subscription`](fanfare_hub::Subscription), in an `Sse` or from
/// [`Mercure`](crate::Mercure), is served by the fan-out: when all middleware has shaped the response's head, an HTTP/1
/// connection is taken from the HTTP library and costs a cursor from then on. It ends with its stream; a client that closes
/// its side of it has gone; what it sends is thrown away. Any other response stays where it is, as do streams over
/// TLS (feature `tls`) and HTTP/2, those whose body a layer encodes, and those that say `keep_on_http`.
///
/// ```
/// use std::time::Duration;
/// use fanfare_http::{Drain, listen, serve};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// let listener = listen(([127, 0, 0, 1], 0).into())?;
/// println!("listening on http://{}", listener.local_addr()?);
/// let drain = Drain::new();
/// # drain.begin(Duration::ZERO);
/// serve(listener, axum::Router::new()).drain(drain).await
/// # }
/// ```
pub fn serve(listeners: impl Into<Listeners>, router: Router) -> Serve {
    let Listeners(listeners) = listeners.into();
    Serve {
        listeners,
        router,
        limits: ConnectionLimits::default(),
        drain: Drain::default(),
        counts: ServeCounts::default(),
        fanout: None,
        trusted: TrustedProxies::default(),
        cors: Origins::none(),
        #[cfg(feature = "tls")]
        tls: None,
    }
}

/// One listening socket, or several that serve the same.
#[derive(Debug)]
pub struct Listeners(Vec<TcpListener>);

impl From<TcpListener> for Listeners {
    fn from(listener: TcpListener) -> Self {
        Self(vec![listener])
    }
}

impl From<Vec<TcpListener>> for Listeners {
    fn from(listeners: Vec<TcpListener>) -> Self {
        Self(listeners)
    }
}

/// A server that is about to serve: [`serve()`] makes one, and awaiting it starts it.
///
/// It ends when its drain has begun and all is quiet: no connection is accepted any more and idle ones are closed; requests
/// in progress are answered, and streams end within the drain's window. What is left [`ConnectionLimits::drain_grace`]
/// after the window is cut. So it returns within window and grace, and at once when nobody is connected; without a drain
/// it does not return. Dropped, it cuts its connections.
///
/// # Errors
/// The system has no thread or file descriptor for the fan-out.
#[must_use = "it serves when it is awaited"]
#[derive(Debug)]
pub struct Serve {
    listeners: Vec<TcpListener>,
    router: Router,
    limits: ConnectionLimits,
    drain: Drain,
    counts: ServeCounts,
    fanout: Option<Fanout>,
    trusted: TrustedProxies,
    cors: Origins,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl Serve {
    /// Sets what a connection may use. Default: [`ConnectionLimits::default`].
    pub fn limits(mut self, limits: ConnectionLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Ends when `drain` does. Default: never.
    pub fn drain(mut self, drain: Drain) -> Self {
        self.drain = drain;
        self
    }

    /// Counts into `counts`.
    pub fn counts(mut self, counts: ServeCounts) -> Self {
        self.counts = counts;
        self
    }

    /// Hands streams to `fanout`, which is drained with this. Default: one of its own, with the limits' write timeout.
    pub fn fanout(mut self, fanout: Fanout) -> Self {
        self.fanout = Some(fanout);
        self
    }

    /// Speaks TLS alone, with this certificate. Default: no TLS.
    ///
    /// Also who speaks plain HTTP is answered, once, with 400. What is streamed stays with the HTTP library, so a
    /// subscriber costs a task and its buffers here, and not only a cursor.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Believes these proxies when they say for whom they speak. Default: nobody.
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.trusted = proxies;
        self
    }

    /// Lets pages of these origins read what is refused before the router is asked, as is what a client asks that has too many
    /// connections: an `EventSource` of theirs would give up otherwise. Default: none.
    ///
    /// The router's own answers are its own matter; for a hub's see [`Mercure::cors`](crate::Mercure::cors).
    pub fn cors(mut self, origins: Origins) -> Self {
        self.cors = origins;
        self
    }

    async fn run(self) -> std_io::Result<()> {
        let Self { listeners, router, limits, drain, counts, fanout, trusted, cors, .. } = self;
        let fanout = match fanout {
            Some(fanout) => fanout,
            None => Fanout::start(&Settings { write_timeout: limits.write_timeout, ..Settings::default() })?,
        };
        counts.hand_over_to(&fanout);
        let _cut = CutAtEnd(fanout.clone());
        let mut accept = accept::Acceptor::new(listeners, limits.write_timeout, counts.clone());
        // Ends with this.
        #[cfg(feature = "tls")]
        let mut renewal = JoinSet::new();
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.clone() {
            renewal.spawn(async move { tls.keep_looking().await });
        }
        let house = Arc::new(House {
            router,
            limits,
            drain: drain.clone(),
            counts,
            fanout: fanout.clone(),
            trusted,
            cors,
            places: limits.per_client_max.map(Places::new),
            #[cfg(feature = "tls")]
            tls: self.tls,
            protocols: Protocols::new(&limits),
        });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = drain.begun() => break,
                (socket, peer) = accept.next() => {
                    // Judged here, for tasks that have not begun hold file descriptors, too.
                    if let Some(caller) = house.let_in(socket, peer) {
                        connections.spawn(connection::run(caller, house.clone()));
                    }
                }
                Some(ended) = connections.join_next() => log_panic(ended),
            }
        }
        // Closes the listening sockets: whoever connects now is refused and may try another node.
        drop(accept);
        fanout.drain(drain.window());
        let all_gone = async {
            while let Some(ended) = connections.join_next().await {
                log_panic(ended);
            }
            fanout.emptied().await;
        };
        if tokio::time::timeout(drain.window() + limits.drain_grace, all_gone).await.is_err() {
            tracing::warn!(
                connections = house.counts.connections_open(),
                "cut the connections that were still open after the drain"
            );
            connections.shutdown().await;
        }
        Ok(())
    }
}

impl IntoFuture for Serve {
    type Output = std_io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Cuts the connections that were handed over, however serving ends.
struct CutAtEnd(Fanout);

impl Drop for CutAtEnd {
    fn drop(&mut self) {
        self.0.cut_all();
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
