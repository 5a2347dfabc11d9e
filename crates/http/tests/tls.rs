//! Over TLS everything is as without: streams, limits, the drain; and whoever does not get as far as that holds up nobody.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Router};
use common::socket::{Client, Server};
use common::{HUB, PATIENCE, app, hub, until};
use fanfare_http::{ClientInfo, ConnectionLimits, Drain, Mercure, Tls, TrustedProxies};
use fanfare_hub::Hub;
use fanfare_wire::Event;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const SHORT: Duration = Duration::from_millis(100);

/// The files of a certificate for `localhost`.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> (Self, CertificateDer<'static>) {
        let files = Self(tempfile::tempdir().unwrap());
        let certificate = files.renew();
        (files, certificate)
    }

    /// Writes another pair, and gives what a client has to trust.
    fn renew(&self) -> CertificateDer<'static> {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(self.0.path().join("cert.pem"), issued.cert.pem()).unwrap();
        fs::write(self.0.path().join("key.pem"), issued.signing_key.serialize_pem()).unwrap();
        issued.cert.der().clone()
    }

    fn tls(&self) -> Tls {
        Tls::from_pem_files(self.0.path().join("cert.pem"), self.0.path().join("key.pem")).unwrap()
    }
}

fn config(
    trusted: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// A hub that speaks TLS, and what its clients trust.
struct Secured {
    server: Server,
    files: Files,
    certificate: CertificateDer<'static>,
    config: Arc<ClientConfig>,
}

impl Secured {
    fn start(app: Router, limits: ConnectionLimits, drain: Drain) -> Self {
        let (files, certificate) = Files::new();
        let tls = files.tls().look_every(Duration::from_millis(5));
        let server = Server::start_with(app, limits, drain, |serve| serve.tls(tls));
        let config = config(&certificate, rustls::ALL_VERSIONS, &[]);
        Self { server, files, certificate, config }
    }

    fn of(hub: &Hub) -> Self {
        Self::start(app(hub), ConnectionLimits::default(), Drain::new())
    }

    async fn shake_hands(&self, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(self.server.address).await?;
        TlsConnector::from(config.clone()).connect("localhost".try_into().unwrap(), socket).await
    }

    async fn connect(&self) -> Client<TlsStream<TcpStream>> {
        Client::on(self.shake_hands(&self.config).await.unwrap())
    }

    async fn subscriber(&self) -> Client<TlsStream<TcpStream>> {
        let mut client = self.connect().await;
        client.request(&format!("{HUB}?match=a")).await;
        client.until(":\n").await;
        client
    }
}

async fn publish(hub: &Hub, data: &str) {
    hub.publish("a", Event::new(data.to_owned())).await.unwrap();
}

/// Reads to an end that the server has announced: one that somebody on the way has made is an error here.
async fn clean_end(mut client: Client<TlsStream<TcpStream>>) -> String {
    let mut rest = String::new();
    tokio::time::timeout(PATIENCE, client.socket.read_to_string(&mut rest))
        .await
        .expect("an end")
        .expect("close_notify");
    rest
}

#[tokio::test]
async fn a_stream_arrives_over_either_version_of_tls_and_stays_with_the_http_library() {
    let hub = hub();
    let mut secured = Secured::of(&hub);
    for (version, expected) in [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        secured.config = config(&secured.certificate, &[version], &["http/1.1"]);
        let mut client = secured.connect().await;
        assert_eq!(client.socket.get_ref().1.protocol_version(), Some(expected));
        client.request(&format!("{HUB}?match=a")).await;
        client.until(":\n").await;
        publish(&hub, "it works").await;
        client.until("data: it works\n").await;
    }
    assert_eq!(secured.server.counts.fanout().unwrap().counts().adopted, 0);
}

#[tokio::test]
async fn http2_is_agreed_on_by_alpn_and_streams_m007() {
    let hub = hub();
    let mut secured = Secured::of(&hub);
    secured.config = config(&secured.certificate, rustls::ALL_VERSIONS, &["h2", "http/1.1"]);
    let socket = secured.connect().await.socket;
    assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = TokioIo::new(socket);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut bodies = Vec::new();
    for _ in 0..5 {
        let request = http::Request::get(format!("https://localhost{HUB}?match=a"))
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .unwrap();
        let response = sender.clone().send_request(request).await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_2);
        bodies.push(response.into_body());
    }
    publish(&hub, "to all").await;
    for body in &mut bodies {
        let mut seen = String::new();
        while !seen.contains("data: to all\n") {
            let frame = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
            seen += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
        }
    }
    drop((bodies, sender));
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_comes_back_resumes_its_session() {
    let hub = hub();
    let secured = Secured::of(&hub);
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut client = secured.connect().await;
        assert_eq!(client.socket.get_ref().1.handshake_kind(), Some(expected));
        // The tickets come with the first bytes.
        client.request("/nothing").await;
        client.until("\r\n\r\n").await;
    }
}

#[tokio::test]
async fn a_request_knows_that_it_came_over_tls() {
    let whoami = async |Extension(client): Extension<ClientInfo>| {
        format!("{} {} {}", client.address, client.scheme, client.host.unwrap_or_default())
    };
    let app = Router::new().route("/", get(whoami));
    let secured = Secured::start(app, ConnectionLimits::default(), Drain::new());
    let mut client = secured.connect().await;
    client.request("/").await;
    client.until("127.0.0.1 https localhost").await;
}

