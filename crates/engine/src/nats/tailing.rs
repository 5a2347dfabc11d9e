//! Follows the stream and tells the hub: `tail.rs` decides, this does it.
//!
//! One task for a hub. Whatever goes wrong ends a session, and the next begins where the log was told to; only what goes wrong twice
//! in a row is told as a stall. Every few seconds the stream is asked whether it still is what was told.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::{MessagesError, Stream as Messages};
use fanfare_hub::engine::{Appended, Followed, Follower, Origin};
use fanfare_hub::{Check, IdempotencyKey, Position};
use futures_util::{FutureExt, StreamExt};

use super::envelope::Envelope;
use super::error::NatsFault;
use super::setup::Finding;
use super::shared::{KnownLog, Shared, logged};
use super::store::Opened;
use super::tail::{Begin, Saw, Tail};

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
/// may not have taken in all of it.
const REWIND_ASKED: (u32, Duration) = (4, Duration::from_millis(500));

/// Why a session ended.
enum Ended {
    /// The next one knows what to do.
    BeginAgain,
    /// The log has lost entries that were told.
    Rewound,
    Fault(NatsFault),
}

impl From<NatsFault> for Ended {
    fn from(fault: NatsFault) -> Self {
        Self::Fault(fault)
    }
}

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
            self.shared.lock().is_current = false;
            self.follower.ring();
            if self.has_delivered {
                delay = RETRY.0;
            }
            let ended = match ended {
                Ended::Rewound => self.renew().await,
                ended => ended,
            };
            match ended {
                Ended::BeginAgain | Ended::Rewound => {
                    tokio::time::sleep(RETRY.0).await;
                    continue;
                }
                // A consumer that is lost is no stall as long as another one does what it did.
                Ended::Fault(fault) if self.has_delivered && self.shared.store.is_connected() => {
                    tracing::debug!(%fault, "the tail of the log is begun again");
                    continue;
                }
                Ended::Fault(fault) => self.stall(fault),
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
            Begin::Again { from } => from,
            Begin::Rewound => return Err(self.rewound_by_its_end().await),
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
        let log = KnownLog { epoch: opened.identity.epoch, key: opened.identity.id_key() };
        self.shared.forget_log();
        let ends = opened.ends();
        self.index(&log, ends.first, from).await?;
        let before = match from.checked_sub(1) {
            None | Some(0) => None,
            Some(position) => self.check_at(position).await?,
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
        Ok(())
    }

    async fn check_at(&self, position: Position) -> Result<Option<Check>, NatsFault> {
        let message = self.shared.store.message(position).await?;
        Ok(message.and_then(|message| Envelope::read(&message.payload).ok().map(|entry| entry.check)))
    }

    /// Learns the publishers' ids and the keys of what stands before the entries that are told.
    async fn index(&self, log: &KnownLog, first: Position, before: Position) -> Result<(), NatsFault> {
        if first >= before {
            return Ok(());
        }
        let consumer = self.shared.store.consumer(first, self.shared.store.names.indexed()).await?;
        let mut left = consumer.cached_info().num_pending;
        while left > 0 {
            let fetched = consumer.fetch().max_messages(BATCH).messages().await;
            let mut messages = fetched.map_err(NatsFault::no_answer)?;
            let had = left;
            while let Some(message) = messages.next().await {
                let message = message.map_err(|error| NatsFault::TailLost(error.into()))?;
                let (position, pending, at) = place(&message)?;
                left = pending;
                if position < before
                    && let Ok(entry) = Envelope::read(&message.payload)
                {
                    self.learn(log, position, at, &entry);
                }
                if position >= before {
                    left = 0;
                }
            }
            if left == had {
                return Err(NatsFault::TailLost(
                    std::io::Error::from(std::io::ErrorKind::TimedOut).into_arc(),
                ));
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
        self.has_delivered = true;
        let mut compare = tokio::time::interval(COMPARED_EVERY);
        compare.reset();
        let mut told_next = self.tail.next();
        loop {
            // What was there when the session began is known now.
            if self.tail.next() >= Some(known_next) {
                self.shared.lock().is_current = true;
            }
            tokio::select! {
                message = messages.next() => self.take_all(message, &mut messages)?,
                _ = compare.tick() => {
                    let next = self.compare().await?;
                    // It has something, and a consumer that works would have delivered it.
                    if told_next == self.tail.next() && told_next.is_some_and(|told| told < next) {
                        let nothing = std::io::Error::from(std::io::ErrorKind::TimedOut);
                        return Err(NatsFault::TailLost(nothing.into_arc()).into());
                    }
                    told_next = self.tail.next();
                }
                () = self.shared.suspicion.notified() => drop(self.compare().await?),
            }
        }
    }

    /// Tells a message and those that have come with it.
    fn take_all(
        &mut self,
        first: Option<Result<Message, MessagesError>>,
        messages: &mut Messages,
    ) -> Result<(), Ended> {
        let mut next = first;
        let mut taken = 0;
        let taken_all = loop {
            let gone =
                || Err(NatsFault::TailLost(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into_arc()));
            let Some(message) = next else { break gone().map_err(Ended::from) };
            let told = match message {
                Ok(message) => self.take(&message),
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

    fn take(&mut self, message: &Message) -> Result<(), Ended> {
        let (position, _, taken) = place(message)?;
        let info = message.info().map_err(|error| NatsFault::TailLost(error.into()))?;
        let read = Envelope::read(&message.payload);
        let check = read.as_ref().ok().map(|entry| entry.check);
        match self.tail.saw(info.consumer_sequence, position, check) {
            Saw::Next => {}
            Saw::Behind { lost_through } => {
                tracing::warn!(
                    through = lost_through,
                    "entries are gone from the stream before they came here"
                );
                self.follower.accept(Followed::Hole { through: lost_through });
            }
            Saw::Known => return Ok(()),
            Saw::Rewound => {
                tracing::error!(
                    position,
                    "the stream has another entry in the place of one that it had acknowledged"
                );
                return Err(Ended::Rewound);
            }
            Saw::Broken => {
                let broken = std::io::Error::from(std::io::ErrorKind::InvalidData);
                return Err(NatsFault::TailLost(broken.into_arc()).into());
            }
        }
        self.newest_at = self.newest_at.max(taken);
        let log = self.shared.lock().log.clone();
        let entry =
            read.as_ref().ok().and_then(|entry| Some((entry, logged(position, self.newest_at, entry)?)));
        match (log, entry) {
            (Some(log), Some((entry, logged))) => {
                self.learn(&log, position, logged.at, entry);
                self.follower.accept(Followed::Entry(logged));
            }
            _ => {
                let newer = matches!(read, Err(super::envelope::NoEnvelope::Newer));
                tracing::error!(position, newer, "a message of the stream is no entry that can be read here");
                self.shared.lock().unreadable += 1;
                self.follower.accept(Followed::Hole { through: position });
            }
        }
        Ok(())
    }

    /// Holds what was told against the stream. Gives its end.
    async fn compare(&mut self) -> Result<Position, Ended> {
        let opened = self.shared.store.look_again().await?;
        let ends = opened.ends();
        let check = match self.tail.last() {
            Some(last) if last >= ends.first && last < ends.next => self.check_at(last).await?,
            _ => None,
        };
        if !self.tail.agrees(ends, check) {
            return Err(Ended::BeginAgain);
        }
        self.shared.lock().ids.trim(ends.first);
        Ok(ends.next)
    }

    /// The stream ends before what was told. Its leader may not have taken in everything yet; if it has, the log is another one.
    async fn rewound_by_its_end(&self) -> Ended {
        let (times, distance) = REWIND_ASKED;
        for _ in 0..times {
            tokio::time::sleep(distance).await;
            match self.shared.store.look_again().await {
                Ok(opened) if self.tail.next() <= Some(opened.ends().next) => return Ended::BeginAgain,
                Ok(opened) if self.tail.epoch() != Some(opened.identity.epoch) => return Ended::BeginAgain,
                Ok(_) => {}
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

trait IntoArc {
    fn into_arc(self) -> Arc<dyn std::error::Error + Send + Sync>;
}

impl IntoArc for std::io::Error {
    fn into_arc(self) -> Arc<dyn std::error::Error + Send + Sync> {
        Arc::new(self)
    }
}
