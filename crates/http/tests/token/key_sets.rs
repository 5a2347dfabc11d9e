//! Key sets that change: they are read again when they must be, no more often than they may be, and a bad one harms nobody.

use std::path::PathBuf;
use std::time::Duration;

use fanfare_http::token::{
    Algorithm, Issuer, KeySet, KeySetError, Keys, Mint, Role, SigningKey, TokenError, Verifier,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::keys::{ED25519, SET};
use crate::stage::{HUB, ISSUER, now};

/// The keys of these names, as JSON.
pub(crate) fn set(names: &[&str]) -> String {
    let all: Value = serde_json::from_str(SET).expect("JSON");
    let keys = all["keys"].as_array().expect("keys").iter();
    let keys: Vec<_> = keys.filter(|key| names.iter().any(|name| key["kid"] == *name)).collect();
    assert_eq!(keys.len(), names.len());
    json!({ "keys": keys }).to_string()
}

pub(crate) fn trusting(keys: impl Into<Keys>) -> Verifier {
    let issuer = Issuer::new(ISSUER).publisher(keys);
    Verifier::builder().audience(HUB).issuer(issuer).build().expect("a verifier")
}

/// A token that the Ed25519 key signed, and that says so or something else.
pub(crate) fn token(id: &str) -> String {
    let key = SigningKey::pem(Algorithm::EdDsa, ED25519).expect("a key");
    Mint::modern(ISSUER, HUB).key_id(id).sign(&key, now()).expect("a token")
}

pub(crate) async fn verify(hub: &Verifier, token: &str) -> Result<(), TokenError> {
    hub.verify(token, Role::Publisher, now()).await.map(|_| ())
}

fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    std::fs::write(&path, text).expect("a file");
    (folder, path)
}

#[tokio::test]
async fn a_file_is_read_when_a_token_names_a_key_that_is_not_there_m106() {
    let (_folder, path) = file(&set(&["p256"]));
    let hub = trusting(KeySet::from_file(&path));
    assert!(hub.load().await.is_empty());
    std::fs::write(&path, set(&["p256", "ed25519"])).expect("a file");
    assert_eq!(verify(&hub, &token("ed25519")).await, Ok(()));
}

#[tokio::test]
async fn a_set_that_was_never_read_is_read_with_the_first_token_m106() {
    let (_folder, path) = file(&set(&["ed25519"]));
    let hub = trusting(KeySet::from_file(&path));
    assert_eq!(verify(&hub, &token("ed25519")).await, Ok(()));
}

#[tokio::test]
async fn a_set_that_cannot_be_read_is_named_and_read_later_m106() {
    let (_folder, path) = file("");
    std::fs::remove_file(&path).expect("a file");
    let hub = trusting(KeySet::from_file(&path));
    let failures = hub.load().await;
    assert!(
        matches!(&failures[..], [(source, KeySetError::File(_))] if *source == path.display().to_string())
    );
    assert_eq!(verify(&hub, &token("ed25519")).await, Err(TokenError::KeysUnavailable));
    std::fs::write(&path, set(&["ed25519"])).expect("a file");
    assert!(hub.load().await.is_empty());
    assert_eq!(verify(&hub, &token("ed25519")).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_is_followed_and_a_bad_one_changes_nothing_m106() {
    let (_folder, path) = file(&set(&["ed25519"]));
    let hub = trusting(KeySet::from_file(&path));
    let keeping = {
        let hub = hub.clone();
        tokio::spawn(async move { hub.keep_fresh().await })
    };
    let token = token("ed25519");
    let look = || async {
        // Virtual time: the file is looked at meanwhile, and the test waits for nothing.
        tokio::time::sleep(Duration::from_secs(11)).await;
        verify(&hub, &token).await
    };
    assert_eq!(look().await, Ok(()));
    for bad in ["", "{}", r#"{"keys":[]}"#, "not JSON", &"x".repeat(300_000)] {
        std::fs::write(&path, bad).expect("a file");
        assert_eq!(look().await, Ok(()), "{bad:.20}");
    }
    std::fs::remove_file(&path).expect("a file");
    assert_eq!(look().await, Ok(()));
    std::fs::write(&path, set(&["p256"])).expect("a file");
    assert_eq!(look().await, Err(TokenError::UnknownKeyId));
    std::fs::write(&path, set(&["ed25519"])).expect("a file");
    assert_eq!(look().await, Ok(()));
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn a_set_that_was_read_at_the_start_is_read_again_when_it_is_due_m106() {
    let (_folder, path) = file(&set(&["ed25519"]));
    let hub = trusting(KeySet::from_file(&path));
    assert!(hub.load().await.is_empty());
    std::fs::write(&path, set(&["p256"])).expect("a file");
    let keeping = {
        let hub = hub.clone();
        tokio::spawn(async move { hub.keep_fresh().await })
    };
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(verify(&hub, &token("ed25519")).await, Ok(()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(verify(&hub, &token("ed25519")).await, Err(TokenError::UnknownKeyId));
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn a_made_up_kid_makes_us_read_once_in_half_a_minute_m106() {
    let (_folder, path) = file(&set(&["p256"]));
    let hub = trusting(KeySet::from_file(&path));
    assert!(hub.load().await.is_empty());
    assert_eq!(verify(&hub, &token("made up")).await, Err(TokenError::UnknownKeyId));
    // The attempt is spent: the new key is not seen before time has passed.
    std::fs::write(&path, set(&["ed25519"])).expect("a file");
    tokio::time::advance(Duration::from_secs(29)).await;
    assert_eq!(verify(&hub, &token("ed25519")).await, Err(TokenError::UnknownKeyId));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(verify(&hub, &token("ed25519")).await, Ok(()));
}

#[tokio::test]
async fn a_fixed_set_is_never_read_again_m106() {
    let hub = trusting(KeySet::from_json(set(&["p256"])).expect("a set"));
    assert_eq!(verify(&hub, &token("ed25519")).await, Err(TokenError::UnknownKeyId));
    assert!(hub.load().await.is_empty());
    hub.keep_fresh().await;
}
