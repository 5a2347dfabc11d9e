//! Why a subscription is refused, or ends.

use std::fmt;

use crate::engine::EngineFault;

/// Why a subscription was refused, or ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The hub already serves as many subscribers as it was configured for.
    HubFull {
        /// [`HubBuilder::subscribers_max`](crate::HubBuilder::subscribers_max).
        limit: usize,
    },
    /// With what it asks for and is granted, the hub would have to keep more in memory than it was configured for, patterns aside.
    SelectionsTooLarge {
        /// [`HubBuilder::selections_bytes_max`](crate::HubBuilder::selections_bytes_max), or three fourths of it.
        limit: usize,
    },
    /// With its patterns, asked for or granted, the hub would have more different ones than it was configured for.
    TooManyPatterns {
        /// [`HubBuilder::patterns_max`](crate::HubBuilder::patterns_max).
        limit: usize,
    },
    /// With its patterns, asked for or granted, the hub would have to keep more of them in memory than it was configured for.
    PatternsTooLarge {
        /// [`HubBuilder::patterns_bytes_max`](crate::HubBuilder::patterns_bytes_max).
        limit: usize,
    },
    /// With its patterns, asked for or granted, there would be more of them that have the same literals than the hub was configured
    /// for, so that a publication might have to be held against each of them.
    PatternsTooAlike {
        /// [`HubBuilder::patterns_alike_max`](crate::HubBuilder::patterns_alike_max).
        limit: usize,
    },
    /// With its patterns, asked for or granted, a publication might take too long to be held against them all: those that take long by
    /// themselves are bounded together, beside [`HubBuilder::patterns_alike_max`](crate::HubBuilder::patterns_alike_max).
    PatternsTooCostly,
    /// What was asked for is no topic.
    Topic(crate::TopicError),
    /// The hub was closed.
    Closed,
    /// It has ended, so nothing about it can be changed.
    Ended,
    /// It has not come to any of so many changes of what it reads yet: its client is far behind.
    TooManyChanges {
        /// How many a subscriber may have before it.
        limit: usize,
    },
    /// What was given to [`filter`](crate::Subscription::filter) panicked.
    FilterPanicked,
    /// The log could not be read. The client can come back with its last event ID.
    Log(EngineFault),
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HubFull { limit } => write!(f, "the hub is full: it serves at most {limit} subscribers"),
            Self::SelectionsTooLarge { limit } => {
                write!(f, "the hub is full: what its subscribers ask for may take at most {limit} bytes")
            }
            Self::TooManyPatterns { limit } => {
                write!(f, "the hub is full: its subscribers may use at most {limit} different patterns")
            }
            Self::PatternsTooLarge { limit } => {
                write!(f, "the hub is full: its subscribers' patterns may take at most {limit} bytes")
            }
            Self::PatternsTooAlike { limit } => write!(
                f,
                "the hub is full: at most {limit} different patterns may have the same host and the same literals in their path"
            ),
            Self::PatternsTooCostly => {
                f.write_str("the hub is full: its subscribers' patterns take as long to evaluate as they may")
            }
            Self::Topic(error) => fmt::Display::fmt(error, f),
            Self::Closed => f.write_str("the hub is closed"),
            Self::Ended => f.write_str("the subscription has ended"),
            Self::TooManyChanges { limit } => {
                write!(
                    f,
                    "the subscriber is far behind: it has not come to the last {limit} changes of what it reads"
                )
            }
            Self::FilterPanicked => f.write_str("the subscription's filter panicked"),
            Self::Log(_) => f.write_str("the log could not be read"),
        }
    }
}

impl std::error::Error for SubscribeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Log(fault) => Some(&**fault),
            _ => None,
        }
    }
}
