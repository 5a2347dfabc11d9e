//! Key sets from the network: a real server on the loopback, over TLS and without, that is asked no more than it must be.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use fanfare_http::token::{
    Fetch, FetchError, FetchSetupError, Issuer, KeySet, KeySetError, Role, TokenError, Verifier,
};
use rcgen::CertifiedKey;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::key_sets::{set, token, trusting, verify};
use crate::stage::{HUB, now};

/// A server that gives fixed answers by path, and counts.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    answers: Arc<Mutex<HashMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
    /// An answer takes one permit.
    leave: Arc<Semaphore>,
}

impl Server {
    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Self {
            address: listener.local_addr().expect("an address"),
            answers: Arc::default(),
            asked: Arc::default(),
            leave: Arc::new(Semaphore::new(1000)),
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, tls) = (accepting.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => server.answer(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                server.answer(stream).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    async fn answer(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut stream = BufReader::new(stream);
        let mut path = None;
        let mut line = String::new();
        while stream.read_line(&mut line).await.is_ok_and(|bytes| bytes > 0) && line != "\r\n" {
            path.get_or_insert_with(|| line.split(' ').nth(1).expect("a path").to_owned());
            line.clear();
        }
        let Some(path) = path else { return };
        self.asked.lock().expect("asked").push(path.clone());
        self.leave.acquire().await.expect("leave").forget();
        let answer = self.answers.lock().expect("answers").get(&path).cloned();
        let answer =
            answer.unwrap_or_else(|| "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned());
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    }

    fn says(&self, path: &str, answer: impl Into<String>) {
        self.answers.lock().expect("answers").insert(path.to_owned(), answer.into());
    }

    fn times_asked(&self) -> usize {
        self.asked.lock().expect("asked").len()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn inside() -> Fetch {
    Fetch::new().expect("a client").allow_internal()
}

/// A server's certificate for `localhost` and 127.0.0.1, and the PEM of whom to trust for it.
fn certificate() -> (TlsAcceptor, String) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("a certificate");
    (TlsAcceptor::from(Arc::new(config)), cert.pem())
}

/// Why `set` could not be read.
async fn failure(set: &KeySet) -> FetchError {
    match set.load().await {
        Err(KeySetError::Fetch(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_set_comes_over_tls_from_whom_we_trust_and_from_nobody_else_m106() {
    let (tls, pem) = certificate();
    let server = Server::start(Some(tls)).await;
    server.says("/keys?v=1", ok(&set(&["ed25519"])));
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{}/keys?v=1", server.address.port());
        let trusted = Fetch::trusting(&[&pem]).expect("a client").allow_internal();
        let hub = trusting(KeySet::from_url(&url, &trusted).expect("a set"));
        assert!(hub.load().await.is_empty());
        assert_eq!(verify(&hub, &token("ed25519")).await, Ok(()));
        let strangers = KeySet::from_url(&url, &inside()).expect("a set");
        assert!(matches!(failure(&strangers).await, FetchError::Tls(_)));
    }
    assert_eq!(server.times_asked(), 2);
}

#[tokio::test]
async fn internal_addresses_are_refused_unless_allowed_however_they_are_written_m106() {
    let (tls, pem) = certificate();
    let server = Server::start(Some(tls)).await;
    server.says("/", ok(&set(&["ed25519"])));
    let fetch = Fetch::trusting(&[&pem]).expect("a client");
    let port = server.address.port();
    for host in
        ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0", "0177.0.0.1"]
    {
        let set = KeySet::from_url(&format!("https://{host}:{port}/"), &fetch).expect("a set");
        assert!(matches!(failure(&set).await, FetchError::Internal { .. }), "{host}");
        let set = KeySet::of_issuer(&format!("https://{host}:{port}"), &fetch).expect("a set");
        assert!(matches!(failure(&set).await, FetchError::Internal { .. }), "{host}");
    }
    assert_eq!(server.times_asked(), 0);
}

#[tokio::test]
async fn keys_are_not_fetched_in_the_clear_m106() {
    let strict = Fetch::new().expect("a client");
    let setup = |url: &str, fetch: &Fetch| KeySet::from_url(url, fetch).map(|_| ()).expect_err("a refusal");
    for url in ["http://127.0.0.1/keys", "ftp://a.test/", "data:application/json,{}", "gopher://a.test"] {
        assert!(matches!(setup(url, &strict), FetchSetupError::Scheme | FetchSetupError::Url), "{url}");
    }
    for url in [
        "",
        "keys.json",
        "https://",
        "https://user@a.test/",
        "https://user:word@a.test/",
        "https://:word@a.test/",
    ] {
        assert!(matches!(setup(url, &inside()), FetchSetupError::Url), "{url}");
    }
    // With leave, still only from inside; nothing is sent to this address.
    let set = KeySet::from_url("http://1.1.1.1/keys", &inside()).expect("a set");
    assert!(matches!(failure(&set).await, FetchError::PlainHttp));
}

#[tokio::test]
async fn a_file_url_is_a_file_m106() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("my keys.json");
    std::fs::write(&path, set(&["ed25519"])).expect("a file");
    let url = url::Url::from_file_path(&path).expect("a URL");
    let hub = trusting(KeySet::from_url(url.as_str(), &Fetch::new().expect("a client")).expect("a set"));
    assert_eq!(verify(&hub, &token("ed25519")).await, Ok(()));
}

#[tokio::test]
async fn redirects_are_not_followed_m106() {
    let server = Server::start(None).await;
    server.says("/elsewhere", ok(&set(&["ed25519"])));
    for status in [301, 302, 303, 307, 308] {
        let location = server.url("/elsewhere");
        let answer = format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        server.says("/keys", answer);
        let set = KeySet::from_url(&server.url("/keys"), &inside()).expect("a set");
        assert!(matches!(failure(&set).await, FetchError::Status(found) if found == status));
    }
    assert!(server.asked.lock().expect("asked").iter().all(|path| path == "/keys"));
}

#[tokio::test]
async fn a_bad_answer_is_an_error_and_the_old_keys_are_kept_m106() {
    let server = Server::start(None).await;
    server.says("/keys", ok(&set(&["ed25519"])));
    let keys = KeySet::from_url(&server.url("/keys"), &inside()).expect("a set");
    let hub = trusting(keys.clone());
    assert!(keys.load().await.is_ok());
    // A usable set, but for its size; also where nobody says how long it is.
    let mut large: serde_json::Value = serde_json::from_str(&set(&["p256"])).expect("JSON");
    large["x"] = json!("y".repeat(300_000));
    let large = large.to_string();
    let unannounced = format!("HTTP/1.1 200 OK\r\n\r\n{large}");
    let endless = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}",
        format!("fff\r\n{}\r\n", "x".repeat(4095)).repeat(100)
    );
    let bad = [
        ok(""),
        ok("<html>"),
        ok(r#"{"keys":[]}"#),
        ok(&large),
        endless,
        unannounced,
        "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\ncut".to_owned(),
        "not HTTP at all\r\n\r\n".to_owned(),
        String::new(),
    ];
    for answer in bad {
        server.says("/keys", answer.clone());
        assert!(keys.load().await.is_err(), "{answer:.60}");
        assert_eq!(verify(&hub, &token("ed25519")).await, Ok(()));
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_m106() {
    let server = Server::start(None).await;
    server.leave.forget_permits(1000);
    let fetch = inside().timeout(Duration::from_millis(30));
    let set = KeySet::from_url(&server.url("/keys"), &fetch).expect("a set");
    assert!(matches!(failure(&set).await, FetchError::Timeout));
}

#[tokio::test]
async fn a_new_key_is_found_by_its_name_and_a_flood_of_made_up_names_asks_once_m106() {
    let server = Server::start(None).await;
    server.says("/keys", ok(&set(&["p256"])));
    let hub = trusting(KeySet::from_url(&server.url("/keys"), &inside()).expect("a set"));
    assert!(hub.load().await.is_empty());
    server.says("/keys", ok(&set(&["p256", "ed25519"])));
    assert_eq!(verify(&hub, &token("ed25519")).await, Ok(()));
    assert_eq!(server.times_asked(), 2);
    // That was the one attempt of this half minute.
    for id in 0..50 {
        assert_eq!(verify(&hub, &token(&format!("made up {id}"))).await, Err(TokenError::UnknownKeyId));
    }
    assert_eq!(server.times_asked(), 2);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(30)).await;
    tokio::time::resume();
    let mut flood = tokio::task::JoinSet::new();
    for id in 0..50 {
        let hub = hub.clone();
        flood.spawn(async move { verify(&hub, &token(&format!("made up {id}"))).await });
    }
    let answers = flood.join_all().await;
    assert!(answers.iter().all(|answer| *answer == Err(TokenError::UnknownKeyId)));
    assert_eq!(server.times_asked(), 3);
}

/// Lets virtual time pass, and what is due then happen on the real socket.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_set_is_fetched_again_when_its_server_says_m106() {
    let server = Server::start(None).await;
    let body = set(&["ed25519"]);
    let cached = |seconds: u64| {
        format!(
            "HTTP/1.1 200 OK\r\ncache-control: max-age={seconds}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    server.says("/keys", cached(3600));
    let hub = trusting(KeySet::from_url(&server.url("/keys"), &inside()).expect("a set"));
    let keeping = {
        let hub = hub.clone();
        tokio::spawn(async move { hub.keep_fresh().await })
    };
    let asked = |times| {
        let server = server.clone();
        async move {
            while server.times_asked() < times {
                tokio::task::yield_now().await;
            }
            assert_eq!(server.times_asked(), times);
        }
    };
    asked(1).await;
    while verify(&hub, &token("ed25519")).await.is_err() {
        tokio::task::yield_now().await;
    }
    pass(3590).await;
    asked(1).await;
    server.says("/keys", "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
    pass(20).await;
    asked(2).await;
    assert_eq!(verify(&hub, &token("ed25519")).await, Ok(()));
    keeping.abort();
}

#[tokio::test]
async fn whoever_hangs_up_does_not_end_the_attempt_for_the_others_m106() {
    let server = Server::start(None).await;
    server.leave.forget_permits(1000);
    server.says("/keys", ok(&set(&["ed25519"])));
    let hub = trusting(KeySet::from_url(&server.url("/keys"), &inside()).expect("a set"));
    {
        let made_up = token("made up");
        let mut hanging_up = pin!(verify(&hub, &made_up));
        std::future::poll_fn(|context| Poll::Ready(hanging_up.as_mut().poll(context).is_pending())).await;
    }
    // The genuine one comes next, and waits for what the other has begun.
    let genuine = tokio::spawn(async move { verify(&hub, &token("ed25519")).await });
    while server.times_asked() == 0 {
        tokio::task::yield_now().await;
    }
    server.leave.add_permits(1000);
    assert_eq!(genuine.await.expect("an answer"), Ok(()));
    assert_eq!(server.times_asked(), 1);
}

#[tokio::test]
async fn the_metadata_of_an_issuer_tell_where_its_keys_are_m098() {
    let server = Server::start(None).await;
    let issuer = server.url("/realms/shop");
    let metadata = |issuer: &str, jwks: &str| {
        ok(&json!({ "issuer": issuer, "jwks_uri": jwks, "jwks": "x" }).to_string())
    };
    server.says("/keys", ok(&set(&["ed25519"])));
    let places = [
        "/.well-known/oauth-authorization-server/realms/shop",
        "/realms/shop/.well-known/openid-configuration",
    ];
    for place in places {
        server.answers.lock().expect("answers").retain(|path, _| path == "/keys");
        server.says(place, metadata(&issuer, &server.url("/keys")));
        let keys = KeySet::of_issuer(&issuer, &inside()).expect("a set");
        let trusted = Issuer::new(&issuer).publisher(keys);
        let hub = Verifier::builder().audience(HUB).issuer(trusted).build().expect("a verifier");
        assert!(hub.load().await.is_empty(), "{place}");
        let key =
            fanfare_http::token::SigningKey::pem(fanfare_http::token::Algorithm::EdDsa, crate::keys::ED25519)
                .expect("a key");
        let token = fanfare_http::token::Mint::modern(&issuer, HUB)
            .key_id("ed25519")
            .sign(&key, now())
            .expect("a token");
        assert!(hub.verify(&token, Role::Publisher, now()).await.is_ok(), "{place}");
    }
    let elsewhere = [
        metadata("https://other.test", &server.url("/keys")),
        metadata(&issuer, "file:///etc/passwd"),
        metadata(&issuer, "not a URL"),
        ok("{}"),
        ok("no JSON"),
    ];
    for answer in elsewhere {
        server.says(places[0], answer.clone());
        let keys = KeySet::of_issuer(&issuer, &inside()).expect("a set");
        assert!(matches!(failure(&keys).await, FetchError::Metadata), "{answer}");
    }
    server.answers.lock().expect("answers").clear();
    let keys = KeySet::of_issuer(&issuer, &inside()).expect("a set");
    assert!(matches!(failure(&keys).await, FetchError::Status(404)));
}
