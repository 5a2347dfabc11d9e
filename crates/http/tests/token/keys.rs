//! Which keys are taken, and that each is used for what it is for and nothing else.

use fanfare_http::token::{
    Algorithm, Issuer, JwksError, Key, KeyError, KeySet, Keys, Language, Mint, Role, SigningKey, TokenError,
    TopicMatcher, Verifier, VerifierBuilder,
};
use serde_json::{Value, json};

use crate::stage::{HUB, ISSUER, PUBLISHER, now, verify};

pub(crate) const ED25519: &str = include_str!("keys/ed25519.pem");
pub(crate) const ED25519_PUBLIC: &str = include_str!("keys/ed25519.pub.pem");
const P256: &str = include_str!("keys/p256.pem");
const P256_CERTIFICATE: &str = include_str!("keys/p256.crt.pem");
const P256_PUBLIC: &str = include_str!("keys/p256.pub.pem");
const P256_SEC1: &str = include_str!("keys/p256-sec1.pem");
const P384: &str = include_str!("keys/p384.pem");
const P384_PUBLIC: &str = include_str!("keys/p384.pub.pem");
const P521_PUBLIC: &str = include_str!("keys/p521.pub.pem");
const RSA: &str = include_str!("keys/rsa.pem");
const RSA_1024_PUBLIC: &str = include_str!("keys/rsa-1024.pub.pem");
const RSA_PKCS1: &str = include_str!("keys/rsa-pkcs1.pem");
const RSA_PKCS1_PUBLIC: &str = include_str!("keys/rsa-pkcs1.pub.pem");
pub(crate) const RSA_PUBLIC: &str = include_str!("keys/rsa.pub.pem");
pub(crate) const SET: &str = include_str!("keys/set.json");

fn trusting(keys: impl Into<Keys>) -> VerifierBuilder {
    Verifier::builder().audience(HUB).issuer(Issuer::new(ISSUER).publisher(keys))
}

fn mint() -> Mint {
    let topic = TopicMatcher::new(Language::Exact, "https://shop.test/orders/41").expect("a matcher");
    Mint::modern(ISSUER, HUB).publish([topic])
}

/// Each algorithm, with the name of its key in the set and the two halves that sign and check.
fn pairs() -> Vec<(Algorithm, &'static str, SigningKey, Key)> {
    let mut pairs = Vec::new();
    for algorithm in Algorithm::ALL {
        let (name, private, public) = match algorithm.name() {
            "ES256" => ("p256", P256, P256_PUBLIC),
            "ES384" => ("p384", P384, P384_PUBLIC),
            "EdDSA" => ("ed25519", ED25519, ED25519_PUBLIC),
            name if name.starts_with("HS") => {
                let signing = SigningKey::secret(algorithm, PUBLISHER).expect("a secret");
                pairs.push((algorithm, "", signing, Key::secret(algorithm, PUBLISHER).expect("a secret")));
                continue;
            }
            _ => ("rsa", RSA, RSA_PUBLIC),
        };
        let signing = SigningKey::pem(algorithm, private).expect("a private key");
        pairs.push((algorithm, name, signing, Key::pem(algorithm, public).expect("a public key")));
    }
    pairs
}

#[test]
fn a_token_of_each_algorithm_is_taken_with_its_own_key_and_with_no_other_m096() {
    let pairs = pairs();
    assert_eq!(pairs.len(), 12);
    for (signed_with, _, signing, _) in &pairs {
        let token = mint().sign(signing, now()).expect("a token");
        for (checked_with, _, _, key) in &pairs {
            let answer = verify(trusting(key.clone()), &token, Role::Publisher);
            if signed_with == checked_with {
                assert!(answer.is_ok(), "{signed_with}: {answer:?}");
            } else {
                let allowed = vec![*checked_with];
                let expected = TokenError::AlgorithmNotAllowed { algorithm: *signed_with, allowed };
                assert_eq!(answer, Err(expected), "{signed_with} against {checked_with}");
            }
        }
    }
}

#[test]
fn a_key_set_checks_each_algorithm_of_public_keys_with_and_without_a_kid_m097_m098() {
    let set = KeySet::from_json(SET).expect("a set");
    for (algorithm, name, signing, _) in pairs() {
        for mint in [mint(), mint().key_id(name)] {
            let token = mint.sign(&signing, now()).expect("a token");
            let answer = verify(trusting(set.clone()), &token, Role::Publisher);
            assert_eq!(answer.is_ok(), !algorithm.is_symmetric(), "{algorithm}: {answer:?}");
        }
    }
}

