//! The running program: health, counts, strangers, and shortages.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Read;
use std::process::Command;

use common::{HUB, Hub, fanfare, read_until};

#[test]
fn health_and_readiness_are_told() {
    let hub = Hub::start(&[]);
    let (status, _, body) = hub.get("/healthz");
    assert_eq!((status, body.as_str()), (200, "ok"));
    let (status, _, body) = hub.get("/readyz");
    assert_eq!((status, body.as_str()), (200, "ready"));
    let (status, _, body) = hub.get("/nowhere");
    assert_eq!((status, body.as_str()), (404, "There is nothing at this URL.\n"));
    let (status, head, body) = hub.request("POST", "/healthz", "", "");
    assert_eq!(
        (status, body.as_str()),
        (405, "This URL does not take that method; the header Allow says which it takes.\n")
    );
    assert!(head.contains("allow: get"), "{head}");
}

#[test]
fn what_happens_is_counted() {
    let hub = Hub::start(&["--bookmarks", "off"]);
    let metric = |name: &str| -> u64 {
        let (status, head, text) = hub.get("/metrics");
        assert_eq!(status, 200);
        assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
        let line =
            text.lines().find(|line| line.starts_with(&format!("fanfare_{name}"))).expect(name).to_owned();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    let mut first = hub.subscribe("match=a");
    let mut second = hub.subscribe("match=a&last_event_id=lost");
    hub.publish("topic=a&data=x");
    read_until(&mut first, "data: x\n\n");
    read_until(&mut second, "data: x\n\n");
    // Deliveries are counted when those who made them look up from their work.
    while metric("deliveries_total{hub=\"default\"}") < 2 {}
    assert_eq!(metric("subscribers{hub=\"default\"}"), 2);
    assert_eq!(metric("publications_total{hub=\"default\"}"), 1);
    assert_eq!(metric("deliveries_total{hub=\"default\"}"), 2);
    assert_eq!(metric("gaps_total{hub=\"default\",reason=\"unknown\"}"), 1);
    assert_eq!(metric("resumes_total{hub=\"default\",outcome=\"fresh\"}"), 1);
    assert_eq!(metric("resumes_total{hub=\"default\",outcome=\"gap\"}"), 1);
    assert_eq!(
        metric("log_next_position{hub=\"default\"}"),
        metric("log_oldest_position{hub=\"default\"}") + 1
    );
    assert!(metric("delivered_bytes_total{hub=\"default\"}") > 20);
    assert_eq!(metric("fanout_connections{hub=\"default\"}"), 2);
    let (status, _, listed) = hub.get("/admin/subscribers?limit=1");
    assert_eq!((status, listed.matches("\"address\":\"127.0.0.1:").count()), (200, 1), "{listed}");
    drop((first, second));
    while metric("subscribers{hub=\"default\"}") > 0 {}
}

#[test]
fn a_page_of_another_origin_may_read_that_the_hub_is_not_the_one_of_that_name_m122() {
    let hub = Hub::of(
        fanfare(&[
            "serve",
            "--engine",
            "memory",
            "--listen",
            "127.0.0.1:0",
            "--publisher-jwt-key",
            "a secret of more than thirty-two bytes",
            "--trusted-issuers",
            "https://shop.test",
            "--anonymous",
            "--public-url",
            "http://push.test/.well-known/mercure",
            "--cors-origin",
            "https://app.test",
        ]),
        1,
    );
    let asked = |origin: &str| {
        let headers = format!("Host: other.test\r\nOrigin: {origin}\r\n");
        let (status, head, _) = hub.request("GET", HUB, &headers, "");
        assert_eq!(status, 421);
        head.to_ascii_lowercase().contains(&format!("access-control-allow-origin: {origin}"))
    };
    assert!(asked("https://app.test") && !asked("https://evil.test"));
}

#[test]
fn strangers_are_refused_in_a_sentence() {
    let hub = Hub::start(&[]);
    let (status, _, said) = hub.request("GET", "/", "Host: evil.test\r\n", "");
    assert_eq!(status, 421);
    assert_eq!(said, "Here only localhost and loopback addresses are answered to (header Host).\n");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let (status, _, said) =
        hub.request("POST", HUB, &format!("{form}Origin: http://evil.test\r\n"), "topic=a");
    assert_eq!(status, 403);
    assert!(said.contains("Origin"), "{said}");
    let own = format!("{form}Origin: http://{}\r\n", hub.address());
    assert_eq!(hub.request("POST", HUB, &own, "topic=a").0, 200);
    assert_eq!(hub.request("POST", HUB, &format!("{form}Host: localhost:1\r\n"), "topic=a").0, 200);
}

/// More connections than file descriptors: those that are served stay, and when some leave, others are taken.
#[cfg(target_os = "linux")]
#[test]
fn running_out_of_file_descriptors_is_survived() {
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_fanfare");
    command.args([
        "-c",
        &format!("ulimit -n 64; exec {program} serve --dev --max-connections 1000 --listen 127.0.0.1:0"),
    ]);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let hub = Hub::of(command, 1);
    let mut stream = hub.subscribe("match=a");
    let mut early = hub.connect();
    let crowd: Vec<_> = (0..100).map(|_| hub.connect()).collect();
    // Asked on a connection from before, until somebody of the crowd could not be taken.
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", hub.address());
    loop {
        std::io::Write::write_all(&mut early, request.as_bytes()).unwrap();
        read_until(&mut early, "\nfanfare_accept_failures_total{hub=\"default\"} ");
        if !read_until(&mut early, "\n").ends_with("0\n") {
            break;
        }
    }
    drop(crowd);
    let (status, _, _) = hub.publish("topic=a&data=x");
    assert_eq!(status, 200);
    read_until(&mut stream, "data: x\n\n");
    let (_, _, metrics) = hub.get("/metrics");
    let failures = metrics.lines().find(|line| line.starts_with("fanfare_accept_failures_total")).unwrap();
    assert!(!failures.ends_with(" 0"), "{failures}");
}

/// More connections than there may be: who is served stays, others are told, operators are let in, and no file descriptor is missing.
#[cfg(target_os = "linux")]
#[test]
fn a_hub_that_is_full_says_so_and_keeps_room_for_operators_and_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_fanfare");
    let addresses = "--listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --anonymous";
    let folder = folder.path().display();
    let key = "--publisher-jwt-key 'a secret of more than thirty-two bytes'";
    command.args([
        "-c",
        &format!("ulimit -n 256; exec {program} serve {addresses} {key} --engine disk --data-dir {folder}"),
    ]);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let hub = Hub::of(command, 2);
    let admin = || common::request(&hub.addresses[1], "GET", "/metrics", "", "").2;
    let counted = |name: &str| -> u64 {
        let text = admin();
        let line =
            text.lines().find(|line| line.starts_with(&format!("fanfare_{name}{{"))).expect(name).to_owned();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    let mut streams = vec![hub.subscribe("match=a")];
    let told = loop {
        let mut socket = hub.connect();
        let request = format!("GET {HUB}?match=a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        std::io::Write::write_all(&mut socket, request.as_bytes()).unwrap();
        let head = read_until(&mut socket, "\r\n\r\n");
        if !head.starts_with("HTTP/1.1 200 ") {
            break head;
        }
        streams.push(socket);
        assert!(streams.len() < 256, "some of the files are not connections");
    };
    assert!(
        told.starts_with("HTTP/1.1 429 ") && told.to_ascii_lowercase().contains("retry-after: "),
        "{told}"
    );
    // What is far too much is closed, and takes no file descriptor from anybody.
    let crowd: Vec<_> = (0..300).map(|_| hub.connect()).collect();
    while counted("connections_total") < streams.len() as u64 + 301 {}
    assert!(counted("refused_full_total") > 200);
    assert_eq!(counted("accept_failures_total"), 0);
    drop(crowd);
    streams.truncate(1);
    while counted("fanout_connections") > 1 {}
    while hub.request("GET", &format!("{HUB}/nothing"), "", "").0 != 404 {}
}

#[test]
fn a_stream_over_http_1_0_ends_with_its_connection() {
    let hub = Hub::start(&["--shutdown-window", "0"]);
    let mut socket = hub.connect();
    std::io::Write::write_all(
        &mut socket,
        format!("GET {HUB}?match=a HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes(),
    )
    .unwrap();
    let head = read_until(&mut socket, ":\n").to_ascii_lowercase();
    assert!(!head.contains("transfer-encoding"), "{head}");
    hub.publish("topic=a&data=x");
    read_until(&mut socket, "data: x\n\n");
    hub.signal("TERM");
    let mut rest = String::new();
    socket.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("retry: ") && rest.ends_with("\n\n"), "{rest}");
}
