//! `fanfare copy`: brings a hub's log from one store to another, so that last event IDs stay what they are.
//!
//! It takes the words of the command line apart and shows how far it has come; what is copied, and how, is the engine's matter.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::Args;
use fanfare_engine::DiskEngine;
use fanfare_engine::copy::{Copied, CopyError, CopySource, CopyTarget, Progress, copy};

use crate::causes::causes;
use crate::flags::Engine;
use crate::run::Failure;
use crate::value;

/// How often it is said how far the copy is.
const TOLD_EVERY: Duration = Duration::from_secs(1);
const KEPT: &str = "What the copy keeps";

/// What `fanfare copy` may be told.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // This is shown as it stands, in a terminal.
pub(crate) struct Copy {
    /// The log that is there: disk:FOLDER, the folder of a hub's --data-dir, or servers of NATS or Redis as --engine has them.
    #[arg(value_name = "FROM")]
    from: Place,

    /// Where it is to go, in the same words. There may be no log yet.
    #[arg(value_name = "TO")]
    to: Place,

    /// How many events are kept, as serve's --history-events. [default: without limit]
    #[arg(long, help_heading = KEPT, value_name = "EVENTS")]
    history_events: Option<usize>,

    /// How many bytes of events are kept, such as 10GiB, as serve's --history-bytes.
    #[arg(long, help_heading = KEPT, value_name = "BYTES", default_value = "1GiB", value_parser = value::bytes)]
    history_bytes: usize,

    /// How long events are kept, such as 24h, as serve's --history-age; in NATS counted from the copy on. [default: without limit]
    #[arg(long, help_heading = KEPT, value_name = "DURATION", value_parser = value::duration)]
    history_age: Option<Duration>,

    #[cfg(any(feature = "nats", feature = "redis"))]
    #[command(flatten)]
    cluster: crate::cluster::ClusterFlags,

    #[cfg(feature = "nats")]
    #[command(flatten)]
    nats: crate::nats::NatsFlags,

    #[cfg(feature = "redis")]
    #[command(flatten)]
    redis: crate::redis::RedisFlags,
}

/// A store, as it is named on the command line.
#[derive(Clone, Debug)]
enum Place {
    Disk(PathBuf),
    #[cfg(feature = "nats")]
    Nats(Vec<String>),
    #[cfg(feature = "redis")]
    Redis(String),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(folder) = text.strip_prefix("disk:").filter(|folder| !folder.is_empty()) {
            return Ok(Self::Disk(folder.into()));
        }
        match text.parse() {
            #[cfg(feature = "nats")]
            Ok(Engine::Nats(servers)) => Ok(Self::Nats(servers)),
            #[cfg(feature = "redis")]
            Ok(Engine::Redis(server)) => Ok(Self::Redis(server)),
            Err(error) if text.contains("://") => Err(error),
            Ok(Engine::Disk | Engine::Memory) | Err(_) => {
                Err(
                    "a log to copy is disk:FOLDER, servers of NATS such as nats://host:4222, or a server of Redis such as redis://host:6379"
                        .to_owned(),
                )
            }
        }
    }
}

pub(crate) fn run(flags: &Copy) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(|error| Box::new(Unusable(Failure::System(error))) as Box<dyn Error>);
    match done.and_then(|runtime| runtime.block_on(carry(flags))) {
        Ok(Copied { oldest, next, left_out }) => {
            println!("copied {} entries, from position {oldest} to {next} without it", next - oldest);
            if left_out > 0 {
                eprintln!(
                    "fanfare: {left_out} positions before {oldest} were left out, because some of their entries are damaged or lost; \
                     whoever resumes from there gets a gap"
                );
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("fanfare: {}", causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn carry(flags: &Copy) -> Result<Copied, Box<dyn Error>> {
    let source: Box<dyn CopySource> = match &flags.from {
        Place::Disk(folder) => Box::new(DiskEngine::options(folder).open_source()?),
        #[cfg(feature = "nats")]
        Place::Nats(servers) => Box::new(nats(flags, servers).await?),
        #[cfg(feature = "redis")]
        Place::Redis(server) => Box::new(redis(flags, server)?),
    };
    let mut target: Box<dyn CopyTarget> = match &flags.to {
        Place::Disk(folder) => {
            let options = DiskEngine::options(folder)
                .history_events(flags.history_events.map(|events| events as u64))
                .history_bytes(flags.history_bytes as u64)
                .history_age(flags.history_age);
            Box::new(options.target())
        }
        #[cfg(feature = "nats")]
        Place::Nats(servers) => Box::new(nats(flags, servers).await?.target()),
        #[cfg(feature = "redis")]
        Place::Redis(server) => Box::new(redis(flags, server)?.target()),
    };
    let mut told = Instant::now();
    let tell = |Progress { done, of }| {
        if told.elapsed() >= TOLD_EVERY {
            told = Instant::now();
            eprintln!("fanfare: {done} of {of} entries");
        }
    };
    Ok(copy(&*source, &mut *target, tell).await.map_err(Box::<CopyError>::new)?)
}

/// The client for NATS, once it has a connection.
#[cfg(feature = "nats")]
async fn nats(flags: &Copy, servers: &[String]) -> Result<fanfare_engine::NatsEngine, Box<dyn Error>> {
    use crate::nats::{connect, connected};

    let engine = connect(&flags.nats, &flags.cluster.hub_name, &kept(flags), servers).await;
    let engine = engine.map_err(|failure| Unusable(Failure::Cluster(failure)))?;
    connected(&engine).await?;
    Ok(engine)
}

#[cfg(feature = "redis")]
fn redis(flags: &Copy, server: &str) -> Result<fanfare_engine::RedisEngine, Unusable> {
    let engine = crate::redis::connect(&flags.redis, &flags.cluster.hub_name, &kept(flags), server);
    engine.map_err(|failure| Unusable(Failure::Cluster(failure)))
}

/// What a copy in a store that several nodes share is to keep.
#[cfg(any(feature = "nats", feature = "redis"))]
fn kept(flags: &Copy) -> crate::cluster::Kept {
    crate::cluster::Kept {
        events: flags.history_events,
        bytes: Some(flags.history_bytes),
        age: flags.history_age,
        keys: fanfare_hub::engine::KeyLimits::default(),
    }
}

/// A store that the flags do not lead to.
#[derive(Debug)]
struct Unusable(Failure);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Unusable {}
