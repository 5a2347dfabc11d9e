//! axum 0.8.

use axum::Router;
use axum::http::Uri;
use axum::routing::get;
use fanfare_stream::LastEventId;

use super::{Host, answer, serve_async};

pub(crate) struct Axum08;

impl Axum08 {
    pub(crate) fn start() -> Host {
        Host::run(|listener, visits| {
            let handler =
                move |uri: Uri, last: LastEventId| async move { answer(uri.path(), &last, &visits) };
            let router = Router::new().fallback_service(get(handler));
            serve_async(listener, |listener| async { axum::serve(listener, router).await });
        })
    }
}
