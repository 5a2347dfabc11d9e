//! Keys and other secrets, given in each way: nothing that the program prints repeats them.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use common::{HUB, Hub, fanfare, forget_variables};
use fanfare_http::token::{Algorithm, Language, Mint, SigningKey, TopicMatcher};

const SECRET: &str = "correct-horse-battery-staple-0123456789";

/// Each way in which a secret can be given, and each way in which the program can answer.
#[test]
fn secrets_are_never_shown() {
    let in_file =
        format!("publisher-jwt-key = \"{SECRET}\"\njwks-url = \"https://idp.test/?key={SECRET}\"\n");
    let broken = format!("publisher-jwt-key = \"{SECRET}\nx");
    let mistyped = format!("publisher-jwt-kye = \"{SECRET}\"");
    let bare = format!("publisher-jwt-key = {SECRET}");
    let list = format!("publisher-jwt-key = [\"{SECRET}\"]");
    let table = format!("[[issuer]]\nid = 'x'\nsecret = \"{SECRET}\"");
    let contents = ["", &in_file, &broken, &mistyped, &bare, &list, &table];
    let names = [
        "FANFARE_PUBLISHER_JWT_KEY",
        "FANFARE_PUBLISHER_JWT_ALG",
        "FANFARE_JWKS_URL",
        "MERCURE_PUBLISHER_JWT_KEY",
        "MERCURE_PUBLISHER_JWT_ALG",
        "FANFARE_PUBLISHER_JWT_KYE",
        "MERCURE_EXTRA_DIRECTIVES",
    ];
    let value = |flag: &str| format!("{flag}={SECRET}");
    let flags = [
        value("--publisher-jwt-key"),
        value("--publisher-jwt-alg"),
        value("--publisher-jwt-kye"),
        value("--jwks-url"),
    ];
    let mut asked: Vec<(&str, Option<&str>, Vec<&str>)> = Vec::new();
    asked.extend(contents.iter().map(|content| (*content, None, vec![])));
    asked.extend(names.iter().map(|name| ("", Some(*name), vec![])));
    asked.extend(flags.iter().map(|flag| ("", None, vec![flag.as_str()])));
    // Twice, which is refused.
    asked.push(("", None, vec![&flags[0], &flags[0]]));
    asked.push(("", None, vec![&flags[0], "--workers", "x"]));
    asked.push(("", None, vec!["--publisher-jwt-key", SECRET, "--jwks-url", SECRET]));
    for (content, variable, arguments) in asked {
        // An address that is not ours ends `serve` before it serves.
        let serve = ["serve", "--dev", "--listen", "192.0.2.1:1"];
        for asked in [&["check", "--dev"][..], &["check"], &["check", "--help"], &["serve", "-h"], &serve] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("fanfare.toml"), content).unwrap();
            let mut command = fanfare(&[asked, &arguments].concat());
            command
                .current_dir(folder.path())
                .env("RUST_LOG", "trace")
                .envs(variable.map(|name| (name, SECRET)));
            let Output { stdout, stderr, .. } = command.output().unwrap();
            let said = String::from_utf8([stdout, stderr].concat()).unwrap();
            assert!(!said.contains(SECRET) && !said.is_empty(), "{content} {variable:?} {asked:?}\n{said}");
        }
    }
}

/// Goal: whoever reads the log cannot publish with what stands there.
/// Method: a token in each way in which it can be sent, good and broken, over both versions of HTTP, with everything logged that can be.
#[test]
fn no_token_is_logged_however_it_was_sent_m093() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$0\" serve --dev --listen 127.0.0.1:0 2>\"$LOG\""])
        .arg(fanfare(&[]).get_program());
    forget_variables(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).env("LOG", &log).env("RUST_LOG", "trace");
    let hub = Hub::of(command, 1);
    let all = || [TopicMatcher::new(Language::UrlPattern, "*").unwrap()];
    let key = SigningKey::secret(Algorithm::Hs256, "!ChangeThisMercureHubJWTSecretKey!").unwrap();
    let mint = Mint::modern("https://localhost", "https://localhost/.well-known/mercure");
    let token = mint.publish(all()).subscribe(all()).sign(&key, SystemTime::now()).unwrap();
    let broken = format!("{}x", &token[..token.len() - 1]);
    let mut statuses = Vec::new();
    for token in [&token, &broken] {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let in_query = format!("?authorization={token}");
            for (query, header) in [
                ("", format!("Authorization: Bearer {token}")),
                ("", format!("Cookie: __Secure-mercure_access_token={token}")),
                (&*in_query, "X: y".to_owned()),
            ] {
                let url = format!("http://{}{HUB}{query}", hub.address());
                let mut curl = Command::new("curl");
                curl.args([
                    "--silent",
                    "--noproxy",
                    "*",
                    "--max-time",
                    "60",
                    version,
                    "--data",
                    "topic=a",
                    "--header",
                    &header,
                ]);
                let curl = curl
                    .args(["--output", "/dev/null", "--write-out", "%{http_code}", &url])
                    .output()
                    .expect("curl runs");
                statuses.push(String::from_utf8(curl.stdout).unwrap());
            }
        }
    }
    assert!(
        statuses.iter().any(|status| status == "200") && statuses.iter().any(|status| status == "401"),
        "{statuses:?}"
    );
    drop(hub);
    let said = fs::read_to_string(log).unwrap();
    assert!(said.contains(" TRACE ") || said.contains(" DEBUG "), "it says what it can: {said}");
    for part in token.split('.').chain(broken.split('.').skip(2)) {
        assert!(!said.contains(part), "{said}");
    }
}
