//! Thousands of clients that close, half-close, reset, stall and send what nobody asked for, at random moments under
//! publishing: each of them gets every event once and in order, over all its connections (P1, P2, P3, P5).
//!
//! Method: every client knows the number of the next event of its topic. Whatever ends its connection, it comes back with
//! its last event ID; half of an event that it had is worth nothing.

use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

use fanfare_fanout::{Ended, Settings, Terms};
use fanfare_wire::EventId;

use super::support::{Client, Got, House, block_on, hub, settings};

const CLIENTS: usize = 2_000;
const TOPICS: usize = 8;
const EVENTS: usize = 120;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }
}

struct Faulty {
    topic: String,
    client: Client,
    last_event_id: Option<String>,
    /// The number of the event that comes next.
    expected: usize,
    /// For how many turns it reads nothing.
    stalls_for: usize,
    /// It has closed its side.
    has_left: bool,
    connections: usize,
}

impl Faulty {
    fn new(house: &House, topic: String) -> Self {
        let client = connect(house, &topic, None);
        Self {
            topic,
            client,
            last_event_id: None,
            expected: 0,
            stalls_for: 0,
            has_left: false,
            connections: 1,
        }
    }

    fn come_back(&mut self, house: &House) {
        self.client = connect(house, &self.topic, self.last_event_id.as_deref());
        self.stalls_for = 0;
        self.has_left = false;
        self.connections += 1;
    }

    /// Reads some of what has come.
    fn read(&mut self, house: &House, most: usize) {
        for _ in 0..most {
            match self.client.next_if_ready() {
                None => return,
                Some(Got::Event { name, data, id }) => {
                    assert_eq!(name, "message", "{data}");
                    let number: usize = data.split(' ').next().unwrap().parse().unwrap();
                    assert_eq!(number, self.expected, "of {} on connection {}", self.topic, self.connections);
                    self.expected += 1;
                    self.last_event_id = Some(id);
                }
                Some(Got::End | Got::Broken) => return self.come_back(house),
                Some(_) => {}
            }
        }
    }

    fn misbehave(&mut self, house: &House, dice: &mut Dice) {
        match dice.roll(6) {
            0 => {
                // With unread bytes it is a reset, otherwise a clean end.
                self.come_back(house);
            }
            1 => {
                self.client.socket.shutdown(Shutdown::Write).unwrap_or_default();
                self.has_left = true;
            }
            2 => {
                let socket = socket2::SockRef::from(&self.client.socket);
                let _ = socket.set_linger(Some(Duration::ZERO));
                self.come_back(house);
            }
            3 => self.stalls_for = dice.roll(60),
            4 => {
                let _ = self.client.socket.write(b"nobody asked for this");
            }
            _ => {
                // More than it may.
                let _ = self.client.socket.write(&[b'x'; 8 * 1024]);
            }
        }
    }
}

fn connect(house: &House, topic: &str, after: Option<&str>) -> Client {
    let after = after.map(|id| EventId::parse(id).unwrap());
    // Who has seen nothing yet begins with the first event there is.
    let after = after.unwrap_or_else(|| EventId::parse("earliest").unwrap());
    let client = house.adopt(house.hub.subscribe(topic).after(after).bookmarks(false), Terms::default());
    client.socket.set_nonblocking(true).unwrap();
    // What stalls is to be felt soon.
    socket2::SockRef::from(&client.socket).set_recv_buffer_size(64 * 1024).unwrap();
    client
}

/// Two file descriptors for each client, and some to spare.
fn as_many_as_the_system_lends() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let files = files.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(1_000_usize);
    CLIENTS.min(files.saturating_sub(200) / 2)
}

#[test]
fn whatever_thousands_of_clients_do_each_gets_every_event_once_and_in_order() {
    let settings = Settings {
        write_timeout: Duration::from_secs(1),
        input_bytes_max: 4 * 1024,
        unsent_bytes_max: 16 * 1024,
        ..settings()
    };
    let house = House::new(hub().build().unwrap(), &settings);
    let mut dice = Dice(0x5eed);
    let count = as_many_as_the_system_lends();
    let mut clients: Vec<_> =
        (0..count).map(|number| Faulty::new(&house, format!("topic {}", number % TOPICS))).collect();

    let publish = |number: usize, dice: &mut Dice| {
        for topic in 0..TOPICS {
            let padding = "x".repeat(dice.roll(8_000));
            house.publish(&format!("topic {topic}"), &format!("{number} {padding}"));
        }
    };
    for number in 0..EVENTS {
        publish(number, &mut dice);
        for _ in 0..count / 4 {
            let client = &mut clients[dice.roll(count)];
            if client.stalls_for > 0 {
                client.stalls_for -= 1;
            } else if dice.roll(12) == 0 {
                client.misbehave(&house, &mut dice);
            } else {
                client.read(&house, 40);
            }
        }
    }
    // Everybody behaves from now on, and has everything in the end. Whoever has closed its side may wait for the other one for ever:
    // a reset is sent once, and a receiver without room drops it.
    for client in clients.iter_mut().filter(|client| client.has_left) {
        client.come_back(&house);
    }
    while clients.iter().any(|client| client.expected < EVENTS) {
        for client in &mut clients {
            if client.expected < EVENTS {
                client.read(&house, usize::MAX);
            }
        }
    }
    let connections: usize = clients.iter().map(|client| client.connections).sum();
    assert!(connections > 2 * count, "too little went wrong: {connections} connections");
    for how in [Ended::ByClient, Ended::TooMuchInput] {
        assert!(house.fanout.counts().ended(how) > 0, "{how:?} did not happen");
    }
    drop(clients);
    block_on(house.fanout.emptied());
    assert_eq!((house.hub.counts().subscribers, house.fanout.counts().full), (0, 0));
}
