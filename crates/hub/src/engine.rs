//! Where the log lives: what the hub asks of memory, a disk, NATS or Redis.
//!
//! An engine accepts publications, gives each a position, and tells them to the hub in that order; the
//! hub's own log is fed by [`Engine::follow`] alone, on one node as on many. The trait is object-safe
//! and asynchronous without a runtime: what may wait returns a boxed future, and an engine that has
//! threads or tasks of its own calls the [`Follower`] from there.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use fanfare_wire::EventId;

pub use crate::check_source::{CheckSource, NoRandomness};
pub use crate::keys::{Found, KeyLimits, Keys};
use crate::publication::Submission;
use crate::{Check, IdKey, IdempotencyKey, Position, Topic};

/// An answer that may take a while.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What went wrong in an engine; shared, because it may be told to many.
pub type EngineFault = Arc<dyn std::error::Error + Send + Sync>;

/// Where the log lives.
pub trait Engine: Send + Sync + 'static {
    /// Starts to tell `follower` about the log, and returns at once.
    ///
    /// The first thing told is a [`Followed::NewEpoch`] (or [`Followed::Stalled`] until the store answers).
    /// Called once, by [`HubBuilder::build`](crate::HubBuilder::build).
    ///
    /// # Errors
    /// The log cannot be followed and never will be; the hub is not built.
    fn follow(&self, follower: Arc<dyn Follower>) -> Result<(), EngineFault>;

    /// Appends a publication. When the answer is `Ok`, it is stored with the engine's durability (P4).
    ///
    /// Dropping the future does not undo the append.
    ///
    /// The key is remembered with its entry, as durably. A second append with a key that is still remembered stores
    /// nothing: it is answered as the first was, with [`Appended::duplicate`] set, if its
    /// [`fingerprint`](Submission::fingerprint) is the same, and with [`AppendError::KeyReused`] if not. While the fate
    /// of the first is open, the second waits for it. [`Keys`] is a table that does this.
    fn append(
        &self,
        submission: Submission,
        key: Option<IdempotencyKey>,
    ) -> Answer<'_, Result<Appended, AppendError>>;

    /// Appends what tells of presence: as [`append`](Self::append) does, but told as [`Content::Presence`], or for `None` as
    /// [`Content::Forgotten`].
    ///
    /// The call itself hands it in: what one caller hands in one after the other gets its positions in that order, whether
    /// the caller has waited for the answers or not. An engine may forget what presence said, sooner than anything else; it
    /// never forgets its place.
    ///
    /// A key says that other nodes over the same log may say the same at about the same time: an engine that nodes share stores
    /// it once, as long as it remembers the key, and any other need not look at it.
    ///
    /// By default an engine has no presence: it is refused.
    fn announce(
        &self,
        presence: Option<Submission>,
        key: Option<IdempotencyKey>,
    ) -> Answer<'static, Result<Appended, AppendError>> {
        drop((presence, key));
        Box::pin(std::future::ready(Err(AppendError::Refused(Arc::new(NoPresence)))))
    }

    /// Says which log it is and where its ends are, as the store itself knows it now.
    fn bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>>;

    /// The same, for when a place is to be called lost by it: no part of the store that was cut off, or is behind, may have said
    /// it, and it may take seconds.
    ///
    /// By default there is no such part.
    fn settled_bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        self.bounds()
    }

    /// Reads entries that the hub no longer has in memory.
    ///
    /// Asked a few times at once at most, and for a place once, however many subscribers wait for it. Whoever wakes the
    /// answer holds no lock then, as in [`Follower::ring`]: the hub takes it in and may ask for the next within that call. If
    /// the hub is dropped meanwhile, the engine may be, too, in that thread; it must not wait for that thread to end then.
    fn read(&self, request: ReadRequest) -> Answer<'_, Result<Batch, ReadError>>;

    /// Finds the earliest entry that has `id` from its publisher.
    ///
    /// Called for ids that the hub's own log does not hold.
    fn find(&self, id: EventId) -> Answer<'_, Result<Option<Position>, EngineFault>>;

    /// A way to the other nodes over the same log, beside it. By default there are no other nodes: `None`.
    fn peers(&self) -> Option<Arc<dyn Peers>> {
        None
    }
}

impl<E: Engine + ?Sized> Engine for Arc<E> {
    fn follow(&self, follower: Arc<dyn Follower>) -> Result<(), EngineFault> {
        (**self).follow(follower)
    }

    fn append(
        &self,
        submission: Submission,
        key: Option<IdempotencyKey>,
    ) -> Answer<'_, Result<Appended, AppendError>> {
        (**self).append(submission, key)
    }

    fn announce(
        &self,
        presence: Option<Submission>,
        key: Option<IdempotencyKey>,
    ) -> Answer<'static, Result<Appended, AppendError>> {
        (**self).announce(presence, key)
    }

    fn bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        (**self).bounds()
    }

    fn settled_bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        (**self).settled_bounds()
    }

    fn read(&self, request: ReadRequest) -> Answer<'_, Result<Batch, ReadError>> {
        (**self).read(request)
    }

    fn find(&self, id: EventId) -> Answer<'_, Result<Option<Position>, EngineFault>> {
        (**self).find(id)
    }

    fn peers(&self) -> Option<Arc<dyn Peers>> {
        (**self).peers()
    }
}

