//! The page of `--dev`: three files that are part of the program.
//!
//! Nothing on it comes from anywhere else, and its content security policy says so to the browser.

use std::future::{Ready, ready};

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderName, header};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Serves the page at `/`.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/", get(file("text/html; charset=utf-8", include_str!("page/index.html"))))
        .route("/page.css", get(file("text/css; charset=utf-8", include_str!("page/page.css"))))
        .route("/page.js", get(file("text/javascript; charset=utf-8", include_str!("page/page.js"))))
}

fn file(
    content_type: &'static str,
    content: &'static str,
) -> impl Fn() -> Ready<Response> + Clone + Send + Sync + 'static {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    move || ready((headers.clone(), content).into_response())
}
