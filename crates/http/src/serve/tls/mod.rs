//! TLS for a serve loop: one certificate, read from files and read again when they change.
//!
//! rustls does the work, with ring's cryptography; here is decided what is offered. It orders no certificate: whatever
//! does that writes the files. What is told over the connection is [`connection`](super::connection)'s matter.

mod certificate;
mod error;
mod handshake;
mod renewal;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

pub use error::TlsError;

pub(crate) use handshake::{Secure, accept, is_http2, leave};

use certificate::Pem;

/// How often the files are looked at, unless told otherwise.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A certificate with its key, for [`Serve::tls`](super::Serve::tls).
///
/// Clients get TLS 1.2 or 1.3, and by ALPN HTTP/2 or HTTP/1.1. Who comes back resumes by a ticket, whose keys live in this
/// process alone. While it serves, the files are read again every ten seconds; when they have changed, new connections get
/// what is in them, and those that there are go on. A pair that cannot be used is told in the log, and the one before stays.
/// Clones are the same certificate.
///
/// ```no_run
/// use fanfare_http::{Tls, listen, serve};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = Tls::from_pem_files("fullchain.pem", "privkey.pem")?;
/// serve(listen(([0, 0, 0, 0], 443).into())?, axum::Router::new()).tls(tls).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tls {
    files: Arc<Files>,
    config: Arc<ServerConfig>,
    look_every: Duration,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// What was found last, good or bad; locked while the files are read, so that readers come one after another.
    seen: Mutex<Pem>,
    current: Arc<Current>,
}

impl Tls {
    /// Reads a certificate and its private key from files of PEM text, which may be the same file.
    ///
    /// `certificate` begins with the server's own certificate, and the intermediate ones follow. `key` is PKCS#8, PKCS#1 or
    /// SEC1: RSA of 2,048 to 8,192 bits, ECDSA on P-256 or P-384, or Ed25519.
    ///
    /// # Errors
    /// [`TlsError`]: a file cannot be read, is not what it should be, or the key is another certificate's.
    pub fn from_pem_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let (certificate, key) = (certificate.as_ref().to_owned(), key.as_ref().to_owned());
        let seen = Pem::read(&certificate, &key)?;
        let current = Arc::new(Current(RwLock::new(Arc::new(seen.certified(&certificate, &key)?))));
        let config = config(current.clone())?;
        let files = Arc::new(Files { certificate, key, seen: Mutex::new(seen), current });
        Ok(Self { files, config: Arc::new(config), look_every: LOOK_EVERY })
    }

    /// Sets how often the files are looked at while it serves. Default: every 10 s; less than a millisecond counts as one.
    #[must_use]
    pub fn look_every(mut self, interval: Duration) -> Self {
        self.look_every = interval.max(Duration::from_millis(1));
        self
    }

    /// Reads the files now, and says whether they have changed since they were read last. It blocks, as reading files does.
    ///
    /// # Errors
    /// As [`from_pem_files`](Self::from_pem_files); the certificate from before stays in use.
    pub fn reload(&self) -> Result<bool, TlsError> {
        self.files.reload()
    }
}

impl Files {
    fn reload(&self) -> Result<bool, TlsError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let found = Pem::read(&self.certificate, &self.key)?;
        if found == *seen {
            return Ok(false);
        }
        // Also what is of no use counts as seen: it is told once, and not every few seconds.
        *seen = found;
        self.current.replace(seen.certified(&self.certificate, &self.key)?);
        Ok(true)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("certificate", &self.files.certificate)
            .field("key", &self.files.key)
            .field("look_every", &self.look_every)
            .finish_non_exhaustive()
    }
}

fn config(current: Arc<Current>) -> Result<ServerConfig, TlsError> {
    // Named here and not by the process's default, which belongs to the application.
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::setup)?
        .with_no_client_auth()
        .with_cert_resolver(current);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = ring::Ticketer::new().map_err(TlsError::setup)?;
    Ok(config)
}

/// What new connections get; whatever name they ask for, there is one.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl Current {
    fn replace(&self, certified: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
