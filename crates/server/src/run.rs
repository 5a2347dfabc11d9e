//! Starts the hub, says where it is, and stops it in order.
//!
//! Every check of the configuration happens before the first socket is opened.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;

use axum::{Router, middleware};
use fanfare_engine::disk::OpenError;
use fanfare_fanout::{Fanout, NoIoUring, Settings};
use fanfare_http::{
    ConnectionLimits, Drain, Mercure, RequestLimits, ServeCounts, TlsError, TrustedProxies, listen, serve,
};
use fanfare_hub::{BuildError, Hub};
use http::StatusCode;
use tokio::net::TcpListener;
use url::Url;

use crate::admin::{self, Admin};
use crate::flags::Serve;
use crate::guard::{self, Guard};
use crate::log::{self, Opened};
use crate::page;
use crate::signals::Signals;
use crate::tls;

const HUB_PATH: &str = "/.well-known/mercure";

/// Why the program could not start, or go on.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing but `--dev` can be served yet.
    NoKeys,
    /// `--dev` lets everybody publish who reaches the address.
    NotLoopback { address: SocketAddr },
    /// The flags contradict each other or ask for nothing.
    Hub(BuildError),
    /// The log on disk cannot be used.
    Log(OpenError),
    /// `--io-uring on`, and there is none.
    NoIoUring(io::Error),
    /// A certificate without its key, or the other way round.
    HalfTls,
    /// The certificate cannot be used.
    Tls(TlsError),
    /// Nobody may speak the PROXY protocol.
    NoProxies,
    /// An address cannot be served on.
    Listen { address: SocketAddr, error: io::Error },
    /// The system refused what every program needs.
    System(io::Error),
}

impl Failure {
    /// 2 for what another command line would change, as for a flag that does not exist.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoKeys
            | Self::NotLoopback { .. }
            | Self::Hub(_)
            | Self::NoIoUring(_)
            | Self::HalfTls
            | Self::NoProxies => 2,
            Self::Tls(_) | Self::Log(_) | Self::Listen { .. } | Self::System(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKeys => f.write_str(
                "keys for publishers and subscribers are not built yet, so only a hub for developing can be started: add --dev",
            ),
            Self::NotLoopback { address } => write!(
                f,
                "--dev lets everybody publish, so it takes loopback addresses such as 127.0.0.1:8080 only, not {address}"
            ),
            Self::Hub(error) => write!(f, "the hub cannot be configured like this: {error}"),
            Self::HalfTls => f.write_str(
                "TLS takes a certificate and its private key: give both --tls-cert and --tls-key, or neither",
            ),
            Self::NoProxies => f.write_str(
                "--proxy-protocol is for the proxies that --trusted-proxies names, and it names none",
            ),
            Self::Tls(error) => match std::error::Error::source(error) {
                Some(cause) => write!(f, "{error} ({cause})"),
                None => write!(f, "{error}"),
            },
            Self::Log(error) => match std::error::Error::source(error) {
                Some(cause) => write!(f, "{error}: {cause}"),
                None => write!(f, "{error}"),
            },
            Self::NoIoUring(error) => write!(f, "{error}; --io-uring auto goes on without it"),
            Self::Listen { address, error } => match error.kind() {
                io::ErrorKind::AddrInUse => write!(
                    f,
                    "cannot listen on {address}: another program does; stop it, or choose another address with --listen"
                ),
                io::ErrorKind::AddrNotAvailable => {
                    write!(f, "cannot listen on {address}: this machine has no such address")
                }
                io::ErrorKind::PermissionDenied => {
                    write!(f, "cannot listen on {address}: this user may not; ports above 1023 need no privilege")
                }
                _ => write!(f, "cannot listen on {address}: {error}"),
            },
            Self::System(error) => write!(f, "the operating system refused: {error}"),
        }
    }
}

/// Serves until a signal ends it.
///
/// # Errors
/// [`Failure`], before anything was served.
pub(crate) fn run(flags: &Serve) -> Result<(), Failure> {
    check(flags)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::System)?;
    runtime.block_on(run_until_signalled(flags))
}

fn check(flags: &Serve) -> Result<(), Failure> {
    if !flags.dev {
        return Err(Failure::NoKeys);
    }
    if flags.proxy_protocol && flags.trusted_proxies.is_none() {
        return Err(Failure::NoProxies);
    }
    let stranger = flags.listen.iter().chain(&flags.admin_listen).find(|address| !address.ip().is_loopback());
    stranger.map_or(Ok(()), |&address| Err(Failure::NotLoopback { address }))
}

