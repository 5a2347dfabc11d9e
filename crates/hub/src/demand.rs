//! What a URL Pattern asks of one part of a URL.
//!
//! It is read from what the library made of the pattern, and holds only what is needed to answer whether a text is matched.

use urlpattern::component::Component;
use urlpattern::matcher::InnerMatcher;
use urlpattern::parser::RegexSyntax;
use urlpattern::regexp::RegExp;

use crate::CompileBudget;
use crate::expression::{Expression, ExpressionError};
use crate::segments::longest_run;
use crate::wildcards::{Steps, Wildcard};

/// What a part has to look like.
#[derive(Debug)]
pub(crate) enum Demand {
    Literal(Box<str>),
    /// It begins and ends so, and what is between them is matched, or all of it.
    Around {
        start: Box<str>,
        end: Box<str>,
        between: Between,
    },
}

/// What stands between two literals.
#[derive(Debug)]
pub(crate) enum Between {
    Wildcard(Wildcard),
    Steps(Steps),
    Expression(Box<Expression>),
    /// An expression that looks about, at what stands before and behind: it is held against the literals, too.
    Whole(Box<Expression>),
}

/// An expression of the library's that is not compiled before it is known to be needed.
#[derive(Debug)]
pub(crate) struct Unread(String);

impl RegExp for Unread {
    fn syntax() -> RegexSyntax {
        RegexSyntax::Rust
    }

    fn parse(pattern: &str, _flags: &str, _force_eval: bool) -> Result<Self, ()> {
        Ok(Self(pattern.to_owned()))
    }

    /// The library asks whether a pattern's scheme is one of those with a host, and asks again for each of these.
    fn matches<'a>(&self, text: &'a str) -> Option<Vec<Option<&'a str>>> {
        let mut budget = CompileBudget::new(Demand::SCHEME_WORK, Expression::BYTES_MAX);
        Between::read(&self.0, &mut budget).ok()?.matches(text).then(Vec::new)
    }

    fn pattern_string(&self) -> &str {
        &self.0
    }
}

impl Demand {
    /// What the expression of a scheme may cost, which is compiled more than once.
    pub(crate) const SCHEME_WORK: usize = 200;

    /// `None` where nothing is asked of the part.
    pub(crate) fn read(
        component: Component<Unread>,
        budget: &mut CompileBudget,
    ) -> Result<Option<Self>, ExpressionError> {
        let matcher = component.matcher;
        let between = match matcher.inner {
            InnerMatcher::Literal { literal } => return Ok(Some(Self::Literal(literal.into()))),
            InnerMatcher::SingleCapture { filter, allow_empty } => {
                let except = filter.map(u8::try_from).transpose().map_err(|_| ExpressionError::Malformed)?;
                Between::Wildcard(Wildcard { except, may_be_empty: allow_empty })
            }
            InnerMatcher::RegExp { regexp } => {
                let Ok(expression) = regexp else { return Err(ExpressionError::Malformed) };
                match Between::read(&expression.0, budget)? {
                    Between::Expression(inner)
                        if !(matcher.prefix.is_empty() && matcher.suffix.is_empty()) =>
                    {
                        // Expressions could have brackets that only the literals around them make whole, or do not.
                        let Ok(whole) = component.regexp else { return Err(ExpressionError::Malformed) };
                        let whole = Expression::compile_for_ascii(&whole.0, budget)?;
                        if inner.looks_about {
                            Between::Whole(whole.into())
                        } else {
                            Between::Expression(inner)
                        }
                    }
                    between => between,
                }
            }
        };
        let is_any = matches!(between, Between::Wildcard(Wildcard::ANY));
        if is_any && matcher.prefix.is_empty() && matcher.suffix.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self::Around { start: matcher.prefix.into(), end: matcher.suffix.into(), between }))
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Literal(literal) => text == &**literal,
            Self::Around { start, end, between } => {
                let inner = text.strip_prefix(&**start).and_then(|rest| rest.strip_suffix(&**end));
                inner.is_some_and(|inner| match between {
                    Between::Whole(expression) => expression.matches(text),
                    between => between.matches(inner),
                })
            }
        }
    }

    pub(crate) fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }

    /// What every text begins and ends with that is matched.
    pub(crate) fn ends(&self) -> (&str, &str) {
        match self {
            Self::Literal(literal) => (literal, literal),
            Self::Around { start, end, .. } => (start, end),
        }
    }

    /// Segments that every text has which is matched, besides what it begins and ends with.
    pub(crate) fn run(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Around { between, .. } => match between {
                Between::Wildcard(_) => None,
                Between::Steps(steps) => longest_run(steps.literals()),
                Between::Expression(expression) | Between::Whole(expression) => expression.run(),
            },
        }
    }

    /// What it takes to evaluate, as [`Expression::cost`] tells it: each step may go through all of a text, too.
    pub(crate) fn cost(&self) -> usize {
        let Self::Around { between, .. } = self else { return 0 };
        match between {
            Between::Wildcard(_) => 0,
            Between::Steps(steps) => steps.bytes() / 4,
            Between::Expression(expression) | Between::Whole(expression) => expression.cost(),
        }
    }

    /// What it takes in the heap, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Literal(literal) => literal.len(),
            Self::Around { start, end, between } => {
                start.len()
                    + end.len()
                    + match between {
                        Between::Wildcard(_) => 0,
                        Between::Steps(steps) => steps.bytes(),
                        Between::Expression(expression) | Between::Whole(expression) => {
                            size_of::<Expression>() + expression.bytes()
                        }
                    }
            }
        }
    }
}

