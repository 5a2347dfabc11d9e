//! What holds for every token: what is made is taken back whole, and nothing that is sent panics anybody.

use std::time::{Duration, SystemTime};

use fanfare_http::token::{Algorithm, Language, Mint, Role, SigningKey, TopicMatcher, Verifier};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::stage::{HEADER, HUB, ISSUER, PUBLISHER, SUBSCRIBER, both, modern, now, signed};

fn check(
    hub: &Verifier,
    token: &str,
    role: Role,
) -> Result<fanfare_http::token::Claims, fanfare_http::token::TokenError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(hub.verify(token, role, now()))
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        prop_oneof![
            Just("*"),
            Just("publish"),
            Just("exact"),
            Just("https://mercure.rocks/authorization-detail"),
            Just(HUB)
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let names = prop_oneof![
            Just("type"),
            Just("actions"),
            Just("topics"),
            Just("match"),
            Just("match_type"),
            Just("payload"),
            Just("publish"),
            Just("subscribe")
        ];
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            btree_map(names.prop_map(str::to_owned), inner, 0..6).prop_map(|members| json!(members)),
        ]
    })
}

fn matchers(language: Language) -> impl Strategy<Value = Vec<TopicMatcher>> {
    vec("[ -~\u{e4}\u{1f980}]{1,40}", 0..5).prop_map(move |texts| {
        texts.into_iter().map(|text| TopicMatcher::new(language, text).expect("a matcher")).collect()
    })
}

proptest! {
    #[test]
    fn any_text_is_refused_in_peace(text in any::<String>(), dotted in "[A-Za-z0-9_-]{0,40}(\\.[A-Za-z0-9_-]{0,40}){0,4}") {
        let hub = both().build().expect("a verifier");
        for token in [text, dotted] {
            prop_assert!(check(&hub, &token, Role::Publisher).is_err());
        }
    }

    /// Goal: whatever an issuer signs, the answer is a decision.
    /// Method: sign claims of any shape below the names that mean something.
    #[test]
    fn any_claims_of_a_trusted_issuer_are_decided_upon(
        claims in btree_map(
            prop_oneof![
                Just("iss"), Just("aud"), Just("exp"), Just("nbf"), Just("iat"), Just("sub"), Just("jti"),
                Just("authorization_details"), Just("mercure"), Just("https://mercure.rocks/"),
            ].prop_map(str::to_owned),
            any_json(),
            0..8,
        ),
        details in vec(any_json(), 0..4),
    ) {
        let hub = both().build().expect("a verifier");
        let mut genuine = json!({ "iss": ISSUER, "aud": HUB, "exp": 4_102_444_800_u64, "authorization_details": details });
        for (name, value) in &claims {
            genuine[name] = value.clone();
        }
        for claims in [json!(claims), genuine] {
            let _ = check(&hub, &signed(HEADER, &claims.to_string(), PUBLISHER), Role::Publisher);
        }
    }

    #[test]
    fn what_is_minted_is_what_is_granted_m103_m112(
        publish in matchers(Language::UrlPattern),
        subscribe in matchers(Language::Exact),
        subject in "[a-z]{1,10}",
        seconds in 1_u64..100_000,
        payload in proptest::option::of("[a-z]{0,9}"),
    ) {
        let key = SigningKey::secret(Algorithm::Hs256, SUBSCRIBER).expect("a secret");
        let payload = payload.filter(|_| !subscribe.is_empty()).map(|name| json!({ "name": name }));
        let mut mint = Mint::modern(ISSUER, HUB)
            .publish(publish.clone())
            .subscribe(subscribe.clone())
            .subject(subject.clone())
            .lifetime(Duration::from_secs(seconds));
        if let Some(payload) = payload.clone() {
            mint = mint.payload(payload);
        }
        let token = mint.sign(&key, now()).expect("a token");
        let claims = check(&modern().build().expect("a verifier"), &token, Role::Subscriber).expect("claims");
        prop_assert_eq!(claims.subject, Some(subject));
        prop_assert_eq!(claims.issued_at, Some(now()));
        prop_assert_eq!(claims.expires_at, Some(now() + Duration::from_secs(seconds)));
        prop_assert!(claims.id.is_some_and(|id| id.starts_with("urn:uuid:") && id.len() == 45));
        let granted = |publish: bool| {
            let granted = claims.details.iter().filter(|detail| detail.publish == publish && detail.subscribe != publish);
            granted.flat_map(|detail| detail.topics.clone()).collect::<Vec<_>>()
        };
        prop_assert_eq!(granted(true), publish);
        prop_assert_eq!(granted(false), subscribe);
        let shown = claims.details.iter().filter(|detail| detail.subscribe).find_map(|detail| detail.payload.clone());
        prop_assert_eq!(shown, payload);
    }

    #[test]
    fn one_changed_character_makes_a_token_false_m096(place in any::<prop::sample::Index>(), other in "[A-Za-z0-9_-]") {
        let key = SigningKey::secret(Algorithm::Hs256, PUBLISHER).expect("a secret");
        let mut token = Mint::modern(ISSUER, HUB).sign(&key, SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)).expect("a token");
        let place = place.index(token.len());
        prop_assume!(token.as_bytes()[place] != other.as_bytes()[0]);
        token.replace_range(place..=place, &other);
        prop_assert!(check(&modern().build().expect("a verifier"), &token, Role::Publisher).is_err());
    }
}
