//! Flags, variables and the file: which wins, what is refused and where, and what `check` and `config init` say.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::{Hub, fanfare};
use tempfile::TempDir;

/// A folder in which `fanfare.toml` has this content.
fn folder(content: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("fanfare.toml"), content).unwrap();
    folder
}

fn fanfare_in(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = fanfare(arguments);
    command.current_dir(folder).envs(variables.iter().copied());
    command
}

/// What `fanfare check` says: its end, and what it prints.
fn check(content: &str, variables: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let folder = folder(content);
    let Output { status, stdout, stderr } =
        fanfare_in(folder.path(), &[&["check"], arguments].concat(), variables).output().unwrap();
    let said = String::from_utf8([stdout, stderr].concat()).unwrap();
    // Nothing was created.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{said}");
    (status.code(), said)
}

#[track_caller]
fn check_says(content: &str, variables: &[(&str, &str)], arguments: &[&str], expected: &[&str]) {
    let (code, said) = check(content, variables, &[&["--dev"], arguments].concat());
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<String> =
        said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in expected {
        assert!(lines.iter().any(|line| line == expected), "{expected:?} is not in\n{said}");
    }
}

#[track_caller]
fn check_refuses(content: &str, variables: &[(&str, &str)], expected: &str) {
    let (code, said) = check(content, variables, &["--dev"]);
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(said, format!("fanfare: {expected}\n"));
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let file = "history-events = 1\nkeep-alive = \"1s\"\nbookmarks = \"all\"\n";
    let variables = [("FANFARE_HISTORY_EVENTS", "2"), ("FANFARE_KEEP_ALIVE", "2s")];
    check_says(
        file,
        &variables,
        &["--history-events", "3"],
        &[
            "history-events = 3 command line",
            "keep-alive = 2s FANFARE_KEEP_ALIVE",
            "bookmarks = all fanfare.toml, line 3",
        ],
    );
}

#[test]
fn the_file_is_read_from_the_working_folder_or_from_where_a_flag_or_a_variable_says() {
    let named = folder("history-events = 7\n");
    let path = named.path().join("fanfare.toml");
    let path = path.to_str().unwrap();
    let here = "history-events = 5\n";
    check_says(here, &[], &[], &["file fanfare.toml", "history-events = 5 fanfare.toml, line 1"]);
    let expected = [&*format!("file {path}"), &*format!("history-events = 7 {path}, line 1")];
    check_says(here, &[], &["--config", path], &expected);
    check_says(here, &[("FANFARE_CONFIG", path)], &[], &expected);
    check_says(here, &[("FANFARE_CONFIG", "")], &[], &["history-events = 5 fanfare.toml, line 1"]);

    let (code, said) = check(here, &[], &["--dev", "--config", "missing.toml"]);
    assert_eq!(code, Some(2));
    assert!(said.starts_with("fanfare: missing.toml cannot be read: "), "{said}");
}

#[test]
fn what_the_file_says_is_served_and_logged() {
    let folder =
        folder("listen = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\ndev = true\nmax-body-bytes = \"2KiB\"\n");
    let hub = Hub::of(fanfare_in(folder.path(), &["serve"], &[]), 2);
    let (status, _, said) = hub.publish(&format!("topic=a&data={}", "x".repeat(2_500)));
    assert_eq!((status, said.as_str()), (413, "The body is larger than 2048 bytes.\n"));

    let refused = fanfare_in(folder.path(), &["serve", "--listen", "192.0.2.1:80"], &[]).output().unwrap();
    let logged = String::from_utf8(refused.stderr).unwrap();
    assert!(logged.contains("read the configuration") && logged.contains("fanfare.toml"), "{logged}");
}

#[test]
fn a_switch_can_be_said_no_to_in_each_layer() {
    let serves = |content: &str, variables: &[(&str, &str)], arguments: &[&str]| {
        check(content, variables, arguments).1.contains("beside the hub, with --dev")
    };
    for (file, variable, flag, expected) in [
        ("dev = true", "", "", true),
        ("dev = true", "false", "", false),
        ("dev = true", "0", "", false),
        ("dev = false", "1", "", true),
        ("dev = false", "true", "--dev=false", false),
        ("dev = true", "", "--dev=false", false),
        ("dev = false", "false", "--dev", true),
    ] {
        let flags: &[&str] = if flag.is_empty() { &[] } else { &[flag] };
        assert_eq!(serves(file, &[("FANFARE_DEV", variable)], flags), expected, "{file} {variable} {flag}");
    }
}

#[test]
fn values_are_written_as_toml_has_them_or_as_on_the_command_line() {
    for (content, expected) in [
        ("max-body-bytes = 65536", "max-body-bytes = 65536 fanfare.toml, line 1"),
        ("max_body_bytes = \"64KiB\"", "max-body-bytes = 64KiB fanfare.toml, line 1"),
        ("max-body-bytes = 0x1_00", "max-body-bytes = 256 fanfare.toml, line 1"),
        ("keep-alive = 0", "keep-alive = 0 fanfare.toml, line 1"),
        ("io-uring = false", "io-uring = off fanfare.toml, line 1"),
        ("listen = \"127.0.0.1:1\"", "listen = 127.0.0.1:1 fanfare.toml, line 1"),
        (
            "\n\nlisten = [\n\"127.0.0.1:1\", \"[::1]:1\"]",
            "listen = 127.0.0.1:1, [::1]:1 fanfare.toml, line 3",
        ),
    ] {
        check_says(content, &[], &[], &[expected]);
    }
}

