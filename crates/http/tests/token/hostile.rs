//! Tokens that somebody made to get in, and the one reason for which each is refused.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use fanfare_http::token::{
    Algorithm, Counted, DetailFault, Issuer, Key, KeySet, Part, Role, TokenError, TokenLimits, Verifier,
};
use serde_json::{Value, json};

use crate::keys::{RSA_PUBLIC, SET};
use crate::stage::{
    HEADER, HUB, ISSUER, NOW_SECONDS, PUBLISHER, SUBSCRIBER, both, claims, detail, modern, now, secret,
    signed, token, verify, with,
};

/// Everywhere: where legacy tokens are off, and where they are on.
fn refused(token: &str, expected: &TokenError, why: &str) {
    for hub in [modern(), both()] {
        assert_eq!(verify(hub, token, Role::Publisher).as_ref(), Err(expected), "{why}");
    }
}

fn header(header: &str) -> String {
    signed(header, &claims().to_string(), PUBLISHER)
}

#[test]
fn the_token_of_these_tests_is_taken_before_it_is_tampered_with() {
    for hub in [modern(), both()] {
        assert!(verify(hub, &token(&claims()), Role::Publisher).is_ok());
    }
    for fine in
        [r#"{"alg":"HS256","typ":"AT+JWT"}"#, r#"{"alg":"HS256","typ":"application/At+Jwt","kid":"x"}"#]
    {
        assert!(verify(modern(), &header(fine), Role::Publisher).is_ok(), "{fine}");
    }
}

#[test]
fn what_is_no_jws_is_refused_m095() {
    let fine = token(&claims());
    let [head, body, mac] = fine.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let not_compact = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        format!("{head}.{body}"),
        format!("{head}.{body}.{mac}.{mac}"),
        format!("{head}.{body}.{mac}="),
        format!("{head}.{body}.{mac} "),
        format!(" {head}.{body}.{mac}"),
        format!("{head}.{body}.+{}", &mac[1..]),
        // The same bytes in another spelling: the last character has two bits to spare.
        respelled(&fine),
        format!("{head}.\u{e9}.{mac}"),
        format!("{head}.{body}.\u{0}"),
    ];
    for token in not_compact {
        for hub in [modern(), both()] {
            let answer = verify(hub, &token, Role::Publisher);
            let none = matches!(
                answer,
                Err(TokenError::NotCompact | TokenError::NotJson { .. } | TokenError::Signature { .. })
            );
            assert!(none, "{token}: {answer:?}");
        }
    }
}

fn respelled(token: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = token.chars().last().and_then(|last| ALPHABET.find(last)).expect("base64url");
    format!("{}{}", &token[..token.len() - 1], ALPHABET.chars().nth(last | 1).expect("a character"))
}

#[test]
fn an_unsigned_token_is_refused_however_it_says_so_m096() {
    for alg in ["none", "None", "NONE", "nOnE", "", "hs256", " HS256", "HS256\\u0000"] {
        let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt"}}"#);
        let unsigned = signed(&header, &claims().to_string(), PUBLISHER);
        refused(&unsigned, &TokenError::UnknownAlgorithm, alg);
        let bare = format!("{}.", &unsigned[..unsigned.rfind('.').expect("a dot")]);
        refused(&bare, &TokenError::UnknownAlgorithm, alg);
    }
    for header in ["{}", r#"{"alg":null}"#, r#"{"alg":["HS256"]}"#, r#"{"alg":256}"#, r#"{"ALG":"HS256"}"#] {
        refused(&self::header(header), &TokenError::UnknownAlgorithm, header);
    }
    let fine = token(&claims());
    let stripped = format!("{}.", &fine[..fine.rfind('.').expect("a dot")]);
    refused(&stripped, &TokenError::Signature { role: Role::Publisher }, "no signature");
}

