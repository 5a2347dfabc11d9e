//! Every answer of the endpoint that is not the one hoped for: its status, its challenge, and one sentence (section 10).
#![allow(clippy::unwrap_used)]

mod common;

use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use common::{FORM, HUB, hub, send};
use fanfare_http::token::{Algorithm, Issuer, Key, Language, Mint, SigningKey, TopicMatcher, Verifier};
use fanfare_http::{Access, Mercure, PublishRate, RequestLimits, TokenAccess};
use fanfare_hub::{CompileBudget, Matcher};
use http::Request;
use url::Url;

const SECRET: &str = "a secret of more than thirty-two bytes";
const ISSUER: &str = "https://shop.test";
const URL: &str = "https://push.test/.well-known/mercure";
const METADATA: &str =
    r#"resource_metadata="https://push.test/.well-known/oauth-protected-resource/.well-known/mercure""#;

fn app() -> Router {
    app_with(CompileBudget::default())
}

fn app_with(patterns: CompileBudget) -> Router {
    let key = Key::secret(Algorithm::Hs256, SECRET).unwrap();
    let issuer = Issuer::new(ISSUER).publisher(key.clone()).subscriber(key);
    let verifier = Verifier::builder().audience(URL).issuer(issuer).build().unwrap();
    let limits = RequestLimits {
        body_bytes_max: 500,
        topics_max: 2,
        matchers_max: 2,
        patterns,
        ..RequestLimits::default()
    };
    Mercure::new(hub())
        .hub_url(Url::parse(URL).unwrap())
        .access(Access::tokens(TokenAccess::new(verifier)))
        .limits(limits)
        .subscriptions(true)
        .router()
}

/// A token that grants to publish and to subscribe to this topic.
fn token(topic: &str) -> String {
    let topic = || [TopicMatcher::new(Language::Exact, topic).unwrap()];
    let key = SigningKey::secret(Algorithm::Hs256, SECRET).unwrap();
    Mint::modern(ISSUER, URL).publish(topic()).subscribe(topic()).sign(&key, SystemTime::now()).unwrap()
}

/// One request, who sends it, and what it is told: the status, the challenge's error (`Some("")` for none), a part of the sentence.
struct Case<'a> {
    line: &'a str,
    bearer: Option<&'a str>,
    body: &'a str,
    told: (u16, Option<&'a str>, &'a str),
}

async fn check(app: &Router, Case { line, bearer, body, told: (status, challenge, sentence) }: Case<'_>) {
    let (method, target) = line.split_once(' ').unwrap();
    let mut request =
        Request::builder().method(method).uri(format!("{HUB}{target}")).header("content-type", FORM);
    if let Some(bearer) = bearer {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    let answer = send(app, request.body(Body::from(body.to_owned())).unwrap()).await;
    assert_eq!(answer.status, status, "{line} {body}: {}", answer.text);
    let expected = challenge.map(|error| match error {
        "" => format!("Bearer {METADATA}"),
        error => format!("Bearer error=\"{error}\", {METADATA}"),
    });
    let sent = answer.headers.get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(sent, expected, "{line} {body}");
    assert!(answer.text.contains(sentence), "{line} {body}: {}", answer.text);
    assert!(
        answer.text.ends_with(".\n") && answer.text.lines().count() == 1,
        "one sentence: {}",
        answer.text
    );
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers.contains_key("allow"), status == 405);
}

