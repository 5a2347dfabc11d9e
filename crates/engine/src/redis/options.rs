//! What a log on Redis is told when it is opened.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fanfare_hub::engine::KeyLimits;
use redis::io::tcp::TcpSettings;
use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};

use super::RedisEngine;
use super::error::ConnectError;
use super::names::Names;
use super::store::Limits;
use crate::cluster::redacted;

/// Configures a [`RedisEngine`].
#[must_use = "options do nothing until `connect`"]
#[derive(Clone)]
pub struct RedisOptions {
    address: String,
    hub: String,
    user: Option<String>,
    password: Option<String>,
    roots: Option<PathBuf>,
    client_certificate: Option<(PathBuf, PathBuf)>,
    events: Option<u64>,
    bytes: u64,
    age: Option<Duration>,
    pub(super) warm_events: u64,
    pub(super) keys: KeyLimits,
    pub(super) ack_timeout: Duration,
}

impl RedisOptions {
    pub(super) fn new(address: String) -> Self {
        Self {
            address,
            hub: "default".to_owned(),
            user: None,
            password: None,
            roots: None,
            client_certificate: None,
            events: None,
            bytes: 1024 * 1024 * 1024,
            age: None,
            warm_events: 10_000,
            keys: KeyLimits::default(),
            ack_timeout: Duration::from_secs(10),
        }
    }

    /// The hub's name, which is part of its keys'. All nodes of a hub have the same. Default `default`.
    pub fn hub(mut self, name: impl Into<String>) -> Self {
        self.hub = name.into();
        self
    }

    /// Who the hub is to Redis. Default: as the address says. Without a name, Redis' user `default`.
    pub fn user(mut self, name: impl Into<Option<String>>) -> Self {
        self.user = name.into();
        self
    }

    /// The password of that user. Default: as the address says.
    pub fn password(mut self, password: impl Into<Option<String>>) -> Self {
        self.password = password.into();
        self
    }

    /// A file of certificates, in PEM, that the server is believed by, instead of those of the system.
    pub fn root_certificates(mut self, file: impl Into<Option<PathBuf>>) -> Self {
        self.roots = file.into();
        self
    }

    /// The certificate and key, files in PEM, that the hub shows to a server which asks for one.
    pub fn client_certificate(mut self, files: impl Into<Option<(PathBuf, PathBuf)>>) -> Self {
        self.client_certificate = files.into();
        self
    }

    /// How many events are kept. Default: any number.
    ///
    /// What is kept is each node's to say, so all of them should say the same: what the strictest does not keep is gone.
    pub fn history_events(mut self, events: impl Into<Option<u64>>) -> Self {
        self.events = events.into();
        self
    }

    /// How many bytes of events are kept, about; Redis takes some more for them. Default 1 GiB. See
    /// [`history_events`](Self::history_events).
    pub fn history_bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// How old an event may become, by the clock of Redis; it goes within some seconds then. Default: any age. See
    /// [`history_events`](Self::history_events).
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

    /// How many idempotency keys are remembered, and for how long. They stand in Redis beside the log.
    pub fn idempotency(mut self, limits: KeyLimits) -> Self {
        self.keys = limits;
        self
    }

    /// How long Redis may take to answer a publication before its fate is called unknown. Default 10 seconds.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = timeout;
        self
    }

    /// Starts the engine, and returns without waiting for the server: a hub over it says that it is stalled until there is one.
    ///
    /// For an address with TLS, *ring* becomes the process's provider of cryptography for rustls, unless there is one.
    ///
    /// # Errors
    /// [`ConnectError`]: what could not work with any server.
    ///
    /// # Panics
    /// Outside of a runtime of tokio's.
    pub fn connect(self) -> Result<RedisEngine, ConnectError> {
        let client = self.client()?;
        let database = client.get_connection_info().redis_settings().db();
        let names =
            Names::of(&self.hub, database).ok_or_else(|| ConnectError::HubName { name: self.hub.clone() })?;
        let limits =
            Limits { events: self.events.unwrap_or(0), bytes: self.bytes, age: self.age.unwrap_or_default() };
        Ok(RedisEngine::start(client, names, limits, &self))
    }

    fn client(&self) -> Result<Client, ConnectError> {
        let info = self.address()?;
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            // Somebody else may have been faster, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        } else if self.roots.is_none() && self.client_certificate.is_none() {
            return Client::open(info).map_err(|error| self.no_server(Some(error)));
        }
        let client_tls = match &self.client_certificate {
            Some((certificate, key)) => {
                Some(ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? })
            }
            None => None,
        };
        let root_cert = self.roots.as_deref().map(read).transpose()?;
        Client::build_with_tls(info, TlsCertificates { client_tls, root_cert }).map_err(ConnectError::Tls)
    }

    fn address(&self) -> Result<ConnectionInfo, ConnectError> {
        let info = self.address.trim().into_connection_info().map_err(|error| self.no_server(Some(error)))?;
        if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
            return Err(self.no_server(None));
        }
        let mut settings = info.redis_settings().clone();
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        // Small requests go out at once.
        let tcp = TcpSettings::default().set_nodelay(true);
        Ok(info.set_redis_settings(settings).set_tcp_settings(tcp))
    }

    fn no_server(&self, error: Option<redis::RedisError>) -> ConnectError {
        ConnectError::Server { text: redacted(&self.address), error }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ConnectError> {
    fs::read(path).map_err(|error| ConnectError::File { path: path.to_owned(), error })
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("address", &redacted(&self.address))
            .field("hub", &self.hub)
            .finish_non_exhaustive()
    }
}
