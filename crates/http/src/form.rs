//! Reads `application/x-www-form-urlencoded` into names and values that are still bytes.
//!
//! It never guesses: nothing is converted to text here, so that a field which is not UTF-8 can be answered with
//! 400 instead of arriving with U+FFFD in it, as it does from `form_urlencoded` (M-015). Rules:
//! [WHATWG URL § 5.1][parsing], M-016.
//!
//! [parsing]: https://url.spec.whatwg.org/#urlencoded-parsing

use std::borrow::Cow;

/// The fields of a query or a form body, in order, repeated ones included.
#[derive(Clone, Debug)]
pub(crate) struct Form<'a> {
    rest: &'a [u8],
}

impl<'a> Form<'a> {
    /// Reads `bytes`; any bytes are a form.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Form<'a> {
    /// Name and value, percent-decoded.
    type Item = (Cow<'a, [u8]>, Cow<'a, [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let (pair, rest) = split_at_first(self.rest, b'&').unwrap_or((self.rest, &[]));
            self.rest = rest;
            // `&&` holds no field; a lone `=` holds one whose name and value are empty.
            if pair.is_empty() {
                continue;
            }
            let (name, value) = split_at_first(pair, b'=').unwrap_or((pair, &[]));
            return Some((decode(name), decode(value)));
        }
    }
}

fn split_at_first(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|b| *b == separator)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// `+` is a space; a `%` that two hex digits do not follow stays as it is.
fn decode(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.iter().any(|b| matches!(b, b'+' | b'%')) {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        out.push(match (first, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            _ => first,
        });
    }
    Cow::Owned(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(form: &str, expected: &[(&[u8], &[u8])]) {
        let fields: Vec<_> =
            Form::new(form.as_bytes()).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        let expected: Vec<_> = expected.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
        assert_eq!(fields, expected, "{form}");
    }

    #[test]
    fn fields_keep_their_order_and_repetition_m016() {
        check("topic=b&data=x&topic=a", &[(b"topic", b"b"), (b"data", b"x"), (b"topic", b"a")]);
    }

    #[test]
    fn only_an_ampersand_separates_m016() {
        check("a=1;b=2&c=3", &[(b"a", b"1;b=2"), (b"c", b"3")]);
        check("&&a=1&&", &[(b"a", b"1")]);
        check("", &[]);
    }

    #[test]
    fn a_plus_is_a_space_and_an_encoded_plus_is_a_plus_m016() {
        check("a+b=c+d%2B", &[(b"a b", b"c d+")]);
    }

    #[test]
    fn a_percent_sign_without_two_hex_digits_stays_m016() {
        check(
            "a=100%&b=%zz&c=%4&d=%%41&e=%4g",
            &[(b"a", b"100%"), (b"b", b"%zz"), (b"c", b"%4"), (b"d", b"%A"), (b"e", b"%4g")],
        );
    }

    #[test]
    fn a_field_without_equals_has_the_empty_value_m016() {
        check("private", &[(b"private", b"")]);
        check("=", &[(b"", b"")]);
        check("a==b=", &[(b"a", b"=b=")]);
    }

    #[test]
    fn bytes_that_are_not_utf8_arrive_as_they_are_m015() {
        check("a=%FF%C3", &[(b"a", b"\xff\xc3")]);
    }

    proptest! {
        /// Where the input is UTF-8 and stays so, the parser of the `url` crate reads the same.
        #[test]
        fn agrees_with_form_urlencoded_on_text(form in "[a-c=&+%0-9;é]{0,40}") {
            let ours: Vec<_> = Form::new(form.as_bytes())
                .map(|(n, v)| (String::from_utf8_lossy(&n).into_owned(), String::from_utf8_lossy(&v).into_owned()))
                .collect();
            let theirs: Vec<_> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
            prop_assert_eq!(ours, theirs);
        }
    }
}
