//! Rooms that one stream joins and leaves while it goes on, and what else a hub does for each of its subscribers, with axum.
//!
//! `cargo run -p fanfare --example rooms_axum --features axum-08 [ADDRESS]` prints `listening on http://127.0.0.1:3000`.
//!
//! - `GET /streams/ada` is ada's stream. It begins with how things stand, or goes on where it was.
//! - `PUT /streams/ada/rooms/7` and `DELETE …` have it join a room and leave it.
//! - `POST /rooms/7?from=ada` says the body to everybody in the room but ada.
//! - `PUT /prices/AAPL` sets a price; `GET /prices` is a stream of prices, of which whoever is slow gets the newest of each.
//! - `GET /streams` says who is connected.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use fanfare::{Event, Hub, LastEventId, Matcher, Publication, Selection, Snapshot, Sse, Subscribers, Topic};
use serde::Deserialize;

#[derive(Clone)]
struct App {
    hub: Hub,
    /// Who is connected, by name.
    subscribers: Subscribers<String>,
    /// What the application keeps of each user, connected or not: the rooms.
    rooms: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
    prices: Arc<Mutex<BTreeMap<String, String>>>,
}

#[derive(Deserialize)]
struct Said {
    from: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let hub = Hub::builder().history_events(1_000).build()?;
    let app = App { hub, subscribers: Subscribers::new(), rooms: Arc::default(), prices: Arc::default() };
    let router = Router::new()
        .route("/streams", get(connected))
        .route("/streams/{name}", get(stream))
        .route("/streams/{name}/rooms/{room}", put(join).delete(leave))
        .route("/rooms/{room}", post(say))
        .route("/prices", get(prices))
        .route("/prices/{symbol}", put(price))
        .with_state(app);
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}

impl App {
    /// The rooms that a user is in.
    fn rooms_of(&self, name: &str) -> Selection {
        let rooms = self.rooms.lock().expect("nobody panics under it");
        let topics = rooms.get(name).into_iter().flatten().filter_map(|room| Topic::parse(room).ok());
        topics.map(Matcher::from).collect()
    }
}

/// All rooms of a user in one stream, which others change: first how things stand, then what happens.
async fn stream(State(app): State<App>, Path(name): Path<String>, last: LastEventId) -> impl IntoResponse {
    // Who comes back gets what it missed in the rooms that it is in now.
    let mut subscription = app.hub.subscribe(app.rooms_of(&name)).after(last).named(&name);
    let handle = subscription.handle();
    let subscription = app.subscribers.add(subscription, name.clone());
    // Once more, now that whoever changes them finds this stream: nothing falls in between.
    if let Err(error) = handle.select(app.rooms_of(&name)) {
        eprintln!("{name} is in too few rooms: {error}");
    }
    let taken = subscription.snapshot(async |_| {
        let rooms = app.rooms_of(&name);
        let rooms: Vec<&str> = rooms.matchers().iter().map(Matcher::as_str).collect();
        Ok::<_, Infallible>(Event::new(format!("you are in {rooms:?}")))
    });
    let Ok(subscription) = taken.await;
    Sse::new(subscription).on_error(|error| eprintln!("a stream ended: {error}"))
}

async fn join(State(app): State<App>, Path((name, room)): Path<(String, String)>) -> impl IntoResponse {
    let room = format!("rooms/{room}");
    app.rooms.lock().expect("nobody panics under it").entry(name.clone()).or_default().insert(room.clone());
    for subscriber in app.subscribers.list().iter().filter(|each| *each.state == name) {
        if let Err(error) = subscriber.handle.join(room.as_str()) {
            return (StatusCode::CONFLICT, error.to_string());
        }
    }
    (StatusCode::OK, String::new())
}

async fn leave(State(app): State<App>, Path((name, room)): Path<(String, String)>) -> impl IntoResponse {
    let room = format!("rooms/{room}");
    app.rooms.lock().expect("nobody panics under it").entry(name.clone()).or_default().remove(&room);
    for subscriber in app.subscribers.list().iter().filter(|each| *each.state == name) {
        if let Err(error) = subscriber.handle.leave(room.as_str()) {
            return (StatusCode::CONFLICT, error.to_string());
        }
    }
    (StatusCode::OK, String::new())
}

async fn say(
    State(app): State<App>,
    Path(room): Path<String>,
    Query(Said { from }): Query<Said>,
    text: String,
) -> impl IntoResponse {
    let room = match Topic::parse(format!("rooms/{room}")) {
        Ok(room) => room,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()),
    };
    let publication = Publication::to([room]).event(Event::new(format!("{from}: {text}"))).except(from);
    match app.hub.publish_all(publication).await {
        Ok(published) => (StatusCode::OK, published.id.to_string()),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
    }
}

/// All prices, then those that change: of each only the newest, for whoever is slow or comes back.
async fn prices(State(app): State<App>, last: LastEventId) -> impl IntoResponse {
    let subscription = app.hub.subscribe(Matcher::any()).after(last).conflate();
    let subscription = subscription.filter(|entry| entry.topics()[0].as_str().starts_with("prices/"));
    let taken = subscription.snapshot(async |_| {
        let prices = app.prices.lock().expect("nobody panics under it");
        let events = prices.iter().map(|(symbol, price)| Event::new(format!("{symbol} {price}")));
        Ok::<_, Infallible>(Snapshot::of(events))
    });
    let Ok(subscription) = taken.await;
    Sse::new(subscription).on_error(|error| eprintln!("a stream ended: {error}"))
}

async fn price(State(app): State<App>, Path(symbol): Path<String>, price: String) -> impl IntoResponse {
    // What is kept first, then what is told: so nothing is missing between a snapshot and what comes behind it.
    app.prices.lock().expect("nobody panics under it").insert(symbol.clone(), price.clone());
    let topic = format!("prices/{symbol}");
    match app.hub.publish(topic, Event::new(format!("{symbol} {price}"))).await {
        Ok(published) => (StatusCode::OK, published.id.to_string()),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
    }
}

async fn connected(State(app): State<App>) -> String {
    let line = |each: &fanfare::Subscriber<String>| {
        let selection = each.handle.selection();
        let rooms = selection.iter().flat_map(Selection::matchers).map(Matcher::as_str);
        format!("{} {}\n", each.state, rooms.collect::<Vec<_>>().join(" "))
    };
    app.subscribers.list().iter().map(line).collect()
}
