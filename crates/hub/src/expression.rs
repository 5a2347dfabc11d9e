//! A regular expression of bounded size that knows what it costs.
//!
//! It answers whether a text is matched, in time that grows with the text and never faster, and nothing about where. It
//! keeps no memory for searching: each thread has one room for all expressions. Rules: M-048, M-049.

use std::cell::RefCell;

use regex_automata::nfa::thompson::pikevm::{Cache, PikeVM};
use regex_automata::nfa::thompson::{Compiler, Config, WhichCaptures};
use regex_syntax::hir::Hir;
#[cfg(feature = "urlpattern")]
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange};
#[cfg(feature = "urlpattern")]
use regex_syntax::hir::{HirKind, Look, Repetition};

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Expression(PikeVM);

/// Why there is no expression.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ExpressionError {
    Malformed,
    /// Compiled it would have more bytes than [`Expression::BYTES_MAX`].
    TooLarge,
}

impl Expression {
    /// The largest compiled expression, in bytes. A few bytes such as `(x{0,100}){0,100}` would otherwise compile to
    /// megabytes, for every subscriber who cares to send them.
    pub(crate) const BYTES_MAX: usize = 64 * 1024;

    #[cfg(feature = "uri-template")]
    pub(crate) fn compile(source: &str) -> Result<Self, ExpressionError> {
        Self::build(&parse(source)?)
    }

    /// For texts that are ASCII without line breaks, such as the parts of a URL: several times smaller where the expression
    /// speaks of letters and digits, of which Unicode has very many.
    #[cfg(feature = "urlpattern")]
    pub(crate) fn compile_for_ascii(source: &str) -> Result<Self, ExpressionError> {
        Self::build(&within_ascii(&parse(source)?))
    }

    fn build(hir: &Hir) -> Result<Self, ExpressionError> {
        let config = Config::new()
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(Self::BYTES_MAX))
            .shrink(false);
        let nfa = Compiler::new().configure(config).build_from_hir(hir).map_err(|error| {
            if error.size_limit().is_some() { ExpressionError::TooLarge } else { ExpressionError::Malformed }
        })?;
        PikeVM::new_from_nfa(nfa).map(Self).map_err(|_| ExpressionError::Malformed)
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        thread_local! {
            static ROOM: RefCell<Option<Cache>> = const { RefCell::new(None) };
        }
        ROOM.with_borrow_mut(|room| {
            let room = room.get_or_insert_with(|| self.0.create_cache());
            room.reset(&self.0);
            self.0.is_match(room, text)
        })
    }

    /// What it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.get_nfa().memory_usage()
    }
}

fn parse(source: &str) -> Result<Hir, ExpressionError> {
    regex_syntax::parse(source).map_err(|_| ExpressionError::Malformed)
}

/// An expression that matches the same ASCII texts, and no others. It captures nothing.
#[cfg(feature = "urlpattern")]
fn within_ascii(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) if literal.0.is_ascii() => Hir::literal(literal.0.clone()),
        HirKind::Literal(_) => Hir::fail(),
        HirKind::Class(Class::Unicode(class)) => {
            let mut class = class.clone();
            class.intersect(&ClassUnicode::new([ClassUnicodeRange::new('\0', '\x7f')]));
            Hir::class(Class::Unicode(class))
        }
        HirKind::Class(Class::Bytes(class)) => {
            let mut class = class.clone();
            class.intersect(&ClassBytes::new([ClassBytesRange::new(0, 0x7f)]));
            Hir::class(Class::Bytes(class))
        }
        HirKind::Look(look) => Hir::look(match look {
            Look::WordUnicode => Look::WordAscii,
            Look::WordUnicodeNegate => Look::WordAsciiNegate,
            Look::WordStartUnicode => Look::WordStartAscii,
            Look::WordEndUnicode => Look::WordEndAscii,
            Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
            Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
            look => *look,
        }),
        HirKind::Repetition(repetition) => {
            let sub = Box::new(within_ascii(&repetition.sub));
            Hir::repetition(Repetition { sub, ..repetition.clone() })
        }
        HirKind::Capture(capture) => within_ascii(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(within_ascii).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(within_ascii).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "urlpattern")]
    #[test]
    fn within_ascii_an_expression_says_what_it_says_of_all_texts() {
        let sources = [
            "^\\d+$",
            "^\\w+\\b$",
            "^(?i)k\\x{17f}$",
            "^[^/]+$",
            "^\\p{L}{2,3}$",
            "^a|é|z$",
            "^(?:\\s|\\S)$",
            "^\\b.$",
            "^\\B.*$",
            "^(?i:\\u{212A})$",
            "^[\\x{7f}-\\x{ff}a]$",
            "^(?:é)?x$",
            "^\\b{start}a\\b{end-half}$",
        ];
        let texts =
            ["", "k", "ks", "KS", "kS", "a", "ab", "abc", "abcd", "1", "1a", "/", " ", "x", "z", "-", "a-b"];
        for source in sources {
            let expression = Expression::compile_for_ascii(source).expect("an expression");
            let reference = regex::Regex::new(source).expect("an expression");
            for text in texts {
                assert_eq!(expression.matches(text), reference.is_match(text), "{source} on {text}");
            }
        }
    }

    #[cfg(feature = "uri-template")]
    #[test]
    fn what_is_malformed_is_told_from_what_is_too_large() {
        assert_eq!(Expression::compile("(").err(), Some(ExpressionError::Malformed));
        assert_eq!(Expression::compile("(?=a)").err(), Some(ExpressionError::Malformed));
        assert_eq!(Expression::compile("(x{0,100}){0,100}").err(), Some(ExpressionError::TooLarge));
        assert!(Expression::compile("x{0,100}").is_ok_and(|it| it.bytes() < Expression::BYTES_MAX));
    }
}
