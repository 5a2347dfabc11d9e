//! What is encoded is decoded to the same, and nothing that a caller puts into an event can become another.

mod common;

use std::time::Duration;

use common::{Owned, decode, event};
use fanfare_wire::{Draft, Event, EventId, EventName, Frame};
use proptest::option::of;
use proptest::prelude::*;

/// Text with much of what the format is made of.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n"),
        Just("\r"),
        Just("\r\n"),
        Just(" "),
        Just(":"),
        Just("\u{feff}"),
        Just("\0"),
        Just("\u{2028}"),
        Just("data: "),
        Just("event: "),
        Just("id: "),
        Just("retry: 5"),
        Just("\n\n"),
        Just("x"),
        Just("héllo"),
        Just("🦀"),
    ];
    prop_oneof![proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()), any::<String>()]
}

/// The fields of an event, each of which may be missing.
#[derive(Clone, Debug)]
struct Fields {
    data: Option<String>,
    name: Option<EventName>,
    id: Option<EventId>,
    retry: Option<Duration>,
    comment: Option<String>,
}

fn fields() -> impl Strategy<Value = Fields> {
    let name = text()
        .prop_map(|text| EventName::parse(without(&text, &['\r', '\n'])).expect("no line break is left"));
    let id = text().prop_map(|text| {
        EventId::parse(without(&text, &['\r', '\n', '\0'])).expect("no line break or NUL is left")
    });
    let retry = prop_oneof![Just(0), any::<u64>()].prop_map(Duration::from_millis);
    (of(text()), of(name), of(id), of(retry), of(text()))
        .prop_map(|(data, name, id, retry, comment)| Fields { data, name, id, retry, comment })
}

fn without(text: &str, unwanted: &[char]) -> String {
    text.chars().filter(|char| !unwanted.contains(char)).collect()
}

impl Fields {
    fn event(&self) -> Event {
        let mut event = self.data.clone().map_or_else(Event::without_data, Event::new);
        if let Some(name) = self.name.clone() {
            event = event.event(name);
        }
        if let Some(id) = self.id.clone() {
            event = event.id(id);
        }
        if let Some(retry) = self.retry {
            event = event.retry(retry);
        }
        match &self.comment {
            Some(comment) => event.comment(comment),
            None => event,
        }
    }

    /// What a client reads that has no last event ID yet.
    fn items(&self) -> Vec<Owned> {
        let comments = self.comment.iter().flat_map(|comment| comment_lines(comment));
        let mut items: Vec<Owned> = comments.chain(self.retry.map(Owned::ReconnectionTime)).collect();
        let id = self.id.as_ref().map_or("", EventId::as_str);
        let name = self.name.as_ref().map(EventName::as_str).filter(|name| !name.is_empty());
        match &self.data {
            Some(data) => items.push(event(name.unwrap_or("message"), &normalised(data), id)),
            None if self.id.is_some() => items.push(Owned::LastEventId(id.into())),
            None => {}
        }
        items
    }
}

fn comment_lines(text: &str) -> Vec<Owned> {
    normalised(text).split('\n').map(|line| Owned::Comment(line.into())).collect()
}

fn normalised(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

proptest! {
    /// Goal: an event arrives as it was meant, and the one behind it too.
    #[test]
    fn what_is_encoded_is_decoded_to_the_same(fields in fields()) {
        let frame = fields.event().to_frame();
        let next = Event::new("next").to_frame();
        let mut items = fields.items();
        items.push(event("message", "next", fields.id.as_ref().map_or("", EventId::as_str)));
        prop_assert_eq!(decode([frame.as_bytes(), next.as_bytes()]), items);
    }

    /// Goal: the length is known before the bytes are, for whatever event.
    #[test]
    fn the_length_that_is_told_is_the_length_that_is_written(fields in fields()) {
        let event = fields.event();
        prop_assert_eq!(event.frame_bytes(), event.to_frame().as_bytes().len());
    }

    /// Goal: room that is left for an id leaves no trace.
    #[test]
    fn a_stamped_draft_is_the_frame_of_the_event_with_that_id(fields in fields(), room in 0_usize..64) {
        let event = fields.event();
        let id = EventId::from_static("#1abcdefghijklmnopqrstuv");
        prop_assert_eq!(Draft::new(&event, room).stamp(&id), event.id(id).to_frame());
    }

    /// Goal: no event makes two; a block ends where the frame ends, and nowhere before.
    #[test]
    fn a_frame_is_one_block(fields in fields()) {
        let frame = fields.event().to_frame();
        let events = decode([frame.as_bytes()]).into_iter().filter(|item| matches!(item, Owned::Event { .. })).count();
        prop_assert_eq!(events, usize::from(fields.data.is_some()));
        let lines = frame.as_bytes().split(|byte| *byte == b'\n').collect::<Vec<_>>();
        let blank = lines.iter().position(|line| line.is_empty());
        prop_assert_eq!(blank, Some(lines.len() - 2));
        prop_assert!(!frame.as_bytes().contains(&b'\r'));
    }

    /// Goal: a comment is comment lines and nothing else, and no text ends it.
    #[test]
    fn a_comment_is_comment_lines_alone(text in text()) {
        let frame = Frame::comment(&text);
        prop_assert_eq!(decode([frame.as_bytes()]), comment_lines(&text));
        prop_assert!(!frame.as_bytes().windows(2).any(|pair| pair == b"\n\n"));
    }
}
