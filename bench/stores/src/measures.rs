//! What is measured: appending, a history of many events, and retention.

use crate::Arguments;
use crate::event::{self, Event};
use crate::figures::Figures;
use crate::store::{Candidate, Store};
use anyhow::{Context, ensure};
use std::path::Path;
use std::time::{Duration, Instant};

/// Publications under way at once.
const UNDER_WAY: [u64; 3] = [1, 64, 512];
/// Events that are appended together where only the result counts.
const LOAD: u64 = 4_096;
/// Events of one stretch that is replayed.
const STRETCH: usize = 50_000;
const LOOK_UPS: u64 = 1_000;
/// Events after which the oldest are dropped.
const TRIM: u64 = 10_000;

fn folder(arguments: &Arguments) -> anyhow::Result<tempfile::TempDir> {
    // What was written before is not to be written while something else is measured.
    rustix::fs::sync();
    Ok(tempfile::tempdir_in(&arguments.folder)?)
}

fn events(from: u64, count: u64) -> Vec<Event> {
    (from..from + count).map(Event::at).collect()
}

/// Group commit: as many publications under way as there are, all answered before the next.
pub(crate) fn append(
    arguments: &Arguments,
    stores: &[&Candidate],
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let time = Duration::from_secs_f64(arguments.seconds);
    for round in 0..arguments.rounds {
        for under_way in UNDER_WAY {
            for place in 0..stores.len() {
                let store = stores[(place + round) % stores.len()];
                let folder = folder(arguments)?;
                let mut open = (store.open)(folder.path(), None)?;
                let mut next = 1;
                let mut took = Duration::ZERO;
                while took < time {
                    let group = events(next, under_way);
                    let begun = Instant::now();
                    open.append(&group)?;
                    took += begun.elapsed();
                    next += under_way;
                }
                let figure = format!("appended/s, {under_way} under way");
                figures.add(&figure, store.name, (next - 1) as f64 / took.as_secs_f64());
            }
        }
    }
    Ok(())
}

/// A history of many events: replay, look-ups, a sparse topic, and opening it.
pub(crate) fn history(
    arguments: &Arguments,
    stores: &[&Candidate],
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let mut folders = Vec::new();
    for store in stores {
        let folder = folder(arguments)?;
        let mut open = (store.open)(folder.path(), None)?;
        let begun = Instant::now();
        let mut next = 1;
        while next <= arguments.events {
            let group = events(next, LOAD.min(arguments.events + 1 - next));
            open.append(&group)?;
            next += group.len() as u64;
            if next % (LOAD * 500) < LOAD {
                eprintln!("{}: {next} events after {:.0} s", store.name, begun.elapsed().as_secs_f64());
            }
        }
        drop(open);
        figures.add(
            "bytes on disk for each event",
            store.name,
            size(folder.path())? as f64 / arguments.events as f64,
        );
        folders.push(folder);
    }
    for round in 0..arguments.rounds {
        for place in 0..stores.len() {
            let at = (place + round) % stores.len();
            one_history(arguments, round as u64, stores[at], folders[at].path(), figures)?;
        }
    }
    Ok(())
}

fn one_history(
    arguments: &Arguments,
    round: u64,
    store: &Candidate,
    folder: &Path,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let mut add = |figure: &str, value: f64| figures.add(figure, store.name, value);
    let next = arguments.events + 1;
    let begun = Instant::now();
    let mut open = (store.open)(folder, None)?;
    let (read, _) = open.read(next - 1, 1)?;
    ensure!(read == 1, "{} has lost its newest event", store.name);
    add("opened and read, ms", begun.elapsed().as_secs_f64() * 1e3);

    let mut draw = Draw(round + 1);
    let (mut events, mut bytes, mut took) = (0, 0, Duration::ZERO);
    for _ in 0..5 {
        let from = 1 + draw.below(arguments.events.saturating_sub(STRETCH as u64).max(1));
        let begun = Instant::now();
        let (read, size) = open.read(from, STRETCH)?;
        took += begun.elapsed();
        events += read;
        bytes += size;
    }
    add("replayed events/s", events as f64 / took.as_secs_f64());
    add("replayed MiB/s of data", bytes as f64 / took.as_secs_f64() / f64::from(1 << 20));

    let ids = look_ups(&mut *open, &mut draw, |open, draw| {
        let n = 1 + draw.below((arguments.events / 10).max(1));
        Ok((open.find(&event::id(n))?, Some(event::position_of_id(n))))
    })?;
    add("an id found, µs", ids);
    let topics = look_ups(&mut *open, &mut draw, |open, draw| {
        let position = 1 + draw.below(arguments.events);
        let found = open.topic(&event::topic(position), next)?;
        Ok((Some(found), Some(event::of_topic(position, arguments.events))))
    })?;
    add("a topic of one event in 100,000 read, µs", topics);
    Ok(())
}

/// The median time of many questions, in microseconds. Each gives what was found and what there is.
fn look_ups(
    open: &mut dyn Store,
    draw: &mut Draw,
    ask: impl Fn(&mut dyn Store, &mut Draw) -> anyhow::Result<(Option<u64>, Option<u64>)>,
) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..LOOK_UPS {
        let begun = Instant::now();
        let (found, there) = ask(open, draw)?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
        ensure!(found == there, "found {found:?} where there is {there:?}");
    }
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().context("nothing was asked")
}

/// Appending while the oldest events are dropped: how long the longest append takes, and what is left on the disk.
pub(crate) fn retention(
    arguments: &Arguments,
    stores: &[&Candidate],
    figures: &mut Figures,
) -> anyhow::Result<()> {
    for round in 0..arguments.rounds {
        for place in 0..stores.len() {
            let store = stores[(place + round) % stores.len()];
            let folder = folder(arguments)?;
            let mut open = (store.open)(folder.path(), Some(arguments.kept))?;
            let (mut times, mut next, mut trimmed) = (Vec::new(), 1, 1);
            while next <= 2 * arguments.kept {
                let group = events(next, UNDER_WAY[2]);
                let begun = Instant::now();
                open.append(&group)?;
                next += group.len() as u64;
                let oldest = next.saturating_sub(arguments.kept);
                if oldest >= trimmed + TRIM {
                    open.trim(oldest)?;
                    trimmed = oldest;
                }
                if next > arguments.kept {
                    times.push(begun.elapsed().as_secs_f64());
                }
            }
            let longest = times.iter().copied().fold(0.0, f64::max);
            let appended = times.len() as f64 * UNDER_WAY[2] as f64;
            figures.add("appended/s while the oldest go", store.name, appended / times.iter().sum::<f64>());
            figures.add("longest append meanwhile, ms", store.name, longest * 1e3);
            drop(open);
            let left = size(folder.path())? as f64 / arguments.kept as f64;
            figures.add("bytes left on disk for each event kept", store.name, left);
        }
    }
    Ok(())
}

/// The bytes of all files in a folder.
fn size(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// Numbers that look random and are the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}
