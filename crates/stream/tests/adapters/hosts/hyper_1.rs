//! hyper 1, without a framework.

use fanfare_stream::{LastEventId, hyper_1};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;

use super::{Host, answer, serve_async};

pub(crate) struct Hyper1;

impl Hyper1 {
    pub(crate) fn start() -> Host {
        Host::run(|listener, visits| {
            let service = hyper_1::service(move |request: Request<Incoming>| {
                let last = LastEventId::from_request(request.headers(), request.uri());
                std::future::ready(answer(request.uri().path(), &last, &visits))
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