#[test]
fn mistakes_are_named_with_their_place_and_what_is_allowed() {
    for (content, expected) in [
        ("history-byts = 3", "line 1: there is no setting history-byts; did you mean history-bytes?"),
        (
            "frobnicate = 3",
            "line 1: there is no setting frobnicate; `fanfare config init` prints a file with all there are",
        ),
        (
            "\n[limits]\nworkers = 1",
            "line 2: there is no table [limits]; settings stand at the top of the file, without one, and issuers below [[issuer]]",
        ),
        (
            "# x\nkeep-alive = \"soon\"",
            "line 2: keep-alive: \"soon\" is not understood: write a duration with its unit, such as 250ms, 15s, 30m, 1h30m or 7d",
        ),
        ("workers = \"many\"", "line 1: workers: \"many\" is not understood: write a whole number"),
        (
            "bookmarks = \"some\"",
            "line 1: bookmarks: \"some\" is not understood: write one of browsers, all, off",
        ),
        ("dev = \"yes\"", "line 1: dev: it takes true or false, without quotes"),
        ("workers = [1]", "line 1: workers: it takes one value, not a list"),
        ("listen = []", "line 1: listen: it takes at least one value"),
        ("data-dir = 2026-11-25", "line 1: data-dir: it takes a text in quotes, or a number"),
        ("workers = 1\nworkers = 2", "line 2: this is not TOML: duplicate key"),
        (
            "max-body-bytes = 1\nmax_body_bytes = 1",
            "line 2: max-body-bytes stands here for the second time, with - and with _",
        ),
        ("keep-alive = \"1s", "line 1: this is not TOML: invalid basic string, expected `\"`"),
        (
            "config = \"x\"",
            "line 1: the file cannot name another file; that is for --config and FANFARE_CONFIG",
        ),
    ] {
        check_refuses(content, &[], &format!("fanfare.toml, {expected}"));
    }
    for (name, value, expected) in [
        (
            "FANFARE_ENGINE",
            "floppy",
            "\"floppy\" is not understood: an engine is disk, memory, servers of NATS such as nats://host:4222, or a server of Redis such as redis://host:6379",
        ),
        ("FANFARE_WORKERS", "x", "\"x\" is not understood: write a whole number"),
    ] {
        check_refuses("", &[(name, value)], &format!("{name}: {expected}"));
    }
}

/// A mistake in the file would otherwise come to light when the variable above it is gone.
#[test]
fn a_mistake_counts_also_where_another_layer_decides() {
    let (code, said) = check("workers = \"x\"", &[("FANFARE_WORKERS", "2")], &["--dev", "--workers", "3"]);
    assert_eq!(code, Some(2), "{said}");
}

#[test]
fn a_misspelt_variable_is_told_and_changes_nothing() {
    let (code, said) =
        check("", &[("FANFARE_DATADIR", "x"), ("FANFARE_SERVICE_HOST", "10.0.0.1")], &["--dev"]);
    assert_eq!(code, Some(0), "{said}");
    let notes: Vec<_> = said.lines().filter(|line| line.starts_with("fanfare: ")).collect();
    let note =
        "fanfare: the variable FANFARE_DATADIR is no setting and was ignored; did you mean FANFARE_DATA_DIR?";
    assert_eq!(notes, [note]);
}

#[test]
fn check_refuses_what_serve_refuses() {
    for (arguments, expected) in [
        (&["--dev", "--listen", "0.0.0.0:80"][..], "loopback"),
        (&["--dev", "--history-events", "0"], "at least one event"),
        (&["--dev", "--data-dir", "fanfare.toml"], "fanfare.toml is not a folder"),
    ] {
        let (code, said) = check("", &[], arguments);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn check_says_what_would_be_served() {
    let arguments = ["--data-dir", "somewhere", "--admin-listen", "127.0.0.1:1"];
    let expected = [
        "hub http://127.0.0.1:8080/.well-known/mercure",
        "admin http://127.0.0.1:1",
        "engine disk in somewhere, which would be created; durability fsync",
    ];
    check_says("", &[], &arguments, &expected);
    check_says("", &[], &[], &["engine memory; the log is gone when this process ends"]);
}

#[test]
fn the_printed_file_changes_nothing_and_is_never_written_over_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = fanfare_in(folder.path(), arguments, &[]).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, printed, _) = run(&["config", "init"]);
    assert_eq!(code, Some(0));
    let init = ["config", "init", "--output", "fanfare.toml"];
    assert_eq!(run(&init).0, Some(0));
    let path = folder.path().join("fanfare.toml");
    assert_eq!(fs::read_to_string(&path).unwrap(), printed);
    let (code, said, _) = run(&["check", "--dev"]);
    assert_eq!(code, Some(0));
    assert!(said.ends_with("(fanfare serve --help):\n  dev = true  command line\n"), "{said}");

    fs::write(&path, "dev = true\n").unwrap();
    let refused = "fanfare: fanfare.toml is already there; --force writes over it\n".to_owned();
    assert_eq!(run(&init), (Some(2), String::new(), refused));
    assert_eq!(fs::read_to_string(&path).unwrap(), "dev = true\n");
    assert_eq!(run(&[&init[..], &["--force"]].concat()).0, Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), printed);
}
