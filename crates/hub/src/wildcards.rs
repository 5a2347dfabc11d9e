//! What a URL Pattern asks of one part of a URL, where it asks for literals, wildcards and optional groups alone.
//!
//! The library writes that as a regular expression. This reads such expressions back, and no others, into a form that is as
//! small as the pattern. It never guesses: an expression that it does not know whole is left to [`Expression`].
//! It holds texts as URLs have them: ASCII, without line breaks, so that a byte is a character and `.` is any.
//!
//! [`Expression`]: crate::expression::Expression

use smallvec::SmallVec;

/// What has to follow what.
#[derive(Debug)]
pub(crate) struct Steps(Box<[Step]>);

#[derive(Debug)]
enum Step {
    Literal(Box<str>),
    Wildcard(Wildcard),
    Group(Box<Group>),
}

/// Any characters, but perhaps one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wildcard {
    /// The delimiter that it stops at.
    pub(crate) except: Option<u8>,
    pub(crate) may_be_empty: bool,
}

/// A wildcard between two literals, or a literal alone, that may be left out or repeated.
#[derive(Debug)]
struct Group {
    repeat: Repeat,
    start: Box<str>,
    /// INVARIANT: beside a wildcard one of the literals is not empty, so that every round takes something.
    wildcard: Option<Wildcard>,
    end: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    Optional,
    ZeroOrMore,
    OneOrMore,
}

impl Wildcard {
    pub(crate) const ANY: Self = Self { except: None, may_be_empty: true };

    pub(crate) fn matches(self, text: &str) -> bool {
        let is_long_enough = self.may_be_empty || !text.is_empty();
        is_long_enough && !self.except.is_some_and(|delimiter| text.as_bytes().contains(&delimiter))
    }
}

impl Repeat {
    fn loops(self) -> bool {
        self != Self::Optional
    }

    fn may_be_left_out(self) -> bool {
        self != Self::OneOrMore
    }
}

impl Steps {
    /// Reads an expression of the library's; `None` for any other.
    pub(crate) fn read(expression: &str) -> Option<Self> {
        let mut rest = Rest(expression.strip_prefix('^')?.strip_suffix('$')?);
        let mut steps = Vec::new();
        while !rest.0.is_empty() {
            if rest.eat("(?:") {
                rest.group(&mut steps)?;
            } else if rest.eat("((?:") {
                // Repeated without anything between, so it makes no difference how often.
                let wildcard = rest.wildcard()?;
                let repeat =
                    if rest.eat(")*)") { Repeat::ZeroOrMore } else { rest.must(")+)", Repeat::OneOrMore)? };
                let may_be_empty = wildcard.may_be_empty || repeat.may_be_left_out();
                steps.push(Step::Wildcard(Wildcard { may_be_empty, ..wildcard }));
            } else if rest.eat("(") {
                let wildcard = rest.must_wildcard_and(")")?;
                let may_be_empty = wildcard.may_be_empty | rest.eat("?");
                steps.push(Step::Wildcard(Wildcard { may_be_empty, ..wildcard }));
            } else {
                steps.push(Step::Literal(rest.literal().filter(|literal| !literal.is_empty())?.into()));
            }
        }
        // What follows each other is one literal, in which whole segments can be seen.
        let mut joined: Vec<Step> = Vec::with_capacity(steps.len());
        for step in steps {
            match (joined.last_mut(), step) {
                (Some(Step::Literal(before)), Step::Literal(literal)) => {
                    *before = [&**before, &*literal].concat().into();
                }
                (_, step) => joined.push(step),
            }
        }
        Some(Self(joined.into()))
    }

    /// What every text has in it that is matched.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|step| match step {
            Step::Literal(literal) => Some(&**literal),
            Step::Wildcard(_) | Step::Group(_) => None,
        })
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        let mut places = Places::none(text);
        places.add(0);
        for step in &self.0 {
            places = match step {
                Step::Literal(literal) => after_literal(&places, literal, text),
                Step::Wildcard(wildcard) => after_wildcard(&places, *wildcard, text),
                Step::Group(group) => group.after(&places, text),
            };
            if places.is_empty() {
                return false;
            }
        }
        places.has(text.len())
    }

    /// What they take in the heap, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let each = |step: &Step| match step {
            Step::Literal(literal) => literal.len(),
            Step::Wildcard(_) => 0,
            Step::Group(group) => size_of::<Group>() + group.start.len() + group.end.len(),
        };
        size_of_val(&*self.0) + self.0.iter().map(each).sum::<usize>()
    }
}

