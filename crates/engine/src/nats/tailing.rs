//! Follows the stream and tells the hub: `tail.rs` decides, this does it.
//!
//! One task for a hub. Whatever goes wrong ends a session, and the next begins where the log was told to; only what goes wrong twice
//! in a row is told as a stall. Every few seconds the stream is asked whether it still is what was told.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::{MessagesError, Stream as Messages};
use fanfare_hub::engine::{Appended, Followed, Follower, Origin};
use fanfare_hub::{Check, IdempotencyKey, Position};
use futures_util::{FutureExt, StreamExt};

use super::error::NatsFault;
use super::shared::Shared;
use super::store::Opened;
use crate::cluster::envelope::{Envelope, NoEnvelope, check_of};
use crate::cluster::tail::{Begin, Saw, Tail};
use crate::cluster::{Finding, KnownLog, logged};

/// How many messages are asked for at a time.
const BATCH: usize = 256;
/// How often a consumer says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long it waits for messages before it is asked again.
const PULL_EXPIRES: Duration = Duration::from_secs(15);
/// How often the stream is asked whether it is what was told.
const COMPARED_EVERY: Duration = Duration::from_secs(3);
/// How long to wait between two sessions that came to nothing, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How often, and in what distance, a stream is asked that says it has less than was told: a server that has just become its leader
/// may not have taken in all of it, and one that was cut off answers for a while.
const REWIND_ASKED: (u32, Duration) = (4, Duration::from_millis(500));
/// The same for a stream on several servers.
const REWIND_ASKED_OF_MANY: (u32, Duration) = (10, Duration::from_millis(1_500));
/// How long the servers may take for some entries that are there.
const FETCHED_WITHIN: Duration = Duration::from_secs(10);

/// Why a session ended.
enum Ended {
    /// The next one knows what to do.
    BeginAgain,
    /// The log has lost entries that were told: the stream's leader says so.
    Rewound,
    /// One server says so, and the leader is to be asked.
    Differs,
    Fault(NatsFault),
}

impl From<NatsFault> for Ended {
    fn from(fault: NatsFault) -> Self {
        Self::Fault(fault)
    }
}

/// A look at the stream that is under way: its end, if it is what was told.
type Comparison = Pin<Box<dyn Future<Output = Result<Position, Ended>> + Send>>;

pub(super) struct Tailing {
    shared: Arc<Shared>,
    follower: Arc<dyn Follower>,
    tail: Tail,
    /// Whether the hub was told that the store is gone.
    is_stalled: bool,
    /// Whether the session has come as far as to deliver.
    has_delivered: bool,
    /// The time of the newest entry: times never fall.
    newest_at: SystemTime,
    warned: Vec<Finding>,
}

impl Tailing {
    pub(super) fn new(shared: Arc<Shared>, follower: Arc<dyn Follower>) -> Self {
        Self {
            shared,
            follower,
            tail: Tail::default(),
            is_stalled: false,
            has_delivered: false,
            newest_at: SystemTime::UNIX_EPOCH,
            warned: Vec::new(),
        }
    }

    /// Follows for as long as the engine is there.
    pub(super) async fn run(mut self) {
        let mut delay = RETRY.0;
        loop {
            self.has_delivered = false;
            let Err(ended) = self.session().await;
            self.shared.is_in_doubt();
            self.follower.ring();
            let ended = match ended {
                Ended::Differs => self.ask_the_leader().await,
                ended => ended,
            };
            let ended = match ended {
                Ended::Rewound => self.renew().await,
                ended => ended,
            };
            match ended {
                // A consumer that is lost is no stall as long as another one does what it did.
                Ended::Fault(fault) if self.has_delivered && self.shared.store.is_connected() => {
                    tracing::debug!(%fault, "the tail of the log is begun again");
                    delay = RETRY.0;
                }
                Ended::Fault(fault) => self.stall(fault),
                Ended::BeginAgain | Ended::Rewound | Ended::Differs => delay = RETRY.0,
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RETRY.1);
        }
    }

    fn stall(&mut self, fault: NatsFault) {
        if !self.is_stalled {
            let cause = std::error::Error::source(&fault).map(ToString::to_string);
            if fault.needs_hands() {
                tracing::error!(%fault, cause, "the log on NATS cannot be used");
            } else {
                tracing::warn!(%fault, cause, "the log on NATS is out of reach; it is tried again");
            }
        }
        self.is_stalled = true;
        self.follower.accept(Followed::Stalled { fault: Arc::new(fault) });
        self.follower.ring();
    }

