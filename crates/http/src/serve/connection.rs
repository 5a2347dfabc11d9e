//! One connection from its first byte to its end, or to the moment when the fan-out takes it.
//!
//! It speaks HTTP/1.1 or HTTP/2, whichever the client begins with, and knows nothing of what is served.

use std::convert::Infallible;
use std::future::poll_fn;
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
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tower::Service;

use super::handover::Handover;
use super::io::Impatient;
use super::lent::{Lent, lend};
use super::version::{self, Version};
use super::worded::Worded;
use super::{ConnectionLimits, ServeCounts};
use crate::Drain;

/// What all connections of a serve loop have in common.
pub(crate) struct House {
    pub(crate) router: Router,
    pub(crate) limits: ConnectionLimits,
    pub(crate) drain: Drain,
    pub(crate) counts: ServeCounts,
    pub(crate) fanout: Fanout,
    pub(crate) http1: http1::Builder,
    pub(crate) http2: http2::Builder<TokioExecutor>,
}

impl House {
    pub(crate) fn new(
        router: Router,
        limits: ConnectionLimits,
        drain: Drain,
        counts: ServeCounts,
        fanout: Fanout,
    ) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_timeout)
            .max_buf_size(limits.head_buffer_bytes())
            .max_headers(limits.head_fields_max);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(limits.http2_ping_timeout)
            .keep_alive_timeout(limits.http2_ping_timeout)
            .max_concurrent_streams(limits.http2_streams_max)
            .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX));
        Self { router, limits, drain, counts, fanout, http1, http2 }
    }
}

/// Serves one connection until the client leaves, a limit is passed, the drain has emptied it, or the fan-out has it.
pub(crate) async fn run(mut socket: TcpStream, house: Arc<House>) {
    let _open = house.counts.open();
    // hyper's own head timeout ends with the first request's, and knows nothing of who never asks.
    let silence = Box::pin(tokio::time::sleep(house.limits.head_timeout));
    let (version, first) = tokio::select! {
        begun = tokio::time::timeout(house.limits.head_timeout, version::of(&mut socket)) => match begun {
            Ok(Ok(Some(begun))) => begun,
            Ok(Ok(None) | Err(_)) => return,
            Err(_) => return tracing::debug!("cut a connection that sent no request"),
        },
        () = house.drain.begun() => return,
    };
    let spoken = Arc::new(AtomicBool::new(false));
    match version {
        Version::Http1 => http1(socket, first, &house, spoken, silence).await,
        Version::Http2 => http2(socket, first, &house, spoken, silence).await,
    }
}

async fn http1(
    socket: TcpStream,
    first: Bytes,
    house: &House,
    spoken: Arc<AtomicBool>,
    silence: Pin<Box<Sleep>>,
) {
    let (lent, owner) = lend(socket, first);
    let handover = Handover::new(owner);
    let service = service_fn({
        let (spoken, handover, router) = (spoken.clone(), handover.clone(), house.router.clone());
        move |request: Request<Incoming>| {
            spoken.store(true, Ordering::Relaxed);
            let (asked, request) = Handover::look(request);
            // A router is always ready.
            let answering = router.clone().call(request);
            let handover = handover.clone();
            async move {
                let response = answering.await?;
                match handover.take(&asked, response) {
                    Some(response) => Ok::<_, Infallible>(response),
                    None => std::future::pending().await,
                }
            }
        }
    });
    let connection = house.http1.serve_connection(io(lent, house, &spoken), service).with_upgrades();
    let mut connection = Box::pin(connection);
    let driven = drive(connection.as_mut(), Some(&handover), house, &spoken, silence).await;
    if driven == Driven::Taken {
        // What hyper still holds it drops without having written anything of the response.
        handover.finish(&house.fanout);
    }
}

async fn http2(
    socket: TcpStream,
    first: Bytes,
    house: &House,
    spoken: Arc<AtomicBool>,
    silence: Pin<Box<Sleep>>,
) {
    let (lent, _owner) = lend(socket, first);
    let service = service_fn({
        let (spoken, router) = (spoken.clone(), house.router.clone());
        move |request: Request<Incoming>| {
            spoken.store(true, Ordering::Relaxed);
            router.clone().call(request.map(Body::new))
        }
    });
    let mut connection = Box::pin(house.http2.serve_connection(io(lent, house, &spoken), service));
    drive(connection.as_mut(), None, house, &spoken, silence).await;
}

type Io = TokioIo<Worded<Impatient<Lent>>>;

fn io(lent: Lent, house: &House, spoken: &Arc<AtomicBool>) -> Io {
    let patient = Impatient::new(lent, house.limits.write_timeout, house.counts.clone());
    TokioIo::new(Worded::new(patient, spoken.clone()))
}

/// How a connection stopped being hyper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driven {
    /// It is over.
    Ended,
    /// The fan-out goes on with it.
    Taken,
}

/// A connection of either version.
trait Connection: Future<Output = hyper::Result<()>> {
    /// Answers what has been asked, and ends.
    fn finish(self: Pin<&mut Self>);
}

impl<S> Connection for http1::UpgradeableConnection<Io, S>
where
    S: HttpService<Incoming, ResBody = Body, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S> Connection for http2::Connection<Io, S, TokioExecutor>
where
    S: HttpService<
            Incoming,
            ResBody = Body,
            Future: Send + 'static,
            Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        >,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

async fn drive<C: Connection>(
    mut connection: Pin<&mut C>,
    handover: Option<&Handover>,
    house: &House,
    spoken: &AtomicBool,
    mut silence: Pin<Box<Sleep>>,
) -> Driven {
    let begun = house.drain.begun();
    tokio::pin!(begun);
    let (mut listening, mut draining) = (true, false);
    loop {
        let mut step = poll_fn(|cx| {
            let mut polled = connection.as_mut().poll(cx);
            // hyper may have come to rest without a flush, which is what says that all before the stream is written.
            if polled.is_pending() && handover.is_some_and(|each| each.has_begun() && !each.is_due()) {
                polled = connection.as_mut().poll(cx);
            }
            match polled {
                Poll::Ready(ended) => Poll::Ready(Some(ended)),
                Poll::Pending if handover.is_some_and(Handover::is_due) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        tokio::select! {
            step = &mut step => {
                let Some(ended) = step else { return Driven::Taken };
                if let Err(error) = ended {
                    // Clients leave in the middle all the time; only somebody who looks for it wants to know.
                    tracing::debug!(%error, "a connection ended early");
                }
                return Driven::Ended;
            }
            () = &mut silence, if listening => {
                listening = false;
                if !spoken.load(Ordering::Relaxed) {
                    tracing::debug!("cut a connection that sent no request");
                    return Driven::Ended;
                }
            }
            () = &mut begun, if !draining => {
                draining = true;
                connection.as_mut().finish();
            }
        }
    }
}
