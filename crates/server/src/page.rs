//! The page of `--dev`: files that are part of the program.
//!
//! Nothing on it comes from anywhere else, and its content security policy says so to the browser.

use std::future::{Ready, ready};

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderName, header};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where each file is, and what stands in it. The end of its name says what it is.
macro_rules! files {
    ($($name:literal),* $(,)?) => { [$((concat!("/page/", $name), include_str!(concat!("page/", $name)))),*] };
}

const FILES: [(&str, &str); 14] = files![
    "page.css",
    "answer.js",
    "decode.js",
    "element.js",
    "explanation.js",
    "hub.js",
    "lines.js",
    "list.js",
    "page.js",
    "presence.js",
    "publish.js",
    "rows.js",
    "stream.js",
    "token.js",
];

/// Serves the page at `/`, and what it is made of below `/page/`.
pub(crate) fn router() -> Router {
    let page =
        Router::new().route("/", get(file("text/html; charset=utf-8", include_str!("page/index.html"))));
    FILES.iter().fold(page, |page, (path, content)| {
        let is_style = path.ends_with(".css");
        let content_type =
            if is_style { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
        page.route(path, get(file(content_type, content)))
    })
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
