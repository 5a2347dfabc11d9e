//! Turns a publisher's form into a publication.
//!
//! It takes the fields as they were sent; what their sender may do was decided before. Rules: section 6 of the protocol.

use std::borrow::Cow;
use std::time::Duration;

use fanfare_hub::{Publication, PublishError, Topic, TopicError};
use fanfare_wire::jitter;
use fanfare_wire::{Event, EventId, EventName};
use url::Url;

use crate::access::Rights;
use crate::body;
use crate::form::Form;
use crate::limits::RequestLimits;
use crate::refusal::{Refusal, sentence};
use crate::reserved::is_reserved;
use crate::text::{any_text, plain_text};

/// Event names that only the hub itself may send, whatever it is configured to (M-148).
const SUBSCRIPTION_EVENT: &str = "mercure";

/// The fields of a form that mean something here; of one that may be there once, the first (M-069).
#[derive(Default)]
struct Fields<'a> {
    topics: Vec<Cow<'a, [u8]>>,
    data: Option<Cow<'a, [u8]>>,
    private: bool,
    id: Option<Cow<'a, [u8]>>,
    event: Option<Cow<'a, [u8]>>,
    retry: Option<Cow<'a, [u8]>>,
}

/// Reads a publication from a form.
///
/// Topics are judged first, then whether `rights` cover them, and the other fields after that (M-075).
///
/// # Errors
/// 400 and 413, as the table of M-069 and M-083 say, and 403 where the rights do not cover a topic (M-074).
pub(crate) fn publication(
    form: &[u8],
    hub: &Url,
    limits: &RequestLimits,
    rights: &Rights,
) -> Result<Publication, Refusal> {
    let fields = fields(form, limits)?;
    if fields.topics.is_empty() {
        return Err(Refusal::bad("The field `topic` is missing."));
    }
    let topics = fields.topics.into_iter().map(|bytes| topic(bytes, hub)).collect::<Result<Vec<_>, _>>()?;
    if !rights.may_publish(&topics) {
        return Err(Refusal::forbidden(
            "The token does not grant to publish to every topic of this publication.",
        ));
    }
    let event = event(fields.data, fields.id, fields.event, fields.retry)?;
    let addressed = Publication::to(topics);
    Ok(if fields.private { addressed.private(event) } else { addressed.event(event) })
}

fn fields<'a>(form: &'a [u8], limits: &RequestLimits) -> Result<Fields<'a>, Refusal> {
    let mut fields = Fields::default();
    for (name, value) in Form::new(form) {
        match &*name {
            b"topic" if fields.topics.len() == limits.topics_max => {
                let limit = limits.topics_max;
                return Err(Refusal::too_large(format!("A publication may have at most {limit} topics.")));
            }
            b"topic" => fields.topics.push(value),
            b"data" => first(&mut fields.data, value),
            b"private" => fields.private = true,
            b"id" => first(&mut fields.id, value),
            b"type" => first(&mut fields.event, value),
            b"retry" => first(&mut fields.retry, value),
            unknown if std::str::from_utf8(unknown).is_err() => {
                return Err(Refusal::bad("The name of a field is not valid UTF-8."));
            }
            _ => {}
        }
    }
    Ok(fields)
}

fn first<'a>(field: &mut Option<Cow<'a, [u8]>>, value: Cow<'a, [u8]>) {
    field.get_or_insert(value);
}

fn topic(bytes: Cow<'_, [u8]>, hub: &Url) -> Result<Topic, Refusal> {
    let text = plain_text("topic", bytes)?;
    let topic = Topic::parse(&text).map_err(|error| match error {
        TopicError::TooLong { .. } => Refusal::too_large(sentence(error)),
        _ => Refusal::bad(sentence(error)),
    })?;
    if is_reserved(&text, hub) {
        return Err(Refusal::bad(format!("The topic {text:?} is reserved for the hub itself.")));
    }
    Ok(topic)
}

fn event(
    data: Option<Cow<'_, [u8]>>,
    id: Option<Cow<'_, [u8]>>,
    name: Option<Cow<'_, [u8]>>,
    retry: Option<Cow<'_, [u8]>>,
) -> Result<Event, Refusal> {
    let data = data.map(|bytes| any_text("data", bytes)).transpose()?;
    let mut event = Event::new(data.unwrap_or_default());
    // An empty id, type or retry is an absent one: PHP's clients send them (M-080, M-073).
    if let Some(bytes) = id.filter(|bytes| !bytes.is_empty()) {
        let text = plain_text("id", bytes)?;
        let id = EventId::parse(text)
            .map_err(|error| Refusal::bad(sentence(format_args!("the id is refused: {error}"))))?;
        event = event.id(id);
    }
    if let Some(bytes) = name.filter(|bytes| !bytes.is_empty()) {
        let text = plain_text("type", bytes)?;
        if text == SUBSCRIPTION_EVENT {
            return Err(Refusal::bad(format!("The type {text:?} is reserved for events of the hub itself.")));
        }
        let name = EventName::parse(text)
            .map_err(|error| Refusal::bad(sentence(format_args!("the type is refused: {error}"))))?;
        event = event.event(name);
    }
    if let Some(bytes) = retry.filter(|bytes| !bytes.is_empty()) {
        event = event.retry(Duration::from_millis(milliseconds(&bytes)?));
    }
    Ok(event)
}

/// ASCII digits and nothing else: no sign, point or space (M-073).
fn milliseconds(bytes: &[u8]) -> Result<u64, Refusal> {
    if !bytes.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::bad("The field `retry` takes whole milliseconds in the digits 0 to 9."));
    }
    let digits = std::str::from_utf8(bytes).ok().and_then(|digits| digits.parse().ok());
    digits.ok_or_else(|| Refusal::bad("The field `retry` is too large a number."))
}

/// What a publisher is told whose publication the hub did not take.
impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::IdTooLong { .. }
            | PublishError::NameTooLong { .. }
            | PublishError::EventTooLarge { .. } => Self::too_large(sentence(error)),
            PublishError::KeyReused => Self::contradiction(
                "The Idempotency-Key was used before, for another publication; this one was not stored.",
            ),
            PublishError::NotStored(_) => {
                tracing::warn!(%error, source = source(&error), "refused a publication");
                Self::unavailable(
                    "The log is not available; the publication was not stored and may be sent again.",
                    jitter::reconnection_time(),
                )
            }
            PublishError::MaybeStored(_) => {
                tracing::warn!(%error, source = source(&error), "could not tell the fate of a publication");
                in_doubt()
            }
            PublishError::Topic(_)
            | PublishError::NoTopic
            | PublishError::ReservedId { .. }
            | PublishError::ReservedName { .. } => Self::bad(sentence(error)),
            _ => {
                tracing::error!(%error, "refused a publication for a reason unknown here");
                Self::fault()
            }
        }
    }
}

/// What a publisher is told when nobody knows whether the log has its publication.
pub(crate) fn in_doubt() -> Refusal {
    let sentence = "The log did not answer in time, so the publication may have been stored; sent again with the same Idempotency-Key it is stored once, without one perhaps twice.";
    Refusal::in_doubt(sentence)
}

fn source(error: &dyn std::error::Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

/// Refuses what is not a form before its body is read.
///
/// # Errors
/// 400, which is what clients of the deployed hubs know (M-067).
pub(crate) fn check_media_type(headers: &http::HeaderMap) -> Result<(), Refusal> {
    if body::is_form(headers) {
        return Ok(());
    }
    Err(Refusal::bad("The body has to be of the type application/x-www-form-urlencoded."))
}