async fn run_until_signalled(flags: &Serve) -> Result<(), Failure> {
    // Before anybody can know that we are there: a signal that comes early must end us in order, too.
    let mut signals = Signals::catch().map_err(Failure::System)?;
    let tls = tls::open(flags)?;
    let Opened { hub, disk } = log::open(flags)?;
    let (drain, counts) = (Drain::new(), ServeCounts::default());
    let (listeners, addresses) = open(&flags.listen)?;
    let (admin_listeners, admin_addresses) = open(flags.admin_listen.as_slice())?;

    let limits = ConnectionLimits { write_timeout: flags.write_timeout, ..ConnectionLimits::default() };
    let fanout = fanout(flags, &limits).map_err(|error| {
        let is_its_lack = matches!(error.get_ref(), Some(inner) if inner.is::<NoIoUring>());
        if is_its_lack { Failure::NoIoUring(error) } else { Failure::System(error) }
    })?;
    tracing::info!(io_uring = fanout.uses_io_uring(), "ready to write to subscribers");

    let admin =
        Admin { hub: hub.clone(), disk, serve: counts.clone(), fanout: fanout.clone(), drain: drain.clone() };
    let admin = admin::router(admin);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mercure = mercure(flags, hub, &drain, scheme, &addresses);
    let guard = Guard::new(&[&addresses[..], &admin_addresses].concat());
    let app = Router::new().merge(mercure.router()).merge(page::router()).merge(admin.clone());

    let limited = |listeners: Vec<TcpListener>, app, counts| {
        serve(listeners, finish(app, &guard))
            .limits(limits)
            .drain(drain.clone())
            .counts(counts)
            .fanout(fanout.clone())
    };
    let mut public = limited(listeners, app, counts.clone())
        .limits(ConnectionLimits { per_client_max: flags.max_connections_per_client, ..limits })
        .trusted_proxies(trusted_proxies(flags));
    if let Some(tls) = &tls {
        public = public.tls(tls.clone());
    }
    let public = public.into_future();
    let mut reloading = std::pin::pin!(tls::reload_when_asked(tls).map_err(Failure::System)?);
    let private = limited(admin_listeners, admin, ServeCounts::default()).into_future();
    let mut serving = std::pin::pin!(async { tokio::try_join!(public, private) });
    // Nobody has to listen: a closed standard output is no reason to stop.
    let _ = announce(scheme, &addresses, &admin_addresses);

    tokio::select! {
        never = &mut reloading => match never {},
        // It ends only when it is drained.
        served = &mut serving => return served.map(drop).map_err(Failure::System),
        signal = signals.next() => {
            tracing::info!(signal, connections = counts.connections_open(), "shutting down; a second signal ends at once");
        }
    }
    drain.begin(flags.shutdown_window);
    tokio::select! {
        _ = &mut serving => tracing::info!("all connections are closed"),
        signal = signals.next() => tracing::warn!(signal, "ended at once"),
    }
    Ok(())
}

fn fanout(flags: &Serve, limits: &ConnectionLimits) -> io::Result<Fanout> {
    let write_timeout = limits.write_timeout;
    let io_uring = flags.io_uring.into();
    Fanout::start(&Settings { workers: flags.workers, io_uring, write_timeout, ..Settings::default() })
}

fn trusted_proxies(flags: &Serve) -> TrustedProxies {
    let proxies = flags.trusted_proxies.clone().unwrap_or_default().headers(flags.forwarded_headers.into());
    if flags.proxy_protocol { proxies.proxy_protocol() } else { proxies }
}

fn mercure(flags: &Serve, hub: Hub, drain: &Drain, scheme: &str, addresses: &[SocketAddr]) -> Mercure {
    let limits = RequestLimits { body_bytes_max: flags.max_body_bytes, ..RequestLimits::default() };
    let mercure = Mercure::new(hub)
        .bookmarks(flags.bookmarks.into())
        .keep_alive(Some(flags.keep_alive).filter(|after| !after.is_zero()))
        .limits(limits)
        .drain(drain.clone());
    // What relative topics and patterns are resolved against; where there are several addresses, the first.
    match addresses.first().map(|address| Url::parse(&format!("{scheme}://{address}{HUB_PATH}"))) {
        Some(Ok(url)) => mercure.hub_url(url),
        _ => mercure,
    }
}

fn open(addresses: &[SocketAddr]) -> Result<(Vec<TcpListener>, Vec<SocketAddr>), Failure> {
    let mut opened = (Vec::new(), Vec::new());
    for &address in addresses {
        let listener = listen(address).map_err(|error| Failure::Listen { address, error })?;
        // With port 0, the one that we were given.
        opened.1.push(listener.local_addr().map_err(Failure::System)?);
        opened.0.push(listener);
    }
    Ok(opened)
}

fn finish(app: Router, guard: &Guard) -> Router {
    app.fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing at this URL.\n") })
        .method_not_allowed_fallback(|| async {
            (StatusCode::METHOD_NOT_ALLOWED, "This URL is only there to be read, with GET.\n")
        })
        .layer(middleware::from_fn_with_state(guard.clone(), guard::check))
}

/// Says where we are, for scripts that wait for it and for people who try it out.
fn announce(scheme: &str, addresses: &[SocketAddr], admin_addresses: &[SocketAddr]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for address in addresses {
        writeln!(out, "listening on {scheme}://{address}")?;
    }
    for address in admin_addresses {
        writeln!(out, "listening on http://{address}")?;
    }
    if let Some(address) = addresses.first() {
        writeln!(out, "\nOpen {scheme}://{address}/ and publish from another terminal:")?;
        writeln!(out, "  curl -d topic=demo -d data=hello {scheme}://{address}{HUB_PATH}")?;
    }
    out.flush()
}
