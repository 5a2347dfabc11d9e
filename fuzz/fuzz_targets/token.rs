//! Hostile tokens: whatever somebody sends, and whatever a trusted issuer signs, the answer is a decision. No text without
//! our signature is taken, and what is taken keeps every limit.

#![no_main]

mod panics;

use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use fanfare_http::token::{Algorithm, Claims, Explanation, Issuer, Key, Role, Verifier};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

const SECRET: &str = "a secret of more than thirty-two bytes";
const HUB: &str = "https://push.test/.well-known/mercure";
const ISSUER: &str = "https://shop.test";

/// JSON that often looks like what a token holds.
#[derive(arbitrary::Arbitrary, Debug)]
enum Json<'a> {
    Null,
    Bool(bool),
    Whole(i64),
    Fraction(f64),
    Text(&'a str),
    Known(u8),
    List(Vec<Json<'a>>),
    Object(Vec<(u8, Json<'a>)>),
    Other(Vec<(&'a str, Json<'a>)>),
}

const NAMES: &[&str] = &[
    "iss",
    "aud",
    "exp",
    "nbf",
    "iat",
    "sub",
    "jti",
    "authorization_details",
    "mercure",
    "https://mercure.rocks/",
    "type",
    "actions",
    "topics",
    "match",
    "match_type",
    "payload",
    "publish",
    "subscribe",
];
const TEXTS: &[&str] = &[
    "*",
    "publish",
    "subscribe",
    "exact",
    "urlpattern",
    "https://mercure.rocks/authorization-detail",
    HUB,
    ISSUER,
    "",
    "/a/:id",
    "/a/{id}",
];

fn pick(list: &'static [&'static str], number: u8) -> &'static str {
    list[usize::from(number) % list.len()]
}

impl Json<'_> {
    fn value(&self) -> Value {
        let object = |members: &mut dyn Iterator<Item = (String, Value)>| {
            Value::Object(members.collect::<Map<_, _>>())
        };
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Whole(number) => (*number).into(),
            Self::Fraction(number) => (*number).into(),
            Self::Text(text) => (*text).into(),
            Self::Known(number) => pick(TEXTS, *number).into(),
            Self::List(items) => items.iter().map(Self::value).collect(),
            Self::Object(members) => object(
                &mut members.iter().map(|(name, value)| (pick(NAMES, *name).to_owned(), value.value())),
            ),
            Self::Other(members) => {
                object(&mut members.iter().map(|(name, value)| ((*name).to_owned(), value.value())))
            }
        }
    }
}

#[derive(arbitrary::Arbitrary, Debug)]
struct Hostile<'a> {
    sent: &'a str,
    header: Option<&'a str>,
    claims: &'a str,
    members: Vec<(u8, Json<'a>)>,
    details: Vec<Json<'a>>,
    seconds: u32,
}

static HUBS: LazyLock<[Verifier; 2]> = LazyLock::new(|| {
    let key = || Key::secret(Algorithm::Hs256, SECRET).expect("a secret");
    let modern =
        || Verifier::builder().audience(HUB).issuer(Issuer::new(ISSUER).publisher(key()).subscriber(key()));
    let both = modern().legacy_publisher(key()).legacy_subscriber(key());
    [modern(), both].map(|hub| hub.build().expect("a verifier"))
});

/// Nothing here waits: the keys are fixed.
fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a fixed key needs no waiting"),
    }
}

fn signed(header: &str, claims: &str) -> String {
    let signed =
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = BASE64_URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn check(claims: &Claims, now: SystemTime) {
    let topics: Vec<_> = claims.details.iter().flat_map(|detail| &detail.topics).collect();
    assert!(topics.len() <= if claims.legacy { 1000 } else { 100 });
    for topic in topics {
        assert!(!topic.text.is_empty() && topic.text.len() <= 4096);
        assert_eq!(fanfare_hub::forbidden_character(&topic.text), None);
    }
    assert!(claims.expires_at.is_none_or(|end| end > now));
    if !claims.legacy {
        assert_eq!(claims.issuer.as_deref(), Some(ISSUER));
        assert!(claims.expires_at.is_some());
    }
}

fuzz_target!(init: panics::let_the_pattern_library_panic(), |hostile: Hostile<'_>| {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(hostile.seconds.into());
    for hub in &*HUBS {
        assert!(now_or_never(hub.verify(hostile.sent, Role::Publisher, now)).is_err());
    }

    let mut members = Map::new();
    members.insert("iss".to_owned(), ISSUER.into());
    members.insert("aud".to_owned(), HUB.into());
    members.insert("exp".to_owned(), u64::MAX.into());
    members.insert("authorization_details".to_owned(), hostile.details.iter().map(Json::value).collect());
    members
        .extend(hostile.members.iter().map(|(name, value)| (pick(NAMES, *name).to_owned(), value.value())));
    let header = hostile.header.unwrap_or(r#"{"alg":"HS256","typ":"at+jwt"}"#);
    for claims in [hostile.claims, &Value::Object(members).to_string()] {
        let token = signed(header, claims);
        for hub in &*HUBS {
            for role in [Role::Publisher, Role::Subscriber] {
                if let Ok(claims) = now_or_never(hub.verify(&token, role, now)) {
                    check(&claims, now);
                }
            }
        }
        let page = now_or_never(Explanation::of(&token, Some(&HUBS[1]), now)).to_string();
        assert!(
            page.chars()
                .all(|c| c == '\n' || fanfare_hub::forbidden_character(c.encode_utf8(&mut [0; 4])).is_none())
        );
    }
});
