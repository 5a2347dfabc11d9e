//! axum 0.8.

use axum::Router;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use fanfare_stream::{Accept, AcceptEncoding, LastEventId};

use super::{Host, ORDERS, answer, orders, serve_async};

pub(crate) struct Axum08;

impl Axum08 {
    pub(crate) fn start() -> Host {
        Host::run(|listener, told| {
            let handler = move |uri: Uri, last: LastEventId, accepted: AcceptEncoding| async move {
                answer(uri.path(), &last, &accepted, &told)
            };
            let as_wished =
                async |accept: Accept| accept.dual(orders, || ([(CONTENT_TYPE, "application/json")], ORDERS));
            let as_they_come = async |accept: Accept| accept.only(orders);
            let router = Router::new()
                .route("/orders", get(as_wished))
                .route("/orders-as-they-come", get(as_they_come))
                .fallback_service(get(handler));
            serve_async(listener, |listener| async { axum::serve(listener, router).await });
        })
    }
}
