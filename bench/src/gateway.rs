//! Lets the generator, which speaks HTTP/1.1, reach a server over HTTP/2: each request goes on as a stream of one of few
//! connections.
//!
//! It runs in a thread of this process, so its CPU time is not the server's; what it adds to latency is. It changes nothing
//! in a body.

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Streams on one connection before the next is taken, as a proxy would spread them.
pub(crate) const STREAMS: usize = 100;

/// A gateway that is open until this is dropped.
pub(crate) struct Gateway {
    /// `http://host:port`.
    pub(crate) base: String,
    _open: oneshot::Sender<()>,
}

/// The connections to the server.
struct Upstream {
    authority: String,
    connections: Vec<Mutex<SendRequest<Body>>>,
    requests: AtomicUsize,
}

impl Gateway {
    /// Opens one to `address`, for about `requests` streams.
    pub(crate) fn open(address: SocketAddr, requests: usize) -> anyhow::Result<Self> {
        let (open, closed) = oneshot::channel();
        let (ready, told) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("gateway".to_owned()).spawn(move || {
            runtime.block_on(async {
                let opened = serve(address, requests.div_ceil(STREAMS).max(1)).await;
                let (listener, router) = match opened {
                    Ok(opened) => opened,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                // Whoever opened it waits for this.
                let _ = ready.send(listener.local_addr().context("the gateway has no address"));
                tokio::select! {
                    _ = closed => {}
                    _ = axum::serve(listener, router) => {}
                }
            });
        })?;
        let address = told.recv().context("the gateway ended at once")??;
        Ok(Self { base: format!("http://{address}"), _open: open })
    }
}

async fn serve(address: SocketAddr, connections: usize) -> anyhow::Result<(TcpListener, Router)> {
    let mut upstream =
        Upstream { authority: address.to_string(), connections: Vec::new(), requests: AtomicUsize::new(0) };
    for _ in 0..connections {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            // Far more than is ever on its way, so that no window limits anybody.
            .initial_connection_window_size(64 * 1024 * 1024)
            .initial_stream_window_size(4 * 1024 * 1024)
            .handshake(TokioIo::new(socket))
            .await
            .context("the server speaks no HTTP/2 without TLS")?;
        tokio::spawn(connection);
        upstream.connections.push(Mutex::new(sender));
    }
    let router = Router::new().fallback(forward).with_state(Arc::new(upstream));
    Ok((TcpListener::bind(("127.0.0.1", 0)).await?, router))
}

async fn forward(State(upstream): State<Arc<Upstream>>, mut request: Request) -> Response {
    let turn = upstream.requests.fetch_add(1, Relaxed) % upstream.connections.len();
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let Ok(uri) = Uri::builder()
        .scheme("http")
        .authority(upstream.authority.as_str())
        .path_and_query(path.to_owned())
        .build()
    else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    *request.uri_mut() = uri;
    for name in [header::HOST, header::CONNECTION] {
        request.headers_mut().remove(name);
    }
    let sender = upstream.connections[turn].lock().unwrap_or_else(PoisonError::into_inner).clone();
    match send(sender, request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn send(mut sender: SendRequest<Body>, request: Request) -> hyper::Result<Response> {
    sender.ready().await?;
    sender.send_request(request).await.map(|response| response.map(Body::new))
}
