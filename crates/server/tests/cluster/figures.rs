//! What all runs together came to.
//!
//! It counts, and judges one thing: how often a gap was told to somebody who missed nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::checker::Violation;
use crate::faults::Kind;
use crate::history::{Block, Outcome};
use crate::run::Ran;

/// In how many resumes nobody may be told a gap for nothing.
const RESUMES_FOR_AN_OVER_CLAIM: u64 = 1_000;

#[derive(Debug, Default)]
pub(crate) struct Figures {
    runs: u64,
    /// Runs on which nothing can be said.
    unjudged: u64,
    acknowledged: u64,
    delivered: u64,
    resumes: u64,
    gaps: u64,
    /// Of runs in which nothing was lost, and the resumes of these.
    over_claims: u64,
    resumes_without_loss: u64,
    /// Of the others, in which most gaps are due.
    other_over_claims: u64,
    longest_stall: Duration,
    back_after: Vec<Duration>,
    peak_kib: u64,
    skipped: BTreeSet<String>,
}

impl Figures {
    pub(crate) fn add(&mut self, kind: Kind, ran: Ran, over_claims: &[Violation]) {
        let Ran { history, longest_stall, skipped, .. } = ran;
        self.runs += 1;
        let is_acknowledged = |outcome: &Outcome| matches!(outcome, Outcome::Acknowledged { .. });
        self.acknowledged +=
            history.publications.iter().filter(|p| is_acknowledged(&p.outcome)).count() as u64;
        let mut resumes = 0;
        for subscriber in &history.subscribers {
            self.back_after.extend(&subscriber.back_after);
            for connection in &subscriber.connections {
                resumes += u64::from(connection.last_event_id.is_some() && connection.head.is_some());
                for received in &connection.received {
                    match received.block {
                        Block::Event { .. } => self.delivered += 1,
                        Block::Gap { .. } => self.gaps += 1,
                        Block::Bookmark => {}
                    }
                }
            }
        }
        self.resumes += resumes;
        let over_claims = over_claims.len() as u64;
        if matches!(kind, Kind::Kept | Kind::Crowd) {
            self.resumes_without_loss += resumes;
            self.over_claims += over_claims;
        } else {
            self.other_over_claims += over_claims;
        }
        self.longest_stall = self.longest_stall.max(longest_stall);
        self.peak_kib = self.peak_kib.max(history.peak_kib);
        self.skipped.extend(skipped);
    }

    pub(crate) fn count_unjudged(&mut self) {
        self.unjudged += 1;
    }

    /// Whether too many were told a gap for nothing, where nothing was lost.
    pub(crate) fn claims_too_much(&self) -> bool {
        self.over_claims > 0 && self.over_claims * RESUMES_FOR_AN_OVER_CLAIM >= self.resumes_without_loss
    }

    /// Whether anybody published, read and went on.
    pub(crate) fn is_of_something(&self) -> bool {
        self.acknowledged > 0 && self.delivered > 0 && self.resumes > 0
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:12} runs, and {} that could not be judged", self.runs, self.unjudged)?;
        writeln!(f, "{:12} publications acknowledged", self.acknowledged)?;
        writeln!(f, "{:12} events delivered", self.delivered)?;
        writeln!(
            f,
            "{:12} resumes, {} of them in runs in which nothing was lost",
            self.resumes, self.resumes_without_loss
        )?;
        writeln!(f, "{:12} gaps told", self.gaps)?;
        writeln!(
            f,
            "{:12} over-claims in runs in which nothing was lost, {} in the others",
            self.over_claims, self.other_over_claims
        )?;
        writeln!(
            f,
            "{:10.1} s longest time in which nothing was acknowledged",
            self.longest_stall.as_secs_f64()
        )?;
        let mut back_after = self.back_after.clone();
        back_after.sort_unstable();
        if let Some(longest) = back_after.last() {
            let (median, count) = (back_after[back_after.len() / 2], back_after.len());
            let soon = back_after.partition_point(|time| *time <= Duration::from_secs(1));
            writeln!(
                f,
                "{:9} ms median from the next attempt after a node was killed to the first event, {} ms at most; {soon} of {count} within 1 s",
                median.as_millis(),
                longest.as_millis()
            )?;
        }
        writeln!(f, "{:8} MiB the most memory of a node", self.peak_kib / 1024)?;
        self.skipped.iter().try_for_each(|skipped| writeln!(f, "skipped: {skipped}"))
    }
}
