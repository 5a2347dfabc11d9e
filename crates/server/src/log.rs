//! Opens the log that the flags ask for, and the hub over it.
//!
//! Which engine it is is decided here alone; nobody else asks.

use std::path::Path;
use std::sync::Arc;

use fanfare_engine::DiskEngine;
use fanfare_engine::disk::DiskOptions;
use fanfare_hub::engine::KeyLimits;
use fanfare_hub::{Hub, HubBuilder};

use crate::compression;
use crate::flags::{Durability, Engine, Serve};
use crate::metrics;
use crate::run::Failure;

/// How many events memory holds, whatever the engine is.
const MEMORY_EVENTS: usize = 100_000;
const MEMORY_BYTES: usize = 64 * 1024 * 1024;
const DISK_BYTES: usize = 1024 * 1024 * 1024;
const DATA_DIR: &str = "fanfare-data";

/// A hub, and where its log lives.
pub(crate) struct Opened {
    pub(crate) hub: Hub,
    pub(crate) store: Store,
}

/// Where a log lives that the hub does not hold itself.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    Memory,
    Disk(Arc<DiskEngine>),
    #[cfg(feature = "nats")]
    Nats(Arc<fanfare_engine::NatsEngine>),
    #[cfg(feature = "redis")]
    Redis(Arc<fanfare_engine::RedisEngine>),
}

impl Store {
    /// Writes what it has counted, as Prometheus reads it.
    pub(crate) fn write_metrics(&self, page: &mut metrics::Page<'_>) {
        match self {
            Self::Memory => {}
            Self::Disk(disk) => metrics::write_disk(page, &disk.counts()),
            #[cfg(feature = "nats")]
            Self::Nats(nats) => metrics::write_nats(page, &nats.counts()),
            #[cfg(feature = "redis")]
            Self::Redis(redis) => metrics::write_redis(page, &redis.counts()),
        }
    }
}

/// What the hub is called: in a store that several machines share, as its flag says.
pub(crate) fn hub_name(flags: &Serve) -> &str {
    match engine(flags) {
        Engine::Memory | Engine::Disk => "default",
        #[cfg(any(feature = "nats", feature = "redis"))]
        _ => &flags.cluster.hub_name,
    }
}

/// Opens the log.
///
/// # Errors
/// The folder cannot be used, or the flags contradict each other.
#[cfg_attr(not(any(feature = "nats", feature = "redis")), allow(clippy::unused_async))] // Servers are waited for.
pub(crate) async fn open(flags: &Serve) -> Result<Opened, Failure> {
    match engine(flags) {
        Engine::Memory => in_memory(flags),
        Engine::Disk => on_disk(flags),
        #[cfg(feature = "nats")]
        Engine::Nats(servers) => on_nats(flags, &servers).await,
        #[cfg(feature = "redis")]
        Engine::Redis(server) => on_redis(flags, &server).await,
    }
}

/// Whether [`open`] could succeed, without opening anything.
///
/// # Errors
/// As for [`open`], as far as they can be known without locking or creating the folder.
pub(crate) fn check(flags: &Serve) -> Result<(), Failure> {
    match engine(flags) {
        Engine::Memory => in_memory(flags).map(drop),
        Engine::Disk => {
            let folder = folder(flags);
            if folder.exists() && !folder.is_dir() {
                return Err(Failure::NoFolder { path: folder.to_owned() });
            }
            before_disk(flags)?.build().map(drop).map_err(Failure::Hub)
        }
        #[cfg(feature = "nats")]
        Engine::Nats(servers) => asked(flags, async {
            crate::nats::ask(&nats(flags, &servers).await?).await?.tell(STREAM, say);
            about_syncing(flags.nats.nats_monitoring.clone(), say).await;
            Ok(())
        }),
        #[cfg(feature = "redis")]
        Engine::Redis(server) => asked(flags, async {
            crate::redis::ask(&redis(flags, &server)?).await?.tell(SERVER, say);
            Ok(())
        }),
    }
}

/// Where the log would live, in a few words.
pub(crate) fn plan(flags: &Serve) -> String {
    match engine(flags) {
        Engine::Memory => return "memory; the log is gone when this process ends".to_owned(),
        Engine::Disk => {}
        #[cfg(feature = "nats")]
        Engine::Nats(servers) => {
            return format!("the stream FANFARE_{} on {}", flags.cluster.hub_name, servers.join(", "));
        }
        #[cfg(feature = "redis")]
        Engine::Redis(server) => {
            return format!("the keys fanfare:{{{}}}:* on {server}", flags.cluster.hub_name);
        }
    }
    let folder = folder(flags);
    let durability = match flags.durability {
        Durability::Fsync => "fsync",
        Durability::Os => "os",
    };
    let state = if folder.exists() { "" } else { ", which would be created" };
    format!("disk in {}{state}; durability {durability}", folder.display())
}

fn engine(flags: &Serve) -> Engine {
    let is_for_trying = flags.dev && flags.data_dir.is_none();
    flags.engine.clone().unwrap_or(if is_for_trying { Engine::Memory } else { Engine::Disk })
}

fn in_memory(flags: &Serve) -> Result<Opened, Failure> {
    let builder = builder(flags)?
        .history_events(flags.history_events.unwrap_or(MEMORY_EVENTS))
        .history_bytes(flags.history_bytes.unwrap_or(MEMORY_BYTES))
        .idempotency_keys(flags.idempotency_keys)
        .idempotency_age(flags.idempotency_age);
    Ok(Opened { hub: builder.build().map_err(Failure::Hub)?, store: Store::Memory })
}

