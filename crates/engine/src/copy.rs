//! Copies a log from one store to another: each entry with its place, its check, its time and its idempotency key, and which log
//! it is. So every last event ID that clients hold goes on to mean the same.
//!
//! Nobody may publish meanwhile. The copy is one only when it is finished: what is there before that, no hub takes for a log.

use std::fmt;
#[cfg(any(feature = "disk", feature = "nats"))]
use std::io;

#[cfg(any(feature = "disk", feature = "nats"))]
use fanfare_hub::engine::AppendError;
use fanfare_hub::engine::{Answer, EngineFault, Logged};
use fanfare_hub::{Check, IdempotencyKey, Position};

use crate::fault::fault;

/// What tells a log from every other, and its ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LogOutline {
    /// Which log: a random number stored with it.
    pub epoch: u32,
    /// The key that its ids are enciphered with.
    pub key: [u8; 16],
    /// The oldest position that is kept; equal to `next` when there is none.
    pub oldest: Position,
    /// The position of the next entry.
    pub next: Position,
    /// The check of the entry before the oldest; [`Check::START`] where it is not known.
    pub check_before: Check,
}

impl fmt::Debug for LogOutline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever has the key can make ids.
        let Self { epoch, oldest, next, .. } = self;
        write!(f, "LogOutline({epoch:08x}, {oldest}..{next})")
    }
}

/// An entry on its way.
#[derive(Clone, Debug)]
pub struct Carried {
    /// What a hub would be told.
    pub logged: Logged,
    /// The idempotency key that it was published under.
    pub key: Option<IdempotencyKey>,
}

/// What stands at some place of a log.
#[derive(Clone, Debug)]
pub enum Page {
    /// Some entries that follow each other, one at least.
    Entries(Vec<Carried>),
    /// Nothing up to and with this position: it was lost, or is not kept any more.
    Lost {
        /// The last position of which nothing is there.
        through: Position,
    },
}

/// A log that can be read whole.
pub trait CopySource: Send + Sync {
    /// Which log it is, and where its ends are now.
    fn outline(&self) -> Answer<'_, Result<LogOutline, EngineFault>>;

    /// Reads what stands at `from` and behind it, before `before`; some hundred kilobytes at a time.
    fn page(&self, from: Position, before: Position) -> Answer<'_, Result<Page, EngineFault>>;
}

/// A store that is to hold a log which was another's.
pub trait CopyTarget: Send {
    /// Begins a log of this epoch and key at its `oldest`. Called again, it drops what was begun before.
    fn begin(&mut self, log: LogOutline) -> Answer<'_, Result<(), EngineFault>>;

    /// Stores entries behind those before.
    fn put(&mut self, entries: Vec<Carried>) -> Answer<'_, Result<(), EngineFault>>;

    /// Makes what was stored the log of its hub.
    fn finish(&mut self) -> Answer<'_, Result<(), EngineFault>>;
}

/// How far a copy has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many entries were copied.
    pub done: u64,
    /// How many there are to copy, those included.
    pub of: u64,
}

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The first position that the copy has; equal to `next` when there is none.
    pub oldest: Position,
    /// The position of the next entry.
    pub next: Position,
    /// What stood before `oldest` and was left out, because entries behind it are lost; not counted are those that
    /// retention had dropped.
    pub left_out: u64,
}

/// Copies a log whole, from behind the last entry that it has lost on: what stands before that would be a history with a hole.
///
/// # Errors
/// [`CopyError`]. What was stored so far is no log, and another copy to the same place begins anew.
pub async fn copy(
    source: &dyn CopySource,
    target: &mut dyn CopyTarget,
    mut tell: impl FnMut(Progress),
) -> Result<Copied, CopyError> {
    let log = source.outline().await.map_err(CopyError::Source)?;
    let mut begun = log;
    target.begin(begun).await.map_err(CopyError::Target)?;
    let mut next = log.oldest;
    while next < log.next {
        match source.page(next, log.next).await.map_err(CopyError::Source)? {
            Page::Entries(entries) => {
                next += entries.len() as u64;
                target.put(entries).await.map_err(CopyError::Target)?;
            }
            Page::Lost { through } => {
                next = through.saturating_add(1).clamp(next + 1, log.next);
                begun = LogOutline { oldest: next, check_before: Check::START, ..log };
                target.begin(begun).await.map_err(CopyError::Target)?;
            }
        }
        tell(Progress { done: next - begun.oldest, of: log.next - begun.oldest });
    }
    let now = source.outline().await.map_err(CopyError::Source)?;
    if (now.epoch, now.next) != (log.epoch, log.next) {
        return Err(CopyError::WentOn);
    }
    target.finish().await.map_err(CopyError::Target)?;
    Ok(Copied { oldest: begun.oldest, next: log.next, left_out: begun.oldest - log.oldest })
}

/// Why a log was not copied.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CopyError {
    /// It cannot be read.
    Source(EngineFault),
    /// What is read cannot be stored.
    Target(EngineFault),
    /// Somebody has published meanwhile.
    WentOn,
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(_) => f.write_str("the log cannot be read"),
            Self::Target(_) => f.write_str("the copy cannot be written"),
            Self::WentOn => f.write_str(
                "somebody published while the log was copied; stop every node that uses it, and copy again",
            ),
        }
    }
}

impl std::error::Error for CopyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Source(fault) | Self::Target(fault) => Some(&**fault),
            Self::WentOn => None,
        }
    }
}

/// Why an entry of a copy was not stored.
#[cfg(any(feature = "disk", feature = "nats"))]
pub(crate) fn not_taken(error: AppendError) -> EngineFault {
    match error {
        AppendError::Refused(fault) | AppendError::Unknown(fault) => fault,
        // A copy has every entry that there was, under whatever key.
        _ => fault(io::Error::other("an idempotency key was used twice")),
    }
}

/// There is a log already where a copy was to go.
#[derive(Clone, Debug)]
pub(crate) struct Occupied(pub(crate) String);

impl Occupied {
    pub(crate) fn fault(place: impl Into<String>) -> EngineFault {
        fault(Self(place.into()))
    }
}

impl fmt::Display for Occupied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} holds a log already; nothing was written. Name another place, or remove it", self.0)
    }
}

impl std::error::Error for Occupied {}

/// A copy that did not come out where it was to.
#[derive(Clone, Debug)]
pub(crate) struct Misplaced {
    pub(crate) meant: Position,
    pub(crate) got: Position,
}

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { meant, got } = self;
        write!(f, "the entry of position {meant} came to stand at {got}: somebody else writes there")
    }
}

impl std::error::Error for Misplaced {}
