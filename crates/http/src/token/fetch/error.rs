//! Why keys could not be fetched.
//!
//! The sentences are for logs; none goes to whoever sent a token.

use std::fmt;
use std::io;
use std::net::IpAddr;

/// Why nothing can be fetched at all.
#[derive(Debug)]
#[non_exhaustive]
pub enum FetchSetupError {
    /// The text is not a URL with a host and without a user name.
    Url,
    /// The URL is not `https`.
    Scheme,
    /// A certificate authority could not be read.
    Certificate,
    /// TLS could not be set up.
    Tls(rustls::Error),
}

/// Why one fetch failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum FetchError {
    /// The host's name could not be resolved.
    Resolve(io::Error),
    /// An address of the host is internal, and that is not allowed.
    Internal {
        /// Which one.
        address: IpAddr,
    },
    /// The URL is `http`, and the host is not internal.
    PlainHttp,
    /// No address could be connected to.
    Connect(io::Error),
    /// TLS failed: most often, the certificate is not trusted.
    Tls(io::Error),
    /// The exchange broke off.
    Http(hyper::Error),
    /// The answer's status is not 200. Redirects are not followed.
    Status(u16),
    /// The answer is too large.
    TooLarge,
    /// It took too long.
    Timeout,
    /// The issuer's metadata are not those of this issuer, or name no `jwks_uri` that can be fetched.
    Metadata,
}

impl fmt::Display for FetchSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "this is not a URL with a host and without a user name",
            Self::Scheme => "key sets are fetched over https; http takes leave to ask internal servers",
            Self::Certificate => "a certificate authority could not be read as PEM",
            Self::Tls(_) => "TLS could not be set up",
        })
    }
}

impl std::error::Error for FetchSetupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Tls(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(_) => f.write_str("the host's name could not be resolved"),
            Self::Internal { address } => {
                write!(f, "the host's address {address} is internal, and that is not allowed")
            }
            Self::PlainHttp => {
                f.write_str("the host is not internal, so its keys must be fetched over https")
            }
            Self::Connect(_) => f.write_str("the host could not be connected to"),
            Self::Tls(_) => f.write_str("TLS failed"),
            Self::Http(_) => f.write_str("the exchange broke off"),
            Self::Status(status) => {
                write!(f, "the answer's status is {status}, not 200; redirects are not followed")
            }
            Self::TooLarge => f.write_str("the answer is larger than 256 KiB"),
            Self::Timeout => f.write_str("it took too long"),
            Self::Metadata => f.write_str(
                "the issuer's metadata name another \"issuer\", or no \"jwks_uri\" that can be fetched",
            ),
        }
    }
}

impl std::error::Error for FetchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Resolve(error) | Self::Connect(error) | Self::Tls(error) => Some(error),
            Self::Http(error) => Some(error),
            _ => None,
        }
    }
}
