//! Starts the hub, says where it is, and stops it in order.
//!
//! Every check of the configuration happens before the first socket is opened.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::{Router, middleware};
use fanfare_engine::disk::OpenError;
use fanfare_fanout::{Fanout, NoIoUring, Settings};
use fanfare_http::token::Verifier;
use fanfare_http::{ConnectionLimits, Drain, Origins, Revocations, ServeCounts, Tls, listen, serve};
use fanfare_hub::{BuildError, Hub};
use http::StatusCode;
use tokio::net::TcpListener;

use crate::access::Access;
use crate::admin::{self, Admin};
use crate::descriptors;
use crate::dev::Dev;
use crate::endpoint;
use crate::flags::Serve;
use crate::guard::{self, Guard};
use crate::log::{self, Opened};
use crate::network::{self, Network};
use crate::page;
use crate::signals::{HangUps, Signals};

pub(crate) const HUB_PATH: &str = "/.well-known/mercure";

/// How long the log may take to tell what was revoked before the hub serves whoever needs no token.
const LOG_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the log may take for the last word about who was subscribed, and the other nodes to hear of it.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);
/// How often what is revoked is written into the log again, at least.
const RENEWED_EVERY: Duration = Duration::from_secs(3600);

/// Why the program could not start, or go on.
#[derive(Debug)]
pub(crate) enum Failure {
    /// `--dev` lets everybody publish who reaches the address.
    NotLoopback { address: SocketAddr },
    /// Operators are asked for no token, so only this machine may ask.
    OpenAdmin { address: SocketAddr },
    /// Tokens cannot be checked.
    Tokens(endpoint::Failure),
    /// Clients cannot reach the hub as configured.
    Network(network::Failure),
    /// What events were to refer to cannot be used. A whole sentence.
    Dictionary(String),
    /// The flags contradict each other or ask for nothing.
    Hub(BuildError),
    /// What should be the folder of the log is something else.
    NoFolder { path: PathBuf },
    /// The log on disk cannot be used.
    Log(OpenError),
    /// The log that several nodes share cannot be used as configured.
    #[cfg(any(feature = "nats", feature = "redis"))]
    Cluster(crate::cluster::Failure),
    /// `--io-uring on`, and there is none.
    NoIoUring(io::Error),
    /// An address cannot be served on.
    Listen { address: SocketAddr, error: io::Error },
    /// The system refused what every program needs.
    System(io::Error),
}

impl Failure {
    /// 2 for what another command line would change, as for a flag that does not exist.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NotLoopback { .. }
            | Self::OpenAdmin { .. }
            | Self::Tokens(_)
            | Self::Network(_)
            | Self::Dictionary(_)
            | Self::Hub(_)
            | Self::NoFolder { .. }
            | Self::NoIoUring(_) => 2,
            #[cfg(any(feature = "nats", feature = "redis"))]
            Self::Cluster(_) => 2,
            Self::Log(_) | Self::Listen { .. } | Self::System(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoopback { address } => write!(
                f,
                "--dev lets everybody publish, so it takes loopback addresses such as 127.0.0.1:8080 only, not {address}; if \
                 whoever reaches that address may publish, say so with --dev-on-network"
            ),
            Self::OpenAdmin { address } => write!(
                f,
                "whoever reaches {address} could read the metrics and cut subscribers: set --admin-token, or choose a loopback \
                 address such as 127.0.0.1:9090 with --admin-listen"
            ),
            Self::Tokens(error) => write!(f, "{error}"),
            Self::Network(error) => write!(f, "{error}"),
            Self::Dictionary(sentence) => f.write_str(sentence),
            Self::Hub(error) => write!(f, "the hub cannot be configured like this: {error}"),
            Self::NoFolder { path } => {
                write!(f, "{} is not a folder; choose another one with --data-dir", path.display())
            }
            Self::Log(error) => with_cause(f, error),
            #[cfg(any(feature = "nats", feature = "redis"))]
            Self::Cluster(failure) => write!(f, "{failure}"),
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
                    write!(
                        f,
                        "cannot listen on {address}: this user may not; ports above 1023 need no privilege"
                    )
                }
                _ => write!(f, "cannot listen on {address}: {error}"),
            },
            Self::System(error) => write!(f, "the operating system refused: {error}"),
        }
    }
}

fn with_cause(f: &mut fmt::Formatter<'_>, error: &dyn Error) -> fmt::Result {
    match error.source() {
        Some(cause) => write!(f, "{error}: {cause}"),
        None => write!(f, "{error}"),
    }
}

