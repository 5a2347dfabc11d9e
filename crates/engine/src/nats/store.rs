//! What is asked of JetStream: the stream and its ends, single entries, consumers, and to take a publication.
//!
//! Each request has a time within which it is answered or at fault. Nothing is remembered here.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State as Connection;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{
    Context, ContextBuilder, CreateStreamErrorKind, GetStreamErrorKind, PublishAckFuture, PublishError,
    PublishErrorKind,
};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::{Config, Info, PeerInfo, RawMessageErrorKind, Stream};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, Subscriber};
use fanfare_hub::Position;
use fanfare_hub::engine::AppendError;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::NatsFault;
use super::names::Names;
use super::setup::{self, Wanted};
use crate::cluster::Finding;
use crate::cluster::identity::{Identity, NoIdentity};
use crate::cluster::tail::Ends;

/// How long a request may take that is no publication.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How many publications are on their way at once.
const IN_FLIGHT_MAX: usize = 16_384;
/// How many bytes of them, in KiB.
const IN_FLIGHT_KIB_MAX: usize = 64 * 1024;
/// How long the servers keep a consumer that nobody asks for anything.
const CONSUMER_KEPT: Duration = Duration::from_secs(30);
/// How long to wait for an attempt with the same key that is under way.
const CONFLICT_DELAY: Duration = Duration::from_millis(50);

/// The stream of a hub.
pub(super) struct Store {
    pub(super) names: Names,
    wanted: Wanted,
    client: Client,
    /// For everything but publications.
    context: Context,
    publishing: Context,
    ack_timeout: Duration,
    bytes: Semaphore,
}

/// The stream as it said it was a moment ago.
pub(super) struct Opened {
    pub(super) info: Info,
    pub(super) identity: Identity,
}

/// Within what time a leader has heard of those that it leads: they answer every second, and elect another one when they have heard
/// nothing of it for four at least.
const HEARD_OF_WITHIN: Duration = Duration::from_secs(3);

/// After what time a leader that is not cut off has heard of those that it leads once more.
const HEARD_OF_AGAIN: Duration = Duration::from_millis(1_500);

impl Opened {
    /// Whether who answered still leads most of the stream's servers: one that was cut off answers for a while.
    pub(super) fn is_of_majority(&self) -> bool {
        self.is_majority(|peer| peer.active < HEARD_OF_WITHIN)
    }

    /// Whether who answered has most of the stream's servers behind it since a moment ago, and they have all that it has: one that
    /// has just been elected does not know what is stored before these have it.
    fn has_majority_again(&self) -> bool {
        self.is_majority(|peer| peer.active < HEARD_OF_AGAIN && peer.current && peer.lag.unwrap_or(0) == 0)
    }

    /// Whether who answered and those of the stream's other servers that are so are most of them.
    fn is_majority(&self, is_so: impl Fn(&PeerInfo) -> bool) -> bool {
        let others = self.info.cluster.as_ref().map_or(&[][..], |cluster| &cluster.replicas);
        let count = others.iter().filter(|peer| !peer.offline && is_so(peer)).count();
        2 * (count + 1) > others.len() + 1
    }

    /// Who answered, if the stream is on several servers.
    fn leader(&self) -> Option<&String> {
        self.info.cluster.as_ref().and_then(|cluster| cluster.leader.as_ref())
    }

    /// Whether a consumer is served by a server that has all of the stream.
    pub(super) fn is_whole_at(&self, consumer: &PullConsumer) -> bool {
        let Some(cluster) = self.info.cluster.as_ref().filter(|cluster| !cluster.replicas.is_empty()) else {
            return true;
        };
        let server = consumer.cached_info().cluster.as_ref().and_then(|of| of.leader.as_ref());
        server.is_some_and(|server| {
            let has_all =
                |peer: &PeerInfo| peer.name == *server && peer.current && peer.lag.unwrap_or(0) == 0;
            cluster.leader.as_ref() == Some(server) || cluster.replicas.iter().any(has_all)
        })
    }

    pub(super) fn ends(&self) -> Ends {
        let state = &self.info.state;
        let next = state.last_sequence + 1;
        let first = if state.messages == 0 { next } else { state.first_sequence.max(1) };
        Ends { epoch: self.identity.epoch, first, next }
    }
}

