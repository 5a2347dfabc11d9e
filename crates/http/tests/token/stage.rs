//! What the tests of tokens share: the hub of section 22 of the protocol notes, and tokens made by hand.
//!
//! It asserts nothing.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use fanfare_http::token::{Algorithm, Claims, Issuer, Key, Role, TokenError, Verifier, VerifierBuilder};
use serde_json::{Value, json};

pub(crate) const PUBLISHER: &str = "example-publisher-key-32-bytes-long!!";
pub(crate) const SUBSCRIBER: &str = "example-subscriber-key-32-bytes-long!";
pub(crate) const ISSUER: &str = "https://shop.test";
pub(crate) const HUB: &str = "https://push.test/.well-known/mercure";

pub(crate) const NOW_SECONDS: u64 = 1_790_000_000;

/// When the tests take place.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_SECONDS)
}

pub(crate) fn secret(secret: &str) -> Key {
    Key::secret(Algorithm::Hs256, secret).expect("a secret")
}

/// A hub that trusts the shop's two keys.
pub(crate) fn modern() -> VerifierBuilder {
    let shop = Issuer::new(ISSUER).publisher(secret(PUBLISHER)).subscriber(secret(SUBSCRIBER));
    Verifier::builder().audience(HUB).issuer(shop)
}

/// The same, which also takes tokens of the older protocol with the same keys, as hubs do that are about to change over.
pub(crate) fn both() -> VerifierBuilder {
    modern().legacy_publisher(secret(PUBLISHER)).legacy_subscriber(secret(SUBSCRIBER))
}

/// Checks `token` now.
pub(crate) fn verify(hub: VerifierBuilder, token: &str, role: Role) -> Result<Claims, TokenError> {
    let hub = hub.build().expect("a verifier");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(hub.verify(token, role, now()))
}

/// Signs `claims` with HS256, whatever header and claims say.
pub(crate) fn signed(header: &str, claims: &str, secret: &str) -> String {
    let signed =
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let signature = ring::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

pub(crate) const HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;

/// Claims that a publisher's token may have.
pub(crate) fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": HUB, "exp": NOW_SECONDS + 60, "authorization_details": [detail()] })
}

pub(crate) fn detail() -> Value {
    json!({
        "type": "https://mercure.rocks/authorization-detail",
        "actions": ["publish"],
        "topics": [{ "match": "https://shop.test/orders/41" }],
    })
}

/// A publisher's token with these claims.
pub(crate) fn token(claims: &Value) -> String {
    signed(HEADER, &claims.to_string(), PUBLISHER)
}

/// [`claims`] with one of them changed; `null` takes it out.
pub(crate) fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().expect("claims").remove(name);
    } else {
        claims[name] = value;
    }
    claims
}
