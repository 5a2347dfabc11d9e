//! A long time of everything at once: publishing to several topics events of several sizes, retention, subscribers that leave and
//! resume from the disk, and some that stall until they are cut. Memory, descriptors, threads and the folder are the same at the
//! end as before, and when everybody has left, so is live heap.
//!
//! The load is light and steady: what grows here grows with time alone. Figures are compared between the second and the last
//! third, so that caches and buffers have filled; the bounds leave room for what the allocator keeps.

use super::durable::Folder;
use super::restless::{Crowd, Lived};
use super::{Name, Outcome, Stage, phase};
use crate::contestant::Contestant;
use crate::generator::{Generator, Pace, Publish};
use crate::metrics;
use crate::process;
use crate::target::{Selection, Target};
use anyhow::Context;
use std::time::{Duration, Instant};

/// Publications a second.
const RATE: f64 = 200.0;
const DATA_BYTES_MIN: usize = 1_000;
/// Topics that are published to in turn.
const ROOMS: u64 = 7;
/// Sizes of events in turn, beside the one that is asked for: as parts of a hundred of it.
const SIZES: [usize; 5] = [100, 10, 400, 30, 100];
/// What is kept on disk: about half a minute, so that retention has work all the time.
const HISTORY: &str = "8MiB";
/// What is kept in memory: less than a second.
const MEMORY: &str = "128KiB";
/// What all who come back share: so little that it is soon used up, for it is kept from then on.
const CATCH_UP_MEMORY: &str = "1MiB";
/// One of so many subscribers stalls.
const STALLS_ONE_OF: usize = 20;
/// After what time the hub cuts one that stalls.
const CUT: &str = "2s";
/// How long everybody is there for the first time; what live heap is when they have left is what it may be in the end.
const FIRST_TIME: Duration = Duration::from_secs(15);
/// What it may differ by: a share of it, and bytes. Which events are in memory, and where the newest file of entries is, differs.
/// In two minutes 20 bytes left for each publication pass it, or 100 for each who comes back; in an hour one, or three.
const LEFT_OVER: (f64, f64) = (0.1, MIB / 4.0);
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
    let mut outcome = Outcome::new(Name::Soak, &hub.name, subscribers);
    let stage = Stage { data_bytes: stage.data_bytes.max(DATA_BYTES_MIN), ..stage.clone() };
    let folder = Folder::new("soak")?;
    let mut hub = folder.hub(hub);
    let options = ["--history-bytes", HISTORY, "--memory-bytes", MEMORY, "--catch-up-bytes", CATCH_UP_MEMORY];
    hub.command.extend(options.into_iter().chain(["--write-timeout", CUT]).map(str::to_owned));
    let server = hub.start()?;
    let mut target = Target::new(&server.base, hub.dialect.clone(), "bench", Selection::Rooms)?;
    target.spread(ROOMS);
    // One publisher: others would have nothing to do for so long that the server hangs up.
    let mut generator = Generator::connect(&target, 1, subscribers, stage.data_bytes, &stage.stop)?;
    generator.vary(&SIZES.map(|part| stage.data_bytes * part / 100));
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
    let stallers = (subscribers / STALLS_ONE_OF).max(1);
    let crowd = Crowd { travellers: subscribers * 2 / 3, stallers: subscribers - stallers..subscribers };
    live(&mut generator, &crowd, FIRST_TIME, || Ok(()))?;
    let warm = leave(&mut generator, subscribers, before, &sample)?;

    let mut samples = Vec::new();
    let begun = Instant::now();
    let lived = live(&mut generator, &crowd, stage.time, || {
        if begun.elapsed().as_secs() > samples.len() as u64 {
            samples.push(sample()?);
            if samples.len().is_multiple_of(10) {
                eprintln!("{} of {} s", samples.len(), stage.time.as_secs());
            }
        }
        Ok(())
    })?;
    outcome.promise(lived.caught_up, || "not everybody had everything in time".to_owned());
    generator.gaps_are_faults();
    outcome.faults = generator.faults();
    outcome.count("resumed", lived.resumed);
    outcome.count("stalled", lived.stalled);
    outcome.count("cut", lived.cut);
    // Those who had not stalled for long enough when all was over need not have been.
    outcome.promise(lived.cut + stallers >= lived.stalled, || {
        format!("{} of {} that stalled were cut", lived.cut, lived.stalled)
    });

    judge(&samples, &mut outcome);
    let after = leave(&mut generator, subscribers, before, &sample)?;
    leave_nothing(before, warm, after, &mut outcome);
    Ok(outcome)
}

