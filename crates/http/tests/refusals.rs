//! Every answer of the hub that is not the one hoped for: its status, its challenge, and one sentence (section 10).
//!
//! The tables are held against the sources: a sentence that stands there and that no case is told is a case that is missing.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use common::failing::Failing;
use common::socket::Server;
use common::{Answer, FORM, HUB, PATIENCE, Stream, hub, send, until};
use fanfare_http::token::{Algorithm, Issuer, Key, Language, Mint, SigningKey, TopicMatcher, Verifier};
use fanfare_http::{
    Access, ConnectionLimits, Drain, Mercure, PublishRate, RequestLimits, Revocations, TokenAccess,
    TrustedProxies,
};
use fanfare_hub::{CompileBudget, Hub, Matcher};
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;
use url::Url;

const SECRET: &str = "a secret of more than thirty-two bytes";
const ISSUER: &str = "https://shop.test";
const URL: &str = "https://push.test/.well-known/mercure";
const METADATA: &str =
    r#"resource_metadata="https://push.test/.well-known/oauth-protected-resource/.well-known/mercure""#;

/// Sentences that no case of this file can be told, and why.
const ELSEWHERE: [(&str, &str); 4] = [
    (
        "Who is subscribed on the other nodes of this hub is not known yet.",
        "over several nodes, by one that has just begun: the server's tests of nodes wait as long as they are told so",
    ),
    ("The hub could not serve this request.", "our own fault, of which none is known"),
    ("The hub has too many patterns to compile.", "after ten seconds of somebody else's patterns"),
    ("This port speaks TLS; the URL has to begin with https.", "over TLS: a test in tls.rs reads it"),
];

fn limits() -> RequestLimits {
    // Nothing that has to take that long comes at all.
    let soon = Duration::from_millis(20);
    let defaults = RequestLimits { body_timeout: soon, log_timeout: soon, ..RequestLimits::default() };
    RequestLimits { body_bytes_max: 5_000, topics_max: 2, matchers_max: 2, ..defaults }
}

fn tokens() -> TokenAccess {
    let key = Key::secret(Algorithm::Hs256, SECRET).unwrap();
    let issuer = Issuer::new(ISSUER).publisher(key.clone()).subscriber(key);
    TokenAccess::new(Verifier::builder().audience(URL).issuer(issuer).build().unwrap())
}

fn mercure(hub: Hub) -> Mercure {
    Mercure::new(hub).hub_url(Url::parse(URL).unwrap()).limits(limits()).subscriptions(true).legacy(false)
}

fn app() -> Router {
    mercure(hub()).access(Access::tokens(tokens())).router()
}

/// Where no token is needed, and none is asked for.
fn open(hub: Hub) -> Mercure {
    mercure(hub).access(Access::open())
}

/// A token that grants to publish and to subscribe to this topic.
fn token(topic: &str) -> String {
    let topic = || [TopicMatcher::new(Language::Exact, topic).unwrap()];
    let key = SigningKey::secret(Algorithm::Hs256, SECRET).unwrap();
    Mint::modern(ISSUER, URL).publish(topic()).subscribe(topic()).sign(&key, SystemTime::now()).unwrap()
}

