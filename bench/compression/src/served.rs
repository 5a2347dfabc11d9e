//! The server of one contestant: a stream, a place to publish to, and what processor time it has taken.

use std::convert::Infallible;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Router, response::sse};
use fanfare::{AcceptEncoding, Event, Hub, HubBuilder, Sse};
use futures_util::StreamExt;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tower_http::compression::CompressionLayer;

use crate::{Way, dictionary};

pub(crate) fn run(way: Way) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        match way {
            Way::Plain | Way::Gzip | Way::Zstd => hub(Hub::builder()).await,
            Way::Dcz => hub(Hub::builder().compression_dictionary(dictionary())).await,
            Way::AxumPlain | Way::AxumGzip => plain_axum().await,
        }
    });
}

async fn hub(builder: HubBuilder) {
    let stream = async |State(hub): State<Hub>, accepted: AcceptEncoding| {
        let sse = Sse::new(hub.subscribe("a").bookmarks(false));
        match hub.compression_dictionary() {
            Some(dictionary) => sse.with_dictionary(dictionary, usize::MAX),
            None => sse.compress(&accepted),
        }
    };
    let publish = async |State(hub): State<Hub>, data: String| {
        hub.publish("a", Event::new(data)).await.expect("published");
    };
    let hub = builder.build().expect("a hub");
    let router = Router::new().route("/stream", get(stream)).route("/publish", post(publish)).with_state(hub);
    let listener = fanfare::listen(([127, 0, 0, 1], 0).into()).expect("a port");
    println!("listening on {}", listener.local_addr().expect("an address"));
    fanfare::serve(listener, router.route("/cpu", get(cpu))).await.expect("served");
}

/// An ordinary application, whose streams are compressed by the usual layer, one by one.
async fn plain_axum() {
    let (sender, _) = broadcast::channel::<String>(64);
    let stream = async |State(sender): State<broadcast::Sender<String>>| {
        let events = BroadcastStream::new(sender.subscribe())
            .map(|data| Ok::<_, Infallible>(sse::Event::default().data(data.expect("nobody lags"))));
        let opening = futures_util::stream::iter([Ok(sse::Event::default().comment(""))]);
        sse::Sse::new(opening.chain(events))
    };
    let publish = async |State(sender): State<broadcast::Sender<String>>, data: String| {
        let _ = sender.send(data);
    };
    // The layer leaves streams alone unless it is told otherwise.
    let always = |_: axum::http::StatusCode,
                  _: axum::http::Version,
                  _: &axum::http::HeaderMap,
                  _: &axum::http::Extensions| true;
    let router = Router::new()
        .route("/stream", get(stream))
        .route("/publish", post(publish))
        .with_state(sender)
        .layer(CompressionLayer::new().compress_when(always));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("listening on {}", listener.local_addr().expect("an address"));
    axum::serve(listener, router.route("/cpu", get(cpu))).await.expect("served");
}

/// Nanoseconds on a processor, of all threads. Linux alone.
async fn cpu() -> String {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc");
    let of_one = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    tasks.filter_map(of_one).sum::<u64>().to_string()
}
