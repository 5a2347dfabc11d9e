//! Tells clients which tokens the hub takes: the document of [RFC 9728](https://www.rfc-editor.org/rfc/rfc9728).
//!
//! Rules: M-171 to M-173.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde_json::json;
use url::Url;

use crate::access::TokenAccess;

/// What comes before the hub's path (RFC 9728 § 3.1).
const PREFIX: &str = "/.well-known/oauth-protected-resource";

/// The path at which the document of the hub at `hub` is.
pub(crate) fn path(hub: &Url) -> String {
    format!("{PREFIX}{}", hub.path())
}

/// Where the world finds it.
pub(crate) fn url(hub: &Url) -> Url {
    let mut url = hub.clone();
    url.set_path(&path(hub));
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// The document.
pub(crate) fn answer(access: &TokenAccess, hub: &Url, subscriptions: bool) -> Response {
    let mut document = json!({
        "resource": access.resource().unwrap_or(hub.as_str()),
        "bearer_methods_supported": ["header"],
        "authorization_details_types_supported": [crate::token::DETAIL_TYPE],
        "mercure_cookie": access.cookie,
        "mercure_matcher_types_supported": ["exact", "urlpattern"],
    });
    if !access.authorization_servers.is_empty() {
        document["authorization_servers"] = access.authorization_servers.clone().into();
    }
    if subscriptions {
        document["mercure_subscriptions"] = true.into();
    }
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
    ];
    (headers, document.to_string()).into_response()
}
