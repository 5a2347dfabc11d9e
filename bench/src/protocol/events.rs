//! Reads an event stream as far as checking deliveries needs it: fields, line ends and blank lines as in
//! WHATWG HTML section 9.2.6, and of the data only whether it is a [`Stamp`] of ours.
//!
//! It is written to cost little for each event, because it shares the machine with the server that is measured; the
//! project's real decoder is the crate `fanfare-wire`.

use super::payload::{Payloads, Stamp};
use memchr::memchr2;

/// Longest line kept from one read to the next, in bytes; a longer one makes its event corrupt.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The name of the event by which the hub tells of a gap.
const GAP: &[u8] = b"fanfare.gap";

/// One dispatched event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// An event of ours, whole.
    Stamped(Stamp),
    /// An event with data that no publisher of ours sent.
    Corrupt,
    /// The server tells that events are missing.
    Gap,
    /// An event with another name: ours have none, so the server is telling something (an end).
    Named,
}

/// The data lines of the event so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    None,
    One(Stamp),
    Foreign,
}

/// What the `event` field of the event so far says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    /// Nothing, or what nothing means.
    Message,
    Gap,
    Other,
}

/// The last event ID, and what it will be when the event that is being read is dispatched.
#[derive(Debug, Default)]
struct Ids {
    next: Vec<u8>,
    last: Vec<u8>,
}

/// Reads one stream.
#[derive(Debug)]
pub(crate) struct EventReader {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    data: Data,
    name: Name,
    /// Kept for those alone who come back with it.
    ids: Option<Box<Ids>>,
    /// The last byte was a carriage return: a line feed now belongs to it.
    after_cr: bool,
    /// Nothing read so far: a byte order mark may come.
    at_start: bool,
}

impl EventReader {
    pub(crate) fn new() -> Self {
        Self {
            line: Vec::new(),
            data: Data::None,
            name: Name::Message,
            ids: None,
            after_cr: false,
            at_start: true,
        }
    }

    /// From now on it knows the last event ID; it begins with `last`.
    pub(crate) fn keep_ids(&mut self, last: Vec<u8>) {
        self.ids = Some(Box::new(Ids { next: last.clone(), last }));
    }

    /// The last event ID, if it is kept and there is one.
    pub(crate) fn last_event_id(&self) -> Option<&[u8]> {
        self.ids.as_ref().map(|ids| ids.last.as_slice()).filter(|id| !id.is_empty())
    }

    /// Reads `bytes` and hands every event that ends in them to `on_event`.
    pub(crate) fn push(&mut self, mut bytes: &[u8], payloads: &Payloads, mut on_event: impl FnMut(Received)) {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = memchr2(b'\n', b'\r', bytes) {
            if self.line.is_empty() {
                self.line_ended(&bytes[..end], payloads, &mut on_event);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&bytes[..end]);
                self.line_ended(&line, payloads, &mut on_event);
                // Half a frame in a read is common under load: keep the allocation.
                line.clear();
                self.line = line;
            }
            let carriage_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if carriage_return {
                self.after_cr = bytes.is_empty();
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
        }
        if self.line.len() + bytes.len() <= LINE_BYTES_MAX {
            self.line.extend_from_slice(bytes);
        }
    }

    fn line_ended(&mut self, line: &[u8], payloads: &Payloads, on_event: &mut impl FnMut(Received)) {
        let line = if std::mem::take(&mut self.at_start) {
            line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line)
        } else {
            line
        };
        if line.is_empty() {
            if let Some(ids) = &mut self.ids {
                ids.last.clone_from(&ids.next);
            }
            let name = std::mem::replace(&mut self.name, Name::Message);
            match (std::mem::replace(&mut self.data, Data::None), name) {
                // Without data nothing is dispatched, whatever the name: a bookmark looks like this.
                (Data::None, _) => {}
                (_, Name::Gap) => on_event(Received::Gap),
                (_, Name::Other) => on_event(Received::Named),
                (Data::One(stamp), Name::Message) => on_event(Received::Stamped(stamp)),
                (Data::Foreign, Name::Message) => on_event(Received::Corrupt),
            }
        } else if let Some(value) = field(line, b"data") {
            self.data = match (self.data, payloads.read(value)) {
                (Data::None, Some(stamp)) => Data::One(stamp),
                _ => Data::Foreign,
            };
        } else if let Some(value) = field(line, b"event") {
            self.name = match value {
                b"" | b"message" => Name::Message,
                GAP => Name::Gap,
                _ => Name::Other,
            };
        } else if let Some(ids) = &mut self.ids
            && let Some(value) = field(line, b"id")
        {
            ids.next.clear();
            ids.next.extend_from_slice(value);
        }
        // Comments, `retry` and unknown fields say nothing about deliveries.
    }
}

