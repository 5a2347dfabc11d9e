//! Any event: what is encoded has the length that was told, and is decoded to the same with its line ends made LF.

#![no_main]

use std::time::Duration;

use fanfare_wire::{Decoder, Draft, Event, EventId, EventName, Item};
use libfuzzer_sys::fuzz_target;

#[derive(arbitrary::Arbitrary, Debug)]
struct Fields<'a> {
    data: Option<&'a str>,
    name: Option<&'a str>,
    id: Option<&'a str>,
    retry_ms: Option<u64>,
    comment: Option<&'a str>,
    room: u8,
    cut: usize,
}

fn normalised(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fuzz_target!(|fields: Fields<'_>| {
    let name = fields.name.and_then(|name| EventName::parse(name).ok());
    let id = fields.id.and_then(|id| EventId::parse(id).ok());
    let mut event = fields.data.map_or_else(Event::without_data, |data| Event::new(data.to_owned()));
    if let Some(name) = &name {
        event = event.event(name.clone());
    }
    if let Some(ms) = fields.retry_ms {
        event = event.retry(Duration::from_millis(ms));
    }
    if let Some(comment) = fields.comment {
        event = event.comment(comment);
    }
    let draft = Draft::new(&event, fields.room.into());
    let frame = match &id {
        Some(id) => {
            event = event.id(id.clone());
            draft.stamp(id)
        }
        None => draft.without_id(),
    };
    assert_eq!(frame, event.to_frame());
    assert_eq!(frame.as_bytes().len(), event.frame_bytes());

    let mut expected = Vec::new();
    if let Some(comment) = fields.comment {
        expected.extend(normalised(comment).split('\n').map(|line| format!("{:?}", Item::Comment(line))));
    }
    expected
        .extend(fields.retry_ms.map(|ms| format!("{:?}", Item::ReconnectionTime(Duration::from_millis(ms)))));
    let last_event_id = id.as_ref().map_or("", EventId::as_str);
    let data = fields.data.map(normalised);
    let name = name.as_ref().map(EventName::as_str).filter(|name| !name.is_empty()).unwrap_or("message");

    let mut decoder = Decoder::new();
    let (head, tail) = frame.as_bytes().split_at(fields.cut.min(frame.as_bytes().len()));
    let mut expected = expected.into_iter();
    let mut ends = 0;
    for mut piece in [head, tail] {
        while let Some(item) = decoder.next(&mut piece).expect("the event is within the limits") {
            match (&item, &data) {
                (Item::Event(event), Some(data)) => {
                    assert_eq!(
                        (event.name, event.data, event.last_event_id),
                        (name, &data[..], last_event_id)
                    );
                    ends += 1;
                }
                (Item::LastEventId(text), None) => {
                    assert_eq!(id.as_ref().map(EventId::as_str), Some(*text));
                    ends += 1;
                }
                _ => assert_eq!(Some(format!("{item:?}")), expected.next()),
            }
        }
    }
    assert_eq!(expected.next(), None);
    assert_eq!(ends, u32::from(data.is_some() || id.is_some()));
});
