//! Three hubs over three servers of NATS or one of Redis, of which any may be killed, stopped or cut off at any moment, while publishers publish
//! and hundreds of subscribers come back, to whichever node, as browsers do. What they saw is held against the promises P1 to P7.
//!
//! `scripts/faults` runs it over many seeds, and says in `--help` what goes wrong. Each pair of hub and server is in a network
//! namespace of its own where the machine allows it. The players and the checker are those of the crash test.
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
mod figures;
mod ground;
mod happen;
#[path = "../crash/history.rs"]
mod history;
mod inside;
mod jetstream;
mod nodes;
#[path = "../crash/payload.rs"]
mod payload;
#[path = "../crash/plan.rs"]
mod plan;
#[path = "../crash/publisher.rs"]
mod publisher;
#[path = "../crash/reader.rs"]
mod reader;
mod redis;
mod run;
mod servers;
#[path = "../crash/stage.rs"]
mod stage;
mod store;
#[path = "../crash/subscriber.rs"]
mod subscriber;
#[path = "../crash/wire.rs"]
mod wire;
mod witness;

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use checker::Violation;
use faults::Script;
use figures::Figures;
use ground::Ground;
use inside::Entered;
use servers::Engine;

const NAME: &str = "a_hub_of_three_nodes_breaks_no_promise_whatever_goes_wrong";
/// By the names of the stores.
const LISTED: [(Engine, &str); 2] =
    [(Engine::Nats, include_str!("seeds.txt")), (Engine::Redis, include_str!("seeds_of_redis.txt"))];

/// What is run, by environment variables; so little unless said that it takes half a minute.
struct Order {
    engine: Engine,
    /// Seeds and their numbers of faults.
    seeds: VecDeque<(u64, usize)>,
    subscribers: usize,
    /// How many runs there are at once.
    jobs: usize,
}

impl Order {
    fn read() -> Self {
        let engine = Engine::read();
        let first = number("FANFARE_CLUSTER_SEED", 4);
        let faults = usize::try_from(number("FANFARE_CLUSTER_FAULTS", 6)).unwrap();
        let mut seeds = VecDeque::new();
        if number("FANFARE_CLUSTER_LISTED", 0) == 1 {
            seeds.extend(listed(engine));
        }
        seeds.extend((first..first + number("FANFARE_CLUSTER_SEEDS", 1)).map(|seed| (seed, faults)));
        let subscribers = usize::try_from(number("FANFARE_CLUSTER_SUBSCRIBERS", 144)).unwrap();
        let jobs = usize::try_from(number("FANFARE_CLUSTER_JOBS", 1)).unwrap();
        Self { engine, seeds, subscribers, jobs }
    }
}

fn listed(engine: Engine) -> impl Iterator<Item = (u64, usize)> {
    let of_store = LISTED.iter().filter(move |(of, _)| *of == engine);
    of_store.flat_map(|(_, seeds)| seeds.lines()).filter(|line| !line.starts_with('#')).map(|line| {
        let mut words = line.split_whitespace();
        let mut next = || {
            words
                .next()
                .and_then(|word| word.parse().ok())
                .unwrap_or_else(|| panic!("a list of seeds: {line}"))
        };
        (next(), usize::try_from(next()).unwrap())
    })
}

#[test]
fn a_hub_of_three_nodes_breaks_no_promise_whatever_goes_wrong() {
    let has_namespaces = match inside::enter(NAME) {
        Entered::Ran(passed) => return assert!(passed, "it failed in its namespaces; see above"),
        Entered::Inside => true,
        Entered::Outside(why) => {
            println!(
                "no network namespaces here ({why}): processes are killed and stopped, and no network is cut"
            );
            false
        }
    };
    let Order { engine, seeds, subscribers, jobs } = Order::read();
    let (count, seeds) = (seeds.len(), Mutex::new(seeds));
    let (figures, failed) = (Mutex::new(Figures::default()), Mutex::new(Vec::new()));
    let number = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let Some((seed, faults)) = seeds.lock().unwrap().pop_front() else { return };
                    let run = number.fetch_add(1, SeqCst);
                    let ground =
                        if has_namespaces { Ground::of_namespaces(run).unwrap() } else { Ground::of_ports() };
                    let script = Script::draw(seed, faults, subscribers, engine);
                    let began = Instant::now();
                    let outcome = try_one(seed, faults, &script, &ground, count == 1, &figures);
                    let took = began.elapsed().as_secs();
                    let place = format!(
                        "[{}/{count}] seed {seed}, {faults} faults, {:?}, {took} s",
                        run + 1,
                        script.kind
                    );
                    match outcome {
                        Ok(said) => println!("{place}: {said}"),
                        Err(why) => {
                            println!("{place}: FAILED\n{why}");
                            failed.lock().unwrap().push(seed);
                        }
                    }
                }
            });
        }
    });
    let (figures, failed) = (figures.into_inner().unwrap(), failed.into_inner().unwrap());
    println!("\n{figures}");
    assert!(failed.is_empty(), "{} of {count} runs failed: seeds {failed:?}", failed.len());
    assert!(!figures.claims_too_much(), "too many were told a gap who missed nothing");
    assert!(figures.is_of_something(), "nobody went on");
}

fn try_one(
    seed: u64,
    faults: usize,
    script: &Script,
    ground: &Ground,
    says_all: bool,
    figures: &Mutex<Figures>,
) -> Result<String, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("cluster-{}-{seed}-{faults}", inside::name_of_run()));
    let repeat = format!(
        "{script}to repeat: scripts/faults --engine {} --seed {seed} --faults {faults}",
        script.engine.name()
    );
    let ran = thread::scope(|scope| {
        let running = scope.spawn(|| run::run(seed, script, ground, &folder, says_all));
        // What a panic says was printed.
        running.join().map_err(|_| format!("the run was broken off; see {}\n{repeat}", folder.display()))
    })?;
    if let Some(missed) = ran.missed {
        figures.lock().unwrap().count_unjudged();
        fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        return Ok(format!(
            "not judged: the machine was too slow to read entry {missed} before it was dropped"
        ));
    }
    let (over_claims, violations): (Vec<Violation>, Vec<_>) =
        checker::check(&ran.history).into_iter().partition(|found| found.is_over_claim);
    let mut said = format!("{} over-claims", over_claims.len());
    if !over_claims.is_empty() {
        said = format!("{said}\n{}", checker::summary(&over_claims));
    }
    if !violations.is_empty() {
        let file = folder.join("history.txt");
        fs::write(&file, ran.history.to_string()).unwrap();
        return Err(format!(
            "{} broken promises:\n{}\nthe history is in {}\n{repeat}",
            violations.len(),
            checker::summary(&violations),
            file.display(),
        ));
    }
    figures.lock().unwrap().add(script.kind, ran, &over_claims);
    fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(said)
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}
