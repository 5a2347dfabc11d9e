//! Answers who asks for active subscriptions: all of them, those of one matcher, or one.
//!
//! Paths are taken apart as they were sent, for a matcher's slashes are encoded in them. Who asks has to hold a grant for the
//! path as a topic. Rules: section 14 of the protocol, and 20.4 for the older shape.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{OriginalUri, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use fanfare_hub::{Grant, Topic};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::document::{Around, CONTEXT, Document, Subscriber, Subscription, decode, json, push_percent};
use super::{Listed, Subscriptions};
use crate::refusal::Refusal;
use crate::token::Language;
use crate::{Mercure, Rights, Role};

const METHODS: &str = "GET, HEAD, OPTIONS";

/// What a path asks for. The types of matchers that a shape has are all that it lists.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    /// In which shape.
    legacy: bool,
    /// Of which matcher; `None` for all.
    matcher: Option<(Language, String)>,
    /// Of which subscriber; `None` for all.
    subscriber: Option<String>,
}

/// The routes below the hub's path.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(mercure: &Mercure) -> Router<S> {
    let path = mercure.settings.hub_url.path().trim_end_matches('/');
    let endpoint = any(answer).layer(mercure.cors_layer()).with_state(mercure.clone());
    Router::new()
        .route(&format!("{path}/subscriptions"), endpoint.clone())
        .route(&format!("{path}/subscriptions/{{*rest}}"), endpoint)
}

async fn answer(State(mercure): State<Mercure>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let answered = match head.method.as_str() {
        "GET" | "HEAD" => listed(&mercure, &head).await,
        "OPTIONS" => Ok((StatusCode::NO_CONTENT, [(header::ALLOW, METHODS)]).into_response()),
        _ => Err(Refusal::method(METHODS)),
    };
    answered.unwrap_or_else(|refusal| mercure.refuse(refusal))
}

async fn listed(mercure: &Mercure, head: &Parts) -> Result<Response, Refusal> {
    let Some(subscriptions) = &mercure.settings.subscriptions else {
        return Err(Refusal::not_found(NOTHING));
    };
    // Nested routers take the beginning off the path that a grant is about.
    let original = head.extensions.get::<OriginalUri>();
    let path = original.map_or(&head.uri, |original| &original.0).path();
    let rights = mercure.settings.access.rights(mercure, head, Role::Subscriber).await?;
    if rights.anonymous {
        return Err(Refusal::unauthorized("Active subscriptions are told to nobody without a token."));
    }
    if !may_list(path, &rights.read) {
        return Err(Refusal::forbidden("The token does not grant to subscribe to this path."));
    }
    let legacy = Shapes { served: mercure.settings.legacy, wanted: wants_legacy(&rights, &head.headers) };
    let target = target(&subscriptions.hub_path, path, legacy)?;
    // Where the hub does not know yet that presence is ours, nobody is there either.
    subscriptions.prepare_soon(&mercure.hub).await;
    let listed = subscriptions.list(&mercure.hub).await.ok_or_else(|| {
        Refusal::unavailable(
            "Who is subscribed on the other nodes of this hub is not known yet.",
            AGAIN_AFTER,
        )
    })?;
    respond(mercure, subscriptions, path, &target, &head.headers, listed)
}

/// When to come back for a list that could not be made.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

const NOTHING: &str = "There is no such subscription.";

/// Whether a grant covers a path as it was sent, without its query (M-155, M-208).
fn may_list(path: &str, grant: &Grant) -> bool {
    Topic::parse(path).is_ok_and(|topic| grant.allows(&[topic]))
}

/// In which shapes something can be answered.
#[derive(Clone, Copy)]
struct Shapes {
    /// Whether there is the older one at all.
    served: bool,
    /// Whether it is wanted where the path fits both.
    wanted: bool,
}

/// One path lists everything in either shape: a token from before Mercure 1.0 gets that of its time, and so does who accepts
/// nothing but it.
fn wants_legacy(rights: &Rights, headers: &HeaderMap) -> bool {
    let ranges = || headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let accepts = |essence: &str| ranges().any(|ranges| ranges.to_ascii_lowercase().contains(essence));
    rights.legacy || accepts("application/ld+json") && !accepts("application/json")
}

