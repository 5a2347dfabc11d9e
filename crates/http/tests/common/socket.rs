//! A server on a real socket, with limits small enough to be reached, and clients that speak bytes.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use fanfare_http::{ConnectionLimits, Drain, Serve, ServeCounts, listen, serve};
use fanfare_wire::Coding;
use h2::client::SendRequest;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::PATIENCE;
use super::chunks::Chunks;
use super::decompressed::{CODINGS, Decompressed};

/// A server on a port of its own. Dropped, it is gone.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) drain: Drain,
    pub(crate) counts: ServeCounts,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(app: Router, limits: ConnectionLimits, drain: Drain) -> Self {
        Self::start_with(app, limits, drain, |serve| serve)
    }

    /// As `set_up` says.
    pub(crate) fn start_with(
        app: Router,
        limits: ConnectionLimits,
        drain: Drain,
        set_up: impl FnOnce(Serve) -> Serve,
    ) -> Self {
        let listener = listen(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let counts = ServeCounts::default();
        let serving = set_up(serve(listener, app)).limits(limits).drain(drain.clone()).counts(counts.clone());
        let task = tokio::spawn(async { serving.await.expect("threads for the fan-out") });
        Self { address, drain, counts, task }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::on(TcpStream::connect(self.address).await.expect("a connection"))
    }

    /// A client of HTTP/2 that takes so many bytes of each stream, and more only as they are released.
    pub(crate) async fn connect_http2(&self, window: u32) -> SendRequest<Bytes> {
        let socket = TcpStream::connect(self.address).await.expect("a connection");
        let mut client = h2::client::Builder::new();
        let (sender, connection) =
            client.initial_window_size(window).handshake(socket).await.expect("HTTP/2");
        tokio::spawn(connection);
        sender
    }

    /// Sends `bytes` on a connection of its own and reads until the server closes it.
    pub(crate) async fn answer(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        client.send(bytes).await;
        client.rest().await
    }

    /// Waits until `serve` returns.
    pub(crate) async fn ended(mut self) {
        tokio::time::timeout(PATIENCE, &mut self.task).await.expect("an end").expect("no panic");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One end of a connection.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) socket: S,
    read: Vec<u8>,
    /// What takes the body apart that is being read, if it comes in chunks.
    chunks: Option<Chunks>,
    decompressed: Option<Decompressed>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn on(socket: S) -> Self {
        Self { socket, read: Vec::new(), chunks: None, decompressed: None }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The server may have closed already; what it said before is what the tests look at.
        let _ = self.socket.write_all(bytes.as_ref()).await;
    }

    /// Sends a request without a body.
    pub(crate) async fn request(&mut self, target: &str) {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    }

    /// Reads until `needle` has come; gives everything up to and with it.
    pub(crate) async fn until(&mut self, needle: &str) -> String {
        let mut seen = 0;
        loop {
            let mut windows = self.read[seen..].windows(needle.len());
            if let Some(at) = windows.position(|window| window == needle.as_bytes()) {
                let rest = self.read.split_off(seen + at + needle.len());
                return String::from_utf8_lossy(&std::mem::replace(&mut self.read, rest)).into_owned();
            }
            seen = (self.read.len() + 1).saturating_sub(needle.len());
            let read = tokio::time::timeout(PATIENCE, self.read_some()).await;
            let so_far = || String::from_utf8_lossy(&self.read[..self.read.len().min(1_000)]).into_owned();
            let read = read.unwrap_or_else(|_| panic!("{needle:?} did not come, only {:?}", so_far()));
            assert!(read, "closed before {needle:?}: {:?}", so_far());
        }
    }

    /// Reads the head of a response whose body is a stream. What stands around its chunks is taken away from then on, and its coding.
    pub(crate) async fn head(&mut self) -> String {
        let head = self.until("\r\n\r\n").await;
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked\r\n") {
            let mut chunks = Chunks::default();
            self.read = chunks.take_in(&self.read);
            self.chunks = Some(chunks);
        }
        let is_said = |coding: &&Coding| {
            head.contains(&format!("content-encoding: {}\r\n", coding.name().unwrap_or_default()))
        };
        if let Some(&coding) = CODINGS.iter().find(is_said) {
            let mut decompressed = Decompressed::of(coding);
            self.read = decompressed.take_in(&self.read);
            self.decompressed = Some(decompressed);
        }
        head
    }

    /// Whether the body was read to the end that its chunks announce, and its coding.
    pub(crate) fn has_whole_body(&self) -> bool {
        let is_decoded = self.decompressed.as_ref().is_none_or(Decompressed::has_ended);
        self.chunks.as_ref().is_some_and(Chunks::has_ended) && is_decoded
    }

    /// Whether its coding says that the body has ended.
    pub(crate) fn has_decoded_body(&self) -> bool {
        self.decompressed.as_ref().is_some_and(Decompressed::has_ended)
    }

    /// Reads what has come; gives whether there will be more.
    async fn read_some(&mut self) -> bool {
        let mut bytes = Vec::with_capacity(64 * 1024);
        let is_open = self.socket.read_buf(&mut bytes).await.is_ok_and(|count| count > 0);
        if let Some(chunks) = &mut self.chunks {
            bytes = chunks.take_in(&bytes);
        }
        if let Some(decompressed) = &mut self.decompressed {
            bytes = decompressed.take_in(&bytes);
        }
        self.read.append(&mut bytes);
        is_open
    }

    /// Reads until the server closes the connection, in whatever way.
    pub(crate) async fn rest(&mut self) -> String {
        let reading = async { while self.read_some().await {} };
        tokio::time::timeout(PATIENCE, reading).await.expect("the server closes the connection");
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }
}
