//! What goes wrong in a run, drawn from its seed.

use std::fmt;
use std::time::Duration;

use crate::dice::Dice;
use crate::ground::{Cut, MACHINES};
use crate::plan::{Size, Tokens};
use crate::servers::Engine;

/// What a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Everything is kept: whatever goes wrong, nobody may be told a gap.
    Kept,
    /// The log keeps little, so who was away is told what is gone, and nothing else.
    Tight,
    /// The log is deleted and made anew, which everybody is told.
    Recreated,
    /// A server of Redis that writes to its disk every second loses what it had acknowledged last, which everybody is told.
    Lost,
    /// The nodes are restarted one after the other under thousands of subscribers.
    Crowd,
}

#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// A node is killed, and started again.
    KillNode(usize),
    KillAllNodes,
    /// A node does nothing for a while.
    StopNode(usize, Duration),
    /// A server is killed, and started again after a while.
    KillServer(Who, Duration),
    KillAllServers,
    /// A server does nothing for a while, longer than others wait for it.
    StopServer(Who, Duration),
    /// Somebody else has to lead the stream; Redis closes all connections and forgets the scripts.
    StepDown,
    /// The network is cut for a while, and in the middle of it perhaps a node is killed.
    Cut(Cut, Duration, Option<usize>),
    /// The disk of a server is full for a while; the server is restarted when it has room again.
    FullDisk(usize, Duration),
    /// The wall clock of a node is wrong for a while, by so many seconds.
    Clock(usize, i64, Duration),
    /// The nodes are asked to end, one after the other, each when the one before is back.
    RollingRestart,
    /// The log is deleted and made anew.
    Recreate,
    /// The power of the machine of Redis goes, and takes along what was appended for a while.
    Lose(Duration),
    /// A token is revoked.
    Revoke,
}

/// Which server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    /// The one that leads the stream.
    Leader,
    /// The one so many after it.
    Follower(usize),
}

/// All of a run that its seed decides, but for the players.
pub(crate) struct Script {
    pub(crate) engine: Engine,
    pub(crate) kind: Kind,
    /// What happens, and how long nothing does before.
    pub(crate) faults: Vec<(Duration, Fault)>,
    /// How many entries the log keeps, if not all.
    pub(crate) kept: Option<usize>,
    pub(crate) size: Size,
}

/// How many subscribers a crowd is, at most: each of them is a descriptor here, and one on a node.
const CROWD: usize = 3_000;
/// So that the log of a run is about as long as a crash test's, whoever reads it.
const PAUSE_MICROS: u64 = 100_000;
const PAUSE_MICROS_OF_CROWD: u64 = 2_000_000;
/// So that a log that keeps little keeps some seconds, whatever the machine does meanwhile.
const PAUSE_MICROS_OF_TIGHT: u64 = 200_000;

impl Script {
    pub(crate) fn draw(seed: u64, count: usize, subscribers: usize, engine: Engine) -> Self {
        let mut dice = Dice::new(seed ^ 0x6661_756c_7473);
        let kind = match dice.below(24) {
            0 => Kind::Crowd,
            1..=5 => Kind::Tight,
            7 | 8 if engine == Engine::Redis => Kind::Lost,
            6..=8 => Kind::Recreated,
            _ => Kind::Kept,
        };
        let mut faults: Vec<_> = (0..count)
            .map(|number| {
                let pause = dice.micros(50_000, 1_500_000);
                let fault = if kind == Kind::Crowd && number % 2 == 0 {
                    Fault::RollingRestart
                } else {
                    fault(&mut dice)
                };
                // Its server would not end, and take along what had found no room.
                let fault = match fault {
                    Fault::FullDisk(_, time) if kind == Kind::Lost => Fault::KillServer(Who::Leader, time),
                    other => other,
                };
                (pause, fault)
            })
            .collect();
        // In the middle, with something before and behind.
        let middle = count / 2;
        if kind == Kind::Recreated {
            faults.insert(middle, (dice.micros(50_000, 500_000), Fault::Recreate));
        }
        if kind == Kind::Lost {
            let lose = Fault::Lose(dice.micros(200_000, 1_500_000));
            faults.insert(middle, (dice.micros(50_000, 500_000), lose));
        }
        let bends_clocks = faults.iter().any(|(_, fault)| matches!(fault, Fault::Clock(..)));
        let tokens = match kind {
            Kind::Crowd => Tokens::Nobody,
            // A node whose clock is wrong may well think that a token has run out, or is not valid yet.
            _ if bends_clocks => Tokens::Nobody,
            _ => Tokens::Some,
        };
        // A log that is recreated forgets what was revoked, and so may one that keeps little.
        if kind == Kind::Kept && tokens == Tokens::Some && dice.once_in(4) {
            faults.insert(middle, (Duration::ZERO, Fault::Revoke));
        }
        let kept = (kind == Kind::Tight).then(|| 200 + usize::try_from(dice.below(200)).expect("small"));
        let (subscribers, pause_micros) = match kind {
            Kind::Crowd => (CROWD, PAUSE_MICROS_OF_CROWD),
            Kind::Tight => (subscribers, PAUSE_MICROS_OF_TIGHT),
            _ => (subscribers, PAUSE_MICROS),
        };
        Self {
            engine,
            kind,
            faults,
            kept,
            // Nothing in a publisher's id says which log it is of, so it is promised nothing where one loses its end.
            size: Size {
                subscribers,
                pause_micros,
                tokens,
                naps: kind == Kind::Tight,
                own_ids: kind != Kind::Lost,
            },
        }
    }

