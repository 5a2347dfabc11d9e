//! Tokens that must be taken, and what they grant.

use std::time::{Duration, SystemTime};

use fanfare_http::token::{Detail, Language, Role, TokenError, TopicMatcher};
use serde_json::json;

use crate::stage::{HUB, ISSUER, both, claims, modern, token, verify, with};

const EXAMPLE_PUBLISHER: &str = concat!(
    "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJodHRwczovL3Nob3AudGVzdCIsImF1ZCI6Imh0dHBzOi8vcHVzaC50ZXN0Ly53ZWxs",
    "LWtub3duL21lcmN1cmUiLCJzdWIiOiJzdmMtb3JkZXJzIiwiY2xpZW50X2lkIjoiaHR0cHM6Ly9zaG9wLnRlc3QiLCJpYXQiOjE3OTAwMDAwMDAsImV4cC",
    "I6NDEwMjQ0NDgwMCwianRpIjoidXJuOnV1aWQ6MGI1YzVhNWUtMmYwZS00YzUyLTlkNTItN2Q1YzZhMGM5YTExIiwiYXV0aG9yaXphdGlvbl9kZXRhaWxz",
    "IjpbeyJ0eXBlIjoiaHR0cHM6Ly9tZXJjdXJlLnJvY2tzL2F1dGhvcml6YXRpb24tZGV0YWlsIiwiYWN0aW9ucyI6WyJwdWJsaXNoIl0sInRvcGljcyI6W3",
    "sibWF0Y2giOiJodHRwczovL3Nob3AudGVzdC9vcmRlcnMvOmlkIiwibWF0Y2hfdHlwZSI6InVybHBhdHRlcm4ifV19XX0.fnglMxJ7O0bBkKVsPuFxLbq0",
    "Lq8nO3TfCoTxxHEfiZU",
);
const EXAMPLE_SUBSCRIBER: &str = concat!(
    "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJodHRwczovL3Nob3AudGVzdCIsImF1ZCI6Imh0dHBzOi8vcHVzaC50ZXN0Ly53ZWxs",
    "LWtub3duL21lcmN1cmUiLCJzdWIiOiJjdXN0b21lci03IiwiY2xpZW50X2lkIjoiaHR0cHM6Ly9zaG9wLnRlc3QiLCJpYXQiOjE3OTAwMDAwMDAsImV4cC",
    "I6NDEwMjQ0NDgwMCwianRpIjoidXJuOnV1aWQ6MGI1YzVhNWUtMmYwZS00YzUyLTlkNTItN2Q1YzZhMGM5YTExIiwiYXV0aG9yaXphdGlvbl9kZXRhaWxz",
    "IjpbeyJ0eXBlIjoiaHR0cHM6Ly9tZXJjdXJlLnJvY2tzL2F1dGhvcml6YXRpb24tZGV0YWlsIiwiYWN0aW9ucyI6WyJzdWJzY3JpYmUiXSwidG9waWNzIj",
    "pbeyJtYXRjaCI6Imh0dHBzOi8vc2hvcC50ZXN0L29yZGVycy80MSJ9XSwicGF5bG9hZCI6eyJkZXNrIjoibm9ydGgifX1dfQ.vzWt8qqRXLuN-DGaK_iY",
    "FHSRBkRmCegsBSUS6SSpELg",
);
const EXAMPLE_LEGACY: &str = concat!(
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJtZXJjdXJlIjp7InB1Ymxpc2giOlsiKiJdLCJzdWJzY3JpYmUiOlsiaHR0cHM6Ly9zaG9wLnRlc3Qv",
    "b3JkZXJzL3tpZH0iXSwicGF5bG9hZCI6eyJkZXNrIjoibm9ydGgifX19.BhXeuW63u_jtsPBGk_nzjMdcAb8gPSS2faIcom28MnE",
);

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn matcher(language: Language, text: &str) -> TopicMatcher {
    TopicMatcher::new(language, text).expect("a matcher")
}

#[test]
fn the_publisher_of_the_examples_may_publish_orders_m095_m112() {
    let claims = verify(modern(), EXAMPLE_PUBLISHER, Role::Publisher).expect("claims");
    assert_eq!(claims.issuer.as_deref(), Some(ISSUER));
    assert_eq!(claims.subject.as_deref(), Some("svc-orders"));
    assert_eq!(claims.id.as_deref(), Some("urn:uuid:0b5c5a5e-2f0e-4c52-9d52-7d5c6a0c9a11"));
    assert_eq!(claims.issued_at, Some(at(1_790_000_000)));
    assert_eq!(claims.expires_at, Some(at(4_102_444_800)));
    assert!(!claims.legacy);
    let orders = matcher(Language::UrlPattern, "https://shop.test/orders/:id");
    assert_eq!(
        claims.details,
        [Detail { publish: true, subscribe: false, topics: vec![orders], payload: None }]
    );
}

#[test]
fn the_subscriber_of_the_examples_may_read_one_order_and_shows_its_desk_m114() {
    let claims = verify(modern(), EXAMPLE_SUBSCRIBER, Role::Subscriber).expect("claims");
    let order = matcher(Language::Exact, "https://shop.test/orders/41");
    let payload = Some(json!({ "desk": "north" }));
    assert_eq!(claims.details, [Detail { publish: false, subscribe: true, topics: vec![order], payload }]);
}

#[test]
fn the_legacy_token_of_the_examples_is_taken_where_that_is_on_m198_m199_m201() {
    let claims = verify(both(), EXAMPLE_LEGACY, Role::Subscriber).expect("claims");
    assert!(claims.legacy);
    assert_eq!((claims.issuer, claims.expires_at), (None, None));
    let everything = matcher(Language::Selector, "*");
    let orders = matcher(Language::Selector, "https://shop.test/orders/{id}");
    let payload = Some(json!({ "desk": "north" }));
    assert_eq!(
        claims.details,
        [
            Detail { publish: true, subscribe: false, topics: vec![everything], payload: None },
            Detail { publish: false, subscribe: true, topics: vec![orders], payload },
        ]
    );
    assert_eq!(
        verify(both(), EXAMPLE_LEGACY, Role::Publisher),
        Err(TokenError::Signature { role: Role::Publisher })
    );
    let off = verify(modern(), EXAMPLE_LEGACY, Role::Subscriber);
    assert_eq!(off, Err(TokenError::LegacyOff { role: Role::Subscriber }));
}

#[test]
fn a_token_of_the_other_role_is_refused_m100() {
    let swapped = verify(modern(), EXAMPLE_PUBLISHER, Role::Subscriber);
    assert_eq!(swapped, Err(TokenError::Signature { role: Role::Subscriber }));
    let swapped = verify(modern(), EXAMPLE_SUBSCRIBER, Role::Publisher);
    assert_eq!(swapped, Err(TokenError::Signature { role: Role::Publisher }));
}

#[test]
fn a_token_without_a_mercure_entry_is_genuine_and_grants_nothing_m110_m116() {
    for other in [
        json!(null),
        json!([]),
        json!([{ "type": "payment", "topics": "x", "actions": 1 }, 7, null, "x", []]),
    ] {
        let claims = verify(modern(), &token(&with("authorization_details", other.clone())), Role::Publisher);
        assert_eq!(claims.expect("claims").details, [], "{other}");
    }
    assert!(verify(modern(), &token(&claims()), Role::Publisher).is_ok());
    assert!(verify(modern(), &token(&with("aud", json!(["https://a.test", HUB]))), Role::Publisher).is_ok());
}
