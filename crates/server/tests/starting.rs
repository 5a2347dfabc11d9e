//! Starting the program: what it prints, what it refuses, and where its settings come from.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::Command;

use common::{HUB, Hub, fanfare, read_until, refused, request};

#[test]
fn without_keys_it_says_what_to_set() {
    let key = "--publisher-jwt-key=0123456789abcdef0123456789abcdef";
    for (arguments, expected) in [
        (&["serve"][..], "no key for publishers is set"),
        (&["serve", key], "no key for subscribers is set"),
        (&["serve", "--anonymous"], "no key for publishers is set"),
    ] {
        let (code, said) = refused(arguments);
        assert_eq!(code, Some(2));
        assert!(said.contains(expected) && said.contains("-jwt-key") && said.contains("--dev"), "{said}");
    }
}

#[test]
fn with_dev_it_takes_loopback_addresses_only() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"] {
        let (code, said) = refused(&["serve", "--dev", "--listen", "127.0.0.1:0", "--listen", address]);
        assert_eq!(code, Some(2));
        assert!(said.contains("loopback") && said.contains(address), "{said}");
        let (code, _) = refused(&["serve", "--dev", "--listen", "127.0.0.1:0", "--admin-listen", address]);
        assert_eq!(code, Some(2));
    }
}

#[test]
fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = refused(&["serve", "--dev", "--listen", &address]);
    assert_eq!(code, Some(1));
    assert_eq!(
        said,
        format!(
            "fanfare: cannot listen on {address}: another program does; stop it, or choose another address with --listen\n"
        )
    );
}

#[test]
fn values_that_mean_nothing_are_refused_with_what_would_be_understood() {
    for (arguments, hint) in [
        (["--history-bytes", "lots"], "64MiB"),
        (["--history-age", "15"], "1h30m"),
        (["--idempotency-keys", "many"], "invalid digit"),
        (["--idempotency-age", "1 day"], "1h30m"),
        (["--keep-alive", "soon"], "15s"),
        (["--listen", "here"], "invalid socket address"),
        (["--engine", "floppy"], "memory"),
        (["--durability", "maybe"], "fsync"),
        (["--bookmarks", "some"], "browsers"),
        (["--compression", "br"], "gzip"),
        (["--compression", "gzip,off"], "auto"),
        (["--unknown-id", "newest"], "oldest"),
        (["--log-format", "xml"], "json"),
        (["--io-uring", "maybe"], "auto"),
        (["--write-timeout", "100ms"], "1s or longer"),
    ] {
        let (code, said) = refused(&[&["serve", "--dev"], &arguments[..]].concat());
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(said.contains(hint), "{said}");
    }
    let (code, said) = refused(&["serve", "--dev", "--history-events", "0"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("at least one event"), "{said}");
}

#[test]
fn io_uring_is_used_when_it_is_asked_for_or_its_lack_is_a_reason_not_to_start() {
    let arguments = ["serve", "--dev", "--listen", "127.0.0.1:0", "--io-uring", "on", "--log-format", "json"];
    let mut hub = fanfare(&arguments).spawn().unwrap();
    let (mut out, mut err) =
        (BufReader::new(hub.stdout.take().unwrap()), BufReader::new(hub.stderr.take().unwrap()));
    let mut said = String::new();
    if out.read_line(&mut said).unwrap() > 0 {
        assert!(said.starts_with("listening on http://"), "{said}");
        let mut logged = String::new();
        err.read_line(&mut logged).unwrap();
        assert!(logged.contains("\"io_uring\":true"), "{logged}");
        hub.kill().unwrap();
        hub.wait().unwrap();
    } else {
        err.read_to_string(&mut said).unwrap();
        assert!(said.ends_with("--io-uring auto goes on without it\n"), "{said}");
        assert_eq!(hub.wait().unwrap().code(), Some(2));
    }
}

#[test]
fn a_dictionary_that_could_not_be_used_is_refused_with_what_would_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let missing = folder.path().join("missing");
    for (path, hint) in [
        (file("empty", b""), "is none: it has 0 bytes, and needs 8 or more"),
        (file("large", &vec![b'x'; (1 << 20) + 1]), "is none: it has more than 1048576 bytes"),
        (file("trained", b"\x37\xa4\x30\xec and more"), "use the sample of events itself"),
        (missing.to_str().unwrap().to_owned(), "cannot be read: No such file"),
        (folder.path().to_str().unwrap().to_owned(), "cannot be read: Is a directory"),
    ] {
        let arguments = ["--dev", "--data-dir", missing.to_str().unwrap(), "--compression-dictionary", &path];
        for command in ["serve", "check"] {
            let (code, said) = refused(&[&[command], &arguments[..]].concat());
            assert_eq!(code, Some(2), "{said}");
            assert!(
                said.contains(&format!("--compression-dictionary {path} ")) && said.contains(hint),
                "{said}"
            );
        }
        assert!(!missing.exists(), "no log was created");
    }
    let path = file("fine", b"data: 12345678");
    let (code, said) =
        refused(&["check", "--dev", "--compression", "off", "--compression-dictionary", &path]);
    assert_eq!(code, Some(2));
    assert!(said.contains("another --compression than off"), "{said}");
}

