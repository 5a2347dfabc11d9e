//! A subscriber that behaves as an `EventSource` does: keeps the last event ID, and comes back with it after any end.
//!
//! It notes every request and every block that came whole. It never decides whether that was right.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use fanfare_http::token::{Algorithm, Language, Mint, SigningKey, TopicMatcher};
use fanfare_wire::{Decoder, EventId, Item};

use crate::history::{Asks, Block, Connection, Head, Received, Subscriber};
use crate::payload;
use crate::plan::{Bearing, GRANTED, Leaves, Subscribing};
use crate::stage::Stage;
use crate::wire::{self, is_pause};

/// What the last publications of a run are called: who has one has everything before it.
pub(crate) const LAST: &str = "last/";

/// Longer than this nobody waits here, whatever `retry:` says.
const RECONNECT_WITHIN_MICROS: u64 = 20_000;

/// Reads until it has received the end of the run.
pub(crate) fn subscribe(stage: &Stage, subscribing: Subscribing) -> Subscriber {
    let Subscribing { name, asks, parameter, browser, slow, leaves, bears, mut dice } = subscribing;
    let mut source = EventSource::new(stage, query(parameter, &asks), LAST);
    source.browser = browser;
    source.slow = slow;
    source.token = Token::of(stage, bears);
    // Whoever gets something soon in any case, and so can say how soon.
    let hears_soon = browser || asks == Asks::Everything;
    let (connections, back_after) = (Vec::new(), Vec::new());
    let mut noted = Subscriber { name, asks, bears, connections, caught_up: false, back_after };
    let mut away_since: Option<Instant> = None;
    while !noted.caught_up && !stage.is_out_of_patience() {
        let leave_after = (leaves != Leaves::Never && dice.once_in(2)).then(|| dice.below(100));
        let attempt = Instant::now();
        if let Some(connection) = source.connect(leave_after) {
            noted.caught_up = connection.ends_with(LAST);
            let is_refused = connection.head.as_ref().is_some_and(|head| head.status == 401);
            noted.connections.push(connection);
            if let (Some(since), Some(at)) = (away_since, source.first_at) {
                noted.back_after.push(at - since);
                away_since = None;
            }
            if is_refused {
                match bears {
                    Bearing::RunningOut => source.token = Token::of(stage, bears),
                    // An EventSource gives up.
                    _ => break,
                }
            }
        }
        thread::sleep(dice.micros(0, source.reconnect_within));
        if leaves == Leaves::AndNaps && leave_after.is_some() && dice.once_in(8) && !stage.is_ending() {
            thread::sleep(dice.micros(0, NAP_MICROS));
        }
        if hears_soon
            && away_since.is_none()
            && source.first_at.is_some()
            && stage.has_killed(source.node, attempt)
        {
            away_since = Some(Instant::now());
        }
    }
    noted
}

fn query(parameter: &str, asks: &Asks) -> String {
    match asks {
        Asks::Everything => format!("{parameter}=*"),
        Asks::Topics(topics) => {
            topics.iter().map(|topic| format!("{parameter}={topic}")).collect::<Vec<_>>().join("&")
        }
    }
}

/// What signs tokens, and for whom and by whom they are.
pub(crate) const TOKEN_SECRET: &str = "a secret of more than thirty-two bytes";
pub(crate) const AUDIENCE: &str = "https://push.test/.well-known/mercure";
pub(crate) const ISSUER: &str = "https://shop.test";
/// Who is revoked.
pub(crate) const REVOKED: &str = "mallory";

/// How long a token lasts that runs out.
const SHORT: Duration = Duration::from_secs(6);
const LONG: Duration = Duration::from_secs(3_600);

/// How long somebody stays away at most who naps.
const NAP_MICROS: u64 = 15_000_000;

/// What a subscriber may read private publications with.
struct Token {
    text: String,
    /// When it runs out, since the run began.
    until: Duration,
}

impl Token {
    fn of(stage: &Stage, bears: Bearing) -> Option<Self> {
        let (lifetime, subject) = match bears {
            Bearing::Nothing => return None,
            Bearing::Lasting => (LONG, "alice"),
            Bearing::RunningOut => (SHORT, "bob"),
            Bearing::Revoked => (LONG, REVOKED),
        };
        let granted = TopicMatcher::new(Language::Exact, GRANTED).expect("a matcher");
        let key = SigningKey::secret(Algorithm::Hs256, TOKEN_SECRET).expect("a key");
        let until = stage.now() + lifetime;
        let mint = Mint::modern(ISSUER, AUDIENCE).subscribe([granted]).subject(subject).lifetime(lifetime);
        Some(Self { text: mint.sign(&key, SystemTime::now()).expect("a token"), until })
    }
}

/// The state of an `EventSource` between two connections, and how it reads.
pub(crate) struct EventSource<'s> {
    stage: &'s Stage,
    query: String,
    /// How the event begins that it leaves for good at.
    until: &'static str,
    browser: bool,
    slow: bool,
    last_event_id: Option<String>,
    token: Option<Token>,
    /// The node that it was connected to last, and when the first block came from there.
    node: usize,
    first_at: Option<Instant>,
    /// In microseconds.
    reconnect_within: u64,
}

impl<'s> EventSource<'s> {
    pub(crate) fn new(stage: &'s Stage, query: String, until: &'static str) -> Self {
        let reconnect_within = RECONNECT_WITHIN_MICROS;
        Self {
            stage,
            query,
            until,
            browser: false,
            slow: false,
            last_event_id: None,
            token: None,
            node: 0,
            first_at: None,
            reconnect_within,
        }
    }

