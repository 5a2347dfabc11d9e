//! The command line.
//!
//! Every flag of `serve` is also a variable `FANFARE_…` and a key of `fanfare.toml`: [`config`](crate::config) sees to it, so
//! nothing here says so again. What a flag means is decided where it is used.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::access::AccessFlags;
use crate::compression::Compression;
use crate::network::NetworkFlags;
use crate::secret::Secret;
use crate::value;

// The groups of --help and of the file that `config init` prints, in the order of their first flags.
const GENERAL: &str = "General";
const ADDRESSES: &str = "Addresses";
const LOG: &str = "The log";
const STREAMS: &str = "Streams";
const LIMITS: &str = "Limits";

/// Server-sent events for everyone: publish by POST, subscribe with `EventSource`.
#[derive(Debug, Parser)]
#[command(name = "fanfare", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts a hub
    ///
    /// It speaks the Mercure protocol at /.well-known/mercure and keeps its history in a folder, or with --dev in memory. Log
    /// lines go to standard error; RUST_LOG chooses which (default: info). SIGTERM and Ctrl-C end it in order, a second one at once.
    #[allow(clippy::doc_markdown)] // This is shown as it stands, in a terminal.
    Serve(Box<Serve>),

    /// Says what serve would do with the same flags, variables and file, and where each setting comes from
    ///
    /// It opens no port, and neither locks nor creates the folder of the log. It ends with 0 if the hub could be started, and
    /// with 2 and a sentence that says what to change if not. Keys and other secrets are never shown.
    Check(Box<Serve>),

    /// Prints or writes the configuration file
    #[command(subcommand)]
    Config(Config),

    /// Makes tokens, and explains those that others made
    Token(crate::token::Token),

    /// Takes tokens back at a running hub, before they expire
    ///
    /// Streams that live by them end at once, and they are refused from then on; over restarts too, if
    /// the hub has its log on disk. The command ends with 0 when that is done, with 1 when the hub refused
    /// or did not answer, and with 2 when it is not understood. Examples:
    ///
    ///   fanfare revoke --admin 127.0.0.1:9090 subject customer-7 --issuer https://shop.example.com
    ///   fanfare revoke --admin 127.0.0.1:9090 token 5f0c2a --until 24h
    ///   fanfare revoke --admin 127.0.0.1:9090 before 2026-11-25T12:00:00Z
    ///   fanfare revoke --admin 127.0.0.1:9090 --admin-token @admin.token list
    ///   fanfare revoke --admin 127.0.0.1:9090 lift 1f3a5c7e9b2d4f60
    #[command(verbatim_doc_comment)]
    #[allow(clippy::doc_markdown)] // This is shown as it stands, in a terminal.
    Revoke(Box<crate::revoke::Revoke>),

    /// Brings a log from one store to another, as from a folder to NATS
    ///
    /// Every entry keeps its position, its id, its time and its idempotency key, so clients resume
    /// at the new place as if it were the old. Stop the hub first: nothing may be published meanwhile.
    /// A copy that was interrupted is no log, and the same command begins it anew. Examples:
    ///
    ///   fanfare copy disk:fanfare-data nats://127.0.0.1:4222 --nats-replicas 3 --history-bytes 10GiB
    ///   fanfare copy nats://127.0.0.1:4222 disk:fanfare-data
    ///   fanfare copy disk:fanfare-data disk:/mnt/larger/fanfare-data
    #[command(verbatim_doc_comment)]
    #[allow(clippy::doc_markdown)] // This is shown as it stands, in a terminal.
    Copy(Box<crate::copy::Copy>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Prints a fanfare.toml in which every setting is explained and left at its default
    Init(Init),
}

/// What `fanfare config init` may be told.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The file to write. Without it, the text goes to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Write over a file that is already there.
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
}

/// What `fanfare serve` may be told.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // This is shown as it stands, in a terminal.
pub(crate) struct Serve {
    /// The configuration file. Its keys are the names of these flags, without the dashes in front; flags win over variables,
    /// and variables over the file. [default: ./fanfare.toml, if it is there]
    #[arg(long, help_heading = GENERAL, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// For trying out and developing: everybody who reaches the address may publish and subscribe, and a page is served
    /// at /. Takes loopback addresses only.
    ///
    /// Tokens are checked where they are sent: without keys of your own, with the key that the documentation of Mercure gives
    /// to everybody.
    #[arg(long, help_heading = GENERAL)]
    pub(crate) dev: bool,

