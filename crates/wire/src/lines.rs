//! Where a line ends: LF, CR, or both together as one.
//!
//! The encoder cuts the text of its callers here, so that no line end of theirs reaches the wire. It
//! allocates nothing. The decoder has its own scan, because a CRLF may reach it in two pieces.
//! Source: [WHATWG HTML § 9.2.5](https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).

use memchr::memchr2;

/// The lines of `text`, without their ends. There is always one: the last, which may be empty.
pub(crate) fn lines(text: &[u8]) -> Lines<'_> {
    Lines { rest: Some(text) }
}

/// See [`lines`].
pub(crate) struct Lines<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.rest?;
        let Some(end) = memchr2(b'\n', b'\r', text) else {
            self.rest = None;
            return Some(text);
        };
        let (line, rest) = text.split_at(end);
        self.rest = Some(match rest {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => rest,
        });
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::lines;
    use std::vec::Vec;

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<&[u8]> = lines(text.as_bytes()).collect();
        let expected: Vec<&[u8]> = expected.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn each_line_end_ends_a_line_once() {
        check("", &[""]);
        check("a", &["a"]);
        check("a\nb", &["a", "b"]);
        check("a\rb", &["a", "b"]);
        check("a\r\nb", &["a", "b"]);
        check("a\n\rb", &["a", "", "b"]);
        check("a\r\r\nb", &["a", "", "b"]);
        check("\n", &["", ""]);
        check("a\r\n", &["a", ""]);
        check("\r\n\r\n", &["", "", ""]);
    }
}
