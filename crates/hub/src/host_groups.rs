//! Reads groups in a pattern's host as browsers do: a text in them that begins with the end of a host is none.
//!
//! In `https://host{/x}?` the group is part of the host, for only outside of groups a slash begins the path. Browsers hand `/x`
//! to what reads hosts, which takes nothing of it; the library calls that an error. It changes nothing else, and judges nothing.

use std::borrow::Cow;

/// The same pattern of a host without such texts.
pub(crate) fn without_foreign_texts(host: &str) -> Cow<'_, str> {
    let mut kept = String::new();
    let mut rest = host;
    while let Some((before, group)) = rest.split_once('{') {
        kept.push_str(before);
        kept.push('{');
        let Some(close) = Group::end_of(group) else { return host.into() };
        let behind = &group[close..];
        let is_repeated = behind[1..].starts_with(['?', '*', '+']);
        Group::of(&group[..close]).write(is_repeated, &mut kept);
        rest = behind;
    }
    if kept.is_empty() {
        return host.into();
    }
    kept.push_str(rest);
    kept.into()
}

/// What stands between two braces: a wildcard or an expression, and texts about it; or a text alone.
struct Group<'a> {
    prefix: &'a str,
    variable: &'a str,
    suffix: &'a str,
}

impl<'a> Group<'a> {
    /// Where the brace stands that closes it; `None` if nothing does.
    fn end_of(group: &str) -> Option<usize> {
        let mut depth = 0_usize;
        let mut is_escaped = false;
        for (at, byte) in group.bytes().enumerate() {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'(' => depth += 1,
                b')' => depth = depth.saturating_sub(1),
                b'}' if depth == 0 => return Some(at),
                _ => {}
            }
        }
        None
    }

    fn of(inner: &'a str) -> Self {
        let start = text_of(inner);
        let (prefix, rest) = inner.split_at(start);
        // A name, or an expression, or both, or an asterisk: what is behind is text again.
        let named = rest.strip_prefix(':').map_or(rest, |name| {
            name.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$'))
        });
        let suffix = if named.starts_with('(') {
            let mut depth = 0_usize;
            let mut is_escaped = false;
            let end = named.bytes().position(|byte| {
                match byte {
                    _ if is_escaped => is_escaped = false,
                    b'\\' => is_escaped = true,
                    b'(' => depth += 1,
                    b')' => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            &named[end.map_or(named.len(), |end| end + 1)..]
        } else {
            rest.strip_prefix('*').unwrap_or(named)
        };
        Self { prefix, variable: &rest[..rest.len() - suffix.len()], suffix }
    }

    fn write(&self, is_repeated: bool, kept: &mut String) {
        // A text alone is one with what stands before the group.
        let is_apart = is_repeated || !self.variable.is_empty();
        kept.push_str(if is_apart && is_foreign(self.prefix) { "" } else { self.prefix });
        kept.push_str(self.variable);
        kept.push_str(if is_foreign(self.suffix) { "" } else { self.suffix });
    }
}

/// How long the text is that something begins with.
fn text_of(inner: &str) -> usize {
    let mut is_escaped = false;
    let is_special = |byte: u8| {
        let was_escaped = is_escaped;
        is_escaped = !was_escaped && byte == b'\\';
        !was_escaped && matches!(byte, b':' | b'(' | b'*')
    };
    inner.bytes().position(is_special).unwrap_or(inner.len())
}

fn is_foreign(text: &str) -> bool {
    text.strip_prefix('\\').unwrap_or(text).starts_with(['/', '?', '#', '\\'])
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
        for host in ["host", "*.host", "{/x}host", "{a/b}?host", "{:a.}*b", "{a\\:/}?b", "a{b", "{x", "{(}"] {
            check(host, host);
        }
    }
}
