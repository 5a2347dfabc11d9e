//! Serves a router on sockets of its own, within limits, until it is drained.
//!
//! hyper speaks HTTP; this module decides how long it waits, when it gives a client up, what happens when the process
//! runs out of file descriptors, and how everything ends. It knows nothing of topics, and it never stops by itself.

mod accept;
mod connection;
mod counts;
mod io;
mod limits;
mod worded;

use std::io as std_io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

pub use counts::ServeCounts;
pub use limits::ConnectionLimits;

use crate::Drain;

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

/// Serves `router` on all of `listeners`, HTTP/1.1 and HTTP/2 without TLS, until `drain` has begun and all is quiet.
///
/// When the drain begins, no connection is accepted any more and idle ones are closed; requests in progress are answered
/// and streams that obey the same [`Drain`] end within its window. What is left [`ConnectionLimits::drain_grace`] after
/// the window is cut. So it returns within window and grace, and at once when nobody is connected.
///
/// ```
/// use std::time::Duration;
/// use fanfare_http::{ConnectionLimits, Drain, ServeCounts, listen, serve};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// let listener = listen(([127, 0, 0, 1], 0).into())?;
/// println!("listening on http://{}", listener.local_addr()?);
/// let drain = Drain::new();
/// # drain.begin(Duration::ZERO);
/// serve([listener], axum::Router::new(), ConnectionLimits::default(), drain, ServeCounts::default()).await;
/// # Ok(()) }
/// ```
pub async fn serve(
    listeners: impl IntoIterator<Item = TcpListener>,
    router: Router,
    limits: ConnectionLimits,
    drain: Drain,
    counts: ServeCounts,
) {
    let mut accept =
        accept::Acceptor::new(listeners.into_iter().collect(), limits.write_timeout, counts.clone());
    let http = Arc::new(connection::http(&limits));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = drain.begun() => break,
            socket = accept.next() => {
                let run = connection::run(socket, http.clone(), router.clone(), limits, drain.clone(), counts.clone());
                connections.spawn(run);
            }
            Some(ended) = connections.join_next() => log_panic(ended),
        }
    }
    // Closes the listening sockets: whoever connects now is refused and may try another node.
    drop(accept);
    let all_gone = async {
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    };
    if tokio::time::timeout(drain.window() + limits.drain_grace, all_gone).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "cut the connections that were still open after the drain"
        );
        connections.shutdown().await;
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
