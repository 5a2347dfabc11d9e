//! Turns the bytes of a field into text that the protocol allows there.
//!
//! It refuses and never repairs: a byte that is not UTF-8 is an error here, not a U+FFFD (M-015). Rules: M-011 to M-014.

use std::borrow::Cow;

use fanfare_hub::forbidden_character;

use crate::refusal::Refusal;

/// Takes any text.
///
/// # Errors
/// 400 if the bytes are not UTF-8.
pub(crate) fn any_text(field: &str, bytes: Cow<'_, [u8]>) -> Result<String, Refusal> {
    String::from_utf8(bytes.into_owned())
        .map_err(|_| Refusal::bad(format!("The field `{field}` is not valid UTF-8.")))
}

/// Takes text without control and format characters.
///
/// # Errors
/// 400 if the bytes are not UTF-8 or hold such a character.
pub(crate) fn plain_text(field: &str, bytes: Cow<'_, [u8]>) -> Result<String, Refusal> {
    let text = any_text(field, bytes)?;
    match forbidden_character(&text) {
        None => Ok(text),
        Some(character) => Err(Refusal::bad(format!(
            "The field `{field}` contains the control or format character {}.",
            character.escape_unicode()
        ))),
    }
}
