//! A server with open streams that stops when it is told to, with axum.
//!
//! `cargo run -p fanfare --example shutdown_axum --features axum-08 [ADDRESS]` prints `listening on http://127.0.0.1:3000`. Open `/ticks` or
//! `/answer` (`curl -N`), and press ^C here.
//!
//! Ticks end within five seconds, each reader with a reconnection time of its own; an answer is said to its end, if that takes no more than
//! twenty. Who takes nothing is cut. axum's graceful shutdown alone would wait for all of them for ever.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::State;
use axum::serve::Listener;
use axum::{Router, routing::get};
use fanfare::{Event, Shutdown, Sse, WriteDeadline};
use futures_util::{StreamExt, stream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{interval, sleep};

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let shutdown =
        Shutdown::builder().window(Duration::from_secs(5)).finish_within(Duration::from_secs(20)).build();
    let listener = Impatient { listener: TcpListener::bind(address).await?, shutdown: shutdown.clone() };
    println!("listening on http://{}", listener.local_addr()?);
    tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            tokio::signal::ctrl_c().await.expect("signals can be listened for");
            eprintln!("shutting down");
            shutdown.begin();
        }
    });
    let router =
        Router::new().route("/ticks", get(ticks)).route("/answer", get(answer)).with_state(shutdown.clone());
    let server = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().begun());
    shutdown.run(server.into_future()).await.unwrap_or(Ok(()))
}

async fn ticks(State(shutdown): State<Shutdown>) -> Sse {
    let ticks = stream::unfold(interval(Duration::from_secs(1)), |mut clock| async {
        clock.tick().await;
        Some((Event::new("tick"), clock))
    });
    told("ticks", Sse::new(ticks).ends_with(&shutdown))
}

async fn answer(State(shutdown): State<Shutdown>) -> Sse {
    let words = stream::iter("It takes a while to say this .".split(' ')).then(|word| async move {
        sleep(Duration::from_secs(1)).await;
        Event::new(word)
    });
    told("answer", Sse::new(words).finishes_before(&shutdown))
}

/// Says on standard error why a stream is over.
fn told(name: &'static str, sse: Sse) -> Sse {
    sse.on_close(move |why| eprintln!("{name}: {why}"))
}

/// Gives each connection a deadline on writing, and the shutdown's last moment.
struct Impatient {
    listener: TcpListener,
    shutdown: Shutdown,
}

impl Listener for Impatient {
    type Io = WriteDeadline<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // axum's own way, which waits when there are too many open files.
        let (socket, address) = Listener::accept(&mut self.listener).await;
        let socket = WriteDeadline::new(socket, Duration::from_secs(40)).cut_by(&self.shutdown);
        (socket.on_cut(|socket| _ = socket.set_zero_linger()), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
