//! Fetches key sets from the network.
//!
//! It asks only servers whose addresses are public, unless told otherwise: a URL in a configuration, or in an issuer's
//! metadata, must not reach into the network that the hub runs in. Source: requirements M-098, M-106 and M-185.

mod address;
mod cache;
mod error;
mod get;
mod metadata;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use url::Url;

use super::key_set::KeySet;
use super::key_source::Source;
pub use error::{FetchError, FetchSetupError};

/// How key sets are fetched. Cheap to clone.
///
/// ```no_run
/// use fanfare_http::token::{Fetch, Issuer, KeySet};
///
/// let fetch = Fetch::new()?;
/// let keys = KeySet::of_issuer("https://accounts.shop.test", &fetch)?;
/// let issuer = Issuer::new("https://accounts.shop.test").publisher(keys.clone()).subscriber(keys);
/// # Ok::<(), fanfare_http::token::FetchSetupError>(())
/// ```
#[derive(Clone)]
pub struct Fetch {
    tls: Arc<ClientConfig>,
    allow_internal: bool,
    timeout: Duration,
}

/// One set to fetch.
pub(super) struct Target {
    fetch: Fetch,
    from: From,
}

enum From {
    /// The set itself.
    Set(Url),
    /// The metadata of an issuer of this name, which tell where the set is.
    Metadata { issuer: String, places: Vec<Url> },
}

/// How long one fetch takes at most, names and TLS included.
const TIMEOUT: Duration = Duration::from_secs(5);

impl Fetch {
    /// Trusts the certificate authorities that the operating system trusts, or those that the variables `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` name.
    pub fn new() -> Result<Self, FetchSetupError> {
        Self::trusting(&[])
    }

    /// Trusts also the authorities in these PEM texts, which may be a company's own.
    pub fn trusting(pem: &[&str]) -> Result<Self, FetchSetupError> {
        let mut roots = rustls::RootCertStore::empty();
        // What is wrong with single certificates of the system is nobody's fault here; none at all is noticed with the first
        // fetch.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for text in pem {
            for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
                let certificate = certificate.map_err(|_| FetchSetupError::Certificate)?;
                roots.add(certificate).map_err(|_| FetchSetupError::Certificate)?;
            }
        }
        // Named, not the default of the process, which belongs to whoever embeds us.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(FetchSetupError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(tls), allow_internal: false, timeout: TIMEOUT })
    }

    /// Lets it ask servers of this machine and of private networks too; those may then be asked over plain `http`.
    #[must_use]
    pub fn allow_internal(mut self) -> Self {
        self.allow_internal = true;
        self
    }

    /// How long one fetch takes at most, names and TLS included. Default: 5 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl KeySet {
    /// A set from an `https` URL, or a `file` URL. Nothing is fetched yet.
    ///
    /// It is read again as often as the answer's `Cache-Control` says, but at least once a day and at most once a minute;
    /// without one, every ten minutes. Redirects are not followed, and more than 256 KiB are not read.
    ///
    /// # Errors
    ///
    /// If `url` cannot be read as one that is fetched; `http` needs [`Fetch::allow_internal`].
    pub fn from_url(url: &str, fetch: &Fetch) -> Result<Self, FetchSetupError> {
        if let Some(path) = url.strip_prefix("file://") {
            let parsed = Url::parse(url).ok().and_then(|url| url.to_file_path().ok());
            return Ok(Self::from_file(parsed.unwrap_or_else(|| PathBuf::from(path))));
        }
        let url = checked(url, fetch)?;
        Ok(Self::new(Source::Network(Target { fetch: fetch.clone(), from: From::Set(url) }), Vec::new()))
    }

    /// The set that the metadata of `issuer` name (RFC 8414, or where there are none, `OpenID` Connect Discovery). Nothing is
    /// fetched yet.
    ///
    /// # Errors
    ///
    /// If `issuer` is not an `https` URL; `http` needs [`Fetch::allow_internal`].
    pub fn of_issuer(issuer: &str, fetch: &Fetch) -> Result<Self, FetchSetupError> {
        let places = metadata::places(&checked(issuer, fetch)?);
        let from = From::Metadata { issuer: issuer.to_owned(), places };
        Ok(Self::new(Source::Network(Target { fetch: fetch.clone(), from }), Vec::new()))
    }
}

fn checked(url: &str, fetch: &Fetch) -> Result<Url, FetchSetupError> {
    let url = Url::parse(url).map_err(|_| FetchSetupError::Url)?;
    if url.host().is_none() || !url.username().is_empty() || url.password().is_some() {
        return Err(FetchSetupError::Url);
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if fetch.allow_internal => Ok(url),
        _ => Err(FetchSetupError::Scheme),
    }
}

impl Target {
    /// The set as it is now, and after what time to ask again.
    pub(super) async fn read(&self) -> Result<(Vec<u8>, Duration), FetchError> {
        let reading = async {
            let answer = match &self.from {
                From::Set(url) => self.fetch.get(url).await?,
                From::Metadata { issuer, places } => {
                    let url = metadata::key_set_url(&self.fetch, issuer, places).await?;
                    self.fetch.get(&url).await?
                }
            };
            Ok((answer.body, cache::pause(&answer.head.headers)))
        };
        tokio::time::timeout(self.fetch.timeout, reading).await.unwrap_or(Err(FetchError::Timeout))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match &self.from {
            From::Set(url) => Some(url),
            From::Metadata { places, .. } => places.first(),
        };
        // Without the query, where some put a key to the server.
        url.map_or(Ok(()), |url| write!(f, "{}{}", url.origin().ascii_serialization(), url.path()))
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch")
            .field("allow_internal", &self.allow_internal)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
