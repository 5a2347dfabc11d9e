//! Sees the stream: what `cluster/following.rs` is told, and when to look again.
//!
//! Every few seconds the stream is asked whether it still is what was told. One server's word that it is not is not enough: its leader
//! is asked, and believed where it leads a majority.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::{MessagesError, Stream as Messages};
use fanfare_hub::engine::Follower;
use fanfare_hub::{Check, Position};
use futures_util::{FutureExt, StreamExt};

use super::error::NatsFault;
use super::shared::Shared;
use super::store::{Opened, Store};
use crate::cluster::KnownLog;
use crate::cluster::envelope::{Envelope, check_of};
use crate::cluster::following::{self, FollowedLog, Session, Telling};
use crate::cluster::tail::{Begin, Saw};

/// How many messages are asked for at a time.
const BATCH: usize = 256;
/// How often a consumer says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long it waits for messages before it is asked again.
const PULL_EXPIRES: Duration = Duration::from_secs(15);
/// How often the stream is asked whether it is what was told.
const COMPARED_EVERY: Duration = Duration::from_secs(3);
/// How often, and in what distance, a stream is asked that says it has less than was told: a server that has just become its leader
/// may not have taken in all of it, and one that was cut off answers for a while.
const REWIND_ASKED: (u32, Duration) = (4, Duration::from_millis(500));
/// The same for a stream on several servers.
const REWIND_ASKED_OF_MANY: (u32, Duration) = (10, Duration::from_millis(1_500));
/// How long the servers may take for some entries that are there.
const FETCHED_WITHIN: Duration = Duration::from_secs(10);

/// Why a session ended.
type Ended = following::Ended<NatsFault>;

/// A look at the stream that is under way: its end, if it is what was told.
type Comparison = Pin<Box<dyn Future<Output = Result<Position, Ended>> + Send>>;

pub(super) struct Tailing {
    telling: Telling<Shared>,
    /// One server has another entry than was told, and the leader is to be asked.
    differs: bool,
}

/// Follows for as long as the engine is there.
pub(super) async fn run(shared: Arc<Shared>, follower: Arc<dyn Follower>) {
    following::run(Tailing { telling: Telling::new(shared, follower), differs: false }).await;
}

impl Session for Tailing {
    type Log = Shared;

    fn telling(&mut self) -> &mut Telling<Shared> {
        &mut self.telling
    }

    async fn session(&mut self) -> Result<Infallible, Ended> {
        let (opened, findings) = self.store().open().await?;
        self.telling.warn(findings);
        let from = match self.telling.tail.begin(opened.ends(), self.telling.log.warm_events) {
            Begin::Log { from } => {
                self.begin_log(&opened, from).await?;
                from
            }
            Begin::Again { from } => {
                self.telling.begins_at(opened.ends().first);
                from
            }
            Begin::Rewound => return Err(self.rewound_by_its_end(&opened).await),
        };
        let consumer = self.store().consumer(from, Vec::new()).await?;
        let followed = self.follow(&consumer, opened.ends().next).await;
        self.store().forget(&consumer);
        if std::mem::take(&mut self.differs) {
            self.telling.log.is_in_doubt();
            return Err(self.ask_the_leader().await);
        }
        followed
    }

    async fn is_there(&self, _: &NatsFault) -> bool {
        self.store().is_connected()
    }
}

impl Tailing {
    fn store(&self) -> &Arc<Store> {
        &self.telling.log.store
    }

    /// Tells the hub of a log that it has not followed.
    async fn begin_log(&mut self, opened: &Opened, from: Position) -> Result<(), Ended> {
        let log = KnownLog::of(&opened.identity);
        self.telling.leave_log();
        self.index(&log, opened, from).await?;
        let before = match from.checked_sub(1) {
            None | Some(0) => None,
            Some(position) => check_at(&self.telling.log, position).await?,
        };
        self.telling.begin_log(log, from, opened.ends().next, before);
        Ok(())
    }

