//! A regular expression of bounded size that knows what it costs.
//!
//! It answers whether a text is matched, in time that grows with the text and never faster, and nothing about where. It
//! keeps no memory for searching: each thread has one room for all expressions. Rules: M-048, M-049.

use std::cell::RefCell;
use std::convert::Infallible;

use regex_automata::nfa::thompson::pikevm::{Cache, PikeVM};
use regex_automata::nfa::thompson::{Compiler, Config, WhichCaptures};
use regex_syntax::ast::{Ast, ClassSetItem, Flag, GroupKind, Visitor};
use regex_syntax::hir::translate::Translator;
#[cfg(feature = "urlpattern")]
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange};
use regex_syntax::hir::{Hir, HirKind};
#[cfg(feature = "urlpattern")]
use regex_syntax::hir::{Look, Repetition};

use crate::segments::longest_run;
use crate::{CompileBudget, MatcherError};

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Expression {
    program: PikeVM,
    /// Segments that every text has which it matches.
    run: Option<Box<str>>,
    /// Whether it looks for the ends of words, which takes twice as long.
    looks_for_words: bool,
    /// Whether it looks about, with `^`, `$` or `\b`, somewhere else than at its ends.
    #[cfg(feature = "urlpattern")]
    pub(crate) looks_about: bool,
}

/// Why there is no expression.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ExpressionError {
    Malformed,
    /// Compiled it would have more bytes than [`Expression::BYTES_MAX`].
    TooLarge,
    /// More than is left of the budget.
    Unaffordable(MatcherError),
}

impl From<MatcherError> for ExpressionError {
    fn from(error: MatcherError) -> Self {
        Self::Unaffordable(error)
    }
}

impl Expression {
    /// The largest compiled expression, in bytes. A few bytes such as `(x{0,100}){0,100}` would otherwise compile to
    /// megabytes, for every subscriber who cares to send them.
    pub(crate) const BYTES_MAX: usize = 64 * 1024;

    #[cfg(feature = "uri-template")]
    pub(crate) fn compile(source: &str, budget: &mut CompileBudget) -> Result<Self, ExpressionError> {
        Self::build(&read(source, budget)?, budget)
    }

    /// For texts that are ASCII without line breaks, such as the parts of a URL: several times smaller where the expression
    /// speaks of letters and digits, of which Unicode has very many.
    #[cfg(feature = "urlpattern")]
    pub(crate) fn compile_for_ascii(
        source: &str,
        budget: &mut CompileBudget,
    ) -> Result<Self, ExpressionError> {
        Self::build(&within_ascii(&read(source, budget)?), budget)
    }

    fn build(hir: &Hir, budget: &mut CompileBudget) -> Result<Self, ExpressionError> {
        let config = Config::new()
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(Self::BYTES_MAX))
            .shrink(false);
        let nfa = Compiler::new().configure(config).build_from_hir(hir).map_err(|error| {
            if error.size_limit().is_some() { ExpressionError::TooLarge } else { ExpressionError::Malformed }
        })?;
        budget.take_work(Work::EXPRESSION + nfa.memory_usage() / Work::BYTES)?;
        let program = PikeVM::new_from_nfa(nfa).map_err(|_| ExpressionError::Malformed)?;
        let parts = match hir.kind() {
            HirKind::Concat(parts) => &**parts,
            _ => std::slice::from_ref(hir),
        };
        // What stands between its ends must be there, literals that follow each other are one.
        let literals = parts.iter().filter_map(|part| match part.kind() {
            HirKind::Literal(literal) => std::str::from_utf8(&literal.0).ok(),
            _ => None,
        });
        Ok(Self {
            program,
            run: longest_run(literals).map(Into::into),
            looks_for_words: hir.properties().look_set().contains_word(),
            #[cfg(feature = "urlpattern")]
            looks_about: match parts {
                [_, between @ .., _] => between.iter().any(|part| !part.properties().look_set().is_empty()),
                _ => true,
            },
        })
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        thread_local! {
            static ROOM: RefCell<Option<Cache>> = const { RefCell::new(None) };
        }
        ROOM.with_borrow_mut(|room| {
            let room = room.get_or_insert_with(|| self.program.create_cache());
            room.reset(&self.program);
            self.program.is_match(room, text)
        })
    }

    /// Segments that every text has which it matches, one behind the other.
    pub(crate) fn run(&self) -> Option<&str> {
        self.run.as_deref()
    }

    /// What it takes to evaluate, beside others: about a microsecond for each 6,500 of it and byte of a text.
    pub(crate) fn cost(&self) -> usize {
        self.program.get_nfa().memory_usage() * if self.looks_for_words { 4 } else { 2 }
    }

    /// What it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.program.get_nfa().memory_usage() + self.run.as_ref().map_or(0, |run| run.len())
    }
}