fn request(line: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let (method, target) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(format!("{HUB}{target}"));
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", FORM);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

/// What a request is to be told: the status, the challenge's error (`Some("")` for none), a part of the sentence.
type Expected<'a> = (u16, Option<&'a str>, &'a str);

/// Sends a request that is not served: an answer that is a stream would have no end.
async fn refused(what: &str, app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.unwrap();
    assert_ne!(response.status(), 200, "{what}");
    let (head, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Answer { status: head.status, headers: head.headers, text }
}

/// Everything that was told.
#[derive(Default)]
struct Told(Vec<Answer>);

impl Told {
    /// Sends a request to an application that asks for tokens.
    async fn check(&mut self, app: &Router, request: Request<Body>, expected: Expected<'_>) {
        let what = format!("{} {}", request.method(), request.uri());
        let answer = refused(&what, app, request).await;
        let challenge = expected.1.map(|error| match error {
            "" => format!("Bearer {METADATA}"),
            error => format!("Bearer error=\"{error}\", {METADATA}"),
        });
        self.hold(&what, answer, expected, challenge.as_deref());
    }

    /// Sends a request to an application that asks for none, and so tells nobody which it takes.
    async fn check_open(&mut self, app: &Router, request: Request<Body>, status: u16, sentence: &str) {
        let what = format!("{} {}", request.method(), request.uri());
        let answer = refused(&what, app, request).await;
        let challenge = (status == 403).then_some("Bearer error=\"insufficient_scope\"");
        self.hold(&what, answer, (status, None, sentence), challenge);
    }

    fn hold(
        &mut self,
        what: &str,
        answer: Answer,
        (status, _, sentence): Expected<'_>,
        challenge: Option<&str>,
    ) {
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        let sent = answer.headers.get("www-authenticate").map(|value| value.to_str().unwrap());
        assert_eq!(sent, challenge, "{what}");
        assert!(answer.text.contains(sentence), "{what}: {}", answer.text);
        assert!(
            answer.text.ends_with(".\n") && answer.text.lines().count() == 1,
            "one sentence: {}",
            answer.text
        );
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8", "{what}");
        assert_eq!(answer.headers["cache-control"], "no-store", "{what}");
        assert_eq!(answer.headers.contains_key("allow"), status == 405, "{what}");
        assert_eq!(answer.headers.contains_key("retry-after"), matches!(status, 429 | 503), "{what}");
        self.0.push(answer);
    }

    /// Sends bytes to a server and reads the answer as a client does.
    async fn check_bytes(&mut self, server: &Server, bytes: impl AsRef<[u8]>, status: u16, sentence: &str) {
        let answer = server.answer(bytes).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(text.contains(sentence) && text.ends_with(".\n"), "{answer}");
        let head = head.to_ascii_lowercase();
        assert!(!head.contains("www-authenticate"), "{head}");
        assert_eq!(head.contains("\r\nretry-after: "), status == 429, "{head}");
        let (status, headers) = (status.try_into().unwrap(), http::HeaderMap::new());
        self.0.push(Answer { status, headers, text: text.to_owned() });
    }
}

/// The one place where all of them are, so that none is forgotten.
async fn everything() -> Told {
    let mut told = Told::default();
    publishing(&mut told).await;
    subscribing(&mut told).await;
    listing(&mut told).await;
    presenting_tokens(&mut told).await;
    idempotency(&mut told).await;
    being_full(&mut told).await;
    failing(&mut told).await;
    connecting(&mut told).await;
    told
}

const BROKEN: &str = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.aaaaaaaaaa";

async fn publishing(told: &mut Told) {
    let app = app();
    let (a, other) = (format!("Bearer {}", token("a")), format!("Bearer {}", token("other")));
    let long = format!("topic=a&data={}", "x".repeat(5_000));
    let long_topic = format!("topic={}", "x".repeat(4_900));
    let by = ("authorization", a.as_str());
    let (a, other) = (Some(a.as_str()), Some(other.as_str()));
    for (bearer, body, expected) in [
        (None, "topic=a", (401, Some(""), "This needs a token")),
        (Some(BROKEN), "topic=a", (401, Some("invalid_token"), "not valid here")),
        (other, "topic=a", (403, Some("insufficient_scope"), "does not grant to publish")),
        (a, "data=x", (400, None, "`topic` is missing")),
        (a, "topic=", (400, None, "topic")),
        (a, "topic=%FF", (400, None, "`topic` is not valid UTF-8")),
        (a, "topic=a%00", (400, None, "`topic` contains the control or format character")),
        (a, "topic=a&%FF=x", (400, None, "The name of a field")),
        (a, "topic=a&data=%FF", (400, None, "`data` is not valid UTF-8")),
        (a, "topic=*", (400, None, "`*`")),
        (a, "topic=mercure", (400, None, "reserved for the hub itself")),
        (a, "topic=a&id=%23x", (400, None, "id")),
        (a, "topic=a&id=a%0Ab", (400, None, "`id` contains the control")),
        (a, "topic=a&type=mercure", (400, None, "reserved for events of the hub")),
        (a, "topic=a&type=fanfare.gap", (400, None, "fanfare.gap")),
        (a, "topic=a&retry=1e3", (400, None, "in the digits 0 to 9")),
        (a, "topic=a&retry=99999999999999999999", (400, None, "too large a number")),
        (a, "topic=a&topic=a&topic=a", (413, None, "at most 2 topics")),
        (a, &long, (413, None, "larger than 5000 bytes")),
        (a, &long_topic, (413, None, "bytes")),
    ] {
        let headers: Vec<_> = bearer.map(|bearer| ("authorization", bearer)).into_iter().collect();
        told.check(&app, request("POST ", &headers, body.to_owned()), expected).await;
    }
    let json = request("POST ", &[by, ("content-type", "application/json")], "{}");
    told.check(&app, json, (400, None, "has to be of the type")).await;
    let broken =
        futures_util::stream::iter([Ok(bytes::Bytes::from("topic=a")), Err(io::Error::other("gone"))]);
    let broken = request("POST ", &[by], Body::from_stream(broken));
    told.check(&app, broken, (400, None, "broke off")).await;
    let endless = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, io::Error>>());
    told.check(&app, request("POST ", &[by], endless), (408, None, "did not arrive within 0.02 seconds"))
        .await;
    told.check(&app, request("DELETE ", &[by], ""), (405, None, "This URL answers only")).await;

    let small: Router = open(Hub::builder().event_bytes_max(100).build().unwrap()).router();
    let large = format!("topic=a&data={}", "x".repeat(200));
    told.check_open(&small, request("POST ", &[], large), 413, "bytes").await;
    // Nothing was allowed, so nobody does.
    let nobody: Router = mercure(hub()).router();
    told.check_open(&nobody, request("POST ", &[], "topic=a"), 403, "Nobody publishes").await;
    let slowly = PublishRate { per_second: 0.01, burst: 1 };
    let slowly: Router = open(hub()).publish_rate(slowly).router();
    assert_eq!(send(&slowly, request("POST ", &[], "topic=a")).await.status, 200);
    told.check_open(&slowly, request("POST ", &[], "topic=a"), 429, "more often than it may").await;
}

async fn subscribing(told: &mut Told) {
    let app = app();
    let a = format!("Bearer {}", token("a"));
    let long_id = format!("GET ?match=a&last_event_id={}", "x".repeat(10_000));
    let long_matcher = format!("GET ?match={}", "x".repeat(5_000));
    let untold_matcher = format!("GET ?match={}", "%2F".repeat(2_000));
    let by = ("authorization", a.as_str());
    let a = Some(a.as_str());
    for (line, bearer, expected) in [
        ("GET ?match=a", None, (401, Some(""), "This needs a token")),
        ("GET ?match=a", Some(BROKEN), (401, Some("invalid_token"), "not valid here")),
        ("GET ", a, (400, None, "at least one topic")),
        ("GET ?topic=a", a, (400, None, "`topic` is not known here")),
        ("GET ?match_regexp=a", a, (400, None, "`match_regexp` is not known")),
        ("GET ?match=a%0A", a, (400, None, "`match` contains the control")),
        ("GET ?match=%FF", a, (400, None, "`match` is not valid UTF-8")),
        ("GET ?match_urlpattern=%2F(x", a, (400, None, "Invalid topic matcher pattern")),
        ("GET ?match=a&match=b&match=c", a, (400, None, "at most 2 matchers")),
        (&long_matcher, a, (400, None, "bytes")),
        (
            &untold_matcher,
            a,
            (400, None, "lists its active subscriptions under topics of at most 4096 bytes"),
        ),
        ("GET ?match=a&last_event_id=%00", a, (400, None, "line break or a NUL")),
        ("GET ?match=a&last_event_id=%FF", a, (400, None, "last event ID is not valid UTF-8")),
        (&long_id, a, (400, None, "last event ID is longer")),
    ] {
        let headers: Vec<_> = bearer.map(|bearer| ("authorization", bearer)).into_iter().collect();
        told.check(&app, request(line, &headers, ""), expected).await;
    }
    let json = request("QUERY ", &[by, ("content-type", "application/json")], "{}");
    told.check(&app, json, (400, None, "has to be of the type")).await;
}

async fn listing(told: &mut Told) {
    let app = app();
    let (a, everything) = (format!("Bearer {}", token("a")), format!("Bearer {}", token("*")));
    let (a, everything) = (Some(a.as_str()), Some(everything.as_str()));
    for (line, bearer, expected) in [
        ("GET /subscriptions", None, (401, Some(""), "This needs a token")),
        ("GET /subscriptions", a, (403, Some("insufficient_scope"), "does not grant to subscribe")),
        ("POST /subscriptions", a, (405, None, "answers only")),
        ("GET /subscriptions/exact/a/nobody", everything, (404, None, "no such subscription")),
        ("GET /subscriptions/regexp/a/b", everything, (400, None, "match type")),
        ("GET /subscriptions/exact/%zz", everything, (400, None, "not encoded well")),
    ] {
        let headers: Vec<_> = bearer.map(|bearer| ("authorization", bearer)).into_iter().collect();
        told.check(&app, request(line, &headers, ""), expected).await;
    }
    let anonymous: Router = mercure(hub()).access(Access::tokens(tokens().anonymous(true))).router();
    let asked = request("GET /subscriptions", &[], "");
    told.check(&anonymous, asked, (401, Some(""), "told to nobody without a token")).await;
}

async fn presenting_tokens(told: &mut Told) {
    let invalid_request = |sentence| (400, Some("invalid_request"), sentence);
    let app: Router = mercure(hub()).legacy(true).access(Access::tokens(tokens())).router();
    let (bearer, cookie) =
        (format!("Bearer {}", token("a")), format!("__Secure-mercure_access_token={}", token("a")));
    let wrong = invalid_request("has to be `Bearer`, one space and the token");
    for value in ["short", "Basic YWxhZGRpbjpvcGVuc2VzYW1l", "Bearer short", "Bearer  a b c d e f g h i j"] {
        told.check(&app, request("POST ", &[("authorization", value)], "topic=a"), wrong).await;
    }
    let twice = [("authorization", &*bearer), ("authorization", &*bearer)];
    told.check(&app, request("POST ", &twice, "topic=a"), invalid_request("sent more than once")).await;
    let in_query = request("POST ?authorization=short", &[], "topic=a");
    told.check(&app, in_query, invalid_request("`authorization` has to be a token")).await;
    let foreign = [("cookie", &*cookie), ("origin", "https://evil.test")];
    told.check(&app, request("POST ", &foreign, "topic=a"), invalid_request("A page of this origin")).await;

    let hub = hub();
    let unread = tokens().revocations(Revocations::new(&hub));
    let app: Router = mercure(hub).access(Access::tokens(unread)).router();
    let by = [("authorization", &*bearer)];
    told.check(&app, request("POST ", &by, "topic=a"), (503, None, "Tokens cannot be checked now")).await;
}

/// Goal: a browser that comes while it cannot be known whether its token was revoked comes back; on a 503 its `EventSource` would
/// give up for good.
#[tokio::test]
async fn a_browser_whose_token_cannot_be_checked_yet_is_sent_away_for_a_while() {
    let hub = hub();
    let unread = tokens().revocations(Revocations::new(&hub));
    let app: Router = mercure(hub).access(Access::tokens(unread)).router();
    let bearer = format!("Bearer {}", token("a"));
    let by = [("authorization", &*bearer), ("accept", "text/event-stream")];
    let answer = send(&app, request("GET ?match=a", &by, "")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    assert!(answer.text.starts_with("retry: "), "{}", answer.text);
    let answer = send(&app, request("GET ?match=a", &by[..1], "")).await;
    assert_eq!(answer.status, 503);
}

async fn idempotency(told: &mut Told) {
    let app: Router = open(hub()).router();
    let long = "x".repeat(256);
    for (keys, sentence) in [
        (&["a", "b"][..], "several headers Idempotency-Key that differ"),
        (&[""], "Idempotency-Key is empty"),
        (&[&*long], "has 256 bytes; at most 255"),
        (&["a b"], "visible ASCII characters only"),
        (&["\"a"], "not one string in quotation marks"),
    ] {
        let headers: Vec<_> = keys.iter().map(|key| ("idempotency-key", *key)).collect();
        told.check_open(&app, request("POST ", &headers, "topic=a"), 400, sentence).await;
    }
    let keyed = |body| request("POST ", &[("idempotency-key", "41")], body);
    assert_eq!(send(&app, keyed("topic=a")).await.status, 200);
    told.check_open(&app, keyed("topic=b"), 422, "used before, for another publication").await;
}

async fn being_full(told: &mut Told) {
    let crowded = Hub::builder().subscribers_max(1).build().unwrap();
    let app: Router = open(crowded).router();
    let _first = Stream::open(&app, "match=a").await;
    told.check_open(&app, request("GET ?match=a", &[], ""), 503, "as many subscribers as it may").await;
    let full = Hub::builder().selections_bytes_max(0).build().unwrap();
    let app: Router = open(full).router();
    told.check_open(&app, request("GET ?match=a", &[], ""), 503, "takes as much memory as it may").await;
    let one = Matcher::url_pattern("/:a", URL).unwrap().memory_bytes();
    for (hub, sentence) in [
        (Hub::builder().patterns_max(1), "as many patterns as they may"),
        // One and a half, with their places.
        (Hub::builder().patterns_bytes_max((one + 250) * 3 / 2), "as much memory as they may"),
        (Hub::builder().patterns_alike_max(1), "as many patterns of this kind as they may"),
    ] {
        let app: Router = open(hub.build().unwrap()).router();
        let _first = Stream::open(&app, "match_urlpattern=%2F%3Aa").await;
        let second = request("GET ?match_urlpattern=%2F%3Ab", &[], "");
        told.check_open(&app, second, 503, sentence).await;
    }
}

async fn failing(told: &mut Told) {
    let over = |engine| -> Router { open(Hub::builder().engine(engine).build().unwrap()).router() };
    let publication = || request("POST ", &[], "topic=a");
    let resumed = || request("GET ?match=a&last_event_id=x", &[], "");
    told.check_open(&over(Failing::Refuses), publication(), 503, "was not stored and may be sent again")
        .await;
    for engine in [Failing::MayHaveStored, Failing::NeverAnswers] {
        told.check_open(&over(engine), publication(), 504, "may have been stored").await;
    }
    told.check_open(&over(Failing::Refuses), resumed(), 503, "The log is not available.").await;
    told.check_open(&over(Failing::NeverAnswers), resumed(), 503, "The log did not answer in time.").await;
}

/// What is said before an application is asked, or in its place.
async fn connecting(told: &mut Told) {
    let app = || -> Router { open(hub()).router() };
    let asked =
        |fields: &str| format!("GET {HUB}?match=a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    let limits = ConnectionLimits { head_bytes_max: 8_192, ..ConnectionLimits::default() };
    let server = Server::start(app(), limits, Drain::new());
    told.check_bytes(&server, "GET\r\n\r\n", 400, "not well-formed HTTP").await;
    let large = asked(&format!("X: {}\r\n", "x".repeat(9_000)));
    told.check_bytes(&server, large, 431, "larger, or has more fields").await;

    let roomy = ConnectionLimits { head_bytes_max: 200_000, ..limits };
    let server = Server::start(app(), roomy, Drain::new());
    let endless = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(70_000));
    told.check_bytes(&server, endless, 414, "The URL is longer").await;

    let trusted: TrustedProxies = "127.0.0.1".parse().unwrap();
    let server = Server::start_with(app(), limits, Drain::new(), |serve| serve.trusted_proxies(trusted));
    let malformed = asked("Forwarded: for=\"\r\n");
    told.check_bytes(&server, malformed, 400, "Forwarded that came through a trusted proxy").await;

    let one = NonZeroUsize::new(1);
    for (limits, sentence) in [
        (ConnectionLimits { per_client_max: one, ..limits }, "One client may have 1 connections"),
        (ConnectionLimits { connections_max: one, ..limits }, "as many connections as there may be"),
    ] {
        let server = Server::start(app(), limits, Drain::new());
        let _first = server.connect().await;
        until(|| server.counts.connections_open() == 1).await;
        told.check_bytes(&server, asked(""), 429, sentence).await;
    }
}

#[tokio::test]
async fn every_refusal_has_its_status_its_challenge_and_one_sentence_m084_m120_m121() {
    let told = tokio::time::timeout(3 * PATIENCE, everything()).await.expect("answers");
    let (mut missing, mut elsewhere) = (Vec::new(), Vec::new());
    for (file, parts) in sentences() {
        let sentence = parts.join("…");
        if ELSEWHERE.iter().any(|(known, _)| *known == sentence) {
            elsewhere.push(sentence);
        } else if !told.0.iter().any(|answer| holds(&answer.text, &parts)) {
            missing.push((file, sentence));
        }
    }
    assert!(missing.is_empty(), "no case is told this: {missing:#?}");
    assert_eq!(elsewhere.len(), ELSEWHERE.len(), "what is no more: {elsewhere:?}");
    let statuses: std::collections::BTreeSet<u16> =
        told.0.iter().map(|answer| answer.status.as_u16()).collect();
    for status in statuses_of_refusals().into_iter().filter(|status| *status != 500) {
        assert!(statuses.contains(&status), "no case is told {status}");
    }
}

/// Whether a text has all parts, in their order.
fn holds(text: &str, parts: &[String]) -> bool {
    let mut rest = Some(text);
    for part in parts {
        rest = rest.and_then(|rest| rest.split_once(part.as_str())).map(|(_, behind)| behind);
    }
    rest.is_some()
}

/// The statuses that `refusal.rs` says its refusals have.
fn statuses_of_refusals() -> Vec<u16> {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/refusal.rs")).unwrap();
    let lines = source.lines().filter_map(|line| line.trim().strip_prefix("/// ")?.split_once(": "));
    let statuses: Vec<u16> = lines.filter_map(|(status, _)| status.parse().ok()).collect();
    assert!(statuses.len() >= 12, "each refusal says its status first: {statuses:?}");
    statuses
}

/// Whatever stands in the sources that begins like a sentence and ends like one: only refusals do. With the file, and without what is
/// filled in. What explains tokens to their makers is no refusal.
fn sentences() -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("token/explain.rs") {
                let source = fs::read_to_string(&path).unwrap();
                let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                found.extend(
                    literals(source)
                        .into_iter()
                        .filter(|text| is_sentence(text))
                        .map(|text| (name.clone(), parts(&text))),
                );
            }
        }
    }
    assert!(found.len() > 50, "the sources are found");
    found
}

