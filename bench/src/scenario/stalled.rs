//! A fifth of the subscribers stops reading: the others lose nothing, the stalled are cut when they have made no progress
//! for the write deadline, and come back with their last event ID to everything that they missed.

use super::{Name, Outcome, Stage, Watch, phase};
use crate::compare::has_option;
use crate::contestant::Contestant;
use crate::generator::{Manner, Pace, Publish, Standing};
use std::time::Duration;

/// Publications a second.
const RATE: f64 = 50.0;
/// Of an event's data: so large that sockets fill within a second.
const DATA_BYTES_MIN: usize = 2_000;
/// What the kernel may hold on the side of one that does not read.
const RECEIVE_BYTES: usize = 4_096;
/// What the hub is told its write deadline is, if it has such an option.
const DEADLINE: Duration = Duration::from_secs(2);
/// What the option may be called.
const DEADLINE_OPTIONS: [&str; 2] = ["--write-timeout", "--write-deadline"];
/// How long it takes at most until everybody has everything again.
const CATCH_UP: Duration = Duration::from_secs(20);

pub(super) fn stalled(stage: &Stage, hub: &Contestant) -> anyhow::Result<Outcome> {
    let subscribers = stage.subscribers.unwrap_or(1_000).max(5);
    let stalled = subscribers / 5;
    let mut outcome = Outcome::new(Name::Stalled, &hub.name, subscribers);
    let mut hub = hub.clone();
    let option = DEADLINE_OPTIONS
        .into_iter()
        .find(|option| stage.program.as_deref().is_some_and(|program| has_option(program, option)));
    match option {
        Some(option) => hub.command.extend([option.to_owned(), format!("{}s", DEADLINE.as_secs())]),
        None => outcome
            .untried
            .push("it has no option for its write deadline; whether it cuts who stalls".to_owned()),
    }
    let server = hub.start()?;
    let stage = Stage { data_bytes: stage.data_bytes.max(DATA_BYTES_MIN), ..stage.clone() };
    let mut generator = stage.generator(&hub, &server, subscribers)?;
    // Long enough for sockets to fill, the deadline to pass and the others to be looked at afterwards.
    let time = stage.time.max(DEADLINE + Duration::from_secs(4));
    let pace = |time| phase(Pace::Rate(RATE), time, u64::MAX);

    generator.subscribe(subscribers - stalled, Manner::STEADY)?;
    generator.run(&pace(time / 8))?;
    let mut watch = Watch::new(server.pid())?;
    let quiet = generator.run_with(&pace(time), |_| watch.look().map(|()| Publish::GoOn))?;
    let growth_without = watch.growth();

    let manner = Manner { stalled: Some(RECEIVE_BYTES), keeps_ids: true, steady: false };
    generator.subscribe(stalled, manner)?;
    let mut watch = Watch::new(server.pid())?;
    let with = generator.run_with(&pace(time), |_| watch.look().map(|()| Publish::GoOn))?;
    let growth_with = watch.growth();

    let places = (subscribers - stalled)..subscribers;
    for place in places.clone() {
        generator.wake(place)?;
    }
    // What was on the way arrives, and so does the end.
    generator.listen(Duration::from_secs(1))?;
    let cut: Vec<usize> = places.filter(|&place| generator.standing(place) == Standing::Ended).collect();
    let pace = phase(Pace::Rate(RATE), CATCH_UP, u64::MAX);
    generator.run_with(&pace, |generator| generator.come_back_some(&cut, 64))?;
    let caught_up = generator.catch_up(CATCH_UP)?;
    generator.gaps_are_faults();
    outcome.faults = generator.faults();

    outcome.times("latency_without", &quiet.latency);
    outcome.times("latency_with", &with.latency);
    outcome.figure(
        "latency_p99_with_to_without",
        with.latency.value_at_quantile(0.99) as f64 / quiet.latency.value_at_quantile(0.99) as f64,
    );
    outcome.count("stalled", stalled);
    outcome.count("cut", cut.len());
    outcome.figure("rss_kib_for_each_stalled", (growth_with - growth_without) / stalled as f64 / 1024.0);
    outcome.promise(option.is_none() || cut.len() == stalled, || {
        format!("{} of {stalled} stalled subscribers were not cut", stalled - cut.len())
    });
    outcome.promise(caught_up, || "not everybody had everything again in time".to_owned());
    Ok(outcome)
}