impl Store {
    pub(super) fn new(client: Client, names: Names, wanted: Wanted, ack_timeout: Duration) -> Self {
        let context = ContextBuilder::new().timeout(REQUEST_TIMEOUT).build(client.clone());
        let publishing = ContextBuilder::new()
            .timeout(ack_timeout)
            .max_ack_inflight(IN_FLIGHT_MAX)
            .backpressure_on_inflight(false)
            .build(client.clone());
        let bytes = Semaphore::new(IN_FLIGHT_KIB_MAX);
        Self { names, wanted, client, context, publishing, ack_timeout, bytes }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == Connection::Connected
    }

    fn check_connected(&self) -> Result<(), NatsFault> {
        if self.is_connected() { Ok(()) } else { Err(NatsFault::NotConnected) }
    }

    /// Asks for the stream, and creates it if there is none. Says what its owner should know besides.
    pub(super) async fn open(&self) -> Result<(Opened, Vec<Finding>), NatsFault> {
        let opened = match self.look().await? {
            Some(opened) => opened,
            None => self.create().await?,
        };
        let findings = self.judge(&opened)?;
        Ok((opened, findings))
    }

    /// Says what the stream's owner should know about it.
    pub(super) fn judge(&self, opened: &Opened) -> Result<Vec<Finding>, NatsFault> {
        let findings = setup::findings(&self.names, &self.wanted, &opened.info);
        match Finding::refused(&findings) {
            Some(why) => Err(NatsFault::Unfit { stream: self.names.stream.clone(), why: why.to_owned() }),
            None => Ok(findings),
        }
    }

    /// Asks for the stream. `None` if there is none.
    pub(super) async fn look(&self) -> Result<Option<Opened>, NatsFault> {
        let Some(info) = self.info().await? else { return Ok(None) };
        let identity = Identity::read(&info.config.metadata).map_err(|none| self.no_identity(none))?;
        Ok(Some(Opened { info, identity }))
    }

    /// Asks for the stream, whatever it holds. `None` if there is none.
    pub(super) async fn info(&self) -> Result<Option<Info>, NatsFault> {
        self.check_connected()?;
        let stream = match self.context.get_stream(&self.names.stream).await {
            Ok(stream) => stream,
            Err(error) => {
                return match error.kind() {
                    GetStreamErrorKind::JetStream(error)
                        if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                    {
                        Ok(None)
                    }
                    GetStreamErrorKind::JetStream(error) => Err(NatsFault::answered(error)),
                    _ => Err(NatsFault::no_answer(error)),
                };
            }
        };
        Ok(Some(stream.cached_info().clone()))
    }

    /// As [`look`](Self::look), where there is no reason that the stream should be gone.
    pub(super) async fn look_again(&self) -> Result<Opened, NatsFault> {
        self.look().await?.ok_or_else(|| NatsFault::answered(NoStream(self.names.stream.clone())))
    }

    /// As [`look_again`](Self::look_again), from a leader that was it all the time: it answered some time before, too, and has heard of
    /// most of those that it leads since then, so nobody else can have led meanwhile; and these have all that it has.
    pub(super) async fn look_surely(&self) -> Result<Opened, NatsFault> {
        let first = self.look_again().await?;
        if first.info.cluster.as_ref().is_none_or(|cluster| cluster.replicas.is_empty()) {
            return Ok(first);
        }
        tokio::time::sleep(HEARD_OF_AGAIN).await;
        let second = self.look_again().await?;
        if second.leader() != first.leader() || !second.has_majority_again() {
            return Err(NatsFault::CutOff);
        }
        Ok(second)
    }

    fn no_identity(&self, none: NoIdentity) -> NatsFault {
        let stream = self.names.stream.clone();
        match none {
            NoIdentity::Foreign => NatsFault::Foreign { stream },
            NoIdentity::Newer => NatsFault::Newer { stream },
            NoIdentity::Begun => NatsFault::Begun { stream },
        }
    }

    async fn create(&self) -> Result<Opened, NatsFault> {
        let identity = Identity::draw().map_err(|_| NatsFault::NoRandomness)?;
        let config = setup::config(&self.names, &self.wanted, identity);
        match self.context.create_stream(config).await {
            Ok(stream) => {
                tracing::info!(stream = self.names.stream, "created the stream of the log");
                let info = stream.cached_info().clone();
                // What a server does not know it does not keep.
                let identity =
                    Identity::read(&info.config.metadata).map_err(|none| self.no_identity(none))?;
                Ok(Opened { info, identity })
            }
            Err(error) => match error.kind() {
                // Another node was faster.
                CreateStreamErrorKind::JetStream(error)
                    if error.error_code() == ErrorCode::STREAM_NAME_EXIST =>
                {
                    self.look_again().await
                }
                CreateStreamErrorKind::JetStream(error) => Err(NatsFault::answered(error)),
                _ => Err(NatsFault::no_answer(error)),
            },
        }
    }

