//! Makes a fault happen, and ends it.
//!
//! It returns when the fault is over, which is not when everybody has recovered.

use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use crate::faults::{Fault, Who};
use crate::ground::{Ground, MACHINES};
use crate::history::{History, Tick};
use crate::nodes::{Node, signal};
use crate::servers::{Engine, Server};
use crate::stage::Stage;
use crate::store::{Ask, Said};
use crate::witness::Witness;

/// How often it is asked whether something has come to pass.
const ASKED_EVERY: Duration = Duration::from_millis(50);

/// How long whatever has to come to pass may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// How long it takes at most until a node obeys.
const REVOKED_WITHIN: Duration = Duration::from_secs(5);

/// How many publishers there are to be held.
const PUBLISHERS: usize = 4;

pub(crate) struct World<'r> {
    pub(crate) ground: &'r Ground,
    pub(crate) nodes: Vec<Node>,
    pub(crate) servers: Vec<Server>,
    pub(crate) engine: Engine,
    pub(crate) asker: Box<dyn Ask>,
    pub(crate) clock: Option<PathBuf>,
    /// What could not happen here, and why.
    pub(crate) skipped: Vec<String>,
}

impl World<'_> {
    pub(crate) fn happen(&mut self, fault: &Fault, stage: &Stage, witness: &Witness, history: &mut History) {
        let peak = self.nodes.iter().map(Node::peak_kib).max().unwrap_or(0);
        history.peak_kib = history.peak_kib.max(peak);
        if let Some(why) = self.why_not(fault) {
            self.skipped.push(why);
            return;
        }
        match fault {
            Fault::KillNode(which) => {
                // Only where somebody else is there to go on with is it said how soon that was.
                if self.asker.leader().is_some() && self.nodes.iter().all(Node::is_ready) {
                    stage.kills(*which);
                }
                self.kill_node(*which, history);
            }
            Fault::KillAllNodes => {
                for node in &mut self.nodes {
                    history.unasked_ends.extend(node.kill().expect("a node is killed"));
                }
                self.start_nodes();
            }
            Fault::StopNode(which, time) => pause(self.nodes[*which].id(), *time),
            Fault::KillServer(who, time) => {
                let which = self.server(*who);
                self.servers[which].kill().expect("a server is killed");
                thread::sleep(*time);
                self.start_server(which);
            }
            Fault::KillAllServers => {
                for server in &mut self.servers {
                    server.kill().expect("a server is killed");
                }
                (0..self.servers.len()).for_each(|which| self.start_server(which));
            }
            Fault::StopServer(who, time) => {
                let which = self.server(*who);
                pause(self.servers[which].id(), *time);
            }
            Fault::StepDown => self.asker.unseat(),
            Fault::Cut(cut, time, killed) => {
                self.ground.cut(*cut).expect("the network is cut");
                thread::sleep(*time / 2);
                if let Some(which) = killed {
                    self.kill_node(*which, history);
                }
                thread::sleep(*time / 2);
                self.ground.heal().expect("the network is healed");
            }
            Fault::FullDisk(machine, time) => {
                let which = self.engine.server_of(*machine);
                let server = &mut self.servers[which];
                let disk = server.disk.as_ref().expect("it was drawn");
                disk.fill().expect("the disk is filled");
                thread::sleep(*time);
                disk.make_room().expect("it has room again");
                // What runs out of room does not serve its streams again before it is restarted.
                server.kill().expect("a server is killed");
                self.start_server(which);
            }
            Fault::Clock(which, seconds, time) => {
                self.nodes[*which].set_clock(*seconds).expect("a clock is set");
                thread::sleep(*time);
                self.nodes[*which].set_clock(0).expect("a clock is set");
            }
            Fault::RollingRestart => {
                // One that has just been started may not yet know how to end in order.
                self.wait_until_ready();
                for which in 0..MACHINES {
                    let status = self.nodes[which].end().expect("a node ends");
                    if !status.success() {
                        history.unasked_ends.push(format!("{status} after SIGTERM"));
                    }
                    self.nodes[which].start_again(&self.ground.machines[which]).expect("a node starts again");
                    self.wait_until_ready();
                }
            }
            Fault::Recreate => {
                let begun = self.recreate(stage, witness);
                history.begun.push(begun);
            }
            Fault::Lose(time) => match self.lose(*time, stage, witness) {
                Some(begun) => history.begun.push(begun),
                None => self.skipped.push("lost ends: nothing was stored meanwhile".to_owned()),
            },
            Fault::Revoke => self.revoke(stage, history),
        }
    }

    /// Why something cannot happen on this machine.
    fn why_not(&self, fault: &Fault) -> Option<String> {
        let (what, why) = match fault {
            Fault::Cut(..) if !self.ground.has_namespaces() => ("cut networks", "no namespaces"),
            Fault::FullDisk(..) if !self.ground.has_namespaces() => ("full disks", "no namespaces"),
            Fault::Clock(..) if self.clock.is_none() => ("wrong clocks", "no libfaketime"),
            _ => return None,
        };
        Some(format!("{what}: {why}"))
    }

    pub(crate) fn wait_until_ready(&self) {
        let give_up = Instant::now() + PATIENCE;
        while !self.nodes.iter().all(Node::is_ready) {
            assert!(Instant::now() < give_up, "the nodes do not become ready");
            thread::sleep(ASKED_EVERY);
        }
    }

    fn kill_node(&mut self, which: usize, history: &mut History) {
        history.unasked_ends.extend(self.nodes[which].kill().expect("a node is killed"));
        self.nodes[which].start_again(&self.ground.machines[which]).expect("a node starts again");
    }

    fn start_nodes(&mut self) {
        for (node, machine) in self.nodes.iter_mut().zip(&self.ground.machines) {
            node.start_again(machine).expect("a node starts again");
        }
    }

    fn start_server(&mut self, which: usize) {
        self.servers[which].start_again(&self.ground.machines[which]).expect("a server starts again");
    }

    /// Where nobody leads, the first stands for the leader.
    fn server(&mut self, who: Who) -> usize {
        let leader = self.asker.leader().unwrap_or(0);
        match who {
            Who::Leader => leader,
            Who::Follower(after) => (leader + after) % self.servers.len(),
        }
    }

    /// Deletes the log when nothing is on its way and everything is known that it holds. Says when.
    fn recreate(&mut self, stage: &Stage, witness: &Witness) -> Tick {
        stage.hold(PUBLISHERS);
        self.wait_until_ready();
        self.wait_until_read(witness);
        let begun = stage.tick();
        let give_up = Instant::now() + PATIENCE;
        while !self.asker.remove() {
            assert!(Instant::now() < give_up, "the log cannot be deleted");
            thread::sleep(ASKED_EVERY);
        }
        begin_another(stage, witness);
        begun
    }

    /// Has the only server lose what was appended for a while, when everybody may have read it. Says when, unless there was nothing.
    fn lose(&mut self, time: Duration, stage: &Stage, witness: &Witness) -> Option<Tick> {
        self.wait_until_ready();
        let length = self.servers[0].appended().expect("it appends");
        thread::sleep(time);
        stage.hold(PUBLISHERS);
        self.wait_until_ready();
        let before = self.wait_until_read(witness);
        let begun = stage.tick();
        let server = &mut self.servers[0];
        server.kill().expect("a server is killed");
        server.lose_behind(length).expect("it is made shorter");
        self.start_server(0);
        let give_up = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < give_up, "nobody notices that the log has lost its end");
            match self.asker.log() {
                Some(said) if said.epoch != before.epoch => {
                    begin_another(stage, witness);
                    return Some(begun);
                }
                Some(said) if said.next == before.next => {
                    stage.release();
                    return None;
                }
                _ => thread::sleep(ASKED_EVERY),
            }
        }
    }

    /// Waits until everything is known that the log holds. Gives what is said of it then.
    fn wait_until_read(&mut self, witness: &Witness) -> Said {
        let give_up = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < give_up, "the log is not read to its end");
            if let Some(said) = self.asker.log()
                && witness.next() >= said.next
            {
                return said;
            }
            thread::sleep(ASKED_EVERY);
        }
    }

    /// What is revoked while everybody can read the log is so everywhere in time. A node that cannot may be later.
    fn revoke(&self, stage: &Stage, history: &mut History) {
        self.wait_until_ready();
        let give_up = Instant::now() + PATIENCE;
        while !self.nodes.iter().any(Node::revokes) {
            assert!(Instant::now() < give_up, "no node revokes");
            thread::sleep(ASKED_EVERY);
        }
        history.revoked_at = Some(stage.now());
        thread::sleep(REVOKED_WITHIN);
    }
}

fn begin_another(stage: &Stage, witness: &Witness) {
    stage.life.fetch_add(1, SeqCst);
    witness.begin_another();
    stage.release();
}

fn pause(id: u32, time: Duration) {
    signal(id, "STOP").expect("a signal");
    thread::sleep(time);
    signal(id, "CONT").expect("a signal");
}
