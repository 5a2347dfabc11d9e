//! What nodes over one log know of each other: who is subscribed where, although nodes die, hang and leave, and who was revoked.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::FLAGS;
use crate::common::{HONOURS_TOKENS, HUB, Hub, ISSUER, PATIENCE, fanfare, read_until, request, token};
use crate::server::Server;

const BELOW: &str = "/.well-known/mercure/subscriptions";

fn bearer(subject: &str) -> String {
    format!("Authorization: Bearer {}\r\n", token(subject))
}

/// A node of a hub.
fn node(server: &Server) -> Hub {
    let url = server.url();
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--engine",
        &url,
        "--shutdown-window",
        "0",
        "--subscriptions",
    ];
    let node = Hub::of(fanfare(&[&arguments[..], &HONOURS_TOKENS, FLAGS].concat()), 2);
    let give_up = Instant::now() + PATIENCE;
    while node.request("GET", "/readyz", "", "").0 != 200 && admin(&node, "/readyz") != 200 {
        assert!(Instant::now() < give_up, "the node does not become ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    node
}

fn admin(node: &Hub, target: &str) -> u16 {
    request(&node.addresses[1], "GET", target, "", "").0
}

/// Opens a stream of a topic.
fn subscribe(node: &Hub, topic: &str) -> TcpStream {
    subscribe_by(node, &format!("match={topic}"), &bearer("alice"))
}

fn subscribe_by(node: &Hub, query: &str, headers: &str) -> TcpStream {
    let mut socket = node.connect();
    write!(socket, "GET {HUB}?{query} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", node.address())
        .expect("a request");
    read_until(&mut socket, ":\n");
    socket
}

/// Somebody who reads all announcements of subscriptions to exact topics, and what those add up to.
struct Watcher {
    socket: TcpStream,
    there: BTreeSet<(String, String)>,
    /// What was announced: the topic, and whether it came.
    told: Vec<(String, bool)>,
}

impl Watcher {
    /// Begins with a list, and reads on behind it.
    fn begin(node: &Hub) -> Self {
        let (there, place) = listed(node);
        let query = format!(
            "match_urlpattern=%2F.well-known%2Fmercure%2Fsubscriptions%2Fexact%2F*&last_event_id={}",
            place.replace('#', "%23")
        );
        let socket = subscribe_by(node, &query, &bearer("watcher"));
        Self { socket, there, told: Vec::new() }
    }

    /// Reads until who is there is as wished.
    fn until(&mut self, what: &str, is_as_wished: impl Fn(&BTreeSet<String>) -> bool) {
        while !is_as_wished(&self.topics()) {
            let announced = read_until(&mut self.socket, "\n\n");
            assert!(!announced.contains("event: fanfare.gap"), "{announced} while waiting until {what}");
            let Some(data) = announced.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
            let document: Value = serde_json::from_str(data).expect("a document");
            let (topic, subscriber) = (text(&document, "match"), text(&document, "subscriber"));
            let is_there = document["active"].as_bool().expect("a truth");
            self.told.push((topic.clone(), is_there));
            if is_there {
                self.there.insert((topic, subscriber));
            } else {
                self.there.remove(&(topic, subscriber));
            }
        }
    }

    fn topics(&self) -> BTreeSet<String> {
        self.there.iter().map(|(topic, _)| topic.clone()).collect()
    }

    /// How often it was told that who is subscribed to a topic came, and was gone.
    fn counts(&self, topic: &str) -> (usize, usize) {
        let count = |came| self.told.iter().filter(|told| **told == (topic.to_owned(), came)).count();
        (count(true), count(false))
    }
}

fn text(document: &Value, name: &str) -> String {
    document[name].as_str().expect("a text").to_owned()
}

/// Who is subscribed to exact topics, topic and subscriber, and where to go on from.
fn listed(node: &Hub) -> (BTreeSet<(String, String)>, String) {
    let mut socket = node.connect();
    let (address, bearer) = (node.address(), bearer("watcher"));
    write!(socket, "GET {BELOW} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{bearer}\r\n")
        .expect("a request");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let document: Value = serde_json::from_str(body).expect("a document");
    let subscriptions = document["subscriptions"].as_array().expect("a list");
    let exact = subscriptions.iter().filter(|each| each["match_type"] == "exact");
    let there = exact.map(|each| (text(each, "match"), text(each, "subscriber"))).collect();
    let (_, place) = head.split_once("last-event-id=\"").expect("a place");
    (there, place.split_once('"').expect("an end").0.to_owned())
}

/// Asks until a list is as wished. Lists of other nodes follow the log by themselves, so there is nothing else to wait for.
fn until_listed(node: &Hub, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|&topic| topic.to_owned()).collect();
    let give_up = Instant::now() + PATIENCE;
    loop {
        let topics: BTreeSet<String> = listed(node).0.into_iter().map(|(topic, _)| topic).collect();
        if topics == expected {
            return;
        }
        assert!(Instant::now() < give_up, "{topics:?} are listed instead of {expected:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn who_is_subscribed_on_any_node_is_listed_on_every_node_and_a_dead_node_s_are_forgotten_once() {
    let server = Server::start();
    let mut nodes = [node(&server), node(&server), node(&server)];
    let mut watcher = Watcher::begin(&nodes[0]);
    let streams: Vec<_> =
        ["a", "b", "c"].into_iter().zip(&nodes).map(|(topic, at)| subscribe(at, topic)).collect();
    watcher.until("all are there", |there| there.len() == 3);
    for node in &nodes {
        until_listed(node, &["a", "b", "c"]);
    }
    // One that begins now is told by the others.
    let late = node(&server);
    until_listed(&late, &["a", "b", "c"]);

    nodes[2].signal("KILL");
    nodes[2].wait();
    watcher.until("who was on a dead node is gone", |there| !there.contains("c"));
    for node in [&nodes[0], &nodes[1], &late] {
        until_listed(node, &["a", "b"]);
    }
    // Whatever else was to be told of it would have been by the time that another one is dead, too.
    nodes[1].signal("KILL");
    nodes[1].wait();
    watcher.until("who was on another one is gone, too", |there| there.len() == 1);
    until_listed(&late, &["a"]);
    for topic in ["b", "c"] {
        assert_eq!(watcher.counts(topic), (1, 1), "{topic} in {:?}", watcher.told);
    }
    assert_eq!(watcher.counts("a"), (1, 0));
    drop(streams);
    watcher.until("nobody is there", BTreeSet::is_empty);
}

#[test]
fn a_node_that_hangs_is_taken_for_dead_and_is_there_again_when_it_goes_on() {
    let server = Server::start();
    let (one, other) = (node(&server), node(&server));
    let mut watcher = Watcher::begin(&one);
    let (_here, _there) = (subscribe(&one, "a"), subscribe(&other, "b"));
    watcher.until("both are there", |there| there.len() == 2);
    let before = watcher.there.clone();
    other.signal("STOP");
    watcher.until("who was on a node that hangs is gone", |there| !there.contains("b"));
    until_listed(&one, &["a"]);
    other.signal("CONT");
    watcher.until("it is there again", |there| there.len() == 2);
    assert_eq!(watcher.there, before, "the same subscribers, whose connections have lasted");
    for node in [&one, &other] {
        until_listed(node, &["a", "b"]);
    }
}

#[test]
fn a_node_that_ends_in_order_leaves_nobody_behind() {
    let server = Server::start();
    let (one, mut other) = (node(&server), node(&server));
    let mut watcher = Watcher::begin(&one);
    let _stream = subscribe(&other, "b");
    watcher.until("it is there", |there| there.contains("b"));
    other.signal("TERM");
    assert!(other.wait().success());
    // It was announced before the node had ended.
    until_listed(&one, &[]);
    watcher.until("it is gone", BTreeSet::is_empty);
    assert_eq!(watcher.counts("b"), (1, 1));
}

#[test]
fn who_is_subscribed_is_known_again_after_the_store_was_away() {
    let mut server = Server::start();
    let (one, other) = (node(&server), node(&server));
    let mut watcher = Watcher::begin(&one);
    let _a = subscribe(&one, "a");
    watcher.until("it is there", |there| there.contains("a"));
    server.kill();
    let _b = subscribe(&other, "b");
    server.go_on();
    watcher.until("who came meanwhile is there", |there| there.contains("b"));
    for node in [&one, &other] {
        until_listed(node, &["a", "b"]);
    }
    assert_eq!(watcher.counts("a"), (1, 0), "nobody was called dead: {:?}", watcher.told);
}

/// Revocations stand in the log, so nodes need tell each other nothing.
#[test]
fn a_token_that_is_revoked_on_one_node_ends_its_streams_on_every_node_p7() {
    let server = Server::start();
    let (one, other) = (node(&server), node(&server));
    let mut ended = subscribe_by(&other, "match=a", &bearer("mallory"));
    let mut stays = subscribe_by(&other, "match=a", &bearer("alice"));
    let revoked = format!(r#"{{"subject":"mallory","issuer":"{ISSUER}"}}"#);
    let json = "Content-Type: application/json\r\n";
    let (status, _, body) = request(&one.addresses[1], "POST", "/admin/revocations", json, &revoked);
    assert_eq!(status, 200, "{body}");
    let mut rest = String::new();
    ended.read_to_string(&mut rest).expect("a clean end");
    let (status, _, _) = other.request("GET", &format!("{HUB}?match=a"), &bearer("mallory"), "");
    assert_eq!(status, 401);
    let form = format!("Content-Type: application/x-www-form-urlencoded\r\n{}", bearer("alice"));
    assert_eq!(one.request("POST", HUB, &form, "topic=a&data=still").0, 200);
    read_until(&mut stays, "data: still\n\n");
}
