//! Stopping the program: in order on the first signal, at once on the second.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;

use common::{HUB, Hub, fanfare};

/// Reads to the end of a stream, which has to be a `retry` and the last chunk.
fn is_sent_away(mut socket: TcpStream) {
    let mut rest = String::new();
    socket.read_to_string(&mut rest).expect("a clean end");
    assert!(rest.contains("\r\nretry: ") && rest.ends_with("\n\n\r\n0\r\n\r\n"), "{rest:?}");
}

#[test]
fn sigterm_with_open_streams_sends_everybody_away_and_exits_0() {
    for signal in ["TERM", "INT"] {
        let mut hub = Hub::start(&["--shutdown-window", "200ms"]);
        let streams: Vec<_> = (0..20).map(|_| hub.subscribe("match=a")).collect();
        hub.signal(signal);
        for stream in streams {
            is_sent_away(stream);
        }
        assert_eq!(hub.wait().code(), Some(0), "{signal}");
        assert!(TcpStream::connect(hub.address()).is_err());
    }
}

#[test]
fn without_streams_it_ends_whatever_the_window() {
    let mut hub = Hub::start(&["--shutdown-window", "1h"]);
    hub.get("/healthz");
    hub.signal("TERM");
    assert_eq!(hub.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut hub = Hub::start(&["--shutdown-window", "1h"]);
    let mut stream = hub.subscribe("match=a");
    hub.signal("TERM");
    // The first one has been heard when nobody is accepted any more.
    while TcpStream::connect(hub.address()).is_ok() {}
    hub.signal("TERM");
    let status = hub.wait();
    assert!(status.code().is_some() && status.signal().is_none(), "{status}");
    let _ = stream.read(&mut [0; 100]);
}

/// Ten thousand streams; fewer where the system does not lend us that many file descriptors.
#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_open_streams_end_in_order() {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let files: usize = files.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX);
    let count = 10_000.min(files.saturating_sub(200));

    let mut hub = Hub::of(
        fanfare(&[
            "serve",
            "--dev",
            "--listen",
            "127.0.0.1:0",
            "--shutdown-window",
            "1s",
            "--max-connections",
            "10000",
        ]),
        1,
    );
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut socket = hub.connect();
        write!(socket, "GET {HUB}?match=a HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        streams.push(socket);
    }
    for socket in &mut streams {
        let (mut head, mut piece) = (Vec::new(), [0; 1_024]);
        while !head.ends_with(b":\n\r\n") {
            let bytes = socket.read(&mut piece).expect("a head");
            assert!(bytes > 0, "closed");
            head.extend_from_slice(&piece[..bytes]);
        }
    }
    hub.signal("TERM");
    let mut sent_away = 0;
    for stream in streams {
        is_sent_away(stream);
        sent_away += 1;
    }
    assert_eq!(sent_away, count);
    assert_eq!(hub.wait().code(), Some(0));
}