    /// Learns the publishers' ids and the keys of what stands before the entries that are told.
    async fn index(&self, log: &KnownLog, opened: &Opened, before: Position) -> Result<(), NatsFault> {
        let first = opened.ends().first;
        if first >= before {
            return Ok(());
        }
        let consumer = self.store().consumer(first, self.store().names.indexed()).await?;
        // One that is behind would say that there is no more.
        if !opened.is_whole_at(&consumer) {
            self.store().forget(&consumer);
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
                    self.telling.log.learn_of(log, position, at, &entry);
                }
            }
            if received == 0 {
                return Err(lost(ErrorKind::TimedOut));
            }
        }
        self.store().forget(&consumer);
        Ok(())
    }

    /// Tells what a consumer delivers, until it does not any more.
    async fn follow(&mut self, consumer: &PullConsumer, known_next: Position) -> Result<Infallible, Ended> {
        let stream =
            consumer.stream().max_messages_per_batch(BATCH).heartbeat(HEARTBEAT).expires(PULL_EXPIRES);
        let mut messages = stream.messages().await.map_err(NatsFault::no_answer)?;
        self.telling.tail.consume();
        self.telling.is_back();
        let mut compare = tokio::time::interval(COMPARED_EVERY);
        compare.reset();
        // Where the stream ended when it was asked last, and how far it was told then.
        let mut asked = (known_next, self.telling.tail.next());
        let mut comparing: Option<Comparison> = None;
        loop {
            // What was there when it was asked last is known now.
            let has_all = self.telling.tail.next() >= Some(asked.0);
            self.telling.log.lock().is_current = has_all;
            tokio::select! {
                message = messages.next() => self.take_all(message, &mut messages).await?,
                ends = async { comparing.as_mut().expect("it compares").await }, if comparing.is_some() => {
                    comparing = None;
                    // It has had something for a while, and a consumer that works would have delivered some of it.
                    if !has_all && asked.1 == self.telling.tail.next() {
                        return Err(lost(ErrorKind::TimedOut).into());
                    }
                    asked = (ends?, self.telling.tail.next());
                    self.telling.log.is_verified();
                }
                _ = compare.tick(), if comparing.is_none() => comparing = Some(Box::pin(self.comparison())),
                () = self.telling.log.suspicion.notified(), if comparing.is_none() => {
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
        self.telling.follower.ring();
        taken_all
    }

    /// What the session's consumer delivers is the log that was told.
    fn delivers(&mut self) {
        if !std::mem::replace(&mut self.telling.has_delivered, true) {
            self.telling.log.is_verified();
        }
    }

    async fn take(&mut self, message: &Message) -> Result<(), Ended> {
        let info = message.info().map_err(|error| NatsFault::TailLost(error.into()))?;
        let position = info.stream_sequence;
        let read = Envelope::read(&message.payload);
        let check = read.as_ref().ok().map(|entry| entry.check);
        match self.telling.tail.saw(info.consumer_sequence, position, check, None) {
            Saw::Next => {}
            Saw::Behind { lost_through } => {
                // The server that delivers may have lost what the others have.
                if self.store().message(lost_through).await?.is_some() {
                    return Err(lost(ErrorKind::InvalidData).into());
                }
                self.telling.lost(lost_through);
            }
            Saw::Known => {
                self.delivers();
                return Ok(());
            }
            Saw::Rewound => {
                self.differs = true;
                return Err(Ended::BeginAgain);
            }
            Saw::Broken => return Err(lost(ErrorKind::InvalidData).into()),
        }
        self.delivers();
        self.telling.log.lock().told = position + 1;
        self.telling.tell(position, info.published.into(), &read);
        Ok(())
    }

    /// Holds what was told up to now against the stream. Gives its end.
    fn comparison(&self) -> impl Future<Output = Result<Position, Ended>> + Send + 'static {
        let (shared, tail) = (self.telling.log.clone(), self.telling.tail.clone());
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
        let opened = match self.store().look_again().await {
            Ok(opened) => opened,
            Err(fault) => return Ended::Fault(fault),
        };
        let check = match self.telling.tail.last() {
            Some(last) => check_at(&self.telling.log, last).await,
            None => Ok(None),
        };
        match check {
            Err(fault) => Ended::Fault(fault),
            Ok(check) if self.telling.tail.agrees(opened.ends(), check) || !opened.is_of_majority() => {
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
            match self.store().look_again().await {
                Ok(opened) if self.telling.tail.next() <= Some(opened.ends().next) => {
                    return Ended::BeginAgain;
                }
                Ok(opened) if self.telling.tail.epoch() != Some(opened.identity.epoch) => {
                    return Ended::BeginAgain;
                }
                Ok(opened) if !opened.is_of_majority() => return Ended::Fault(NatsFault::CutOff),
                Ok(_) => short += 1,
                Err(fault) => return Ended::Fault(fault),
            }
        }
        Ended::Rewound
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
