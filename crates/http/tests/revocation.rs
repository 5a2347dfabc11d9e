//! Tokens that are taken back: refused from then on, and the streams that live by them end, whoever writes them (P7).
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use common::socket::{Client, Server};
use common::{FORM, HUB, PATIENCE, hub, until};
use fanfare_http::token::{Algorithm, Issuer, Key, Language, Mint, SigningKey, TopicMatcher, Verifier};
use fanfare_http::{Access, ConnectionLimits, Drain, Mercure, Revocation, Revocations, TokenAccess};
use fanfare_hub::{Hub, Publication, Topic};
use fanfare_wire::Event;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

const SECRET: &str = "a secret of more than thirty-two bytes";
const AUDIENCE: &str = "https://push.test/.well-known/mercure";
const ISSUER: &str = "https://shop.test";

/// A token of `subject` for everything, made so long ago.
fn token_of(issuer: &str, subject: &str, ago: u64) -> String {
    let all = || [TopicMatcher::new(Language::UrlPattern, "*").unwrap()];
    Mint::modern(issuer, AUDIENCE)
        .publish(all())
        .subscribe(all())
        .subject(subject)
        .sign(
            &SigningKey::secret(Algorithm::Hs256, SECRET).unwrap(),
            SystemTime::now() - Duration::from_secs(ago),
        )
        .unwrap()
}

fn token(subject: &str) -> String {
    token_of(ISSUER, subject, 0)
}

/// A hub whose tokens can be taken back, on a socket.
struct House {
    hub: Hub,
    revocations: Revocations,
    server: Server,
}

impl House {
    async fn open() -> Self {
        Self::open_over(hub()).await
    }

    async fn open_over(hub: Hub) -> Self {
        let revocations = Revocations::new(&hub);
        let following = revocations.clone();
        tokio::spawn(async move { following.follow().await });
        revocations.caught_up().await;
        let app = app(&hub, &revocations);
        Self::serving(hub, revocations, app)
    }

    fn serving(hub: Hub, revocations: Revocations, app: Router) -> Self {
        let server = Server::start(app, ConnectionLimits::default(), Drain::new());
        Self { hub, revocations, server }
    }

    async fn publish(&self, data: &'static str) {
        let topic = Topic::parse("a").unwrap();
        self.hub.publish_all(Publication::to([topic]).private(Event::new(data))).await.unwrap();
    }

    /// A client that has sent for a stream.
    async fn asked(&self, token: &str) -> Client {
        let mut client = self.server.connect().await;
        client
            .send(format!(
                "GET {HUB}?match=a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
            ))
            .await;
        client
    }

    /// A client that has its stream.
    async fn subscribed(&self, token: &str) -> Client {
        let mut client = self.asked(token).await;
        assert!(client.head().await.contains("200 OK"));
        client.until(":\n").await;
        client
    }