/// Everybody comes, and for some time goes on as their kind does while events are published. What is `beside` is looked at as well.
fn live(
    generator: &mut Generator,
    crowd: &Crowd,
    time: Duration,
    mut beside: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Lived> {
    let mut restless = crowd.come(generator)?;
    // Everybody has an event, and with it an id to come back with.
    generator.run(&phase(Pace::Rate(RATE), Duration::from_secs(1), 64))?;
    generator.catch_up(CATCH_UP)?;
    restless.begin();
    generator.run_with(&phase(Pace::Rate(RATE), time, u64::MAX), |generator| {
        restless.go_on(generator)?;
        beside().map(|()| Publish::GoOn)
    })?;
    restless.end(generator)?;
    generator.settle_coming()?;
    Ok(Lived { caught_up: generator.catch_up(CATCH_UP)?, ..restless.lived })
}

/// Everybody leaves; what the server has then, when it has noticed.
fn leave(
    generator: &mut Generator,
    subscribers: usize,
    before: Sample,
    sample: &impl Fn() -> anyhow::Result<Sample>,
) -> anyhow::Result<Sample> {
    (0..subscribers).for_each(|place| generator.leave(place));
    let begun = Instant::now();
    let (mut last, mut after) = (f64::NAN, sample()?);
    // And until what is told of those who left has been written.
    while (after.descriptors > before.descriptors || (after.heap - last).abs() > 1_024.0 || last.is_nan())
        && begun.elapsed() < GONE
    {
        generator.listen(Duration::from_millis(500))?;
        last = after.heap;
        after = sample()?;
    }
    Ok(after)
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

/// When everybody has left, the server has what it had before; heap is held against when everybody had left for the first time.
fn leave_nothing(before: Sample, warm: Sample, after: Sample, outcome: &mut Outcome) {
    outcome.figure("descriptors_before", before.descriptors);
    outcome.figure("descriptors_after", after.descriptors);
    outcome.figure("heap_bytes_left_first", warm.heap);
    outcome.figure("heap_bytes_left_last", after.heap);
    outcome.promise(after.descriptors <= before.descriptors, || {
        format!("{} descriptors are open where there were {}", after.descriptors, before.descriptors)
    });
    outcome.promise(after.threads <= before.threads, || {
        format!("{} threads run where there were {}", after.threads, before.threads)
    });
    let most = warm.heap * (1.0 + LEFT_OVER.0) + LEFT_OVER.1;
    outcome.promise(after.heap <= most, || {
        format!(
            "heap was {} bytes when everybody had left for the first time, and is {} now",
            warm.heap, after.heap
        )
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what is left for each connection or publication is a broken promise; what differs from one moment to another is none.
    #[test]
    fn heap_that_stays_when_everybody_has_left_is_told() {
        let sample = |heap: f64| Sample { heap, ..Sample::default() };
        for (heap, is_kept) in [(2.0 * MIB, true), (2.3 * MIB, true), (2.6 * MIB, false)] {
            let mut outcome = Outcome::new(Name::Soak, "x", 3);
            leave_nothing(Sample::default(), sample(2.0 * MIB), sample(heap), &mut outcome);
            assert_eq!(outcome.passed(), is_kept, "{}", outcome.line());
        }
    }
}
