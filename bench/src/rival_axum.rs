//! The rival: server-sent events the way an axum application has them today, with `tokio::sync::broadcast`.
//!
//! Written as a good developer would with the documented parts: one channel, one stream for each subscriber, keep-alive
//! with its default, the default runtime. Nothing in it is tuned for the benchmark, for or against.

use anyhow::Context;
use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Form, Router};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};

/// Events that a slow subscriber may be behind before it is cut.
const CAPACITY: usize = 1024;

struct Update {
    id: String,
    data: String,
}

#[derive(Clone)]
struct Updates {
    sender: broadcast::Sender<Arc<Update>>,
    published: Arc<AtomicU64>,
}

#[derive(serde::Deserialize)]
struct Publication {
    data: String,
}

/// Serves until the process is ended.
pub(crate) fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let updates = Updates { sender: broadcast::channel(CAPACITY).0, published: Arc::default() };
        let app =
            Router::new().route("/.well-known/mercure", get(subscribe).post(publish)).with_state(updates);
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        println!("listening on http://{}", listener.local_addr()?);
        let listener = listener.tap_io(|stream| {
            // Without it small events wait for the acknowledgement of the one before.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, app).await?;
        Ok(())
    })
}

async fn subscribe(State(updates): State<Updates>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stream = BroadcastStream::new(updates.sender.subscribe())
        // A subscriber that lags has lost events: end its stream, so that the browser comes back.
        .map_while(Result::ok)
        .map(|update| Ok(Event::default().id(&update.id).data(&update.data)));
    Sse::new(stream).keep_alive(KeepAlive::default())
}

async fn publish(State(updates): State<Updates>, Form(publication): Form<Publication>) -> String {
    // As long on the wire as an id of the hub: every contestant sends the same bytes.
    let id = format!("#1{:022}", updates.published.fetch_add(1, Ordering::Relaxed) + 1);
    // An error only says that there are no subscribers.
    let _ = updates.sender.send(Arc::new(Update { id: id.clone(), data: publication.data }));
    id
}
