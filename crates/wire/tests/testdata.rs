//! Reads every stream of `testdata/` as the standard says, wherever it is cut.

mod common;

use std::time::Duration;

use common::{Owned, event, pull};
use fanfare_wire::Decoder;
use serde_json::Value;

struct Case {
    name: String,
    stream: Vec<u8>,
    expect: Expect,
}

/// The items of each kind in their order; `testdata/` does not say how the kinds are interleaved.
#[derive(Debug, Default, PartialEq)]
struct Expect {
    events: Vec<Owned>,
    bookmarks: Vec<String>,
    retries: Vec<u64>,
    comments: Vec<String>,
    last_event_id: String,
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").into()
}

fn list<T>(value: &Value, each: impl FnMut(&Value) -> T) -> Vec<T> {
    value.as_array().expect("an array").iter().map(each).collect()
}

fn cases() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/streams.json");
    let file = std::fs::read_to_string(path).expect("testdata/streams.json is there");
    let file: Value = serde_json::from_str(&file).expect("testdata/streams.json is JSON");
    list(&file, |case| Case {
        name: text(&case["name"]),
        stream: list(&case["stream"], |piece| match piece.as_u64() {
            Some(byte) => vec![u8::try_from(byte).expect("a byte")],
            None => text(piece).into_bytes(),
        })
        .concat(),
        expect: Expect {
            events: list(&case["expect"]["events"], |one| {
                event(&text(&one["type"]), &text(&one["data"]), &text(&one["last_event_id"]))
            }),
            bookmarks: list(&case["expect"]["bookmarks"], text),
            retries: list(&case["expect"]["retries"], |ms| ms.as_u64().expect("milliseconds")),
            comments: list(&case["expect"]["comments"], text),
            last_event_id: text(&case["expect"]["last_event_id"]),
        },
    })
}

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Expect {
    let mut decoder = Decoder::new();
    let (items, result) = pull(&mut decoder, pieces);
    result.expect("the stream is within the limits");
    let mut found = Expect { last_event_id: decoder.last_event_id().into(), ..Expect::default() };
    for item in items {
        match item {
            Owned::LastEventId(id) => found.bookmarks.push(id),
            Owned::ReconnectionTime(time) => {
                assert_eq!(
                    time,
                    Duration::from_millis(u64::try_from(time.as_millis()).expect("whole milliseconds"))
                );
                found.retries.push(u64::try_from(time.as_millis()).expect("milliseconds"));
            }
            Owned::Comment(text) => found.comments.push(text),
            event @ Owned::Event { .. } => found.events.push(event),
        }
    }
    found
}

#[test]
fn there_are_at_least_120_streams_and_each_has_its_own_name() {
    let mut names: Vec<_> = cases().into_iter().map(|case| case.name).collect();
    assert!(names.len() >= 120, "{}", names.len());
    names.sort();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn every_stream_means_what_the_standard_says() {
    for case in cases() {
        assert_eq!(decode([&case.stream[..]]), case.expect, "{}", case.name);
    }
}

/// Goal: where the network cuts the bytes must not matter.
/// Method: decode every stream in two pieces, cut at every byte, and byte by byte.
#[test]
fn a_cut_at_any_byte_changes_nothing() {
    for case in cases() {
        for at in 0..=case.stream.len() {
            let (head, tail) = case.stream.split_at(at);
            assert_eq!(decode([head, tail]), case.expect, "{} cut at {at}", case.name);
        }
        assert_eq!(decode(case.stream.chunks(1)), case.expect, "{} byte by byte", case.name);
    }
}
