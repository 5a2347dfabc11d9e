//! The command line, and the environment behind it.
//!
//! Every flag is also a variable `FANFARE_…`; the flag wins. What a flag means is decided where it is used.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use fanfare_http::TrustedProxies;

use crate::value;

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
    Serve(Serve),
}

/// What `fanfare serve` may be told.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // This is shown as it stands, in a terminal.
pub(crate) struct Serve {
    /// For trying out and developing: everybody who reaches the address may publish and subscribe, and a page is served
    /// at /. Takes loopback addresses only.
    #[arg(long, env = "FANFARE_DEV", value_parser = BoolishValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(crate) dev: bool,

    /// Address and port to serve on; port 0 takes a free one. May be given several times (in the environment: separated
    /// by commas).
    #[arg(
        long,
        env = "FANFARE_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080",
        value_delimiter = ','
    )]
    pub(crate) listen: Vec<SocketAddr>,

    /// Address and port for /healthz, /readyz and /metrics. Without it they are served only with --dev, beside the hub.
    #[arg(long, env = "FANFARE_ADMIN_LISTEN", value_name = "ADDR")]
    pub(crate) admin_listen: Option<SocketAddr>,

    /// The certificate to speak TLS with: PEM, the server's own first and the intermediate ones behind it. It is read again when
    /// it changes (looked at every 10s, and on SIGHUP). Fanfare gets none by itself: there is no ACME; certbot and others
    /// write such files.
    #[arg(long, env = "FANFARE_TLS_CERT", value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert: PEM, not encrypted.
    #[arg(long, env = "FANFARE_TLS_KEY", value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Proxies that are believed when they say for whom they speak, by address or network, such as 10.0.0.0/8,127.0.0.1,::1.
    /// From anybody else Forwarded and X-Forwarded-For, -Proto and -Host mean nothing.
    #[arg(long, env = "FANFARE_TRUSTED_PROXIES", value_name = "NETWORKS")]
    pub(crate) trusted_proxies: Option<TrustedProxies>,

    /// Which headers the trusted proxies write. They have to replace or extend them: what they only pass on is the client's.
    #[arg(long, env = "FANFARE_FORWARDED_HEADERS", value_enum, default_value_t = ForwardedHeaders::Any)]
    pub(crate) forwarded_headers: ForwardedHeaders,

    /// The trusted proxies begin each connection with a header of the PROXY protocol, version 2; then they have to.
    #[arg(long, env = "FANFARE_PROXY_PROTOCOL", value_parser = BoolishValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(crate) proxy_protocol: bool,

    /// How many connections one client may have: an IPv4 address, or 64 bits of an IPv6 address. Behind trusted proxies and over
    /// HTTP/2, requests and streams count. More: 429, or for EventSource a stream that says when to come back.
    /// [default: without limit]
    #[arg(long, env = "FANFARE_MAX_CONNECTIONS_PER_CLIENT", value_name = "CONNECTIONS")]
    pub(crate) max_connections_per_client: Option<NonZeroUsize>,

    /// Where the log lives. [default: disk; with --dev and without --data-dir: memory]
    #[arg(long, env = "FANFARE_ENGINE", value_enum)]
    pub(crate) engine: Option<Engine>,

    /// The folder of the log on disk; it is created, and one process uses it at a time. [default: ./fanfare-data]
    #[arg(long, env = "FANFARE_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// When a publication that goes to disk counts as stored, and is answered.
    #[arg(long, env = "FANFARE_DURABILITY", value_enum, default_value_t = Durability::Fsync)]
    pub(crate) durability: Durability,

    /// How many events are kept for replay. [default: without limit on disk, 100000 in memory]
    #[arg(long, env = "FANFARE_HISTORY_EVENTS", value_name = "EVENTS")]
    pub(crate) history_events: Option<usize>,

    /// How many bytes of events are kept for replay, such as 10GiB. [default: 1GiB on disk, 64MiB in memory]
    #[arg(long, env = "FANFARE_HISTORY_BYTES", value_name = "BYTES", value_parser = value::bytes)]
    pub(crate) history_bytes: Option<usize>,

    /// How many bytes of the newest events of a log on disk are also kept in memory, where live subscribers and those who come
    /// back soon read them.
    #[arg(long, env = "FANFARE_MEMORY_BYTES", value_name = "BYTES", default_value = "64MiB", value_parser = value::bytes)]
    pub(crate) memory_bytes: usize,

    /// How many bytes of older events all subscribers that catch up share in memory, as they are read from disk.
    #[arg(long, env = "FANFARE_CATCH_UP_BYTES", value_name = "BYTES", default_value = "32MiB", value_parser = value::bytes)]
    pub(crate) catch_up_bytes: usize,

    /// How long events are kept for replay, such as 1h or 30m. [default: without limit]
    #[arg(long, env = "FANFARE_HISTORY_AGE", value_name = "DURATION", value_parser = value::duration)]
    pub(crate) history_age: Option<Duration>,

    /// How many idempotency keys are remembered, the newest ones: a publication that is sent again with its
    /// Idempotency-Key is stored once. 0 remembers none.
    #[arg(long, env = "FANFARE_IDEMPOTENCY_KEYS", value_name = "COUNT", default_value_t = 100_000)]
    pub(crate) idempotency_keys: usize,

    /// How long an idempotency key is remembered, such as 24h or 30m.
    #[arg(long, env = "FANFARE_IDEMPOTENCY_AGE", value_name = "DURATION", default_value = "24h", value_parser = value::duration)]
    pub(crate) idempotency_age: Duration,

    /// After what time without traffic a stream gets a comment line, such as 15s; 0 for never.
    #[arg(long, env = "FANFARE_KEEP_ALIVE", value_name = "DURATION", default_value = "15s", value_parser = value::duration)]
    pub(crate) keep_alive: Duration,

    /// Who gets bookmarks, which keep the last event ID of a quiet stream fresh.
    #[arg(long, env = "FANFARE_BOOKMARKS", value_enum, default_value_t = Bookmarks::Browsers)]
    pub(crate) bookmarks: Bookmarks,

    /// Where a stream begins whose last event ID is unknown, after it was told about the gap.
    #[arg(long, env = "FANFARE_UNKNOWN_ID", value_enum, default_value_t = UnknownId::Live)]
    pub(crate) unknown_id: UnknownId,

    /// How log lines are written.
    #[arg(long, env = "FANFARE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// How many threads write to subscribers. [default: one for every two cores]
    #[arg(long, env = "FANFARE_WORKERS", value_name = "THREADS")]
    pub(crate) workers: Option<NonZeroUsize>,

    /// How long a client may take none of the bytes that wait for it, or on Linux leave them unacknowledged, such as 30s;
    /// 1s at least. Longer: cut; it can resume.
    #[arg(long, env = "FANFARE_WRITE_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = value::seconds)]
    pub(crate) write_timeout: Duration,

    /// Whether writes to subscribers go through io_uring: one call of the kernel for many of them.
    #[arg(long, env = "FANFARE_IO_URING", value_enum, default_value_t = IoUring::Auto)]
    pub(crate) io_uring: IoUring,

    /// How many subscribers are served at a time. Each needs a file descriptor.
    #[arg(long, env = "FANFARE_MAX_SUBSCRIBERS", value_name = "SUBSCRIBERS", default_value_t = 50_000)]
    pub(crate) max_subscribers: usize,

    /// The largest body of a request, in bytes, such as 1MiB. Larger: 413.
    #[arg(long, env = "FANFARE_MAX_BODY_BYTES", value_name = "BYTES", default_value = "1MiB", value_parser = value::bytes)]
    pub(crate) max_body_bytes: usize,

    /// The largest event, in bytes as it is sent to subscribers, such as 256KiB. Larger: 413.
    #[arg(long, env = "FANFARE_MAX_EVENT_BYTES", value_name = "BYTES", default_value = "256KiB", value_parser = value::bytes)]
    pub(crate) max_event_bytes: usize,

    /// Over what time streams are ended on shutdown, so that clients do not all come back at once, such as 5s; 0 ends
    /// them at once. What is left 5 s later is cut.
    #[arg(long, env = "FANFARE_SHUTDOWN_WINDOW", value_name = "DURATION", default_value = "5s", value_parser = value::duration)]
    pub(crate) shutdown_window: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// In a folder; it survives this process and the loss of power.
    Disk,
    /// In this process; gone when it ends.
    Memory,
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
pub(crate) enum ForwardedHeaders {
    /// X-Forwarded-…, or Forwarded where none of these is there; not for proxies that write Forwarded and pass the others on.
    Any,
    /// X-Forwarded-… alone.
    XForwarded,
    /// Forwarded alone.
    Forwarded,
}

impl From<ForwardedHeaders> for fanfare_http::ForwardedHeaders {
    fn from(chosen: ForwardedHeaders) -> Self {
        match chosen {
            ForwardedHeaders::Any => Self::Any,
            ForwardedHeaders::XForwarded => Self::XForwarded,
            ForwardedHeaders::Forwarded => Self::Forwarded,
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Flags::command().debug_assert();
    }

    #[test]
    fn every_flag_is_also_a_variable() {
        let command = Flags::command();
        let serve = command.find_subcommand("serve").expect("the subcommand");
        for flag in serve.get_arguments().filter(|flag| flag.get_id() != "help") {
            let long = flag.get_long().expect("a long name");
            let expected = format!("FANFARE_{}", long.to_ascii_uppercase().replace('-', "_"));
            assert_eq!(flag.get_env().and_then(|name| name.to_str()), Some(expected.as_str()), "--{long}");
        }
    }
}
