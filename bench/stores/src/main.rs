//! What a log on disk costs: the engine of this tree beside the stores that it could have been built on, in interleaved rounds.
//!
//! Every store is given the same events and asked the same. What a store answers is checked; a wrong answer ends the run.

mod event;
mod fanfare;
mod figures;
mod fjall_store;
mod floor;
mod measures;
mod redb_store;
mod store;

use anyhow::Context;
use clap::Parser;
use figures::Figures;
use std::path::PathBuf;
use store::Candidate;

/// Measures the log on disk beside redb, fjall and the bare file.
///
/// Figures go to standard output as a table, progress to standard error. It ends by itself: at the defaults within some three minutes,
/// with ten million events within a quarter of an hour.
#[derive(Parser)]
#[command(max_term_width = 100)]
pub(crate) struct Arguments {
    /// Events in the history that is searched, replayed and opened.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Events that are kept where retention is measured; as many again are appended.
    #[arg(long, default_value_t = 200_000)]
    kept: u64,
    /// Interleaved rounds of what is not about the whole history.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// For how long to append in each part of a round, in seconds.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Only these stores.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these measures: append, history, retention.
    #[arg(long, value_delimiter = ',')]
    measure: Vec<String>,
    /// Where the stores' folders are made; they are removed again.
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/data"))]
    folder: PathBuf,
    /// Write the figures of all rounds to this file as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

const CANDIDATES: [Candidate; 5] = [
    Candidate { name: "fanfare", open: fanfare::open, appends_only: false },
    Candidate { name: "redb", open: redb_store::open, appends_only: false },
    Candidate { name: "fjall", open: fjall_store::open, appends_only: false },
    Candidate { name: "bare file", open: floor::open_group, appends_only: true },
    Candidate { name: "sync for each", open: floor::open_each, appends_only: true },
];

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.folder)
        .with_context(|| format!("{} cannot be made", arguments.folder.display()))?;
    let is_wanted =
        |wanted: &[String], name: &str| wanted.is_empty() || wanted.iter().any(|each| each == name);
    let stores: Vec<&Candidate> =
        CANDIDATES.iter().filter(|candidate| is_wanted(&arguments.only, candidate.name)).collect();
    let mut figures = Figures::default();
    if is_wanted(&arguments.measure, "append") {
        measures::append(&arguments, &stores, &mut figures)?;
    }
    let stores: Vec<&Candidate> = stores.into_iter().filter(|store| !store.appends_only).collect();
    if is_wanted(&arguments.measure, "retention") {
        measures::retention(&arguments, &stores, &mut figures)?;
    }
    if is_wanted(&arguments.measure, "history") {
        measures::history(&arguments, &stores, &mut figures)?;
    }
    print!("{}", figures.table());
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_string_pretty(&figures.json())?)
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}
