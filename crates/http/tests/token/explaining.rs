//! What a person is told about a token.

use std::time::Duration;

use fanfare_http::token::{Explanation, Language, Mint, TopicMatcher, VerifierBuilder};
use serde_json::json;

use crate::stage::{HEADER, HUB, ISSUER, PUBLISHER, SUBSCRIBER, claims, modern, now, signed, token, with};

fn page(token: &str, hub: Option<VerifierBuilder>) -> String {
    let hub = hub.map(|hub| hub.build().expect("a verifier"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(Explanation::of(token, hub.as_ref(), now())).to_string()
}

#[test]
fn a_page_tells_all_that_a_token_says_and_who_would_take_it() {
    let key = fanfare_http::token::SigningKey::secret(fanfare_http::token::Algorithm::Hs256, SUBSCRIBER)
        .expect("a key");
    let matcher = |language, text: &str| TopicMatcher::new(language, text).expect("a matcher");
    let token = Mint::modern(ISSUER, HUB)
        .publish([matcher(Language::UrlPattern, "https://shop.test/orders/:id")])
        .subscribe([matcher(Language::Exact, "*")])
        .payload(json!({ "desk": "north" }))
        .lifetime(Duration::from_secs(3600))
        .sign(&key, now())
        .expect("a token");
    let page = page(&token, Some(modern()));
    let expected = [
        "Header\n  alg       \"HS256\"\n  typ       \"at+jwt\"\n",
        "  iss       \"https://shop.test\"\n",
        "  exp       1790003600  (Mon, 21 Sep 2026 15:13:20 GMT, in 1 h)\n",
        "  publish\n    urlpattern https://shop.test/orders/:id\n",
        "  subscribe\n    exact      * (every topic)\n    payload    {\"desk\":\"north\"}\n",
        "As publisher: refused; the signature was not made with a publisher key that is configured.\n",
        "As subscriber: accepted.\n",
    ];
    for part in expected {
        assert!(page.contains(part), "{part}\n---\n{page}");
    }
    assert!(!page.contains("authorization_details"), "{page}");
}

#[test]
fn a_page_gives_the_reason_also_of_what_cannot_be_read() {
    let cases = [
        ("no token".to_owned(), "It cannot be read: the token is not three parts"),
        (
            token(&with("exp", json!(1_789_999_000))),
            "refused; the token expired 16 min 40 s ago (claim \"exp\").",
        ),
        (token(&with("exp", json!("soon"))), "exp       \"soon\"  (not a date)"),
        (token(&with("iss", json!("https://other.test"))), "Trusted issuers: https://shop.test."),
        (
            token(&with("aud", json!("https://other.test"))),
            "resource identifier, https://push.test/.well-known/mercure.",
        ),
        (token(&with("authorization_details", json!([]))), "none: no publishing"),
        (
            signed(r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"mercure":{"publish":["/a/{id}"]}}"#, PUBLISHER),
            "Grants (older protocol, claim \"mercure\")\n  publish\n    selector   /a/{id}\n",
        ),
        (
            token(&with("authorization_details", json!([{ "type": fanfare_http::token::DETAIL_TYPE }]))),
            "  defective: entry 0 of \"authorization_details\": \"actions\" must be an array of strings",
        ),
    ];
    for (token, expected) in cases {
        let page = page(&token, Some(modern()));
        assert!(page.contains(expected), "{expected}\n---\n{page}");
    }
}

#[test]
fn a_page_can_be_made_without_any_key_and_moves_no_cursor() {
    let mut hostile = claims();
    hostile["sub"] = json!("\u{1b}[2J\u{202e}\u{9b}31m");
    hostile["\u{1b}]0;x\u{7}"] = json!({ "\u{200b}": "\r\n" });
    let page = page(&signed(HEADER, &hostile.to_string(), "anybody"), None);
    assert!(!page.contains("As publisher"), "{page}");
    let moving =
        page.chars().find(|c| *c != '\n' && fanfare_hub::forbidden_character(&c.to_string()).is_some());
    assert_eq!(moving, None, "{page:?}");
}

#[test]
fn a_page_tells_when_the_hub_could_not_use_what_a_genuine_token_grants_m112_m117() {
    let grants = |texts: &[&str]| {
        let topics: Vec<_> =
            texts.iter().map(|text| json!({ "match": text, "match_type": "urlpattern" })).collect();
        let detail = json!({
            "type": "https://mercure.rocks/authorization-detail",
            "actions": ["publish"],
            "topics": topics,
        });
        page(&token(&with("authorization_details", json!([detail]))), Some(modern()))
    };
    assert!(grants(&["/a/:id"]).contains("As publisher: accepted."));
    let refused = "As publisher: refused; the hub cannot use the topics that it grants: ";
    let malformed = grants(&["/a/:id", "/(x"]);
    assert!(malformed.contains(&format!("{refused}invalid topic matcher pattern \"/(x\".")), "{malformed}");
    let costly = format!("/((?i){})", "\\PL".repeat(200));
    let costly = grants(&[&costly]);
    assert!(
        costly.contains(&format!("{refused}the patterns take too much work to compile; use fewer")),
        "{costly}"
    );
}
