//! How a log that nodes share is followed, whatever store it lives in: one session after the other, each of which begins where the
//! log was told to, and what the hub is told of it.
//!
//! `tail.rs` decides what was seen; a store's own session sees it. Whatever goes wrong ends a session; only what goes wrong twice in a
//! row is told as a stall.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanfare_hub::engine::{Followed, Follower, Origin};
use fanfare_hub::{Check, Position};

use super::envelope::{Envelope, NoEnvelope};
use super::tail::Tail;
use super::{Finding, KnownLog, SharedLog, logged};

/// How long to wait between two sessions that came to nothing, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Why a session ended.
pub(crate) enum Ended<F> {
    /// The next one knows what to do.
    BeginAgain,
    /// The log has lost entries that were told: whoever has to know says so.
    Rewound,
    Fault(F),
}

impl<F> From<F> for Ended<F> {
    fn from(fault: F) -> Self {
        Self::Fault(fault)
    }
}

/// A log in a store, as it is followed.
pub(crate) trait FollowedLog: SharedLog {
    /// What the store is called.
    const STORE: &'static str;
    /// Another log is there by now.
    const BEGUN_ANEW: Self::Fault;

    /// Whether somebody has to change something before it can go on.
    fn needs_hands(fault: &Self::Fault) -> bool;

    /// It is not known any more whether the log is what was told.
    fn is_in_doubt(&self);

    /// The log was held against what was told, and is it.
    fn is_verified(&self);

    /// Forgets the log: another one begins.
    fn forget(&self);

    /// This one is followed from now on.
    fn follows(&self, log: KnownLog);

    /// Remembers what an entry has that is asked for later.
    fn learn(&self, position: Position, at: SystemTime, entry: &Envelope<'_>);

    /// An entry could not be read.
    fn count_unreadable(&self);

    /// Gives the log another epoch, unless somebody else has.
    fn renew(&self, epoch: u32) -> impl Future<Output = Result<(), Self::Fault>> + Send;
}

type Fault<S> = <<S as Session>::Log as SharedLog>::Fault;

/// What sees the log of a store.
pub(crate) trait Session: Send {
    type Log: FollowedLog;

    fn telling(&mut self) -> &mut Telling<Self::Log>;

    /// Tells what comes, until it does not any more.
    fn session(&mut self) -> impl Future<Output = Result<Infallible, Ended<Fault<Self>>>> + Send;