impl Between {
    fn read(expression: &str, budget: &mut CompileBudget) -> Result<Self, ExpressionError> {
        if let Some(steps) = Steps::read(expression) {
            return Ok(Self::Steps(steps));
        }
        Ok(Self::Expression(Expression::compile_for_ascii(expression, budget)?.into()))
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Wildcard(wildcard) => wildcard.matches(text),
            Self::Steps(steps) => steps.matches(text),
            Self::Expression(expression) | Self::Whole(expression) => expression.matches(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;
    use urlpattern::{UrlPattern, UrlPatternInit, UrlPatternOptions};

    use super::*;

    const PIECES: &[&str] = &[
        "/", "a", ".", "-", ":x", "/:y", ":z?", "/:w*", "/:v+", ":u+", ":t*", "*", "/*", "/*?", "/**", "/*+",
        "*?", "{a}", "{a}?", "{ab}*", "{/a}+", "{a:s}", "{/:r.}?", "{:q-}*", "{a:p}+", "{a:o.a}*", "{a*}?",
        "{*a}+", "{a*a}*", "([^/]+?)", "(.*)", "{/(.*)}+", "(.+?)", "\\.", "\\+", "\\(",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

        /// Goal: whatever the library writes for wildcards and groups is read back, and means the same.
        /// Method: paths and hosts of all such pieces; the expression, compiled, is held against 30 texts.
        #[test]
        fn an_expression_of_the_library_s_is_read_back_as_what_it_means(
            pieces in prop::collection::vec(select(PIECES), 0..7),
            is_host in any::<bool>(),
            texts in prop::collection::vec("(/|a|\\.|-|b|\\(|\\+){0,9}", 30),
        ) {
            let part = Some(pieces.concat());
            let (hostname, pathname) = if is_host { (part, None) } else { (None, part) };
            let init = UrlPatternInit { hostname, pathname, ..UrlPatternInit::default() };
            // The same name or a bracket twice is none.
            let Ok(pattern) = UrlPattern::<Unread>::parse(init, UrlPatternOptions::default()) else { return Ok(()) };
            let component = if is_host { pattern.hostname } else { pattern.pathname };
            let source = component.regexp.expect("an expression").0;
            let expression = regex::Regex::new(&source).expect("an expression");
            let Some(steps) = Steps::read(&source) else {
                // A dot with a question mark is one of their own.
                prop_assert!(component.has_regexp_group, "{} is not read", source);
                return Ok(());
            };
            for text in texts {
                prop_assert_eq!(steps.matches(&text), expression.is_match(&text), "{} on {}", source, text);
            }
        }
    }
}
