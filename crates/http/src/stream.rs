//! Answers a subscriber with a stream, or with what replaces one when the hub is full.
//!
//! It opens the subscription before the head goes out, because the head says where the stream begins. It never looks into
//! an event. Rules: sections 5 and 12 of the protocol, with the plan's headers.

use std::time::SystemTime;

use axum::response::{IntoResponse, Response};
use fanfare_hub::{Resume, Selection, SubscribeError};
use fanfare_stream::{AcceptEncoding, KeepAlive, Sse};
#[cfg(feature = "zstd")]
use fanfare_wire::Coding;
use fanfare_wire::Frame;
use fanfare_wire::jitter;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::time::{Instant, timeout};

use crate::access::{Denied, Rights};
use crate::cursor::LAST_EVENT_ID;
#[cfg(feature = "zstd")]
use crate::dictionary;
use crate::drain::UntilDrained;
use crate::expiry::Expiry;
use crate::lease::{Deadline, Leased};
use crate::patterns::CompileError;
use crate::refusal::Refusal;
use crate::stall::StallNotice;
use crate::subscribe::Asked;
use crate::{Mercure, lifetime};

/// Where the stream begins, for a client that said where it was.
pub(crate) const MERCURE_LAST_EVENT_ID: HeaderName = HeaderName::from_static("mercure-last-event-id");

/// No cache may keep a stream or change it, and none may give it to somebody else (M-052, M-197).
const NEVER_KEPT: &str = "private, no-cache, no-store, no-transform, must-revalidate, max-age=0";

pub(crate) async fn open(
    mercure: &Mercure,
    asked: Asked,
    rights: &Rights,
    head: &Parts,
) -> Result<Response, Refusal> {
    let (settings, headers) = (&mercure.settings, &head.headers);
    let bookmarks = settings.bookmarks.wanted_by(headers);
    let subscriber = match &settings.subscriptions {
        Some(subscriptions) => subscriptions.subscriber(asked.in_words, &rights.payloads)?,
        None => None,
    };
    // Whoever has shown a token waits for no stranger.
    let compiling = if rights.anonymous { &settings.patterns } else { &settings.token_patterns };
    let patterns = match compiling.matchers(asked.patterns, settings.limits.patterns).await {
        Ok(patterns) => patterns,
        Err(CompileError::Matcher(error)) => return Err(error.into()),
        Err(CompileError::Busy) => return overloaded("The hub has too many patterns to compile."),
    };
    let selection: Selection = asked.exact.into_iter().chain(patterns).collect();
    // Of a `HEAD` there will be no stream.
    let subscriber = subscriber.filter(|_| head.method != Method::HEAD);
    let charged = subscriber.as_ref().map(|subscriber| mercure.hub.charge(subscriber.bytes(), &rights.read));
    let charge = match charged.transpose() {
        Ok(charge) => charge,
        Err(error) => return refuse(error),
    };
    if let Some(subscriptions) = &settings.subscriptions {
        subscriptions.prepare_soon(&mercure.hub).await;
    }
    let mut subscription =
        mercure.hub.subscribe_with(selection, &rights.read).after(asked.last.clone()).bookmarks(bookmarks);
    let begins = match timeout(settings.limits.log_timeout, subscription.opened()).await {
        // It has everything, and an `EventSource` that is told so does not come back.
        Ok(Ok(Resume::Over)) => return Ok(over()),
        Ok(Ok(resume)) => asked.last.as_ref().map(|last| begins(resume.last_event_id_header(last))),
        Ok(Err(error)) => return refuse(error),
        Err(_) => return overloaded("The log did not answer in time."),
    };
    if let (Some(subscriptions), Some(subscriber), Some(charge)) =
        (&settings.subscriptions, subscriber, charge)
    {
        subscription = subscriptions.attend(&mercure.hub, subscription, subscriber, charge);
    }
    let lives = lifetime::drawn(settings.lifetime, rights.until, SystemTime::now());
    let ends_at = lives.and_then(|lives| Instant::now().checked_add(lives));
    let (subscription, ticket) = match &rights.licence {
        Some(licence) => licence.register(subscription).map_err(Denied::from)?,
        None => (subscription, None),
    };
    let expiry = rights.until.map(|until| Expiry::new(until, settings.wall_clock.clone()));
    let deadline = Deadline::at(ends_at).expiring(expiry).living_by(ticket);
    let stall = settings.keep_alive.map(|after| StallNotice::new(mercure.hub.clone(), after));
    let frames = UntilDrained::new(subscription, deadline, settings.drain.clone()).telling_of_stalls(stall);
    let leased = Leased::of(frames.lease());
    let keep_alive = settings.keep_alive.map_or_else(KeepAlive::off, KeepAlive::every);
    let mut sse = Sse::new(frames)
        // Some clients and proxies hold everything back until the first byte of a body (M-053).
        .opening(Frame::KEEP_ALIVE)
        .keep_alive(keep_alive)
        // The client finds a clean end and comes back with its last event ID, whatever went wrong here.
        .on_error(|error| tracing::warn!(%error, "a stream ended early"));
    if !settings.codings.is_empty() {
        sse = compressed(sse, mercure, headers);
    }
    let mut response = sse.into_response();
    response.extensions_mut().insert(leased);
    let response_headers = response.headers_mut();
    #[cfg(feature = "zstd")]
    dictionary::tell(mercure, response_headers);
    response_headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(NEVER_KEPT));
    response_headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response_headers.insert(header::EXPIRES, HeaderValue::from_static("0"));
    if let Some(begins) = begins {
        if settings.legacy {
            response_headers.insert(LAST_EVENT_ID, begins.clone());
        }
        response_headers.insert(MERCURE_LAST_EVENT_ID, begins);
    }
    Ok(response)
}