fn target(hub_path: &str, path: &str, legacy: Shapes) -> Result<Target, Refusal> {
    let below = path.strip_prefix(hub_path).and_then(|rest| rest.strip_prefix("/subscriptions"));
    let below = below.ok_or_else(|| Refusal::not_found(NOTHING))?;
    let mut segments = Vec::new();
    for segment in below.split('/').skip(1) {
        let decoded = decode(segment);
        segments.push(decoded.ok_or_else(|| Refusal::bad("The path is not encoded well."))?);
    }
    if !below.is_empty() && !below.starts_with('/') {
        return Err(Refusal::not_found(NOTHING));
    }
    let unknown = |name: &str| {
        Refusal::bad(format!("The match type {name:?} is not known; there are `exact` and `urlpattern`."))
    };
    let modern = |language, text: &str, subscriber: Option<&str>| Target {
        legacy: false,
        matcher: Some((language, text.to_owned())),
        subscriber: subscriber.map(str::to_owned),
    };
    let older = |topic: &str, subscriber: Option<&str>| Target {
        legacy: true,
        matcher: Some((Language::Selector, topic.to_owned())),
        subscriber: subscriber.map(str::to_owned),
    };
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match &segments[..] {
        [] => Ok(Target { legacy: legacy.served && legacy.wanted, matcher: None, subscriber: None }),
        [topic] if legacy.served => Ok(older(topic, None)),
        // The older protocol cannot name a topic that is called like a type (M-207).
        [name, text] => match Language::of_match_type(name) {
            Some(language) => Ok(modern(language, text, None)),
            None if legacy.served => Ok(older(name, Some(text))),
            None => Err(unknown(name)),
        },
        [name, text, subscriber] => {
            Ok(modern(Language::of_match_type(name).ok_or_else(|| unknown(name))?, text, Some(subscriber)))
        }
        _ => Err(Refusal::not_found(NOTHING)),
    }
}

impl Target {
    /// What of a subscriber is asked for.
    fn of<'a>(&'a self, subscriber: &'a Subscriber) -> impl Iterator<Item = &'a Subscription> + 'a {
        let is_asked = self.subscriber.as_ref().is_none_or(|id| *id == subscriber.id);
        let subscriptions = if is_asked { &subscriber.subscriptions[..] } else { &[] };
        subscriptions.iter().filter(|Subscription { asked, .. }| match &self.matcher {
            Some((language, text)) => asked.language == *language && asked.text == *text,
            None => (asked.language == Language::Selector) == self.legacy,
        })
    }
}

fn respond(
    mercure: &Mercure,
    subscriptions: &Subscriptions,
    path: &str,
    target: &Target,
    headers: &HeaderMap,
    listed: Listed,
) -> Result<Response, Refusal> {
    let Listed { subscribers, place, is_settled } = listed;
    let last_event_id = place.as_ref().map_or("earliest", |id| id.as_str());
    let tag = place.is_some().then(|| entity_tag(last_event_id));
    let is_known = is_settled && tag.as_ref().is_some_and(|tag| names(headers, tag));
    let document = document(subscriptions, &subscribers, path, target, last_event_id);
    let document = document.ok_or_else(|| Refusal::not_found(NOTHING))?;
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let content_type = if target.legacy { "application/ld+json" } else { "application/json" };
        ([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], document).into_response()
    };
    let headers = response.headers_mut();
    // It was answered for this caller: nobody may keep it for another.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, must-revalidate"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Authorization, Cookie"));
    headers.extend(link(mercure, last_event_id, target.legacy).map(|link| (header::LINK, link)));
    headers.extend(tag.and_then(|tag| HeaderValue::try_from(tag).ok()).map(|tag| (header::ETAG, tag)));
    Ok(response)
}

/// The document that a path names, if there is one: a list may be empty, but a subscription that is not there is none.
fn document(
    subscriptions: &Subscriptions,
    subscribers: &[Arc<Subscriber>],
    path: &str,
    target: &Target,
    last_event_id: &str,
) -> Option<String> {
    let hub_path = &subscriptions.hub_path;
    let all = || subscribers.iter().flat_map(|each| target.of(each).map(move |found| (each, found)));
    if target.subscriber.is_some() {
        let (subscriber, subscription) = all().next()?;
        let around = Around { within: false, last_event_id: target.legacy.then_some(last_event_id) };
        return Some(json(&subscription.document(hub_path, &subscriber.id, true, around)));
    }
    let around = Around { within: true, last_event_id: None };
    let described = all().map(|(subscriber, found)| found.document(hub_path, &subscriber.id, true, around));
    Some(json(&Collection {
        context: target.legacy.then_some(CONTEXT),
        id: path,
        kind: if target.legacy { "Subscriptions" } else { "subscriptions" },
        last_event_id: target.legacy.then_some(last_event_id),
        subscriptions: described.collect(),
    }))
}

/// The document of several subscriptions (M-157, M-204).
#[derive(Serialize)]
struct Collection<'a> {
    #[serde(rename = "@context", skip_serializing_if = "Option::is_none")]
    context: Option<&'static str>,
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "lastEventID", skip_serializing_if = "Option::is_none")]
    last_event_id: Option<&'a str>,
    subscriptions: Vec<Document<'a>>,
}

/// Where to go on from what is listed (M-159).
fn link(mercure: &Mercure, last_event_id: &str, legacy: bool) -> Option<HeaderValue> {
    let quoted = last_event_id.replace('\\', "\\\\").replace('"', "\\\"");
    let mut link = format!("<{}>; rel=\"mercure\"; last-event-id=\"{quoted}\"", mercure.settings.hub_url);
    if !legacy {
        link.push_str("; type=\"mercure\"; content-type=\"application/json\"");
    }
    HeaderValue::try_from(link).ok()
}

