//! How a decoder is used: what it holds, what it hands out, and when.

mod common;

use common::{Owned, decode, event, pull};
use fanfare_wire::{Decoder, EventId, Item};
use proptest::prelude::*;

#[test]
fn a_carriage_return_dispatches_at_once_and_its_line_feed_is_dropped_when_it_comes() {
    let mut decoder = Decoder::new();
    let mut first = &b"data: a\r\n\r"[..];
    assert!(matches!(decoder.next(&mut first), Ok(Some(Item::Event(event))) if event.data == "a"));
    let (items, _) = pull(&mut decoder, [&b""[..], b"\n", b"\ndata: b\r", b"\n\r", b"\n"]);
    assert_eq!(items, [event("message", "b", "")]);
}

#[test]
fn a_field_that_lies_in_one_piece_is_not_copied() {
    let stream = b"data: first\n\nevent: e\nid: 1\ndata: second\n\n: comment\n".to_vec();
    let mut input = &stream[..];
    let mut decoder = Decoder::new();
    let lies_in_the_stream = |text: &str| stream.as_ptr_range().contains(&text.as_ptr());
    let mut count = 0;
    while let Some(item) = decoder.next(&mut input).expect("the stream is within the limits") {
        match item {
            Item::Event(event) => assert!(lies_in_the_stream(event.data)),
            Item::Comment(text) => assert!(lies_in_the_stream(text)),
            other => panic!("{other:?}"),
        }
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn the_last_event_id_is_that_of_blocks_that_have_ended() {
    let mut decoder = Decoder::new().after(&EventId::from_static("0"));
    assert_eq!(decoder.last_event_id(), "0");
    pull(&mut decoder, [&b"data: a\n\nid: 1\n"[..]]).1.expect("within the limits");
    assert_eq!(decoder.last_event_id(), "0");
    pull(&mut decoder, [&b"\n"[..]]).1.expect("within the limits");
    assert_eq!(decoder.last_event_id(), "1");
}

#[test]
fn a_new_connection_begins_without_what_the_last_one_left_unfinished() {
    let mut decoder = Decoder::new();
    let mut input = &b"id: 1\n\nevent: old\nid: 2\ndata: old\ndata: lost\nda"[..];
    while decoder.next(&mut input).expect("within the limits").is_some() {}
    decoder.restart();
    let (items, _) = pull(&mut decoder, [&b"\xef\xbb\xbfdata: new\n\n"[..]]);
    assert_eq!(items, [event("message", "new", "1")]);
}

/// Goal: data that starts like a byte-order mark survives even as the first bytes of a stream: the name of its field
/// stands before it.
#[test]
fn data_that_begins_with_a_byte_order_mark_survives_at_the_start_of_a_stream() {
    let frame = fanfare_wire::Event::new("\u{feff}a").to_frame();
    assert_eq!(decode([frame.as_bytes()]), [event("message", "\u{feff}a", "")]);
}

#[test]
fn a_comment_in_the_middle_of_an_event_is_seen_before_it() {
    let expected = [Owned::Comment("here".into()), event("e", "a\nb", "1"), event("message", "c", "1")];
    let stream = b"event: e\nid: 1\ndata: a\n: here\ndata: b\n\ndata: c\n\n";
    assert_eq!(decode([&stream[..]]), expected);
    assert_eq!(decode(stream.chunks(1)), expected);
}

/// Bytes with much of what the format is made of, whole characters and broken ones.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(&b"\n"[..]),
        2 => Just(&b"\r"[..]),
        2 => Just(&b"\r\n"[..]),
        4 => Just(&b"data"[..]),
        4 => Just(&b":"[..]),
        2 => Just(&b" "[..]),
        2 => Just(&b"id: "[..]),
        1 => Just(&b"event:"[..]),
        1 => Just(&b"retry:1"[..]),
        1 => Just(&b"\xef\xbb\xbf"[..]),
        1 => Just(&b"\xf0\x9f\xa6\x80"[..]),
        1 => Just(&b"\xf0\x9f"[..]),
        1 => Just(&b"\xff"[..]),
        1 => Just(&b"\xe2\x82"[..]),
        1 => Just(&b"\0"[..]),
        3 => Just(&b"x"[..]),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// The standard's algorithm as it is written there, on a stream that is whole: no cut, no limit, no speed.
fn by_the_letter(bytes: &[u8]) -> Vec<Owned> {
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut items = Vec::new();
    let (mut data, mut name, mut last_event_id) = (String::new(), String::new(), String::new());
    let mut has_id = false;
    let Some((whole, _unfinished)) = text.rsplit_once('\n') else { return items };
    for line in whole.split('\n') {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => {
                if let Some(data) = data.strip_suffix('\n') {
                    items.push(event(if name.is_empty() { "message" } else { &name }, data, &last_event_id));
                } else if has_id {
                    items.push(Owned::LastEventId(last_event_id.clone()));
                }
                data.clear();
                name.clear();
                has_id = false;
            }
            "" => items.push(Owned::Comment(value.into())),
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            "event" => name = value.into(),
            "id" if !value.contains('\0') => {
                last_event_id = value.into();
                has_id = true;
            }
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                let ms = value.parse().unwrap_or(u64::MAX);
                items.push(Owned::ReconnectionTime(std::time::Duration::from_millis(ms)));
            }
            _ => {}
        }
    }
    items
}

proptest! {
    /// Goal: the fast decoder says what the slow and plain one says.
    #[test]
    fn any_stream_means_what_the_standard_says(bytes in stream()) {
        prop_assert_eq!(decode([&bytes[..]]), by_the_letter(&bytes));
    }

    /// Goal: where the network cuts the bytes must not matter.
    #[test]
    fn any_cuts_change_nothing(bytes in stream(), sizes in proptest::collection::vec(0_usize..9, 1..40)) {
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for size in sizes {
            let (piece, more) = rest.split_at(size.min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        pieces.push(rest);
        prop_assert_eq!(decode(pieces), decode([&bytes[..]]));
        prop_assert_eq!(decode(bytes.chunks(1)), decode([&bytes[..]]));
    }
}
