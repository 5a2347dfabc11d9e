//! The patterns of a hub, each once, however many selections and grants name it.
//!
//! It says which patterns match an entry, evaluating each candidate once, and what all of them cost. Whom a match is for is
//! the [`Router`](crate::router::Router)'s matter, and which pattern may match the [`Candidates`]'.

use std::collections::HashSet;

use crate::candidates::{Candidates, is_unfound};
use crate::interned::{Interned, Keyed};
use crate::log::Entry;
use crate::matcher::{Kind, Matcher};
use crate::router::{Slots, forget};
use crate::selection::{Evaluations, matches_any};
use crate::{Position, Topic};

#[derive(Default)]
pub(crate) struct Patterns {
    uses: Interned<PatternUse>,
    /// Which patterns a topic is held against.
    candidates: Candidates,
    /// What all of them cost, in bytes.
    bytes: usize,
    /// How many of them no literal finds.
    unfound: usize,
    /// What they weigh beyond one for each.
    overweight: usize,
    /// How often a pattern was held against an entry's topics.
    evaluations: Evaluations,
}

struct PatternUse {
    matcher: Matcher,
    selections: Slots,
    grants: u32,
    /// The last position that it matched, and was evaluated for.
    matched_at: Position,
}

/// So many patterns, and what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) patterns: usize,
    pub(crate) bytes: usize,
    /// How many of them no literal finds.
    pub(crate) unfound: usize,
}

/// What there would be with some more patterns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prospect {
    pub(crate) patterns: usize,
    pub(crate) bytes: usize,
    /// What all those weigh that the same literals find, where that is most.
    pub(crate) alike: usize,
    /// What all of them weigh beyond one for each, whatever finds them.
    pub(crate) overweight: usize,
}

/// Who is looked for in [`Patterns::each_match`].
pub(crate) trait Sought {
    /// Whether it makes no difference to these selections that another pattern of theirs matches.
    fn know(&self, selections: &[u32]) -> bool;

    fn add(&mut self, selections: &[u32]);
}

impl Keyed for PatternUse {
    type Key = Matcher;

    fn key(&self) -> &Matcher {
        &self.matcher
    }
}

impl PatternUse {
    /// What a place here and in the index costs besides the pattern, about: measured with a beginning of its own for each.
    const PLACE_BYTES: usize = 250;

    fn cost(matcher: &Matcher) -> usize {
        matcher.memory_bytes() + Self::PLACE_BYTES
    }
}

impl Patterns {
    pub(crate) fn amount(&self) -> Amount {
        Amount { patterns: self.uses.len(), bytes: self.bytes, unfound: self.unfound }
    }

    pub(crate) fn evaluations(&self) -> Evaluations {
        self.evaluations
    }

