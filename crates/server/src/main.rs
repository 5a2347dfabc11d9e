//! The program `fanfare`: a hub that one command starts.
//!
//! It reads flags, puts the parts together and stops them in order. What a hub does is in the crates below.

mod access;
mod admin;
mod asking;
mod causes;
mod check;
#[cfg(any(feature = "nats", feature = "redis"))]
mod cluster;
mod compression;
mod config;
mod copy;
mod descriptors;
mod dev;
mod endpoint;
mod flags;
mod guard;
mod log;
mod metrics;
mod moment;
#[cfg(feature = "nats")]
mod nats;
mod network;
mod page;
#[cfg(feature = "redis")]
mod redis;
mod revocations;
mod revoke;
mod run;
mod secret;
mod signals;
mod token;
mod value;

use std::alloc::System;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use access::Access;
use cap::Cap;
use config::{Ask, Config, Note};
use flags::LogFormat;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// How many bytes this process has allocated and not freed.
pub(crate) fn heap_live_bytes() -> u64 {
    ALLOCATOR.allocated() as u64
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    match config::read(&arguments, std::env::vars_os()) {
        Ok(Ask::Serve(config)) => serve(*config),
        Ok(Ask::Check(config)) => check::check(*config),
        Ok(Ask::Init(init)) => config::init(&init),
        Ok(Ask::Token(token)) => token::run(&token),
        Ok(Ask::Revoke(revoke)) => revoke::run(&revoke),
        Ok(Ask::Copy(copy)) => copy::run(&copy),
        Err(failure) => failure.report(),
    }
}

fn serve(mut config: Config) -> ExitCode {
    log_to_stderr(config.serve.log_format);
    if let Some(file) = &config.file {
        tracing::info!(file = %file.display(), "read the configuration");
    }
    let mut notes = std::mem::take(&mut config.notes);
    let access = Access::of(&config, &mut notes);
    for Note { is_warning, sentence } in &notes {
        if *is_warning { tracing::warn!("{sentence}") } else { tracing::info!("{sentence}") }
    }
    let access = match access {
        Ok(access) => access,
        Err(failure) => return failure.report(),
    };
    match run::run(&config.serve, &access) {
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
