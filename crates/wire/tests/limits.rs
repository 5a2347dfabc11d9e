//! What is too long ends the stream with an error that names the limit, wherever the stream was cut.

mod common;

use std::error::Error;

use common::{event, pull};
use fanfare_wire::{DecodeError, Decoder, Limits};

const LINE: DecodeError = DecodeError::LineTooLong { limit: 10 };
const EVENT: DecodeError = DecodeError::EventTooLong { limit: 8 };

fn decoder() -> Decoder {
    Decoder::with_limits(Limits::default().line_bytes_max(10).event_bytes_max(8))
}

/// `stream` gives `data` as events, then `expected`, whole and cut at every byte.
fn check(stream: &str, data: &[&str], expected: Result<(), DecodeError>) {
    let events: Vec<_> = data.iter().map(|data| event("message", data, "")).collect();
    for cut in 0..=stream.len() {
        let (head, tail) = stream.as_bytes().split_at(cut);
        let found = pull(&mut decoder(), [head, tail]);
        assert_eq!(found, (events.clone(), expected), "{stream:?} cut at {cut}");
    }
    let found = pull(&mut decoder(), stream.as_bytes().chunks(1));
    assert_eq!(found, (events, expected), "{stream:?} byte by byte");
}

#[test]
fn a_line_as_long_as_the_limit_passes_and_one_longer_does_not() {
    check("data:12345\n\n", &["12345"], Ok(()));
    check("data:123456\n\n", &[], Err(LINE));
    check("data:1234567890", &[], Err(LINE));
    check("0123456789\r\ndata:a\r\n\r\n", &["a"], Ok(()));
    check(":1234567890\n", &[], Err(LINE));
}

#[test]
fn data_as_long_as_the_limit_passes_and_longer_does_not() {
    check("data:1234\ndata:678\n\n", &["1234\n678"], Ok(()));
    check("data:1234\ndata:6789\n\n", &[], Err(EVENT));
    check("data:1234\ndata:678\ndata\n\n", &[], Err(EVENT));
    check("data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n\n", &["\n\n\n\n\n\n\n\n"], Ok(()));
    check("data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n\n", &[], Err(EVENT));
}

#[test]
fn what_came_before_the_error_arrives() {
    check("data:a\n\ndata:b\n\ndata:1234567890\n\ndata:c\n\n", &["a", "b"], Err(LINE));
}

#[test]
fn limits_count_for_each_line_and_event_anew() {
    check("data:12345\n\ndata:12345\n\n0123456789\n", &["12345", "12345"], Ok(()));
}

#[test]
fn a_failed_decoder_takes_nothing_until_it_is_restarted_and_keeps_the_last_event_id() {
    let mut decoder = decoder();
    let (_, result) = pull(&mut decoder, [&b"id:7\n\nid:8\ndata:1234567890\n\n"[..]]);
    assert_eq!(result, Err(LINE));
    let mut more = &b"\n\ndata:a\n\n"[..];
    assert_eq!(decoder.next(&mut more), Err(LINE));
    assert_eq!(more.len(), 10);
    assert_eq!(decoder.last_event_id(), "7");

    decoder.restart();
    assert_eq!(pull(&mut decoder, [more]), (vec![event("message", "a", "7")], Ok(())));
}

#[test]
fn an_error_says_the_limit_in_plain_words() {
    let error: Box<dyn Error> = Box::new(LINE);
    assert_eq!(error.to_string(), "a line of the event stream has more than 10 bytes");
    assert!(error.source().is_none());
}