fn is_sentence(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.contains(' ')
        && text.trim_end().ends_with('.')
}

/// A format's fixed parts.
fn parts(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for piece in text.trim_end().split('{') {
        let fixed =
            if parts.is_empty() { piece } else { piece.split_once('}').map_or(piece, |(_, behind)| behind) };
        parts.push(fixed.to_owned());
    }
    parts
}

/// The string literals of a source, as they are meant.
fn literals(source: &str) -> Vec<String> {
    let code: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    // Quotation marks that begin no string.
    let code = code.join("\n").replace("'\"'", "").replace("\\\"", "\u{1}");
    let texts = code.split('"').skip(1).step_by(2);
    texts.map(|text| joined(text).replace('\u{1}', "\"").replace("\\n", "\n")).collect()
}

/// A literal that goes on in the next line, in one.
fn joined(text: &str) -> String {
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| text + line.trim_start())
}

#[test]
fn sentences_are_found_in_sources_as_they_are_told() {
    let source = "// \"Not this one.\"\nlet a = b'\"'; bad(\"It is \\\"{x:?}\\\" and \\\n   {} more.\"); debug!(\"nor this\")";
    let found: Vec<_> = literals(source).into_iter().filter(|text| is_sentence(text)).collect();
    assert_eq!(found, ["It is \"{x:?}\" and {} more."]);
    assert!(holds("It is \"7\" and 8 more.\n", &parts(&found[0])));
    assert!(!holds("It is \"7\" and 8 less.\n", &parts(&found[0])));
}

