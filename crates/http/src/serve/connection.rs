//! One connection from its first byte to its end, or to the moment when the fan-out takes it.
//!
//! It speaks HTTP/1.1 or HTTP/2, whichever the client begins with or TLS has agreed on, and knows nothing of what is served.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use fanfare_fanout::Fanout;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use super::arrival::{Arrival, Socket, arrive};
use super::counts::OpenConnection;
use super::handover::Handover;
#[cfg(feature = "tls")]
use super::io;
use super::kept::{Kept, kept};
use super::lent::{Lent, lend};
use super::places::{Place, Places, Standing};
use super::requests::Requests;
use super::streams::{self, StreamTasks};
#[cfg(feature = "tls")]
use super::tls;
use super::trusted::TrustedProxies;
use super::unread::Unread;
use super::version::{self, Version};
use super::visit::{Excess, Visit};
use super::worded::Worded;
use super::{ConnectionLimits, ServeCounts};
use crate::{Drain, Origins};

/// What all connections of a serve loop have in common.
pub(crate) struct House {
    pub(crate) router: Router,
    pub(crate) limits: ConnectionLimits,
    pub(crate) drain: Drain,
    pub(crate) counts: ServeCounts,
    pub(crate) fanout: Fanout,
    pub(crate) trusted: TrustedProxies,
    /// Whose pages may read what is refused here.
    pub(crate) cors: Origins,
    /// How many connections each client has, if that is limited.
    pub(crate) places: Option<Arc<Places>>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<tls::Tls>,
    pub(crate) protocols: Protocols,
}

/// A connection that was accepted.
pub(crate) struct Caller {
    socket: TcpStream,
    peer: SocketAddr,
    /// How it stood with all connections, counting this one.
    in_all: Standing,
    _open: OpenConnection,
}

impl House {
    /// Lets a connection in, unless there are far too many.
    pub(crate) fn let_in(&self, socket: TcpStream, peer: SocketAddr) -> Option<Caller> {
        let open = self.counts.open();
        let in_all = self.standing();
        if in_all == Standing::FarOver {
            self.counts.refused_as_full();
            tracing::debug!(%peer, "closed a connection: there are far more than there may be");
            return None;
        }
        Some(Caller { socket, peer, in_all, _open: open })
    }

    /// How it stands with all connections.
    pub(crate) fn standing(&self) -> Standing {
        self.limits.standing(self.counts.connections_open())
    }
}

/// hyper, set up.
pub(crate) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<StreamTasks>,
}

impl Protocols {
    pub(crate) fn new(limits: &ConnectionLimits) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_timeout)
            .max_buf_size(limits.head_buffer_bytes())
            .max_headers(limits.head_fields_max);
        let mut http2 = http2::Builder::new(StreamTasks);
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(limits.http2_ping_timeout)
            .keep_alive_timeout(limits.http2_ping_timeout)
            .max_concurrent_streams(limits.http2_streams_max)
            .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX));
        Self { http1, http2 }
    }
}

/// Serves one connection until the client leaves, a limit is passed, the drain has emptied it, or the fan-out has it.
pub(crate) async fn run(caller: Caller, house: Arc<House>) {
    let Caller { socket, peer, in_all, _open } = caller;
    let arriving = tokio::time::timeout(house.limits.handshake_timeout, arrive(socket, peer, &house));
    let arrived = tokio::select! {
        arrived = arriving => arrived,
        () = house.drain.begun() => return,
    };
    let Ok(arrived) = arrived else {
        house.counts.handshake_failed();
        return tracing::debug!(%peer, "cut a connection that did not come to the end of its handshake");
    };
    let Some(Arrival { socket, origin, place }) = arrived else { return };
    let of_client = place.as_ref().map_or(Standing::Within, Place::standing);
    let excess = match (of_client, in_all) {
        (Standing::Within, Standing::Within) => None,
        (Standing::Within, _) => Some(Excess::InAll),
        _ => Some(Excess::OfClient),
    };
    let spoken = Arc::new(AtomicBool::new(false));
    let visit = Arc::new(Visit { house: house.clone(), origin, excess, spoken });
    // hyper's own head timeout ends with the first request's, and knows nothing of who never asks.
    let silence = Box::pin(tokio::time::sleep(house.limits.head_timeout));
    match socket {
        Socket::Plain(mut socket) => {
            let Some((version, first)) = begin(&mut socket, &house).await else { return };
            let (lent, owner) = lend(socket, first);
            let handover = Handover::new(owner);
            match speak(lent, version, Some(&handover), &visit, silence).await {
                // What hyper still holds it has dropped without having written anything of the response.
                Driven::Taken => handover.finish(&house.fanout, place),
                Driven::Cut => handover.reset(),
                Driven::Ended => {}
            }
        }
        #[cfg(feature = "tls")]
        Socket::Secure(mut socket) => {
            let begun = if tls::is_http2(&socket) {
                Some((Version::Http2, Bytes::new()))
            } else {
                begin(&mut socket, &house).await
            };
            let Some((version, first)) = begun else { return tls::leave(socket).await };
            let (lent, owner) = lend(socket, first);
            let driven = speak(lent, version, None, &visit, silence).await;
            let Some(socket) = owner.take() else { return };
            if driven == Driven::Cut {
                return io::reset_on_drop(socket.get_ref().0.get_ref());
            }
            // However it ended, the client can tell it from an end that somebody on the way has made.
            tls::leave(socket).await;
        }
    }
}

/// Reads what tells the version; `None` if the client left, said nothing for too long, or a drain has begun.
async fn begin(socket: &mut (impl AsyncRead + Unpin), house: &House) -> Option<(Version, Bytes)> {
    tokio::select! {
        begun = tokio::time::timeout(house.limits.head_timeout, version::of(socket)) => match begun {
            Ok(begun) => begun.ok().flatten(),
            Err(_) => {
                tracing::debug!("cut a connection that sent no request");
                None
            }
        },
        () = house.drain.begun() => None,
    }
}

