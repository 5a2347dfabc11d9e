//! Tokens of the protocol before 1.0: what they grant, and what is wrong with them.

use std::time::Duration;

use fanfare_http::token::{
    Counted, Detail, DetailFault, Language, Role, TokenError, TokenLimits, TopicMatcher,
};
use serde_json::{Value, json};

use crate::stage::{NOW_SECONDS, SUBSCRIBER, both, now, signed, verify};

fn token(claims: &Value) -> String {
    signed(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string(), SUBSCRIBER)
}

fn granted(claims: &Value) -> Result<Vec<Detail>, TokenError> {
    verify(both(), &token(claims), Role::Subscriber).map(|claims| claims.details)
}

fn detail(publish: bool, topics: &[(Language, &str)], payload: Option<Value>) -> Detail {
    let matcher =
        |&(language, text): &(Language, &str)| TopicMatcher::new(language, text).expect("a matcher");
    Detail { publish, subscribe: !publish, topics: topics.iter().map(matcher).collect(), payload }
}

#[test]
fn the_claim_becomes_what_may_be_published_and_what_may_be_read_m199_m201() {
    let selector = |text| (Language::Selector, text);
    let cases = [
        (json!({}), vec![]),
        (json!({ "publish": [], "subscribe": [] }), vec![]),
        (json!({ "publish": null, "subscribe": null, "payload": null }), vec![]),
        (json!({ "publish": ["*"] }), vec![detail(true, &[selector("*")], None)]),
        (
            json!({ "publish": ["a", "", "/b/{id}"] }),
            vec![detail(true, &[selector("a"), selector("/b/{id}")], None)],
        ),
        (
            json!({ "subscribe": ["a"], "payload": "any JSON", "other": 7 }),
            vec![detail(false, &[selector("a")], Some(json!("any JSON")))],
        ),
        (json!({ "payload": { "desk": 7 } }), vec![detail(false, &[], Some(json!({ "desk": 7 })))]),
        (
            json!({ "subscribe": [
                { "match": "a", "payload": { "own": true } },
                "b",
                { "match": "/c/:id", "match_type": "urlpattern" },
                { "match": "d", "match_type": "exact" },
                { "match": "/e/{id}" },
            ], "payload": 1 }),
            vec![
                detail(
                    false,
                    &[
                        selector("b"),
                        (Language::UrlPattern, "/c/:id"),
                        (Language::Exact, "d"),
                        selector("/e/{id}"),
                    ],
                    Some(json!(1)),
                ),
                detail(false, &[selector("a")], Some(json!({ "own": true }))),
            ],
        ),
    ];
    for (claim, expected) in cases {
        assert_eq!(granted(&json!({ "mercure": claim })), Ok(expected.clone()), "{claim}");
        // The namespaced claim replaces the other one, whatever that holds.
        let namespaced = json!({ "https://mercure.rocks/": claim, "mercure": { "publish": ["everything"] } });
        assert_eq!(granted(&namespaced), Ok(expected), "{namespaced}");
    }
    assert_eq!(granted(&json!({})), Ok(vec![]));
    assert_eq!(granted(&json!({ "mercure": null })), Ok(vec![]));
}

#[test]
fn nothing_is_asked_of_type_issuer_and_audience_m198() {
    for header in [r#"{"alg":"HS256"}"#, r#"{"alg":"HS256","typ":"at+jwt"}"#, r#"{"alg":"HS256","typ":7}"#] {
        let claims = r#"{"iss":"https://anybody.test","aud":["x"],"mercure":{"subscribe":["a"]}}"#;
        let claims = verify(both(), &signed(header, claims, SUBSCRIBER), Role::Subscriber).expect("claims");
        assert!(claims.legacy);
        assert_eq!(claims.issuer.as_deref(), Some("https://anybody.test"));
    }
}

#[test]
fn an_end_and_a_beginning_are_kept_where_there_are_any_m198() {
    let dated = |name: &str, seconds: f64| {
        let claims = json!({ name: seconds, "mercure": { "subscribe": ["a"] } });
        verify(both(), &token(&claims), Role::Subscriber).map(|claims| claims.expires_at)
    };
    let exact = Duration::from_millis(250);
    assert_eq!(dated("exp", 1_790_000_000.25), Ok(Some(now() + exact)));
    assert_eq!(dated("exp", 1_789_999_999.75), Err(TokenError::Expired { ago: exact }));
    assert_eq!(dated("nbf", 1_790_000_000.25), Err(TokenError::NotYetValid { ahead: exact }));
    assert_eq!(dated("iat", 0.5), Ok(None));
    let malformed = json!({ "exp": NOW_SECONDS.to_string(), "mercure": {} });
    assert_eq!(granted(&malformed), Err(TokenError::MalformedClaim { name: "exp" }));
}

#[test]
fn a_defective_claim_refuses_the_token_m199() {
    let fault = |fault| TokenError::LegacyMatcher { fault };
    let cases = [
        (json!("*"), TokenError::MalformedClaim { name: "mercure" }),
        (json!(["*"]), TokenError::MalformedClaim { name: "mercure" }),
        (json!({ "publish": "*" }), TokenError::MalformedClaim { name: "mercure.publish" }),
        (json!({ "subscribe": { "match": "*" } }), TokenError::MalformedClaim { name: "mercure.subscribe" }),
        (json!({ "publish": [7] }), fault(DetailFault::Topic)),
        (json!({ "publish": [null] }), fault(DetailFault::Topic)),
        (json!({ "publish": [{ "match": 7 }] }), fault(DetailFault::Topic)),
        (json!({ "publish": [{ "match": "" }] }), fault(DetailFault::Empty)),
        (json!({ "subscribe": [{ "match": "a", "match_type": "cel" }] }), fault(DetailFault::MatchType)),
        (json!({ "subscribe": ["a\u{0}"] }), fault(DetailFault::Forbidden)),
        (json!({ "subscribe": ["x".repeat(4097)] }), fault(DetailFault::TooLong)),
    ];
    for (claim, expected) in cases {
        assert_eq!(granted(&json!({ "mercure": claim })), Err(expected), "{claim}");
    }
}

#[test]
fn a_claim_holds_a_thousand_matchers_and_no_more_m117() {
    let hub = || both().limits(TokenLimits::default().token_bytes(1_000_000));
    let count = |publish: usize, subscribe: usize| {
        let claims =
            json!({ "mercure": { "publish": vec!["a"; publish], "subscribe": vec!["a"; subscribe] } });
        verify(hub(), &token(&claims), Role::Subscriber).map(|claims| claims.details.len())
    };
    assert_eq!(count(500, 500), Ok(2));
    assert_eq!(count(500, 501), Err(TokenError::TooMany { what: Counted::LegacyMatchers, limit: 1000 }));
}