/// What is left to read of an expression.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn eat(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn must<T>(&mut self, text: &str, value: T) -> Option<T> {
        self.eat(text).then_some(value)
    }

    fn must_wildcard_and(&mut self, text: &str) -> Option<Wildcard> {
        let wildcard = self.wildcard()?;
        self.must(text, wildcard)
    }

    fn wildcard(&mut self) -> Option<Wildcard> {
        let known = [
            ("[^/]+?", Some(b'/'), false),
            ("[^\\.]+?", Some(b'.'), false),
            (".+?", None, false),
            (".*", None, true),
        ];
        let (_, except, may_be_empty) = known.into_iter().find(|(source, ..)| self.eat(source))?;
        Some(Wildcard { except, may_be_empty })
    }

    /// Reads characters that stand for themselves; `None` where one does not that is no bracket.
    fn literal(&mut self) -> Option<String> {
        let mut literal = String::new();
        let mut characters = self.0.chars();
        loop {
            let rest = characters.as_str();
            match characters.next() {
                Some('\\') => {
                    literal.push(characters.next().filter(|&character| is_syntax(character))?);
                }
                Some('(' | ')') | None => {
                    self.0 = rest;
                    return Some(literal);
                }
                Some(character) if is_syntax(character) || !character.is_ascii() => return None,
                Some(character) => literal.push(character),
            }
        }
    }

    /// Reads a group from behind its `(?:` on.
    fn group(&mut self, steps: &mut Vec<Step>) -> Option<()> {
        let start = self.literal()?;
        if self.eat(")") {
            let repeat = self.repeat().filter(|_| !start.is_empty())?;
            let group = Group { repeat, start: start.into(), wildcard: None, end: "".into() };
            steps.push(Step::Group(group.into()));
            return Some(());
        }
        let (wildcard, repeat, end);
        if self.eat("((?:") {
            wildcard = self.must_wildcard_and(")(?:")?;
            let between = self.literal()?;
            self.must("(?:", ())?;
            let again = self.must_wildcard_and("))*)")?;
            end = self.literal()?;
            self.must(")", ())?;
            if again != wildcard || between != format!("{end}{start}") {
                return None;
            }
            repeat = Some(if self.eat("?") { Repeat::ZeroOrMore } else { Repeat::OneOrMore });
        } else {
            self.must("(", ())?;
            wildcard = self.must_wildcard_and(")")?;
            end = self.literal()?;
            self.must(")", ())?;
            repeat = self.eat("?").then_some(Repeat::Optional);
        }
        let (start, end): (Box<str>, Box<str>) = (start.into(), end.into());
        match repeat {
            Some(_) if start.is_empty() && end.is_empty() => return None,
            Some(repeat) => {
                steps.push(Step::Group(Group { repeat, start, wildcard: Some(wildcard), end }.into()));
            }
            None => {
                let literal = |text: Box<str>| (!text.is_empty()).then_some(Step::Literal(text));
                steps
                    .extend(literal(start).into_iter().chain([Step::Wildcard(wildcard)]).chain(literal(end)));
            }
        }
        Some(())
    }

    fn repeat(&mut self) -> Option<Repeat> {
        let known = [("?", Repeat::Optional), ("*", Repeat::ZeroOrMore), ("+", Repeat::OneOrMore)];
        known.into_iter().find(|(sign, _)| self.eat(sign)).map(|(_, repeat)| repeat)
    }
}

/// Whether a character means something in an expression, and itself behind a backslash.
fn is_syntax(character: char) -> bool {
    matches!(character, '.' | '+' | '*' | '?' | '^' | '$' | '{' | '}' | '(' | ')' | '[' | ']' | '|' | '\\')
}

/// How far into a text the steps so far may reach: a bit for each of its bytes, and one for its end. All ways are walked at
/// once, so time grows with the text times the pattern, whatever they are.
struct Places(SmallVec<[u64; 4]>);

impl Places {
    fn none(text: &str) -> Self {
        Self(SmallVec::from_elem(0, text.len() / 64 + 1))
    }

    fn add(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn has(&self, at: usize) -> bool {
        self.0[at / 64] & 1 << (at % 64) != 0
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    fn each(&self, mut visit: impl FnMut(usize)) {
        for (index, &word) in self.0.iter().enumerate() {
            let mut word = word;
            while word != 0 {
                visit(index * 64 + word.trailing_zeros() as usize);
                word &= word - 1;
            }
        }
    }
}

fn has_at(text: &str, at: usize, literal: &str) -> bool {
    text.as_bytes()[at..].starts_with(literal.as_bytes())
}

fn after_literal(places: &Places, literal: &str, text: &str) -> Places {
    let mut after = Places::none(text);
    places.each(|at| {
        if has_at(text, at, literal) {
            after.add(at + literal.len());
        }
    });
    after
}

fn after_wildcard(places: &Places, wildcard: Wildcard, text: &str) -> Places {
    let mut after = Places::none(text);
    // Whether it has taken the byte before.
    let mut is_inside = false;
    for at in 0..=text.len() {
        let begins = places.has(at);
        if is_inside || begins && wildcard.may_be_empty {
            after.add(at);
        }
        is_inside = (is_inside || begins) && text.as_bytes().get(at).copied() != wildcard.except;
    }
    after
}

impl Group {
    fn after(&self, places: &Places, text: &str) -> Places {
        let mut begun = Places::none(text);
        let mut ended = Places::none(text);
        let (start, end) = (&*self.start, &*self.end);
        let mut is_inside = false;
        for at in 0..=text.len() {
            let mut is_begun = begun.has(at);
            // What is true of a place is known once all before it have been gone through, but for what is empty: there the
            // order matters, and only one of the literals can be.
            let Some(wildcard) = self.wildcard else {
                if (places.has(at) || self.repeat.loops() && ended.has(at)) && has_at(text, at, start) {
                    ended.add(at + start.len());
                }
                continue;
            };
            let mut is_through = is_inside || is_begun && wildcard.may_be_empty;
            if is_through && end.is_empty() {
                ended.add(at);
            }
            let begins = places.has(at) || self.repeat.loops() && ended.has(at);
            if begins && start.is_empty() {
                is_begun = true;
                is_through |= wildcard.may_be_empty;
            } else if begins && has_at(text, at, start) {
                begun.add(at + start.len());
            }
            if is_through && !end.is_empty() && has_at(text, at, end) {
                ended.add(at + end.len());
            }
            is_inside = (is_begun || is_inside) && text.as_bytes().get(at).copied() != wildcard.except;
        }
        if self.repeat.may_be_left_out() {
            for (word, &before) in ended.0.iter_mut().zip(&places.0) {
                *word |= before;
            }
        }
        ended
    }
}
