//! What the hub counts; others publish it.

use crate::{GapReason, Resume};

/// A snapshot of the hub's counters, all since it was built, and of its gauges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Subscribers now.
    pub subscribers: u64,
    /// Distinct pairs of selection and grant now.
    pub readerships: u64,
    /// Subscriptions refused because the hub was full.
    pub subscribers_refused: u64,
    /// Entries taken into the log.
    pub publications: u64,
    /// Entries taken into the log that tell of presence.
    pub announcements: u64,
    /// Publications that an earlier attempt with the same idempotency key had stored already.
    pub publications_duplicate: u64,
    /// Events handed to subscribers.
    pub deliveries: u64,
    /// Their bytes, before they are compressed.
    pub delivered_bytes: u64,
    /// Bookmarks handed to subscribers.
    pub bookmarks: u64,
    /// Gaps by reason.
    pub gaps_trimmed: u64,
    /// Gaps because the log was rewound.
    pub gaps_rewound: u64,
    /// Gaps because the last event ID was unknown.
    pub gaps_unknown: u64,
    /// Gaps because a stream had ended too long ago.
    pub gaps_expired: u64,
    /// Subscriptions without a last event ID.
    pub resumes_fresh: u64,
    /// Subscriptions that asked for everything kept.
    pub resumes_earliest: u64,
    /// Subscriptions that went on right behind their last event ID.
    pub resumes_exact: u64,
    /// Subscriptions that began with a gap.
    pub resumes_gap: u64,
    /// Subscriptions whose client had the end of what it asked for.
    pub resumes_over: u64,
    /// What is asked for and granted now takes in memory, but for patterns, in bytes; what several have in common is counted once.
    pub selections_bytes: u64,
    /// Different patterns that subscribers ask for or are granted now.
    pub patterns: u64,
    /// What they take in memory, in bytes.
    pub patterns_bytes: u64,
    /// How many of them no literal in path or query finds: each is held against every entry that its host does not rule out.
    pub patterns_unfound: u64,
    /// How often a pattern was held against an entry's topics under the hub's lock.
    pub pattern_evaluations: u64,
    /// How often the engine was asked for entries that had left memory, for all who catch up together.
    pub catch_up_reads: u64,
    /// What is kept of them now, in bytes.
    pub catch_up_bytes: u64,
    /// The log's oldest position that is kept in memory.
    pub log_oldest: u64,
    /// The log's next position.
    pub log_next: u64,
    /// Entries kept in memory.
    pub log_entries: u64,
    /// What they cost, in bytes, with what was compressed of them.
    pub log_bytes: u64,
    /// Entries of presence that are kept in memory besides.
    pub log_presence_entries: u64,
    /// What these cost, in bytes.
    pub log_presence_bytes: u64,
}

impl Counts {
    pub(crate) fn count_gap(&mut self, reason: GapReason) {
        *match reason {
            GapReason::Trimmed => &mut self.gaps_trimmed,
            GapReason::Rewound => &mut self.gaps_rewound,
            GapReason::Unknown => &mut self.gaps_unknown,
            GapReason::Expired => &mut self.gaps_expired,
        } += 1;
    }

    pub(crate) fn count_resume(&mut self, resume: &Resume) {
        *match resume {
            Resume::Fresh => &mut self.resumes_fresh,
            Resume::Earliest => &mut self.resumes_earliest,
            Resume::Resumed { .. } => &mut self.resumes_exact,
            Resume::Gap { .. } => &mut self.resumes_gap,
            Resume::Over => &mut self.resumes_over,
        } += 1;
    }
}
