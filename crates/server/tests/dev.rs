//! What the page of `--dev` asks about tokens: answered on loopback to our own page, and never with a key of somebody's own.

mod common;

use common::{HUB, Hub, fanfare};

const SECRET: &str = "a secret of more than thirty-two bytes";
const WELL_KNOWN: &str = "!ChangeThisMercureHubJWTSecretKey!";
const JSON: &str = "Content-Type: application/json\r\n";
const TEXT: &str = "Content-Type: text/plain\r\n";
const ALL: &str = r#"{"publish":[{"match":"*"}],"subscribe":[{"match":"*"}]}"#;
/// Neither signed nor of an issuer that is trusted.
const UNSIGNED: &str = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL3Nob3AudGVzdCJ9.";

fn mint(hub: &Hub, body: &str) -> (u16, String) {
    let (status, head, body) = hub.request("POST", "/dev/token/mint", JSON, body);
    assert!(status != 200 || head.contains("cache-control: no-store"), "{head}");
    (status, body)
}

fn minted(hub: &Hub, body: &str) -> String {
    let (status, token) = mint(hub, body);
    assert_eq!(status, 200, "{token}");
    token
}

fn explain(hub: &Hub, token: &str) -> serde_json::Value {
    let (status, head, body) = hub.request("POST", "/dev/token/explain", TEXT, token);
    assert_eq!(status, 200, "{body}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    serde_json::from_str(&body).expect("JSON")
}

/// Why each role is refused, publishers first.
fn refusals(hub: &Hub, token: &str) -> [Option<String>; 2] {
    let told = explain(hub, token);
    let verdicts = told["verdicts"].as_array().expect("verdicts");
    let roles: Vec<_> = verdicts.iter().map(|verdict| &verdict["role"]).collect();
    assert_eq!(roles, ["publisher", "subscriber"]);
    [0, 1].map(|role| verdicts[role]["refused"].as_str().map(str::to_owned))
}

#[track_caller]
fn check_refused(hub: &Hub, token: &str, reason: &str) {
    for refused in refusals(hub, token) {
        let refused = refused.expect("a refusal");
        assert!(refused.contains(reason), "{reason:?} is not in {refused:?}");
    }
}

#[track_caller]
fn check_is_not_there(hub: &Hub, method: &str, path: &str) {
    assert_eq!(hub.request(method, path, JSON, ALL).0, 404, "{method} {path}");
}

#[test]
fn without_dev_nothing_of_it_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().to_str().expect("text");
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", folder, "--anonymous"];
    let keys = ["--publisher-jwt-key", WELL_KNOWN, "--legacy", "on"];
    let arguments = [&arguments[..], &keys].concat();
    let hub = Hub::of(fanfare(&arguments), 1);
    check_is_not_there(&hub, "GET", "/");
    check_is_not_there(&hub, "GET", "/dev/hub");
    check_is_not_there(&hub, "POST", "/dev/token/explain");
    check_is_not_there(&hub, "POST", "/dev/token/mint");
}

