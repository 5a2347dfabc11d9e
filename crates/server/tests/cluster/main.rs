//! Three hubs over three servers of NATS, of which any may be killed or stopped at any moment, while publishers publish and
//! subscribers come back, to whichever node, as browsers do. What they saw is held against the promises P1 to P4 and P6.
//!
//! Repeatable by a seed: `FANFARE_CLUSTER_SEED` and `FANFARE_CLUSTER_FAULTS` choose another run. The players and the checker are
//! those of the crash test.
#![cfg(unix)]
#![allow(clippy::unwrap_used, dead_code)] // Of what is shared with the crash test a part is used.

#[path = "../common/mod.rs"]
mod common;

#[path = "../crash/address.rs"]
mod address;
#[path = "../crash/checker/mod.rs"]
mod checker;
#[path = "../../../hub/tests/support/chunks.rs"]
mod chunks;
#[path = "../crash/dice.rs"]
mod dice;
mod faults;
#[path = "../crash/history.rs"]
mod history;
mod nats;
mod nodes;
#[path = "../crash/payload.rs"]
mod payload;
#[path = "../crash/plan.rs"]
mod plan;
#[path = "../crash/publisher.rs"]
mod publisher;
#[path = "../crash/reader.rs"]
mod reader;
mod run;
#[path = "../crash/stage.rs"]
mod stage;
#[path = "../crash/subscriber.rs"]
mod subscriber;
#[path = "../crash/tally.rs"]
mod tally;
#[path = "../crash/wire.rs"]
mod wire;

use std::fs;
use std::path::Path;

use tally::Tally;

const SEED: u64 = 4;
/// So that it takes some 30 s; the step `cluster` of the checks has more of them.
const FAULTS: u64 = 8;

#[test]
fn a_hub_of_three_nodes_breaks_no_promise_whatever_is_killed_or_stopped() {
    let seed = number("FANFARE_CLUSTER_SEED", SEED);
    let faults = number("FANFARE_CLUSTER_FAULTS", FAULTS);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cluster-{seed}"));
    let history = run::run(seed, usize::try_from(faults).unwrap(), &folder);
    let violations = checker::check(&history);
    let tally = Tally::of(&history);
    println!("seed {seed}, {faults} faults: {tally}");
    if !violations.is_empty() {
        let file = folder.join("history.txt");
        fs::write(&file, history.to_string()).unwrap();
        panic!(
            "{} broken promises:\n{}\nthe history is in {}\nto repeat: FANFARE_CLUSTER_SEED={seed} FANFARE_CLUSTER_FAULTS={faults} cargo test -p fanfare-server --features nats --test cluster -- --nocapture",
            violations.len(),
            checker::summary(&violations),
            file.display(),
        );
    }
    tally.assert_that_somebody_went_on();
    fs::remove_dir_all(&folder).unwrap();
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}
