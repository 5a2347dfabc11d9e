//! Keys and other secrets, given in each way: nothing that the program prints repeats them.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::process::Output;

use common::fanfare;

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
