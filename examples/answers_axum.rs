//! Answers that go on when their reader leaves, as those of a language model, with axum. Who reloads the page in the midst of one misses
//! nothing and sees nothing twice.
//!
//! `cargo run -p fanfare --example answers_axum --features axum-08 [ADDRESS]` prints `listening on http://127.0.0.1:3000`. Ask something
//! there, reload, open the page twice, and press Stop.
//!
//! `POST /answers` begins to answer the body and says where; `GET` of that place is the answer from its beginning, and `POST …/stop` asks for
//! an end of it. With an engine in place of the memory's, the answer is on every node and survives this process.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::{Router, routing::get, routing::post};
use fanfare::{Event, GapReason, Hub, LastEventId, ProduceError, Producer, Resume, Sse};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::sleep;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let router = Router::new()
        .route("/", get(|| async { Html(include_str!("answers.html")) }))
        .route("/answers", post(ask))
        .route("/answers/{answer}", get(read))
        .route("/answers/{answer}/stop", post(stop))
        .with_state(Hub::builder().build()?);
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}

/// Each answer has a topic of its own.
fn topic(answer: u64) -> String {
    format!("answers/{answer}")
}

async fn ask(State(hub): State<Hub>, question: String) -> Result<impl IntoResponse, StatusCode> {
    // One that nobody can guess is better where not everybody may read everything.
    static ANSWERS: AtomicU64 = AtomicU64::new(1);
    let answer = ANSWERS.fetch_add(1, Ordering::Relaxed);
    // Before the place is known to anybody, so that whoever looks there finds a stream.
    let producer =
        hub.produce(topic(answer)).expires_after(Duration::from_secs(3600)).await.map_err(|error| {
            eprintln!("cannot answer: {error}");
            StatusCode::SERVICE_UNAVAILABLE
        })?;
    tokio::spawn(async move {
        if let Err(error) = write(producer, question).await {
            eprintln!("answer {answer} was not finished: {error}");
        }
    });
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("/answers/{answer}"))]))
}

/// Writes the answer, whoever reads it, until somebody asks for a stop.
async fn write(mut producer: Producer, question: String) -> Result<(), ProduceError> {
    let mut words = pin!(model(&question));
    let how = loop {
        tokio::select! {
            word = words.next() => match word {
                Some(word) => producer.send(Event::new(word)).await?,
                None => break "done",
            },
            _ = producer.stopped() => break "stopped",
        };
    };
    producer.end(how).await?;
    Ok(())
}

/// A model that has nothing to say but the question, and takes its time for it.
fn model(question: &str) -> impl Stream<Item = String> {
    stream::iter(question.split_whitespace()).then(|word| async move {
        sleep(Duration::from_millis(50)).await;
        format!("{word} ")
    })
}

/// All of it for who comes for the first time; for who comes back, the rest; and nothing, for good, for who has the end.
async fn read(
    State(hub): State<Hub>,
    Path(answer): Path<u64>,
    last: LastEventId,
) -> Result<Response, StatusCode> {
    let mut subscription = hub.subscribe(topic(answer)).from_start().after(last);
    match subscription.opened().await {
        Ok(Resume::Over) => Ok(StatusCode::NO_CONTENT.into_response()),
        Ok(Resume::Gap { reason: GapReason::Unknown }) => Err(StatusCode::NOT_FOUND),
        Ok(_) => Ok(Sse::new(subscription).into_response()),
        Err(error) => {
            eprintln!("cannot read: {error}");
            Err(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

async fn stop(State(hub): State<Hub>, Path(answer): Path<u64>) -> StatusCode {
    match hub.stop_producing(topic(answer)).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
