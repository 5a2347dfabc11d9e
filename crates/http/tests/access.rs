//! Tokens over HTTP: who may publish, who reads what is private, and what the others are told (sections 7 to 11, 16, 20.3).
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{Answer, FORM, HUB, Stream, hub, send, subscription};
use fanfare_http::token::{Algorithm, Issuer, Key, Language, Mint, SigningKey, TopicMatcher, Verifier};
use fanfare_http::{Access, Authorize, Denied, Mercure, Origins, PublishRate, Rights, Role, TokenAccess};
use fanfare_hub::{Grant, Hub};
use http::request::Parts;
use http::{Method, Request};
use url::Url;

// The tokens of section 22 of the protocol's notes, with the keys they were signed with.
const PUBLISHER_KEY: &str = "example-publisher-key-32-bytes-long!!";
const SUBSCRIBER_KEY: &str = "example-subscriber-key-32-bytes-long!";
const PUBLISHER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJodHRwczovL3Nob3AudGVzdCIsImF1ZCI6Imh0dHBzOi8vcHVzaC50ZXN0Ly53ZWxsLWtub3duL21lcmN1cmUiLCJzdWIiOiJzdmMtb3JkZXJzIiwiY2xpZW50X2lkIjoiaHR0cHM6Ly9zaG9wLnRlc3QiLCJpYXQiOjE3OTAwMDAwMDAsImV4cCI6NDEwMjQ0NDgwMCwianRpIjoidXJuOnV1aWQ6MGI1YzVhNWUtMmYwZS00YzUyLTlkNTItN2Q1YzZhMGM5YTExIiwiYXV0aG9yaXphdGlvbl9kZXRhaWxzIjpbeyJ0eXBlIjoiaHR0cHM6Ly9tZXJjdXJlLnJvY2tzL2F1dGhvcml6YXRpb24tZGV0YWlsIiwiYWN0aW9ucyI6WyJwdWJsaXNoIl0sInRvcGljcyI6W3sibWF0Y2giOiJodHRwczovL3Nob3AudGVzdC9vcmRlcnMvOmlkIiwibWF0Y2hfdHlwZSI6InVybHBhdHRlcm4ifV19XX0.fnglMxJ7O0bBkKVsPuFxLbq0Lq8nO3TfCoTxxHEfiZU";
const SUBSCRIBER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJodHRwczovL3Nob3AudGVzdCIsImF1ZCI6Imh0dHBzOi8vcHVzaC50ZXN0Ly53ZWxsLWtub3duL21lcmN1cmUiLCJzdWIiOiJjdXN0b21lci03IiwiY2xpZW50X2lkIjoiaHR0cHM6Ly9zaG9wLnRlc3QiLCJpYXQiOjE3OTAwMDAwMDAsImV4cCI6NDEwMjQ0NDgwMCwianRpIjoidXJuOnV1aWQ6MGI1YzVhNWUtMmYwZS00YzUyLTlkNTItN2Q1YzZhMGM5YTExIiwiYXV0aG9yaXphdGlvbl9kZXRhaWxzIjpbeyJ0eXBlIjoiaHR0cHM6Ly9tZXJjdXJlLnJvY2tzL2F1dGhvcml6YXRpb24tZGV0YWlsIiwiYWN0aW9ucyI6WyJzdWJzY3JpYmUiXSwidG9waWNzIjpbeyJtYXRjaCI6Imh0dHBzOi8vc2hvcC50ZXN0L29yZGVycy80MSJ9XSwicGF5bG9hZCI6eyJkZXNrIjoibm9ydGgifX1dfQ.vzWt8qqRXLuN-DGaK_iYFHSRBkRmCegsBSUS6SSpELg";
const LEGACY: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJtZXJjdXJlIjp7InB1Ymxpc2giOlsiKiJdLCJzdWJzY3JpYmUiOlsiaHR0cHM6Ly9zaG9wLnRlc3Qvb3JkZXJzL3tpZH0iXSwicGF5bG9hZCI6eyJkZXNrIjoibm9ydGgifX19.BhXeuW63u_jtsPBGk_nzjMdcAb8gPSS2faIcom28MnE";