/// The place as an entity tag; bytes that have no place in one are encoded (M-160).
fn entity_tag(id: &str) -> String {
    let mut tag = "\"".to_owned();
    for byte in id.bytes() {
        match byte {
            0x21 | 0x23..=0x24 | 0x26..=0x7e => tag.push(byte.into()),
            _ => push_percent(&mut tag, byte),
        }
    }
    tag.push('"');
    tag
}

/// Whether `If-None-Match` names this tag. Compared weakly, as RFC 9110 § 13.1.2 has it; old clients sent it without quotes.
fn names(headers: &HeaderMap, tag: &str) -> bool {
    let given = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).map(str::trim).any(|given| {
        let given = given.strip_prefix("W/").unwrap_or(given);
        given == "*" || given == tag || given == tag.trim_matches('"')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanfare_hub::Matcher;

    const HUB: &str = "/.well-known/mercure";

    /// Whether it is of the older shape, which matcher, and which subscriber.
    type Found<'a> = (bool, Option<(Language, &'a str)>, Option<&'a str>);

    #[track_caller]
    fn check(rest: &str, served: bool, expected: Result<Found<'_>, u16>) {
        let path = format!("{HUB}/subscriptions{rest}");
        let found = target(HUB, &path, Shapes { served, wanted: false });
        let found = found.as_ref().map(|target| {
            let matcher = target.matcher.as_ref().map(|(of, text)| (*of, text.as_str()));
            (target.legacy, matcher, target.subscriber.as_deref())
        });
        assert_eq!(found.map_err(|refusal| refusal.status.as_u16()), expected, "{rest}, legacy: {served}");
    }

    #[test]
    fn a_path_is_taken_apart_as_it_was_sent_m164_m207() {
        use Language::{Exact, Selector, UrlPattern};
        for served in [false, true] {
            check("", served, Ok((false, None, None)));
            check("/exact/a", served, Ok((false, Some((Exact, "a")), None)));
            check("/%65xact/a%2Fb", served, Ok((false, Some((Exact, "a/b")), None)));
            check("/urlpattern/%2A/s", served, Ok((false, Some((UrlPattern, "*")), Some("s"))));
            check("/exact/", served, Ok((false, Some((Exact, "")), None)));
            check("/exact//s", served, Ok((false, Some((Exact, "")), Some("s"))));
            check("/exact/a+b%2520", served, Ok((false, Some((Exact, "a+b%20")), None)));
            check("/regexp/a/s", served, Err(400));
            check("/exact/%zz", served, Err(400));
            check("/exact/%FF", served, Err(400));
            check("/exact/a/b/c", served, Err(404));
            check("2", served, Err(404));
        }
        check("/a", true, Ok((true, Some((Selector, "a")), None)));
        check("/a", false, Err(404));
        check("/a%2Fb/s", true, Ok((true, Some((Selector, "a/b")), Some("s"))));
        check("/regexp/a", false, Err(400));
    }

    #[test]
    fn a_grant_has_to_cover_the_path_as_a_topic_m155() {
        let hub = "https://push.test/.well-known/mercure";
        let list = "/.well-known/mercure/subscriptions";
        let grant = |matcher: Matcher| Grant::from_iter([matcher]);
        let pattern = grant(Matcher::url_pattern(format!("{list}/exact/:m"), hub).expect("a pattern"));
        assert!(may_list("/.well-known/mercure/subscriptions/exact/a%2Fb", &pattern));
        assert!(!may_list("/.well-known/mercure/subscriptions/exact/a%2Fb/s", &pattern));
        assert!(!may_list(list, &pattern));
        let exact = grant(Matcher::exact(format!("{list}/exact/a%2Fb")).expect("a matcher"));
        assert!(may_list("/.well-known/mercure/subscriptions/exact/a%2Fb", &exact));
        assert!(!may_list("/.well-known/mercure/subscriptions/exact/a%2fb", &exact));
        let older = Matcher::topic_selector(format!("{list}{{/topic}}{{/subscriber}}")).expect("a template");
        for path in ["", "/a%2Fb", "/a%2Fb/s"] {
            assert!(may_list(&format!("{list}{path}"), &grant(older.clone())), "{path}");
        }
        assert!(!may_list(list, &Grant::nothing()));
    }

    #[test]
    fn an_entity_tag_holds_nothing_that_would_end_it_m160() {
        assert_eq!(entity_tag("#1aB-_"), "\"#1aB-_\"");
        assert_eq!(entity_tag("a\"b c%é"), "\"a%22b%20c%25%C3%A9\"");
    }

    #[test]
    fn a_tag_is_known_in_a_list_weakly_and_without_quotes() {
        let names = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(value))]);
            names(&headers, "\"#1x\"")
        };
        for value in ["\"#1x\"", "W/\"#1x\"", "\"a\", \"#1x\"", "#1x", "*"] {
            assert!(names(value), "{value}");
        }
        for value in ["\"#1y\"", "", "\"#1\""] {
            assert!(!names(value), "{value}");
        }
    }
}