    /// With --dev, takes addresses that others reach, who may then publish and read everything, too.
    #[arg(long, help_heading = GENERAL)]
    pub(crate) dev_on_network: bool,

    /// Address and port to serve on; port 0 takes a free one. May be given several times (in the environment: separated
    /// by commas).
    #[arg(
        long,
        help_heading = ADDRESSES,
        value_name = "ADDR",
        default_value = "127.0.0.1:8080",
        value_delimiter = ','
    )]
    pub(crate) listen: Vec<SocketAddr>,

    /// Address and port for /healthz, /readyz and /metrics. Without it they are served only with --dev, beside the hub.
    #[arg(long, help_heading = ADDRESSES, value_name = "ADDR")]
    pub(crate) admin_listen: Option<SocketAddr>,

    /// What operators have to send, as `Authorization: Bearer`, to all but /healthz; @FILE reads it from a file. Without it
    /// --admin-listen takes loopback addresses only.
    #[arg(long, help_heading = ADDRESSES, value_name = "TOKEN")]
    pub(crate) admin_token: Option<Secret>,

    /// Where the log lives: disk, memory, or what several machines share: servers of NATS, such as nats://host:4222 (more than
    /// one: separated by commas), or the primary of Redis or Valkey, such as redis://host:6379. [default: disk; with --dev and
    /// without --data-dir: memory]
    ///
    /// disk: in a folder; it survives this process and the loss of power. memory: in this process; gone when it ends.
    #[arg(long, help_heading = LOG, value_name = "ENGINE")]
    pub(crate) engine: Option<Engine>,

    /// The folder of the log on disk; it is created, and one process uses it at a time. [default: ./fanfare-data]
    #[arg(long, help_heading = LOG, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// When a publication that goes to disk counts as stored, and is answered.
    #[arg(long, help_heading = LOG, value_enum, default_value_t = Durability::Fsync)]
    pub(crate) durability: Durability,

    /// How many events are kept for replay; who comes and goes is not counted. [default: without limit, in memory 100000]
    #[arg(long, help_heading = LOG, value_name = "EVENTS")]
    pub(crate) history_events: Option<usize>,

    /// How many bytes of events are kept for replay, such as 10GiB. [default: 1GiB, in memory 64MiB]
    #[arg(long, help_heading = LOG, value_name = "BYTES", value_parser = value::bytes)]
    pub(crate) history_bytes: Option<usize>,

    /// From what size on a file of the log on disk is followed by another, between 1KiB and 1GiB. Retention by bytes drops whole files,
    /// and the newest is read at the start. [default: a sixteenth of --history-bytes, between 1MiB and 32MiB]
    #[arg(long, help_heading = LOG, value_name = "BYTES", value_parser = value::bytes)]
    pub(crate) segment_bytes: Option<usize>,

    /// How many bytes of the newest events of a log on disk are also kept in memory, where live subscribers and those who come
    /// back soon read them.
    #[arg(long, help_heading = LOG, value_name = "BYTES", default_value = "64MiB", value_parser = value::bytes)]
    pub(crate) memory_bytes: usize,

    /// How many bytes of older events all subscribers that catch up share in memory, as they are read from disk.
    #[arg(long, help_heading = LOG, value_name = "BYTES", default_value = "32MiB", value_parser = value::bytes)]
    pub(crate) catch_up_bytes: usize,

    /// How long events are kept for replay, such as 1h or 30m. [default: without limit]
    #[arg(long, help_heading = LOG, value_name = "DURATION", value_parser = value::duration)]
    pub(crate) history_age: Option<Duration>,

    /// How many idempotency keys are remembered, the newest ones: a publication that is sent again with its
    /// Idempotency-Key is stored once. 0 remembers none.
    #[arg(long, help_heading = LOG, value_name = "COUNT", default_value_t = 100_000)]
    pub(crate) idempotency_keys: usize,

    /// How long an idempotency key is remembered, such as 24h or 30m.
    #[arg(long, help_heading = LOG, value_name = "DURATION", default_value = "24h", value_parser = value::duration)]
    pub(crate) idempotency_age: Duration,

    /// After what time without traffic a stream gets a comment line, such as 15s; 0 for never.
    #[arg(long, help_heading = STREAMS, value_name = "DURATION", default_value = "15s", value_parser = value::duration)]
    pub(crate) keep_alive: Duration,

    /// What streams are compressed in, for clients that take it: auto, off, or gzip and zstd, the preferred first. Each event is compressed
    /// once for all who get it so, and leaves at once.
    #[arg(long, help_heading = STREAMS, value_name = "CODINGS", default_value = "auto")]
    pub(crate) compression: Compression,

    /// From what size on an event is compressed, such as 128 or 1KiB.
    #[arg(long, help_heading = STREAMS, value_name = "BYTES", default_value = "128", value_parser = value::bytes)]
    pub(crate) compression_min_bytes: usize,

    /// A file of typical events, of 1MiB at most, such as the recording of a stream. For clients that have it, which is those that fetch it
    /// from /.well-known/mercure/dictionary and take the coding dcz, small events become half as long. Everybody may read it. [default: none]
    #[arg(long, help_heading = STREAMS, value_name = "FILE")]
    pub(crate) compression_dictionary: Option<PathBuf>,

    /// Who gets bookmarks, which keep the last event ID of a quiet stream fresh.
    #[arg(long, help_heading = STREAMS, value_enum, default_value_t = Bookmarks::Browsers)]
    pub(crate) bookmarks: Bookmarks,

    /// Where a stream begins whose last event ID is unknown, after it was told about the gap.
    #[arg(long, help_heading = STREAMS, value_enum, default_value_t = UnknownId::Live)]
    pub(crate) unknown_id: UnknownId,

    /// How log lines are written.
    #[arg(long, help_heading = GENERAL, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// How many threads write to subscribers. [default: one for every two cores]
    #[arg(long, help_heading = STREAMS, value_name = "THREADS")]
    pub(crate) workers: Option<NonZeroUsize>,

    /// How long a client may take none of the bytes that wait for it, or on Linux leave them unacknowledged, such as 30s;
    /// 1s at least. Longer: cut; it can resume.
    #[arg(long, help_heading = LIMITS, value_name = "DURATION", default_value = "30s", value_parser = value::seconds)]
    pub(crate) write_timeout: Duration,

    /// Whether writes to subscribers go through io_uring: one call of the kernel for many of them.
    #[arg(long, help_heading = STREAMS, value_enum, default_value_t = IoUring::Auto)]
    pub(crate) io_uring: IoUring,

    /// How many subscribers are served at a time. Each needs a connection, but for those that share one over HTTP/2.
    #[arg(long, help_heading = LIMITS, value_name = "SUBSCRIBERS", default_value_t = 50_000)]
    pub(crate) max_subscribers: usize,

    /// How many connections there may be in all; those to --admin-listen are not counted. More: 429, or an empty stream that says
    /// when to come back; far more: closed. [default: on Linux what the limit on open files, ulimit -n, has room for]
    #[arg(long, help_heading = LIMITS, value_name = "CONNECTIONS")]
    pub(crate) max_connections: Option<NonZeroUsize>,

    /// The largest body of a request, in bytes, such as 1MiB. Larger: 413.
    #[arg(long, help_heading = LIMITS, value_name = "BYTES", default_value = "1MiB", value_parser = value::bytes)]
    pub(crate) max_body_bytes: usize,

    /// The largest event, in bytes as it is sent to subscribers, such as 256KiB. Larger: 413.
    #[arg(long, help_heading = LIMITS, value_name = "BYTES", default_value = "256KiB", value_parser = value::bytes)]
    pub(crate) max_event_bytes: usize,

    /// How many topics a publication may have. More: 413.
    #[arg(long, help_heading = LIMITS, value_name = "COUNT", default_value = "1000")]
    pub(crate) max_topics: NonZeroUsize,

    /// How many matchers a subscription may have. More: 400.
    #[arg(long, help_heading = LIMITS, value_name = "COUNT", default_value = "100")]
    pub(crate) max_matchers: NonZeroUsize,

    /// How many bytes may be taken in memory by what all subscribers together ask for and may read, such as 256MiB; what several ask
    /// for counts once, and patterns not at all. Who brings more is sent away for a while.
    #[arg(long, help_heading = LIMITS, value_name = "BYTES", default_value = "256MiB", value_parser = value::bytes)]
    pub(crate) max_selections_bytes: usize,

    /// How many different patterns all subscribers together may use. Who brings one more is sent away for a while.
    #[arg(long, help_heading = LIMITS, value_name = "COUNT", default_value_t = 100_000)]
    pub(crate) max_patterns: usize,

    /// How many of them may have the same host and the same literals in their path, or none: an event may have to be held
    /// against each of these, which takes less than a microsecond for most.
    #[arg(long, help_heading = LIMITS, value_name = "COUNT", default_value_t = 1_000)]
    pub(crate) max_patterns_alike: usize,

    #[cfg(any(feature = "nats", feature = "redis"))]
    #[command(flatten)]
    pub(crate) cluster: crate::cluster::ClusterFlags,

    #[cfg(feature = "nats")]
    #[command(flatten)]
    pub(crate) nats: crate::nats::NatsFlags,

    #[cfg(feature = "redis")]
    #[command(flatten)]
    pub(crate) redis: crate::redis::RedisFlags,

    #[command(flatten)]
    pub(crate) network: NetworkFlags,

    #[command(flatten)]
    pub(crate) access: AccessFlags,

    /// Over what time streams are ended on shutdown, so that clients do not all come back at once, such as 5s; 0 ends
    /// them at once. What is left 5 s later is cut.
    #[arg(long, help_heading = STREAMS, value_name = "DURATION", default_value = "5s", value_parser = value::duration)]
    pub(crate) shutdown_window: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// In a folder; it survives this process and the loss of power.
    Disk,
    /// In this process; gone when it ends.
    Memory,
    /// On these servers of NATS.
    #[cfg(feature = "nats")]
    Nats(Vec<String>),
    /// On this server of Redis or Valkey.
    #[cfg(feature = "redis")]
    Redis(String),
}

