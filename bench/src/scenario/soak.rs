//! A long time of everything at once: publishing, retention, and subscribers that leave and resume from the disk. Memory,
//! descriptors, threads and the folder are the same at the end as before.
//!
//! The load is light and steady: what grows here grows with time alone. Figures are compared between the second and the last
//! third, so that caches and buffers have filled; the bounds leave room for what the allocator keeps.

use super::durable::Folder;
use super::{Name, Outcome, Stage, phase};
use crate::contestant::Contestant;
use crate::generator::{Generator, Manner, Pace, Publish, Standing};
use crate::metrics;
use crate::process;
use crate::target::{Selection, Target};
use anyhow::Context;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Publications a second.
const RATE: f64 = 200.0;
const DATA_BYTES_MIN: usize = 1_000;
/// What is kept on disk: some twenty seconds, so that retention has work all the time.
const HISTORY: &str = "4MiB";
/// What is kept in memory: less than a second.
const MEMORY: &str = "128KiB";
/// What all who come back share: so little that it is soon used up, for it is kept from then on.
const CATCH_UP_MEMORY: &str = "1MiB";
/// How long a traveller is away: further back than memory reaches, and not as far as the disk does.
const AWAY: Duration = Duration::from_secs(3);
/// Travellers that leave in a second.
const LEAVES_PER_S: f64 = 40.0;
/// How long it may take until all connections are gone.
const GONE: Duration = Duration::from_secs(10);
const CATCH_UP: Duration = Duration::from_secs(20);

/// What a server has at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    rss: f64,
    heap: f64,
    descriptors: f64,
    threads: f64,
    folder: f64,
}

