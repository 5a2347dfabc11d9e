//! Tokens that are made here: what cannot be made, and what those of the older protocol hold.

use std::time::{Duration, SystemTime};

use fanfare_http::token::{Algorithm, Detail, Language, Mint, MintError, Role, SigningKey, TopicMatcher};
use serde_json::json;

use crate::stage::{HUB, ISSUER, SUBSCRIBER, both, now, verify};

fn key() -> SigningKey {
    SigningKey::secret(Algorithm::Hs256, SUBSCRIBER).expect("a secret")
}

fn matcher(language: Language, text: &str) -> TopicMatcher {
    TopicMatcher::new(language, text).expect("a matcher")
}

#[test]
fn a_legacy_token_holds_selectors_and_a_payload_of_any_kind_m199() {
    let orders = matcher(Language::Selector, "/orders/{id}");
    let all = matcher(Language::Selector, "*");
    let mint = Mint::legacy().publish([all.clone()]).subscribe([orders.clone()]).payload(json!("north"));
    let claims =
        verify(both(), &mint.sign(&key(), now()).expect("a token"), Role::Subscriber).expect("claims");
    assert!(claims.legacy);
    assert_eq!((claims.issuer, claims.subject, claims.expires_at), (None, None, None));
    assert_eq!(
        claims.details,
        [
            Detail { publish: true, subscribe: false, topics: vec![all], payload: None },
            Detail { publish: false, subscribe: true, topics: vec![orders], payload: Some(json!("north")) },
        ]
    );
    let short =
        Mint::legacy().subject("me").lifetime(Duration::from_secs(5)).sign(&key(), now()).expect("a token");
    let claims = verify(both(), &short, Role::Subscriber).expect("claims");
    assert_eq!(claims.subject.as_deref(), Some("me"));
    assert_eq!(claims.expires_at, Some(now() + Duration::from_secs(5)));
}

#[test]
fn what_no_token_can_say_is_an_error() {
    let modern = || Mint::modern(ISSUER, HUB);
    let exact = || [matcher(Language::Exact, "a")];
    let cases = [
        (
            modern().publish([matcher(Language::Selector, "/{id}")]),
            MintError::Language { language: Language::Selector },
        ),
        (
            Mint::legacy().subscribe([matcher(Language::UrlPattern, "/:id")]),
            MintError::Language { language: Language::UrlPattern },
        ),
        (modern().subscribe(exact()).payload(json!("text")), MintError::Payload),
        (modern().publish(exact()).payload(json!({})), MintError::PayloadWithoutSubscription),
    ];
    for (mint, expected) in cases {
        assert_eq!(mint.sign(&key(), now()), Err(expected));
    }
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(modern().sign(&key(), before), Err(MintError::Clock));
    assert!(modern().lifetime(Duration::MAX).sign(&key(), now()).is_ok());
}

#[test]
fn no_two_tokens_are_the_same_m103() {
    let mint = Mint::modern(ISSUER, HUB);
    assert_ne!(mint.sign(&key(), now()), mint.sign(&key(), now()));
}