const COOKIE: &str = "__Secure-mercure_access_token";
const METADATA: &str =
    r#"resource_metadata="https://push.test/.well-known/oauth-protected-resource/.well-known/mercure""#;

fn verifier() -> Verifier {
    let key = |secret: &str| Key::secret(Algorithm::Hs256, secret).unwrap();
    let issuer =
        Issuer::new("https://shop.test").publisher(key(PUBLISHER_KEY)).subscriber(key(SUBSCRIBER_KEY));
    Verifier::builder()
        .audience(format!("https://push.test{HUB}"))
        .issuer(issuer)
        .legacy_publisher(key(SUBSCRIBER_KEY))
        .legacy_subscriber(key(SUBSCRIBER_KEY))
        .build()
        .unwrap()
}

fn mercure(hub: &Hub, access: TokenAccess) -> Mercure {
    Mercure::new(hub.clone())
        .hub_url(Url::parse(&format!("https://push.test{HUB}")).unwrap())
        .access(Access::tokens(access))
}

fn tokens() -> TokenAccess {
    TokenAccess::new(verifier())
}

fn app(hub: &Hub) -> Router {
    mercure(hub, tokens().anonymous(true)).router()
}

/// What a request says about who sends it.
#[derive(Clone, Copy, Debug)]
enum With<'a> {
    Nothing,
    Bearer(&'a str),
    Header(&'a str),
    Cookie(&'a str, &'a str),
    CookieOfPage(&'a str, &'a str, &'a str),
}

fn with(mut request: http::request::Builder, with: With<'_>) -> http::request::Builder {
    match with {
        With::Nothing => {}
        With::Bearer(token) => request = request.header("authorization", format!("Bearer {token}")),
        With::Header(value) => request = request.header("authorization", value),
        With::Cookie(name, token) => request = request.header("cookie", format!("{name}={token}")),
        With::CookieOfPage(name, token, origin) => {
            request = request.header("cookie", format!("{name}={token}")).header("origin", origin);
        }
    }
    request
}

async fn publish(app: &Router, who: With<'_>, form: &str) -> Answer {
    let request = with(Request::post(HUB).header("content-type", FORM), who);
    send(app, request.body(Body::from(form.to_owned())).unwrap()).await
}

async fn open(app: &Router, who: With<'_>, query: &str) -> Stream {
    Stream::of(app, with(subscription(query), who).body(Body::empty()).unwrap()).await
}

async fn refused(app: &Router, who: With<'_>, query: &str) -> Answer {
    send(app, with(subscription(query), who).body(Body::empty()).unwrap()).await
}

const ORDER_41: &str = "https://shop.test/orders/41";

#[tokio::test]
async fn a_publication_needs_a_grant_for_each_of_its_topics_m074_m118() {
    let hub = hub();
    let app = app(&hub);
    let both = "topic=https%3A%2F%2Fshop.test%2Forders%2F41&topic=https%3A%2F%2Fshop.test%2Fcustomers%2F7%2Forders%2F41&data=paid&private=on";
    let answer = publish(&app, With::Bearer(PUBLISHER), both).await;
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.headers["www-authenticate"],
        format!(r#"Bearer error="insufficient_scope", {METADATA}"#)
    );
    assert_eq!(hub.counts().publications, 0, "nothing is sent to one topic alone");
    let answer = publish(&app, With::Bearer(PUBLISHER), &format!("topic={ORDER_41}&data=paid")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn each_refusal_says_what_token_is_asked_for_m104_m120_m121() {
    let app = mercure(&hub(), tokens()).router();
    let form = format!("topic={ORDER_41}&data=paid");
    let tampered = PUBLISHER.replace(".fng", ".fnh");
    let cases = [
        (With::Nothing, 401, None),
        (With::Bearer(&tampered), 401, Some("invalid_token")),
        // The other role's key.
        (With::Bearer(SUBSCRIBER), 401, Some("invalid_token")),
        (With::Cookie(COOKIE, "nonsense"), 401, Some("invalid_token")),
        (With::Header("Basic YTpi"), 400, Some("invalid_request")),
        (With::Header("Bearer"), 400, Some("invalid_request")),
        (With::Header("Bearer x"), 400, Some("invalid_request")),
        // A cookie without a page that may send it.
        (With::Cookie(COOKIE, PUBLISHER), 400, Some("invalid_request")),
    ];
    for (who, status, error) in cases {
        let answer = publish(&app, who, &form).await;
        assert_eq!(answer.status, status, "{who:?}: {}", answer.text);
        let expected = match error {
            None => format!("Bearer {METADATA}"),
            Some(error) => format!(r#"Bearer error="{error}", {METADATA}"#),
        };
        assert_eq!(answer.headers["www-authenticate"], expected, "{who:?}");
        assert_eq!(answer.text.lines().count(), 1, "one sentence: {}", answer.text);
    }
    let answer = refused(&app, With::Nothing, "match=a").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["www-authenticate"]),
        (401, &format!("Bearer {METADATA}").parse().unwrap())
    );
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_refused_even_where_none_is_needed_m109() {
    let hub = hub();
    let anonymous = app(&hub);
    let answer = refused(&anonymous, With::Bearer(PUBLISHER), "match=a").await;
    assert_eq!(answer.status, 401);
    drop(open(&anonymous, With::Nothing, "match=a").await);
}

#[tokio::test]
async fn a_stranger_with_a_bad_pattern_hears_of_the_token_first_and_of_bad_names_before_m036() {
    let app = mercure(&hub(), tokens()).router();
    assert_eq!(refused(&app, With::Nothing, "match_urlpattern=%2F(x").await.status, 401);
    assert_eq!(refused(&app, With::Nothing, "match_regexp=a").await.status, 400);
    assert_eq!(refused(&app, With::Bearer(SUBSCRIBER), "match_urlpattern=%2F(x").await.status, 400);
}

#[tokio::test]
async fn publishing_is_judged_in_the_order_of_the_protocol_m075() {
    let app = app(&hub());
    // No token: nothing else is looked at.
    assert_eq!(publish(&app, With::Nothing, "topic=&id=%23").await.status, 401);
    // A reserved topic before the grant, the grant before the id.
    let reserved = "topic=/.well-known/mercure/x&id=%23";
    assert_eq!(publish(&app, With::Bearer(PUBLISHER), reserved).await.status, 400);
    assert_eq!(publish(&app, With::Bearer(PUBLISHER), "topic=*").await.status, 400);
    assert_eq!(publish(&app, With::Bearer(PUBLISHER), "topic=other&id=%23").await.status, 403);
    assert_eq!(publish(&app, With::Bearer(PUBLISHER), &format!("topic={ORDER_41}&id=%23")).await.status, 400);
}

#[tokio::test]
async fn private_events_reach_those_whose_token_grants_them_live_and_replayed_m124_m125_m126() {
    let hub = hub();
    let app = app(&hub);
    let ask = format!("match={ORDER_41}&match=https://shop.test/orders/42");
    let (mut granted, mut anonymous) =
        (open(&app, With::Bearer(SUBSCRIBER), &ask).await, open(&app, With::Nothing, &ask).await);
    for (order, private, id) in [(42, "&private", "a"), (41, "&private", "b"), (42, "", "c")] {
        let form = format!("topic=https://shop.test/orders/{order}&data=x&id={id}{private}");
        assert_eq!(publish(&app, With::Bearer(PUBLISHER), &form).await.status, 200);
    }
    let of = |read: String| read.matches("id: ").count();
    assert_eq!(of(granted.until("id: c\ndata: x\n\n").await), 2, "b and c");
    assert_eq!(of(anonymous.until("id: c\ndata: x\n\n").await), 1, "c");
    let replay = format!("{ask}&last_event_id=earliest");
    let mut granted = open(&app, With::Bearer(SUBSCRIBER), &replay).await;
    assert_eq!(of(granted.until("id: c\ndata: x\n\n").await), 2);
    let mut anonymous = open(&app, With::Nothing, &replay).await;
    assert_eq!(of(anonymous.until("id: c\ndata: x\n\n").await), 1);
}

#[tokio::test]
async fn two_conditions_may_be_met_by_different_topics_m124() {
    let hub = hub();
    let app = app(&hub);
    // T = { /orders/41, elsewhere }; the token grants /orders/41.
    let cases = [("elsewhere", true), (ORDER_41, true), ("unrelated", false)];
    for (number, (asked, delivered)) in cases.into_iter().enumerate() {
        let mut stream = open(&app, With::Bearer(SUBSCRIBER), &format!("match={asked}&match=end")).await;
        let form = format!("topic={ORDER_41}&topic=elsewhere&private&data=x&id=secret-{number}");
        assert_eq!(publish(&app, With::Bearer(LEGACY), &form).await.status, 200);
        publish(&app, With::Bearer(LEGACY), &format!("topic=end&data=x&id=end-{number}")).await;
        let read = stream.until(&format!("id: end-{number}\n")).await;
        assert_eq!(read.contains("secret"), delivered, "{asked}");
    }
}

#[tokio::test]
async fn older_clients_show_their_token_in_the_header_the_query_or_their_cookie_m196_m197_m201() {
    let hub = hub();
    let app = app(&hub);
    let ask = "topic=https://shop.test/orders/%7Bid%7D";
    let mut streams = vec![
        open(&app, With::Bearer(LEGACY), ask).await,
        open(&app, With::Cookie("mercureAuthorization", LEGACY), ask).await,
        open(&app, With::Nothing, &format!("{ask}&authorization={LEGACY}")).await,
    ];
    let form = "topic=https://shop.test/orders/42&private=on&data=x";
    let page = With::CookieOfPage("mercureAuthorization", LEGACY, "https://push.test");
    assert_eq!(publish(&app, page, form).await.status, 200);
    for stream in &mut streams {
        assert!(stream.headers["cache-control"].to_str().unwrap().contains("private"));
        stream.until("data: x\n\n").await;
    }
}

#[tokio::test]
async fn where_older_clients_are_not_served_nothing_of_theirs_counts_m090() {
    let hub = hub();
    let app = mercure(&hub, tokens()).legacy(false).router();
    assert_eq!(refused(&app, With::Bearer(LEGACY), "match=a").await.status, 401);
    assert_eq!(refused(&app, With::Cookie("mercureAuthorization", LEGACY), "match=a").await.status, 401);
    assert_eq!(
        refused(&app, With::Nothing, &format!("match=a&authorization={SUBSCRIBER}")).await.status,
        401
    );
}

#[tokio::test]
async fn a_page_publishes_with_its_cookie_only_from_a_listed_origin_m178() {
    let hub = hub();
    let app =
        mercure(&hub, tokens().publish_origins(Origins::parse(["https://shop.test"]).unwrap())).router();
    let form = format!("topic={ORDER_41}&data=x");
    for (origin, status) in
        [("https://shop.test", 200), ("https://push.test", 200), ("https://evil.test", 400), ("null", 400)]
    {
        let answer = publish(&app, With::CookieOfPage(COOKIE, PUBLISHER, origin), &form).await;
        assert_eq!(answer.status, status, "{origin}");
    }
    // Reading needs no such check: what a page may read is the browser's to enforce.
    drop(open(&app, With::CookieOfPage(COOKIE, SUBSCRIBER, "https://evil.test"), "match=a").await);
}

#[tokio::test]
async fn pages_of_listed_origins_may_read_with_credentials_and_others_may_not_m174_m175_m177() {
    let hub = hub();
    let listed = mercure(&hub, tokens()).cors(Origins::parse(["https://shop.test"]).unwrap()).router();
    for (origin, allowed) in [("https://shop.test", true), ("https://evil.test", false), ("null", false)] {
        let answer = refused(&listed, With::CookieOfPage("x", "y", origin), "match=a").await;
        assert_eq!(answer.status, 401, "errors carry the headers, too (M-122)");
        assert_eq!(answer.headers.get("access-control-allow-origin").is_some(), allowed, "{origin}");
        assert!(answer.headers["vary"].to_str().unwrap().to_ascii_lowercase().contains("origin"));
        if allowed {
            assert_eq!(answer.headers["access-control-allow-origin"], origin);
            assert_eq!(answer.headers["access-control-allow-credentials"], "true");
            let exposed = answer.headers["access-control-expose-headers"].to_str().unwrap();
            for name in ["link", "mercure-last-event-id", "last-event-id", "www-authenticate"] {
                assert!(exposed.contains(name), "{exposed}");
            }
        }
    }
    let everybody = mercure(&hub, tokens()).cors(Origins::any()).router();
    let answer = refused(&everybody, With::CookieOfPage("x", "y", "https://a.test"), "match=a").await;
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
}

#[tokio::test]
async fn a_preflight_allows_what_clients_send_m176() {
    let app = mercure(&hub(), tokens()).cors(Origins::parse(["https://shop.test"]).unwrap()).router();
    let preflight = Request::builder()
        .method(Method::OPTIONS)
        .uri(HUB)
        .header("origin", "https://shop.test")
        .header("access-control-request-method", "QUERY")
        .header("access-control-request-headers", "authorization,last-event-id")
        .body(Body::empty())
        .unwrap();
    let answer = send(&app, preflight).await;
    assert!(answer.status.is_success());
    let methods = answer.headers["access-control-allow-methods"].to_str().unwrap();
    for method in ["GET", "HEAD", "POST", "QUERY"] {
        assert!(methods.contains(method), "{methods}");
    }
    let headers = answer.headers["access-control-allow-headers"].to_str().unwrap();
    for name in ["authorization", "cache-control", "last-event-id", "content-type"] {
        assert!(headers.contains(name), "{headers}");
    }
}

#[tokio::test]
async fn the_hub_describes_itself_where_it_checks_tokens_m171_m172() {
    let path = "/.well-known/oauth-protected-resource/.well-known/mercure";
    let get = || Request::get(path).body(Body::empty()).unwrap();
    let answer = send(&app(&hub()), get()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/json");
    let document: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(document["resource"], format!("https://push.test{HUB}"));
    assert_eq!(document["bearer_methods_supported"], serde_json::json!(["header"]));
    assert_eq!(document["mercure_cookie"], COOKIE);
    assert_eq!(document["mercure_matcher_types_supported"], serde_json::json!(["exact", "urlpattern"]));
    let open = Mercure::new(hub()).access(Access::open()).router();
    assert_eq!(send(&open, get()).await.status, 404);
}

#[tokio::test]
async fn out_of_the_box_nobody_publishes_over_http_and_everybody_reads_what_is_public() {
    let hub = hub();
    let app = Mercure::new(hub.clone()).router();
    let answer = publish(&app, With::Nothing, "topic=a&data=x").await;
    assert_eq!(answer.status, 403);
    let mut stream = open(&app, With::Nothing, "match=a").await;
    hub.publish("a", fanfare_wire::Event::new("x")).await.unwrap();
    stream.until("data: x\n\n").await;
}

/// P7: a body may take its time, and the token's may be over meanwhile.
#[tokio::test]
async fn a_publication_is_refused_whose_publisher_s_time_is_over_when_it_has_come_m105() {
    for (left, expected) in [(Duration::ZERO, 401), (Duration::from_secs(3600), 200)] {
        let hub = hub();
        let until = SystemTime::now() + left;
        let app = Mercure::new(hub.clone()).access(Access::by(Until(until))).router();
        let answer = publish(&app, With::Nothing, "topic=a&data=x").await;
        assert_eq!(answer.status, expected);
        assert_eq!(hub.counts().publications, u64::from(expected == 200));
        let challenge = answer.headers.get("www-authenticate").map(|value| value.to_str().unwrap());
        assert_eq!(challenge, (expected == 401).then_some("Bearer error=\"invalid_token\""));
    }
}

/// Everybody may publish until then, which nobody looks at before the body has come.
struct Until(SystemTime);

impl Authorize for Until {
    fn authorize<'a>(&'a self, _: &'a Parts, _: Role) -> fanfare_http::Answer<'a, Result<Rights, Denied>> {
        Box::pin(async { Ok(Rights::nothing().publish(Grant::everything()).until(self.0)) })
    }
}

#[tokio::test]
async fn who_publishes_more_often_than_it_may_is_told_when_to_come_back() {
    let hub = hub();
    let rate = PublishRate { per_second: 0.1, burst: 2 };
    let app = mercure(&hub, tokens()).publish_rate(rate).router();
    let form = format!("topic={ORDER_41}&data=x");
    for status in [200, 200, 429] {
        let answer = publish(&app, With::Bearer(PUBLISHER), &form).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers.contains_key("retry-after"), status == 429);
    }
    // Another publisher has a bucket of its own.
    assert_eq!(publish(&app, With::Bearer(LEGACY), &form).await.status, 200);
    assert_eq!(hub.counts().publications, 3);
}

/// What a token of the older protocol says of its issuer was held against nothing.
#[tokio::test]
async fn nobody_takes_a_publisher_s_name_with_a_token_of_the_older_protocol() {
    let rate = PublishRate { per_second: 0.001, burst: 1 };
    let app = mercure(&hub(), tokens()).publish_rate(rate).router();
    let claims = serde_json::json!({ "mercure": { "publish": ["*"] }, "iss": "https://shop.test", "sub": "svc-orders" });
    let impostor = legacy(&claims);
    let attempt = |token: String, data: &'static str| {
        let request = Request::post(HUB).header("content-type", FORM).header("idempotency-key", "1");
        let request = with(request, With::Bearer(&token));
        let body = Body::from(format!("topic={ORDER_41}&data={data}"));
        let app = app.clone();
        async move { send(&app, request.body(body).unwrap()).await }
    };
    assert_eq!(attempt(impostor, "of somebody else").await.status, 200);
    assert_eq!(
        attempt(PUBLISHER.to_owned(), "paid").await.status,
        200,
        "neither its rate nor its key was used"
    );
}

/// A token of the older protocol, signed with the key for such.
fn legacy(claims: &serde_json::Value) -> String {
    let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(&claims.to_string()));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SUBSCRIBER_KEY.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, signed.as_bytes())))
}