fn on_disk(flags: &Serve) -> Result<Opened, Failure> {
    // A log is not created for a hub that will not be.
    let builder = before_disk(flags)?;
    let folder = folder(flags);
    let disk = Arc::new(options(flags, folder).open().map_err(Failure::Log)?);
    let counts = disk.counts();
    tracing::info!(
        folder = %folder.display(),
        oldest = counts.oldest,
        next = counts.next,
        bytes = counts.bytes,
        "opened the log"
    );
    if flags.durability == Durability::Os {
        tracing::warn!(
            "publications are answered before the disk has them; they survive this process, not the machine"
        );
    }
    let builder = builder.clock(disk.clock()).engine(disk.clone());
    Ok(Opened { hub: builder.build().map_err(Failure::Hub)?, store: Store::Disk(disk) })
}

/// What is asked about, where it is told.
#[cfg(feature = "nats")]
const STREAM: &str = "the stream of the log";
#[cfg(feature = "redis")]
const SERVER: &str = "the server of the log";

/// Where no server answers the hub starts nevertheless, and says that it is not ready.
#[cfg(feature = "nats")]
async fn on_nats(flags: &Serve, servers: &[String]) -> Result<Opened, Failure> {
    let nats = Arc::new(nats(flags, servers).await.map_err(Failure::Cluster)?);
    let asked = crate::nats::ask(&nats).await.map_err(Failure::Cluster)?;
    asked.tell(STREAM, |told| tracing::warn!("{told}"));
    // Who does not answer holds up no start.
    tokio::spawn(about_syncing(flags.nats.nats_monitoring.clone(), |told| tracing::warn!("{told}")));
    let builder = before_disk(flags)?.engine(nats.clone());
    Ok(Opened { hub: builder.build().map_err(Failure::Hub)?, store: Store::Nats(nats) })
}

#[cfg(feature = "nats")]
async fn nats(
    flags: &Serve,
    servers: &[String],
) -> Result<fanfare_engine::NatsEngine, crate::cluster::Failure> {
    let kept = crate::cluster::Kept::of(flags);
    crate::nats::connect(&flags.nats, &flags.cluster.hub_name, &kept, servers).await
}

/// The same for a server of Redis.
#[cfg(feature = "redis")]
async fn on_redis(flags: &Serve, server: &str) -> Result<Opened, Failure> {
    let redis = Arc::new(redis(flags, server).map_err(Failure::Cluster)?);
    let asked = crate::redis::ask(&redis).await.map_err(Failure::Cluster)?;
    asked.tell(SERVER, |told| tracing::warn!("{told}"));
    let builder = before_disk(flags)?.engine(redis.clone());
    Ok(Opened { hub: builder.build().map_err(Failure::Hub)?, store: Store::Redis(redis) })
}

#[cfg(feature = "redis")]
fn redis(flags: &Serve, server: &str) -> Result<fanfare_engine::RedisEngine, crate::cluster::Failure> {
    let kept = crate::cluster::Kept::of(flags);
    crate::redis::connect(&flags.redis, &flags.cluster.hub_name, &kept, server)
}

/// Builds a hub over no log, and asks a store whether it could have one.
#[cfg(any(feature = "nats", feature = "redis"))]
fn asked(
    flags: &Serve,
    ask: impl Future<Output = Result<(), crate::cluster::Failure>>,
) -> Result<(), Failure> {
    before_disk(flags)?.build().map_err(Failure::Hub)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::System)?.block_on(ask).map_err(Failure::Cluster)
}

#[cfg(any(feature = "nats", feature = "redis"))]
#[allow(clippy::needless_pass_by_value)] // As those who log it take it.
fn say(told: String) {
    eprintln!("fanfare: {told}");
}

#[cfg(feature = "nats")]
async fn about_syncing(addresses: Vec<String>, say: impl Fn(String)) {
    for told in crate::nats::syncing(addresses).await {
        say(format!("about the stream of the log: {told}"));
    }
}

/// The hub over a log that it does not hold itself, but for the log.
fn before_disk(flags: &Serve) -> Result<HubBuilder, Failure> {
    Ok(builder(flags)?
        // Memory never shows what the log does not keep.
        .history_events(flags.history_events.unwrap_or(MEMORY_EVENTS).min(MEMORY_EVENTS))
        .history_bytes(flags.memory_bytes)
        .catch_up_bytes(flags.catch_up_bytes))
}

fn folder(flags: &Serve) -> &Path {
    flags.data_dir.as_deref().unwrap_or(Path::new(DATA_DIR))
}

fn options(flags: &Serve, folder: &Path) -> DiskOptions {
    let options = DiskEngine::options(folder);
    let options = match flags.segment_bytes {
        Some(bytes) => options.segment_bytes(bytes as u64),
        None => options,
    };
    options
        .durability(flags.durability.into())
        .history_events(flags.history_events.map(|events| events as u64))
        .history_bytes(flags.history_bytes.unwrap_or(DISK_BYTES) as u64)
        .history_age(flags.history_age)
        .idempotency(KeyLimits { count: flags.idempotency_keys, age: flags.idempotency_age })
}

fn builder(flags: &Serve) -> Result<HubBuilder, Failure> {
    Ok(compression::configure(Hub::builder(), flags)
        .map_err(Failure::Dictionary)?
        .history_age(flags.history_age)
        .event_bytes_max(flags.max_event_bytes)
        .subscribers_max(flags.max_subscribers)
        .selections_bytes_max(flags.max_selections_bytes)
        .patterns_max(flags.max_patterns)
        .patterns_alike_max(flags.max_patterns_alike)
        .unknown_id(flags.unknown_id.into()))
}