#[test]
fn help_names_every_flag_with_its_default_and_variable() {
    let help = String::from_utf8(fanfare(&["serve", "--help"]).output().unwrap().stdout).unwrap();
    for flag in [
        "--dev",
        "--listen",
        "--admin-listen",
        "--tls-cert",
        "--tls-key",
        "--trusted-proxies",
        "--forwarded-headers",
        "--proxy-protocol",
        "--max-connections-per-client",
        "--engine",
        "--history-events",
        "--history-bytes",
        "--history-age",
        "--idempotency-keys",
        "--idempotency-age",
        "--keep-alive",
        "--compression",
        "--compression-min-bytes",
        "--compression-dictionary",
        "--bookmarks",
        "--unknown-id",
        "--log-format",
        "--workers",
        "--write-timeout",
        "--io-uring",
        "--max-subscribers",
        "--max-connections",
        "--max-selections-bytes",
        "--max-patterns",
        "--max-patterns-alike",
        "--max-body-bytes",
        "--max-event-bytes",
        "--shutdown-window",
    ] {
        let variable = format!("FANFARE_{}", flag[2..].to_uppercase().replace('-', "_"));
        assert!(help.contains(flag) && help.contains(&variable), "{flag}\n{help}");
    }
    for default in
        ["127.0.0.1:8080", "64MiB", "256KiB", "1MiB", "24h", "15s", "5s", "fsync", "browsers", "live", "text"]
    {
        assert!(help.contains(&format!("[default: {default}]")), "{default}\n{help}");
    }
}

/// The whole path as a newcomer walks it.
#[test]
fn the_printed_curl_line_reaches_the_page() {
    let mut hub = Hub::start(&[]);
    assert_eq!(hub.line(), "");
    let page = hub.line();
    let address = hub.address().to_owned();
    assert_eq!(page, format!("Open http://{address}/ and publish from another terminal:"));
    let curl = hub.line();

    let mut stream = hub.subscribe("topic=demo");
    let output = Command::new("sh").args(["-c", curl.trim()]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = read_until(&mut stream, "data: hello\n\n");
    assert!(text.contains(&format!("id: {}\n", String::from_utf8(output.stdout).unwrap())), "{text}");

    let (status, head, body) = hub.get("/");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/html; charset=utf-8"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{head}");
    assert!(body.contains("<!doctype html>") || body.contains("<!DOCTYPE html>"));
    for (file, content_type) in [("/page/page.css", "text/css"), ("/page/page.js", "text/javascript")] {
        let (status, head, _) = hub.get(file);
        assert_eq!(status, 200);
        assert!(head.contains(content_type), "{head}");
    }
}

