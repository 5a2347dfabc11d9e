//! The program as it is used: its own servers are measured without a fault, and a server that misbehaves is caught.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

const PROGRAM: &str = env!("CARGO_BIN_EXE_fanfare-bench");

/// A server of ours, ended by its process id.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(kind: &str) -> Self {
        let mut child = Command::new(PROGRAM).arg(kind).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { child, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn load(url: &str, arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(["load", "--url", url, "--time-limit", "60", "--seconds", "30"])
        .args(arguments)
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Goal: every server of ours delivers everything, at every pace and with events larger than a read.
fn every_delivery_arrives(kind: &str) {
    let server = Server::start(kind);
    let pid = server.child.id().to_string();
    let paces: [&[&str]; 4] = [
        &["--outstanding", "1", "--publications", "20"],
        &["--outstanding", "32", "--publications", "500"],
        &["--rate", "2000", "--publications", "200"],
        &["--outstanding", "4", "--publications", "20", "--data-bytes", "200000"],
    ];
    for pace in paces {
        let output = load(&server.url, &[pace, &["--subscribers", "23", "--pid", &pid]].concat());
        let measurement = json(&output);
        let phase = &measurement["phases"][0];
        let publications: u64 = pace[3].parse().unwrap();
        assert_eq!(phase["publications"], publications, "{kind} {pace:?}");
        assert_eq!(phase["deliveries"], publications * 23, "{kind} {pace:?}");
        assert!(phase["cpu_us_per_delivery"].as_f64().unwrap() > 0.0);
        assert!(output.status.success(), "{kind} {pace:?}: {measurement}");
    }
}

#[test]
fn the_floor_of_sending_delivers_everything() {
    every_delivery_arrives("floor-send");
}

#[test]
fn the_floor_of_coalescing_delivers_everything() {
    every_delivery_arrives("floor-cursor");
}

/// Where the kernel grants no ring there is nothing to test, and the program says so.
#[test]
fn the_floor_over_io_uring_delivers_everything_or_says_why_not() {
    let mut child = Command::new(PROGRAM).arg("floor-uring").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let _ = child.kill();
    child.wait().unwrap();
    if line.is_empty() {
        let output = Command::new(PROGRAM).arg("floor-uring").output().unwrap();
        assert!(String::from_utf8_lossy(&output.stderr).contains("io_uring_setup fails"));
    } else {
        every_delivery_arrives("floor-uring");
    }
}

#[test]
fn the_axum_rival_delivers_everything() {
    every_delivery_arrives("rival-axum");
}

/// A server that does to the streams what `misdeed` says: for the n-th publication, from 0, what is written to every
/// subscriber (frames so far and the new one are handed in).
fn misbehaving(misdeed: fn(usize, &[String]) -> String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let hub = Arc::new(Mutex::new((Vec::<TcpStream>::new(), Vec::<String>::new())));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (hub, stream) = (Arc::clone(&hub), stream.unwrap());
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut stream = stream;
                loop {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if reader.read_line(&mut head).unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    if head.starts_with("GET /metrics") {
                        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
                        return;
                    }
                    let mut hub = hub.lock().unwrap();
                    if head.starts_with("GET") {
                        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                        hub.0.push(stream);
                        return;
                    }
                    let length = head.split("Content-Length: ").nth(1).unwrap().lines().next().unwrap();
                    let mut body = vec![0; length.parse().unwrap()];
                    reader.read_exact(&mut body).unwrap();
                    let body = String::from_utf8(body).unwrap();
                    hub.1.push(format!("data: {}\n\n", body.split("data=").nth(1).unwrap()));
                    let (subscribers, frames) = &mut *hub;
                    // The first 64 warm up without subscribers.
                    let written = misdeed(frames.len() - 1, frames);
                    for subscriber in subscribers {
                        let _ = subscriber.write_all(written.as_bytes());
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                }
            });
        }
    });
    url
}

fn is_caught(misdeed: fn(usize, &[String]) -> String, fault: &str) {
    let url = misbehaving(misdeed);
    let arguments = ["--subscribers", "3", "--publishers", "1", "--outstanding", "4", "--publications", "40"];
    let output = load(&url, &arguments);
    let faults = json(&output)["faults"].clone();
    assert!(!output.status.success(), "{fault}: {faults}");
    for (name, count) in faults.as_object().unwrap() {
        assert_eq!(count, if name == fault { 3 } else { 0 }, "{fault}: {faults}");
    }
}

/// Where a misdeed happens: among the publications that are counted, after warming up twice.
const AT: usize = 140;

#[test]
fn a_server_that_loses_an_event_is_caught() {
    is_caught(|n, frames| if n == AT { String::new() } else { frames[n].clone() }, "lost");
}