#[test]
fn a_public_key_is_no_secret_m096() {
    let key = Key::pem(Algorithm::Rs256, RSA_PUBLIC).expect("a key");
    let fixed = Verifier::builder().audience(HUB).issuer(Issuer::new(ISSUER).publisher(key));
    let set = KeySet::from_json(SET).expect("a set");
    let set = Verifier::builder().audience(HUB).issuer(Issuer::new(ISSUER).publisher(set));
    // With all that an attacker knows of the key: its text, with and without the last line break.
    for forged in [RSA_PUBLIC, RSA_PUBLIC.trim_end(), SET] {
        for header in [HEADER, r#"{"alg":"HS256","typ":"at+jwt","kid":"rsa"}"#] {
            let token = signed(header, &claims().to_string(), forged);
            for hub in [fixed.clone(), set.clone()] {
                let answer = verify(hub, &token, Role::Publisher);
                assert!(matches!(answer, Err(TokenError::AlgorithmNotAllowed { .. })), "{answer:?}");
            }
        }
    }
}

#[test]
fn a_key_that_comes_with_the_token_is_not_looked_at_m098() {
    let evil = "a secret that the attacker made up, long enough";
    let set: Value = serde_json::from_str(SET).expect("JSON");
    let tricks = [
        json!({ "jwk": { "kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode(evil) } }),
        json!({ "jwk": set["keys"][0] }),
        json!({ "jku": "https://evil.test/jwks.json" }),
        json!({ "x5u": "https://evil.test/cert.pem" }),
        json!({ "x5c": ["MIIB"] }),
        json!({ "kid": "https://evil.test/jwks.json" }),
        json!({ "jwk": 7, "jku": [], "x5u": {}, "x5c": null }),
    ];
    for trick in tricks {
        let mut header = trick;
        header["alg"] = json!("HS256");
        header["typ"] = json!("at+jwt");
        let forged = signed(&header.to_string(), &claims().to_string(), evil);
        refused(&forged, &TokenError::Signature { role: Role::Publisher }, &header.to_string());
        // And a genuine token is not refused for what it carries.
        let genuine = signed(&header.to_string(), &claims().to_string(), PUBLISHER);
        assert!(verify(modern(), &genuine, Role::Publisher).is_ok(), "{header}");
    }
}

#[test]
fn extensions_that_must_be_understood_are_not_m095() {
    for crit in [r#"["exp"]"#, r#"["b64"]"#, "[]", "null", r#""b64""#] {
        let header = format!(r#"{{"alg":"HS256","typ":"at+jwt","b64":false,"crit":{crit}}}"#);
        refused(&self::header(&header), &TokenError::Critical, crit);
    }
    for kid in ["1", "null", "[\"a\"]", "{}"] {
        let header = format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":{kid}}}"#);
        refused(&self::header(&header), &TokenError::MalformedHeader { name: "kid" }, kid);
    }
}

#[test]
fn a_token_of_another_type_is_refused_m095() {
    for typ in [
        r#""JWT""#,
        r#""jwt""#,
        r#""at+jwt ""#,
        r#""at""#,
        r#""application/jwt""#,
        "null",
        r#"["at+jwt"]"#,
        r#""dpop+jwt""#,
    ] {
        let header = format!(r#"{{"alg":"HS256","typ":{typ}}}"#);
        refused(&self::header(&header), &TokenError::NotAccessToken, typ);
    }
    refused(&header(r#"{"alg":"HS256"}"#), &TokenError::NotAccessToken, "none");
}

#[test]
fn each_issuer_answers_for_itself_alone_m099() {
    let theirs = "the secret of another issuer, long enough too";
    let other = "https://other.test";
    let hub = || modern().issuer(Issuer::new(other).publisher(secret(theirs)));
    let verify = |claims: &Value, secret: &str| {
        self::verify(hub(), &signed(HEADER, &claims.to_string(), secret), Role::Publisher)
            .map(|claims| claims.issuer)
    };
    assert_eq!(verify(&claims(), PUBLISHER), Ok(Some(ISSUER.to_owned())));
    assert_eq!(verify(&with("iss", json!(other)), theirs), Ok(Some(other.to_owned())));
    let forged = Err(TokenError::Signature { role: Role::Publisher });
    assert_eq!(verify(&claims(), theirs), forged);
    assert_eq!(verify(&with("iss", json!(other)), PUBLISHER), forged);
    for almost in [
        "https://shop.test/",
        "HTTPS://shop.test",
        "https://shop.test ",
        "https://shop.test:443",
        "",
        "shop.test",
    ] {
        assert_eq!(
            verify(&with("iss", json!(almost)), PUBLISHER),
            Err(TokenError::UnknownIssuer),
            "{almost}"
        );
    }
    assert_eq!(verify(&with("iss", Value::Null), PUBLISHER), Err(TokenError::MissingClaim { name: "iss" }));
    for malformed in [json!(["https://shop.test"]), json!(7), json!({})] {
        assert_eq!(
            verify(&with("iss", malformed), PUBLISHER),
            Err(TokenError::MalformedClaim { name: "iss" })
        );
    }
}

#[test]
fn an_issuer_with_keys_for_one_role_is_not_trusted_for_the_other_m100() {
    let hub = Verifier::builder().audience(HUB).issuer(Issuer::new(ISSUER).publisher(secret(PUBLISHER)));
    let answer = verify(hub, &token(&claims()), Role::Subscriber);
    assert_eq!(answer, Err(TokenError::NoKeys { role: Role::Subscriber }));
    let swapped = signed(HEADER, &claims().to_string(), SUBSCRIBER);
    refused(&swapped, &TokenError::Signature { role: Role::Publisher }, "the subscribers' key");
}

#[test]
fn a_token_holds_from_its_beginning_to_its_end_and_no_longer_m101() {
    let expired = |seconds: f64| TokenError::Expired { ago: Duration::from_secs_f64(seconds) };
    let cases = [
        (with("exp", json!(NOW_SECONDS)), expired(0.0)),
        (with("exp", json!(NOW_SECONDS - 1)), expired(1.0)),
        (with("exp", json!(1_789_999_999.75)), expired(0.25)),
        (with("exp", json!(0)), expired(1_790_000_000.0)),
        (with("exp", json!(-1)), expired(1_790_000_000.0)),
        (with("exp", json!(-1.0e300)), expired(1_790_000_000.0)),
        (with("exp", Value::Null), TokenError::MissingClaim { name: "exp" }),
        (with("exp", json!("4102444800")), TokenError::MalformedClaim { name: "exp" }),
        (with("exp", json!([4_102_444_800_u64])), TokenError::MalformedClaim { name: "exp" }),
        (with("nbf", json!(NOW_SECONDS + 1)), TokenError::NotYetValid { ahead: Duration::from_secs(1) }),
        (with("nbf", json!(1_790_000_000.5)), TokenError::NotYetValid { ahead: Duration::from_millis(500) }),
        (with("nbf", json!("0")), TokenError::MalformedClaim { name: "nbf" }),
        (with("iat", json!("0")), TokenError::MalformedClaim { name: "iat" }),
    ];
    for (claims, expected) in cases {
        refused(&token(&claims), &expected, &claims.to_string());
    }
    let huge = verify(modern(), &token(&with("nbf", json!(1.0e300))), Role::Publisher);
    assert!(matches!(huge, Err(TokenError::NotYetValid { .. })), "{huge:?}");
    for fine in [
        with("exp", json!(1_790_000_000.25)),
        with("exp", json!(u64::MAX)),
        with("exp", json!(1.7e308)),
        with("nbf", json!(NOW_SECONDS)),
        with("nbf", json!(-1)),
        with("nbf", json!(-1.0e300)),
        with("iat", json!(-1)),
        with("iat", json!(NOW_SECONDS + 1000)),
    ] {
        assert!(verify(modern(), &token(&fine), Role::Publisher).is_ok(), "{fine}");
    }
}

#[test]
fn leeway_moves_both_ends_and_the_end_that_streams_see_m101_m105() {
    let hub = || modern().leeway(Duration::from_secs(5));
    let exp = |exp: u64| {
        verify(hub(), &token(&with("exp", json!(exp))), Role::Publisher).map(|claims| claims.expires_at)
    };
    let end = now() + Duration::from_secs(1);
    assert_eq!(exp(NOW_SECONDS - 4), Ok(Some(end)));
    assert_eq!(exp(NOW_SECONDS - 5), Err(TokenError::Expired { ago: Duration::ZERO }));
    assert!(verify(hub(), &token(&with("nbf", json!(NOW_SECONDS + 5))), Role::Publisher).is_ok());
    assert!(verify(hub(), &token(&with("nbf", json!(NOW_SECONDS + 6))), Role::Publisher).is_err());
    assert!(modern().leeway(Duration::from_secs(61)).build().is_err());
}

#[test]
fn a_token_for_another_hub_is_refused_also_where_the_older_check_would_take_it_m102_m200() {
    let other = TokenError::Audience { expected: vec![HUB.to_owned()] };
    for aud in [
        json!("https://evil.test/hub"),
        json!([]),
        json!(["https://push.test", "https://push.test/.well-known/mercure/"]),
    ] {
        refused(&token(&with("aud", aud.clone())), &other, &aud.to_string());
    }
    refused(&token(&with("aud", Value::Null)), &TokenError::MissingClaim { name: "aud" }, "none");
    for aud in [json!(7), json!({ HUB: 1 }), json!([HUB, 7])] {
        refused(
            &token(&with("aud", aud.clone())),
            &TokenError::MalformedClaim { name: "aud" },
            &aud.to_string(),
        );
    }
}

#[test]
fn nobody_chooses_the_older_weaker_check_m200() {
    let mut claims = with("aud", json!("https://evil.test"));
    claims["mercure"] = json!({ "publish": ["*"], "subscribe": ["*"] });
    claims["https://mercure.rocks/"] = claims["mercure"].clone();
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    // The same secret is configured for both protocols, which is when it matters.
    let other = TokenError::Audience { expected: vec![HUB.to_owned()] };
    refused(&token(&claims), &other, "both claims");
    refused(
        &signed(header, &claims.to_string(), PUBLISHER),
        &TokenError::NotAccessToken,
        "both claims, another type",
    );
    claims["authorization_details"] = json!({ "type": "https://mercure.rocks/authorization-detail" });
    refused(&signed(header, &claims.to_string(), PUBLISHER), &TokenError::NotAccessToken, "no list");
    // Without a Mercure entry the claim decides, whatever the type.
    claims["authorization_details"] = json!([{ "type": "payment" }]);
    for header in [header, HEADER] {
        let token = signed(header, &claims.to_string(), PUBLISHER);
        assert!(verify(both(), &token, Role::Publisher).is_ok_and(|claims| claims.legacy), "{header}");
        assert_eq!(
            verify(modern(), &token, Role::Publisher),
            Err(TokenError::LegacyOff { role: Role::Publisher })
        );
    }
}

#[test]
fn the_keys_of_issuers_do_not_sign_legacy_tokens_nor_the_other_way_round_m200() {
    let theirs = "the secret of the old application, long enough";
    let hub = || modern().legacy_publisher(secret(theirs));
    let legacy =
        |secret| signed(r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"mercure":{"publish":["*"]}}"#, secret);
    assert!(verify(hub(), &legacy(theirs), Role::Publisher).is_ok());
    let forged = Err(TokenError::Signature { role: Role::Publisher });
    assert_eq!(verify(hub(), &legacy(PUBLISHER), Role::Publisher), forged);
    assert_eq!(verify(hub(), &signed(HEADER, &claims().to_string(), theirs), Role::Publisher), forged);
    // There is a key for publishing only.
    let off = Err(TokenError::LegacyOff { role: Role::Subscriber });
    assert_eq!(verify(hub(), &legacy(theirs), Role::Subscriber), off);
}

#[test]
fn a_name_that_stands_twice_smuggles_nothing_m115() {
    let body = claims().to_string();
    let inner = &body[1..body.len() - 1];
    let twice = TokenError::DuplicateMember { part: Part::Claims };
    let cases = [
        format!(r#"{{"aud":"https://evil.test",{inner}}}"#),
        format!(r#"{{{inner},"aud":"https://evil.test"}}"#),
        format!(r#"{{{inner},"\u0061ud":"https://evil.test"}}"#),
        format!(r#"{{{inner},"exp":99999999999}}"#),
        body.replacen(r#""type":"#, r#""type":"payment","type":"#, 1),
        body.replacen(r#""match":"#, r#""match":"*","match":"#, 1),
        format!(r#"{{{inner},"x":{{"a":1,"a":1}}}}"#),
    ];
    for claims in cases {
        refused(&signed(HEADER, &claims, PUBLISHER), &twice, &claims);
    }
    let twice = TokenError::DuplicateMember { part: Part::Header };
    for header in
        [r#"{"alg":"none","alg":"HS256","typ":"at+jwt"}"#, r#"{"alg":"HS256","typ":"JWT","typ":"at+jwt"}"#]
    {
        refused(&self::header(header), &twice, header);
    }
}

#[test]
fn huge_and_deep_tokens_are_refused_before_they_cost_anything_m117() {
    let long = token(&with("x", json!("y".repeat(16 * 1024))));
    refused(&long, &TokenError::TooLong { bytes: long.len(), limit: 16 * 1024 }, "long");
    let deep = |levels: usize| {
        let nested = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        claims().to_string().replacen('{', &format!(r#"{{"x":{nested},"#), 1)
    };
    let too_deep = TokenError::TooDeep { part: Part::Claims, limit: 32 };
    assert!(verify(modern(), &signed(HEADER, &deep(31), PUBLISHER), Role::Publisher).is_ok());
    refused(&signed(HEADER, &deep(32), PUBLISHER), &too_deep, "deep");
    refused(&signed(HEADER, &deep(5000), PUBLISHER), &too_deep, "very deep");
    // A setting does not raise what the reader bounds by itself, and nothing overflows.
    let hub = modern().limits(TokenLimits::default().json_depth(usize::MAX).token_bytes(10_000_000));
    let answer = verify(hub, &signed(HEADER, &deep(1_000_000), PUBLISHER), Role::Publisher);
    assert_eq!(answer, Err(TokenError::TooDeep { part: Part::Claims, limit: 100 }));
    let not_json = TokenError::NotJson { part: Part::Claims };
    for claims in [
        "",
        "[]",
        "7",
        "\"x\"",
        "null",
        "{",
        "{}{}",
        "{\"a\":NaN}",
        "{\"exp\":1e999}",
        "{'a':1}",
        "\u{feff}{}",
    ] {
        refused(&signed(HEADER, claims, PUBLISHER), &not_json, claims);
    }
}

#[test]
fn thousands_of_details_are_refused_m117() {
    let limits = TokenLimits::default().token_bytes(10_000_000);
    let verify = |entries: Vec<Value>| {
        let token = token(&with("authorization_details", json!(entries)));
        self::verify(modern().limits(limits), &token, Role::Publisher).map(|claims| claims.details.len())
    };
    assert_eq!(verify(vec![detail(); 100]), Ok(100));
    let details = Err(TokenError::TooMany { what: Counted::Details, limit: 100 });
    assert_eq!(verify(vec![detail(); 101]), Err(TokenError::TooMany { what: Counted::Details, limit: 100 }));
    assert_eq!(verify(vec![detail(); 5000]), details);
    let wide = |topics: usize| {
        let mut wide = detail();
        wide["topics"] = json!(vec![json!({ "match": "a" }); topics]);
        wide
    };
    assert_eq!(verify(vec![wide(100)]), Ok(1));
    let topics = TokenError::TooMany { what: Counted::Topics, limit: 100 };
    assert_eq!(verify(vec![wide(101)]), Err(topics.clone()));
    assert_eq!(verify(vec![wide(50), wide(51)]), Err(topics));
    // Other people's entries are not counted.
    let mut many = vec![json!({ "type": "payment" }); 5000];
    many.push(detail());
    assert_eq!(verify(many), Ok(1));
}

#[test]
fn one_defective_detail_makes_the_whole_token_so_m111_m112_m115() {
    let changed = |name: &str, value: Value| {
        let mut detail = detail();
        if value.is_null() {
            detail.as_object_mut().expect("an object").remove(name);
        } else {
            detail[name] = value;
        }
        detail
    };
    let topic = |topic: Value| changed("topics", json!([{ "match": "fine" }, topic]));
    let cases = [
        (changed("actions", Value::Null), DetailFault::Actions),
        (changed("actions", json!([])), DetailFault::Actions),
        (changed("actions", json!("publish")), DetailFault::Actions),
        (changed("actions", json!(["publish", 7])), DetailFault::Actions),
        (changed("actions", json!(["publish", null])), DetailFault::Actions),
        (changed("topics", Value::Null), DetailFault::Topics),
        (changed("topics", json!([])), DetailFault::Topics),
        (changed("topics", json!({ "match": "*" })), DetailFault::Topics),
        (changed("topics", json!("*")), DetailFault::Topics),
        (topic(json!("*")), DetailFault::Topic),
        (topic(json!(null)), DetailFault::Topic),
        (topic(json!({})), DetailFault::Topic),
        (topic(json!({ "match": null })), DetailFault::Topic),
        (topic(json!({ "match": ["*"] })), DetailFault::Topic),
        (topic(json!({ "Match": "*" })), DetailFault::Topic),
        (topic(json!({ "match": "*", "match_type": "Exact" })), DetailFault::MatchType),
        (topic(json!({ "match": "*", "match_type": "regexp" })), DetailFault::MatchType),
        (topic(json!({ "match": "*", "match_type": null })), DetailFault::MatchType),
        (topic(json!({ "match": "" })), DetailFault::Empty),
        (topic(json!({ "match": "a\nb" })), DetailFault::Forbidden),
        (topic(json!({ "match": "a\u{200d}b" })), DetailFault::Forbidden),
        (topic(json!({ "match": "a\u{85}b", "match_type": "urlpattern" })), DetailFault::Forbidden),
        (topic(json!({ "match": "x".repeat(4097) })), DetailFault::TooLong),
        (changed("payload", json!("desk")), DetailFault::Payload),
        (changed("payload", json!([])), DetailFault::Payload),
    ];
    for (defective, fault) in cases {
        let entries = json!([{ "type": "payment" }, detail(), defective]);
        let expected = TokenError::Detail { index: 2, fault };
        refused(&token(&with("authorization_details", entries)), &expected, &defective.to_string());
    }
    for list in [json!({}), json!("x"), json!(7)] {
        let malformed = TokenError::MalformedClaim { name: "authorization_details" };
        refused(&token(&with("authorization_details", list.clone())), &malformed, &list.to_string());
    }
    for fine in [
        changed("actions", json!(["dance", "publish"])),
        topic(json!({ "match": "*" })),
        topic(json!({ "match": "*", "match_type": "urlpattern" })),
        topic(json!({ "match": "x".repeat(4096), "match_type": "exact" })),
        changed("payload", json!({})),
    ] {
        let claims = with("authorization_details", json!([fine]));
        assert!(verify(modern(), &token(&claims), Role::Publisher).is_ok(), "{fine}");
    }
    let unknown = with("authorization_details", json!([changed("actions", json!(["dance", "Publish"]))]));
    let details = verify(modern(), &token(&unknown), Role::Publisher).expect("claims").details;
    assert!(details.iter().all(|detail| !detail.publish && !detail.subscribe), "{details:?}");
}

#[test]
fn no_reason_quotes_what_the_token_holds_m104() {
    let marker = "SECRETMARKER";
    let hostile = [
        with("iss", json!(marker)),
        with("aud", json!(marker)),
        with("sub", json!([marker])),
        with(
            "authorization_details",
            json!([{ "type": "https://mercure.rocks/authorization-detail", "actions": [marker], "topics": [marker] }]),
        ),
        with(
            "authorization_details",
            json!([{ "type": "https://mercure.rocks/authorization-detail", "actions": ["x"], "topics": [{ "match": format!("{marker}\n") }] }]),
        ),
    ];
    let mut tokens: Vec<String> = hostile.iter().map(token).collect();
    tokens.push(signed(&format!(r#"{{"alg":"{marker}"}}"#), "{}", PUBLISHER));
    tokens.push(signed(&format!(r#"{{"alg":"HS256","typ":"{marker}"}}"#), "{}", PUBLISHER));
    tokens.push(marker.to_owned());
    for token in tokens {
        let reason = verify(modern(), &token, Role::Publisher).expect_err("a reason");
        for shown in [reason.to_string(), format!("{reason:?}")] {
            assert!(!shown.contains(marker) && !shown.contains(&token), "{shown}");
        }
    }
}

#[test]
fn a_clock_that_is_wrong_panics_nobody_m101() {
    let hub = modern().leeway(Duration::from_secs(60)).build().expect("a verifier");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let far = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::MAX >> 2)).unwrap_or_else(now);
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    for clock in [SystemTime::UNIX_EPOCH, far, before] {
        for claims in
            [claims(), with("nbf", json!(u64::MAX)), with("exp", json!(u64::MAX)), with("exp", json!(-5))]
        {
            let _ = runtime.block_on(hub.verify(&token(&claims), Role::Publisher, clock));
        }
    }
}