#[test]
fn several_addresses_are_one_hub() {
    let arguments = [
        "serve",
        "--dev",
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    let hub = Hub::of(fanfare(&arguments), 3);
    let mut stream = hub.subscribe("match=a");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let (status, _, id) = request(&hub.addresses[1], "POST", HUB, form, "topic=a&data=x");
    assert_eq!(status, 200);
    assert!(read_until(&mut stream, "data: x\n\n").contains(&id));
    assert_eq!(request(&hub.addresses[2], "GET", "/metrics", "", "").0, 200);
    assert_eq!(request(&hub.addresses[2], "POST", HUB, form, "topic=a&data=x").0, 404);
}

#[test]
fn settings_come_from_the_environment_and_flags_win() {
    let mut command = fanfare(&["serve", "--max-event-bytes", "1KiB"]);
    command.env("FANFARE_DEV", "true").env("FANFARE_LISTEN", "127.0.0.1:0,127.0.0.1:0");
    command.env("FANFARE_MAX_BODY_BYTES", "2KiB").env("FANFARE_MAX_EVENT_BYTES", "1GiB");
    let hub = Hub::of(command, 2);
    let (status, _, said) = hub.publish(&format!("topic=a&data={}", "x".repeat(1_500)));
    assert_eq!(status, 413);
    assert!(said.contains("at most 1024"), "{said}");
    let (status, _, said) = hub.publish(&format!("topic=a&data={}", "x".repeat(2_500)));
    assert_eq!((status, said.as_str()), (413, "The body is larger than 2048 bytes.\n"));
}

#[test]
fn history_and_unknown_ids_are_as_set() {
    let hub = Hub::start(&["--history-events", "2", "--unknown-id", "oldest", "--bookmarks", "off"]);
    for number in 1..=3 {
        hub.publish(&format!("topic=a&data=d{number}"));
    }
    let mut stream = hub.subscribe("match=a&last_event_id=lost");
    let text = read_until(&mut stream, "data: d3\n\n");
    assert!(
        text.contains("event: fanfare.gap\n") && text.contains("data: d2\n") && !text.contains("data: d1\n"),
        "{text}"
    );
}

#[test]
fn idempotency_keys_are_remembered_as_set() {
    for (arguments, remembers) in
        [(&[][..], true), (&["--idempotency-keys", "0"], false), (&["--idempotency-age", "0"], false)]
    {
        let hub = Hub::start(arguments);
        let publish = |key: &str| {
            let headers =
                format!("Content-Type: application/x-www-form-urlencoded\r\nIdempotency-Key: {key}\r\n");
            hub.request("POST", HUB, &headers, "topic=a&data=x")
        };
        let ((_, _, first), (status, head, again)) = (publish("order-41"), publish("\"order-41\""));
        assert_eq!((status, first == again), (200, remembers));
        assert_eq!(head.contains("idempotent-replayed: true"), remembers, "{head}");
        let (_, _, metrics) = hub.get("/metrics");
        let duplicates = u8::from(remembers);
        assert!(
            metrics
                .contains(&format!("fanfare_publications_duplicate_total{{hub=\"default\"}} {duplicates}\n")),
            "{metrics}"
        );
    }
}

#[test]
fn a_full_hub_says_so() {
    let hub = Hub::start(&["--max-subscribers", "1"]);
    let _stream = hub.subscribe("match=a");
    let (status, head, _) = hub.get(&format!("{HUB}?match=a"));
    assert_eq!(status, 503);
    assert!(head.contains("retry-after: "), "{head}");
}

#[test]
fn a_hub_whose_subscribers_ask_for_as_much_as_they_may_says_so() {
    let hub = Hub::start(&["--max-selections-bytes", "2KiB"]);
    let _stream = hub.subscribe("match=a");
    let (status, head, body) = hub.get(&format!("{HUB}?match={}", "b".repeat(700)));
    assert_eq!(status, 503);
    assert!(
        head.contains("retry-after: ") && body.contains("takes as much memory as it may."),
        "{head}{body}"
    );
    hub.subscribe("match=a");
    let (_, _, metrics) = hub.get("/metrics");
    let value = metrics.split("\nfanfare_selections_bytes{hub=\"default\"} ").nth(1).expect("a gauge");
    let bytes: usize = value.lines().next().unwrap().parse().unwrap();
    assert!((1..2_048).contains(&bytes), "{bytes}");
}

#[test]
fn a_hub_with_as_many_patterns_as_it_may_have_says_so() {
    for (flag, sentence, has_room_for_others) in [
        ("--max-patterns", "use as many patterns as they may.", false),
        ("--max-patterns-alike", "use as many patterns of this kind as they may;", true),
    ] {
        let hub = Hub::start(&[flag, "1"]);
        let _stream = hub.subscribe("match_urlpattern=/a/:x");
        let (status, head, body) = hub.get(&format!("{HUB}?match_urlpattern=/a/:y"));
        assert_eq!(status, 503, "{flag}");
        assert!(head.contains("retry-after: ") && body.contains(sentence), "{flag}: {head}{body}");
        if has_room_for_others {
            hub.subscribe("match_urlpattern=/b/:y");
        }
        let (_, _, metrics) = hub.get("/metrics");
        assert!(metrics.contains("fanfare_patterns{hub=\"default\"} "), "{metrics}");
    }
}
