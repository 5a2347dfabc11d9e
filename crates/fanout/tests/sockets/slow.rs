//! Readers that are slow, or read nothing at all: they cost the others nothing and hold a bounded number of bytes (P5).

#[cfg(target_os = "linux")]
use std::io::Read;
#[cfg(target_os = "linux")]
use std::net::TcpStream;
use std::time::Duration;

use fanfare_fanout::{Ended, Settings};
#[cfg(target_os = "linux")]
use socket2::{Domain, SockRef, Socket, Type};

use super::support::{Got, House, block_on, house, hub, settings};

const LARGE: usize = 100 * 1024;

fn large(number: usize) -> String {
    format!("{number:06}{}", "x".repeat(LARGE))
}

fn number(data: &str) -> usize {
    data[..6].parse().unwrap()
}

/// Publishes until the socket of somebody who reads nothing takes no more.
pub(super) fn fill(house: &House) -> usize {
    let mut published = 0;
    while house.fanout.counts().full == 0 {
        house.publish("a", &large(published));
        published += 1;
        // One event at a time: the worker looks between two.
        std::thread::yield_now();
    }
    published
}

#[test]
fn who_stalls_and_goes_on_gets_every_event_whole_and_once() {
    let house = house();
    let mut client = house.subscribe("a").served();
    let mut published = fill(&house);
    while published < 400 {
        house.publish("a", &large(published));
        published += 1;
    }
    for expected in 0..published {
        assert_eq!(number(&client.next_event()), expected);
    }
    super::support::until(|| house.fanout.counts().full == 0);
}

#[test]
fn the_others_go_on_while_one_stalls() {
    let house = house();
    let stalled = house.subscribe("a").served();
    let mut others: Vec<_> = (0..5).map(|_| house.subscribe("b").served()).collect();
    fill(&house);
    for number in 0..100 {
        house.publish("b", &number.to_string());
        for other in &mut others {
            assert_eq!(other.next_event(), number.to_string());
        }
    }
    drop(stalled);
}

#[test]
fn who_takes_nothing_for_the_write_timeout_is_reset_and_can_come_back() {
    let settings = Settings { write_timeout: Duration::from_millis(500), ..settings() };
    let house = House::new(hub().build().unwrap(), &settings);
    let mut client = house.subscribe("a").served();
    fill(&house);
    block_on(house.fanout.emptied());
    assert_eq!(house.fanout.counts().ended(Ended::WriteTimeout), 1);
    assert_eq!((house.fanout.counts().full, house.hub.counts().subscribers), (0, 0));
    // Whatever arrived before the reset is a beginning of the log, without a hole.
    let mut last = None;
    let mut seen = 0;
    while let Got::Event { data, id, .. } = client.next() {
        assert_eq!(number(&data), seen);
        seen += 1;
        last = Some(id);
    }
    if let Some(last) = last {
        house.publish("a", &large(999_999));
        let mut again = house.resume("a", &last);
        let next = number(&again.next_event());
        assert!(next == seen || next == 999_999, "{next} after {seen}");
    }
}

/// Goal: the kernel's poll tells of a client only when it has taken much, and whoever takes less is no one who takes nothing.
/// Method: take a little once, and look whether the kernel was asked before the client was given up for taking nothing.
#[cfg(target_os = "linux")]
#[test]
fn who_takes_less_than_the_poll_tells_of_is_not_taken_for_one_who_takes_nothing() {
    // Where this thread does not get on, the client may be given up before it has taken anything, which tells nothing.
    let asked = (1..).find_map(|times| writes_after_a_little(Duration::from_millis(500) * times));
    let asked = asked.expect("there are always longer times");
    assert!(asked >= 2, "{asked} writes: one that was taken and one that was not");
}

