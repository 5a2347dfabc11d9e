//! How streams end with axum: each says why on standard error, and a producer stops with its reader or outlives it.
//!
//! `cargo run -p fanfare --example ends_axum --features axum-08 [ADDRESS]` prints `listening on http://127.0.0.1:3000`.
//!
//! `/answer` is for its reader alone: cut it off (`curl -N`, then ^C) and the work stops. `/job` is counted to its end whoever
//! reads it. `/minute` is over after a minute. `/prices` goes to many, and who is too slow for it is sent away.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::{Router, routing::get};
use fanfare::{Event, Sender, Sse, channel, outliving};
use futures_util::{StreamExt, stream};
use tokio::time::{interval, sleep};

/// Everybody who reads prices.
type Readers = Arc<Mutex<Vec<Sender>>>;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let readers = Readers::default();
    tokio::spawn(tell_prices(readers.clone()));
    let router = Router::new()
        .route("/answer", get(answer))
        .route("/job", get(job))
        .route("/minute", get(minute))
        .route("/prices", get(prices))
        .with_state(readers);
    axum::serve(listener, router).await
}

/// Says on standard error why a stream is over.
fn told(name: &'static str, sse: Sse) -> Sse {
    sse.on_close(move |why| eprintln!("{name}: {why}"))
}

async fn answer() -> Sse {
    let (sender, sse) = channel(16);
    tokio::spawn(async move {
        let work = async {
            for word in ["It", "takes", "a", "while", "to", "say", "this."] {
                sleep(Duration::from_secs(1)).await; // Expensive, and for nobody else.
                sender.send(Event::new(word)).await.ok();
            }
        };
        if sender.while_open(work).await.is_ok() {
            sender.close().await.ok();
        }
    });
    told("answer", sse)
}

async fn job() -> Sse {
    let steps = stream::iter(1..=10).then(|step| async move {
        sleep(Duration::from_secs(1)).await;
        eprintln!("job: step {step} of 10 is done");
        Event::new(step.to_string())
    });
    told("job", outliving(steps, 16))
}

async fn minute() -> Sse {
    let events = stream::unfold(interval(Duration::from_secs(1)), |mut clock| async {
        clock.tick().await;
        Some((Event::new("tick"), clock))
    });
    told("minute", Sse::new(events).lifetime(Duration::from_secs(60)))
}

async fn prices(State(readers): State<Readers>) -> Sse {
    let (sender, sse) = channel(16);
    readers.lock().expect("nothing panics under it").push(sender);
    told("prices", sse)
}

async fn tell_prices(readers: Readers) {
    let mut clock = interval(Duration::from_millis(10));
    for price in 0_u64.. {
        clock.tick().await;
        let frame = Event::new(price.to_string()).to_frame(); // Encoded once, whoever reads.
        let mut readers = readers.lock().expect("nothing panics under it");
        readers.retain(|reader| reader.send_or_end(frame.clone()).is_ok());
    }
}
