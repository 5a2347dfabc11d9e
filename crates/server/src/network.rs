//! How clients reach the hub: TLS, the proxies in front of it, and how many connections one client may have.
//!
//! It reads certificates and judges flags; what goes over a connection is the library's matter.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use fanfare_http::{Serve as Serving, Tls, TlsError, TrustedProxies};

const NETWORK: &str = "TLS and proxies";

/// How clients reach the hub.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // This is shown as it stands, in a terminal.
pub(crate) struct NetworkFlags {
    /// The certificate for TLS: a file of PEM text, the server's own certificate first and the intermediate ones behind it.
    ///
    /// The file is read again when it changes, and on SIGHUP; connections go on. Certificates are not ordered by this
    /// program (ACME); whatever orders them writes the files.
    #[arg(long, help_heading = NETWORK, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The private key of the certificate for TLS: a file of PEM text.
    #[arg(long, help_heading = NETWORK, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// The addresses and networks of the proxies in front of the hub, such as 10.0.0.0/8. What they say in X-Forwarded-For,
    /// -Proto and -Host or in Forwarded is believed, and what others say there is not.
    #[arg(long, help_heading = NETWORK, value_name = "NETWORK", value_delimiter = ',')]
    pub(crate) trusted_proxies: Vec<TrustedProxies>,

    /// In which headers the trusted proxies say who the client is.
    #[arg(long, help_heading = NETWORK, value_enum, default_value_t = ForwardedHeaders::Any)]
    pub(crate) forwarded_headers: ForwardedHeaders,

    /// The trusted proxies begin each connection with a header of the PROXY protocol, version 2, as HAProxy's send-proxy-v2
    /// does.
    #[arg(long, help_heading = NETWORK)]
    pub(crate) proxy_protocol: bool,

    /// How many connections one client may have, by its address. More: 429, or an empty stream that says when to come back.
    /// [default: without limit]
    ///
    /// Behind one address there may be a whole office or a mobile carrier's network.
    #[arg(long, help_heading = NETWORK, value_name = "CONNECTIONS")]
    pub(crate) max_connections_per_client: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ForwardedHeaders {
    /// X-Forwarded-*, or Forwarded where there is none of them.
    Any,
    /// X-Forwarded-For, -Proto and -Host alone.
    XForwarded,
    /// Forwarded (RFC 7239) alone.
    Forwarded,
}

impl From<ForwardedHeaders> for fanfare_http::ForwardedHeaders {
    fn from(chosen: ForwardedHeaders) -> Self {
        match chosen {
            ForwardedHeaders::Any => Self::Any,
            ForwardedHeaders::XForwarded => Self::XForwarded,
            ForwardedHeaders::Forwarded => Self::Forwarded,
        }
    }
}

/// Why clients cannot reach the hub as configured.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The PROXY protocol is spoken by nobody.
    NoProxies,
    /// The certificate or its key cannot be used.
    Tls(TlsError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProxies => f.write_str(
                "--proxy-protocol is for trusted proxies, and there are none: say with --trusted-proxies which addresses they have",
            ),
            Self::Tls(error) => match std::error::Error::source(error) {
                Some(cause) => write!(f, "TLS cannot be served: {error}: {cause}"),
                None => write!(f, "TLS cannot be served: {error}"),
            },
        }
    }
}

/// How clients reach the hub, read and judged.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) tls: Option<Tls>,
    proxies: TrustedProxies,
}

impl Network {
    /// Reads the certificate, and looks at the rest.
    ///
    /// # Errors
    /// [`Failure`]: another configuration, or another file, is needed.
    pub(crate) fn of(flags: &NetworkFlags) -> Result<Self, Failure> {
        if flags.proxy_protocol && flags.trusted_proxies.is_empty() {
            return Err(Failure::NoProxies);
        }
        let tls = match (&flags.tls_cert, &flags.tls_key) {
            (Some(certificate), Some(key)) => {
                Some(Tls::from_pem_files(certificate, key).map_err(Failure::Tls)?)
            }
            _ => None,
        };
        let proxies: TrustedProxies = flags.trusted_proxies.iter().cloned().collect();
        let proxies = proxies.headers(flags.forwarded_headers.into());
        Ok(Self { tls, proxies: if flags.proxy_protocol { proxies.proxy_protocol() } else { proxies } })
    }

    /// Serves as it was configured.
    pub(crate) fn applied_to(self, serving: Serving) -> Serving {
        let serving = serving.trusted_proxies(self.proxies);
        match self.tls {
            Some(tls) => serving.tls(tls),
            None => serving,
        }
    }

    /// How a URL of the hub begins.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}