    /// How much there would be with those that `matchers` bring; nothing if they bring none.
    pub(crate) fn prospect<'m>(&self, matchers: impl Iterator<Item = &'m Matcher>) -> Prospect {
        // A grant mostly names what is asked for, too.
        let mut seen = HashSet::new();
        let new = matchers.filter_map(|matcher| match &matcher.0 {
            Kind::Pattern(pattern) if self.uses.find(matcher).is_none() && seen.insert(matcher) => {
                Some((matcher, pattern))
            }
            _ => None,
        });
        let mut prospect = Prospect::default();
        // Those that come together may be alike, too.
        let mut together = Candidates::default();
        for (slot, (matcher, pattern)) in (0..).zip(new) {
            if prospect.patterns == 0 {
                let (patterns, bytes, overweight) = (self.uses.len(), self.bytes, self.overweight);
                prospect = Prospect { patterns, bytes, alike: 0, overweight };
            }
            prospect.patterns += 1;
            prospect.bytes += PatternUse::cost(matcher);
            prospect.overweight += pattern.weight() - 1;
            together.insert(slot, pattern);
            let alike = self.candidates.weight_beside(pattern) + together.weight_beside(pattern);
            prospect.alike = prospect.alike.max(alike);
        }
        prospect
    }

    /// The pattern that equals `matcher`, if there is one.
    pub(crate) fn known(&self, matcher: &Matcher) -> Option<&Matcher> {
        self.uses.find(matcher).map(|slot| &self.uses[slot].matcher)
    }

    /// Notes that a selection asks for a pattern.
    pub(crate) fn ask(&mut self, matcher: &Matcher, selected: u32) {
        let slot = self.intern(matcher);
        self.uses[slot].selections.push(selected);
    }

    /// Notes that a selection does not ask for a pattern any more.
    pub(crate) fn unask(&mut self, matcher: &Matcher, selected: u32) {
        let Some(slot) = self.uses.find(matcher) else { return };
        forget(&mut self.uses[slot].selections, selected);
        self.forget_unused(slot);
    }

    /// Notes that a grant names a pattern; gives its slot.
    pub(crate) fn grant(&mut self, matcher: &Matcher) -> u32 {
        let slot = self.intern(matcher);
        self.uses[slot].grants += 1;
        slot
    }

    /// Notes that a grant does not name a pattern any more.
    pub(crate) fn ungrant(&mut self, slot: u32) {
        self.uses[slot].grants -= 1;
        self.forget_unused(slot);
    }

    fn intern(&mut self, matcher: &Matcher) -> u32 {
        self.uses.find(matcher).unwrap_or_else(|| {
            let new =
                PatternUse { matcher: matcher.clone(), selections: Slots::new(), grants: 0, matched_at: 0 };
            let slot = self.uses.insert(new);
            self.bytes += PatternUse::cost(matcher);
            if let Kind::Pattern(pattern) = &matcher.0 {
                self.candidates.insert(slot, pattern);
                self.unfound += usize::from(is_unfound(pattern));
                self.overweight += pattern.weight() - 1;
            }
            slot
        })
    }

    fn forget_unused(&mut self, slot: u32) {
        if self.uses[slot].selections.is_empty() && self.uses[slot].grants == 0 {
            let PatternUse { matcher, .. } = self.uses.remove(slot);
            self.bytes -= PatternUse::cost(&matcher);
            if let Kind::Pattern(pattern) = &matcher.0 {
                self.candidates.remove(slot, pattern);
                self.unfound -= usize::from(is_unfound(pattern));
                self.overweight -= pattern.weight() - 1;
            }
        }
    }

    /// Finds the patterns that match a new entry, of those that matter: to selections that are not known yet, and to grants if
    /// it is private.
    pub(crate) fn each_match(&mut self, entry: &Entry, sought: &mut impl Sought) {
        let Self { uses, candidates, evaluations, .. } = self;
        for topic in entry.topics() {
            candidates.each(topic.as_str(), |slot, spelling| {
                let PatternUse { matcher, selections, grants, matched_at } = &mut uses[slot];
                // It may have matched by another topic, or all who ask for it by another pattern.
                let is_granted = entry.is_private() && *grants > 0;
                if *matched_at == entry.position() || !is_granted && sought.know(selections) {
                    return;
                }
                evaluations.count += 1;
                if matches!(&matcher.0, Kind::Pattern(pattern) if pattern.matches(spelling)) {
                    *matched_at = entry.position();
                    sought.add(selections);
                }
            });
        }
    }

    /// Whether a pattern that a grant names matched the private entry that [`each_match`](Self::each_match) was told last.
    pub(crate) fn has_matched(&self, slot: u32, entry: &Entry) -> bool {
        self.uses[slot].matched_at == entry.position()
    }

    /// Whether an old entry's topics are matched by one of `matchers`; those that are patterns are counted.
    pub(crate) fn evaluate_all(&mut self, matchers: &[Matcher], topics: &[Topic]) -> bool {
        matches_any(matchers, topics, &mut self.evaluations)
    }

    /// Positions begin anew.
    pub(crate) fn begin_epoch(&mut self) {
        for pattern in self.uses.values_mut() {
            pattern.matched_at = 0;
        }
    }
}