#[test]
fn a_server_that_sends_an_event_twice_is_caught() {
    is_caught(|n, frames| if n == AT { frames[n].repeat(2) } else { frames[n].clone() }, "doubled");
}

#[test]
fn a_server_that_swaps_two_events_is_caught() {
    let misdeed = |n: usize, frames: &[String]| match n {
        AT => String::new(),
        n if n == AT + 1 => format!("{}{}", frames[n], frames[AT]),
        n => frames[n].clone(),
    };
    is_caught(misdeed, "misordered");
}

#[test]
fn a_server_that_replays_what_came_before_the_subscriber_is_caught() {
    let misdeed =
        |n: usize, frames: &[String]| format!("{}{}", if n == AT { &frames[3] } else { "" }, frames[n]);
    is_caught(misdeed, "foreign");
}

#[test]
fn a_server_that_changes_data_is_caught_and_not_called_loss_alone() {
    let misdeed = |n: usize, frames: &[String]| {
        let extra = if n == AT { "data: not ours\n\n" } else { "" };
        format!("{extra}{}", frames[n])
    };
    is_caught(misdeed, "corrupt");
}

#[test]
fn a_comparison_ends_by_itself_with_a_table_and_leaves_no_child() {
    let json_file = std::env::temp_dir().join(format!("fanfare-bench-{}.json", std::process::id()));
    let output = Command::new(PROGRAM)
        .args(["compare", "--rounds", "2", "--subscribers", "5,1", "--seconds", "0.05", "--time-limit", "60"])
        .args(["--only", "floor-send,floor-cursor,axum", "--json"])
        .arg(&json_file)
        .output()
        .unwrap();
    let (table, progress) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{progress}");
    assert!(table.contains("## 5 subscribers") && table.contains("## 1 subscriber\n"), "{table}");
    for contestant in ["floor-send", "floor-cursor", "axum"] {
        assert_eq!(table.matches(&format!("\n| {contestant} |")).count(), 6, "{table}");
    }
    let report: Value = serde_json::from_slice(&std::fs::read(&json_file).unwrap()).unwrap();
    std::fs::remove_file(&json_file).unwrap();
    assert_eq!(report["turns"].as_array().unwrap().len(), 12);
    assert!(report["turns"].as_array().unwrap().iter().all(|turn| turn["error"].is_null()));
}

#[test]
fn a_contestant_that_does_not_start_fails_its_turns_and_no_others() {
    let output = Command::new(PROGRAM)
        .args(["compare", "--rounds", "1", "--subscribers", "1", "--seconds", "0.02", "--time-limit", "60"])
        .args(["--only", "floor-send,broken", "--contestant", "broken=/bin/false"])
        .output()
        .unwrap();
    let (table, progress) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success());
    assert!(progress.contains("broken failed") && progress.contains("1 of 2 turns failed"), "{progress}");
    assert!(table.contains("**broken**"), "{table}");
}

#[test]
fn publishing_needs_no_subscribers() {
    let server = Server::start("floor-send");
    let output = load(&server.url, &["--subscribers", "0", "--publications", "300"]);
    assert!(output.status.success());
    assert_eq!(json(&output)["phases"][0]["publications"], 300);
}

#[test]
fn more_subscribers_than_descriptors_are_refused_in_a_sentence() {
    let output = load("http://127.0.0.1:9", &["--subscribers", "3000000"]);
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("3000016 connections need 3000080 file descriptors"), "{error}");
}

/// The first child of `parent`, once it has become what it was started as.
fn child_of(parent: &Child) -> u32 {
    let path = format!("/proc/{0}/task/{0}/children", parent.id());
    loop {
        let children = std::fs::read_to_string(&path).unwrap();
        if let Some(child) = children.split_whitespace().next() {
            let command = std::fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
            if command.contains("\0--listen") && !command.contains("become-child") {
                return child.parse().unwrap();
            }
        }
        thread::yield_now();
    }
}

/// Whether a process of this id lives, other than as a corpse that its parent has yet to collect.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

/// Goal: however a comparison ends, its servers end.
/// Method: end it in the middle of a round, once kindly and once so that it cannot do anything any more.
#[test]
fn no_server_outlives_a_comparison_that_is_ended() {
    for signal in ["TERM", "INT", "KILL"] {
        let mut compare = Command::new(PROGRAM)
            .args(["compare", "--subscribers", "5", "--seconds", "30", "--time-limit", "60"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = child_of(&compare);
        assert!(lives(server));
        let sent = Command::new("kill").args(["-s", signal, &compare.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let status = compare.wait().unwrap();
        assert!(!status.success(), "{signal}");
        if signal == "KILL" {
            // The kernel's signal to the server is sent before the parent can be waited for; dying takes a moment.
            while lives(server) {
                thread::yield_now();
            }
        }
        assert!(!lives(server), "{signal}");
    }
}
