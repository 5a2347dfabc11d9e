//! The hub's own scenarios and its model (`crates/hub/tests`), with clients of sockets as readers.
//!
//! What runs over subscriptions alone there, and why:
//!
//! - `polling.rs`: doorbells, a grant that changes on the way, and the cost of one poll are for whoever polls. The bookmark after
//!   a quiet time comes by the fan-out's clock here, which `streams.rs` is about.
//! - `catch_up.rs`: readers that take a few events of a page and stop. A worker takes what there is; `behind.rs` has those who stall.
//! - `crowd.rs`, `memory.rs`, `costs.rs`, `endings.rs`, `loom.rs`: what a fan-out is made of, and what publishing costs.
//! - `limits.rs`: what publishers are told.
//! - What asks for URL patterns, and the patterns in `internal.rs`: they need features of the hub that no feature here is named after.

#![allow(unexpected_cfgs, unreachable_pub)] // Those features; and modules that are a crate's root there.

mod reader;
#[path = "../../../../hub/tests/support/mod.rs"]
pub(super) mod support;

#[path = "../../../../hub/tests/scenarios/changes.rs"]
mod changes;
#[path = "../../../../hub/tests/scenarios/internal.rs"]
mod internal;
#[path = "../../../../hub/tests/scenarios/limits.rs"]
mod limits;
#[path = "../../../../hub/tests/scenarios/mixes.rs"]
mod mixes;
#[path = "../../../../hub/tests/scenarios/model.rs"]
mod model;
#[path = "../../../../hub/tests/scenarios/patterns.rs"]
mod patterns;
#[path = "../../../../hub/tests/scenarios/presence.rs"]
mod presence;
#[path = "../../../../hub/tests/scenarios/producing.rs"]
mod producing;
#[path = "../../../../hub/tests/scenarios/resume.rs"]
mod resume;
#[path = "../../../../hub/tests/scenarios/seams.rs"]
mod seams;
#[path = "../../../../hub/tests/scenarios/sieves.rs"]
mod sieves;
#[path = "../../../../hub/tests/scenarios/snapshots.rs"]
mod snapshots;
#[path = "../../../../hub/tests/scenarios/world/mod.rs"]
mod world;

/// How many histories the model plays over each engine.
const CASES: u32 = 48;