    /// What a publisher with this token is told.
    async fn published(&self, token: &str) -> String {
        let body = "topic=a&data=x";
        self.server
            .answer(format!(
                "POST {HUB} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Type: \
                 {FORM}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await
    }

    async fn is_refused(&self, token: &str) -> bool {
        let publishing = self.published(token).await;
        let mut client = self.asked(token).await;
        let subscribing = client.until("\r\n\r\n").await;
        let is_refused = |answer: &str| {
            let status = answer.lines().next().unwrap_or_default().to_owned();
            assert!(status.contains("200") || status.contains("401"), "{answer}");
            assert_eq!(status.contains("401"), answer.contains(r#"error="invalid_token""#), "{answer}");
            status.contains("401")
        };
        assert_eq!(is_refused(&publishing), is_refused(&subscribing));
        is_refused(&publishing)
    }
}

/// More than the buffers of the kernel hold.
const LARGE: usize = 20 * 1024 * 1024;

fn hub_of_large_events() -> Hub {
    Hub::builder().event_bytes_max(2 * LARGE).history_bytes(4 * LARGE).build().unwrap()
}

fn app(hub: &Hub, revocations: &Revocations) -> Router {
    let key = || Key::secret(Algorithm::Hs256, SECRET).unwrap();
    let issuer = |id: &str| Issuer::new(id).publisher(key()).subscriber(key());
    let verifier = Verifier::builder()
        .audience(AUDIENCE)
        .issuer(issuer(ISSUER))
        .issuer(issuer("https://other.test"))
        .build()
        .unwrap();
    let access = TokenAccess::new(verifier).anonymous(true).revocations(revocations.clone());
    Mercure::new(hub.clone()).access(Access::tokens(access)).router()
}

#[tokio::test]
async fn a_revoked_subject_s_streams_end_and_its_tokens_are_refused_and_nobody_else_s_p7() {
    let house = House::open().await;
    let (alice, bob) = (token("alice"), token("bob"));
    let namesake = token_of("https://other.test", "alice", 0);
    let mut ended = [house.subscribed(&alice).await, house.subscribed(&token("alice")).await];
    let mut others = [house.subscribed(&bob).await, house.subscribed(&namesake).await];
    assert_eq!(house.revocations.streams(), 4);
    assert!(!house.is_refused(&alice).await);
    let done = house.revocations.revoke(Revocation::of_subject("alice").issuer(ISSUER)).await.unwrap();
    for client in &mut ended {
        let rest = client.rest().await;
        assert!(rest.contains("retry: ") && rest.ends_with("\n\n"), "a clean end: {rest:?}");
        assert!(client.has_whole_body());
    }
    // The stream that `is_refused` opened may have gone by itself before.
    assert!((2..=3).contains(&done.streams_cut), "{}", done.streams_cut);
    assert!(house.is_refused(&alice).await);
    assert!(house.is_refused(&token("alice")).await);
    house.publish("after").await;
    for client in &mut others {
        client.until("data: after\n\n").await;
    }
    assert!(!house.is_refused(&bob).await && !house.is_refused(&namesake).await);
    assert!(house.revocations.lift(done.id).await.unwrap());
    assert!(!house.is_refused(&alice).await);
}

/// P7: as many streams as a worker looks at in several batches, and those without a token beside them.
#[tokio::test]
async fn streams_without_a_token_stay_whatever_is_revoked_p7() {
    let house = House::open().await;
    let mut anonymous = house.server.connect().await;
    anonymous.request(&format!("{HUB}?match=a")).await;
    anonymous.until(":\n").await;
    let mut clients = Vec::new();
    for number in 0..50 {
        clients.push(house.subscribed(&token(&format!("customer-{number}"))).await);
    }
    assert_eq!(house.revocations.streams(), 50);
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    let done = house.revocations.revoke(Revocation::of_issued_before(tomorrow)).await.unwrap();
    assert_eq!(done.streams_cut, 50);
    for client in &mut clients {
        client.rest().await;
    }
    house.hub.publish("a", Event::new("still there")).await.unwrap();
    anonymous.until("data: still there\n\n").await;
    assert_eq!(house.revocations.streams(), 0);
}

#[tokio::test]
async fn one_token_is_revoked_by_its_id_and_the_next_one_of_its_subject_is_honoured_p7() {
    let house = House::open().await;
    let (first, second) = (token("alice"), token("alice"));
    let mut stays = house.subscribed(&second).await;
    let mut ended = house.subscribed(&first).await;
    let done = house.revocations.revoke(Revocation::of_token(id(&first))).await.unwrap();
    assert_eq!(done.streams_cut, 1);
    ended.rest().await;
    house.publish("after").await;
    stays.until("data: after\n\n").await;
    assert!(house.is_refused(&first).await && !house.is_refused(&second).await);
}

/// The claim `jti`.
fn id(token: &str) -> String {
    use base64::Engine as _;
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    serde_json::from_slice::<serde_json::Value>(&claims).unwrap()["jti"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn tokens_that_were_issued_before_some_time_are_revoked_and_later_ones_honoured_p7() {
    let house = House::open().await;
    let (old, new) = (token_of(ISSUER, "alice", 100), token("alice"));
    let elsewhere = token_of("https://other.test", "alice", 100);
    let mut ended = house.subscribed(&old).await;
    let mut stay = [house.subscribed(&new).await, house.subscribed(&elsewhere).await];
    let limit = SystemTime::now() - Duration::from_secs(50);
    let revocation = Revocation::of_issued_before(limit).issuer(ISSUER);
    assert_eq!(house.revocations.revoke(revocation).await.unwrap().streams_cut, 1);
    ended.rest().await;
    house.publish("after").await;
    for client in &mut stay {
        client.until("data: after\n\n").await;
    }
    assert!(house.is_refused(&old).await);
    assert!(!house.is_refused(&new).await && !house.is_refused(&elsewhere).await);
}

#[tokio::test]
async fn over_http2_a_revoked_stream_ends_and_the_others_of_its_connection_go_on_p7() {
    let house = House::open().await;
    let io = TokioIo::new(TcpStream::connect(house.server.address).await.unwrap());
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let subscribe = async |token: String| {
        let request = http::Request::get(format!("http://localhost{HUB}?match=a"))
            .header("authorization", format!("Bearer {token}"))
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .unwrap();
        let response = sender.clone().send_request(request).await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
        response.into_body()
    };
    let alice = subscribe(token("alice")).await;
    let mut bob = subscribe(token("bob")).await;
    assert_eq!(house.revocations.streams(), 2);
    let done = house.revocations.revoke(Revocation::of_subject("alice")).await.unwrap();
    assert_eq!(done.streams_cut, 1);
    // An end in order, not a reset.
    tokio::time::timeout(PATIENCE, alice.collect()).await.expect("an end").unwrap();
    assert_eq!(house.revocations.streams(), 1);
    house.publish("after").await;
    let mut read = String::new();
    while !read.contains("data: after\n\n") {
        let frame = tokio::time::timeout(PATIENCE, bob.frame()).await.expect("it goes on");
        read.push_str(&String::from_utf8_lossy(frame.unwrap().unwrap().data_ref().unwrap()));
    }
}

/// Goal: a client cannot keep what was revoked by taking nothing.
/// Method: grant a window of ten bytes, and open it no further.
#[tokio::test]
async fn over_http2_a_revoked_stream_that_its_client_does_not_take_is_reset_and_no_other_p7() {
    let house = House::open().await;
    let sender = house.server.connect_http2(10).await;
    let subscribe = async |token: String| {
        let request = http::Request::get(format!("http://localhost{HUB}?match=a"))
            .header("authorization", format!("Bearer {token}"));
        let mut sender = sender.clone().ready().await.unwrap();
        let (response, _) = sender.send_request(request.body(()).unwrap(), true).unwrap();
        response.await.unwrap().into_body()
    };
    let mut alice = subscribe(token("alice")).await;
    let mut bob = subscribe(token("bob")).await;
    house.publish("what alice may not read when she is revoked").await;
    let mut taken = Vec::new();
    while taken.len() < 10 {
        taken.extend(alice.data().await.expect("more").unwrap());
    }
    assert_eq!(house.revocations.revoke(Revocation::of_subject("alice")).await.unwrap().streams_cut, 1);
    until(|| house.revocations.streams() == 1 && house.hub.counts().subscribers == 1).await;
    let reset = tokio::time::timeout(PATIENCE, alice.data()).await.expect("an end").expect("no end in order");
    assert_eq!(reset.unwrap_err().reason(), Some(h2::Reason::CANCEL));
    house.publish("after").await;
    let mut read = String::new();
    while !read.contains("data: after\n\n") {
        let data = tokio::time::timeout(PATIENCE, bob.data()).await.expect("it goes on").unwrap().unwrap();
        bob.flow_control().release_capacity(data.len()).unwrap();
        read.push_str(&String::from_utf8_lossy(&data));
    }
}

/// Goal: over HTTP/1, too, a client cannot keep what was revoked by taking little.
/// Method: an event that no buffers of the kernel hold, and a request that keeps its stream with hyper, for its body is to come.
#[tokio::test]
async fn a_revoked_stream_that_its_client_does_not_take_is_cut_p7() {
    let house = House::open_over(hub_of_large_events()).await;
    let mut client = house.server.connect().await;
    client
        .send(format!(
            "GET {HUB}?match=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nAuthorization: Bearer {}\r\n\r\n",
            token("alice")
        ))
        .await;
    client.head().await;
    let large = Event::new("x".repeat(LARGE));
    house.hub.publish("a", large).await.unwrap();
    client.until("data: xxx").await;
    assert_eq!(house.server.counts.connections_on_http(), 1);
    assert_eq!(house.revocations.revoke(Revocation::of_subject("alice")).await.unwrap().streams_cut, 1);
    until(|| house.revocations.streams() == 0 && house.hub.counts().subscribers == 0).await;
    until(|| house.server.counts.connections_open() == 0).await;
    let rest = client.rest().await;
    assert!(rest.len() < LARGE && !client.has_whole_body(), "{} bytes", rest.len());
}

/// Goal: nobody slips through who is revoked after the stream was registered and before the fan-out has it.
/// Method: a layer holds the response up, revokes in that time, and lets it go.
#[tokio::test]
async fn a_stream_that_is_revoked_on_its_way_to_the_fan_out_ends_there_p7() {
    let opened = House::open().await;
    let revocations = opened.revocations.clone();
    let app = app(&opened.hub, &revocations).layer(from_fn(move |request: Request, next: Next| {
        let revocations = revocations.clone();
        async move {
            let response = next.run(request).await;
            let done = revocations.revoke(Revocation::of_subject("alice")).await.unwrap();
            assert_eq!(done.streams_cut, 1);
            response
        }
    }));
    let house = House::serving(opened.hub.clone(), opened.revocations.clone(), app);
    let mut client = house.asked(&token("alice")).await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("retry: "), "{answer}");
    assert_eq!(house.revocations.streams(), 0);
}

/// P7: fail closed. Nobody knows yet whether this token was revoked.
#[tokio::test]
async fn until_the_log_was_read_requests_with_a_token_are_to_come_back_later_p7() {
    let hub = hub();
    let revocations = Revocations::new(&hub);
    let app = app(&hub, &revocations);
    let house = House::serving(hub, revocations.clone(), app);
    let answer = house.published(&token("alice")).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: "), "{answer}");
    tokio::spawn(async move { revocations.follow().await });
    house.revocations.caught_up().await;
    assert!(house.published(&token("alice")).await.starts_with("HTTP/1.1 200 "));
}

/// P7: a body may take its time, and the token may be revoked meanwhile.
#[tokio::test]
async fn a_publication_whose_token_is_revoked_while_it_comes_is_refused_p7() {
    let house = House::open().await;
    let mut client = house.server.connect().await;
    let token = token("alice");
    client
        .send(format!(
            "POST {HUB} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: {FORM}\r\nContent-Length: 14\r\n\r\n"
        ))
        .await;
    // The body is asked for once the token was checked.
    client.until("100 Continue\r\n\r\n").await;
    house.revocations.revoke(Revocation::of_subject("alice")).await.unwrap();
    client.send("topic=a&data=x").await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}
