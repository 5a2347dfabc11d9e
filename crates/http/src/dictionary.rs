//! The hub's dictionary: where clients fetch it, which requests name it, and what the answers say of it.
//!
//! It compresses nothing, and does not choose: a client that names the dictionary may still prefer another coding. Source:
//! [RFC 9842](https://www.rfc-editor.org/rfc/rfc9842).

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use fanfare_wire::Dictionary;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::Mercure;

const USE_AS_DICTIONARY: HeaderName = HeaderName::from_static("use-as-dictionary");
/// Names the dictionary that a client has for what it asks for.
const AVAILABLE_DICTIONARY: HeaderName = HeaderName::from_static("available-dictionary");

/// For as long as a browser may keep it, it may name it: a day. After another one was set, that is how long some get gzip instead.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=86400");

/// Some write the end of base64 and some do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where it is fetched, if there is one.
pub(crate) fn route<S: Clone + Send + Sync + 'static>(mercure: &Mercure) -> Router<S> {
    match mercure.dictionary() {
        Some(_) => Router::new()
            .route(&path(mercure), get(answer).layer(mercure.cors_layer()).with_state(mercure.clone())),
        None => Router::new(),
    }
}

/// Beside the hub: a browser uses a dictionary for its own origin alone.
fn path(mercure: &Mercure) -> String {
    format!("{}/dictionary", mercure.settings.hub_url.path().trim_end_matches('/'))
}

async fn answer(State(mercure): State<Mercure>) -> Response {
    let Some(dictionary) = mercure.dictionary() else { return StatusCode::NOT_FOUND.into_response() };
    let mut response = dictionary.content().clone().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    // It may hold anything that an event does.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
    let used = HeaderValue::try_from(used_for(mercure.settings.hub_url.path()));
    headers.extend(used.map(|used| (USE_AS_DICTIONARY, used)));
    response
}

/// For the streams of the hub at `path`, whatever their query. A URL Pattern in a string of a structured field: both have a backslash
/// in front of what means more than itself.
fn used_for(path: &str) -> String {
    let mut used = "match=\"".to_owned();
    for character in path.chars() {
        if "+*?:{}()".contains(character) {
            used.push_str(r"\\");
        }
        used.push(character);
    }
    used.push('"');
    used
}

/// Completes the head of a stream: where the dictionary is, and that the answer depends on who has it.
pub(crate) fn tell(mercure: &Mercure, headers: &mut HeaderMap) {
    if mercure.dictionary().is_some() {
        let link = HeaderValue::try_from(format!("<{}>; rel=\"compression-dictionary\"", path(mercure)));
        headers.extend(link.map(|link| (header::LINK, link)));
        headers.append(header::VARY, HeaderValue::from_static("Available-Dictionary"));
    }
}

/// Whether a request says that its client has this dictionary.
pub(crate) fn is_available(headers: &HeaderMap, dictionary: &Dictionary) -> bool {
    let mut values = headers.get_all(AVAILABLE_DICTIONARY).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    named(value.as_bytes()).is_some_and(|sha256| sha256 == dictionary.sha256())
}

/// Reads the byte sequence of a structured field (RFC 9651 § 3.3.5). What parameters say is not for us.
fn named(value: &[u8]) -> Option<Vec<u8>> {
    let text = value.trim_ascii().strip_prefix(b":")?;
    let end = text.iter().position(|byte| *byte == b':')?;
    let is_all = matches!(text[end + 1..].trim_ascii_start().first(), None | Some(b';'));
    BASE64.decode(&text[..end]).ok().filter(|_| is_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_sequence_is_read_with_or_without_the_end_of_its_base64() {
        let check = |value: &str, expected: Option<&[u8]>| {
            assert_eq!(named(value.as_bytes()).as_deref(), expected, "{value}");
        };
        check(":aGVsbG8=:", Some(b"hello"));
        check(" :aGVsbG8: ", Some(b"hello"));
        check(":aGVsbG8=:;a=1", Some(b"hello"));
        check("::", Some(b""));
        for value in [
            "",
            ":",
            "aGVsbG8=",
            ":aGVsbG8=",
            ":aGVs bG8=:",
            ":aGVsbG8=:, :aGVsbG8=:",
            "\"aGVsbG8=\"",
            ":-_:",
        ] {
            check(value, None);
        }
    }

    #[test]
    fn what_a_path_says_is_no_pattern() {
        let check = |path, expected| assert_eq!(used_for(path), expected);
        check("/.well-known/mercure", r#"match="/.well-known/mercure""#);
        check("/a:b/(c)*+", r#"match="/a\\:b/\\(c\\)\\*\\+""#);
    }
}
