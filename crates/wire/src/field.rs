//! What one line of an event stream says.
//!
//! Looks at one line at a time, without its end; it keeps nothing and copies nothing. Bytes stay bytes here:
//! no known field name has a byte beyond ASCII, so invalid UTF-8 can wait until a value is wanted as text.
//! Source: [WHATWG HTML § 9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation).

/// A line that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    Data(&'a [u8]),
    Event(&'a [u8]),
    Id(&'a [u8]),
    Retry(&'a [u8]),
    Comment(&'a [u8]),
    /// A field that the standard does not know, which is ignored.
    Unknown,
}

impl<'a> Field<'a> {
    /// Reads `line`. A value is always a suffix of the line.
    // The names are tried one by one instead of searching the colon first: a line of data is recognised by
    // its first bytes, however long it is.
    #[inline]
    pub(crate) fn of(line: &'a [u8]) -> Self {
        let field = match line {
            [b'd', b'a', b't', b'a', rest @ ..] => value(rest).map(Self::Data),
            [b':', rest @ ..] => Some(Self::Comment(without_space(rest))),
            [b'i', b'd', rest @ ..] => value(rest).map(Self::Id),
            [b'e', b'v', b'e', b'n', b't', rest @ ..] => value(rest).map(Self::Event),
            [b'r', b'e', b't', b'r', b'y', rest @ ..] => value(rest).map(Self::Retry),
            _ => None,
        };
        field.unwrap_or(Self::Unknown)
    }
}

/// The value behind a field name, unless the name goes on. A line without a colon is a name alone.
#[inline]
fn value(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [] => Some(rest),
        [b':', rest @ ..] => Some(without_space(rest)),
        _ => None,
    }
}

/// One space after the colon belongs to the syntax; a second one to the value.
#[inline]
fn without_space(value: &[u8]) -> &[u8] {
    value.strip_prefix(b" ").unwrap_or(value)
}

/// The milliseconds of a `retry` field, if its value is ASCII digits alone; `u64::MAX` if they say more than that.
pub(crate) fn milliseconds(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |ms, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(ms.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::{Field, milliseconds};

    fn check(line: &str, expected: Field<'_>) {
        assert_eq!(Field::of(line.as_bytes()), expected, "{line:?}");
    }

    #[test]
    fn one_space_after_the_colon_belongs_to_the_syntax() {
        check("data: a", Field::Data(b"a"));
        check("data:a", Field::Data(b"a"));
        check("data:  a", Field::Data(b" a"));
        check("data:\ta", Field::Data(b"\ta"));
        check("data: ", Field::Data(b""));
        check(": a", Field::Comment(b"a"));
        check(":", Field::Comment(b""));
    }

    #[test]
    fn a_line_without_a_colon_is_a_field_with_an_empty_value() {
        check("data", Field::Data(b""));
        check("event", Field::Event(b""));
        check("id", Field::Id(b""));
        check("retry", Field::Retry(b""));
    }

    #[test]
    fn a_name_is_compared_whole_and_by_case() {
        for line in
            ["dat", "datas: a", "Data: a", " data: a", "data : a", "ids", "x", "retry ", "\u{feff}data: a"]
        {
            check(line, Field::Unknown);
        }
    }

    #[test]
    fn the_first_colon_ends_the_name() {
        check("data:a:b", Field::Data(b"a:b"));
        check("data::", Field::Data(b":"));
        check("id: : ", Field::Id(b": "));
    }

    #[test]
    fn milliseconds_are_ascii_digits_alone_and_stop_at_the_greatest() {
        for (value, expected) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", Some(u64::MAX)),
            ("99999999999999999999999999", Some(u64::MAX)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1 ", None),
            ("1e3", None),
            ("٣", None),
        ] {
            assert_eq!(milliseconds(value.as_bytes()), expected, "{value:?}");
        }
    }
}
