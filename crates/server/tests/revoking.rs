//! Tokens that operators take back: streams end, and what was revoked stays so over a restart, however the program ended and
//! however little the log keeps (P7).

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::SystemTime;

use common::{HONOURS_TOKENS, HUB, Hub, ISSUER, fanfare, read_until, request, token};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

/// A hub for tokens, over a log on the disk, with operators on a port of their own.
fn serve(folder: &Path, more: &[&str]) -> Hub {
    let folder = folder.to_str().expect("text");
    let arguments =
        ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir", folder];
    Hub::of(fanfare(&[&arguments[..], &HONOURS_TOKENS, more].concat()), 2)
}

fn admin(hub: &Hub, method: &str, target: &str, body: &str) -> (u16, String) {
    let (status, _, body) = request(&hub.addresses[1], method, target, JSON, body);
    (status, body)
}

/// Revokes; gives the id, and how many streams were cut.
fn revoke(hub: &Hub, what: &str) -> (String, u64) {
    let (status, body) = admin(hub, "POST", "/admin/revocations", what);
    assert_eq!(status, 200, "{body}");
    let rest = body.strip_prefix(r#"{"id":""#).expect("an id first");
    let (id, rest) = rest.split_once(r#"","streams_cut":"#).expect("a number next");
    (id.to_owned(), rest.trim_end_matches('}').parse().expect("a number"))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn publish(hub: &Hub, token: &str, data: &str) -> u16 {
    let headers = format!("{FORM}{}", bearer(token));
    hub.request("POST", HUB, &headers, &format!("topic=a&private=on&data={data}")).0
}

fn subscribe(hub: &Hub, token: &str) -> TcpStream {
    let mut socket = hub.connect();
    let address = hub.address();
    write!(socket, "GET {HUB}?match=a HTTP/1.1\r\nHost: {address}\r\n{}\r\n", bearer(token))
        .expect("a request");
    read_until(&mut socket, ":\n");
    socket
}

fn check_refused(hub: &Hub, token: &str) {
    assert_eq!(publish(hub, token, "x"), 401);
    let (status, head, _) = hub.request("GET", &format!("{HUB}?match=a"), &bearer(token), "");
    assert_eq!(status, 401);
    assert!(head.contains(r#"error="invalid_token""#), "{head}");
}

fn check_honoured(hub: &Hub, token: &str) {
    assert_eq!(publish(hub, token, "x"), 200);
    drop(subscribe(hub, token));
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn a_revoked_subject_loses_its_streams_and_stays_out_over_a_kill_p7() {
    let folder = folder();
    let (alice, bob) = (token("alice"), token("bob"));
    let mut hub = serve(folder.path(), &[]);
    let (mut ended, mut stays) = (subscribe(&hub, &alice), subscribe(&hub, &bob));
    let (id, cut) = revoke(&hub, &format!(r#"{{"subject":"alice","issuer":"{ISSUER}"}}"#));
    assert_eq!(cut, 1);
    let mut rest = String::new();
    ended.read_to_string(&mut rest).expect("a clean end");
    assert!(rest.contains("retry: "), "{rest}");
    check_refused(&hub, &alice);
    assert_eq!(publish(&hub, &bob, "still+there"), 200);
    read_until(&mut stays, "data: still there\n\n");
    let listed = admin(&hub, "GET", "/admin/revocations", "").1;
    assert_eq!(listed, format!(r#"[{{"id":"{id}","subject":"alice","issuer":"{ISSUER}","streams_cut":1}}]"#));
    hub.signal("KILL");
    hub.wait();

    let mut hub = serve(folder.path(), &[]);
    check_refused(&hub, &alice);
    check_refused(&hub, &token("alice"));
    check_honoured(&hub, &bob);
    assert_eq!(admin(&hub, "DELETE", &format!("/admin/revocations/{id}"), "").0, 204);
    assert_eq!(admin(&hub, "DELETE", &format!("/admin/revocations/{id}"), "").0, 404);
    check_honoured(&hub, &alice);
    hub.signal("KILL");
    hub.wait();
    check_honoured(&serve(folder.path(), &[]), &alice);
}

/// Goal: retention has dropped the entry by which somebody was revoked before the program is killed.
/// Method: publish until the log begins behind it and says again what holds, which it does by itself.
#[test]
fn what_the_log_keeps_of_events_does_not_bound_what_is_revoked_p7() {
    let folder = folder();
    let (alice, bob) = (token("alice"), token("bob"));
    let few = ["--history-events", "40"];
    let mut hub = serve(folder.path(), &few);
    revoke(&hub, r#"{"subject":"alice"}"#);
    let position = |hub: &Hub, which: &str| {
        let (_, _, text) = request(&hub.addresses[1], "GET", "/metrics", "", "");
        let name = format!("fanfare_{which}_position");
        let line = text.lines().find(|line| line.starts_with(&name)).unwrap_or_else(|| panic!("{text}"));
        line.rsplit(' ').next().and_then(|number| number.parse::<u64>().ok()).expect("a number")
    };
    let (mut published, mut own) = (0, 0);
    while position(&hub, "disk_oldest") < 200 {
        // More than half of what is kept.
        for _ in 0..25 {
            assert_eq!(publish(&hub, &bob, "x"), 200);
            published += 1;
        }
        let own_now = |hub: &Hub| position(hub, "log_next") - 1 - published;
        while position(&hub, "disk_oldest") > 1 && own_now(&hub) == own {}
        own = own_now(&hub);
    }
    hub.signal("KILL");
    hub.wait();
    let hub = serve(folder.path(), &few);
    check_refused(&hub, &alice);
    check_honoured(&hub, &bob);
}

#[test]
fn tokens_are_revoked_by_when_they_were_issued_p7() {
    let folder = folder();
    let alice = token("alice");
    let hub = serve(folder.path(), &[]);
    revoke(&hub, r#"{"issued_before":"2020-01-01T00:00:00+01:00"}"#);
    check_honoured(&hub, &alice);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    revoke(&hub, &format!(r#"{{"issued_before":{now},"issuer":"{ISSUER}","until":{}}}"#, now + 3600));
    check_refused(&hub, &alice);
}

#[test]
fn what_cannot_be_revoked_is_refused_with_a_sentence_p7() {
    let folder = folder();
    let hub = serve(folder.path(), &[]);
    for (body, expected) in [
        ("{}", (400, "Say whose tokens are revoked")),
        (r#"{"issuer":"x"}"#, (400, "Say whose tokens are revoked")),
        (r#"{"subject":"x","token_id":"y"}"#, (400, "either `subject` or `token_id`")),
        (r#"{"subject":""}"#, (400, "A name is empty.")),
        (r#"{"subject":"x","until":1}"#, (400, "has passed")),
        (r#"{"subject":"x","untill":1}"#, (422, "untill")),
        (r#"{"issued_before":"yesterday"}"#, (422, "a moment such as")),
        (r#"{"subject":1}"#, (422, "subject")),
        ("subject=x", (400, "JSON")),
    ] {
        let (status, sentence) = admin(&hub, "POST", "/admin/revocations", body);
        assert_eq!(status, expected.0, "{body}: {sentence}");
        assert!(sentence.contains(expected.1), "{body}: {sentence}");
    }
    let long = format!(r#"{{"subject":"{}"}}"#, "x".repeat(5_000));
    assert_eq!(admin(&hub, "POST", "/admin/revocations", &long).0, 413);
    // What a page of another origin can send without being asked.
    let (status, _, _) = request(&hub.addresses[1], "POST", "/admin/revocations", FORM, r#"{"subject":"x"}"#);
    assert_eq!(status, 415);
    assert_eq!(admin(&hub, "GET", "/admin/revocations", "").1, "[]");
}

#[test]
fn only_operators_revoke_p7() {
    let folder = folder();
    let hub = serve(folder.path(), &["--admin-token", "an operator's token of some length"]);
    let (alice, body) = (token("alice"), r#"{"subject":"alice"}"#);
    // Not where clients come, whoever they are.
    let headers = format!("{JSON}{}", bearer(&alice));
    assert_eq!(hub.request("POST", "/admin/revocations", &headers, body).0, 404);
    for wrong in ["", &*bearer(&alice)] {
        for (method, target) in [
            ("POST", "/admin/revocations"),
            ("GET", "/admin/revocations"),
            ("DELETE", "/admin/revocations/x"),
        ] {
            let (status, _, _) = request(&hub.addresses[1], method, target, &format!("{JSON}{wrong}"), body);
            assert_eq!(status, 401, "{method} {target}");
        }
    }
    check_honoured(&hub, &alice);
    let right = format!("{JSON}{}", bearer("an operator's token of some length"));
    assert_eq!(request(&hub.addresses[1], "POST", "/admin/revocations", &right, body).0, 200);
    check_refused(&hub, &alice);
}

#[test]
fn operators_with_a_token_may_ask_by_any_name() {
    let folder = folder();
    let ask = |hub: &Hub, target: &str, headers: &str| {
        request(&hub.addresses[1], "GET", target, &format!("Host: hub.internal\r\n{headers}"), "").0
    };
    let hub = serve(folder.path(), &["--admin-token", "an operator's token of some length"]);
    let right = bearer("an operator's token of some length");
    assert_eq!(
        (ask(&hub, "/healthz", ""), ask(&hub, "/metrics", &right), ask(&hub, "/metrics", "")),
        (200, 200, 401)
    );
    drop(hub);
    let hub = serve(folder.path(), &[]);
    assert_eq!(ask(&hub, "/healthz", ""), 421, "what asks for no token is for this machine alone");
}

#[test]
fn in_dev_one_address_has_it_all_p7() {
    let hub = Hub::start(&[]);
    let (status, _, body) = hub.request("POST", "/admin/revocations", JSON, r#"{"token_id":"x"}"#);
    assert_eq!(status, 200, "{body}");
    assert!(body.ends_with("\"streams_cut\":0}"), "{body}");
}

/// `fanfare revoke` at a hub: how it ended, what it printed, and what it said beside.
fn command(hub: &Hub, more: &[&str]) -> (Option<i32>, String, String) {
    let ran = fanfare(&[&["revoke", "--admin", &hub.addresses[1]], more].concat()).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (ran.status.code(), text(ran.stdout), text(ran.stderr))
}

fn metric(hub: &Hub, name: &str) -> u64 {
    let text = request(&hub.addresses[1], "GET", "/metrics", "", "").2;
    let found =
        text.lines().find_map(|line| line.strip_prefix(&format!("fanfare_{name}{{hub=\"default\"}} ")));
    found.unwrap_or_else(|| panic!("{text}")).parse().expect("a number")
}

#[test]
fn the_command_revokes_lists_and_lifts_and_it_is_counted_p7() {
    let folder = folder();
    let hub = serve(folder.path(), &[]);
    let (alice, bob) = (token("alice"), token("bob"));
    let (mut ended, _stays) = (subscribe(&hub, &alice), subscribe(&hub, &bob));
    assert_eq!(command(&hub, &["list"]), (Some(0), "Nothing is revoked.\n".to_owned(), String::new()));

    let (code, said, beside) = command(&hub, &["subject", "alice", "--issuer", ISSUER]);
    let id = said.lines().find_map(|line| line.strip_prefix("id       ")).expect("an id").to_owned();
    let what = format!("tokens of the subject \"alice\" by \"{ISSUER}\", until it is lifted");
    assert_eq!((code, said), (Some(0), format!("revoked  {what}\nstreams  1 ended\nid       {id}\n")));
    assert_eq!(beside, format!("Honoured again by: fanfare revoke --admin {} lift {id}\n", hub.addresses[1]));
    ended.read_to_string(&mut String::new()).expect("a clean end");
    check_refused(&hub, &alice);
    check_honoured(&hub, &bob);
    let counted =
        || ["revocations", "revoked_streams_total", "revoked_requests_total"].map(|name| metric(&hub, name));
    assert_eq!(counted(), [1, 1, 2]);

    for more in [
        &["token", "5f", "--until", "1h"][..],
        &["before", "2020-01-01T00:00:00Z", "--until", "9999-01-01T00:00:00Z"],
    ] {
        assert_eq!(command(&hub, more).0, Some(0));
    }
    let (code, listed, _) = command(&hub, &["list"]);
    assert_eq!((code, listed.lines().count()), (Some(0), 3), "{listed}");
    assert!(listed.contains(&format!("{id}  {what}; 1 streams ended\n")), "{listed}");
    assert!(listed.contains("  the token \"5f\", until 2"), "{listed}");
    let before = "  tokens of everybody issued before 2020-01-01T00:00:00Z, until 9999-01-01T00:00:00Z; 0 streams ended\n";
    assert!(listed.contains(before), "{listed}");

    assert_eq!(command(&hub, &["lift", &id]).0, Some(0));
    check_honoured(&hub, &alice);
    let (code, _, said) = command(&hub, &["lift", &id]);
    assert_eq!(code, Some(1));
    assert!(said.contains("nothing is revoked with the id"), "{said}");
    assert_eq!(counted(), [2, 1, 2]);
}

#[test]
fn the_command_says_what_to_do_when_it_cannot() {
    let folder = folder();
    let hub = serve(folder.path(), &["--admin-token", "an operator's token of some length"]);
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").to_string()
    };
    let (of_hub, right) = (hub.addresses[1].as_str(), "an operator's token of some length");
    for (arguments, expected) in [
        (&["list"][..], (2, "--admin is missing")),
        (&["--admin", "https://hub.test", "list"], (2, "plain HTTP")),
        (&["--admin", of_hub, "before", "yesterday"], (2, "write a moment such as")),
        (&["--admin", of_hub, "token", "5f", "--until", "soon"], (2, "a time from now such as 24h")),
        (&["--admin", of_hub, "lift", "../x"], (2, "is no id of a revocation")),
        (&["--admin", of_hub, "--admin-token", "@/nowhere", "list"], (2, "/nowhere")),
        (&["--admin", &nobody, "list"], (1, "cannot be reached")),
        (&["--admin", of_hub, "list"], (1, "give it with --admin-token @FILE, or in FANFARE_ADMIN_TOKEN")),
        (&["--admin", of_hub, "--admin-token", "wrong", "list"], (1, "what --admin-token gives is another")),
        (&["--admin", hub.address(), "subject", "a"], (1, "the address of the hub's --admin-listen")),
        (&["--admin", of_hub, "--admin-token", right, "token", "5f", "--until", "1"], (1, "has passed")),
    ] {
        let (code, said) = common::refused(&[&["revoke"], arguments].concat());
        assert_eq!(code, Some(expected.0), "{arguments:?}: {said}");
        assert!(said.contains(expected.1), "{arguments:?}: {said}");
        assert!(!said.contains("some length"), "{said}");
    }
    // As they stand in the environment of the hub itself.
    let mut command = fanfare(&["revoke", "list"]);
    let ran = command
        .env("FANFARE_ADMIN_LISTEN", of_hub)
        .env("FANFARE_ADMIN_TOKEN", right)
        .output()
        .expect("it runs");
    assert_eq!((ran.status.code(), &*ran.stdout), (Some(0), &b"Nothing is revoked.\n"[..]));
}
