//! The load generator that Fanfare is judged by, with the floors and the rival that it is judged against.
//!
//! `compare` runs them all in turn and prints ratios; `scenario` plays what a hub must stand; `document` writes a page of
//! what they saw; `load` drives one server that runs already; the others are servers. It speaks plain HTTP/1.1 on this
//! machine and is no tool for other people's servers. Linux alone.

mod compare;
mod contestant;
mod document;
mod floor;
mod gateway;
mod generator;
mod load;
mod measure;
mod metrics;
mod process;
mod protocol;
mod rival_axum;
mod rival_nchan;
mod scenario;
mod statistics;
mod stop;
mod target;
mod trust;

use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::process::ExitCode;

/// The gauge in which a server tells its live heap, unless told otherwise.
const HEAP_METRIC: &str = "fanfare_heap_live_bytes";

/// Load generator for event streams: every delivery is checked; ratios against floors and rivals.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure all contestants in interleaved rounds; tables on standard output, progress on standard error.
    Compare(compare::Compare),
    /// Play one situation that a hub must stand; one line on standard error, JSON on standard output.
    Scenario(scenario::Arguments),
    /// Write a page of figures, with plots, from what the two above have written as JSON.
    Document(document::Document),
    /// Drive one server that runs already; JSON on standard output.
    Load(load::Load),
    /// Floor: one send(2) for each subscriber and event, from one prepared buffer.
    FloorSend(Listen),
    /// Floor: a cursor for each subscriber over one log, one send(2) of all that is pending.
    FloorCursor {
        #[command(flatten)]
        listen: Listen,
        /// Take in publications after this many writes.
        #[arg(long, default_value_t = 256)]
        writes_per_poll: usize,
    },
    /// Floor: the same over `io_uring`, up to 256 sends in each call of the kernel.
    FloorUring(Listen),
    /// Rival: an ordinary axum application on tokio's broadcast channel.
    RivalAxum(Listen),
    /// Rival: nginx with the module nchan, one worker, on a free port.
    RivalNchan,
    /// Become another program that is killed when its parent ends.
    #[command(hide = true)]
    BecomeChild {
        #[arg(long)]
        parent: i32,
        #[arg(last = true)]
        command: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
struct Listen {
    /// Where to listen; port 0 takes a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fanfare-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Compare(arguments) => compare::compare(&arguments),
        Command::Scenario(arguments) => scenario::scenario(&arguments),
        Command::Document(arguments) => document::document(&arguments),
        Command::Load(arguments) => load::load(arguments),
        Command::FloorSend(Listen { listen }) => floor::serve_send(listen),
        Command::FloorCursor { listen, writes_per_poll } => {
            floor::serve_cursor(listen.listen, writes_per_poll.max(1))
        }
        Command::FloorUring(Listen { listen }) => floor::serve_uring(listen),
        Command::RivalAxum(Listen { listen }) => rival_axum::serve(listen),
        Command::RivalNchan => rival_nchan::serve(),
        Command::BecomeChild { parent, command } => contestant::become_child(parent, &command),
    }
}