    async fn session(&mut self) -> Result<std::convert::Infallible, Ended> {
        let (opened, findings) = self.shared.store.open().await?;
        self.warn(findings);
        let from = match self.tail.begin(opened.ends(), self.shared.warm_events) {
            Begin::Log { from } => {
                self.begin_log(&opened, from).await?;
                from
            }
            Begin::Again { from } => {
                if let Some(through) = self.tail.begins_at(opened.ends().first) {
                    self.lost(through);
                    self.follower.ring();
                }
                from
            }
            Begin::Rewound => return Err(self.rewound_by_its_end(&opened).await),
        };
        let consumer = self.shared.store.consumer(from, Vec::new()).await?;
        let followed = self.follow(&consumer, opened.ends().next).await;
        self.shared.store.forget(&consumer);
        followed
    }

    fn warn(&mut self, findings: Vec<Finding>) {
        if findings != self.warned {
            for finding in &findings {
                tracing::warn!(
                    stream = self.shared.store.names.stream,
                    "about the stream of the log: {finding}"
                );
            }
            self.warned = findings;
        }
    }

    /// Tells the hub of a log that it has not followed.
    async fn begin_log(&mut self, opened: &Opened, from: Position) -> Result<(), Ended> {
        let log = KnownLog::of(&opened.identity);
        if self.tail.epoch().is_some() {
            // Nothing is taken until it is known what stands in there.
            self.is_stalled = true;
            self.follower.accept(Followed::Stalled { fault: Arc::new(NatsFault::BegunAnew) });
            self.follower.ring();
        }
        self.shared.forget_log();
        let ends = opened.ends();
        self.index(&log, opened, from).await?;
        let before = match from.checked_sub(1) {
            None | Some(0) => None,
            Some(position) => check_at(&self.shared, position).await?,
        };
        if self.tail.epoch().is_some() {
            tracing::warn!("the log began anew, and has lost what was told: subscribers are told of a gap");
        }
        self.tail.log(log.epoch, from, before);
        self.shared.lock().log = Some(log.clone());
        self.follower.accept(Followed::NewEpoch(Origin {
            epoch: log.epoch,
            key: log.key,
            from,
            next: ends.next,
            check_before: before.unwrap_or(Check::START),
        }));
        self.follower.ring();
        self.shared.is_verified();
        Ok(())
    }

    /// Learns the publishers' ids and the keys of what stands before the entries that are told.
    async fn index(&self, log: &KnownLog, opened: &Opened, before: Position) -> Result<(), NatsFault> {
        let first = opened.ends().first;
        if first >= before {
            return Ok(());
        }
        let consumer = self.shared.store.consumer(first, self.shared.store.names.indexed()).await?;
        // One that is behind would say that there is no more.
        if !opened.is_whole_at(&consumer) {
            self.shared.store.forget(&consumer);
            return Err(NatsFault::Behind);
        }
        let mut left = consumer.cached_info().num_pending;
        while left > 0 {
            let fetched = consumer.fetch().max_messages(BATCH).messages().await;
            let mut messages = fetched.map_err(NatsFault::no_answer)?;
            let mut received = 0;
            while let Some(message) = soon(messages.next()).await? {
                let message = message.map_err(|error| NatsFault::TailLost(error.into()))?;
                let (position, pending, at) = place(&message)?;
                received += 1;
                left = pending;
                if position >= before {
                    left = 0;
                } else if let Ok(entry) = Envelope::read(&message.payload) {
                    self.learn(log, position, at, &entry);
                }
            }
            if received == 0 {
                return Err(lost(ErrorKind::TimedOut));
            }
        }
        self.shared.store.forget(&consumer);
        Ok(())
    }

    /// Remembers an entry's id and key, if it has them.
    fn learn(&self, log: &KnownLog, position: Position, at: SystemTime, entry: &Envelope<'_>) {
        let payload = &entry.payload;
        if payload.id.is_none() && payload.key.is_none() {
            return;
        }
        let submission = payload.key.and_then(|_| payload.submission());
        let mut state = self.shared.lock();
        if let Some(id) = payload.id {
            state.ids.push(position, id);
        }
        if let (Some(key), Some(submission)) = (payload.key, submission) {
            let id = log.id(position, entry.check, submission.chosen_id.as_ref());
            let appended = Appended { position, id, duplicate: false };
            state.keys.remember(IdempotencyKey::new(key), submission.fingerprint(), at, appended);
        }
    }