#[tokio::test]
async fn a_list_of_nothing_that_is_there_is_404_and_a_path_that_cannot_be_is_400_m158_m161() {
    listing(&mut Told::default()).await;
}

#[tokio::test]
async fn a_star_grants_every_topic_m113() {
    let app = app();
    let by = format!("Bearer {}", token("*"));
    let by = [("authorization", by.as_str())];
    let mut stream =
        Stream::of(&app, request("GET ?match=anything&match=https%3A%2F%2Fa.test%2F7", &by, "")).await;
    for topic in ["anything", "https%3A%2F%2Fa.test%2F7"] {
        let publication = request("POST ", &by, format!("topic={topic}&private=on&data={topic}"));
        assert_eq!(send(&app, publication).await.status, 200);
    }
    stream.until("data: anything\n\n").await;
    stream.until("data: https://a.test/7\n\n").await;
}

/// What a token's patterns may cost they may cost together, in whatever detail they stand; and it does not say why it is refused
/// (M-104).
#[tokio::test]
async fn the_patterns_of_all_details_of_a_token_share_one_budget_m117() {
    let pattern = |text: &str| TopicMatcher::new(Language::UrlPattern, text).unwrap();
    let sign = |publish: &[&str], subscribe: &[&str]| {
        let mint = Mint::modern(ISSUER, URL);
        let mint = mint.publish(publish.iter().copied().map(pattern));
        let mint = mint.subscribe(subscribe.iter().copied().map(pattern));
        let key = SigningKey::secret(Algorithm::Hs256, SECRET).unwrap();
        format!("Bearer {}", mint.sign(&key, SystemTime::now()).unwrap())
    };
    let (one, other) = ("/a/:id(\\d+)", "/b/:id(\\d+)");
    let cost = Matcher::url_pattern(one, URL).unwrap().memory_bytes();
    let limits = RequestLimits { patterns: CompileBudget::new(50_000, 3 * cost / 2), ..limits() };
    let app: Router = mercure(hub()).limits(limits).access(Access::tokens(tokens())).router();
    let mut told = Told::default();
    let refused = (401, Some("invalid_token"), "The token is not valid here.");
    let both = sign(&[one], &[other]);
    let by = [("authorization", both.as_str())];
    told.check(&app, request("POST ", &by, "topic=/a/1"), refused).await;
    told.check(&app, request("GET ?match=x", &by, ""), refused).await;
    // What the subscriber asks for itself is another matter.
    let line = "GET ?match_urlpattern=%2Fc%2F%3Aid(%5Cd%2B)&match_urlpattern=%2Fd%2F%3Aid(%5Cd%2B)";
    let fits = sign(&[], &[other]);
    let by = [("authorization", fits.as_str())];
    told.check(&app, request(line, &by, ""), (400, None, "use fewer and simpler ones")).await;
    let publishes = sign(&[one], &[]);
    let by = [("authorization", publishes.as_str())];
    told.check(
        &app,
        request("POST ", &by, "topic=/b/1"),
        (403, Some("insufficient_scope"), "does not grant"),
    )
    .await;
}
