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

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The path of a file, what stands in it, and what that is.
macro_rules! files {
    ($($content_type:ident: $($name:literal)*;)*) => {
        [$($((concat!("/page/", $name), include_str!(concat!("page/", $name)), $content_type)),*),*]
    };
}

const FILES: [(&str, &str, &str); 14] = files! {
    STYLE: "page.css";
    SCRIPT: "answer.js" "decode.js" "element.js" "explanation.js" "hub.js" "lines.js" "list.js" "page.js" "presence.js"
        "publish.js" "rows.js" "stream.js" "token.js";
};

/// Serves the page at `/`, and what it is made of below `/page/`.
pub(crate) fn router() -> Router {
    let page =
        Router::new().route("/", get(file("text/html; charset=utf-8", include_str!("page/index.html"))));
    FILES
        .iter()
        .fold(page, |page, (path, content, content_type)| page.route(path, get(file(content_type, content))))
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
