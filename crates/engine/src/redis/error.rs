//! What can go wrong with a log on Redis.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why Redis cannot be spoken to as configured. Nothing was tried over the network.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The text names no server.
    Server {
        /// The text, without a password.
        text: String,
        /// Why, where the client knows.
        error: Option<RedisError>,
    },
    /// A hub cannot be called this: letters, digits, `-` and `_` make its name, 64 at most.
    HubName {
        /// The name.
        name: String,
    },
    /// A file with certificates cannot be read.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file with certificates holds none that can be used, or an address without TLS was given besides.
    Tls(RedisError),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { text, .. } => write!(
                f,
                "{text:?} names no server of Redis; one is written redis://host:6379, or rediss://host:6379 for TLS"
            ),
            Self::HubName { name } => write!(
                f,
                "a hub on Redis cannot be called {name:?}: its name is part of its keys, of at most 64 letters, digits, - and _"
            ),
            Self::File { path, .. } => write!(f, "cannot use {}", path.display()),
            Self::Tls(_) => f.write_str("the certificates for Redis cannot be used"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { error, .. } => Some(error),
            Self::Server { error: Some(error), .. } | Self::Tls(error) => Some(error),
            _ => None,
        }
    }
}

/// Why a log on Redis does not take publications, or cannot be read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RedisFault {
    /// There is no connection. It is tried again all the time.
    NotConnected(Arc<RedisError>),
    /// Redis lets nobody in by this user and password.
    Login(Arc<RedisError>),
    /// Redis does not answer, or the connection broke before it did.
    NoAnswer(Arc<RedisError>),
    /// Redis answered that it does not do it.
    Answered(Arc<RedisError>),
    /// Redis answered what is understood by nobody here.
    NotUnderstood {
        /// To what.
        request: &'static str,
    },
    /// The server is a replica: what is published there would be lost.
    Replica,
    /// Something has the name of the hub's keys that is no log of a hub's.
    Foreign {
        /// The key.
        key: String,
    },
    /// A newer release of this program has made the log, or written an entry.
    Newer {
        /// The key.
        key: String,
    },
    /// A log was to be copied there, and the copy was not finished.
    Begun {
        /// The key.
        key: String,
    },
    /// The server is set up so that the log could not keep what it promises.
    Unfit {
        /// What is wrong, and what would be right.
        why: String,
    },
    /// A text of the publication is longer than an entry has room for.
    TooLarge,
    /// More publications wait for Redis than are allowed to.
    Busy,
    /// What is in the log is not known yet: it was begun a moment ago.
    Behind,
    /// The log began anew a moment ago.
    BegunAnew,
    /// The log is gone.
    NoLog,
    /// The tail of the log has delivered nothing of what is there, and is begun again.
    TailLost,
    /// The system has no random numbers.
    NoRandomness,
    /// The engine is being shut down.
    Gone,
}

impl RedisFault {
    /// What became of a request.
    pub(super) fn of(error: RedisError) -> Self {
        let error = Arc::new(error);
        if is_login(&error) {
            Self::Login(error)
        } else if is_answer(&error) {
            Self::Answered(error)
        } else {
            Self::NoAnswer(error)
        }
    }

    /// What became of an attempt to connect.
    pub(super) fn connecting(error: RedisError) -> Self {
        match Self::of(error) {
            Self::NoAnswer(error) => Self::NotConnected(error),
            fault => fault,
        }
    }

    /// The same for a request that was given up.
    pub(super) fn too_late() -> Self {
        Self::NoAnswer(Arc::new(io::Error::from(io::ErrorKind::TimedOut).into()))
    }

    /// Whether the connection is of no use any more.
    pub(super) fn is_of_connection(&self) -> bool {
        matches!(self, Self::NoAnswer(_) | Self::NotConnected(_) | Self::Login(_))
    }

    /// Whether somebody has to change something before it can go on.
    #[must_use]
    pub fn needs_hands(&self) -> bool {
        match self {
            Self::Answered(error) => {
                matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::Moved))
            }
            Self::Login(_)
            | Self::Replica
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Begun { .. }
            | Self::Unfit { .. } => true,
            _ => false,
        }
    }
}

/// Whether the server said so, before it did anything.
pub(super) fn is_answer(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

fn is_login(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}

const NOT_ALLOWED: &str =
    "the user may not do that; docs/guide/cluster.md says what a hub needs to be allowed";

/// What to do about an answer.
fn advice(error: &RedisError) -> &'static str {
    match error.code() {
        Some("OOM") => {
            "Redis has no memory left: raise maxmemory, or keep less (--history-bytes, --history-events, --history-age)"
        }
        Some("READONLY") => "Redis is a replica by now: name its primary, or an address that follows it",
        Some("LOADING") => "Redis reads its files; it is tried again",
        Some("MISCONF") => {
            "Redis cannot write its files and takes nothing until it can; its own log says why"
        }
        Some("NOREPLICAS") => "Redis has fewer replicas than min-replicas-to-write asks for",
        Some("NOPERM") => NOT_ALLOWED,
        Some("MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT") => {
            "the server is part of a Redis Cluster, which cannot hold a log: name a server that is none"
        }
        Some("BUSY") => "Redis is busy with a script of somebody's",
        // A script's command that its user may not give.
        _ if error.detail().is_some_and(|detail| detail.contains("can't run this command")) => NOT_ALLOWED,
        Some("WRONGTYPE") => "a key of the hub's holds something of somebody else's",
        _ => "Redis does not do it",
    }
}

impl fmt::Display for RedisFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected(_) => f.write_str("there is no connection to Redis; it is tried again"),
            Self::Login(_) => f.write_str(
                "Redis does not know the hub: see --redis-user and --redis-password, and the users of Redis",
            ),
            Self::NoAnswer(_) => f.write_str("Redis does not answer"),
            Self::Answered(error) => f.write_str(advice(error)),
            Self::NotUnderstood { request } => {
                write!(f, "what Redis answered to {request} is not understood")
            }
            Self::Replica => {
                f.write_str("the server is a replica: name its primary, or an address that follows it")
            }
            Self::Foreign { key } => write!(
                f,
                "{key} was made by somebody else, or lost what tells which log it is; give the hub another name, or remove its keys"
            ),
            Self::Newer { key } => write!(f, "a newer release has written to {key}; update this one"),
            Self::Begun { key } => {
                write!(f, "a copy into {key} was not finished; wait for it, or copy again, which begins anew")
            }
            Self::Unfit { why } => write!(f, "the server cannot hold a log: {why}"),
            Self::TooLarge => f.write_str("a text of the publication is too long"),
            Self::Busy => f.write_str("too many publications wait for Redis"),
            Self::Behind => f.write_str("what is in the log is not known here yet"),
            Self::BegunAnew => f.write_str("the log began anew a moment ago"),
            Self::NoLog => f.write_str("the log is gone from Redis"),
            Self::TailLost => f.write_str("the tail of the log was lost and is begun again"),
            Self::NoRandomness => f.write_str("the system gave no random numbers"),
            Self::Gone => f.write_str("the log is closed"),
        }
    }
}

impl std::error::Error for RedisFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotConnected(error)
            | Self::Login(error)
            | Self::NoAnswer(error)
            | Self::Answered(error) => Some(&**error),
            _ => None,
        }
    }
}
