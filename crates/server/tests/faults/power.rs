//! The power goes, at random moments: while publishers publish, and while the log is being opened.
//!
//! `FANFARE_FAULT_ROUNDS` says how often, `FANFARE_FAULT_SEED` which moments; a failure names the seed.

use std::thread;

use crate::common::Hub;
use crate::disk::{Disk, POWER_STATUS, try_start};
use crate::history::{Answer, Dice, Event, Reader, Sent, check, kept, publish};

const PUBLISHERS: u64 = 4;

pub(crate) fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect(variable))
}

/// What one life of the program was told and told.
#[derive(Default)]
pub(crate) struct Life {
    pub(crate) sent: Vec<Sent>,
    pub(crate) delivered: Vec<Event>,
}

/// Publishes from several threads until nobody answers or each has sent its share, and one subscriber listens.
pub(crate) fn live(hub: &mut Hub, name: &str, each: u64, padding: &str) -> Life {
    let address = &hub.address().to_owned();
    let mut life = Life::default();
    let reader = Reader::open(address, None);
    thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                scope.spawn(move || {
                    let mut sent = Vec::new();
                    for n in 0..each {
                        sent.push(publish(address, &format!("{name}/{publisher}/{n}{padding}")));
                        if sent.last().is_some_and(|sent| sent.answer == Answer::Unknown) {
                            break;
                        }
                    }
                    sent
                })
            })
            .collect();
        let subscriber = scope.spawn(move || {
            let mut events = Vec::new();
            if let Some(mut reader) = reader {
                while let Some(event) = reader.next() {
                    events.push(event);
                }
            }
            events
        });
        for publisher in publishers {
            life.sent.extend(publisher.join().expect("a publisher"));
        }
        hub.signal("KILL");
        life.delivered = subscriber.join().expect("a subscriber");
    });
    life
}

/// Goal: whatever the disk has when the power goes, the next start finds all that was stored or shown, in order, and nothing
/// else, and the folder is never refused.
/// Method: `shim.c` lets the power go at the n-th operation of a life of the program, n random; the next life is looked at
/// through its own streams.
#[test]
fn nothing_stored_is_lost_with_the_power() {
    let Some(mut disk) = Disk::new() else { return };
    let seed = number("FANFARE_FAULT_SEED", 1);
    let rounds = number("FANFARE_FAULT_ROUNDS", 20);
    let mut dice = Dice(seed);
    let mut last = "earliest".to_owned();
    // The lives since the last look.
    let (mut sent, mut delivered) = (Vec::new(), Vec::new());
    let (mut losses, mut events) = (0, 0);
    let mut settings = ["--history-bytes", "16MiB"];
    for round in 0..rounds {
        let failed = |what: &str| -> ! { panic!("round {round} of FANFARE_FAULT_SEED={seed}: {what}") };
        // What is synced once, when a log is begun, can only go with a new one.
        if dice.below(4) == 0
            && let Some(new) = Disk::new()
        {
            // Four segments are kept, or more than there will be.
            (disk, settings[1]) = (new, dice.pick(&["4MiB", "16MiB"]));
            "earliest".clone_into(&mut last);
        }
        let most = dice.pick(&[20, 100, 400]);
        let padding = "x".repeat(dice.pick(&[0, 0, 600, 70_000]));
        let mut command = disk.command(&settings);
        command.env("FAULTS_POWER", (1 + dice.below(most)).to_string());
        command.env("FAULTS_SEED", dice.below(u64::MAX).to_string());
        match try_start(command) {
            Ok(mut hub) => {
                let life =
                    live(&mut hub, &round.to_string(), if padding.len() > 1_000 { 8 } else { 30 }, &padding);
                losses += u64::from(hub.wait().code() == Some(POWER_STATUS));
                sent.extend(life.sent);
                // What it saw began with this life.
                delivered = life.delivered;
            }
            Err(Some(POWER_STATUS)) => losses += 1,
            Err(other) => failed(&format!("it does not start: {other:?}")),
        }
        let hub = try_start(disk.command(&settings))
            .unwrap_or_else(|code| failed(&format!("it does not start again: {code:?}")));
        let mut found = kept(hub.address(), &last, &format!("mark-{round}"));
        last = found.pop().expect("the mark").id;
        events += found.len();
        if let Err(what) = check(&sent, &delivered, &found) {
            failed(&format!("{what}\nkept: {found:?}"));
        }
        sent.clear();
        delivered.clear();
    }
    println!("{rounds} rounds, {losses} losses of power, {events} events");
    assert!(losses * 3 > rounds, "the power went {losses} times in {rounds} rounds");
}

/// Goal: with `--durability os` the power may cost the newest events, but nothing before them and never the start.
/// Method: as above; what the next life keeps is held against the beginning of what a subscriber saw.
#[test]
fn what_the_system_had_not_written_yet_is_missing_from_the_end_alone() {
    let Some(disk) = Disk::new() else { return };
    let seed = number("FANFARE_FAULT_SEED", 1);
    let rounds = number("FANFARE_FAULT_ROUNDS", 20) / 2;
    let mut dice = Dice(seed);
    let settings = ["--history-bytes", "16MiB", "--durability", "os"];
    let mut last = "earliest".to_owned();
    for round in 0..rounds {
        let failed = |what: &str| -> ! { panic!("round {round} of FANFARE_FAULT_SEED={seed}: {what}") };
        let mut command = disk.command(&settings);
        command.env("FAULTS_POWER", (1 + dice.below(120)).to_string());
        command.env("FAULTS_SEED", dice.below(u64::MAX).to_string());
        let padding = "x".repeat(dice.pick(&[600, 70_000]));
        let mut delivered = Vec::new();
        if let Ok(mut hub) = try_start(command) {
            delivered = live(&mut hub, &round.to_string(), 20, &padding).delivered;
            hub.wait();
        }
        let hub = try_start(disk.command(&settings))
            .unwrap_or_else(|code| failed(&format!("it does not start again: {code:?}: {}", disk.said())));
        let mut found = kept(hub.address(), &last, &format!("mark-{round}"));
        last = found.pop().expect("the mark").id;
        if let Some((delivered, found)) =
            delivered.iter().zip(&found).find(|(delivered, found)| delivered != found)
        {
            failed(&format!("{delivered:?} was delivered, {found:?} is kept"));
        }
        // So that the mark is on the disk: this life ends without a loss of power.
        drop(hub);
    }
}