/// How often the kernel is asked for a client behind a full socket that takes a little once and then nothing for `write_timeout`; `None`
/// if it was asked before the client had taken that.
#[cfg(target_os = "linux")]
fn writes_after_a_little(write_timeout: Duration) -> Option<u64> {
    let house = House::new(hub().build().unwrap(), &Settings { write_timeout, ..settings() });
    let (client, server) = house.subscribe_on(TcpStream::connect(house.address()).unwrap(), "a");
    let mut client = client.served();
    // It has a patience of its own, and would be the first to give up.
    SockRef::from(&server).set_tcp_user_timeout(Some(super::support::HANGS)).unwrap();
    drop(server);
    fill(&house);
    let before = house.fanout.counts().writes;
    let has_taken = client.socket.read_exact(&mut vec![0; 64 * 1024]).is_ok();
    if !has_taken || house.fanout.counts().writes != before {
        return None;
    }
    block_on(house.fanout.emptied());
    assert_eq!(house.fanout.counts().ended(Ended::WriteTimeout), 1);
    Some(house.fanout.counts().writes - before)
}

/// Goal: whoever acknowledges everything and keeps its window shut does not stay, however little waits for it. The kernel alone
/// knows of that, since Linux 5.11.
/// Method: publish more than a client's buffer takes and much less than the kernel keeps for it.
#[cfg(target_os = "linux")]
#[test]
fn who_keeps_its_window_shut_is_given_up_however_little_waits_p5() {
    let settings = Settings { write_timeout: Duration::from_millis(500), ..settings() };
    let house = House::new(hub().build().unwrap(), &settings);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&house.address().into()).unwrap();
    let (client, _) = house.subscribe_on(socket.into(), "a");
    let client = client.served();
    for _ in 0..20 {
        house.publish("a", &"x".repeat(1_500));
    }
    super::support::until(|| {
        let counts = house.fanout.counts();
        assert_eq!(counts.full, 0, "the kernel takes all of it");
        counts.connections == 0
    });
    assert_eq!(house.fanout.counts().ended(Ended::WriteTimeout), 1);
    drop(client);
}

/// The log went on without it, so what would complete the event is gone.
#[test]
fn who_is_left_behind_in_the_middle_of_an_event_is_reset() {
    // No socket takes so much at once, so it is in the middle of this one.
    let larger_than_every_buffer = 32 * 1024 * 1024;
    let hub = hub()
        .event_bytes_max(larger_than_every_buffer + 1024)
        .history_bytes(2 * larger_than_every_buffer)
        .history_events(4);
    let house = House::new(hub.build().unwrap(), &settings());
    let mut client = house.subscribe("a").served();
    house.publish("a", &"x".repeat(larger_than_every_buffer));
    super::support::until(|| house.fanout.counts().full == 1);
    for number in 0..20 {
        house.publish("a", &large(number));
    }
    let end = client.next();
    assert!(matches!(end, Got::Broken | Got::End), "{end:?}");
    assert_eq!(house.fanout.counts().ended(Ended::LeftBehind), 1);
}

#[test]
fn operators_see_who_is_behind_first_and_where_it_is() {
    let house = house();
    let _well = house.subscribe("b").served();
    let stalled = house.subscribe("a").served();
    let _also_well = house.subscribe("b").served();
    let published = fill(&house);
    house.publish("a", &large(published));
    let listed = block_on(house.fanout.subscribers(2));
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0].address, Some(stalled.socket.local_addr().unwrap()));
    assert!(listed[0].behind > 0 && listed[0].full.is_some(), "{:?}", listed[0]);
    assert!(listed[1].behind == 0 && listed[1].full.is_none(), "{:?}", listed[1]);
}

#[test]
fn a_drain_resets_who_cannot_take_its_end() {
    let house = house();
    let _stalled = house.subscribe("a").served();
    fill(&house);
    house.fanout.drain(Duration::ZERO);
    block_on(house.fanout.emptied());
    assert_eq!(house.fanout.counts().ended(Ended::Drained), 1);
}
