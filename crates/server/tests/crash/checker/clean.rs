//! Histories as they should be, for tests that break them.
//!
//! Nothing here checks anything.

use std::time::Duration;

use super::MadeBy;
use crate::history::{
    Asks, Block, Connection, Entry, Head, History, Log, LogAfterAKill, Outcome, Publication, Received,
    Subscriber,
};
use crate::plan::Bearing;

pub(super) const EVENTS: u64 = 10;

/// Ten events, one after the other, acknowledged; two topics in turn; a kill after the fifth. A subscriber of everything
/// and one of a single topic, each with a connection before the kill and one behind it.
pub(super) fn clean(ids: MadeBy) -> History {
    let publications: Vec<_> = (0..EVENTS).map(|number| publication(ids, number)).collect();
    let entries = (0..EVENTS)
        .map(|number| Entry { id: id(ids, number), data: data(number), position: number + 1 })
        .collect();
    let subscriber = |name: &str, asks: Asks| {
        let numbers = |range: std::ops::Range<u64>| {
            let asked = range.filter(|&number| asks.includes(&[topic(number)]));
            asked.map(|number| event(ids, number)).collect::<Vec<_>>()
        };
        let first = connection(0, None, None, numbers(0..5));
        let last = first.received.last().expect("an event").id.clone();
        let second = connection(1, Some(&last), Some(&last), numbers(5..EVENTS));
        Subscriber {
            name: name.to_owned(),
            asks,
            bears: Bearing::Nothing,
            connections: vec![first, second],
            caught_up: true,
            back_after: Vec::new(),
        }
    };
    let all = subscriber("all", Asks::Everything);
    let odd = subscriber("odd", Asks::Topics(vec!["odd"]));
    History {
        publications,
        logs: vec![Log { entries, whole: true, key: None }],
        subscribers: vec![all, odd],
        ..History::of(LogAfterAKill::Survives)
    }
}

pub(super) fn publication(ids: MadeBy, number: u64) -> Publication {
    let acknowledged = Outcome::Acknowledged { id: id(ids, number), at: 10 * number + 5 };
    Publication {
        data: data(number),
        topics: vec![topic(number)],
        chosen_id: (ids == MadeBy::Publisher).then(|| id(ids, number)),
        private: false,
        life: usize::from(number >= 5),
        sent: 10 * number + 1,
        sent_at: Duration::from_secs(number),
        outcome: acknowledged,
    }
}

pub(super) fn connection(
    life: usize,
    after: Option<&str>,
    told: Option<&str>,
    received: Vec<Received>,
) -> Connection {
    let head = Head { status: 200, last_event_id: told.map(str::to_owned) };
    let last_event_id = after.map(str::to_owned);
    let answered_at = Duration::from_secs(5 * life as u64);
    Connection { life, last_event_id, token_until: None, answered_at, head: Some(head), received }
}

pub(super) fn topic(number: u64) -> &'static str {
    if number.is_multiple_of(2) { "even" } else { "odd" }
}

pub(super) fn data(number: u64) -> String {
    format!("p/{number}")
}

pub(super) fn id(ids: MadeBy, number: u64) -> String {
    match ids {
        MadeBy::Hub => format!("#1{number}"),
        MadeBy::Publisher => format!("urn:{number}"),
    }
}

pub(super) fn event(ids: MadeBy, number: u64) -> Received {
    let block = Block::Event { data: data(number) };
    Received { at: 10 * number + 4, id: id(ids, number), block }
}

pub(super) fn gap(reason: &str, after: &str, id: &str) -> Received {
    let block = Block::Gap { reason: reason.to_owned(), after: Some(after.to_owned()) };
    Received { at: 55, id: id.to_owned(), block }
}

/// The same with a log that does not outlive the kill: the second connection is told a gap instead of what came before it.
pub(super) fn clean_with_two_logs(ids: MadeBy) -> History {
    let mut history = clean(ids);
    history.log_after_a_kill = LogAfterAKill::IsNew;
    let second = history.logs[0].entries.split_off(5);
    history.logs[0].whole = false;
    history.logs.push(Log { entries: second, whole: true, key: None });
    for subscriber in &mut history.subscribers {
        let connection = &mut subscriber.connections[1];
        let after = connection.last_event_id.clone().expect("one");
        connection.head = Some(Head { status: 200, last_event_id: Some("earliest".to_owned()) });
        let reason = if ids == MadeBy::Hub { "rewound" } else { "unknown" };
        connection.received.insert(0, gap(reason, &after, "#1start"));
        // Told when the sixth event had been sent already, so that one may be missing.
        connection.received.retain(|received| received.id != id(ids, 5));
    }
    history
}
