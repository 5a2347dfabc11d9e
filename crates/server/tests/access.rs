//! Keys, issuers and what else says who may do what: how it is understood, refused, and kept secret.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::process::{Command, Output};

use common::fanfare;
use tempfile::TempDir;

const SECRET: &str = "correct-horse-battery-staple-0123456789";
const OTHER: &str = "another-secret-of-more-than-32-bytes-yes";
const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

/// A folder with a configuration and some keys.
fn folder(content: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("fanfare.toml", content),
        ("secret.key", &format!("{SECRET}\n")),
        ("windows.key", &format!("{SECRET}\r\n")),
        ("public.pem", PEM),
        ("empty.key", "\n"),
        ("short.key", "hunter2\n"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// What `fanfare check --dev` says: its end, and all that it prints, with single spaces.
fn check(content: &str, variables: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let folder = folder(content);
    let mut command: Command = fanfare(&[&["check", "--dev"], arguments].concat());
    let Output { status, stdout, stderr } =
        command.current_dir(folder.path()).envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8([stdout, stderr].concat()).unwrap();
    for secret in [SECRET, OTHER, "hunter2", "MCowBQ"] {
        assert!(!said.contains(secret), "{secret} is in\n{said}");
    }
    let lines = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n");
    (status.code(), lines.collect())
}

#[track_caller]
fn check_says(content: &str, variables: &[(&str, &str)], arguments: &[&str], expected: &[&str]) {
    let (code, said) = check(content, variables, arguments);
    assert_eq!(code, Some(0), "{said}");
    for expected in expected {
        assert!(said.lines().any(|line| line == *expected), "{expected:?} is not in\n{said}");
    }
}

#[track_caller]
fn check_refuses(content: &str, variables: &[(&str, &str)], arguments: &[&str], expected: &str) {
    let (code, said) = check(content, variables, arguments);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.lines().any(|line| line.starts_with(&format!("fanfare: {expected}"))),
        "{expected:?} is not in\n{said}"
    );
}

#[test]
fn keys_are_given_as_they_are_or_read_from_files() {
    let folder = folder("");
    let url = format!("file://{}/secret.key", folder.path().display());
    for key in [SECRET, "@secret.key", "@windows.key", &url] {
        let expected = [
            "legacy on: publishers have a key for HS256, subscribers nothing",
            "publisher-jwt-key = (set) command line",
        ];
        check_says("", &[], &["--publisher-jwt-key", key], &expected);
    }
    for key in [PEM, "@public.pem", &PEM.replace('\n', "\\n")] {
        let expected = ["legacy on: publishers have nothing, subscribers a key for EdDSA"];
        check_says("", &[], &["--subscriber-jwt-key", key, "--subscriber-jwt-alg", "EdDSA"], &expected);
        let content = format!("subscriber-jwt-alg = \"EdDSA\"\nsubscriber_jwt_key = '''{key}'''");
        check_says(&content, &[], &[], &expected);
    }
}

#[test]
fn a_key_that_does_not_go_with_its_algorithm_is_refused() {
    for (key, alg, expected) in [
        (SECRET, "RS256", "--publisher-jwt-key: the text is not a PEM block of a key for RS256"),
        (
            "@public.pem",
            "HS256",
            "--publisher-jwt-key: a PEM block was given for HS256, which works with a shared secret",
        ),
        ("@public.pem", "", "--publisher-jwt-key: a key in PEM needs its algorithm to be said"),
        ("hunter2", "", "--publisher-jwt-key: the secret has 7 bytes, which can be guessed"),
        ("@short.key", "HS512", "--publisher-jwt-key: the secret has 7 bytes, which can be guessed"),
        ("@empty.key", "", "--publisher-jwt-key: the file empty.key is empty"),
        ("@missing.key", "", "--publisher-jwt-key: the file missing.key cannot be read: "),
        ("file:secret.key", "", "--publisher-jwt-key: "),
        ("", "", "--publisher-jwt-key: a key cannot be empty"),
        (SECRET, "none", "--publisher-jwt-alg: no known algorithm; known are HS256, "),
        // The two were swapped.
        ("HS256", SECRET, "--publisher-jwt-alg: no known algorithm"),
    ] {
        let key = format!("--publisher-jwt-key={key}");
        let alg = format!("--publisher-jwt-alg={alg}");
        let arguments = if alg.ends_with('=') { vec![&*key] } else { vec![&*key, &*alg] };
        check_refuses("", &[], &arguments, expected);
    }
    check_refuses(
        "",
        &[],
        &["--subscriber-jwt-alg", "HS256"],
        "--subscriber-jwt-alg: there is no key that it is for",
    );
}

#[test]
fn trusted_issuers_sign_with_the_keys_at_the_top() {
    let keys = ["--publisher-jwt-key", SECRET, "--trusted-issuers", "https://a.test,https://b.test"];
    let expected = [
        "issuer https://a.test: publishers have a key for HS256, subscribers nothing",
        "issuer https://b.test: publishers have a key for HS256, subscribers nothing",
    ];
    check_says("", &[], &keys, &expected);
    let set = ["--jwks-url", "https://idp.test/jwks?key=hunter2", "--trusted-issuers", "https://a.test"];
    let expected = "issuer https://a.test: publishers have the JWK set at https://idp.test/jwks, subscribers the JWK set at https://idp.test/jwks";
    check_says("", &[], &set, &[expected, "jwks-url = (set) command line"]);
    for (arguments, expected) in [
        (
            &["--trusted-issuers", "https://a.test"][..],
            "--trusted-issuers: there is nothing to check their tokens with",
        ),
        (&["--jwks-url", "https://idp.test/jwks"], "--jwks-url: set trusted-issuers, too"),
        (
            &["--jwks-url", "http://idp.test/jwks?hunter2", "--trusted-issuers", "x"],
            "the JWK set at http://idp.test/jwks would be fetched without TLS",
        ),
        (
            &["--jwks-url", "https://x:hunter2@idp.test/", "--trusted-issuers", "x"],
            "--jwks-url: write the URL of a JWK set",
        ),
        (
            &["--publisher-jwt-key", SECRET, "--legacy", "off"],
            "--legacy: with it off, a token has to come from a trusted issuer",
        ),
    ] {
        check_refuses("", &[], arguments, expected);
    }
}

#[test]
fn issuers_with_keys_of_their_own_stand_in_the_file() {
    let content = "
        [[issuer]]
        id = \"https://idp.test\"
        jwks-url = \"https://idp.test/jwks\"
        jwt-alg = [\"RS256\", \"ES256\"]
        authorization-server = true
        [[issuer]]
        id = 'https://shop.test'
        publisher_jwt_key = '@secret.key'
        subscriber-jwt-key = '@public.pem'
        subscriber-jwt-alg = 'EdDSA'";
    let expected = [
        "issuer https://idp.test: publishers have the JWK set at https://idp.test/jwks for RS256, ES256, subscribers \
         the JWK set at https://idp.test/jwks for RS256, ES256; clients are sent there for tokens",
        "issuer https://shop.test: publishers have a key for HS256, subscribers a key for EdDSA",
    ];
    check_says(content, &[], &[], &expected);
}

#[test]
fn mistakes_in_a_table_of_an_issuer_are_named_with_their_place() {
    for (content, expected) in [
        ("jwks-url = 'https://x/'", "line 1: [[issuer]] id: it is missing"),
        ("id = 'x'", "line 2: [[issuer]] id: this issuer has no keys"),
        (
            "id = 'x'\njwt-key = 'hunter2'",
            "line 3: [[issuer]] jwt-key: the secret has 7 bytes, which can be guessed",
        ),
        ("id = 'x'\njwt-key = 1", "line 3: [[issuer]] jwt-key: it takes a text in quotes"),
        (
            "id = 'x'\njwt-key = ['hunter2', 'hunter2']",
            "line 3: [[issuer]] jwt-key: it takes one text, not a list",
        ),
        ("id = 'x'\njwks-url = []", "line 3: [[issuer]] jwks-url: it takes a text in quotes"),
        ("id = 'x'\njwks-url = 'idp'", "line 3: [[issuer]] jwks-url: write the URL of a JWK set"),
        (
            "id = 'x'\njwks-url = 'https://x/'\njwt-key = '@secret.key'",
            "line 3: [[issuer]] jwks-url: there is a key, too; keep one of them",
        ),
        (
            "id = 'x'\njwks-url = 'https://x/'\njwt-alg = 'HS256'",
            "line 3: [[issuer]] jwks-url: the keys of a JWK set are public, so HS256 cannot be used with them",
        ),
        (
            "id = 'x'\njwt-key = '@public.pem'\njwt-alg = 'hunter2'",
            "line 4: [[issuer]] jwt-alg: no known algorithm",
        ),
        ("id = 'x'\nanonymous = true", "line 3: [[issuer]] anonymous: an issuer has id, jwt-key, "),
        ("authorization-server = 1", "line 2: [[issuer]] authorization-server: it takes true or false"),
        (
            "id = 'x'\njwt-key = '@secret.key'\n[[issuer]]\nid = 'x'\njwt-key = '@secret.key'",
            "line 5: [[issuer]] id: x is named twice",
        ),
    ] {
        check_refuses(&format!("[[issuer]]\n{content}"), &[], &[], &format!("fanfare.toml, {expected}"));
    }
    check_refuses("issuer = 'x'", &[], &[], "fanfare.toml, line 1: issuer: write a table for each issuer");
}

#[test]
fn the_reference_hubs_variables_are_understood_and_what_they_became_is_said() {
    let variables = [
        ("MERCURE_PUBLISHER_JWT_KEY", SECRET),
        ("MERCURE_PUBLISHER_JWT_ALG", "HS512"),
        ("MERCURE_SUBSCRIBER_JWT_KEY", PEM),
        ("MERCURE_SUBSCRIBER_JWT_ALG", "EdDSA"),
        ("MERCURE_TRUSTED_ISSUERS", "https://app.test"),
        ("SERVER_NAME", "http://localhost:9090"),
        ("MERCURE_EXTRA_DIRECTIVES", "anonymous\npublisher_jwt hunter2"),
    ];
    let expected = [
        "hub http://127.0.0.1:9090/.well-known/mercure",
        "issuer https://app.test: publishers have a key for HS512, subscribers a key for EdDSA",
        "publisher-jwt-key = (set) MERCURE_PUBLISHER_JWT_KEY",
        "trusted-issuers = https://app.test MERCURE_TRUSTED_ISSUERS",
        "listen = 127.0.0.1:9090 SERVER_NAME",
        "fanfare: MERCURE_PUBLISHER_JWT_KEY was read: it is --publisher-jwt-key here",
        "fanfare: SERVER_NAME was read: it is --listen 127.0.0.1:9090 here",
        "fanfare: MERCURE_EXTRA_DIRECTIVES was ignored: it is text for Caddy, which is not here; of what stands there, \
         anonymous is --anonymous",
    ];
    check_says("", &variables, &[], &expected);
}

#[test]
fn the_reference_hubs_variables_come_below_ours_and_above_the_file() {
    let file = format!("publisher-jwt-key = \"{OTHER}\"\nlisten = \"127.0.0.1:1\"");
    let reference = [("MERCURE_PUBLISHER_JWT_KEY", SECRET), ("SERVER_NAME", "http://localhost:2")];
    let expected =
        ["publisher-jwt-key = (set) MERCURE_PUBLISHER_JWT_KEY", "listen = 127.0.0.1:2 SERVER_NAME"];
    check_says(&file, &reference, &[], &expected);

    let both =
        [&reference[..], &[("FANFARE_PUBLISHER_JWT_KEY", OTHER), ("MERCURE_PUBLISHER_JWT_ALG", "HS512")]]
            .concat();
    let expected = [
        "legacy on: publishers have a key for HS256, subscribers nothing",
        "publisher-jwt-key = (set) FANFARE_PUBLISHER_JWT_KEY",
        "listen = 127.0.0.1:3 command line",
        "fanfare: MERCURE_PUBLISHER_JWT_KEY was ignored: FANFARE_PUBLISHER_JWT_KEY is there",
        "fanfare: MERCURE_PUBLISHER_JWT_ALG was ignored: it goes with MERCURE_PUBLISHER_JWT_KEY, which does not count",
        "fanfare: SERVER_NAME was ignored: --listen is there",
    ];
    check_says(&file, &both, &["--listen", "127.0.0.1:3"], &expected);
}

/// In our settings an @ means a file. The reference knows nothing of that, and its secrets may begin with one.
#[test]
fn the_reference_hubs_keys_are_taken_as_they_are() {
    let key = format!("@{SECRET}");
    let expected = ["legacy on: publishers have a key for HS256, subscribers nothing"];
    check_says("", &[("MERCURE_PUBLISHER_JWT_KEY", &key)], &[], &expected);
    check_refuses(
        "",
        &[("FANFARE_PUBLISHER_JWT_KEY", "@missing")],
        &[],
        "FANFARE_PUBLISHER_JWT_KEY: the file missing cannot be read",
    );
}

#[test]
fn a_server_name_that_needs_a_certificate_is_refused_with_what_to_do() {
    for name in ["localhost", "hub.test", "https://hub.test", ":443"] {
        let expected =
            format!("SERVER_NAME: \"{name}\" asks for HTTPS with a certificate that the hub gets by itself");
        check_refuses("", &[("SERVER_NAME", name)], &[], &expected);
        check_says("", &[("SERVER_NAME", name)], &["--listen", "127.0.0.1:1"], &[]);
    }
    check_refuses("", &[("SERVER_NAME", "http://x/y")], &[], "SERVER_NAME: \"http://x/y\" is not understood");
    // Whichever layer names the certificate; that it is none is another mistake, which comes later.
    for (content, arguments) in [
        ("tls-cert = 'public.pem'\ntls-key = 'public.pem'", &[][..]),
        ("", &["--tls-cert", "public.pem", "--tls-key", "public.pem"]),
    ] {
        let (_, said) = check(content, &[("SERVER_NAME", "https://localhost")], arguments);
        assert!(said.contains("SERVER_NAME was read: it is --listen 127.0.0.1:443 here"), "{said}");
        assert!(!said.contains("ACME"), "{said}");
    }
}

#[test]
fn what_clients_may_do_is_told() {
    let content = "
        anonymous = true
        public-url = ['https://hub.test', 'http://hub.internal:8080/push']
        cors-origin = ['https://App.test/', 'https://*.shop.test']
        publish-origin = '*'
        subscriptions = true
        max-connection-lifetime = '1h30m'
        publish-rate = '600/m'
        publish-burst = 20
        resource-identifier = 'urn:hub'
        cookie-name = 'token'
        legacy = false
        trusted-issuers = 'x'
        jwks-url = 'http://idp.test/'
        jwks-internal = true";
    let expected = [
        "no token with --dev, everybody publishes, and reads what is public",
        "public URLs https://hub.test/.well-known/mercure, http://hub.internal:8080/push",
        "CORS https://app.test, https://*.shop.test",
        "with cookies *",
        "subscriptions are told",
        "streams end after 1h30m or less",
        "publishing 600/m for each subject, 20 at once",
        "audience urn:hub",
        "cookie token",
        "legacy off",
        "JWK sets may be at loopback and private addresses",
    ];
    check_says(content, &[], &[], &expected);
    check_says(
        "",
        &[("FANFARE_ANONYMOUS", "true"), ("FANFARE_CORS_ORIGIN", "https://a.test,https://b.test")],
        &[],
        &[
            "no token with --dev, everybody publishes, and reads what is public",
            "CORS https://a.test, https://b.test",
        ],
    );
    check_refuses(
        "",
        &[],
        &["--publish-burst", "3"],
        "--publish-burst: there is no limit that it could exceed",
    );
    for (name, value, hint) in [
        ("FANFARE_CORS_ORIGIN", "null", "sandboxed frame"),
        ("FANFARE_CORS_ORIGIN", "https://app.test/path", "without a path"),
        ("FANFARE_PUBLISH_RATE", "100", "100/s"),
        ("FANFARE_PUBLIC_URL", "hub.test", "https://hub.example.com"),
        ("FANFARE_COOKIE_NAME", "a=b", "letters"),
        ("FANFARE_LEGACY", "maybe", "on, off"),
        ("FANFARE_TRUSTED_ISSUERS", "a b", "without spaces"),
        ("FANFARE_MAX_TOPICS", "0", "1 or more"),
    ] {
        let (code, said) = check("", &[(name, value)], &[]);
        assert!(code == Some(2) && said.contains(name) && said.contains(hint), "{said}");
    }
}

#[test]
fn the_key_of_the_documentation_is_warned_about_and_dev_has_it() {
    let key = "!ChangeThisMercureHubJWTSecretKey!";
    let run = |arguments: &[&str]| {
        let output = fanfare(arguments).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let said = run(&["check", "--anonymous", "--publisher-jwt-key", key]);
    assert!(said.contains("everybody can make tokens for this hub") && !said.contains(key), "{said}");
    assert!(said.contains("\nno token      subscribers read what is public\n"), "{said}");
    let said = run(&["check", "--dev"]);
    assert!(
        said.contains("https://localhost: publishers have a key for HS256, subscribers a key for HS256"),
        "{said}"
    );
    assert!(said.contains(" https://localhost/.well-known/mercure\n"), "{said}");
}
