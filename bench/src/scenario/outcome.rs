//! How a scenario went: figures with their units in their names, faults, and broken promises in sentences.
//!
//! It judges no figure.

use super::Name;
use crate::generator::Faults;
use crate::statistics::Summary;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) scenario: Name,
    pub(crate) contestant: String,
    pub(crate) subscribers: usize,
    pub(crate) figures: BTreeMap<String, f64>,
    /// Over all rounds, where there are rounds.
    pub(crate) ratios: BTreeMap<String, Summary>,
    pub(crate) faults: Faults,
    /// What was promised and did not happen.
    pub(crate) broken: Vec<String>,
    /// What could not be tried here, and why.
    pub(crate) untried: Vec<String>,
}

impl Outcome {
    pub(crate) fn new(scenario: Name, contestant: &str, subscribers: usize) -> Self {
        Self {
            scenario,
            contestant: contestant.to_owned(),
            subscribers,
            figures: BTreeMap::new(),
            ratios: BTreeMap::new(),
            faults: Faults::default(),
            broken: Vec::new(),
            untried: Vec::new(),
        }
    }

    pub(crate) fn figure(&mut self, name: &str, value: f64) {
        self.figures.insert(name.to_owned(), value);
    }

    pub(crate) fn count(&mut self, name: &str, value: usize) {
        self.figure(name, value as f64);
    }

    /// Median, p99 and maximum of times in nanoseconds, as milliseconds.
    pub(crate) fn times(&mut self, name: &str, nanoseconds: &Histogram<u64>) {
        for (part, value) in [
            ("p50", nanoseconds.value_at_quantile(0.5)),
            ("p99", nanoseconds.value_at_quantile(0.99)),
            ("max", nanoseconds.max()),
        ] {
            self.figure(&format!("{name}_{part}_ms"), value as f64 / 1e6);
        }
    }

    /// A promise: `sentence` says what happened instead.
    pub(crate) fn promise(&mut self, kept: bool, sentence: impl FnOnce() -> String) {
        if !kept {
            self.broken.push(sentence());
        }
    }

    pub(crate) fn passed(&self) -> bool {
        self.broken.is_empty() && self.faults.is_none()
    }

    /// Everything in one line.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("{:?}, {}, {} subscribers:", self.scenario, self.contestant, self.subscribers);
        // Writing to a string cannot fail.
        for (name, value) in &self.figures {
            let digits = if value.fract() == 0.0 { 0 } else { 2 };
            let _ = write!(line, " {name} {value:.digits$},");
        }
        for (name, ratio) in &self.ratios {
            let _ = write!(line, " {name} {:.2} ({:.2}–{:.2}),", ratio.median, ratio.low, ratio.high);
        }
        for sentence in &self.untried {
            let _ = write!(line, " untried: {sentence},");
        }
        for sentence in &self.broken {
            let _ = write!(line, " BROKEN: {sentence},");
        }
        line.push_str(if self.faults.is_none() { " every delivery right" } else { " DELIVERIES WRONG: " });
        if !self.faults.is_none() {
            let _ = write!(line, "{:?}", self.faults);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_promise_or_a_wrong_delivery_fails_an_outcome_and_is_said() {
        let mut outcome = Outcome::new(Name::Storm, "x", 3);
        outcome.count("gaps", 2);
        outcome.promise(true, || unreachable!());
        assert!(outcome.passed());
        assert_eq!(outcome.line(), "Storm, x, 3 subscribers: gaps 2, every delivery right");
        outcome.promise(false, || "one did not come back".to_owned());
        assert!(!outcome.passed() && outcome.line().contains("BROKEN: one did not come back"));
        outcome.broken.clear();
        outcome.faults.lost = 1;
        assert!(!outcome.passed() && outcome.line().contains("lost: 1"));
    }
}