    /// Whether the store is there all the same, although this ended a session.
    fn is_there(&self, fault: &Fault<Self>) -> impl Future<Output = bool> + Send;
}

/// Follows for as long as the engine is there.
pub(crate) async fn run(mut session: impl Session) {
    let mut delay = RETRY.0;
    loop {
        session.telling().has_delivered = false;
        let Err(ended) = session.session().await;
        let telling = session.telling();
        telling.log.is_in_doubt();
        telling.follower.ring();
        let ended = match ended {
            Ended::Rewound => telling.renew().await,
            ended => ended,
        };
        match ended {
            Ended::Fault(fault) => {
                let is_there = session.is_there(&fault).await;
                let telling = session.telling();
                // A tail that is lost is no stall as long as another one does what it did.
                if telling.has_delivered && is_there {
                    tracing::debug!(%fault, "the tail of the log is begun again");
                    delay = RETRY.0;
                } else {
                    telling.stall(fault);
                }
            }
            Ended::BeginAgain | Ended::Rewound => delay = RETRY.0,
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(RETRY.1);
    }
}

/// What the hub is told, and what it was told so far.
pub(crate) struct Telling<L> {
    pub(crate) log: Arc<L>,
    pub(crate) follower: Arc<dyn Follower>,
    pub(crate) tail: Tail,
    /// Whether the session has come as far as to deliver.
    pub(crate) has_delivered: bool,
    /// Whether the hub was told that the store is gone.
    is_stalled: bool,
    /// The time of the newest entry: times never fall.
    newest_at: SystemTime,
    warned: Vec<Finding>,
}

impl<L: FollowedLog> Telling<L> {
    pub(crate) fn new(log: Arc<L>, follower: Arc<dyn Follower>) -> Self {
        Self {
            log,
            follower,
            tail: Tail::default(),
            has_delivered: false,
            is_stalled: false,
            newest_at: SystemTime::UNIX_EPOCH,
            warned: Vec::new(),
        }
    }

    fn stall(&mut self, fault: L::Fault) {
        if !self.is_stalled {
            let (store, cause) = (L::STORE, std::error::Error::source(&fault).map(ToString::to_string));
            if L::needs_hands(&fault) {
                tracing::error!(%fault, cause, "the log on {store} cannot be used");
            } else {
                tracing::warn!(%fault, cause, "the log on {store} is out of reach; it is tried again");
            }
        }
        self.is_stalled = true;
        self.follower.accept(Followed::Stalled { fault: Arc::new(fault) });
        self.follower.ring();
    }

    /// The log can be followed.
    pub(crate) fn is_back(&mut self) {
        if std::mem::take(&mut self.is_stalled) {
            tracing::info!("the log on {} is back", L::STORE);
            self.follower.accept(Followed::Recovered);
        }
    }

    /// Says once what the store's owner should know.
    pub(crate) fn warn(&mut self, findings: Vec<Finding>) {
        if findings != self.warned {
            for finding in &findings {
                tracing::warn!("about the log on {}: {finding}", L::STORE);
            }
            self.warned = findings;
        }
    }

    /// Another log is there, or the first: nothing is taken until it is known what stands in it.
    pub(crate) fn leave_log(&mut self) {
        if self.tail.epoch().is_some() {
            self.is_stalled = true;
            self.follower.accept(Followed::Stalled { fault: Arc::new(L::BEGUN_ANEW) });
            self.follower.ring();
        }
        self.log.forget();
    }

    /// Tells the hub of a log that it has not followed, from a position on; `before` is the check of the entry before, if it is there.
    pub(crate) fn begin_log(&mut self, log: KnownLog, from: Position, next: Position, before: Option<Check>) {
        if self.tail.epoch().is_some() {
            tracing::warn!("the log began anew, and has lost what was told: subscribers are told of a gap");
        }
        self.tail.log(log.epoch, from, before);
        self.log.follows(log.clone());
        self.follower.accept(Followed::NewEpoch(Origin {
            epoch: log.epoch,
            key: log.key,
            from,
            next,
            check_before: before.unwrap_or(Check::START),
        }));
        self.follower.ring();
        self.log.is_verified();
    }

    /// The log begins there by now.
    pub(crate) fn begins_at(&mut self, first: Position) {
        if let Some(through) = self.tail.begins_at(first) {
            self.lost(through);
            self.follower.ring();
        }
    }

    pub(crate) fn lost(&self, through: Position) {
        tracing::warn!(through, "entries are gone from the log before they came here");
        self.follower.accept(Followed::Hole { through });
    }

    /// Tells the entry that comes next; `taken` is when the store took it.
    pub(crate) fn tell(
        &mut self,
        position: Position,
        taken: SystemTime,
        read: &Result<Envelope<'_>, NoEnvelope>,
    ) {
        self.newest_at = self.newest_at.max(taken);
        let entry =
            read.as_ref().ok().and_then(|entry| Some((entry, logged(position, self.newest_at, entry)?)));
        if let Some((entry, logged)) = entry {
            self.log.learn(position, logged.at, entry);
            self.follower.accept(Followed::Entry(logged));
        } else {
            let newer = matches!(read, Err(NoEnvelope::Newer));
            tracing::error!(position, newer, "something in the log is no entry that can be read here");
            self.log.count_unreadable();
            self.follower.accept(Followed::Hole { through: position });
        }
    }

    /// Gives the log another epoch, so that every node begins it anew.
    async fn renew(&self) -> Ended<L::Fault> {
        let Some(epoch) = self.tail.epoch() else { return Ended::BeginAgain };
        tracing::error!("the log has lost entries that were told");
        match self.log.renew(epoch).await {
            Ok(()) => Ended::BeginAgain,
            Err(fault) => Ended::Fault(fault),
        }
    }
}
