//! One GET to a server whose addresses were looked at first.
//!
//! It follows no redirect, keeps no connection, and sends nothing but the URL.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::{Request, StatusCode, response};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::address::is_internal;
use super::{Fetch, FetchError};
use crate::token::key_source::SET_BYTES_MAX;

/// What a server answered with status 200.
pub(super) struct Answer {
    pub(super) head: response::Parts,
    pub(super) body: Vec<u8>,
}

/// How many of a host's addresses are tried.
const ADDRESSES_MAX: usize = 4;

impl Fetch {
    /// Fetches `url`; the caller bounds the time.
    pub(super) async fn get(&self, url: &Url) -> Result<Answer, FetchError> {
        let addresses = self.addresses(url).await?;
        let stream = connect(&addresses, self.timeout / 3).await?;
        if url.scheme() == "http" {
            return exchange(url, TokioIo::new(stream)).await;
        }
        let name = match url.host() {
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).map_err(io::Error::other),
            Some(Host::Ipv4(address)) => Ok(ServerName::from(IpAddr::V4(address))),
            Some(Host::Ipv6(address)) => Ok(ServerName::from(IpAddr::V6(address))),
            None => Err(io::Error::other("no host")),
        };
        let tls = TlsConnector::from(self.tls.clone());
        let stream = tls.connect(name.map_err(FetchError::Tls)?, stream).await.map_err(FetchError::Tls)?;
        exchange(url, TokioIo::new(stream)).await
    }

    /// The addresses of the URL's host, all of which may be asked. Whoever is connected to is one of these: a name that
    /// resolves differently a moment later changes nothing.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, FetchError> {
        let port = url.port_or_known_default().unwrap_or(443);
        let addresses: Vec<SocketAddr> = match url.host() {
            Some(Host::Domain(name)) => {
                tokio::net::lookup_host((name, port)).await.map_err(FetchError::Resolve)?.collect()
            }
            Some(Host::Ipv4(address)) => vec![(address, port).into()],
            Some(Host::Ipv6(address)) => vec![(address, port).into()],
            None => Vec::new(),
        };
        if addresses.is_empty() {
            return Err(FetchError::Resolve(io::Error::other("no address")));
        }
        for address in &addresses {
            let address = address.ip();
            match (is_internal(address), self.allow_internal) {
                (true, false) => return Err(FetchError::Internal { address }),
                (false, _) if url.scheme() == "http" => return Err(FetchError::PlainHttp),
                _ => {}
            }
        }
        Ok(addresses)
    }
}

/// Connects to the first that answers in time.
async fn connect(addresses: &[SocketAddr], patience: Duration) -> Result<TcpStream, FetchError> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for address in addresses.iter().take(ADDRESSES_MAX) {
        match tokio::time::timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(FetchError::Connect(last))
}

async fn exchange(
    url: &Url,
    stream: impl Read + Write + Unpin + Send + 'static,
) -> Result<Answer, FetchError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(FetchError::Http)?;
    // Ends with this function, however that ends.
    let mut driving = JoinSet::new();
    driving.spawn(connection);

    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let request = Request::get(target)
        .header(HOST, host)
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(USER_AGENT, concat!("fanfare/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| FetchError::Connect(io::Error::other(error)))?;
    let (head, body) = sender.send_request(request).await.map_err(FetchError::Http)?.into_parts();
    if head.status != StatusCode::OK {
        return Err(FetchError::Status(head.status.as_u16()));
    }
    match Limited::new(body, SET_BYTES_MAX).collect().await {
        Ok(body) => Ok(Answer { head, body: body.to_bytes().into() }),
        Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLarge),
        Err(error) => Err(match error.downcast::<hyper::Error>() {
            Ok(error) => FetchError::Http(*error),
            Err(error) => FetchError::Connect(io::Error::other(error)),
        }),
    }
}
