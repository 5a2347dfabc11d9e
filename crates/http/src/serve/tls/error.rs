//! Why a certificate and a key cannot be used, in words for whoever has put them there.
//!
//! Nothing of a key is ever part of it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fmt, io};

/// Why [`Tls::from_pem_files`](super::Tls::from_pem_files) has no certificate to serve with.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file has no certificate, or text that only looks like one.
    NoCertificate {
        /// Which.
        path: PathBuf,
        /// What is wrong with what is there; `None` if nothing is.
        error: Option<rustls::Error>,
    },
    /// The file has no private key, or text that only looks like one.
    NoKey {
        /// Which.
        path: PathBuf,
    },
    /// The private key is encrypted.
    EncryptedKey {
        /// Where.
        path: PathBuf,
    },
    /// The private key is of a kind or size that nobody should use, or that is not known here.
    UnsupportedKey {
        /// Where.
        path: PathBuf,
        /// What was said about it.
        error: rustls::Error,
    },
    /// The key belongs to another certificate.
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Where in the first file the certificate stands that the key belongs to, counted from 1; `None` if it does not.
        belongs_to: Option<usize>,
    },
    /// The library of cryptography does not work here.
    Setup(rustls::Error),
}

impl TlsError {
    pub(crate) fn read(path: &Path, error: io::Error) -> Self {
        Self::Read { path: path.to_owned(), error }
    }

    pub(crate) fn setup(error: rustls::Error) -> Self {
        Self::Setup(error)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, .. } => write!(f, "cannot read {}", path.display()),
            Self::NoCertificate { path, .. } => write!(
                f,
                "{} has no usable certificate: it has to be PEM text with -----BEGIN CERTIFICATE-----, the server's own first and the intermediate ones behind it",
                path.display()
            ),
            Self::NoKey { path } => write!(
                f,
                "{} has no usable private key: it has to be PEM text with -----BEGIN PRIVATE KEY-----, or that of an RSA or EC key",
                path.display()
            ),
            Self::EncryptedKey { path } => write!(
                f,
                "the private key in {} is encrypted: write it without a passphrase, with `openssl pkey -in` that file",
                path.display()
            ),
            Self::UnsupportedKey { path, .. } => write!(
                f,
                "the private key in {} cannot be used: RSA of 2048 to 8192 bits, ECDSA on P-256 or P-384, and Ed25519 can",
                path.display()
            ),
            Self::Mismatch { certificate, key, belongs_to: None } => write!(
                f,
                "the private key in {} is not that of the certificate in {}: give the two files that were issued together",
                key.display(),
                certificate.display()
            ),
            Self::Mismatch { certificate, key, belongs_to: Some(place) } => write!(
                f,
                "the private key in {} is that of certificate number {place} in {}: the server's own has to be the first there",
                key.display(),
                certificate.display()
            ),
            Self::Setup(_) => f.write_str("the cryptography for TLS does not work here"),
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read { error, .. } => Some(error),
            Self::NoCertificate { error: Some(error), .. }
            | Self::UnsupportedKey { error, .. }
            | Self::Setup(error) => Some(error),
            Self::NoCertificate { error: None, .. }
            | Self::NoKey { .. }
            | Self::EncryptedKey { .. }
            | Self::Mismatch { .. } => None,
        }
    }
}
