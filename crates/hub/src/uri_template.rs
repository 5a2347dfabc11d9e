//! RFC 6570 URI Templates, held against topics as deployed Mercure hubs do it: as anchored regular expressions.
//!
//! Variables are not unified: `{a}/{a}` matches two different values. What is literal before the first and behind the last
//! of them is compared and no part of the expression. Source: requirement M-188.

use crate::expression::{Expression, ExpressionError};
use crate::{CompileBudget, MatcherError};

/// What one variable may stand for: unreserved characters, commas, percent-encoded bytes.
const UNRESERVED: &str = "[A-Za-z0-9\\-._~,]|%[0-9A-Fa-f]{2}";
/// What the operators `+` and `#` allow besides.
const RESERVED: &str = "[:/?#\\[\\]@!$&'()*+;=]";

/// A template that holds at least one expression.
#[derive(Debug)]
pub(crate) struct UriTemplate {
    expression: Expression,
    /// How long the literal texts around it are, in bytes.
    start: usize,
    end: usize,
}

impl UriTemplate {
    /// `None` for a text that is no template, or one without an expression.
    pub(crate) fn compile(text: &str, budget: &mut CompileBudget) -> Result<Option<Self>, MatcherError> {
        let Some((source, start, end)) = Self::read(text) else { return Ok(None) };
        match Expression::compile(&source, budget) {
            Ok(expression) => Ok(Some(Self { expression, start, end })),
            Err(ExpressionError::Unaffordable(error)) => Err(error),
            // What would be too large is a plain text too, as it always was.
            Err(ExpressionError::TooLarge | ExpressionError::Malformed) => Ok(None),
        }
    }

    /// A regular expression for what is between two literals, and how long these are.
    fn read(text: &str) -> Option<(String, usize, usize)> {
        let start = text.find('{')?;
        let end = text.len() - text.rfind('}').filter(|&end| end > start)? - 1;
        for literal in [&text[..start], &text[text.len() - end..]] {
            literal_of(literal).filter(|_| !literal.contains(['{', '}']))?;
        }
        let mut expression = String::from("^(?:");
        let mut rest = &text[start..text.len() - end];
        while let Some(open) = rest.find(['{', '}']) {
            let (literal, from_brace) = rest.split_at(open);
            let close = from_brace.find('}')?;
            expression.push_str(&literal_of(literal)?);
            expression.push_str(&expression_of(from_brace.get(1..close)?)?);
            rest = &from_brace[close + 1..];
        }
        expression.push_str(")$");
        Some((expression, start, end))
    }

    /// Whether `topic` is matched by this, which was compiled from `text`.
    pub(crate) fn matches(&self, text: &str, topic: &str) -> bool {
        let (start, end) = self.literals(text);
        let between = topic.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        between.is_some_and(|between| self.expression.matches(between))
    }

    /// What every topic begins and ends with that is matched by this, which was compiled from `text`.
    pub(crate) fn literals<'a>(&self, text: &'a str) -> (&'a str, &'a str) {
        (&text[..self.start], &text[text.len() - self.end..])
    }

    /// Segments that every topic has which is matched, behind what it begins with.
    pub(crate) fn run(&self) -> Option<&str> {
        self.expression.run()
    }

    /// What it takes in the heap, in bytes.
    /// What it takes to evaluate, as [`Expression::cost`] tells it.
    pub(crate) fn cost(&self) -> usize {
        self.expression.cost()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.expression.bytes()
    }
}

/// Literals stand for themselves; RFC 6570 § 2.1 leaves out a few characters.
fn literal_of(text: &str) -> Option<String> {
    let excluded = |c: char| matches!(c, ' ' | '"' | '\'' | '<' | '>' | '\\' | '^' | '`' | '|');
    (!text.contains(excluded)).then(|| regex_syntax::escape(text))
}

