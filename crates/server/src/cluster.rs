//! A log that several nodes share, whatever store it lives in: how it is called, what it keeps, and whether it could be used.
//!
//! Which stores there are is known here as little as how they are asked.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use clap::Args;
use fanfare_hub::engine::KeyLimits;

use crate::access;
use crate::flags::Serve;
use crate::secret::Secret;

/// How much is kept if nobody says.
pub(crate) const BYTES: usize = 1024 * 1024 * 1024;
/// How long a server may take to answer before the hub starts without its word.
pub(crate) const FIRST_ANSWER: Duration = Duration::from_secs(5);
/// How often it is asked whether there is a connection yet.
const CONNECTED_EVERY: Duration = Duration::from_millis(20);

/// What is the same for every such store.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // This is shown as it stands, in a terminal.
pub(crate) struct ClusterFlags {
    /// The hub's name in a store that several machines share, where it is part of the names of streams and keys: letters, digits,
    /// - and _. All nodes of a hub have the same.
    #[arg(long, help_heading = "The log", value_name = "NAME", default_value = "default")]
    pub(crate) hub_name: String,
}

/// How much is kept, and how many keys are remembered.
pub(crate) struct Kept {
    pub(crate) events: Option<usize>,
    pub(crate) bytes: Option<usize>,
    pub(crate) age: Option<Duration>,
    pub(crate) keys: KeyLimits,
}

impl Kept {
    pub(crate) fn of(flags: &Serve) -> Self {
        Self {
            events: flags.history_events,
            bytes: flags.history_bytes,
            age: flags.history_age,
            keys: KeyLimits { count: flags.idempotency_keys, age: flags.idempotency_age },
        }
    }
}

/// What the hub is to show a store: itself, or the name of its file behind an `@`.
pub(crate) fn shown(secret: &Secret, store: &'static str) -> Result<String, Failure> {
    let read = access::secret(secret).map_err(|reason| Failure::Secret { store, reason })?;
    Ok(read.expose().to_owned())
}

/// What was learnt about a store before the hub starts.
pub(crate) enum Asked {
    /// It answers, and this is to be known about it.
    Found(Vec<String>),
    /// Nobody answered.
    Unreachable(String),
}

impl Asked {
    /// Sorts an answer: what somebody has to mend is an error.
    pub(crate) fn of<F: Error + Send + Sync + 'static>(
        answer: Result<Vec<impl fmt::Display>, F>,
        needs_hands: impl Fn(&F) -> bool,
    ) -> Result<Self, Failure> {
        match answer {
            Ok(findings) => Ok(Self::Found(findings.iter().map(ToString::to_string).collect())),
            Err(fault) if needs_hands(&fault) => Err(Failure::Unfit(Box::new(fault))),
            Err(fault) => Ok(Self::Unreachable(with_cause(&fault))),
        }
    }

    /// Says what there is to know; `store` in a few words.
    pub(crate) fn tell(&self, store: &str, say: impl Fn(String)) {
        match self {
            Self::Found(findings) => {
                for finding in findings {
                    say(format!("about {store}: {finding}"));
                }
            }
            Self::Unreachable(why) => {
                say(format!("{why}; a hub that starts now waits for it, and is not ready until then"));
            }
        }
    }
}

/// Asks until there is a connection to ask over, and not for long.
pub(crate) async fn first_answer<T, F>(
    ask: impl AsyncFn() -> Result<T, F>,
    has_no_connection: impl Fn(&F) -> bool,
) -> Result<T, F> {
    let give_up = Instant::now() + FIRST_ANSWER;
    loop {
        match ask().await {
            Err(fault) if has_no_connection(&fault) && Instant::now() < give_up => {
                tokio::time::sleep(CONNECTED_EVERY).await;
            }
            answer => return answer,
        }
    }
}

/// A client names its own causes itself.
fn with_cause(error: &(dyn Error + 'static)) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// Why such a log cannot be used as configured. Another command line, or another setting of the store, would change it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The store cannot be spoken to.
    Connect(Box<dyn Error + Send + Sync>),
    /// What the hub is to show the store cannot be read.
    Secret { store: &'static str, reason: String },
    /// The store cannot hold a log.
    Unfit(Box<dyn Error + Send + Sync>),
    /// An address of a server says who the hub is, and would be shown wherever the setting is.
    LoginInAddress { store: &'static str, instead: &'static str },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) | Self::Unfit(error) => f.write_str(&with_cause(&**error)),
            Self::Secret { store, reason } => {
                write!(f, "what the hub shows {store} cannot be used: {reason}")
            }
            Self::LoginInAddress { store, instead } => write!(
                f,
                "who the hub is to {store} does not stand in --engine, which is shown: use {instead}"
            ),
        }
    }
}