/// Serves until a signal ends it.
///
/// # Errors
/// [`Failure`], before anything was served.
pub(crate) fn run(flags: &Serve, access: &Access) -> Result<(), Failure> {
    let prepared = prepare(flags, access)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::System)?;
    runtime.block_on(run_until_signalled(flags, access, prepared))
}

/// What is read and put together before anything is opened.
pub(crate) struct Prepared {
    network: Network,
    verifier: Verifier,
}

/// Whether these flags may be served, and what they come to.
///
/// # Errors
/// What would have to be said differently.
pub(crate) fn prepare(flags: &Serve, access: &Access) -> Result<Prepared, Failure> {
    let is_foreign = |address: &&SocketAddr| !address.ip().is_loopback();
    if let Some(&address) = flags.listen.iter().find(is_foreign)
        && flags.dev
        && !flags.dev_on_network
    {
        return Err(Failure::NotLoopback { address });
    }
    if let Some(&address) = flags.admin_listen.iter().find(is_foreign)
        && access.admin_token.is_none()
    {
        return Err(Failure::OpenAdmin { address });
    }
    let network = Network::of(&flags.network).map_err(Failure::Network)?;
    let verifier = endpoint::verifier(access).map_err(Failure::Tokens)?;
    Ok(Prepared { network, verifier })
}

async fn run_until_signalled(flags: &Serve, access: &Access, prepared: Prepared) -> Result<(), Failure> {
    let Prepared { network, verifier } = prepared;
    // Before anybody can know that we are there: a signal that comes early must end us in order, too.
    let mut signals = Signals::catch().map_err(Failure::System)?;
    let Opened { hub, store } = log::open(flags).await?;
    let (drain, counts) = (Drain::new(), ServeCounts::default());
    let (listeners, addresses) = open(&flags.listen)?;
    let (admin_listeners, admin_addresses) = open(flags.admin_listen.as_slice())?;

    let limits = ConnectionLimits {
        write_timeout: flags.write_timeout,
        per_client_max: flags.network.max_connections_per_client,
        connections_max: flags.max_connections.or_else(descriptors::connections),
        ..ConnectionLimits::default()
    };
    let fanout = fanout(flags, &limits).map_err(|error| {
        let is_its_lack = matches!(error.get_ref(), Some(inner) if inner.is::<NoIoUring>());
        if is_its_lack { Failure::NoIoUring(error) } else { Failure::System(error) }
    })?;
    tracing::info!(io_uring = fanout.uses_io_uring(), "ready to write to subscribers");
    if let Some(most) = limits.connections_max
        && flags.max_connections.is_none()
        && most.get() < flags.max_subscribers
    {
        let files = descriptors::limit();
        tracing::info!(connections = most, files, "the limit on open files bounds the connections");
    }

    let revocations = follow_revocations(flags, &hub).await;
    let admin = Admin {
        hub: hub.clone(),
        name: log::hub_name(flags).into(),
        store,
        serve: counts.clone(),
        fanout: fanout.clone(),
        drain: drain.clone(),
        revocations: revocations.clone(),
    };
    let admin = admin::router(admin, access.admin_token.as_ref());
    for (source, error) in verifier.load().await {
        tracing::warn!(source, %error, cause = error.source().map(tracing::field::display), "a JWK set could not be read; its tokens are refused until it can");
    }
    let keys = verifier.clone();
    tokio::spawn(async move { keys.keep_fresh().await });
    let hub_url = endpoint::hub_url(access, network.scheme(), &addresses);
    let dev = Dev::new(access, verifier.clone(), revocations.clone(), hub_url.clone());
    let tokens = endpoint::tokens(flags, access, verifier, revocations);
    let where_it_is = Dev::only_where(&hub_url);
    let mercure = endpoint::mercure(flags, access, tokens, hub, &drain, hub_url);
    let hub = mercure.router();
    let loopback = Guard::loopback(&[&addresses[..], &admin_addresses].concat());
    // Beside the hub they would be on the network, too, and behind a proxy everybody is loopback.
    let (app, guard) = match flags.dev {
        true if !flags.dev_on_network => {
            (hub.merge(page::router()).merge(dev.router()).merge(admin.clone()), loopback.clone())
        }
        true => (hub.merge(page::router()).merge(where_it_is), Guard::public(&[])),
        false => (hub, Guard::public(&access.public_urls)),
    };

    // Operators are let in also when clients have taken all places.
    let unlimited = ConnectionLimits { per_client_max: None, connections_max: None, ..limits };
    let limited = |listeners: Vec<TcpListener>, app, limits, counts| {
        serve(listeners, app).limits(limits).drain(drain.clone()).counts(counts).fanout(fanout.clone())
    };
    let (scheme, tls) = (network.scheme(), network.tls.clone());
    let cors = &access.cors_origins;
    let public = limited(listeners, finish(app, guard, cors.clone()), limits, counts.clone());
    let public = network.applied_to(public.cors(cors.clone())).into_future();
    // With a token it does not matter by what name operators ask.
    let guard = if access.admin_token.is_some() { Guard::public(&[]) } else { loopback };
    let admin = finish(admin, guard, Origins::none());
    let private = limited(admin_listeners, admin, unlimited, ServeCounts::default()).into_future();
    let mut serving = std::pin::pin!(async { tokio::try_join!(public, private) });
    // Caught at once: whoever is told that we listen may send it.
    let mut hang_ups = HangUps::catch().map_err(Failure::System)?;
    tokio::spawn(async move {
        while hang_ups.next().await {
            reload(tls.as_ref());
        }
    });
    // Nobody has to listen: a closed standard output is no reason to stop.
    let _ = announce(flags, scheme, &addresses, &admin_addresses);

    tokio::select! {
        // It ends only when it is drained.
        served = &mut serving => return served.map(drop).map_err(Failure::System),
        signal = signals.next() => {
            tracing::info!(signal, connections = counts.connections_open(), "shutting down; a second signal ends at once");
        }
    }
    drain.begin(flags.shutdown_window);
    let leaving = async {
        let _ = serving.await;
        tracing::info!("all connections are closed");
        // Nobody has to find out that its subscribers are gone, if the log and the other nodes can be told.
        let _ = tokio::time::timeout(LEAVE_WITHIN, mercure.leave()).await;
    };
    tokio::select! {
        () = leaving => {}
        signal = signals.next() => tracing::warn!(signal, "ended at once"),
    }
    Ok(())
}

