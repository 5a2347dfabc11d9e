//! Hostile fields: no text that a caller hands in ever makes two events out of one, or one out of none, ends a line of
//! its own, or reaches a field that it was not meant for.

#![no_main]

use fanfare_wire::{Decoder, Event, EventId, EventName, Frame, Item};
use libfuzzer_sys::fuzz_target;

#[derive(arbitrary::Arbitrary, Debug)]
struct Hostile<'a> {
    data: Option<&'a str>,
    name: &'a str,
    id: &'a str,
    comments: Vec<&'a str>,
}

/// How many events, ids alone, and reconnection times `bytes` make.
fn count(bytes: &[u8]) -> (usize, usize, usize) {
    let mut decoder = Decoder::new();
    let mut input = bytes;
    let (mut events, mut ids, mut times) = (0, 0, 0);
    while let Some(item) = decoder.next(&mut input).expect("the event is within the limits") {
        match item {
            Item::Event(_) => events += 1,
            Item::LastEventId(_) => ids += 1,
            Item::ReconnectionTime(_) => times += 1,
            _ => {}
        }
    }
    (events, ids, times)
}

fuzz_target!(|hostile: Hostile<'_>| {
    let mut event = hostile.data.map_or_else(Event::without_data, |data| Event::new(data.to_owned()));
    match EventName::parse(hostile.name) {
        Ok(name) => event = event.event(name),
        Err(_) => assert!(hostile.name.contains(['\r', '\n'])),
    }
    let mut has_id = false;
    match EventId::parse(hostile.id) {
        Ok(id) => {
            event = event.id(id);
            has_id = true;
        }
        Err(_) => assert!(hostile.id.contains(['\r', '\n', '\0'])),
    }
    for comment in &hostile.comments {
        event = event.comment(comment);
    }
    let frame = event.to_frame();
    let has_data = hostile.data.is_some();
    assert_eq!(count(frame.as_bytes()), (usize::from(has_data), usize::from(has_id && !has_data), 0));

    // The frame is lines of fields that were asked for, then one blank line, its last.
    let text = std::str::from_utf8(frame.as_bytes()).expect("a frame is UTF-8");
    assert!(!text.contains('\r'));
    let body = text.strip_suffix('\n').expect("a frame ends in a blank line");
    for line in body.split_terminator('\n') {
        assert!(["id: ", "event: ", "data: ", ":"].iter().any(|field| line.starts_with(field)), "{line:?}");
    }

    for comment in &hostile.comments {
        let frame = Frame::comment(comment);
        assert_eq!(count(frame.as_bytes()), (0, 0, 0));
        // Whatever stood before it goes on behind it.
        let within = [b"data: a\n", frame.as_bytes(), b"\n"].concat();
        assert_eq!(count(&within), (1, 0, 0));
    }
});
