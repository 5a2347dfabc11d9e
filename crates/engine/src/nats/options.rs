//! What a log on JetStream is told when it is opened.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};
use fanfare_hub::engine::KeyLimits;

use super::NatsEngine;
use super::error::ConnectError;
use super::names::Names;
use super::setup::Wanted;
use crate::cluster::redacted;

/// How often a connection that is quiet is looked at.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How many commands wait for the connection at most: those that wait when it breaks are sent when it is back, however late.
const WAITING_MAX: usize = 128;
/// How long to wait between two attempts.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(2);

/// Who a hub is to NATS. What stands in the servers' addresses, as `nats://user:password@host`, counts, too.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum NatsLogin {
    /// As the addresses say, or nobody.
    #[default]
    FromAddress,
    /// A token.
    Token(String),
    /// A user and a password.
    Password {
        /// Who.
        user: String,
        /// Their password.
        password: String,
    },
    /// The seed of an NKey.
    NKey(String),
    /// A file of credentials, with a token and a seed, as `nsc` writes it.
    CredentialsFile(PathBuf),
}

impl fmt::Debug for NatsLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FromAddress => "FromAddress",
            Self::Token(_) => "Token(…)",
            Self::Password { .. } => "Password(…)",
            Self::NKey(_) => "NKey(…)",
            Self::CredentialsFile(_) => "CredentialsFile(…)",
        })
    }
}

/// Configures a [`NatsEngine`].
#[must_use = "options do nothing until `connect`"]
#[derive(Clone)]
pub struct NatsOptions {
    servers: Vec<String>,
    hub: String,
    login: NatsLogin,
    roots: Option<PathBuf>,
    client_certificate: Option<(PathBuf, PathBuf)>,
    replicas: usize,
    events: Option<u64>,
    bytes: u64,
    age: Option<Duration>,
    pub(super) warm_events: u64,
    pub(super) keys: KeyLimits,
    pub(super) ack_timeout: Duration,
}

impl NatsOptions {
    pub(super) fn new(servers: Vec<String>) -> Self {
        Self {
            servers,
            hub: "default".to_owned(),
            login: NatsLogin::default(),
            roots: None,
            client_certificate: None,
            replicas: 3,
            events: None,
            bytes: 1024 * 1024 * 1024,
            age: None,
            warm_events: 10_000,
            keys: KeyLimits::default(),
            ack_timeout: Duration::from_secs(10),
        }
    }

    /// The hub's name, which is part of the stream's. All nodes of a hub have the same. Default `default`.
    pub fn hub(mut self, name: impl Into<String>) -> Self {
        self.hub = name.into();
        self
    }

    /// Who the hub is to NATS. Default: as the addresses say.
    pub fn login(mut self, login: NatsLogin) -> Self {
        self.login = login;
        self
    }

    /// A file of certificates, in PEM, that servers are believed by, besides those of the system.
    pub fn root_certificates(mut self, file: impl Into<Option<PathBuf>>) -> Self {
        self.roots = file.into();
        self
    }

    /// The certificate and key, files in PEM, that the hub shows to servers which ask for one.
    pub fn client_certificate(mut self, files: impl Into<Option<(PathBuf, PathBuf)>>) -> Self {
        self.client_certificate = files.into();
        self
    }

    /// On how many servers a stream that is created is kept: 1 to 5, default 3. One that is there is used as it is.
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas.clamp(1, 5);
        self
    }

    /// How many events a stream that is created keeps. Default: any number.
    pub fn history_events(mut self, events: impl Into<Option<u64>>) -> Self {
        self.events = events.into();
        self
    }

    /// How many bytes a stream that is created takes on each server. Default 1 GiB.
    pub fn history_bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// How old an event may become in a stream that is created. Default: any age.
    pub fn history_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.age = age.into();
        self
    }

    /// How many of the newest events are told to the hub when it starts, so that whoever resumes right then is served from
    /// memory. Default 10,000.
    pub fn warm_events(mut self, events: u64) -> Self {
        self.warm_events = events;
        self
    }

    /// How many idempotency keys are remembered, and for how long.
    pub fn idempotency(mut self, limits: KeyLimits) -> Self {
        self.keys = limits;
        self
    }

    /// How long JetStream may take to acknowledge a publication before its fate is called unknown. Default 10 seconds, which an
    /// election of a leader fits into.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = timeout;
        self
    }

    /// Starts the client, within a runtime of tokio's, and returns without waiting for a server: a hub over the engine says that it
    /// is stalled until there is one.
    ///
    /// # Errors
    /// [`ConnectError`]: what could not work with any server.
    pub async fn connect(self) -> Result<NatsEngine, ConnectError> {
        let names = Names::of(&self.hub).ok_or_else(|| ConnectError::HubName { name: self.hub.clone() })?;
        let servers = self.addresses()?;
        let client =
            self.client_options(&names).await?.connect(servers).await.map_err(ConnectError::Client)?;
        let wanted =
            Wanted { replicas: self.replicas, events: self.events, bytes: self.bytes, age: self.age };
        Ok(NatsEngine::start(client, names, wanted, &self))
    }

    fn addresses(&self) -> Result<Vec<ServerAddr>, ConnectError> {
        let wrong = |text: &str, error| ConnectError::Server { text: redacted(text), error };
        if self.servers.is_empty() {
            return Err(wrong("", None));
        }
        let address = |text: &String| text.trim().parse().map_err(|error| wrong(text, Some(error)));
        self.servers.iter().map(address).collect()
    }

    async fn client_options(&self, names: &Names) -> Result<ConnectOptions, ConnectError> {
        let mut options = ConnectOptions::new()
            .name(format!("fanfare {}", names.stream))
            .retry_on_initial_connect()
            .ping_interval(PING_INTERVAL)
            .connection_timeout(CONNECT_TIMEOUT)
            .client_capacity(WAITING_MAX)
            .reconnect_delay_callback(|attempt| {
                let steps = u32::try_from(attempt.min(16)).unwrap_or(16);
                (Duration::from_millis(50) * steps * steps).min(RECONNECT_DELAY_MAX)
            })
            .event_callback(|event| async move { tracing::info!(%event, "the connection to NATS") });
        options = match self.login.clone() {
            NatsLogin::FromAddress => options,
            NatsLogin::Token(token) => options.token(token),
            NatsLogin::Password { user, password } => options.user_and_password(user, password),
            NatsLogin::NKey(seed) => options.nkey(seed),
            NatsLogin::CredentialsFile(path) => {
                options.credentials_file(&path).await.map_err(|error| ConnectError::File { path, error })?
            }
        };
        if let Some(path) = &self.roots {
            readable(path)?;
            options = options.add_root_certificates(path.clone());
        }
        if let Some((certificate, key)) = &self.client_certificate {
            readable(certificate)?;
            readable(key)?;
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(options)
    }
}

/// The library reads it at each attempt to connect; what is missing is told at once.
fn readable(path: &std::path::Path) -> Result<(), ConnectError> {
    std::fs::File::open(path).map(drop).map_err(|error| ConnectError::File { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_a_login_is_told() {
        assert_eq!(format!("{:?}", NatsLogin::Token("secret".to_owned())), "Token(…)");
    }
}
