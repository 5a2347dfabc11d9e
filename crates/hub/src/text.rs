//! Which characters a topic, a matcher, an id and a type may hold.
//!
//! Source: requirements M-011 to M-013 of the Mercure protocol (draft 08, text rules): no control
//! characters and no format characters (Unicode general category Cf).

/// Returns the first character of `text` that no topic, matcher, id or type may hold.
///
/// These are the controls U+0000 to U+001F and U+007F to U+009F, and the format characters of Unicode's
/// category Cf, the zero-width joiner among them.
///
/// ```
/// assert_eq!(fanfare_hub::forbidden_character("rooms/7"), None);
/// assert_eq!(fanfare_hub::forbidden_character("rooms\n7"), Some('\n'));
/// ```
#[must_use]
pub fn forbidden_character(text: &str) -> Option<char> {
    // Nearly all text is printable ASCII, which needs no decoding.
    if text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return None;
    }
    text.chars().find(|&character| is_control(character) || is_format(character))
}

fn is_control(character: char) -> bool {
    matches!(character, '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}')
}

/// Category Cf as of Unicode 15.
fn is_format(character: char) -> bool {
    matches!(
        u32::from(character),
        0x00ad
            | 0x0600..=0x0605
            | 0x061c
            | 0x06dd
            | 0x070f
            | 0x0890..=0x0891
            | 0x08e2
            | 0x180e
            | 0x200b..=0x200f
            | 0x202a..=0x202e
            | 0x2060..=0x2064
            | 0x2066..=0x206f
            | 0xfeff
            | 0xfff9..=0xfffb
            | 0x1_10bd
            | 0x1_10cd
            | 0x1_3430..=0x1_343f
            | 0x1_bca0..=0x1_bca3
            | 0x1_d173..=0x1_d17a
            | 0xe_0001
            | 0xe_0020..=0xe_007f
    )
}

#[cfg(test)]
mod tests {
    use super::forbidden_character;

    fn check(text: &str, expected: Option<char>) {
        assert_eq!(forbidden_character(text), expected, "{text:?}");
    }

    #[test]
    fn printable_text_of_any_language_passes() {
        check("", None);
        check("https://example.com/bücher/鍵 1", None);
        check("\u{a0}\u{2028}", None);
    }

    #[test]
    fn controls_and_format_characters_are_named_m011_m012() {
        for character in ['\0', '\u{1f}', '\u{7f}', '\u{9f}', '\u{ad}', '\u{200d}', '\u{feff}', '\u{e0041}'] {
            check(&format!("a{character}b"), Some(character));
        }
    }
}