fn expression_of(inner: &str) -> Option<String> {
    let (operator, list) = match inner.chars().next()? {
        first @ ('+' | '#' | '.' | '/' | ';' | '?' | '&') => (Some(first), &inner[1..]),
        _ => (None, inner),
    };
    let (prefix, separator) = match operator {
        None | Some('+') => ("", ","),
        Some('#') => ("\\#", ","),
        Some('.') => ("\\.", "\\."),
        Some('/') => ("/", "/"),
        Some(';') => (";", ";"),
        Some('?') => ("\\?", "&"),
        _ => ("\\&", "&"),
    };
    let mut variables = 0_usize;
    let mut any_exploded = false;
    let mut first_exploded = false;
    for variable in list.split(',') {
        let exploded = variable_is_exploded(variable)?;
        first_exploded |= exploded && variables == 0;
        any_exploded |= exploded;
        variables += 1;
    }
    let mut value = String::from(UNRESERVED);
    if matches!(operator, Some('+' | '#')) {
        value = format!("{value}|{RESERVED}");
    }
    if matches!(operator, Some(';' | '?' | '&')) || first_exploded {
        value.push_str("|=");
    }
    let more = if any_exploded { "*".to_owned() } else { format!("{{0,{}}}", variables - 1) };
    Some(format!("(?:{prefix}(?:{value})*(?:{separator}(?:{value})*){more})?"))
}

/// Checks one variable of a list; `None` when it is malformed.
fn variable_is_exploded(variable: &str) -> Option<bool> {
    let (name, exploded) = match variable.strip_suffix('*') {
        Some(name) => (name, true),
        None => match variable.split_once(':') {
            Some((name, length)) => {
                let well_formed = (1..=4).contains(&length.len())
                    && length.bytes().all(|byte| byte.is_ascii_digit())
                    && !length.starts_with('0');
                (well_formed.then_some(name)?, false)
            }
            None => (variable, false),
        },
    };
    let mut bytes = name.bytes();
    let mut well_formed = !name.is_empty() && !name.starts_with('.') && !name.ends_with('.');
    while let Some(byte) = bytes.next() {
        well_formed &= match byte {
            b'%' => {
                bytes.next().is_some_and(|b| b.is_ascii_hexdigit())
                    && bytes.next().is_some_and(|b| b.is_ascii_hexdigit())
            }
            _ => byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.',
        };
    }
    well_formed.then_some(exploded)
}

#[cfg(test)]
mod tests {
    use super::UriTemplate;
    use crate::CompileBudget;

    fn compile(text: &str) -> Option<UriTemplate> {
        UriTemplate::compile(text, &mut CompileBudget::default()).expect("what can be afforded")
    }

    fn check(template: &str, topic: &str, expected: bool) {
        let compiled = compile(template).unwrap_or_else(|| panic!("{template} is no template"));
        assert_eq!(compiled.matches(template, topic), expected, "{template} on {topic}");
    }

    /// M-188.
    #[test]
    fn templates_match_as_deployed_hubs_do_m188_m189() {
        check("{id}", "", true);
        check("{id}", "a,b", true);
        check("{id}", "a/b", false);
        check("{id}", "é", false);
        check("{id}", "%C3%A9", true);
        check("https://x.test/books/{id}", "https://x.test/books/", true);
        check("https://x.test/books/{id}", "https://x.test/books/1", true);
        check("https://x.test/books/{id}", "https://x.test/books/1/2", false);
        check("https://x.test/books/{+path}", "https://x.test/books/1/2?a=b", true);
        check("/s{/topic}{/subscriber}", "/s/a%2Fb/c", true);
        check("/s{/topic}{/subscriber}", "/s/a", true);
        check("/s{/topic}{/subscriber}", "/s", true);
        check("/s{/topic}{/subscriber}", "/s/a/b/c", false);
        check("/x{?topic}", "/x?topic=https%3A%2F%2Fx", true);
        check("/x{?topic}", "/x", true);
        check("/x{?a,b}", "/x?a=1&b=2", true);
        check("/x{?a,b}", "/x?a=1&b=2&c=3", false);
        check("/x{?a*}", "/x?a=1&b=2&c=3", true);
        check("/x{#part}", "/x#a/b", true);
    }

    #[test]
    fn a_template_that_would_fill_the_memory_is_a_plain_string() {
        let variables = |count: usize| format!("{{{}}}", vec!["a"; count].join(","));
        assert!(compile(&variables(50)).is_some());
        assert!(compile(&variables(2_000)).is_none());
    }

    #[test]
    fn what_is_no_template_is_a_plain_string_m187() {
        for text in ["https://x.test/books/1", "{", "}", "{}", "{a b}", "a}{b", "{a:0}", "{=a}", "{a", "x{}y"]
        {
            assert!(compile(text).is_none(), "{text}");
        }
    }
}