/// The stream in the coding that its client wants most. Only what the hub keeps is worth compressing: that is for many.
fn compressed(sse: Sse, mercure: &Mercure, headers: &HeaderMap) -> Sse {
    let (accepted, codings) = (AcceptEncoding::from_headers(headers), &mercure.settings.codings);
    #[cfg(feature = "zstd")]
    if let Some(dictionary) = mercure.dictionary().filter(|it| dictionary::is_available(headers, it)) {
        let offered: Vec<_> = [Coding::Dcz].into_iter().chain(codings.iter().copied()).collect();
        if accepted.preferred(&offered) == Coding::Dcz {
            return sse.with_dictionary(dictionary, usize::MAX);
        }
    }
    sse.in_coding(accepted.preferred(codings), usize::MAX)
}

/// The answer to a client that came back with the id of an end.
fn over() -> Response {
    (StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, HeaderValue::from_static(NEVER_KEPT))]).into_response()
}

/// An id that a header cannot hold is one that no event of ours has.
fn begins(id: &str) -> HeaderValue {
    HeaderValue::from_bytes(id.as_bytes()).unwrap_or(HeaderValue::from_static("earliest"))
}

fn refuse(error: SubscribeError) -> Result<Response, Refusal> {
    match error {
        SubscribeError::HubFull { .. } => overloaded("The hub serves as many subscribers as it may."),
        SubscribeError::SelectionsTooLarge { .. } => {
            overloaded("What the hub's subscribers ask for takes as much memory as it may.")
        }
        SubscribeError::TooManyPatterns { .. } => {
            overloaded("The hub's subscribers use as many patterns as they may.")
        }
        SubscribeError::PatternsTooLarge { .. } => {
            overloaded("The patterns of the hub's subscribers take as much memory as they may.")
        }
        SubscribeError::PatternsTooAlike { .. } | SubscribeError::PatternsTooCostly => overloaded(
            "The hub's subscribers use as many patterns of this kind as they may; one with more of its path written out may have room.",
        ),
        SubscribeError::Topic(_) => Err(Refusal::bad(crate::refusal::sentence(error))),
        _ => {
            tracing::warn!(%error, "could not open a subscription");
            overloaded("The log is not available.")
        }
    }
}

fn overloaded(sentence: &'static str) -> Result<Response, Refusal> {
    Err(Refusal::unavailable(sentence, jitter::reconnection_time()))
}

/// The stream that sends its client away for a while, if the request accepts a stream: a native `EventSource` gives up for good on
/// any status but 200.
pub(crate) fn sent_away(headers: &HeaderMap) -> Option<Response> {
    if !accepts_event_stream(headers) {
        return None;
    }
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static(NEVER_KEPT)),
    ];
    Some((headers, jitter::come_back().into_bytes()).into_response())
}

fn accepts_event_stream(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    ranges.flat_map(|value| value.split(',')).any(|range| {
        range
            .split(';')
            .next()
            .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("text/event-stream"))
    })
}
