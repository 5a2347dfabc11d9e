//! What the hub promises to its subscribers, told as scenarios: resuming, gaps, retention, limits, presence.
//!
//! Here their readers are subscriptions, polled by the test. The tests of the fan-out run the same scenarios once more with
//! clients of sockets as readers (`crates/fanout/tests/sockets/scenarios`), so a reader is made by [`reader::read`] and
//! everything else about it is said by [`support::Read`].

#![allow(missing_docs, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;
use support::polled as reader;

mod changes;
mod internal;
mod limits;
mod mixes;
mod model;
#[cfg(feature = "uri-template")]
mod patterns;
mod presence;
mod producing;
mod resume;
mod seams;
mod sieves;
mod snapshots;
mod world;

/// How many histories the model plays over each engine.
const CASES: u32 = 512;
