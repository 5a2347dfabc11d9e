//! The way to the server: one connection that all requests share, made anew when it is of no use, and others of a caller's own.
//!
//! Each request has a time within which it is answered or at fault. What is asked is not known here.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fanfare_hub::engine::Listener;
use futures_util::StreamExt;
use redis::aio::MultiplexedConnection as Connection;
use redis::{AsyncConnectionConfig, Client, RedisResult, Value};
use tokio::sync::Mutex;

use super::error::RedisFault;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it is not tried again to connect when it was in vain.
const IN_VAIN: Duration = Duration::from_millis(100);
/// How many requests may wait for the connection before whoever comes waits for them.
const WAITING_MAX: usize = 1_024;
/// How often it is asked whether a connection on which nothing need come still works, and how long that may take.
const ASKED_EVERY: Duration = Duration::from_secs(2);
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Link {
    client: Client,
    shared: Mutex<Shared>,
    is_connected: AtomicBool,
}

/// The connection for everything but the tail and what nodes say.
#[derive(Default)]
struct Shared {
    connection: Option<Connection>,
    /// How many there were before.
    number: u64,
    /// When it was tried in vain, and why it was.
    in_vain: Option<(Instant, RedisFault)>,
}

impl Link {
    pub(super) fn new(client: Client) -> Self {
        Self { client, shared: Mutex::default(), is_connected: AtomicBool::new(false) }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    /// Makes a connection of the caller's own.
    pub(super) async fn connect(&self) -> Result<Connection, RedisFault> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(WAITING_MAX);
        let connected = self.client.get_multiplexed_async_connection_with_config(&config).await;
        connected.map_err(RedisFault::connecting)
    }

    /// The connection that all requests share, and its number.
    async fn shared(&self) -> Result<(Connection, u64), RedisFault> {
        let mut shared = self.shared.lock().await;
        if let Some(connection) = &shared.connection {
            return Ok((connection.clone(), shared.number));
        }
        if let Some((at, fault)) = &shared.in_vain
            && at.elapsed() < IN_VAIN
        {
            return Err(fault.clone());
        }
        match self.connect().await {
            Ok(connection) => {
                let number = shared.number + 1;
                *shared = Shared { connection: Some(connection.clone()), number, in_vain: None };
                self.is_connected.store(true, Ordering::Relaxed);
                Ok((connection, number))
            }
            Err(fault) => {
                shared.in_vain = Some((Instant::now(), fault.clone()));
                Err(fault)
            }
        }
    }

    /// The connection with this number is of no use any more.
    async fn lose(&self, number: u64) {
        let mut shared = self.shared.lock().await;
        if shared.number == number {
            shared.connection = None;
            self.is_connected.store(false, Ordering::Relaxed);
        }
    }

    /// The server may be gone: whoever asks next connects again.
    pub(super) async fn suspect(&self) {
        let number = self.shared.lock().await.number;
        self.lose(number).await;
    }

    /// Asks over the shared connection.
    pub(super) async fn ask<T>(
        &self,
        within: Duration,
        request: impl AsyncFnOnce(&mut Connection) -> RedisResult<T>,
    ) -> Result<T, RedisFault> {
        let (mut connection, number) = self.shared().await?;
        let fault = match in_time(within, request(&mut connection)).await {
            Ok(answer) => return Ok(answer),
            Err(fault) => fault,
        };
        if fault.is_of_connection() {
            self.lose(number).await;
        }
        Err(fault)
    }

    /// Has everything told that comes on a channel, on a connection of its own, until that breaks or no more is asked for.
    pub(super) async fn listen(
        &self,
        channel: &str,
        listener: &mut Listener,
    ) -> Result<ControlFlow<()>, RedisFault> {
        let connected = in_time(CONNECT_TIMEOUT, self.client.get_async_pubsub()).await?;
        let (mut asking, mut messages) = connected.split();
        in_time(ANSWERED_WITHIN, asking.subscribe(channel)).await?;
        // One that hangs, or whose other end is gone, does not say so.
        let works = async {
            loop {
                tokio::time::sleep(ASKED_EVERY).await;
                if let Err(fault) = in_time(ANSWERED_WITHIN, asking.ping::<Value>()).await {
                    return fault;
                }
            }
        };
        let mut works = std::pin::pin!(works);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) if listener(message.get_payload_bytes()) => {}
                    Some(_) => return Ok(ControlFlow::Break(())),
                    None => return Ok(ControlFlow::Continue(())),
                },
                fault = &mut works => return Err(fault),
            }
        }
    }
}

/// Waits for an answer, and not for ever.
pub(super) async fn in_time<T>(
    within: Duration,
    answer: impl Future<Output = RedisResult<T>>,
) -> Result<T, RedisFault> {
    match tokio::time::timeout(within, answer).await {
        Ok(answered) => answered.map_err(RedisFault::of),
        Err(_) => Err(RedisFault::too_late()),
    }
}