#[tokio::test]
async fn a_query_s_body_is_read_only_of_who_may_subscribe() {
    let app = mercure(&hub(), tokens()).router();
    let query = |who| with(Request::builder().method("QUERY").uri(HUB).header("content-type", FORM), who);
    let unread = Body::new(NeverRead);
    assert_eq!(send(&app, query(With::Nothing).body(unread).unwrap()).await.status, 401);
    let long = || Body::from(format!("match={}", "a".repeat(64 * 1024)));
    assert_eq!(send(&app, query(With::Bearer(SUBSCRIBER)).body(long()).unwrap()).await.status, 413);
}

/// A body that nobody may ask for.
struct NeverRead;

impl http_body::Body for NeverRead {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        panic!("it was read")
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_after_its_longest_life_and_the_client_may_come_back_m061() {
    let app = mercure(&hub(), tokens().anonymous(true)).lifetime(Duration::from_secs(10)).router();
    let begun = tokio::time::Instant::now();
    let left = open(&app, With::Nothing, "match=a").await.rest().await;
    assert!((8..=10).contains(&begun.elapsed().as_secs()), "{left:?}");
}

/// A client of before may read only under its own name, and publishers name that beside the topic.
#[tokio::test]
async fn a_broad_selector_in_a_token_and_an_alternate_topic_reach_one_user_m202() {
    let hub = hub();
    let app = mercure(&hub, tokens()).legacy(true).router();
    let own = |user: u8| {
        let selector = format!("https://x.test/users/{user}/{{?topic}}");
        let key = SigningKey::secret(Algorithm::Hs256, SUBSCRIBER_KEY).unwrap();
        let granted = [TopicMatcher::new(Language::Selector, &selector).unwrap()];
        Mint::legacy().subscribe(granted).sign(&key, std::time::SystemTime::now()).unwrap()
    };
    let (seven, eight) = (own(7), own(8));
    let book = "https://x.test/books/1";
    let mut reads = open(&app, With::Bearer(&seven), &format!("topic={book}")).await;
    let mut other = open(&app, With::Bearer(&eight), &format!("topic={book}")).await;
    let alternate =
        "https%3A%2F%2Fx.test%2Fusers%2F7%2F%3Ftopic%3Dhttps%253A%252F%252Fx.test%252Fbooks%252F1";
    let form = format!("topic={book}&topic={alternate}&private=on&data=for+7");
    assert_eq!(publish(&app, With::Bearer(LEGACY), &form).await.status, 200);
    assert_eq!(publish(&app, With::Bearer(LEGACY), &format!("topic={book}&data=for+all")).await.status, 200);
    assert!(reads.until("data: for all\n\n").await.contains("data: for 7\n\n"));
    assert!(!other.until("data: for all\n\n").await.contains("for 7"));
}