#[test]
fn a_kid_selects_among_the_trusted_keys_and_does_nothing_else_m098() {
    let set = KeySet::from_json(SET).expect("a set");
    let signing = SigningKey::pem(Algorithm::Es256, P256).expect("a key");
    let answer = |id: &str| {
        let token = mint().key_id(id).sign(&signing, now()).expect("a token");
        verify(trusting(set.clone()), &token, Role::Publisher).map(|_| ())
    };
    assert_eq!(answer("p256"), Ok(()));
    let other =
        TokenError::AlgorithmNotAllowed { algorithm: Algorithm::Es256, allowed: vec![Algorithm::Es384] };
    assert_eq!(answer("p384"), Err(other));
    for trick in [
        "",
        "P256",
        "p256\0",
        "../../../../dev/null",
        "' or 1=1 --",
        "https://evil.test/jwks.json",
        "file:///etc/passwd",
    ] {
        assert_eq!(answer(trick), Err(TokenError::UnknownKeyId), "{trick:?}");
    }
    // Where there is one key, there is nothing to select.
    let token = mint().key_id("p384").sign(&signing, now()).expect("a token");
    let key = Key::pem(Algorithm::Es256, P256_PUBLIC).expect("a key");
    assert!(verify(trusting(key), &token, Role::Publisher).is_ok());
}

#[test]
fn a_key_that_says_its_algorithm_is_for_that_one_alone_m096() {
    let mut set: Value = serde_json::from_str(SET).expect("JSON");
    set["keys"][0]["alg"] = json!("PS256");
    let set = KeySet::from_json(set.to_string()).expect("a set");
    for (algorithm, name, signing, _) in pairs().into_iter().filter(|(_, name, ..)| *name == "rsa") {
        let token = mint().key_id(name).sign(&signing, now()).expect("a token");
        let answer = verify(trusting(set.clone()), &token, Role::Publisher);
        assert_eq!(answer.is_ok(), algorithm == Algorithm::Ps256, "{algorithm}: {answer:?}");
    }
}

#[test]
fn a_set_may_be_held_to_some_algorithms_m096() {
    let set =
        KeySet::from_json(SET).expect("a set").only(&[Algorithm::Ps384, Algorithm::EdDsa, Algorithm::Hs256]);
    for (algorithm, name, signing, _) in pairs() {
        for mint in [mint(), mint().key_id(name)] {
            let token = mint.sign(&signing, now()).expect("a token");
            let answer = verify(trusting(set.clone()), &token, Role::Publisher);
            let expected = matches!(algorithm, Algorithm::Ps384 | Algorithm::EdDsa);
            assert_eq!(answer.is_ok(), expected, "{algorithm}: {answer:?}");
        }
    }
}

#[test]
fn what_is_not_for_checking_signatures_is_left_out_of_a_set_m098() {
    let set: Value = serde_json::from_str(SET).expect("JSON");
    let rsa = &set["keys"][0];
    let changed = |name: &str, value: Value| {
        let mut key = rsa.clone();
        key[name] = value;
        key
    };
    let useless = [
        changed("use", json!("enc")),
        changed("key_ops", json!(["encrypt"])),
        changed("key_ops", json!("verify")),
        changed("alg", json!("RSA-OAEP-256")),
        changed("alg", json!("none")),
        changed("alg", json!("HS256")),
        changed("alg", json!("ES256")),
        changed("alg", json!(7)),
        changed("n", json!("AQAB")),
        changed("n", json!("***")),
        changed("kty", json!("oct")),
        json!({ "kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0" }),
        json!({ "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" }),
        json!({ "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA" }),
        json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": "AA" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "AA" }),
        json!({}),
        json!(7),
    ];
    for key in &useless {
        let set = json!({ "keys": [key] }).to_string();
        assert_eq!(KeySet::from_json(set).map(|_| ()), Err(JwksError::NoUsableKey), "{key}");
    }
    for key in
        [changed("use", json!("sig")), changed("key_ops", json!(["verify"])), changed("alg", json!("RS512"))]
    {
        let mut keys = useless.to_vec();
        keys.push(key);
        assert!(KeySet::from_json(json!({ "keys": keys }).to_string()).is_ok());
    }
    for malformed in ["", "[]", "{}", r#"{"keys":{}}"#, "null"] {
        assert_eq!(KeySet::from_json(malformed).map(|_| ()), Err(JwksError::Malformed), "{malformed}");
    }
    let many = json!({ "keys": vec![rsa; 65] }).to_string();
    assert_eq!(KeySet::from_json(many).map(|_| ()), Err(JwksError::TooMany));
}