/// Speaks HTTP to the end; where there is a `handover`, HTTP/1 may end by it.
async fn speak<S>(
    lent: Lent<S>,
    version: Version,
    handover: Option<&Handover>,
    visit: &Arc<Visit>,
    silence: Pin<Box<Sleep>>,
) -> Driven
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(Worded::new(lent, visit.spoken.clone()));
    let protocols = &visit.house.protocols;
    // The connection, and with HTTP/1 the response that it is busy with.
    let cut = CancellationToken::new();
    match version {
        Version::Http1 => {
            let service = service_fn({
                let (visit, handover, cut) = (visit.clone(), handover.cloned(), cut.clone());
                move |request: Request<Incoming>| {
                    let (visit, handover, cut) = (visit.clone(), handover.clone(), cut.clone());
                    let (asked, request) = Handover::look(request);
                    async move {
                        let (response, guest) = visit.answer(request).await;
                        let stays = match &handover {
                            Some(handover) => handover.take(&asked, response, guest),
                            None => Some((response, guest)),
                        };
                        match stays {
                            Some((response, guest)) => Ok::<_, Infallible>(kept(response, guest, None, &cut)),
                            None => std::future::pending().await,
                        }
                    }
                }
            });
            let connection = protocols.http1.serve_connection(io, service).with_upgrades();
            let mut connection = Box::pin(connection);
            let ends = Ends { handover, cut: &cut, requests: None };
            drive(connection.as_mut(), &ends, visit, silence).await
        }
        Version::Http2 => {
            let requests = Requests::new();
            let service = service_fn({
                let (visit, requests) = (visit.clone(), requests.clone());
                move |request: Request<Incoming>| {
                    let (visit, open) = (visit.clone(), requests.begin());
                    async move {
                        let (response, guest) =
                            visit.answer(request.map(|body| Body::new(Unread::of(body)))).await;
                        Ok::<_, Infallible>(kept(response, guest, Some(open), &streams::cut()))
                    }
                }
            });
            let mut connection = Box::pin(protocols.http2.serve_connection(io, service));
            let ends = Ends { handover: None, cut: &cut, requests: Some(&requests) };
            tokio::select! {
                driven = drive(connection.as_mut(), &ends, visit, silence) => driven,
                never = requests.hurry(visit.house.limits.write_timeout) => match never {},
            }
        }
    }
}

type Io<S> = TokioIo<Worded<Lent<S>>>;

/// How a connection stopped being hyper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driven {
    /// It is over.
    Ended,
    /// The fan-out goes on with it.
    Taken,
    /// Nothing more of what waits for its client may be read.
    Cut,
}

/// A connection of either version.
trait Connection: Future<Output = hyper::Result<()>> {
    /// Answers what has been asked, and ends.
    fn finish(self: Pin<&mut Self>);
}

impl<IO, S> Connection for http1::UpgradeableConnection<Io<IO>, S>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService<Incoming, ResBody = Kept, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<IO, S> Connection for http2::Connection<Io<IO>, S, StreamTasks>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService<
            Incoming,
            ResBody = Kept,
            Future: Send + 'static,
            Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        >,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// What ends a connection besides its client and the drain.
struct Ends<'a> {
    handover: Option<&'a Handover>,
    cut: &'a CancellationToken,
    /// Those that keep it from being idle, where hyper does not look after that.
    requests: Option<&'a Requests>,
}

async fn drive<C: Connection>(
    mut connection: Pin<&mut C>,
    ends: &Ends<'_>,
    visit: &Visit,
    mut silence: Pin<Box<Sleep>>,
) -> Driven {
    let Ends { handover, cut, requests } = *ends;
    let limits = &visit.house.limits;
    let begun = visit.house.drain.begun();
    tokio::pin!(begun);
    let (mut listening, mut draining, mut idle) = (true, false, false);
    loop {
        let mut step = poll_fn(|cx| {
            let mut polled = connection.as_mut().poll(cx);
            // hyper may have come to rest without a flush, which is what says that all before the stream is written.
            if polled.is_pending() && handover.is_some_and(|each| each.has_begun() && !each.is_due()) {
                polled = connection.as_mut().poll(cx);
            }
            if let Poll::Ready(ended) = polled {
                if let Err(error) = ended {
                    // Clients leave in the middle all the time; only somebody who looks for it wants to know.
                    tracing::debug!(%error, "a connection ended early");
                }
                return Poll::Ready(Driven::Ended);
            }
            if handover.is_some_and(Handover::is_due) { Poll::Ready(Driven::Taken) } else { Poll::Pending }
        });
        tokio::select! {
            driven = &mut step => return driven,
            () = cut.cancelled() => return Driven::Cut,
            () = &mut silence, if listening => {
                if !visit.spoken.load(Ordering::Relaxed) {
                    tracing::debug!("cut a connection that sent no request");
                    return Driven::Ended;
                }
                let Some(requests) = requests else {
                    listening = false;
                    continue;
                };
                let now = Instant::now();
                let due = requests.idle_since().unwrap_or(now) + limits.head_timeout;
                if due > now {
                    silence.as_mut().reset(due);
                } else if idle {
                    tracing::debug!("cut a connection that was to end");
                    return Driven::Ended;
                } else {
                    idle = true;
                    connection.as_mut().finish();
                    silence.as_mut().reset(now + limits.drain_grace);
                }
            }
            () = &mut begun, if !draining => {
                draining = true;
                connection.as_mut().finish();
            }
        }
    }
}