/// Reads an expression, after looking what that costs.
fn read(source: &str, budget: &mut CompileBudget) -> Result<Hir, ExpressionError> {
    let ast = regex_syntax::ast::parse::Parser::new().parse(source);
    let ast = ast.map_err(|_| ExpressionError::Malformed)?;
    let Ok(work) = regex_syntax::ast::visit(&ast, Work::default());
    budget.take_work(work)?;
    Translator::new().translate(source, &ast).map_err(|_| ExpressionError::Malformed)
}

/// What it costs to understand an expression: classes of Unicode have hundreds of ranges, and to ignore case is to look up
/// each of them.
#[derive(Default)]
struct Work {
    items: usize,
    classes: usize,
    ignores_case: bool,
}

impl Work {
    /// In microseconds, some more than were measured (release build, 2026).
    const EXPRESSION: usize = 16;
    const CLASS: usize = 8;
    const CASELESS_CLASS: usize = 400;
    /// How many bytes of a program take one.
    const BYTES: usize = 64;
}

impl Visitor for Work {
    type Output = usize;
    type Err = Infallible;

    fn finish(self) -> Result<usize, Infallible> {
        let class = if self.ignores_case { Self::CASELESS_CLASS } else { Self::CLASS };
        Ok(self.items + self.classes * class)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Infallible> {
        self.items += 1;
        let flags = match ast {
            Ast::ClassUnicode(_) | Ast::ClassPerl(_) | Ast::ClassBracketed(_) => {
                self.classes += 1;
                return Ok(());
            }
            Ast::Flags(set) => &set.flags,
            Ast::Group(group) => match &group.kind {
                GroupKind::NonCapturing(flags) => flags,
                _ => return Ok(()),
            },
            _ => return Ok(()),
        };
        self.ignores_case |= flags.flag_state(Flag::CaseInsensitive).is_some();
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Infallible> {
        self.items += 1;
        let is_large =
            !matches!(item, ClassSetItem::Empty(_) | ClassSetItem::Literal(_) | ClassSetItem::Union(_));
        self.classes +=
            usize::from(is_large && (self.ignores_case || !matches!(item, ClassSetItem::Range(_))));
        Ok(())
    }
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
            let expression =
                Expression::compile_for_ascii(source, &mut CompileBudget::default()).expect("an expression");
            let reference = regex::Regex::new(source).expect("an expression");
            for text in texts {
                assert_eq!(expression.matches(text), reference.is_match(text), "{source} on {text}");
            }
        }
    }

    #[cfg(feature = "uri-template")]
    #[test]
    fn what_is_malformed_is_told_from_what_is_too_large() {
        let compile = |source| Expression::compile(source, &mut CompileBudget::default());
        assert_eq!(compile("(").err(), Some(ExpressionError::Malformed));
        assert_eq!(compile("(?=a)").err(), Some(ExpressionError::Malformed));
        assert_eq!(compile("(x{0,100}){0,100}").err(), Some(ExpressionError::TooLarge));
        assert!(compile("x{0,100}").is_ok_and(|it| it.bytes() < Expression::BYTES_MAX));
    }
}