/// The value of the field `name`, if this line is one.
fn field<'line>(line: &'line [u8], name: &[u8]) -> Option<&'line [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PAYLOAD_BYTES: usize = 64;

    fn stamp(sequence: u64) -> Stamp {
        Stamp { publisher: 3, sequence, sent_ns: 7 }
    }

    fn data(sequence: u64) -> String {
        let mut data = Vec::new();
        Payloads::new(PAYLOAD_BYTES).write(stamp(sequence), &mut data);
        String::from_utf8(data).unwrap()
    }

    fn check(stream: &str, expected: &[Received]) {
        let payloads = Payloads::new(PAYLOAD_BYTES);
        let stream = stream.as_bytes();
        for cut in 0..=stream.len() {
            let mut reader = EventReader::new();
            let mut received = Vec::new();
            reader.push(&stream[..cut], &payloads, |event| received.push(event));
            reader.push(&stream[cut..], &payloads, |event| received.push(event));
            assert_eq!(received, expected, "cut at {cut}");
        }
        let mut reader = EventReader::new();
        let mut received = Vec::new();
        for byte in stream.chunks(1) {
            reader.push(byte, &payloads, |event| received.push(event));
        }
        assert_eq!(received, expected, "byte by byte");
    }

    #[test]
    fn events_are_read_with_every_kind_of_line_end() {
        for end in ["\n", "\r", "\r\n"] {
            let stream = format!(
                "\u{feff}:{end}{end}id: 1{end}data: {}{end}{end}: alive{end}data:{}{end}retry: 3{end}{end}",
                data(1),
                data(2)
            );
            check(&stream, &[Received::Stamped(stamp(1)), Received::Stamped(stamp(2))]);
        }
    }

    #[test]
    fn a_block_without_data_is_no_event() {
        check("id: bookmark\n\n:\nevent: x\n\nretry: 1\n\n", &[]);
    }

    #[test]
    fn an_unfinished_event_is_no_event() {
        check(&format!("data: {}\n", data(1)), &[]);
    }

    #[test]
    fn data_that_is_not_ours_is_corrupt() {
        let two_lines = format!("data: {}\ndata: {}\n\n", data(1), data(2));
        for stream in ["data: hello\n\n", "data\n\n", "data: \n\n", &two_lines] {
            check(stream, &[Received::Corrupt]);
        }
    }

    #[test]
    fn a_named_event_is_told_apart() {
        check("event: fanfare.gap\ndata: {}\n\n", &[Received::Gap]);
        check("event: fanfare.close\ndata: {}\n\n", &[Received::Named]);
        check(&format!("event: message\ndata: {}\n\n", data(1)), &[Received::Stamped(stamp(1))]);
        // Were the two bytes of a line end taken for two ends, the event would be over before its name came.
        check(&format!("data: {}\r\nevent: fanfare.gap\r\n\r\n", data(1)), &[Received::Gap]);
        check(&format!("event\ndata: {}\n\n", data(5)), &[Received::Stamped(stamp(5))]);
    }

    #[test]
    fn the_last_event_id_is_that_of_the_last_whole_block() {
        let mut reader = EventReader::new();
        reader.keep_ids(b"a".to_vec());
        let read = |reader: &mut EventReader, text: &str| {
            reader.push(text.as_bytes(), &Payloads::new(PAYLOAD_BYTES), |_| {});
            String::from_utf8(reader.last_event_id().unwrap_or_default().to_vec()).unwrap()
        };
        assert_eq!(read(&mut reader, "id: b\ndata: x\n"), "a");
        assert_eq!(read(&mut reader, "\nid: c\n\nid: d\n"), "c");
        assert_eq!(read(&mut reader, "\ndata: x\n\n"), "d");
    }
}
