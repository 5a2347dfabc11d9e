//! What an event says: who published it as which number, and sometimes a long tail.
//!
//! The tail is checked where the event is read and then cut off, so that a history stays small. It never repairs.

/// The text of an event called `name`, with a tail of `tail` bytes.
pub(crate) fn with_tail(name: &str, tail: usize) -> String {
    if tail == 0 { name.to_owned() } else { format!("{name} {tail} {}", "x".repeat(tail)) }
}

/// The name, if the tail is whole; otherwise everything, which nobody will know.
pub(crate) fn name_of(data: &str) -> &str {
    let mut parts = data.splitn(3, ' ');
    let (Some(name), Some(tail), Some(bytes)) = (parts.next(), parts.next(), parts.next()) else {
        return data;
    };
    let is_whole = tail.parse() == Ok(bytes.len()) && bytes.bytes().all(|byte| byte == b'x');
    if is_whole { name } else { data }
}

#[test]
fn a_name_comes_back_and_a_torn_tail_is_seen() {
    assert_eq!(name_of("p0/1"), "p0/1");
    let long = with_tail("p0/1", 3);
    assert_eq!(long, "p0/1 3 xxx");
    assert_eq!(name_of(&long), "p0/1");
    for torn in ["p0/1 3 xx", "p0/1 3 xyx", "p0/1 3", "p0/1 3 "] {
        assert_eq!(name_of(torn), torn);
    }
}
