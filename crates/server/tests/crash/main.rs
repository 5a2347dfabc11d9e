//! Kills the program at random moments, again and again, while publishers publish and subscribers come back as browsers
//! do, and holds what they saw against the promises P1 to P4 and P6.
//!
//! Repeatable by a seed: `FANFARE_CRASH_SEED` and `FANFARE_CRASH_KILLS` choose another run. What happened is written down
//! ([`history`]) and judged when all is over ([`checker`]); during a run nothing is asserted.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod address;
mod checker;
#[path = "../../../hub/tests/support/chunks.rs"]
mod chunks;
mod dice;
mod history;
mod hub;
mod payload;
#[allow(dead_code)] // The test of a cluster uses the rest.
mod plan;
mod publisher;
mod reader;
mod run;
#[allow(dead_code)] // The same.
mod stage;
mod subscriber;
mod tally;
mod wire;

use std::fs;
use std::path::Path;

use hub::{DISK, DISK_UNSYNCED, Engine, MEMORY};
use tally::Tally;

const SEED: u64 = 4;
/// So that a debug build takes some 20 s.
const KILLS: usize = 60;

/// A hub in memory loses everything with each kill: everybody is told, and what is new arrives.
#[test]
fn kills_of_a_hub_in_memory_break_no_promise() {
    kills_break_no_promise(MEMORY);
}

/// A hub on disk keeps what it acknowledged: everybody goes on where they were, and nobody is told a gap.
#[test]
fn kills_of_a_hub_on_disk_break_no_promise() {
    kills_break_no_promise(DISK);
}

#[test]
fn kills_of_an_unsynced_hub_on_disk_break_no_promise() {
    kills_break_no_promise(DISK_UNSYNCED);
}

fn kills_break_no_promise(engine: Engine) {
    let seed = number("FANFARE_CRASH_SEED", SEED);
    let kills = number("FANFARE_CRASH_KILLS", KILLS as u64);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{}-{seed}", engine.name));
    let history = run::run(engine, seed, usize::try_from(kills).unwrap(), &folder);
    let violations = checker::check(&history);
    let tally = Tally::of(&history);
    println!("seed {seed}, engine {}, {kills} kills: {tally}", engine.name);
    if !violations.is_empty() {
        let file = folder.join("history.txt");
        fs::write(&file, history.to_string()).unwrap();
        panic!(
            "{} broken promises:\n{}\nthe history is in {}\nto repeat: FANFARE_CRASH_SEED={seed} FANFARE_CRASH_KILLS={kills} cargo test -p fanfare-server --test crash {} -- --nocapture",
            violations.len(),
            checker::summary(&violations),
            file.display(),
            engine.test,
        );
    }
    tally.assert_that_something_was_tested();
    fs::remove_dir_all(&folder).unwrap();
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}
