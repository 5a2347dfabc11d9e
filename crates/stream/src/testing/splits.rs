//! Cuts at every byte: of what a decoder is pushed, and of a connection whose client comes back.
//!
//! It tries all places there are, so it costs the square of the bytes: streams of some kilobytes are meant.

use std::future::Future;
use std::panic::Location;

use fanfare_wire::Decoder;
use http::{Request, Response, Uri};
use http_body::Body;

use super::between::Way;
use super::{Between, Dispatched, Heard, Reader, event_source, head};
use crate::BoxError;

/// Decodes `bytes` whole, in two pieces cut at every byte, and byte by byte: all has to mean the same. Gives what it means, and
/// whether that ends
/// amid an event is not said, as a browser does not say it either.
///
/// It reads what any framework has sent.
///
/// ```
/// use fanfare_stream::testing::{Heard, every_split};
///
/// let heard = every_split(b"id: 7\ndata: hi\n\n:\n");
/// assert!(matches!(&heard[0], Heard::Event(event) if event.data == "hi" && event.last_event_id == "7"));
/// assert_eq!(heard[1], Heard::Comment(String::new()));
/// ```
///
/// # Panics
///
/// If it does not mean the same, or passes the [limits](fanfare_wire::Limits) of a decoder.
#[track_caller]
#[must_use]
pub fn every_split(bytes: &[u8]) -> Vec<Heard> {
    let whole = decoded([bytes]);
    for at in 1..bytes.len() {
        let (one, other) = bytes.split_at(at);
        assert_eq!(decoded([one, other]), whole, "cut behind {:?}", shown(one));
    }
    assert_eq!(decoded(bytes.chunks(1)), whole, "cut at every byte");
    whole
}

#[track_caller]
fn decoded<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Heard> {
    let mut decoder = Decoder::new();
    let mut heard = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(item)) => heard.extend(Heard::of(item)),
                Ok(None) => break,
                Err(error) => panic!("no browser would read on: {error}"),
            }
        }
    }
    heard
}

/// Cuts a connection behind every byte of its first `events` events, comes back each time as a browser would, and checks that the
/// client gets each event
/// once and in order. Gives the events.
///
/// So a replay that loses what was under way, or sends it twice, is found wherever it does. The handler has to give the same
/// stream each time it is asked with the
/// same last event ID, as one does that reads from a history. Nobody waits for a reconnection time.
///
/// ```
/// # use fanfare_stream::{LastEventId, Sse, SseBody, testing};
/// # use fanfare_wire::{Event, EventId};
/// # use futures_util::stream;
/// # async fn numbers(request: http::Request<()>) -> http::Response<SseBody> {
/// #     let last = LastEventId::from_request(request.headers(), request.uri());
/// #     let first = last.id().map_or(1, |id| id.as_str().parse::<u32>().unwrap() + 1);
/// #     let events = (first..=3).map(|n| Event::new("tick").id(EventId::parse(n.to_string()).unwrap()));
/// #     Sse::new(stream::iter(events)).response()
/// # }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let events = testing::every_cut_resumes(numbers, "/numbers", 3).await;
/// assert_eq!(events.last().unwrap().last_event_id, "3");
/// # }
/// ```
///
/// # Panics
///
/// If some event is lost, doubled or another one, with the place of the cut; or if a response is no event stream.
#[track_caller]
pub fn every_cut_resumes<H, F, B>(
    mut handler: H,
    uri: &str,
    events: usize,
) -> impl Future<Output = Vec<Dispatched>>
where
    H: FnMut(Request<()>) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Error: Into<BoxError>> + Send + 'static,
{
    let at = Location::caller();
    let uri: Uri = uri.parse().expect("a handler is asked for a URI");
    async move {
        let mut asked = async |last: &str| {
            let response = handler(event_source::request(&uri, last)).await;
            head::assert_at(at, &response);
            Way::from_response(Between::nothing(), response)
        };
        let mut reader = Reader::along(asked("").await);
        let mut all = Vec::new();
        while all.len() < events {
            all.push(reader.event_for(at).await);
        }
        let mut cut = 0;
        loop {
            let mut first = Reader::along(asked("").await.lost_after(cut));
            let mut got: Vec<_> = first.rest().await.into_iter().filter_map(Heard::event).collect();
            let (seen, last) = (got.len(), first.last_event_id().to_owned());
            let mut second = Reader::along(asked(&last).await).after(&last);
            while got.len() < events {
                let Some(event) = second.event_if_any().await else { break };
                got.push(event);
            }
            // Behind the last one there may be more, but none of these again.
            let again = std::iter::from_fn(|| second.now_unless_over()).filter_map(Heard::event);
            got.extend(again.take(events).filter(|event| all.contains(event)));
            if got != all {
                let (before, got, all) = (shown(first.bytes()), listed(&got, seen), listed(&all, 0));
                panic!(
                    "{at}: cut behind {before:?} the client came back with the last event ID {last:?}, and got\n{got}\nin place of\n{all}"
                );
            }
            if seen == events {
                return all;
            }
            cut += 1;
        }
    }
}

/// The last bytes before a cut.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(60)..]).into_owned()
}

/// Events, one a line, and behind which the cut was.
fn listed(events: &[Dispatched], cut: usize) -> String {
    let lines = events
        .iter()
        .enumerate()
        .map(|(n, event)| format!("  {event}{}", if n + 1 == cut { " | cut" } else { "" }));
    lines.collect::<Vec<_>>().join("\n")
}