    /// Gives the log another epoch, unless somebody else has.
    pub(super) async fn renew(&self, epoch: u32) -> Result<(), NatsFault> {
        // Whoever notices it, too, is not as fast or as slow.
        let mut random = [0];
        getrandom::fill(&mut random).map_err(|_| NatsFault::NoRandomness)?;
        tokio::time::sleep(Duration::from_millis(u64::from(random[0]))).await;
        let opened = self.look_again().await?;
        if opened.identity.epoch != epoch {
            return Ok(());
        }
        let renewed = opened.identity.renewed().map_err(|_| NatsFault::NoRandomness)?;
        let mut config = opened.info.config;
        renewed.write(&mut config.metadata);
        self.update(config).await
    }

    /// Changes how the stream is set up.
    pub(super) async fn update(&self, config: Config) -> Result<(), NatsFault> {
        self.context.update_stream(config).await.map(drop).map_err(NatsFault::answered)
    }

    /// How much a stream that is created keeps.
    pub(super) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Creates the stream, in place of one that is there.
    pub(super) async fn create_anew(&self, config: Config) -> Result<(), NatsFault> {
        if self.info().await?.is_some() {
            self.context.delete_stream(&self.names.stream).await.map_err(NatsFault::answered)?;
        }
        self.context.create_stream(config).await.map(drop).map_err(NatsFault::answered)
    }

    async fn stream(&self) -> Result<Stream<()>, NatsFault> {
        self.context.get_stream_no_info(&self.names.stream).await.map_err(NatsFault::answered)
    }

    /// Reads one message from the stream's leader. `None` if it is not there.
    pub(super) async fn message(&self, position: Position) -> Result<Option<StreamMessage>, NatsFault> {
        self.check_connected()?;
        match self.stream().await?.get_raw_message(position).await {
            Ok(message) => Ok(Some(message)),
            Err(error) => match error.kind() {
                RawMessageErrorKind::NoMessageFound => Ok(None),
                RawMessageErrorKind::JetStream(error)
                    if error.error_code() == ErrorCode::NO_MESSAGE_FOUND =>
                {
                    Ok(None)
                }
                RawMessageErrorKind::JetStream(error) => Err(NatsFault::answered(error)),
                _ => Err(NatsFault::no_answer(error)),
            },
        }
    }

    /// Makes a consumer of what stands from a position on: all of it, or that of some subjects.
    pub(super) async fn consumer(
        &self,
        from: Position,
        subjects: Vec<String>,
    ) -> Result<PullConsumer, NatsFault> {
        self.check_connected()?;
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from },
            ack_policy: AckPolicy::None,
            filter_subjects: subjects,
            inactive_threshold: CONSUMER_KEPT,
            num_replicas: 1,
            memory_storage: true,
            ..pull::Config::default()
        };
        let consumer: Consumer<pull::Config> =
            self.stream().await?.create_consumer(config).await.map_err(NatsFault::no_answer)?;
        Ok(consumer)
    }

    /// Says that a consumer is not needed any more. If it is not heard, the servers find out.
    pub(super) fn forget(self: &Arc<Self>, consumer: &PullConsumer) {
        let name = consumer.cached_info().name.clone();
        let store = self.clone();
        tokio::spawn(async move {
            if let Ok(stream) = store.stream().await {
                let _ = stream.delete_consumer(&name).await;
            }
        });
    }

    /// Says a word to the other nodes, if there is a connection.
    pub(super) async fn say(&self, word: Vec<u8>) -> Result<(), NatsFault> {
        self.check_connected()?;
        self.client.publish(self.names.peers.clone(), word.into()).await.map_err(NatsFault::no_answer)
    }

    /// What nodes say from now on.
    pub(super) async fn words(&self) -> Result<Subscriber, NatsFault> {
        self.client.subscribe(self.names.peers.clone()).await.map_err(NatsFault::no_answer)
    }

    /// Publishes, and waits for the acknowledgement.
    pub(super) async fn publish(
        &self,
        subject: String,
        entry: Vec<u8>,
        message_id: Option<String>,
    ) -> Result<PublishAck, AppendError> {
        let room = self.bytes.try_acquire_many(kib(&entry));
        let room = room.map_err(|_| AppendError::Refused(Arc::new(NatsFault::Busy)))?;
        self.send(subject, entry, message_id, room).await?.answer().await
    }

    /// As [`publish`](Self::publish), but waits for room, and no longer than until it is handed to the connection: what is handed
    /// over one after the other stands in the stream like this.
    pub(super) async fn hand_in(
        &self,
        subject: String,
        entry: Vec<u8>,
        message_id: Option<String>,
    ) -> Result<HandedIn<'_>, AppendError> {
        let room = self.bytes.acquire_many(kib(&entry)).await;
        let room = room.map_err(|_| AppendError::Refused(Arc::new(NatsFault::Gone)))?;
        self.send(subject, entry, message_id, room).await
    }

    async fn send<'a>(
        &'a self,
        subject: String,
        entry: Vec<u8>,
        message_id: Option<String>,
        room: SemaphorePermit<'a>,
    ) -> Result<HandedIn<'a>, AppendError> {
        self.check_connected().map_err(refused)?;
        let mut message = PublishMessage::build().payload(entry.into()).expected_stream(&self.names.stream);
        if let Some(id) = message_id {
            message = message.message_id(id);
        }
        let give_up = tokio::time::Instant::now() + self.ack_timeout;
        let sent = self.publishing.send_publish(subject.clone(), message.clone()).await;
        // It was not handed to the connection.
        let sent = sent.map_err(|error| refused(not_sent(error)))?;
        Ok(HandedIn { publishing: &self.publishing, subject, message, sent, give_up, _room: room })
    }
}

