//! The program `fanfare`: a hub that one command starts.
//!
//! It reads flags, puts the parts together and stops them in order. What a hub does is in the crates below.

mod admin;
mod flags;
mod guard;
mod log;
mod metrics;
mod page;
mod run;
mod signals;
mod tls;
mod value;

use std::alloc::System;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use cap::Cap;
use clap::Parser;
use flags::{Command, Flags, LogFormat};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// How many bytes this process has allocated and not freed.
pub(crate) fn heap_live_bytes() -> u64 {
    ALLOCATOR.allocated() as u64
}

fn main() -> ExitCode {
    let Flags { command: Command::Serve(serve) } = Flags::parse();
    log_to_stderr(serve.log_format);
    match run::run(&serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("fanfare: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Standard output is for the lines that scripts wait for.
fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Colours are for eyes, not for files.
    let log = log.with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
