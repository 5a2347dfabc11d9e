//! A Mercure hub inside an axum application: browsers subscribe by HTTP, handlers publish in process.
//!
//! `cargo run -p fanfare --example mercure_axum --features mercure [ADDRESS]` prints `listening on http://127.0.0.1:3000`.
//! Then `curl -N 'http://127.0.0.1:3000/.well-known/mercure?match=orders/41'` in one terminal, and in another
//! `curl -X POST http://127.0.0.1:3000/orders/41/pay`.
//!
//! Nobody publishes over HTTP, and everybody reads what is public: that is what `Mercure` does if nothing is said about
//! tokens. `Mercure::access` says something.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Router, routing::post};
use fanfare::{Event, Hub, Mercure};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let hub = Hub::builder().history_events(1_000).build()?;
    let application = Router::new()
        .route("/orders/{order}/pay", post(pay))
        .with_state(hub.clone())
        .merge(Mercure::new(hub).router());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    fanfare::serve(listener, application).await?;
    Ok(())
}

async fn pay(State(hub): State<Hub>, Path(order): Path<String>) -> impl IntoResponse {
    match hub.publish(format!("orders/{order}"), Event::new("paid")).await {
        Ok(published) => (StatusCode::OK, published.id.to_string()),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
    }
}