/// A figure of a sample: its name, the figure, and by how much it may differ: a share of it, and a fixed amount.
type Watched = (&'static str, fn(&Sample) -> f64, f64, f64);

const MIB: f64 = 1_048_576.0;

const WATCHED: [Watched; 5] = [
    ("rss_bytes", |sample| sample.rss, 0.1, 4.0 * MIB),
    ("heap_bytes", |sample| sample.heap, 0.1, MIB),
    // Travellers come and go; how many are there at a moment differs.
    ("descriptors", |sample| sample.descriptors, 0.1, 16.0),
    ("threads", |sample| sample.threads, 0.0, 0.0),
    ("folder_bytes", |sample| sample.folder, 0.25, MIB),
];

pub(super) fn soak(stage: &Stage, hub: &Contestant) -> anyhow::Result<Outcome> {
    let subscribers = stage.subscribers.unwrap_or(300);
    let travellers = subscribers * 2 / 3;
    let mut outcome = Outcome::new(Name::Soak, &hub.name, subscribers);
    let stage = Stage { data_bytes: stage.data_bytes.max(DATA_BYTES_MIN), ..stage.clone() };
    let folder = Folder::new("soak")?;
    let mut hub = folder.hub(hub);
    let options = ["--history-bytes", HISTORY, "--memory-bytes", MEMORY, "--catch-up-bytes", CATCH_UP_MEMORY];
    hub.command.extend(options.map(str::to_owned));
    let server = hub.start()?;
    let target = Target::new(&server.base, hub.dialect.clone(), "bench", Selection::Shared)?;
    // One publisher: others would have nothing to do for so long that the server hangs up.
    let mut generator = Generator::connect(&target, 1, subscribers, stage.data_bytes, &stage.stop)?;
    let address = server.base.trim_start_matches("http://").parse()?;
    let sample = || -> anyhow::Result<Sample> {
        Ok(Sample {
            rss: process::memory(server.pid())?.rss as f64,
            heap: metrics::gauge(address, crate::HEAP_METRIC).context("the heap is not told")?,
            descriptors: process::descriptors(server.pid())? as f64,
            threads: process::threads(server.pid())? as f64,
            folder: folder.bytes()? as f64,
        })
    };
    let before = sample()?;
    generator.subscribe(subscribers, Manner { steady: false, keeps_ids: true, stalled: None })?;

    // Everybody has an event, and with it an id to come back with.
    generator.run(&phase(Pace::Rate(RATE), Duration::from_secs(1), 64))?;
    generator.catch_up(CATCH_UP)?;

    let mut here: VecDeque<usize> = (0..travellers).collect();
    let mut away: VecDeque<(Instant, usize)> = VecDeque::new();
    let (mut left, mut resumed) = (0_u32, 0_usize);
    let mut samples = Vec::new();
    let begun = Instant::now();
    let mut progress = Instant::now();
    generator.run_with(&phase(Pace::Rate(RATE), stage.time, u64::MAX), |generator| {
        while let Some(&(_, place)) = away.front().filter(|(since, _)| since.elapsed() >= AWAY) {
            away.pop_front();
            generator.come_back(place)?;
            here.push_back(place);
            resumed += 1;
        }
        let due = begun.elapsed().as_secs_f64() * LEAVES_PER_S;
        while f64::from(left) < due {
            left += 1;
            // One that has not come back yet leaves another time.
            let Some(place) = here.pop_front() else { break };
            if generator.standing(place) == Standing::Subscribed {
                generator.cut(place);
                away.push_back((Instant::now(), place));
            } else {
                here.push_back(place);
            }
        }
        if begun.elapsed().as_secs() > samples.len() as u64 {
            samples.push(sample()?);
        }
        if progress.elapsed() >= Duration::from_secs(10) {
            progress = Instant::now();
            eprintln!("{} of {} s, {resumed} resumed", begun.elapsed().as_secs(), stage.time.as_secs());
        }
        Ok(Publish::GoOn)
    })?;
    for (_, place) in away.drain(..) {
        generator.come_back(place)?;
    }
    generator.settle_coming()?;
    let caught_up = generator.catch_up(CATCH_UP)?;
    outcome.promise(caught_up, || "not everybody had everything in time".to_owned());
    generator.gaps_are_faults();
    outcome.faults = generator.faults();
    outcome.count("resumed", resumed);

    judge(&samples, &mut outcome);
    for place in 0..subscribers {
        generator.leave(place);
    }
    leave_nothing(&mut generator, before, sample, &mut outcome)?;
    Ok(outcome)
}

/// Holds the last third against the one before.
fn judge(samples: &[Sample], outcome: &mut Outcome) {
    let third = samples.len() / 3;
    for (name, figure, share, fixed) in WATCHED {
        let median = |samples: &[Sample]| {
            let mut figures: Vec<f64> = samples.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied().unwrap_or(0.0)
        };
        let (second, last) = (median(&samples[third..2 * third]), median(&samples[2 * third..]));
        outcome.figure(&format!("{name}_second_third"), second);
        outcome.figure(&format!("{name}_last_third"), last);
        let most = second * (1.0 + share) + fixed;
        outcome.promise(last <= most, || format!("{name} grew from {second} to {last}"));
    }
}

/// When everybody has left, the server has the descriptors and threads that it had before.
fn leave_nothing(
    generator: &mut Generator,
    before: Sample,
    sample: impl Fn() -> anyhow::Result<Sample>,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut after = sample()?;
    while after.descriptors > before.descriptors && begun.elapsed() < GONE {
        generator.listen(Duration::from_millis(200))?;
        after = sample()?;
    }
    outcome.figure("descriptors_before", before.descriptors);
    outcome.figure("descriptors_after", after.descriptors);
    outcome.figure("heap_bytes_after", after.heap);
    outcome.promise(after.descriptors <= before.descriptors, || {
        format!("{} descriptors are open where there were {}", after.descriptors, before.descriptors)
    });
    outcome.promise(after.threads <= before.threads, || {
        format!("{} threads run where there were {}", after.threads, before.threads)
    });
    Ok(())
}
