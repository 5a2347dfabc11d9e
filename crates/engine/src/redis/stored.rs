//! How Redis writes what a log holds: entries, their places, and what goes with them. Nothing is asked here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanfare_hub::{Check, Position};
use redis::Value;

/// One entry as it stands in the log.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) position: Position,
    /// The check of the entry before it.
    pub(super) before: Option<Check>,
    /// When Redis took it.
    pub(super) at: SystemTime,
    /// Empty if there is none.
    pub(super) entry: Vec<u8>,
}

pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// Reads entries of a stream; `None` if there is something that is none of a hub's.
pub(super) fn stored(value: Value) -> Option<Vec<Stored>> {
    let Value::Array(entries) = value else { return None };
    entries.into_iter().map(one).collect()
}

fn one(value: Value) -> Option<Stored> {
    let Value::Array(parts) = value else { return None };
    let mut parts = parts.into_iter();
    let position = place(text(&parts.next()?)?)?;
    let mut stored = Stored { position, before: None, at: UNIX_EPOCH, entry: Vec::new() };
    let Value::Array(fields) = parts.next()? else { return None };
    let mut fields = fields.into_iter();
    while let (Some(Value::BulkString(name)), Some(Value::BulkString(value))) = (fields.next(), fields.next())
    {
        match &name[..] {
            b"p" => stored.before = unhex(&value),
            b"t" => {
                let micros = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
                stored.at = UNIX_EPOCH.checked_add(Duration::from_micros(micros?))?;
            }
            b"e" | b"i" => stored.entry = value,
            _ => {}
        }
    }
    Some(stored)
}

/// The id of the entry at a position.
pub(super) fn id(position: Position) -> String {
    format!("{position}-0")
}

/// The position of the entry with an id; `None` if it is none of a hub's.
pub(super) fn place(id: &str) -> Option<Position> {
    id.strip_suffix("-0")?.parse().ok()
}

pub(super) fn epoch_text(epoch: u32) -> String {
    format!("{epoch:08x}")
}

pub(super) fn hex(check: Check) -> String {
    format!("{:010x}", check.bits())
}

pub(super) fn unhex(text: &[u8]) -> Option<Check> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() == 10)?;
    u64::from_str_radix(text, 16).ok().map(Check::from_random)
}

pub(super) fn micros(age: Duration) -> u64 {
    u64::try_from(age.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry(id: &str, fields: &[&str]) -> Value {
        Value::Array(vec![bulk(id), Value::Array(fields.iter().map(|text| bulk(text)).collect())])
    }

    #[test]
    fn an_entry_of_a_stream_is_read_by_its_fields_and_its_id() {
        let value = entry("7-0", &["p", "00000000ff", "t", "1500000", "b", "900", "e", "\u{1}abc"]);
        let read = stored(Value::Array(vec![value])).expect("entries").pop().expect("one");
        assert_eq!((read.position, read.before), (7, Some(Check::from_random(255))));
        assert_eq!((read.at, read.entry), (UNIX_EPOCH + Duration::from_millis(1_500), b"\x01abc".to_vec()));
    }

    #[test]
    fn what_somebody_else_has_put_into_a_stream_is_no_entry() {
        for id in ["7-1", "1526919030474-55", "x-0", ""] {
            assert!(stored(Value::Array(vec![entry(id, &["e", "x"])])).is_none(), "{id}");
        }
        assert!(stored(bulk("x")).is_none());
    }

    #[test]
    fn a_check_comes_back_as_it_was_written() {
        let check = Check::from_random(0x0012_3456_789a);
        assert_eq!((hex(check).as_str(), unhex(b"123456789a")), ("123456789a", Some(check)));
        assert_eq!((unhex(b"12"), unhex(b"123456789x")), (None, None));
    }
}
