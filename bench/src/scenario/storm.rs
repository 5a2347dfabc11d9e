//! All subscribers are cut at once, or the hub is killed under them; all come back with their last event ID.
//!
//! After a cut everybody goes on where it was, and so they do after a kill of a hub whose log is on disk, and at another node over the same
//! log. Where the log was in memory everybody is told so, once.

use super::{Name, Outcome, PUBLISHERS, Stage, Watch, phase};
use crate::contestant::Contestant;
use crate::generator::{Generator, Manner, Pace, Publish, Standing};
use std::time::{Duration, Instant};

/// Publications a second while they come back.
const RATE: f64 = 5.0;
/// Connections that may wait for their response head at once: half of the usual backlog.
const COMING_MAX: usize = 512;
/// How long coming back may take.
const BACK: Duration = Duration::from_secs(60);
const MANNER: Manner = Manner { steady: false, keeps_ids: true, stalled: None };

/// The connections are closed, all of them.
pub(super) fn cut(stage: &Stage, hub: &Contestant) -> anyhow::Result<Outcome> {
    let subscribers = stage.subscribers.unwrap_or(15_000);
    let mut outcome = Outcome::new(Name::Storm, &hub.name, subscribers);
    let server = hub.start()?;
    let mut generator = stage.generator(hub, &server, subscribers)?;
    settle_in(&mut generator, subscribers, &mut outcome)?;
    let watch = Watch::new(server.pid())?;
    let all: Vec<usize> = (0..subscribers).collect();
    for &place in &all {
        generator.cut(place);
    }
    come_back(&mut generator, watch, &mut outcome, |generator| generator.come_back_some(&all, COMING_MAX))?;
    generator.gaps_are_faults();
    outcome.faults = generator.faults();
    Ok(outcome)
}

/// What a hub that is started again has of what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restarted {
    WithItsLog,
    WithoutItsLog,
}

/// The hub is killed and started again on its port.
pub(super) fn kill(stage: &Stage, hub: &Contestant, restarted: Restarted) -> anyhow::Result<Outcome> {
    let subscribers = stage.subscribers.unwrap_or(15_000);
    let name = match restarted {
        Restarted::WithItsLog => Name::Restart,
        Restarted::WithoutItsLog => Name::Kill,
    };
    let mut outcome = Outcome::new(name, &hub.name, subscribers);
    let mut server = hub.start()?;
    let mut generator = stage.generator(hub, &server, subscribers)?;
    settle_in(&mut generator, subscribers, &mut outcome)?;
    generator.drop_publishers();
    server.kill()?;
    until_gone(&mut generator)?;
    let started = Instant::now();
    let again = hub.at(server.base.trim_start_matches("http://")).start()?;
    outcome.figure("listens_after_s", started.elapsed().as_secs_f64());
    generator.connect_publishers(usize::from(PUBLISHERS))?;
    if restarted == Restarted::WithoutItsLog {
        for place in 0..subscribers {
            generator.forget(place);
        }
    }
    let watch = Watch::new(again.pid())?;
    let all: Vec<usize> = (0..subscribers).collect();
    come_back(&mut generator, watch, &mut outcome, |generator| generator.come_back_some(&all, COMING_MAX))?;
    if restarted == Restarted::WithItsLog {
        generator.gaps_are_faults();
        outcome.faults = generator.faults();
        return Ok(outcome);
    }
    let gaps = |wanted: fn(u32) -> bool| {
        all.iter().filter(|&&place| wanted(generator.gaps().get(place).copied().unwrap_or(0))).count()
    };
    let (none, several) = (gaps(|gaps| gaps == 0), gaps(|gaps| gaps > 1));
    outcome.count("told_of_one_gap", subscribers - none - several);
    outcome.promise(none == 0, || format!("{none} were not told of the gap"));
    outcome.promise(several == 0, || format!("{several} were told of more than one gap"));
    outcome.faults = generator.faults();
    Ok(outcome)
}

/// A node is killed under its subscribers, who go on at another one over the same log, to which all is published.
pub(super) fn takeover(stage: &Stage, hub: &Contestant) -> anyhow::Result<Outcome> {
    let subscribers = stage.subscribers.unwrap_or(1_000);
    let mut outcome = Outcome::new(Name::Takeover, &hub.name, subscribers);
    let (mut node, other) = (hub.start()?, hub.start()?);
    let mut generator = stage.generator(hub, &other, subscribers)?;
    generator.move_to(&node.base)?;
    settle_in(&mut generator, subscribers, &mut outcome)?;
    node.kill()?;
    until_gone(&mut generator)?;
    generator.move_to(&other.base)?;
    // What they have missed.
    generator.run(&phase(Pace::Rate(RATE), Duration::from_secs(1), 5))?;
    let watch = Watch::new(other.pid())?;
    let all: Vec<usize> = (0..subscribers).collect();
    come_back(&mut generator, watch, &mut outcome, |generator| generator.come_back_some(&all, COMING_MAX))?;
    generator.gaps_are_faults();
    outcome.faults = generator.faults();
    Ok(outcome)
}

/// Waits until nobody is connected to the server that was killed.
fn until_gone(generator: &mut Generator) -> anyhow::Result<()> {
    let killed = Instant::now();
    while generator.subscribed() > 0 && killed.elapsed() < BACK {
        generator.listen(Duration::from_millis(10))?;
    }
    Ok(())
}

/// Everybody subscribes and has an event, and with it an id.
fn settle_in(generator: &mut Generator, subscribers: usize, outcome: &mut Outcome) -> anyhow::Result<()> {
    generator.subscribe(subscribers, MANNER)?;
    generator.run(&phase(Pace::Rate(2.0 * RATE), Duration::from_secs(1), 3))?;
    let settled = generator.catch_up(BACK)?;
    let there = generator.subscribed();
    outcome.promise(settled && there == subscribers, || format!("only {there} were there to begin with"));
    Ok(())
}

/// Publishes until everybody is back and has everything, and watches the server.
fn come_back(
    generator: &mut Generator,
    mut watch: Watch,
    outcome: &mut Outcome,
    mut some: impl FnMut(&mut Generator) -> anyhow::Result<Publish>,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let figures = generator.run_with(&phase(Pace::Rate(RATE), BACK, u64::MAX), |generator| {
        watch.look()?;
        some(generator)
    })?;
    outcome.figure("all_back_s", begun.elapsed().as_secs_f64());
    let caught_up = generator.catch_up(BACK)?;
    outcome.figure("all_caught_up_s", begun.elapsed().as_secs_f64());
    outcome.figure("connects_per_s", outcome.subscribers as f64 / begun.elapsed().as_secs_f64());
    // Those who are back are served on.
    generator.run(&phase(Pace::Rate(RATE), Duration::from_secs(1), 5))?;
    let served = generator.catch_up(BACK)?;
    watch.look()?;
    outcome.times("answering", &figures.answering);
    outcome.count("publications_meanwhile", usize::try_from(figures.publications)?);
    outcome.figure("rss_before_mib", watch.before_mib());
    outcome.figure("rss_peak_mib", watch.peak_mib());
    let back =
        (0..outcome.subscribers).filter(|&place| generator.standing(place) == Standing::Subscribed).count();
    outcome.promise(back == outcome.subscribers, || format!("only {back} came back"));
    outcome.promise(caught_up && served, || "not everybody had everything in time".to_owned());
    Ok(())
}
