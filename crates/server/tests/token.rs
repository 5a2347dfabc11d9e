//! `fanfare token`: what it makes is what it explains, and every refusal says what to do.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::process::{Output, Stdio};

use common::{fanfare, refused};

const KEY: &str = "a secret of more than thirty-two bytes";
const HUB: &str = "https://hub.example.com/.well-known/mercure";

/// Standard output of a command that succeeds.
fn said(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = fanfare(&[&["token"], arguments].concat()).output().unwrap();
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

fn minted(arguments: &[&str]) -> String {
    let token = said(&[&["mint"], arguments].concat());
    assert_eq!(token.lines().count(), 1, "{token}");
    token.trim_end().to_owned()
}

/// Code and standard output of `explain`.
fn explained(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        fanfare(&[&["token", "explain"], arguments].concat()).output().unwrap();
    assert!(stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
    (status.code(), String::from_utf8(stdout).unwrap())
}

fn check(answer: &(Option<i32>, String), code: i32, parts: &[&str]) {
    assert_eq!(answer.0, Some(code), "{}", answer.1);
    for part in parts {
        assert!(answer.1.contains(part), "{part}\n---\n{}", answer.1);
    }
}

#[test]
fn a_token_for_development_is_what_a_hub_in_development_takes() {
    let token = minted(&[
        "--dev",
        "--publish",
        "*",
        "--subscribe",
        "a",
        "--payload",
        r#"{"desk":7}"#,
        "--subject",
        "me",
    ]);
    let expected = [
        "\"https://localhost\"",
        "\"me\"",
        "publish\n    exact      * (every topic)",
        "payload    {\"desk\":7}",
        "As publisher: accepted.",
        "As subscriber: accepted.",
    ];
    check(&explained(&["--dev", &token]), 0, &expected);
    check(&explained(&["--dev", &format!("Bearer {token}")]), 0, &["As publisher: accepted."]);
    check(&explained(&[&token]), 0, &["No keys were given, so nothing was checked"]);
}

#[test]
fn each_role_has_its_key_and_the_names_are_checked_where_they_are_given() {
    let names = ["--issuer", "https://shop.example.com", "--audience", HUB];
    let token = minted(
        &[&["--key", KEY, "--publish-pattern", "/orders/:id", "--lifetime", "10m"], &names[..]].concat(),
    );
    let other = "another secret of more than thirty-two bytes";
    let keys = ["--publisher-jwt-key", KEY, "--subscriber-jwt-key", other];
    let answer = explained(&[&keys[..], &[&token]].concat());
    check(
        &answer,
        0,
        &[
            "urlpattern /orders/:id",
            "As publisher: accepted.",
            "As subscriber: refused; the signature",
            "Assumed:",
        ],
    );
    let hub = ["--trusted-issuers", "https://shop.example.com", "--resource-identifier", HUB];
    let answer = explained(&[&keys[..], &hub, &[&token]].concat());
    check(&answer, 0, &["As publisher: accepted."]);
    assert!(!answer.1.contains("Assumed"), "{}", answer.1);
    let stranger = ["--trusted-issuers", "https://other.example.com"];
    let answer = explained(&[&keys[..], &stranger, &[&token]].concat());
    check(
        &answer,
        1,
        &["As publisher: refused; the claim \"iss\"", "Trusted issuers: https://other.example.com."],
    );
    let answer =
        explained(&[&keys[..], &["--resource-identifier", "https://other.example.com", &token]].concat());
    check(&answer, 1, &["resource identifier, https://other.example.com."]);
}

#[test]
fn keys_come_from_files_and_tokens_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        format!("@{}", path.display())
    };
    let private = file("private.pem", include_str!("../../http/tests/token/keys/ed25519.pem"));
    let public = file("public.pem", include_str!("../../http/tests/token/keys/ed25519.pub.pem"));
    let set =
        file("set.json", include_str!("../../http/tests/token/keys/set.json")).replacen('@', "file://", 1);
    let secret = file("secret", &format!("{KEY}\n"));
    let names = ["--issuer", "i", "--audience", "a"];
    let token =
        minted(&[&["--key", &private, "--algorithm", "EdDSA", "--key-id", "ed25519"], &names[..]].concat());
    let key = ["--subscriber-jwt-key", &public, "--subscriber-jwt-alg", "EdDSA"];
    check(
        &explained(&[&key[..], &[&token]].concat()),
        0,
        &["As subscriber: accepted.", "As publisher: refused"],
    );
    check(
        &explained(&["--jwks-url", &set, &token]),
        0,
        &["As subscriber: accepted.", "As publisher: accepted."],
    );

    let token = minted(&["--legacy", "--key", &secret, "--publish", "/a/{id}"]);
    let mut command = fanfare(&["token", "explain", "--publisher-jwt-key", KEY, "-"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("  {token}\n").as_bytes()).unwrap();
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    let page = String::from_utf8(stdout).unwrap();
    check(
        &(status.code(), page),
        0,
        &["selector   /a/{id}", "As publisher: accepted.", "only with --legacy on"],
    );
}

#[test]
fn the_variables_of_the_hub_say_whom_it_trusts() {
    let token = minted(&["--key", KEY, "--issuer", "i", "--audience", "a"]);
    let mut command = fanfare(&["token", "explain", &token]);
    command.env("FANFARE_PUBLISHER_JWT_KEY", KEY).env("FANFARE_TRUSTED_ISSUERS", "x,i");
    command.env("FANFARE_RESOURCE_IDENTIFIER", "a");
    let Output { status, stdout, .. } = command.output().unwrap();
    check(&(status.code(), String::from_utf8(stdout).unwrap()), 0, &["As publisher: accepted."]);
    let mut command = fanfare(&["token", "mint", "--legacy"]);
    assert!(command.env("FANFARE_TOKEN_KEY", KEY).output().unwrap().status.success());
}

#[test]
fn a_hub_with_a_file_is_asked_by_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fanfare.toml");
    let file = format!(
        "public-url = \"https://hub.example.com\"\npublisher-jwt-key = \"{KEY}\"\nanonymous = true\n\
         trusted-issuers = [\"https://shop.example.com\"]\n"
    );
    std::fs::write(&path, file).unwrap();
    let path = path.to_str().unwrap();
    let token = |issuer| minted(&["--key", KEY, "--issuer", issuer, "--audience", HUB]);
    let answer = explained(&["--config", path, &token("https://shop.example.com")]);
    check(
        &answer,
        0,
        &["As publisher: accepted.", "As subscriber: refused; the token's issuer has no subscriber key"],
    );
    let answer = explained(&["--config", path, &token("https://other.example.com")]);
    check(&answer, 1, &["As publisher: refused", "Trusted issuers: https://shop.example.com."]);
    let legacy = minted(&["--legacy", "--key", KEY, "--publish", "*"]);
    check(&explained(&["--config", path, &legacy]), 1, &["no publisher key is configured for that"]);
    let (code, said) = refused(&["token", "explain", "--config", "/nowhere/fanfare.toml", "x"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("/nowhere/fanfare.toml"), "{said}");
}

#[test]
fn every_refusal_says_what_to_do_and_shows_no_key() {
    let pem = include_str!("../../http/tests/token/keys/rsa.pub.pem");
    let cases: [(&[&str], &str); 11] = [
        (&["mint"], "--key is missing"),
        (&["mint", "--key", KEY], "--issuer is missing"),
        (&["mint", "--key", KEY, "--issuer", "i"], "--audience is missing"),
        (&["mint", "--legacy", "--key", "short-one"], "--key: the secret has 9 bytes"),
        (&["mint", "--legacy", "--key", "@/nowhere/key"], "/nowhere/key cannot be read"),
        (&["mint", "--dev", "--payload", "{"], "--payload: EOF"),
        (&["mint", "--dev", "--payload", "{}"], "a payload means nothing without a topic"),
        (&["mint", "--dev", "--subscribe", ""], "--subscribe: \"match\" must not be empty"),
        (
            &["explain", "--publisher-jwt-key", pem, "x"],
            "--publisher-jwt-key: this is a key in PEM, so its algorithm",
        ),
        (&["explain", "--publisher-jwt-key", pem, "--publisher-jwt-alg", "HS256", "x"], "could make tokens"),
        (&["explain", "--jwks-url", "http://a.example", "x"], "--jwks-url: key sets are fetched over https"),
    ];
    for (arguments, expected) in cases {
        let (code, said) = refused(&[&["token"], arguments].concat());
        assert_eq!(code, Some(2), "{said}");
        assert!(said.starts_with("fanfare: ") && said.contains(expected), "{arguments:?}: {said}");
        assert!(![KEY, "short-one", "BEGIN PUBLIC"].iter().any(|key| said.contains(key)), "{said}");
    }
    let (code, page) = explained(&["--dev", "nonsense"]);
    assert_eq!(code, Some(1));
    assert!(page.contains("It cannot be read: the token is not three parts"), "{page}");
}