#[test]
fn on_a_network_nothing_is_told_of_tokens() {
    let hub = Hub::start(&["--dev-on-network"]);
    check_is_not_there(&hub, "POST", "/dev/token/explain");
    check_is_not_there(&hub, "POST", "/dev/token/mint");
    let (status, _, about) = hub.get("/dev/hub");
    assert_eq!((status, &*about), (200, r#"{"path":"/.well-known/mercure","explains":false,"mints":false}"#));
}

#[test]
fn pages_of_others_are_refused() {
    let hub = Hub::start(&[]);
    for (path, kind, body) in [("/dev/token/explain", TEXT, UNSIGNED), ("/dev/token/mint", JSON, ALL)] {
        let asked = |more: &str| hub.request("POST", path, &format!("{kind}{more}"), body).0;
        assert_eq!(asked("Origin: https://evil.test\r\n"), 403, "{path}");
        assert_eq!(asked("Origin: null\r\n"), 403, "{path}");
        assert_eq!(asked("Host: evil.test\r\n"), 421, "{path}");
        assert_eq!(asked(&format!("Origin: http://{}\r\n", hub.address())), 200, "{path}");
    }
    // Nor can they send it as a form does, which a browser lets them without asking.
    assert_eq!(hub.request("POST", "/dev/token/mint", TEXT, ALL).0, 415);
    assert_eq!(hub.request("GET", "/dev/token/mint", "", "").0, 405);
}

#[test]
fn a_key_that_was_configured_signs_nothing_even_if_everybody_knows_it() {
    for key in [SECRET, WELL_KNOWN] {
        let hub = Hub::start(&["--publisher-jwt-key", key, "--subscriber-jwt-key", key]);
        check_is_not_there(&hub, "POST", "/dev/token/mint");
        assert!(hub.get("/dev/hub").2.ends_with(r#""explains":true,"mints":false}"#));
        check_refused(&hub, UNSIGNED, "alg");
    }
}

#[test]
fn what_is_minted_is_explained_and_taken() {
    let hub = Hub::start(&[]);
    let token = minted(
        &hub,
        r#"{"publish":[{"match":"a"},{"match":"/rooms/:id","is_pattern":true}],"subscribe":[{"match":"*"}],
            "payload":{"desk":"north"},"subject":"desk-7","lifetime_seconds":600}"#,
    );
    // As it is copied from elsewhere.
    let told = explain(&hub, &format!(" Bearer {token}\n"));
    assert_eq!(told["unreadable"], serde_json::Value::Null);
    assert_eq!(told["header"]["typ"], "at+jwt");
    assert_eq!(told["claims"]["sub"], "desk-7");
    let times = ["exp", "iat"].map(|name| told["claims"][name].as_u64().expect("a time"));
    assert_eq!(times[0] - times[1], 600);
    let grants = serde_json::json!([
        {"publish": true, "subscribe": false, "payload": null,
         "topics": [{"language": "exact", "text": "a"}, {"language": "urlpattern", "text": "/rooms/:id"}]},
        {"publish": false, "subscribe": true, "payload": {"desk": "north"},
         "topics": [{"language": "exact", "text": "*"}]},
    ]);
    assert_eq!(told["grants"], grants);
    assert_eq!(refusals(&hub, &token), [None, None]);
    for (topic, expected) in [("a", 200), ("b", 403)] {
        let headers =
            format!("Content-Type: application/x-www-form-urlencoded\r\nAuthorization: Bearer {token}\r\n");
        assert_eq!(hub.request("POST", HUB, &headers, &format!("topic={topic}&data=x")).0, expected);
    }
}

#[test]
fn a_minted_token_is_for_this_hub_wherever_that_is() {
    let hub = Hub::start(&["--public-url", "http://localhost/push"]);
    assert!(hub.get("/dev/hub").2.starts_with(r#"{"path":"/push","#));
    let token = minted(&hub, ALL);
    assert_eq!(explain(&hub, &token)["claims"]["aud"], "http://localhost/push");
    assert_eq!(refusals(&hub, &token), [None, None]);
    // Another hub is told whom it was for.
    check_refused(&Hub::start(&[]), &token, "aud");
}

#[test]
fn tokens_of_the_older_protocol_are_refused_where_it_is_off() {
    let wanted = ALL.replacen('{', r#"{"legacy":true,"#, 1);
    let hub = Hub::start(&[]);
    let token = minted(&hub, &wanted);
    let told = explain(&hub, &token);
    assert_eq!(
        (&told["legacy"], &told["grants"][0]["topics"][0]["language"]),
        (&true.into(), &"selector".into())
    );
    assert_eq!(refusals(&hub, &token), [None, None]);
    let modern = Hub::start(&["--legacy", "off"]);
    assert!(refusals(&modern, &token).iter().all(Option::is_some));
}

#[test]
fn a_genuine_token_is_refused_for_what_only_the_hub_knows() {
    let hub = Hub::start(&[]);
    let token = minted(&hub, r#"{"subscribe":[{"match":"*"}],"subject":"desk-7"}"#);
    assert_eq!(refusals(&hub, &token), [None, None]);
    let (status, ..) = hub.request("POST", "/admin/revocations", JSON, r#"{"subject":"desk-7"}"#);
    assert_eq!(status, 200);
    check_refused(&hub, &token, "revoked");
    let broken = minted(&hub, r#"{"subscribe":[{"match":"https://[","is_pattern":true}]}"#);
    check_refused(&hub, &broken, r#"the topics that it grants: invalid topic matcher pattern "https://[""#);
    let headers = format!("Authorization: Bearer {broken}\r\n");
    assert_eq!(hub.request("GET", &format!("{HUB}?match=a"), &headers, "").0, 401);
}

#[test]
fn what_is_no_token_is_said_to_be_none() {
    let hub = Hub::start(&[]);
    for text in ["", "a", "a.b.c", "Bearer", "é.é.é", "eyJhbGciOiJub25lIn0..", "\u{1f4ef}\u{1f4ef}"] {
        let told = explain(&hub, text);
        assert!(told["unreadable"].is_string(), "{text}: {told}");
        assert_eq!(told["grants"], serde_json::json!([]));
    }
    let long = "a".repeat(64 * 1024 + 1);
    assert_eq!(hub.request("POST", "/dev/token/explain", TEXT, &long).0, 413);
}

#[test]
fn what_no_token_can_say_is_refused_in_a_sentence() {
    let hub = Hub::start(&[]);
    for (wanted, expected) in [
        (
            r#"{"legacy":true,"publish":[{"match":"/a","is_pattern":true}]}"#,
            "No token was made: a token of the older protocol cannot hold URL Patterns; it takes URI Templates.\n",
        ),
        (
            r#"{"payload":{},"publish":[{"match":"a"}]}"#,
            "No token was made: a payload means nothing without a topic to subscribe to.\n",
        ),
        (r#"{"publish":[{"match":""}]}"#, "No token was made: the topic \"\": "),
    ] {
        let (status, sentence) = mint(&hub, wanted);
        assert_eq!(status, 400);
        assert!(sentence.starts_with(expected), "{sentence}");
    }
    for wanted in ["", "{", "[]", r#"{"key":"mine"}"#, r#"{"lifetime_seconds":-1}"#] {
        assert!([400, 422].contains(&mint(&hub, wanted).0), "{wanted}");
    }
}
