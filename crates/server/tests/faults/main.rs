//! The program on a disk that fails: the power goes, syncs and writes fail, there is no room, the clock jumps.
//!
//! Each test starts the real program; none looks into its files but to damage them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod clock;
#[path = "../common/mod.rs"]
mod common;
mod disk;
mod errors;
mod exploring;
mod folders;
mod full;
mod history;
mod pauses;
mod power;
