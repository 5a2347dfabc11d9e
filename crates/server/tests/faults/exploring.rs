//! Every operation of a short life fails once, one after the other: none of them may cost what was stored.
//!
//! It looks for the places that nobody thought of; what each kind of failure means to publishers is in `errors.rs`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::common::Hub;
use crate::disk::{Disk, POWER_STATUS, try_start, until_ready_is};
use crate::history::{Answer, Dice, Sent, check, kept, publish};
use crate::power::number;

/// Enough for four segments, of which two are removed.
const EVENTS: u64 = 19;
const EVENT_BYTES: usize = 200_000;
const SETTINGS: [&str; 2] = ["--history-bytes", "2MiB"];
/// More than such a life has.
const OPERATIONS: u64 = 100;

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// An I/O error, once.
    Io,
    /// No room, until some is made.
    Full,
    /// No room once, and later the power goes.
    FullThenPower,
}

/// Publishes to the end, or until nothing is taken any more. Where the disk is full, room is made.
fn publish_all(disk: &Disk, hub: &Hub, fault: Fault, sent: &mut Vec<Sent>) {
    let padding = "x".repeat(EVENT_BYTES);
    for n in 0..EVENTS {
        sent.push(publish(hub.address(), &format!("{n}-{padding}")));
        if matches!(sent.last(), Some(Sent { answer: Answer::Stored(_), .. })) {
            continue;
        }
        match fault {
            Fault::Io => return,
            Fault::Full => {
                disk.mend();
                until_ready_is(hub, 200);
            }
            // It may be gone.
            Fault::FullThenPower => {
                while matches!(crate::history::status(hub.address(), "/readyz"), Some(503)) {
                    thread::yield_now();
                }
            }
        }
    }
}

fn explore(fault: Fault, at: u64) {
    let Some(disk) = Disk::new() else { return };
    let mut command = disk.command(&SETTINGS);
    match fault {
        Fault::Io => command.env("FAULTS_FAIL", format!("{at} EIO once")),
        Fault::Full => command.env("FAULTS_FAIL", format!("{at} ENOSPC on")),
        Fault::FullThenPower => {
            let later = at + 1 + Dice(at).below(30);
            command.env("FAULTS_FAIL", format!("{at} ENOSPC once")).env("FAULTS_POWER", later.to_string())
        }
    };
    command.env("FAULTS_SEED", at.to_string());
    let mut sent = Vec::new();
    match try_start(command) {
        Ok(mut hub) => {
            publish_all(&disk, &hub, fault, &mut sent);
            hub.signal("KILL");
            hub.wait();
        }
        Err(code) if code == Some(POWER_STATUS) => {}
        Err(code) => {
            let said = disk.said();
            assert!(
                code == Some(1) && said.starts_with("fanfare: cannot "),
                "{fault:?} {at}: {code:?}: {said}"
            );
        }
    }
    disk.mend();
    let hub = try_start(disk.command(&SETTINGS)).unwrap_or_else(|code| {
        panic!("{fault:?} at {at}: it does not start again: {code:?}: {}", disk.said())
    });
    // Of the oldest, some are not kept.
    let mut found = kept(hub.address(), "earliest", "mark");
    found.pop();
    let is_stored = |sent: &&Sent| matches!(sent.answer, Answer::Stored(_));
    if let Some(first) = found.first() {
        let from = sent.iter().position(|sent| sent.data == first.data).unwrap_or(0);
        let trimmed = sent.iter().take(from).filter(is_stored).count();
        assert!(trimmed <= 12, "{fault:?} at {at}: {trimmed} are gone");
        sent.drain(..from);
    }
    check(&sent, &[], &found).unwrap_or_else(|what| panic!("{fault:?} at {at}: {what}"));
}

/// Goal: whichever operation fails, what was stored is kept, the next start finds it, and a full disk goes on by itself.
/// Method: a new log for each operation and each kind of failure; `FANFARE_FAULT_ROUNDS` of them, or all.
#[test]
fn any_operation_may_fail() {
    let all: Vec<_> = [Fault::FullThenPower, Fault::Io, Fault::Full]
        .into_iter()
        .flat_map(|fault| (1..=OPERATIONS).map(move |at| (fault, at)))
        .collect();
    let rounds = number("FANFARE_FAULT_ROUNDS", 20).min(all.len() as u64);
    let next = AtomicU64::new(0);
    // Most of the time they wait for a full disk to be looked at again.
    thread::scope(|scope| {
        let threads: Vec<_> = (0..12)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let round = next.fetch_add(1, Ordering::Relaxed);
                        if round >= rounds {
                            return;
                        }
                        // Spread over all of them.
                        let (fault, at) = all[usize::try_from(round * all.len() as u64 / rounds).unwrap()];
                        explore(fault, at);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("what it says above");
        }
    });
}
