//! Decides from a [`History`] whether the hub kept its promises P1 to P7.
//!
//! It is a pure function: it reads no socket, no clock and no file. Of P5 (bounded) a history shows only that nobody delayed
//! others for good, and how much memory a node took; other tests hold more of it.
//!
//! The measure of everything is the log as it was read from its beginning. [`log`] asks whether it is the log that the
//! answers to publishers promised; [`walk`] goes with each subscriber over all its connections and asks whether it got
//! what the log holds.

mod clean;
mod log;
mod planted;
mod walk;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::history::{History, Outcome, Publication};

/// The promises, each in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Promise {
    /// Events arrive in the hub's one order.
    P1,
    /// Everything that was asked for arrives, or a gap says that it does not.
    P2,
    /// No event arrives twice.
    P3,
    /// What was acknowledged is in the log, once and with that id; what was not sent, or was refused, is not.
    P4,
    /// A node takes a bounded amount of memory.
    P5,
    /// A stream never goes on in another place than the client's last event ID says without a gap, and no gap is told
    /// where nothing was lost.
    P6,
    /// Nobody reads what they may not: private publications without a grant, or anything with a token that has run out or was
    /// revoked.
    P7,
}

/// Who made an id. What is promised differs, so it is reported apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MadeBy {
    Hub,
    Publisher,
}

impl MadeBy {
    /// No publisher can choose an id that begins like the hub's own.
    pub(crate) fn of(id: &str) -> Self {
        if id.starts_with('#') { Self::Hub } else { Self::Publisher }
    }
}

/// A broken promise.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) promise: Promise,
    /// For P4 the id of the entry. Otherwise the last event ID that the subscriber stood at, for it is what a stream
    /// goes on from; `None` if it had none.
    pub(crate) id: Option<MadeBy>,
    pub(crate) sentence: String,
    /// It is no more than a gap that was told though nothing was missing for that subscriber.
    pub(crate) is_over_claim: bool,
}

impl Violation {
    fn of(promise: Promise, id: Option<MadeBy>, sentence: String) -> Self {
        Self { promise, id, sentence, is_over_claim: false }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = match self.id {
            Some(MadeBy::Hub) => "an id of the hub's",
            Some(MadeBy::Publisher) => "a publisher's id",
            None => "no id",
        };
        write!(f, "{:?} ({id}): {}", self.promise, self.sentence)
    }
}

/// All broken promises; none for a history as it should be.
pub(crate) fn check(history: &History) -> Vec<Violation> {
    let sent = Sent::of(history);
    let mut violations: Vec<_> = history.unasked_ends.iter().map(unasked_end).collect();
    log::check(history, &sent, &mut violations);
    if history.peak_kib > PEAK_KIB_MAX {
        let sentence = format!("a node took {} KiB of memory", history.peak_kib);
        violations.push(Violation::of(Promise::P5, None, sentence));
    }
    for subscriber in &history.subscribers {
        walk::check(history, &sent, subscriber, &mut violations);
    }
    violations
}

/// More than any node needs for the few hundred subscribers of a run and as much of the log as it may have in memory.
const PEAK_KIB_MAX: u64 = 400 * 1024;

/// How often each promise was broken, by who made the ids, with the first examples.
pub(crate) fn summary(violations: &[Violation]) -> String {
    let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for violation in violations {
        kinds.entry((violation.promise, violation.id)).or_default().push(violation);
    }
    let mut lines = Vec::new();
    for of_a_kind in kinds.values() {
        lines.extend(of_a_kind.iter().take(EXAMPLES).map(|violation| format!("  {violation}")));
        if of_a_kind.len() > EXAMPLES {
            lines.push(format!("    and {} more of this kind", of_a_kind.len() - EXAMPLES));
        }
    }
    lines.join("\n")
}

const EXAMPLES: usize = 6;

fn unasked_end(said: &String) -> Violation {
    Violation::of(Promise::P4, None, format!("the hub ended by itself: {said}"))
}

/// The publications by what they say, and in which log each of them is.
pub(crate) struct Sent<'h> {
    publications: HashMap<&'h str, &'h Publication>,
    logs: HashMap<&'h str, usize>,
}

impl<'h> Sent<'h> {
    fn of(history: &'h History) -> Self {
        let publications: HashMap<_, _> = history.publications.iter().map(|p| (&*p.data, p)).collect();
        assert_eq!(publications.len(), history.publications.len(), "two publications say the same");
        let mut logs = HashMap::new();
        for (number, log) in history.logs.iter().enumerate() {
            for entry in &log.entries {
                // What is left of one in the next was sent to the first.
                logs.entry(&*entry.data).or_insert(number);
            }
        }
        Self { publications, logs }
    }

    /// The publication that says `data`, if anybody sent it.
    fn find(&self, data: &str) -> Option<&'h Publication> {
        self.publications.get(data).copied()
    }

    /// The number of the log that holds it; the first, if what is left of that is in the next.
    fn log_of(&self, data: &str) -> Option<usize> {
        self.logs.get(data).copied()
    }
}

impl Publication {
    fn is_acknowledged(&self) -> bool {
        matches!(self.outcome, Outcome::Acknowledged { .. })
    }
}