    /// Begins with a last event ID.
    pub(crate) fn after(mut self, id: &str) -> Self {
        self.last_event_id = Some(id.to_owned());
        self
    }

    /// One connection from its request to its end, to the end of the run, or to `leave_after` blocks. `None` if nobody
    /// listens.
    pub(crate) fn connect(&mut self, leave_after: Option<u64>) -> Option<Connection> {
        self.first_at = None;
        let connected = self.stage.connect(self.slow)?;
        self.node = connected.node;
        let mut noted = Connection {
            life: connected.life,
            token_until: self.token.as_ref().map(|token| token.until),
            answered_at: Duration::ZERO,
            last_event_id: self.last_event_id.clone(),
            head: None,
            received: Vec::new(),
        };
        let mut connection = wire::Connection::new(self.stage, connected.socket);
        // A connection that breaks is no more than an end: what it brought is noted.
        let head = connection.write(self.request().as_bytes()).and_then(|()| connection.head());
        let Ok(head) = head else { return Some(noted) };
        noted.answered_at = self.stage.now();
        if head.value("transfer-encoding").is_some() {
            connection.chunks();
        }
        let last_event_id = head.value("mercure-last-event-id").map(str::to_owned);
        // A stream has no length; an answer that only says when to come back has one.
        let is_sent_away = head.status == 200 && head.content_length().is_some();
        noted.head = (!is_sent_away).then_some(Head { status: head.status, last_event_id });
        if head.status == 200 {
            self.read(&mut connection, head.content_length(), leave_after, &mut noted.received);
        }
        Some(noted)
    }

    fn request(&self) -> String {
        let (hub, query) = (crate::common::HUB, &self.query);
        let agent = if self.browser { "Mozilla/5.0" } else { "crash-test" };
        let mut request = format!(
            "GET {hub}?{query} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nUser-Agent: {agent}\r\n"
        );
        if let Some(id) = &self.last_event_id {
            request.push_str("Last-Event-ID: ");
            request.push_str(id);
            request.push_str("\r\n");
        }
        if let Some(Token { text, .. }) = &self.token {
            request.push_str("Authorization: Bearer ");
            request.push_str(text);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        request
    }

    fn read(
        &mut self,
        connection: &mut wire::Connection<'_>,
        length: Option<usize>,
        leave_after: Option<u64>,
        into: &mut Vec<Received>,
    ) {
        let mut decoder = Decoder::new();
        if let Some(id) = self.last_event_id.as_ref().and_then(|id| EventId::parse(id.as_str()).ok()) {
            decoder = decoder.after(&id);
        }
        let mut left = length.unwrap_or(usize::MAX);
        while left > 0 && !self.stage.is_out_of_patience() {
            let is_slow = self.slow && !self.stage.is_ending();
            let bytes = match connection.some(if is_slow { 256 } else { 16_384 }) {
                Ok(bytes) if bytes.is_empty() => return,
                Ok(bytes) => bytes,
                Err(error) if is_pause(&error) => continue,
                Err(_) => return,
            };
            left = left.saturating_sub(bytes.len());
            let mut rest = &bytes[..];
            while let Some(item) = decoder.next(&mut rest).expect("a stream within the limits") {
                let Some(block) = self.block(&item) else { continue };
                let id = decoder.last_event_id().to_owned();
                self.last_event_id = Some(id.clone()).filter(|id| !id.is_empty());
                self.first_at.get_or_insert_with(Instant::now);
                into.push(Received { at: self.stage.tick(), id, block });
                let is_enough = leave_after.is_some_and(|count| into.len() as u64 > count);
                if is_enough || into.last().is_some_and(|last| last.begins_with(self.until)) {
                    return;
                }
            }
            if is_slow {
                thread::sleep(Duration::from_millis(4));
            }
        }
    }

    /// What is noted of an item; a `retry:` is obeyed instead.
    fn block(&mut self, item: &Item<'_>) -> Option<Block> {
        match item {
            Item::Event(event) if event.name == "fanfare.gap" => Some(gap(event.data)),
            Item::Event(event) if event.name == "message" => {
                Some(Block::Event { data: payload::name_of(event.data).to_owned() })
            }
            // Nobody publishes under another name.
            Item::Event(event) => Some(Block::Event { data: format!("{}: {}", event.name, event.data) }),
            Item::LastEventId(_) => Some(Block::Bookmark),
            Item::ReconnectionTime(time) => {
                let asked = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
                self.reconnect_within = asked.clamp(1, RECONNECT_WITHIN_MICROS);
                None
            }
            _ => None,
        }
    }
}

/// Reads `{"reason":"…","after":"…"}`; no id here has anything to be unescaped.
fn gap(data: &str) -> Block {
    let inside = data.strip_prefix("{\"reason\":\"").and_then(|rest| rest.strip_suffix('}'));
    match inside.and_then(|rest| rest.split_once("\",\"after\":")) {
        Some((reason, after)) => {
            let after = after.strip_prefix('"').and_then(|after| after.strip_suffix('"'));
            Block::Gap { reason: reason.to_owned(), after: after.map(str::to_owned) }
        }
        None => Block::Event { data: format!("a gap that says {data:?}") },
    }
}

#[test]
fn a_gap_is_read() {
    let block =
        |after: Option<&str>| Block::Gap { reason: "rewound".into(), after: after.map(str::to_owned) };
    assert_eq!(gap(r##"{"reason":"rewound","after":"#1x"}"##), block(Some("#1x")));
    assert_eq!(gap(r#"{"reason":"rewound","after":null}"#), block(None));
    assert!(matches!(gap("{}"), Block::Event { .. }));
}
