//! What the command line says about a log on Redis, and programs that share one. No server is used that happens to run.

#![allow(missing_docs)]

mod common;
#[path = "../../engine/tests/cluster/process.rs"]
#[allow(dead_code, unreachable_pub)]
mod process;
#[path = "../../engine/tests/redis/server.rs"]
#[allow(dead_code, unreachable_pub)]
mod server;

use common::{Hub, fanfare, read_until, refused};
use server::Server;

fn start(server: &Server, more: &[&str]) -> Hub {
    Hub::start(&[&["--engine", &server.url()], more].concat())
}

fn wait_for(hub: &Hub, wished: u16) -> String {
    loop {
        let (status, _, body) = hub.get("/readyz");
        if status == wished {
            return body;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    let (code, said) = refused(&["serve", "--dev", "--engine", "redis://:hunter2@127.0.0.1:6379"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--redis-password") && !said.contains("hunter2"), "{said}");
}

#[test]
fn what_could_not_work_with_any_server_is_refused_before_anything_is_served() {
    for (engine, flags, expected) in [
        ("redis://127.0.0.1:6379", &["--hub-name", "a}b"][..], "a}b"),
        ("redis://127.0.0.1:6379", &["--redis-password", "@/nowhere/at/all"], "/nowhere/at/all"),
        ("rediss://127.0.0.1:6379", &["--redis-ca", "/nowhere/at/all.pem"], "/nowhere/at/all.pem"),
        ("redis://127.0.0.1:x", &[], "redis://host:6379"),
    ] {
        let (code, said) = refused(&[&["serve", "--dev", "--engine", engine], flags].concat());
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_server_that_cannot_hold_a_log_is_refused_in_words_that_say_what_to_do() {
    let evicting = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    for (settings, flags, expected) in [
        (&evicting[..], &[][..], "noeviction"),
        (&["--cluster-enabled", "yes"], &[], "Cluster"),
        (&["--replicaof", "127.0.0.1 1"], &[], "name its primary"),
        (&["--requirepass", "right"], &["--redis-password", "wrong"], "--redis-password"),
    ] {
        let server = Server::start_with(settings);
        let url = server.url();
        for command in ["serve", "check"] {
            let arguments = [&[command, "--dev", "--engine", &url], flags].concat();
            let (code, said) = refused(&arguments);
            assert_eq!(code, Some(2), "{said}");
            assert!(said.contains(expected), "{said}");
        }
    }
}

#[test]
fn check_says_what_may_be_lost_and_changes_nothing() {
    let server = Server::start_with(&["--appendfsync", "everysec"]);
    for _ in 0..2 {
        let checked = fanfare(&["check", "--dev", "--engine", &server.url()]).output().expect("it runs");
        assert!(checked.status.success());
        let told = String::from_utf8(checked.stderr).expect("text");
        assert!(told.contains("appendfsync everysec"), "{told}");
        let said = String::from_utf8(checked.stdout).expect("text");
        assert!(said.contains("fanfare:{default}:*"), "{said}");
    }
}

#[test]
fn what_is_published_on_one_node_reaches_the_other_and_both_say_whether_they_are_ready() {
    let mut server = Server::start();
    let nodes = [start(&server, &["--bookmarks", "off"]), start(&server, &["--bookmarks", "off"])];
    for node in &nodes {
        wait_for(node, 200);
    }
    let mut streams = nodes.each_ref().map(|node| node.subscribe("topic=a"));
    let (status, _, id) = nodes[0].publish("topic=a&data=1");
    assert_eq!(status, 200, "{id}");
    for stream in &mut streams {
        let read = read_until(stream, "data: 1\n\n");
        assert!(read.contains(&format!("id: {}\n", id.trim())), "{read}");
    }
    assert!(nodes[1].get("/metrics").2.contains("fanfare_redis_connected{hub=\"default\"} 1"));

    server.kill();
    for node in &nodes {
        let why = wait_for(node, 503);
        assert!(why.contains("Redis"), "{why}");
        let (status, head, _) = node.publish("topic=a&data=lost");
        assert_eq!(status, 503);
        assert!(head.contains("retry-after"), "{head}");
    }
    server.go_on();
    for node in &nodes {
        wait_for(node, 200);
    }
    nodes[1].publish("topic=a&data=2");
    for stream in &mut streams {
        let read = read_until(stream, "data: 2\n\n");
        assert!(!read.contains("lost") && !read.contains("gap"), "{read}");
    }
}

#[test]
fn a_node_that_starts_before_its_server_serves_and_is_ready_when_the_server_is() {
    let mut server = Server::start();
    server.kill();
    let node = start(&server, &[]);
    let why = wait_for(&node, 503);
    assert!(why.contains("no connection to Redis"), "{why}");
    server.go_on();
    wait_for(&node, 200);
}
