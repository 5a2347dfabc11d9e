//! One run from the first start to the end in order: lets all players play, and gathers what they noted.
//!
//! It decides nothing about what happened.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use crate::faults::{self, Fault, NODES};
use crate::history::{History, LogAfterAKill};
use crate::nats::{self, Server};
use crate::nodes::{Node, signal};
use crate::plan::Plan;
use crate::publisher::{Publisher, Retry, publish};
use crate::reader::whole_log;
use crate::stage::Stage;
use crate::subscriber::subscribe;

/// How long all that follows the faults may take; so long only that a broken hub fails the test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long nobody has to have caught up before the last event is published once more.
const ONCE_MORE_AFTER: Duration = Duration::from_millis(50);
/// How often it is asked whether a node is ready.
const ASKED_EVERY: Duration = Duration::from_millis(50);

pub(crate) fn run(seed: u64, count: usize, folder: &Path) -> History {
    if folder.exists() {
        fs::remove_dir_all(folder).expect("removed");
    }
    let plan = Plan::draw(seed, 0);
    let faults = faults::draw(seed, count);
    let mut servers = nats::start(NODES, folder).expect("the servers start");
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    let mut nodes: Vec<_> =
        (0..NODES).map(|number| Node::start(number, &addresses, folder).expect("a node starts")).collect();
    wait_until_ready(&nodes);
    let took: Duration = faults.iter().map(|(pause, _)| *pause + Duration::from_secs(10)).sum();
    let stage = Stage::new(nodes.iter().map(|node| node.address).collect(), PATIENCE + took * 2);
    let mut history = History::of(LogAfterAKill::Survives);

    thread::scope(|scope| {
        let stage = &stage;
        let subscribers = plan.subscribers.into_iter().map(|s| scope.spawn(move || subscribe(stage, s)));
        let subscribers: Vec<_> = subscribers.collect();
        let publishers =
            plan.publishers.into_iter().map(|p| scope.spawn(move || publish(stage, Retry::WithKey, p)));
        let publishers: Vec<_> = publishers.collect();

        for (pause, fault) in faults {
            thread::sleep(pause);
            println!("{fault:?}");
            history.unasked_ends.extend(happen(fault, &mut nodes, &mut servers));
            stage.life.fetch_add(1, SeqCst);
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
    });

    stage.be_patient_for(PATIENCE);
    wait_until_ready(&nodes);
    let mut end = Publisher::new(&stage, Retry::WithKey, "end");
    end.send_to_everybody();
    history.publications.append(&mut end.done);
    history.logs = vec![whole_log(&stage)];
    for node in &mut nodes {
        let status = node.end().expect("a node ends");
        if !status.success() {
            history.unasked_ends.push(format!("{status} after SIGTERM"));
        }
    }
    history
}

fn wait_until_ready(nodes: &[Node]) {
    let give_up = Instant::now() + PATIENCE;
    while !nodes.iter().all(Node::is_ready) {
        assert!(Instant::now() < give_up, "the nodes do not become ready");
        thread::sleep(ASKED_EVERY);
    }
}

fn happen(fault: Fault, nodes: &mut [Node], servers: &mut [Server]) -> Vec<String> {
    let mut unasked = Vec::new();
    match fault {
        Fault::KillNode(which) => unasked.extend(restart(&mut nodes[which])),
        Fault::KillAllNodes => {
            for node in nodes.iter_mut() {
                unasked.extend(node.kill().expect("a node is killed"));
            }
            for node in nodes {
                node.start_again().expect("a node starts again");
            }
        }
        Fault::StopNode(which, time) => pause(nodes[which].id(), time),
        Fault::KillServer(which, time) => {
            servers[which].kill().expect("a server is killed");
            thread::sleep(time);
            servers[which].start_again().expect("a server starts again");
        }
        Fault::KillAllServers => {
            for server in servers.iter_mut() {
                server.kill().expect("a server is killed");
            }
            for server in servers {
                server.start_again().expect("a server starts again");
            }
        }
        Fault::StopServer(which, time) => pause(servers[which].id(), time),
    }
    unasked
}

fn restart(node: &mut Node) -> Option<String> {
    let unasked = node.kill().expect("a node is killed");
    node.start_again().expect("a node starts again");
    unasked
}

fn pause(id: u32, time: Duration) {
    signal(id, "STOP").expect("a signal");
    thread::sleep(time);
    signal(id, "CONT").expect("a signal");
}