#[tokio::test]
async fn every_refusal_has_its_status_its_challenge_and_one_sentence_m120_m121() {
    let app = app();
    let (a, other) = (token("a"), token("other"));
    let (a, other) = (Some(&*a), Some(&*other));
    let broken = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.aaaaaaaaaa";
    let long = format!("topic=a&data={}", "x".repeat(600));
    for (line, bearer, body, told) in [
        // Publishing.
        ("POST ", None, "topic=a", (401, Some(""), "needs a token")),
        ("POST ", Some(broken), "topic=a", (401, Some("invalid_token"), "not valid here")),
        ("POST ", Some("short"), "topic=a", (400, Some("invalid_request"), "Authorization")),
        ("POST ", other, "topic=a", (403, Some("insufficient_scope"), "does not grant")),
        ("POST ", a, "data=x", (400, None, "`topic` is missing")),
        ("POST ", a, "topic=%FF", (400, None, "not valid UTF-8")),
        ("POST ", a, "topic=a&data=%FF", (400, None, "`data` is not valid UTF-8")),
        ("POST ", a, "topic=*", (400, None, "`*`")),
        ("POST ", a, "topic=mercure", (400, None, "reserved")),
        ("POST ", a, "topic=a&id=%23x", (400, None, "id")),
        ("POST ", a, "topic=a&type=mercure", (400, None, "reserved")),
        ("POST ", a, "topic=a&retry=1e3", (400, None, "digits")),
        ("POST ", a, "topic=a&topic=a&topic=a", (413, None, "at most 2 topics")),
        ("POST ", a, &long, (413, None, "")),
        // Subscribing.
        ("GET ?match=a", None, "", (401, Some(""), "needs a token")),
        ("GET ?match=a", Some(broken), "", (401, Some("invalid_token"), "not valid here")),
        ("GET ", a, "", (400, None, "at least one topic")),
        ("GET ?match_regexp=a", a, "", (400, None, "`match_regexp` is not known")),
        ("GET ?match=a%0A", a, "", (400, None, "control")),
        ("GET ?match_urlpattern=%2F(x", a, "", (400, None, "Invalid topic matcher pattern")),
        ("GET ?match=a&match=b&match=c", a, "", (400, None, "at most 2 matchers")),
        ("GET ?match=a&last_event_id=%00", a, "", (400, None, "last event ID")),
        // Active subscriptions.
        ("GET /subscriptions", None, "", (401, Some(""), "token")),
        ("GET /subscriptions", a, "", (403, Some("insufficient_scope"), "does not grant")),
        ("POST /subscriptions", a, "", (405, None, "answers only")),
        // Neither.
        ("DELETE ", a, "", (405, None, "answers only")),
    ] {
        check(&app, Case { line, bearer, body, told }).await;
    }
}

#[tokio::test]
async fn a_list_of_nothing_that_is_there_is_404_and_a_path_that_cannot_be_is_400_m158_m161() {
    let app = app();
    let everything = token("*");
    let bearer = Some(&*everything);
    for (line, told) in [
        ("GET /subscriptions/exact/a/nobody", (404, None, "no such subscription")),
        ("GET /subscriptions/regexp/a/b", (400, None, "match type")),
        ("GET /subscriptions/exact/%zz", (400, None, "encoded")),
    ] {
        check(&app, Case { line, bearer, body: "", told }).await;
    }
}

#[tokio::test]
async fn a_star_grants_every_topic_m113() {
    let app = app();
    let everything = token("*");
    let request = Request::post(HUB)
        .header("content-type", FORM)
        .header("authorization", format!("Bearer {everything}"))
        .body(Body::from("topic=anything&data=x"))
        .unwrap();
    assert_eq!(send(&app, request).await.status, 200);
}

#[tokio::test]
async fn who_comes_too_often_is_told_so_without_a_challenge_m120() {
    let app = Mercure::new(hub())
        .access(Access::open())
        .publish_rate(PublishRate { per_second: 0.01, burst: 1 })
        .router::<()>();
    let request = || Request::post(HUB).header("content-type", FORM).body(Body::from("topic=a")).unwrap();
    assert_eq!(send(&app, request()).await.status, 200);
    let answer = send(&app, request()).await;
    assert_eq!(answer.status, 429);
    assert!(answer.headers.contains_key("retry-after") && !answer.headers.contains_key("www-authenticate"));
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
        mint.sign(&SigningKey::secret(Algorithm::Hs256, SECRET).unwrap(), SystemTime::now()).unwrap()
    };
    let (one, other) = ("/a/:id(\\d+)", "/b/:id(\\d+)");
    let cost = Matcher::url_pattern(one, URL).unwrap().memory_bytes();
    let app = app_with(CompileBudget::new(50_000, 3 * cost / 2));
    let refused = (401, Some("invalid_token"), "The token is not valid here.");
    let both = sign(&[one], &[other]);
    check(&app, Case { line: "POST ", bearer: Some(&both), body: "topic=/a/1", told: refused }).await;
    check(&app, Case { line: "GET ?match=x", bearer: Some(&both), body: "", told: refused }).await;
    // What the subscriber asks for itself is another matter.
    let line = "GET ?match_urlpattern=%2Fc%2F%3Aid(%5Cd%2B)&match_urlpattern=%2Fd%2F%3Aid(%5Cd%2B)";
    let fits = sign(&[], &[other]);
    let told = (400, None, "use fewer and simpler ones");
    check(&app, Case { line, bearer: Some(&fits), body: "", told }).await;
    let publishes = sign(&[one], &[]);
    let told = (403, Some("insufficient_scope"), "does not grant");
    check(&app, Case { line: "POST ", bearer: Some(&publishes), body: "topic=/b/1", told }).await;
}
