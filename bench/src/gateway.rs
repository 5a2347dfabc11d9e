//! Lets the generator, which speaks plain HTTP/1.1, reach a server otherwise: over HTTP/2, where each request goes on as a stream of
//! one of few connections, or over TLS, where each of its connections goes on as one.
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
use rustls::ClientConfig;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

/// Streams on one connection before the next is taken, as a proxy would spread them.
pub(crate) const STREAMS: usize = 100;

/// A gateway that is open until this is dropped.
pub(crate) struct Gateway {
    /// `http://host:port`.
    pub(crate) base: String,
    _open: oneshot::Sender<()>,
}

/// The server, and how to reach it.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    /// Without it, connections are plain.
    trust: Option<Arc<ClientConfig>>,
}

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// The connections to the server.
struct Upstream {
    scheme: &'static str,
    authority: String,
    connections: Vec<Mutex<SendRequest<Body>>>,
    requests: AtomicUsize,
}

/// What a gateway does from now on.
type Serving = Pin<Box<dyn Future<Output = ()>>>;

impl Gateway {
    /// Opens one to `address` over HTTP/2, for about `requests` streams; over TLS if there is somebody to `trust`.
    pub(crate) fn open(
        address: SocketAddr,
        requests: usize,
        trust: Option<Arc<ClientConfig>>,
    ) -> anyhow::Result<Self> {
        let server = Server { address, trust };
        Self::begin(move |listener| streams(listener, server, requests.div_ceil(STREAMS).max(1)))
    }

    /// Opens one to `address` over TLS, with a connection for each of the generator's.
    pub(crate) fn tunnel(address: SocketAddr, trust: Arc<ClientConfig>) -> anyhow::Result<Self> {
        let server = Server { address, trust: Some(trust) };
        Self::begin(async move |listener| Ok(Box::pin(tunnels(listener, server)) as Serving))
    }

    fn begin<F>(open: impl FnOnce(TcpListener) -> F + Send + 'static) -> anyhow::Result<Self>
    where
        F: Future<Output = anyhow::Result<Serving>>,
    {
        let (is_open, closed) = oneshot::channel();
        let (ready, told) = mpsc::channel::<anyhow::Result<SocketAddr>>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("gateway".to_owned()).spawn(move || {
            runtime.block_on(async {
                let opened = async {
                    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
                    let address = listener.local_addr().context("the gateway has no address")?;
                    anyhow::Ok((address, open(listener).await?))
                };
                let serving = match opened.await {
                    Ok((address, serving)) => {
                        // Whoever opened it waits for this.
                        let _ = ready.send(Ok(address));
                        serving
                    }
                    Err(error) => return drop(ready.send(Err(error))),
                };
                tokio::select! {
                    _ = closed => {}
                    () = serving => {}
                }
            });
        })?;
        let address: SocketAddr = told.recv().context("the gateway ended at once")??;
        Ok(Self { base: format!("http://{address}"), _open: is_open })
    }
}

impl Server {
    async fn connect(&self) -> anyhow::Result<Box<dyn Connection>> {
        let socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        let Some(trust) = &self.trust else { return Ok(Box::new(socket)) };
        let secured = TlsConnector::from(trust.clone()).connect(self.address.ip().into(), socket).await;
        Ok(Box::new(secured.context("the server cannot be spoken to over TLS")?))
    }
}

/// Carries the bytes of each connection to one of its own, and back.
async fn tunnels(listener: TcpListener, server: Server) {
    while let Ok((mut socket, _)) = listener.accept().await {
        let server = server.clone();
        tokio::spawn(async move {
            // Whose connection fails has it closed, and counts that.
            if socket.set_nodelay(true).is_ok()
                && let Ok(mut connection) = server.connect().await
            {
                let _ = copy_bidirectional(&mut socket, &mut connection).await;
            }
        });
    }
}

async fn streams(listener: TcpListener, server: Server, connections: usize) -> anyhow::Result<Serving> {
    let mut upstream = Upstream {
        scheme: if server.trust.is_some() { "https" } else { "http" },
        authority: server.address.to_string(),
        connections: Vec::new(),
        requests: AtomicUsize::new(0),
    };
    for _ in 0..connections {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            // Far more than is ever on its way, so that no window limits anybody.
            .initial_connection_window_size(64 * 1024 * 1024)
            .initial_stream_window_size(4 * 1024 * 1024)
            .handshake(TokioIo::new(server.connect().await?))
            .await
            .context("the server speaks no HTTP/2")?;
        tokio::spawn(connection);
        upstream.connections.push(Mutex::new(sender));
    }
    let router = Router::new().fallback(forward).with_state(Arc::new(upstream));
    Ok(Box::pin(async move { drop(axum::serve(listener, router).await) }))
}

async fn forward(State(upstream): State<Arc<Upstream>>, mut request: Request) -> Response {
    let turn = upstream.requests.fetch_add(1, Relaxed) % upstream.connections.len();
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let Ok(uri) = Uri::builder()
        .scheme(upstream.scheme)
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
