//! The log on Redis or Valkey: what its flags say, and whether it could be used.
//!
//! Waiting for the server, and going on when it is back, is the engine's matter.

use std::path::PathBuf;

use clap::Args;
use fanfare_engine::RedisEngine;
use fanfare_engine::redis::{RedisFault, RedisOptions};

use crate::cluster::{Asked, BYTES, Failure, Kept, first_answer, shown};
use crate::secret::Secret;

const REDIS: &str = "The log on Redis";

/// Who the hub is to Redis. They count with --engine redis://… alone.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // This is shown as it stands, in a terminal.
#[allow(clippy::struct_field_names)] // They are the names of the flags.
pub(crate) struct RedisFlags {
    /// A user of Redis, who has a password. [default: the user that Redis calls default]
    #[arg(long, help_heading = REDIS, value_name = "USER", requires = "redis_password")]
    pub(crate) redis_user: Option<String>,

    /// The password of that user; @FILE reads it from a file.
    #[arg(long, help_heading = REDIS, value_name = "PASSWORD")]
    pub(crate) redis_password: Option<Secret>,

    /// A file of PEM text with certificates that the server is believed by, instead of those of the system.
    #[arg(long, help_heading = REDIS, value_name = "FILE")]
    pub(crate) redis_ca: Option<PathBuf>,

    /// The certificate that the hub shows to a server which asks for one: a file of PEM text.
    #[arg(long, help_heading = REDIS, value_name = "FILE", requires = "redis_key")]
    pub(crate) redis_cert: Option<PathBuf>,

    /// The private key of that certificate: a file of PEM text.
    #[arg(long, help_heading = REDIS, value_name = "FILE", requires = "redis_cert")]
    pub(crate) redis_key: Option<PathBuf>,
}

/// Starts the engine for the server of `--engine`, on the runtime that this is called on.
///
/// # Errors
/// What could not work with any server.
pub(crate) fn connect(
    flags: &RedisFlags,
    hub: &str,
    kept: &Kept,
    server: &str,
) -> Result<RedisEngine, Failure> {
    if server.contains('@') {
        let instead = "--redis-user and --redis-password";
        return Err(Failure::LoginInAddress { store: "Redis", instead });
    }
    options(flags, hub, kept, server)?.connect().map_err(|error| Failure::Connect(Box::new(error)))
}

fn options(flags: &RedisFlags, hub: &str, kept: &Kept, server: &str) -> Result<RedisOptions, Failure> {
    let password = flags.redis_password.as_ref().map(|secret| shown(secret, "Redis")).transpose()?;
    Ok(RedisEngine::options(server)
        .hub(hub)
        .user(flags.redis_user.clone())
        .password(password)
        .root_certificates(flags.redis_ca.clone())
        .client_certificate(flags.redis_cert.clone().zip(flags.redis_key.clone()))
        .history_events(kept.events.map(|events| events as u64))
        .history_bytes(kept.bytes.unwrap_or(BYTES) as u64)
        .history_age(kept.age)
        .idempotency(kept.keys))
}

/// Asks about the server and the log, and waits a little for a connection.
///
/// # Errors
/// There can be no log before somebody changes something.
pub(crate) async fn ask(engine: &RedisEngine) -> Result<Asked, Failure> {
    let has_no_connection = |fault: &RedisFault| matches!(fault, RedisFault::NotConnected(_));
    let answer = first_answer(async || engine.check().await, has_no_connection).await;
    Asked::of(answer, RedisFault::needs_hands)
}