/// What the address of a server of Redis or Valkey begins with.
const REDIS_SCHEMES: [&str; 4] = ["redis://", "rediss://", "valkey://", "valkeys://"];

impl FromStr for Engine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "disk" => Ok(Self::Disk),
            "memory" => Ok(Self::Memory),
            servers if servers.starts_with("nats://") || servers.starts_with("tls://") => nats(servers),
            server if REDIS_SCHEMES.iter().any(|scheme| server.starts_with(scheme)) => redis(server),
            _ => Err(
                "an engine is disk, memory, servers of NATS such as nats://host:4222, or a server of Redis such as redis://host:6379"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(feature = "nats")]
#[allow(clippy::unnecessary_wraps)] // As where there is no client for NATS.
fn nats(servers: &str) -> Result<Engine, String> {
    Ok(Engine::Nats(servers.split(',').map(|server| server.trim().to_owned()).collect()))
}

#[cfg(not(feature = "nats"))]
fn nats(_: &str) -> Result<Engine, String> {
    Err("this program was built without the client for NATS; build it with --features nats".to_owned())
}

#[cfg(feature = "redis")]
#[allow(clippy::unnecessary_wraps)] // As where there is no client for Redis.
fn redis(server: &str) -> Result<Engine, String> {
    Ok(Engine::Redis(server.trim().to_owned()))
}