fn refused(fault: NatsFault) -> AppendError {
    AppendError::Refused(Arc::new(fault))
}

/// The room that an entry takes on its way.
fn kib(entry: &[u8]) -> u32 {
    u32::try_from(entry.len() / 1024 + 1).unwrap_or(u32::MAX)
}

/// A publication that is on its way.
pub(super) struct HandedIn<'a> {
    publishing: &'a Context,
    subject: String,
    message: PublishMessage,
    sent: PublishAckFuture,
    give_up: tokio::time::Instant,
    _room: SemaphorePermit<'a>,
}

impl HandedIn<'_> {
    /// Waits for the acknowledgement.
    pub(super) async fn answer(self) -> Result<PublishAck, AppendError> {
        let Self { publishing, subject, message, mut sent, give_up, _room } = self;
        loop {
            let error = match sent.await {
                Ok(ack) => return Ok(ack),
                Err(error) => error,
            };
            let answer = std::error::Error::source(&error)
                .and_then(|source| source.downcast_ref::<jetstream::Error>())
                .map(jetstream::Error::error_code);
            return Err(match (error.kind(), answer) {
                // An attempt with the same key is on its way; soon it will be known what became of it.
                (_, Some(ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT))
                    if tokio::time::Instant::now() + CONFLICT_DELAY < give_up =>
                {
                    tokio::time::sleep(CONFLICT_DELAY).await;
                    let again = publishing.send_publish(subject.clone(), message.clone()).await;
                    sent = again.map_err(|error| refused(not_sent(error)))?;
                    continue;
                }
                (_, Some(ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT)) => {
                    AppendError::Unknown(Arc::new(NatsFault::answered(error)))
                }
                (_, Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)) => refused(NatsFault::TooLarge),
                (_, Some(code)) if is_before_storing(code, &error) => refused(NatsFault::answered(error)),
                // A leader whose disk failed answers with an error, too, and the others may have stored it.
                (_, Some(_)) => AppendError::Unknown(Arc::new(NatsFault::answered(error))),
                (PublishErrorKind::StreamNotFound, None) => refused(NatsFault::no_answer(error)),
                (_, None) => AppendError::Unknown(Arc::new(NatsFault::no_answer(error))),
            });
        }
    }
}

/// Whether it is looked at before anything is stored anywhere.
fn is_before_storing(code: ErrorCode, error: &PublishError) -> bool {
    matches!(
        code,
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::MEMORY_RESOURCES_EXCEEDED
            | ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::JETSTREAM_NOT_ENABLED
            | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT
            | ErrorCode::STREAM_NOT_MATCH
    ) || code == ErrorCode::STREAM_STORE_FAILED && error.to_string().contains("maximum ")
}

fn not_sent(error: PublishError) -> NatsFault {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => NatsFault::TooLarge,
        PublishErrorKind::MaxAckPending => NatsFault::Busy,
        _ => NatsFault::no_answer(error),
    }
}

/// The stream is gone that was there a moment ago.
#[derive(Debug)]
struct NoStream(String);

impl std::fmt::Display for NoStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the stream {} is gone", self.0)
    }
}

impl std::error::Error for NoStream {}
