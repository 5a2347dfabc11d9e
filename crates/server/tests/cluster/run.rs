//! One run from the first start to the end in order: lets all players play, and gathers what they noted.
//!
//! It decides nothing about what happened.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use fanfare_hub::Position;

use crate::faults::{Kind, Script};
use crate::ground::Ground;
use crate::happen::{PATIENCE, World};
use crate::history::{History, LogAfterAKill};
use crate::nodes::{Node, Setup, clock_library};
use crate::plan::Plan;
use crate::publisher::{Publisher, Retry, publish};
use crate::reader::{END, whole_log};
use crate::servers;
use crate::stage::Stage;
use crate::subscriber::subscribe;
use crate::witness::Witness;

/// How long nobody has to have caught up before the last event is published once more.
const ONCE_MORE_AFTER: Duration = Duration::from_millis(200);

/// Enough for a player, of whom there may be thousands.
const STACK_BYTES: usize = 512 * 1024;

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) history: History,
    pub(crate) longest_stall: Duration,
    pub(crate) skipped: Vec<String>,
    /// What retention dropped before the witness had read it, so that nothing can be held against the log.
    pub(crate) missed: Option<Position>,
}

pub(crate) fn run(seed: u64, script: &Script, ground: &Ground, folder: &Path, says_all: bool) -> Ran {
    if folder.exists() {
        fs::remove_dir_all(folder).expect("removed");
    }
    let plan = Plan::draw(seed, 0, script.size);
    let small_disks = if ground.has_namespaces() { script.small_disks() } else { Vec::new() };
    let engine = script.engine;
    let syncs_at_once = script.kind != Kind::Lost;
    let servers =
        servers::start(engine, ground, folder, &small_disks, syncs_at_once).expect("the servers start");
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    let (setup, clock) = (Setup::of(engine.url(ground), script.kept), clock_library());
    let bent = script.bent_clocks();
    let nodes = ground.machines.iter().enumerate().map(|(number, machine)| {
        let clock = clock.clone().filter(|_| bent.contains(&number));
        Node::start(machine, number, setup.clone().with_clock(clock), folder).expect("a node starts")
    });
    let nodes = nodes.collect();
    let asker = engine.asker(addresses.clone());
    let mut world = World { ground, nodes, servers, engine, asker, clock, skipped: Vec::new() };
    world.wait_until_ready();

    let took: Duration = script.faults.iter().map(|(pause, _)| *pause + Duration::from_secs(25)).sum();
    let stage = Stage::new(world.nodes.iter().map(|node| node.address).collect(), PATIENCE + took * 2);
    let witness = Witness::new();
    let mut history = History::of(match script.kind {
        Kind::Recreated => LogAfterAKill::IsRecreated,
        Kind::Lost => LogAfterAKill::LosesItsEnd,
        _ => LogAfterAKill::Survives,
    });
    history.kept = script.kept;

    thread::scope(|scope| {
        let (stage, witness) = (&stage, &witness);
        scope.spawn(move || witness.watch(engine.asker(addresses)));
        let subscribers = plan.subscribers.into_iter().map(|subscribing| {
            let player = thread::Builder::new().stack_size(STACK_BYTES);
            player.spawn_scoped(scope, move || subscribe(stage, subscribing)).expect("a thread")
        });
        let subscribers: Vec<_> = subscribers.collect();
        // What is dropped takes its key with it.
        let retry = if script.kept.is_some() { Retry::Never } else { Retry::WithKey };
        let publishers = plan.publishers.into_iter().map(|p| scope.spawn(move || publish(stage, retry, p)));
        let publishers: Vec<_> = publishers.collect();

        for (pause, fault) in &script.faults {
            thread::sleep(*pause);
            if says_all {
                println!("{:6.1} s  {fault:?}", stage.now().as_secs_f64());
            }
            world.happen(fault, stage, witness, &mut history);
        }
        stage.is_ending.store(true, SeqCst);
        for publisher in publishers {
            history.publications.extend(publisher.join().expect("a publisher"));
        }
        let mut last = Publisher::new(stage, Retry::WithKey, "last");
        while !subscribers.iter().all(thread::ScopedJoinHandle::is_finished) && !stage.is_out_of_patience() {
            last.send_to_everybody();
            thread::sleep(ONCE_MORE_AFTER);
        }
        history.publications.append(&mut last.done);
        for subscriber in subscribers {
            history.subscribers.push(subscriber.join().expect("a subscriber"));
        }

        stage.be_patient_for(PATIENCE);
        world.wait_until_ready();
        let mut end = Publisher::new(stage, Retry::WithKey, "end");
        end.send_to_everybody();
        history.publications.append(&mut end.done);
        history.read_back = Some(whole_log(stage));
        let give_up = Instant::now() + PATIENCE;
        while !witness.has_read(END) && Instant::now() < give_up {
            thread::sleep(ONCE_MORE_AFTER);
        }
        history.logs = witness.end();
    });

    let peak = world.nodes.iter().map(Node::peak_kib).max().unwrap_or(0);
    history.peak_kib = history.peak_kib.max(peak);
    for node in &mut world.nodes {
        let status = node.end().expect("a node ends");
        if !status.success() {
            history.unasked_ends.push(format!("{status} after SIGTERM"));
        }
    }
    Ran { history, longest_stall: stage.longest_stall(), skipped: world.skipped, missed: witness.missed() }
}
