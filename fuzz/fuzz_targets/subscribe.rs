//! Hostile subscriptions: whatever is in the query or in the body, the answer is a stream or one sentence, what is taken keeps
//! every limit, and nothing of it is left when its subscriber has gone.

#![no_main]

mod panics;

use std::sync::LazyLock;

use axum::Router;
use axum::body::{Body, to_bytes};
use fanfare_http::{Access, Mercure, RequestLimits};
use fanfare_hub::{CompileBudget, Hub, Topic};
use fanfare_wire::Event;
use http::{Request, Response, StatusCode};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

const HUB: &str = "/.well-known/mercure";

const MATCHERS_MAX: usize = 8;
const WORK_MAX: usize = 20_000;
const BYTES_MAX: usize = 24 * 1024;
const HUB_PATTERNS_MAX: usize = 6;
const HUB_BYTES_MAX: usize = 25 * 1024;
const ALIKE_MAX: usize = 3;
const HUB_SELECTIONS_BYTES_MAX: usize = 3 * 1024;
/// What a pattern's place in the hub is charged with.
const PLACE_BYTES: u64 = 250;

/// A parameter: a name, and a value that often looks like a pattern.
#[derive(arbitrary::Arbitrary, Debug)]
struct Parameter<'a> {
    name: u8,
    pieces: Vec<u8>,
    text: &'a [u8],
}

#[derive(arbitrary::Arbitrary, Debug)]
struct Hostile<'a> {
    query: &'a [u8],
    parameters: Vec<Parameter<'a>>,
    is_body: bool,
    accepts_event_stream: bool,
    last_event_id: Option<&'a str>,
    topics: Vec<Parameter<'a>>,
}

const NAMES: &[&str] = &[
    "match_urlpattern",
    "match_urlpattern",
    "topic",
    "topic",
    "match",
    "match_exact",
    "last_event_id",
    "lastEventID",
];
const PIECES: &[&str] = &[
    "/", "*", ":a", ":b", "{", "}", "?", "+", "(", ")", "[", "]", "https://", "a.b", "{/x}?", "(\\d+)",
    "(?i)", "\\p{L}", "{0,9}", "^", "$", "\\b", "\\", "#", "@", ":80", "é", "%2e", "..", "/:x", "/:y*",
    "{a}", "{/b}", "{+c}", "{?d*}", "urn:",
];

impl Parameter<'_> {
    fn value(&self) -> Vec<u8> {
        let mut value = Vec::new();
        for &piece in &self.pieces {
            value.extend_from_slice(PIECES[usize::from(piece) % PIECES.len()].as_bytes());
        }
        value.extend_from_slice(self.text);
        value
    }

    fn write(&self, form: &mut String) {
        let separator = if form.is_empty() { "" } else { "&" };
        *form += separator;
        *form += NAMES[usize::from(self.name) % NAMES.len()];
        form.push('=');
        form.extend(self.value().iter().map(|byte| format!("%{byte:02X}")));
    }
}

struct Stage {
    hub: Hub,
    app: Router,
    runtime: Runtime,
}

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let builder = Hub::builder()
        .history_events(16)
        .selections_bytes_max(HUB_SELECTIONS_BYTES_MAX)
        .patterns_max(HUB_PATTERNS_MAX)
        .patterns_bytes_max(HUB_BYTES_MAX)
        .patterns_alike_max(ALIKE_MAX);
    let hub = builder.build().expect("a hub");
    let limits = RequestLimits {
        matchers_max: MATCHERS_MAX,
        patterns: CompileBudget::new(WORK_MAX, BYTES_MAX),
        ..RequestLimits::default()
    };
    let app = Mercure::new(hub.clone()).access(Access::open()).limits(limits).keep_alive(None).router();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    Stage { hub, app, runtime }
});

fn request(hostile: &Hostile<'_>) -> Option<Request<Body>> {
    let mut form = String::from_utf8(hostile.query.to_vec()).unwrap_or_default();
    hostile.parameters.iter().for_each(|parameter| parameter.write(&mut form));
    let mut request = if hostile.is_body {
        Request::builder()
            .method("QUERY")
            .uri(HUB)
            .header("content-type", "application/x-www-form-urlencoded")
    } else {
        Request::builder().method("GET").uri(format!("{HUB}?{form}"))
    };
    if hostile.accepts_event_stream {
        request = request.header("accept", "text/event-stream");
    }
    if let Some(id) = hostile.last_event_id {
        request = request.header("last-event-id", id);
    }
    // What is no request does not get as far as the hub.
    request.body(if hostile.is_body { Body::from(form) } else { Body::empty() }).ok()
}

/// Sends it, and gives whoever was taken what the topics bring.
async fn subscribe(stage: &Stage, request: Request<Body>, topics: &[Parameter<'_>]) {
    let response: Response<Body> = stage.app.clone().oneshot(request).await.expect("infallible");
    let counts = stage.hub.counts();
    assert!(counts.selections_bytes <= HUB_SELECTIONS_BYTES_MAX as u64, "{counts:?}");
    assert!(counts.patterns <= HUB_PATTERNS_MAX as u64, "{counts:?}");
    assert!(counts.patterns_bytes <= HUB_BYTES_MAX as u64, "{counts:?}");
    assert!(counts.patterns_bytes - counts.patterns * PLACE_BYTES <= BYTES_MAX as u64, "{counts:?}");
    if counts.subscribers == 0 {
        let status = response.status();
        let text = to_bytes(response.into_body(), 64 * 1024).await.expect("a body");
        let text = std::str::from_utf8(&text).expect("text");
        match status {
            StatusCode::OK => assert!(text.starts_with("retry: "), "{text}"),
            StatusCode::BAD_REQUEST | StatusCode::SERVICE_UNAVAILABLE => {
                assert!(text.ends_with(".\n") && text.lines().count() == 1, "{text}");
            }
            status => panic!("{status}: {text}"),
        }
        return;
    }
    assert_eq!(response.status(), StatusCode::OK);
    for topic in topics {
        let topic = String::from_utf8(topic.value()).ok().and_then(|text| Topic::parse(text).ok());
        if let Some(topic) = topic {
            stage.hub.publish(topic, Event::new("x")).await.expect("published");
        }
    }
}

fuzz_target!(
    init: panics::let_the_pattern_library_panic(),
    |hostile: Hostile<'_>| {
        let stage = &*STAGE;
        let Some(request) = request(&hostile) else { return };
        stage.runtime.block_on(subscribe(stage, request, &hostile.topics));
        let counts = stage.hub.counts();
        assert_eq!((counts.subscribers, counts.selections_bytes), (0, 0));
        assert_eq!((counts.patterns, counts.patterns_bytes, counts.patterns_unfound), (0, 0, 0));
    }
);