    /// Tells what a consumer delivers, until it does not any more.
    async fn follow(
        &mut self,
        consumer: &PullConsumer,
        known_next: Position,
    ) -> Result<std::convert::Infallible, Ended> {
        let stream =
            consumer.stream().max_messages_per_batch(BATCH).heartbeat(HEARTBEAT).expires(PULL_EXPIRES);
        let mut messages = stream.messages().await.map_err(NatsFault::no_answer)?;
        self.tail.consume();
        if std::mem::take(&mut self.is_stalled) {
            tracing::info!("the log on NATS is back");
            self.follower.accept(Followed::Recovered);
        }
        let mut compare = tokio::time::interval(COMPARED_EVERY);
        compare.reset();
        // Where the stream ended when it was asked last, and how far it was told then.
        let mut asked = (known_next, self.tail.next());
        let mut comparing: Option<Comparison> = None;
        loop {
            // What was there when it was asked last is known now.
            let has_all = self.tail.next() >= Some(asked.0);
            self.shared.lock().is_current = has_all;
            tokio::select! {
                message = messages.next() => self.take_all(message, &mut messages).await?,
                ends = async { comparing.as_mut().expect("it compares").await }, if comparing.is_some() => {
                    comparing = None;
                    // It has had something for a while, and a consumer that works would have delivered some of it.
                    if !has_all && asked.1 == self.tail.next() {
                        return Err(lost(ErrorKind::TimedOut).into());
                    }
                    asked = (ends?, self.tail.next());
                    self.shared.is_verified();
                }
                _ = compare.tick(), if comparing.is_none() => comparing = Some(Box::pin(self.comparison())),
                () = self.shared.suspicion.notified(), if comparing.is_none() => {
                    comparing = Some(Box::pin(self.comparison()));
                }
            }
        }
    }

    /// Tells a message and those that have come with it.
    async fn take_all(
        &mut self,
        first: Option<Result<Message, MessagesError>>,
        messages: &mut Messages,
    ) -> Result<(), Ended> {
        let mut next = first;
        let mut taken = 0;
        let taken_all = loop {
            let Some(message) = next else { break Err(lost(ErrorKind::BrokenPipe).into()) };
            let told = match message {
                Ok(message) => self.take(&message).await,
                Err(error) => Err(NatsFault::TailLost(Arc::new(error)).into()),
            };
            taken += 1;
            if told.is_err() || taken == BATCH {
                break told;
            }
            next = match messages.next().now_or_never() {
                Some(message) => message,
                None => break Ok(()),
            };
        };
        self.follower.ring();
        taken_all
    }

    /// What the session's consumer delivers is the log that was told.
    fn delivers(&mut self) {
        if !std::mem::replace(&mut self.has_delivered, true) {
            self.shared.is_verified();
        }
    }

    fn lost(&self, through: Position) {
        tracing::warn!(through, "entries are gone from the stream before they came here");
        self.follower.accept(Followed::Hole { through });
    }

    async fn take(&mut self, message: &Message) -> Result<(), Ended> {
        let info = message.info().map_err(|error| NatsFault::TailLost(error.into()))?;
        let position = info.stream_sequence;
        let read = Envelope::read(&message.payload);
        let check = read.as_ref().ok().map(|entry| entry.check);
        match self.tail.saw(info.consumer_sequence, position, check, None) {
            Saw::Next => {}
            Saw::Behind { lost_through } => {
                // The server that delivers may have lost what the others have.
                if self.shared.store.message(lost_through).await?.is_some() {
                    return Err(lost(ErrorKind::InvalidData).into());
                }
                self.lost(lost_through);
            }
            Saw::Known => {
                self.delivers();
                return Ok(());
            }
            Saw::Rewound => return Err(Ended::Differs),
            Saw::Broken => return Err(lost(ErrorKind::InvalidData).into()),
        }
        self.delivers();
        self.newest_at = self.newest_at.max(info.published.into());
        let log = {
            let mut state = self.shared.lock();
            state.told = position + 1;
            state.log.clone()
        };
        let entry =
            read.as_ref().ok().and_then(|entry| Some((entry, logged(position, self.newest_at, entry)?)));
        match (log, entry) {
            (Some(log), Some((entry, logged))) => {
                self.learn(&log, position, logged.at, entry);
                self.follower.accept(Followed::Entry(logged));
            }
            _ => {
                let newer = matches!(read, Err(NoEnvelope::Newer));
                tracing::error!(position, newer, "a message of the stream is no entry that can be read here");
                self.shared.lock().unreadable += 1;
                self.follower.accept(Followed::Hole { through: position });
            }
        }
        Ok(())
    }

