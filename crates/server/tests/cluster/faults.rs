//! What goes wrong in a run, drawn from its seed.

use std::time::Duration;

use crate::dice::Dice;

/// How many nodes and how many servers of NATS there are.
pub(crate) const NODES: usize = 3;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// A node is killed, and started again.
    KillNode(usize),
    KillAllNodes,
    /// A node does nothing for a while.
    StopNode(usize, Duration),
    /// A server is killed, and started again after a while.
    KillServer(usize, Duration),
    KillAllServers,
    /// A server does nothing for a while, longer than others wait for it.
    StopServer(usize, Duration),
}

/// What happens, and how long nothing does before.
pub(crate) fn draw(seed: u64, count: usize) -> Vec<(Duration, Fault)> {
    let mut dice = Dice::new(seed ^ 0x6661_756c_7473);
    let mut drawn = Vec::new();
    for _ in 0..count {
        let pause = dice.micros(50_000, 1_500_000);
        let which = usize::try_from(dice.below(NODES as u64)).expect("small");
        let fault = match dice.below(14) {
            0..=5 => Fault::KillNode(which),
            6 => Fault::KillAllNodes,
            7 => Fault::StopNode(which, dice.micros(100_000, 4_000_000)),
            8..=10 => Fault::KillServer(which, dice.micros(0, 2_000_000)),
            11 => Fault::KillAllServers,
            _ => Fault::StopServer(which, dice.micros(500_000, 6_000_000)),
        };
        drawn.push((pause, fault));
    }
    drawn
}