/// The nodes over one log, this one among them: they say to each other what is not worth a place in the log, such as that they live.
pub trait Peers: Send + Sync + 'static {
    /// Says a word of some 256 KiB at most to every node that listens, this one included. It never waits. A word may be lost, come
    /// twice and overtake another, and nobody is told; while the store is away all are lost.
    fn say(&self, word: Vec<u8>);

    /// Has `listener` told every word that is heard from now on. It is called by the engine's own threads and has to return at
    /// once; when it answers that it listens no more it is dropped.
    fn listen(&self, listener: Listener);
}

/// Who is told what nodes say. It answers whether it goes on listening.
pub type Listener = Box<dyn FnMut(&[u8]) -> bool + Send>;

/// Who follows a log: the hub.
pub trait Follower: Send + Sync + 'static {
    /// Takes what comes next. Calls must not overlap, and entries come in the order of their positions.
    ///
    /// It never waits for a subscriber.
    fn accept(&self, next: Followed);

    /// Tells the subscribers about all that was accepted since. An engine calls it after a batch, and holds no
    /// lock then: whoever is woken may publish at once.
    fn ring(&self);
}

/// What a follower is told.
#[derive(Debug)]
#[non_exhaustive]
pub enum Followed {
    /// The next entry.
    Entry(Logged),
    /// The entries up to and including `through` were lost before they could be told. Subscribers get a gap.
    Hole {
        /// The last position that is lost.
        through: Position,
    },
    /// A log begins. If there was one before, it was recreated or rewound, and what it told is void.
    /// Its epoch is never that of the log before.
    NewEpoch(Origin),
    /// The engine has lost its store and tries again. Nothing wrong is told meanwhile.
    Stalled {
        /// What happened.
        fault: EngineFault,
    },
    /// The store is back.
    Recovered,
}

/// The log that is followed, and from where.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Which log: a random number stored with it.
    pub epoch: u32,
    /// The key of its ids, stored with it.
    pub key: IdKey,
    /// The first position that will be told.
    pub from: Position,
    /// The end of the log when it was opened: what is told before it was published earlier, and is not counted again.
    pub next: Position,
    /// The check of the entry before that one; [`Check::START`] before the first, and where it is not known any more.
    pub check_before: Check,
}

/// A publication that the log has accepted.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Where it stands.
    pub position: Position,
    /// The random bits drawn when it was appended.
    pub check: Check,
    /// When it was appended, by the engine's clock.
    pub at: SystemTime,
    /// What it is.
    pub content: Content,
}

/// What an entry holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Content {
    /// Something that was published.
    Publication(Submission),
    /// That a subscriber came or went: handed in through [`Engine::announce`].
    Presence(Submission),
    /// Presence of which the engine keeps no more than its place. Whoever may have been sent it gets a gap, and nobody else.
    Forgotten,
}

/// The answer to an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where the entry stands.
    pub position: Position,
    /// Its id: the publisher's own, or the one that the hub makes.
    pub id: EventId,
    /// Whether the key was known and nothing new was stored.
    pub duplicate: bool,
}

/// Why an append has no position to show.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AppendError {
    /// It was not stored.
    Refused(EngineFault),
    /// It may have been stored.
    Unknown(EngineFault),
    /// It was not stored: its key is remembered with another publication.
    KeyReused,
}

/// The engine takes nothing that tells of presence.
#[derive(Clone, Copy, Debug)]
pub struct NoPresence;

impl std::fmt::Display for NoPresence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("this engine keeps no presence")
    }
}

impl std::error::Error for NoPresence {}

/// The ends of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Which log.
    pub epoch: u32,
    /// The oldest position that can still be read; equal to `next` when there is none.
    pub oldest: Position,
    /// The position of the next entry.
    pub next: Position,
}

/// Which entries to read.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// Read entries behind this position.
    pub after: Position,
    /// Stop before this position.
    pub before: Position,
    /// If given, entries of other topics may be left out.
    pub topics: Option<Arc<[Topic]>>,
    /// Stop when the entries read so far have this many bytes; at least one entry is read.
    pub bytes_max: usize,
}

/// Entries read from an engine, in order.
#[derive(Clone, Debug)]
pub struct Batch {
    /// All entries of the request up to `through`; those of other topics too, or not.
    pub entries: Vec<Logged>,
    /// Everything up to this position has been read; behind `after`, and below `before`.
    pub through: Position,
    /// Whether entries of every topic are among them, whatever topics were asked for. Then they serve subscribers of
    /// other topics, too.
    pub all: bool,
}

/// Why entries could not be read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// Retention has removed the beginning of what was asked for.
    Trimmed {
        /// The oldest position that is left.
        oldest: Position,
    },
    /// The store does not answer.
    Fault(EngineFault),
}
