//! What selections and grants take in memory, about, but for their patterns.
//!
//! It looks at one selection or grant by itself: what several have in common is counted once by who keeps them. Places in tables
//! are charged as what they take when these have grown a while ago and have some room.

use crate::matcher::{Kind, Matcher};
use crate::{Grant, Selection};

/// What it takes to be one of several values that are found by what they are, besides the value.
const PLACE: usize = 32;
/// What an allocation takes besides its contents: the counts of those who share it, and the allocator's own.
const ALLOCATION: usize = 32;
/// What a selection or a grant takes besides its matchers.
const TERMS: usize = ALLOCATION + PLACE + 64;
/// Where a matcher is named: in its selection or grant, and there where it is found by.
const NAMED: usize = size_of::<Matcher>() + 2 * size_of::<u32>();
/// The newest matches of a selection that is not found by its topics alone.
const RECENT: usize = 600;
/// A topic's place in the index, with room for some who name it.
const TOPIC: usize = ALLOCATION + PLACE + 48;

/// What a selection takes that nobody has yet, without [its topics](of_topic).
pub(crate) fn of_selection(selection: &Selection) -> usize {
    let is_remembered = !selection.is_any() && selection.exact_topics().is_none();
    TERMS + selection.matchers().len() * NAMED + if is_remembered { RECENT } else { 0 }
}

/// What a topic takes that some selection names.
pub(crate) fn of_topic(text: &str) -> usize {
    TOPIC + text.len()
}

/// What a grant takes that nobody has yet. Its topics may be texts of its own.
pub(crate) fn of_grant(grant: &Grant) -> usize {
    let matchers = grant.matchers();
    let texts = matchers.iter().map(|matcher| match &matcher.0 {
        Kind::Exact(text) => ALLOCATION + text.len(),
        Kind::Any | Kind::Pattern(_) => 0,
    });
    TERMS + matchers.len() * NAMED + texts.sum::<usize>()
}