#[test]
fn a_key_is_refused_for_an_algorithm_that_it_is_not_for_m096() {
    use Algorithm::{EdDsa, Es256, Es384, Hs256, Hs512, Ps384, Rs256};
    let cases = [
        (Hs256, RSA_PUBLIC, KeyError::PemForSecret { algorithm: Hs256 }),
        (Hs512, P256_PUBLIC, KeyError::PemForSecret { algorithm: Hs512 }),
        (Rs256, P256_PUBLIC, KeyError::NotForAlgorithm { algorithm: Rs256 }),
        (Rs256, ED25519_PUBLIC, KeyError::NotForAlgorithm { algorithm: Rs256 }),
        (Es256, RSA_PUBLIC, KeyError::NotForAlgorithm { algorithm: Es256 }),
        (Es256, P384_PUBLIC, KeyError::NotForAlgorithm { algorithm: Es256 }),
        (Es384, P256_PUBLIC, KeyError::NotForAlgorithm { algorithm: Es384 }),
        (Es256, P521_PUBLIC, KeyError::NotForAlgorithm { algorithm: Es256 }),
        (EdDsa, P256_PUBLIC, KeyError::NotForAlgorithm { algorithm: EdDsa }),
        (Ps384, RSA_1024_PUBLIC, KeyError::ShortRsa),
        (Rs256, RSA, KeyError::PrivateKey),
        (Rs256, RSA_PKCS1, KeyError::PrivateKey),
        (Es256, P256_SEC1, KeyError::PrivateKey),
        (Es256, "not a PEM block", KeyError::NotForAlgorithm { algorithm: Es256 }),
        (Rs256, "", KeyError::NotForAlgorithm { algorithm: Rs256 }),
    ];
    for (algorithm, pem, expected) in cases {
        assert_eq!(Key::pem(algorithm, pem).map(|_| ()), Err(expected), "{algorithm} {pem}");
    }
    assert!(Key::pem(Rs256, RSA_PKCS1_PUBLIC).is_ok());
    let signing = [
        (Hs256, RSA, KeyError::PemForSecret { algorithm: Hs256 }),
        (Rs256, RSA_PUBLIC, KeyError::PublicKey),
        (Es256, P256_CERTIFICATE, KeyError::PublicKey),
        (Es256, P384, KeyError::NotForAlgorithm { algorithm: Es256 }),
        (EdDsa, P256, KeyError::NotForAlgorithm { algorithm: EdDsa }),
        (Es256, P256_SEC1, KeyError::NotForAlgorithm { algorithm: Es256 }),
    ];
    for (algorithm, pem, expected) in signing {
        assert_eq!(SigningKey::pem(algorithm, pem).map(|_| ()), Err(expected), "{algorithm} {pem}");
    }
}

#[test]
fn other_forms_of_the_same_keys_work_alike() {
    let cases = [(Algorithm::Rs256, RSA_PKCS1, RSA_PKCS1_PUBLIC), (Algorithm::Es256, P256, P256_CERTIFICATE)];
    for (algorithm, private, public) in cases {
        let signing = SigningKey::pem(algorithm, private).expect("a private key");
        let token = mint().sign(&signing, now()).expect("a token");
        let key = Key::pem(algorithm, public).expect("a public key");
        assert!(verify(trusting(key), &token, Role::Publisher).is_ok(), "{algorithm}");
    }
}

#[test]
fn a_secret_that_can_be_guessed_is_refused_and_the_well_known_one_is_long_enough_m198() {
    let secret = |text: &str| Key::secret(Algorithm::Hs256, text).map(|_| ());
    assert_eq!(secret(&"x".repeat(31)), Err(KeyError::ShortSecret { bytes: 31 }));
    assert_eq!(secret(""), Err(KeyError::ShortSecret { bytes: 0 }));
    assert_eq!(secret(&"x".repeat(32)), Ok(()));
    assert_eq!(secret("!ChangeThisMercureHubJWTSecretKey!"), Ok(()));
    assert_eq!(secret(RSA_PUBLIC), Err(KeyError::PemForSecret { algorithm: Algorithm::Hs256 }));
    let public = Key::secret(Algorithm::Rs256, PUBLISHER).map(|_| ());
    assert_eq!(public, Err(KeyError::SecretForPublic { algorithm: Algorithm::Rs256 }));
}

#[test]
fn nothing_prints_a_key_m185() {
    let key = Key::secret(Algorithm::Hs256, PUBLISHER).expect("a secret");
    let signing = SigningKey::secret(Algorithm::Hs256, PUBLISHER).expect("a secret");
    let hub = trusting(key.clone()).build().expect("a verifier");
    let shown = format!("{key:?} {signing:?} {hub:?} {:?}", Keys::from(key.clone()));
    assert!(!shown.contains(PUBLISHER) && !shown.contains(&format!("{:?}", PUBLISHER.as_bytes())), "{shown}");
}

#[test]
fn several_keys_of_one_issuer_are_all_taken_while_they_change() {
    let old = Key::secret(Algorithm::Hs256, PUBLISHER).expect("a secret");
    let new = Key::pem(Algorithm::Es256, P256_PUBLIC).expect("a key");
    let issuer = Issuer::new(ISSUER).publisher(vec![old]).publisher(new);
    let hub = Verifier::builder().audience(HUB).issuer(issuer);
    for (algorithm, _, signing, _) in pairs() {
        let token = mint().sign(&signing, now()).expect("a token");
        let accepted = verify(hub.clone(), &token, Role::Publisher).is_ok();
        assert_eq!(accepted, matches!(algorithm, Algorithm::Hs256 | Algorithm::Es256), "{algorithm}");
    }
}