    /// Holds what was told up to now against the stream. Gives its end.
    fn comparison(&self) -> impl Future<Output = Result<Position, Ended>> + Send + 'static {
        let (shared, tail) = (self.shared.clone(), self.tail.clone());
        async move {
            let opened = shared.store.look_again().await?;
            let ends = opened.ends();
            let check = match tail.last() {
                Some(last) if last >= ends.first && last < ends.next => check_at(&shared, last).await?,
                _ => None,
            };
            if !tail.agrees(ends, check) {
                let is_of_log = tail.epoch() == Some(ends.epoch) && tail.next() <= Some(ends.next);
                return Err(match is_of_log {
                    true if opened.is_of_majority() => Ended::Rewound,
                    true => Ended::Fault(NatsFault::CutOff),
                    false => Ended::BeginAgain,
                });
            }
            shared.lock().ids.trim(ends.first);
            Ok(ends.next)
        }
    }

    /// Whether the stream's leader, too, has another entry in the place of the last one that was told.
    async fn ask_the_leader(&self) -> Ended {
        let opened = match self.shared.store.look_again().await {
            Ok(opened) => opened,
            Err(fault) => return Ended::Fault(fault),
        };
        let check = match self.tail.last() {
            Some(last) => check_at(&self.shared, last).await,
            None => Ok(None),
        };
        match check {
            Err(fault) => Ended::Fault(fault),
            Ok(check) if self.tail.agrees(opened.ends(), check) || !opened.is_of_majority() => {
                Ended::Fault(lost(ErrorKind::InvalidData))
            }
            Ok(_) => {
                tracing::error!("the stream has another entry in the place of one that it had acknowledged");
                Ended::Rewound
            }
        }
    }

    /// The stream ends before what was told. Its leader may not have taken in everything yet; if it has, the log is another one.
    async fn rewound_by_its_end(&self, opened: &Opened) -> Ended {
        let (times, distance) =
            if opened.info.cluster.is_some() { REWIND_ASKED_OF_MANY } else { REWIND_ASKED };
        let mut short = 0;
        while short < times {
            tokio::time::sleep(distance).await;
            match self.shared.store.look_again().await {
                Ok(opened) if self.tail.next() <= Some(opened.ends().next) => return Ended::BeginAgain,
                Ok(opened) if self.tail.epoch() != Some(opened.identity.epoch) => return Ended::BeginAgain,
                Ok(opened) if !opened.is_of_majority() => return Ended::Fault(NatsFault::CutOff),
                Ok(_) => short += 1,
                Err(fault) => return Ended::Fault(fault),
            }
        }
        tracing::error!("the stream has lost entries that it had acknowledged");
        Ended::Rewound
    }

    /// Gives the log another epoch, so that every node begins it anew.
    async fn renew(&self) -> Ended {
        let Some(epoch) = self.tail.epoch() else { return Ended::BeginAgain };
        match self.shared.store.renew(epoch).await {
            Ok(()) => Ended::BeginAgain,
            Err(fault) => Ended::Fault(fault),
        }
    }
}

/// Where a message stands, how many are left behind it, and when the stream took it.
pub(super) fn place(message: &Message) -> Result<(Position, u64, SystemTime), NatsFault> {
    let info = message.info().map_err(|error| NatsFault::TailLost(error.into()))?;
    Ok((info.stream_sequence, info.pending, info.published.into()))
}

/// The check of an entry, as the stream's leader says it; `None` if it is not there.
async fn check_at(shared: &Shared, position: Position) -> Result<Option<Check>, NatsFault> {
    let message = shared.store.message(position).await?;
    Ok(message.and_then(|message| check_of(&message.payload)))
}

/// Waits for what is there, and not for ever: the library would, for a server that has died.
async fn soon<T>(future: impl Future<Output = T>) -> Result<T, NatsFault> {
    tokio::time::timeout(FETCHED_WITHIN, future).await.map_err(|_| lost(ErrorKind::TimedOut))
}

/// What a tail ends with that goes wrong without the library's saying so.
fn lost(kind: ErrorKind) -> NatsFault {
    NatsFault::TailLost(Arc::new(io::Error::from(kind)))
}
