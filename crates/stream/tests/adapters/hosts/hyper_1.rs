//! hyper 1, without a framework.

use fanfare_stream::{Accept, AcceptEncoding, LastEventId, Negotiated, NotAcceptable, hyper_1};
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;

use super::{Host, ORDERS, answer, orders, serve_async};

pub(crate) struct Hyper1;

impl Hyper1 {
    pub(crate) fn start() -> Host {
        Host::run(|listener, told| {
            let service = hyper_1::service(move |request: Request<Incoming>| {
                let accept = Accept::from_headers(request.headers());
                let accepted = AcceptEncoding::from_headers(request.headers());
                let last = LastEventId::from_request(request.headers(), request.uri());
                std::future::ready(match request.uri().path() {
                    "/orders" => accept.dual(orders, || json(ORDERS)),
                    "/orders-as-they-come" => accept.only(orders).map(NotAcceptable::into_response),
                    path => Negotiated::Stream(answer(path, &last, &accepted, &told)),
                })
            });
            serve_async(listener, async |listener| {
                while let Ok((socket, _)) = listener.accept().await {
                    tokio::spawn(
                        http1::Builder::new().serve_connection(TokioIo::new(socket), service.clone()),
                    );
                }
            });
        })
    }
}

fn json(text: &str) -> Response<String> {
    Response::builder().header(CONTENT_TYPE, "application/json").body(text.into()).unwrap()
}