/// Does what a daemon does on SIGHUP. The files are small.
fn reload(tls: Option<&Tls>) {
    match tls.map(Tls::reload) {
        Some(Ok(true)) => tracing::info!("new connections get the new certificate"),
        Some(Ok(false)) => tracing::info!("the certificate has not changed"),
        Some(Err(error)) => {
            tracing::warn!(%error, cause = error.source().map(tracing::field::display), "kept the certificate from before");
        }
        None => {}
    }
}

/// Reads what was revoked before, so that the first token that is shown may be believed.
///
/// A log that does not answer in time holds nothing else up: until it does, requests with a token are answered 503.
async fn follow_revocations(flags: &Serve, hub: &Hub) -> Revocations {
    let age = flags.history_age.map_or(RENEWED_EVERY, |age| (age / 2).min(RENEWED_EVERY));
    let revocations = Revocations::renewed_every(hub, age);
    let following = revocations.clone();
    tokio::spawn(async move { following.follow().await });
    if tokio::time::timeout(LOG_TIMEOUT, revocations.caught_up()).await.is_err() {
        tracing::warn!(
            "what was revoked could not be read from the log yet; no token is honoured until it is"
        );
    }
    revocations
}

fn fanout(flags: &Serve, limits: &ConnectionLimits) -> io::Result<Fanout> {
    let write_timeout = limits.write_timeout;
    let io_uring = flags.io_uring.into();
    Fanout::start(&Settings { workers: flags.workers, io_uring, write_timeout, ..Settings::default() })
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

fn finish(app: Router, guard: Guard, cors: Origins) -> Router {
    app.fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing at this URL.\n") })
        .method_not_allowed_fallback(|| async {
            (
                StatusCode::METHOD_NOT_ALLOWED,
                "This URL does not take that method; the header Allow says which it takes.\n",
            )
        })
        .layer(middleware::from_fn_with_state((guard, cors), guard::check))
}

/// Says where we are, for scripts that wait for it and for people who try it out.
fn announce(
    flags: &Serve,
    scheme: &str,
    addresses: &[SocketAddr],
    admin_addresses: &[SocketAddr],
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for address in addresses {
        writeln!(out, "listening on {scheme}://{address}")?;
    }
    for address in admin_addresses {
        writeln!(out, "listening on http://{address}")?;
    }
    if let Some(address) = addresses.first().filter(|_| flags.dev) {
        writeln!(out, "\nOpen {scheme}://{address}/ and publish from another terminal:")?;
        writeln!(out, "  curl -d topic=demo -d data=hello {scheme}://{address}{HUB_PATH}")?;
    }
    out.flush()
}
