//! Reads the header `Idempotency-Key`, by which a publication that is sent again is stored once.
//!
//! It decides nothing about what is remembered: that is the engine's matter. The header is that of
//! [draft-ietf-httpapi-idempotency-key-header](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/):
//! a string in double quotes. Most clients send the key bare, as they do to Stripe, so that is the same key here.

use std::borrow::Cow;
use std::fmt::Write as _;

use fanfare_hub::IdempotencyKey;
use http::{HeaderMap, HeaderName};

use crate::refusal::Refusal;

pub(crate) const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// Says with `true` that an earlier attempt stored the publication: the name that Stripe gave it.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Reads the key that `publisher` sent, if it sent one.
///
/// # Errors
/// 400 for what is no key, and for several that differ.
pub(crate) fn key(headers: &HeaderMap, publisher: Option<&str>) -> Result<Option<IdempotencyKey>, Refusal> {
    let mut sent: Option<Cow<'_, str>> = None;
    for value in headers.get_all(KEY) {
        let text = text(value.as_bytes())?;
        if sent.as_ref().is_some_and(|before| *before != text) {
            return Err(Refusal::bad("There are several headers Idempotency-Key that differ."));
        }
        sent = Some(text);
    }
    Ok(sent.map(|text| scoped(publisher, &text)))
}

/// Makes the hub's key of whose it is and what they sent, so that no two publishers share one.
///
/// Of the publisher it holds a digest (SHA-256): a name may be as long as a token, and a hundred thousand keys are remembered.
/// Nobody can forge another's: `key` is visible ASCII and has no line feed, and without one there is no publisher.
fn scoped(publisher: Option<&str>, key: &str) -> IdempotencyKey {
    let Some(publisher) = publisher else { return IdempotencyKey::new(key) };
    let digest = ring::digest::digest(&ring::digest::SHA256, publisher.as_bytes());
    let mut text = String::with_capacity(2 * digest.as_ref().len() + 1 + key.len());
    for byte in digest.as_ref() {
        // Writing to a string never fails.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    text.push_str(key);
    IdempotencyKey::new(text)
}

/// Reads one value: 1 to 255 characters of visible ASCII, bare or as a string of
/// [RFC 9651 § 3.3.3](https://www.rfc-editor.org/rfc/rfc9651#section-3.3.3).
fn text(value: &[u8]) -> Result<Cow<'_, str>, Refusal> {
    let value = value.trim_ascii();
    let key = match value.strip_prefix(b"\"") {
        Some(quoted) => unquoted(quoted)?,
        None => Cow::Borrowed(value),
    };
    if key.is_empty() {
        return Err(Refusal::bad("The header Idempotency-Key is empty."));
    }
    if key.len() > KEY_BYTES_MAX {
        let bytes = key.len();
        return Err(Refusal::bad(format!(
            "The Idempotency-Key has {bytes} bytes; at most {KEY_BYTES_MAX} are allowed."
        )));
    }
    if !key.iter().all(u8::is_ascii_graphic) {
        return Err(Refusal::bad(
            "The Idempotency-Key may hold visible ASCII characters only, and no space.",
        ));
    }
    let text = match key {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
    };
    text.ok_or_else(Refusal::fault)
}

/// Takes off the quotation mark at the end, and the backslashes before `"` and `\` within.
fn unquoted(quoted: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    let bad = || {
        Refusal::bad(
            "The header Idempotency-Key begins with a quotation mark and is not one string in quotation marks.",
        )
    };
    let mut text = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    loop {
        match bytes.next() {
            Some(b'"') if bytes.as_slice().is_empty() => return Ok(Cow::Owned(text)),
            Some(b'\\') => match bytes.next() {
                Some(&escaped @ (b'"' | b'\\')) => text.push(escaped),
                _ => return Err(bad()),
            },
            Some(b'"') | None => return Err(bad()),
            Some(&byte) => text.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn check(value: &[u8], expected: Result<&str, &str>) {
        match (text(value), expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected),
            (Err(refusal), Err(expected)) => {
                assert_eq!(refusal.status, 400);
                assert!(refusal.sentence.contains(expected), "{refusal}");
            }
            (read, expected) => panic!("{read:?} is not {expected:?}"),
        }
    }

    #[test]
    fn a_key_is_read_bare_and_quoted() {
        check(b"8e03978e-40d5-43dd-bc93-6894a57f9324", Ok("8e03978e-40d5-43dd-bc93-6894a57f9324"));
        check(b"\"8e03978e\"", Ok("8e03978e"));
        check(b" \"8e03978e\"\t", Ok("8e03978e"));
        check(b"\"a\\\"b\\\\c\"", Ok("a\"b\\c"));
        check(b"a\"b\\c", Ok("a\"b\\c"));
        check(&[b'x'; 255], Ok(&"x".repeat(255)));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for value in [&b""[..], b" ", b"\"\""] {
            check(value, Err("is empty"));
        }
        for value in [&b"\""[..], b"\"a", b"\"a\"b\"", b"\"a\";b=c", b"\"a\\b\"", b"\"a\\", b"\"a\\\""] {
            check(value, Err("is not one string in quotation marks"));
        }
        for value in
            [&b"a b"[..], b"a, b", b"\"a b\"", b"a\tb", b"caf\xc3\xa9", b"\"\xff\"", b"a\nb", b"\x7f"]
        {
            check(value, Err("visible ASCII"));
        }
        check(&[b'x'; 256], Err("has 256 bytes; at most 255"));
    }

    #[test]
    fn a_header_that_is_there_twice_has_to_say_the_same() {
        let read = |values: &[&'static str]| {
            let values = values.iter().map(|value| (KEY, HeaderValue::from_static(value)));
            key(&values.collect(), None)
        };
        assert_eq!(read(&[]).expect("no key"), None);
        assert_eq!(read(&["a", "\"a\""]).expect("one key"), Some(IdempotencyKey::new("a")));
        assert!(read(&["a", "b"]).expect_err("two").sentence.contains("several"));
        assert!(read(&["a", ""]).is_err());
    }

    proptest! {
        #[test]
        fn a_key_means_the_same_bare_and_quoted(sent in "[!-~]{1,255}") {
            let quoted = format!("\"{}\"", sent.replace('\\', "\\\\").replace('"', "\\\""));
            let read = text(quoted.as_bytes()).expect("a key");
            prop_assert_eq!(&*read, &sent);
            if !sent.starts_with('"') {
                let read = text(sent.as_bytes()).expect("a key");
                prop_assert_eq!(&*read, &sent);
            }
        }

        #[test]
        fn whatever_is_read_is_short_and_visible(value in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(text) = text(&value) {
                prop_assert!((1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }

        /// Whatever they are called: names and keys that differ in where one ends and the other begins, too.
        #[test]
        fn no_publisher_can_make_the_key_of_another(
            one in (prop::option::of("[ab\n]{0,4}"), "[ab]{1,4}"),
            other in (prop::option::of("[ab\n]{0,4}"), "[ab]{1,4}"),
        ) {
            let scoped = |(publisher, key): &(Option<String>, String)| scoped(publisher.as_deref(), key);
            prop_assert_eq!(scoped(&one) == scoped(&other), one == other);
        }
    }

    #[test]
    fn a_long_name_makes_no_long_key() {
        let name = "n".repeat(100_000);
        assert!(scoped(Some(&name), "key").as_str().len() < 100);
    }
}
