//! One connection from its first byte to its end.
//!
//! It speaks HTTP/1.1 or HTTP/2, whichever the client begins with, and knows nothing of what is served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tower::Service;

use super::io::Impatient;
use super::worded::Worded;
use super::{ConnectionLimits, ServeCounts};
use crate::Drain;

/// Serves one connection until the client leaves, a limit is passed, or the drain has emptied it.
pub(crate) async fn run(
    socket: TcpStream,
    http: Arc<auto::Builder<TokioExecutor>>,
    router: Router,
    limits: ConnectionLimits,
    drain: Drain,
    counts: ServeCounts,
) {
    let _open = counts.open();
    let spoken = Arc::new(AtomicBool::new(false));
    let patient_for = limits.write_timeout;
    let io = TokioIo::new(Worded::new(Impatient::new(socket, patient_for, counts.clone()), spoken.clone()));
    let service = hyper::service::service_fn({
        let spoken = spoken.clone();
        move |request: Request<Incoming>| {
            spoken.store(true, Ordering::Relaxed);
            // A router is always ready.
            router.clone().call(request.map(Body::new))
        }
    });
    let connection = http.serve_connection(io, service);
    tokio::pin!(connection);

    // hyper's own head timeout begins when the HTTP version is known, so a client that never shows one needs another.
    let silence = tokio::time::sleep(limits.head_timeout);
    let begun = drain.begun();
    tokio::pin!(silence, begun);
    let (mut listening, mut draining) = (true, false);
    let ended = loop {
        tokio::select! {
            ended = connection.as_mut() => break ended,
            () = &mut silence, if listening => {
                listening = false;
                if !spoken.load(Ordering::Relaxed) {
                    tracing::debug!("cut a connection that sent no request");
                    return;
                }
            }
            () = &mut begun, if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    };
    if let Err(error) = ended {
        // Clients leave in the middle all the time; only somebody who looks for it wants to know.
        tracing::debug!(error, "a connection ended early");
    }
}

/// The HTTP side of the limits, shared by all connections.
pub(crate) fn http(limits: &ConnectionLimits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_buffer_bytes())
        .max_headers(limits.head_fields_max);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.http2_ping_timeout)
        .keep_alive_timeout(limits.http2_ping_timeout)
        .max_concurrent_streams(limits.http2_streams_max)
        .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX));
    http
}