    /// The servers whose disks become full.
    pub(crate) fn small_disks(&self) -> Vec<usize> {
        let which = self.faults.iter().filter_map(|(_, fault)| match fault {
            Fault::FullDisk(machine, _) => Some(self.engine.server_of(*machine)),
            _ => None,
        });
        which.collect()
    }

    /// The nodes whose clocks are bent.
    pub(crate) fn bent_clocks(&self) -> Vec<usize> {
        let which = self.faults.iter().filter_map(|(_, fault)| match fault {
            Fault::Clock(which, ..) => Some(*which),
            _ => None,
        });
        which.collect()
    }
}

fn fault(dice: &mut Dice) -> Fault {
    let which = usize::try_from(dice.below(MACHINES as u64)).expect("small");
    let who = match dice.below(3) {
        0 => Who::Leader,
        after => Who::Follower(usize::try_from(after).expect("small")),
    };
    match dice.below(32) {
        0..=6 => Fault::KillNode(which),
        7 => Fault::KillAllNodes,
        8 => Fault::StopNode(which, pause(dice, 4_000_000)),
        9 | 10 => Fault::KillServer(Who::Leader, dice.micros(0, 2_000_000)),
        11 | 12 => Fault::KillServer(who, dice.micros(0, 2_000_000)),
        13 => Fault::KillAllServers,
        14..=16 => Fault::StopServer(who, pause(dice, 6_000_000)),
        17 => Fault::StepDown,
        18 => Fault::FullDisk(which, dice.micros(500_000, 3_000_000)),
        19 => Fault::Clock(which, hours(dice), dice.micros(500_000, 3_000_000)),
        20 => Fault::RollingRestart,
        _ => {
            let cut = match dice.below(7) {
                0 | 1 => Cut::Off(which),
                2 => Cut::Mute(which),
                3 => Cut::Deaf(which),
                4 | 5 => Cut::Engine(which),
                _ => Cut::Between(which, (which + 1) % MACHINES),
            };
            let killed = usize::try_from(dice.below(3 * MACHINES as u64)).expect("small");
            Fault::Cut(cut, pause(dice, 6_000_000), (killed < MACHINES).then_some(killed))
        }
    }
}

/// Mostly not longer than some seconds, sometimes longer than anybody waits.
fn pause(dice: &mut Dice, most_micros: u64) -> Duration {
    if dice.once_in(12) { dice.micros(10_000_000, 20_000_000) } else { dice.micros(200_000, most_micros) }
}

fn hours(dice: &mut Dice) -> i64 {
    if dice.once_in(2) { 3_600 } else { -3_600 }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:?} over {:?}, {} subscribers, {:?} entries kept",
            self.kind, self.engine, self.size.subscribers, self.kept
        )?;
        self.faults.iter().try_for_each(|(pause, fault)| writeln!(f, "  after {pause:?} {fault:?}"))
    }
}