#[tokio::test]
async fn the_header_of_the_proxy_protocol_comes_before_the_handshake() {
    let whoami =
        async |Extension(client): Extension<ClientInfo>| format!("{} {}", client.address, client.scheme);
    let (files, certificate) = Files::new();
    let proxies: TrustedProxies = "127.0.0.1".parse().unwrap();
    let app = Router::new().route("/", get(whoami));
    let server = Server::start_with(app, ConnectionLimits::default(), Drain::new(), |serve| {
        serve.tls(files.tls()).trusted_proxies(proxies.proxy_protocol())
    });
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x07\x0a\0\0\x01\xc3\x50\x01\xbb";
    socket.write_all(header).await.unwrap();
    let connector = TlsConnector::from(config(&certificate, rustls::ALL_VERSIONS, &[]));
    let mut client = Client::on(connector.connect("localhost".try_into().unwrap(), socket).await.unwrap());
    client.request("/").await;
    client.until("198.51.100.7 https").await;
}

#[tokio::test]
async fn plain_http_on_the_port_is_400_with_a_sentence_and_the_end() {
    let hub = hub();
    let secured = Secured::of(&hub);
    for request in ["GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut client = secured.server.connect().await;
        client.send(request).await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(
            answer.ends_with("\r\n\r\nThis port speaks TLS; the URL has to begin with https.\n"),
            "{answer}"
        );
    }
    until(|| secured.server.counts.handshake_failures() == 2).await;
}

#[tokio::test]
async fn what_is_neither_tls_nor_http_gets_an_alert() {
    let hub = hub();
    let secured = Secured::of(&hub);
    let mut client = secured.server.connect().await;
    client.send([0x80, 0x2e, 1, 0, 2, 0, 0, 0, 0, 0, 0]).await;
    assert!(client.rest().await.starts_with('\u{15}'), "an alert record");
    let foreign = config(&secured.certificate, rustls::ALL_VERSIONS, &["gopher"]);
    assert!(secured.shake_hands(&foreign).await.is_err());
}

#[tokio::test]
async fn who_never_ends_its_handshake_is_cut_and_holds_up_nobody() {
    let hub = hub();
    let limits = ConnectionLimits { handshake_timeout: SHORT, ..ConnectionLimits::default() };
    let secured = Secured::start(app(&hub), limits, Drain::new());
    let mut stalled = Vec::new();
    for number in 0..20 {
        let mut client = secured.server.connect().await;
        if number % 2 == 0 {
            client.send(b"\x16\x03\x01\x02\x00\x01").await;
        }
        stalled.push(client);
    }
    let _served = secured.subscriber().await;
    for mut client in stalled {
        assert_eq!(client.rest().await, "");
    }
    until(|| secured.server.counts.handshake_failures() == 20).await;
}

#[tokio::test]
async fn a_new_certificate_is_taken_while_streams_go_on() {
    let hub = hub();
    let mut secured = Secured::of(&hub);
    let mut before = secured.subscriber().await;

    secured.config = config(&secured.files.renew(), rustls::ALL_VERSIONS, &[]);
    let renewed = async { while secured.shake_hands(&secured.config).await.is_err() {} };
    tokio::time::timeout(PATIENCE, renewed).await.expect("the new certificate");
    publish(&hub, "still here").await;
    before.until("data: still here\n").await;
}

#[tokio::test]
async fn a_drain_ends_every_connection_with_close_notify() {
    let hub = hub();
    let drain = Drain::new();
    let app = Mercure::new(hub.clone()).drain(drain.clone()).router();
    let secured = Secured::start(app, ConnectionLimits::default(), drain);
    let streaming = secured.subscriber().await;
    let silent = secured.connect().await;
    let mut idle = secured.connect().await;
    idle.send(format!("OPTIONS {HUB} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    idle.until("\r\n\r\n").await;
    until(|| secured.server.counts.connections_open() == 3).await;

    secured.server.drain.begin(SHORT);
    let last = clean_end(streaming).await;
    assert!(last.contains("retry: ") && last.ends_with("\r\n0\r\n\r\n"), "{last:?}");
    assert_eq!(clean_end(idle).await, "");
    assert_eq!(clean_end(silent).await, "");
    secured.server.ended().await;
}

/// Also what hyper ends by itself.
#[tokio::test]
async fn a_connection_that_idles_for_too_long_is_told_its_end() {
    let hub = hub();
    let limits = ConnectionLimits { head_timeout: SHORT, ..ConnectionLimits::default() };
    let secured = Secured::start(app(&hub), limits, Drain::new());
    let silent = secured.connect().await;
    let mut idle = secured.connect().await;
    idle.send(format!("OPTIONS {HUB} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    idle.until("\r\n\r\n").await;
    assert_eq!(clean_end(silent).await, "");
    assert_eq!(clean_end(idle).await, "");
}

/// P5.
#[tokio::test]
async fn a_subscriber_that_takes_nothing_is_cut_over_tls_too_p5() {
    let hub = hub();
    let limits = ConnectionLimits { write_timeout: SHORT, ..ConnectionLimits::default() };
    let secured = Secured::start(app(&hub), limits, Drain::new());
    let stalled = secured.subscriber().await;
    let mut bystander = secured.subscriber().await;
    let reading =
        tokio::spawn(async move { bystander.until("data: still here\n").await.matches("id: ").count() });
    let mut published = 0;
    while secured.server.counts.connections_cut() == 0 {
        publish(&hub, &"x".repeat(200_000)).await;
        published += 1;
        assert!(published < 500, "a hundred megabytes are in nobody's buffers");
        // As slow as a publisher that waits for its answer.
        secured.server.answer("GET / HTTP/1.1\r\n\r\n").await;
    }
    publish(&hub, "still here").await;
    assert_eq!(reading.await.unwrap(), published + 1, "the bystander got everything");
    drop(stalled);
}