#[cfg(not(feature = "redis"))]
fn redis(_: &str) -> Result<Engine, String> {
    Err("this program was built without the client for Redis; build it with --features redis".to_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// When the disk has it: it survives the loss of power.
    Fsync,
    /// When the operating system has it, which is faster: it survives the end of this process, not that of the machine.
    Os,
}

impl From<Durability> for fanfare_engine::disk::Durability {
    fn from(chosen: Durability) -> Self {
        match chosen {
            Durability::Fsync => Self::Fsync,
            Durability::Os => Self::Os,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bookmarks {
    /// Requests that look like a browser's.
    Browsers,
    /// Every subscriber.
    All,
    /// Nobody.
    Off,
}

impl From<Bookmarks> for fanfare_http::Bookmarks {
    fn from(chosen: Bookmarks) -> Self {
        match chosen {
            Bookmarks::Browsers => Self::Browsers,
            Bookmarks::All => Self::All,
            Bookmarks::Off => Self::Off,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnknownId {
    /// With what is published from now on.
    Live,
    /// With the oldest event that is kept.
    Oldest,
}

impl From<UnknownId> for fanfare_hub::UnknownId {
    fn from(chosen: UnknownId) -> Self {
        match chosen {
            UnknownId::Live => Self::Live,
            UnknownId::Oldest => Self::Oldest,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IoUring {
    /// Where the kernel allows it.
    Auto,
    /// Or the hub does not start.
    On,
    /// Never.
    Off,
}

impl From<IoUring> for fanfare_fanout::IoUring {
    fn from(chosen: IoUring) -> Self {
        match chosen {
            IoUring::Auto => Self::Auto,
            IoUring::On => Self::On,
            IoUring::Off => Self::Off,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}
