//! What can go wrong with a log on JetStream.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use fanfare_hub::Position;

/// A cause that the client library names, shared because it is told to many.
pub(super) type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why NATS cannot be spoken to as configured. Nothing was tried over the network.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// No server was named, or the text names none.
    Server {
        /// The text.
        text: String,
        /// Why.
        error: Option<io::Error>,
    },
    /// A hub cannot be called this: letters, digits, `-` and `_` make its name, 64 at most.
    HubName {
        /// The name.
        name: String,
    },
    /// A file with credentials or certificates cannot be used.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The client could not be started.
    Client(async_nats::ConnectError),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { text, .. } => {
                write!(
                    f,
                    "{text:?} names no NATS server; one is written nats://host:4222, or tls://host:4222"
                )
            }
            Self::HubName { name } => write!(
                f,
                "a hub on NATS cannot be called {name:?}: its name is part of a stream's, of at most 64 letters, digits, - and _"
            ),
            Self::File { path, .. } => write!(f, "cannot use {}", path.display()),
            Self::Client(_) => f.write_str("the client for NATS could not be started"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { error, .. } | Self::Server { error: Some(error), .. } => Some(error),
            Self::Client(error) => Some(error),
            _ => None,
        }
    }
}

/// Why a log on JetStream does not take publications, or cannot be read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NatsFault {
    /// There is no connection to a server. It is tried again all the time.
    NotConnected,
    /// JetStream does not answer: it is not enabled, has no leader, or is cut off.
    NoAnswer(Cause),
    /// JetStream answered that it cannot.
    Answered(Cause),
    /// The stream was created by somebody else, so it is no hub's log.
    Foreign {
        /// Its name.
        stream: String,
    },
    /// A newer release of this program has created the stream, or written an entry.
    Newer {
        /// Its name.
        stream: String,
    },
    /// A log was to be copied into the stream, and the copy was not finished.
    Begun {
        /// Its name.
        stream: String,
    },
    /// The stream is set up so that the log could not keep what it promises.
    Unfit {
        /// Its name.
        stream: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// The publication is larger than the servers take.
    TooLarge,
    /// More publications wait for JetStream than are allowed to.
    Busy,
    /// What was published lately is not known yet: the log was begun a moment ago, or is behind.
    Behind,
    /// Who answered for the stream may have been cut off from those that it leads.
    CutOff,
    /// The log began anew while the publication was on its way.
    BegunAnew,
    /// There is no such entry any more.
    NoEntry {
        /// Where it would stand.
        position: Position,
    },
    /// The tail of the log went wrong, and is begun again.
    TailLost(Cause),
    /// The system has no random numbers.
    NoRandomness,
    /// The engine is being shut down.
    Gone,
}

impl NatsFault {
    pub(super) fn answered(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Answered(Arc::new(error))
    }

    pub(super) fn no_answer(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::NoAnswer(Arc::new(error))
    }

    /// Whether somebody has to change something before it can go on.
    #[must_use]
    pub fn needs_hands(&self) -> bool {
        matches!(self, Self::Foreign { .. } | Self::Newer { .. } | Self::Begun { .. } | Self::Unfit { .. })
    }
}

impl fmt::Display for NatsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected => f.write_str("there is no connection to NATS; it is tried again"),
            Self::NoAnswer(_) => f.write_str("JetStream does not answer"),
            Self::Answered(_) => f.write_str("JetStream could not do it"),
            Self::Foreign { stream } => write!(
                f,
                "the stream {stream} was created by somebody else; give the hub another name, or remove the stream"
            ),
            Self::Newer { stream } => write!(f, "a newer release has written to the stream {stream}; update this one"),
            Self::Begun { stream } => write!(
                f,
                "a copy into the stream {stream} was not finished; wait for it, or copy again, which begins anew"
            ),
            Self::Unfit { stream, why } => write!(f, "the stream {stream} cannot hold a log: {why}"),
            Self::TooLarge => f.write_str(
                "the publication is larger than NATS takes; see max_payload of its servers and max_msg_size of the stream",
            ),
            Self::Busy => f.write_str("too many publications wait for JetStream"),
            Self::Behind => f.write_str("what was published lately is not known here yet"),
            Self::CutOff => f.write_str("the leader of the stream has lost touch with its servers"),
            Self::BegunAnew => f.write_str("the log began anew while the publication was on its way"),
            Self::NoEntry { position } => write!(f, "there is no entry at position {position} any more"),
            Self::TailLost(_) => f.write_str("the tail of the log was lost and is begun again"),
            Self::NoRandomness => f.write_str("the system gave no random numbers"),
            Self::Gone => f.write_str("the log is closed"),
        }
    }
}

impl std::error::Error for NatsFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoAnswer(cause) | Self::Answered(cause) | Self::TailLost(cause) => Some(&**cause),
            _ => None,
        }
    }
}
