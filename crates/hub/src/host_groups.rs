//! Reads groups in a pattern's host as browsers do: a text in them that begins with the end of a host is none.
//!
//! In `https://host{/x}?` the group is part of the host, for only outside of groups a slash begins the path. Browsers hand `/x`
//! to what reads hosts, which takes nothing of it; the library calls that an error. It changes nothing else, and judges nothing.

use std::borrow::Cow;

/// The same pattern of a host without such texts.
pub(crate) fn without_foreign_texts(host: &str) -> Cow<'_, str> {
    let mut kept = String::with_capacity(host.len());
    // Texts that follow each other are one.
    let mut text = String::new();
    let mut rest = host;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(Piece::length(rest));
        let (behind, modifier) = match Piece::of(piece) {
            Piece::Text(more) => {
                text.push_str(more);
                (behind, "")
            }
            // Its braces may keep it apart from a name.
            Piece::Group { variable: "", .. } if !behind.starts_with(MODIFIERS) => {
                text.push_str(piece);
                (behind, "")
            }
            Piece::Group { prefix, variable, suffix } => {
                push_apart(&std::mem::take(&mut text), &mut kept);
                kept.push('{');
                push_text(prefix, &mut kept);
                kept.push_str(variable);
                push_text(suffix, &mut kept);
                kept.push('}');
                modifier_of(behind)
            }
            Piece::Variable(variable) => {
                push_apart(&std::mem::take(&mut text), &mut kept);
                // Behind a group an asterisk would be its modifier.
                let is_modifier = variable == "*" && kept.ends_with('}');
                kept.push_str(if is_modifier { "(.*)" } else { variable });
                modifier_of(behind)
            }
            Piece::Broken => return host.into(),
        };
        kept.push_str(modifier);
        rest = behind;
    }
    push_apart(&text, &mut kept);
    kept.into()
}

const MODIFIERS: [char; 3] = ['?', '*', '+'];

/// What follows, and the modifier before it.
fn modifier_of(behind: &str) -> (&str, &str) {
    let (modifier, behind) = behind.split_at(usize::from(behind.starts_with(MODIFIERS)));
    (behind, modifier)
}

/// The same outside of groups, where what is about a text must stay apart.
fn push_apart(text: &str, kept: &mut String) {
    let before = kept.len();
    push_text(text, kept);
    if kept.len() == before && !text.is_empty() {
        kept.push_str("{}");
    }
}

/// Keeps a text, unless it begins with the end of a host; one that is no text, for it has a modifier in it, is left to the library.
fn push_text(text: &str, kept: &mut String) {
    let start = text.trim_start_matches(['{', '}']);
    let is_foreign =
        start.starts_with(['/', '#']) || ["\\/", "\\#", "\\?"].iter().any(|sign| start.starts_with(sign));
    if !is_foreign || length_until(text, b'?').is_some() || length_until(text, b'+').is_some() {
        kept.push_str(text);
    }
}

/// A part of a pattern.
enum Piece<'a> {
    Text(&'a str),
    /// What stands between two braces: texts about a variable, or a text alone.
    Group {
        prefix: &'a str,
        variable: &'a str,
        suffix: &'a str,
    },
    /// A name, an expression, both, or an asterisk.
    Variable(&'a str),
    /// What the library will not take.
    Broken,
}

impl<'a> Piece<'a> {
    /// How long the first piece is.
    fn length(pattern: &str) -> usize {
        match pattern.as_bytes()[0] {
            b'{' => length_until(&pattern[1..], b'}').map_or(pattern.len(), |length| length + 1),
            b':' | b'(' | b'*' => variable_length(pattern),
            _ => text_length(pattern).max(1),
        }
    }

    fn of(piece: &'a str) -> Self {
        match piece.as_bytes()[0] {
            b'{' => {
                let Some(inner) = piece[1..].strip_suffix('}') else { return Self::Broken };
                let (prefix, rest) = inner.split_at(text_length(inner));
                let (variable, suffix) = rest.split_at(variable_length(rest));
                Self::Group { prefix, variable, suffix }
            }
            b'}' => Self::Broken,
            b':' | b'(' | b'*' => Self::Variable(piece),
            _ => Self::Text(piece),
        }
    }
}

/// How long something is up to a sign and with it, which stands in no expression; `None` if it is not there.
fn length_until(text: &str, sign: u8) -> Option<usize> {
    let mut depth = 0_usize;
    let mut is_escaped = false;
    let end = text.bytes().position(|byte| {
        match byte {
            _ if is_escaped => {
                is_escaped = false;
                return false;
            }
            b'\\' => is_escaped = true,
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && byte == sign
    })?;
    Some(end + 1)
}

/// How long the text is that something begins with.
fn text_length(pattern: &str) -> usize {
    let mut is_escaped = false;
    let is_special = |byte: u8| {
        let was_escaped = is_escaped;
        is_escaped = !was_escaped && byte == b'\\';
        !was_escaped && matches!(byte, b':' | b'(' | b'*' | b'{' | b'}')
    };
    pattern.bytes().position(is_special).unwrap_or(pattern.len())
}

/// How long the variable is that something begins with, if it does.
fn variable_length(pattern: &str) -> usize {
    if pattern.starts_with('*') {
        return 1;
    }
    let expression = pattern.strip_prefix(':').map_or(pattern, |name| {
        name.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$'))
    });
    let length = if expression.starts_with('(') {
        length_until(expression, b')').unwrap_or(expression.len())
    } else {
        0
    };
    pattern.len() - expression.len() + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_begins_as_a_path_is_taken_out_of_a_group_and_nothing_else_is() {
        let check = |host: &str, expected: &str| assert_eq!(without_foreign_texts(host), expected);
        check("host{/x}?", "host{}?");
        check("host{/x}*.y", "host{}*.y");
        check("host{/:x}?", "host{:x}?");
        check("host{:x(a{1,2}\\)b)/y}?", "host{:x(a{1,2}\\)b)}?");
        check("{:x\\?y}host", "{:x}host");
        check("{*#}{\\/y}+", "{*}{}+");
        check("(a|b){/x}y*", "(a|b){}(.*)");
        check("(a|b){/x}y:z", "(a|b){}:z");
        check(":a{b}{/x}", ":a{b}{/x}");
        check("\\{{/x}?", "\\{{}?");
        check(":a{/x}", ":a{}");
        check("{/x}host", "{}");
        check(":a{}{/x}", ":a{}");
        let untouched = [
            "host",
            "*.host",
            "{a/b}?host",
            "{:a.}*b",
            "{a\\:/}?b",
            "a{b",
            "{x",
            "{(}",
            "a}b",
            ":",
            "(",
            "é:é(é)é",
        ];
        for host in untouched {
            check(host, host);
        }
    }
}
