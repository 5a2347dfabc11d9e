//! The hub's one URL: publish by `POST`, subscribe by `GET`, `HEAD` and `QUERY`.
//!
//! Here requests meet the hub; what they may do, how they are read and how a stream is answered have files of their own.
//! Rules: section 1 of the protocol.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use fanfare_hub::{Hub, Subscription};
use fanfare_wire::Coding;
#[cfg(feature = "zstd")]
use fanfare_wire::Dictionary;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use tokio::time::timeout;
use tower::layer::util::Identity;
use tower::util::Either;
use tower_http::cors::CorsLayer;
use url::Url;

use crate::drain::Drain;
use crate::expiry::WallClock;
use crate::limits::RequestLimits;
use crate::patterns::Patterns;
use crate::rate::{Buckets, PublishRate};
use crate::refusal::Refusal;
use crate::subscribe::{self, Rules};
use crate::subscriptions::{self, Subscriptions};
use crate::token::Role;
use crate::{Access, Bookmarks, Origins, Payloads, body, cors, idempotency, metadata, publish, stream};

/// What [`Mercure::endpoint`] answers to; in the order of a sentence.
const METHODS: &str = "GET, HEAD, POST, QUERY, OPTIONS";

/// Where clients look for a hub that was not configured otherwise (M-002).
pub(crate) const DEFAULT_HUB_URL: &str = "http://localhost/.well-known/mercure";

/// How long a stream lives if nothing else was said.
const LIFETIME: Duration = Duration::from_secs(3600);

/// A hub as an HTTP endpoint that speaks the Mercure protocol.
///
/// A publication may carry the header `Idempotency-Key`: 1 to 255 visible ASCII characters, bare or in quotation marks.
/// Sent again with the same key it is stored once; the answer is the first one's, with `Idempotent-Replayed: true`.
/// Another publication under a key that is still remembered is 422. The log remembers keys, within its limits:
/// [`HubBuilder::idempotency_keys`](fanfare_hub::HubBuilder::idempotency_keys).
///
/// Who may publish and read is said by [`access`](Self::access): out of the box nobody publishes over HTTP, and everybody
/// reads what is public.
///
/// Cheap to clone. Without [`hub_url`](Self::hub_url) it takes itself to be at `http://localhost/.well-known/mercure`.
///
/// ```
/// use axum::{Router, routing::get};
/// use fanfare_http::Mercure;
/// use fanfare_hub::Hub;
///
/// let hub = Hub::builder().build()?;
/// let app: Router = Router::new()
///     .route("/", get(|| async { "my own page" }))
///     .merge(Mercure::new(hub).router());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mercure {
    pub(crate) hub: Hub,
    pub(crate) settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) hub_url: Url,
    /// Those that strangers ask for.
    pub(crate) patterns: Patterns,
    /// Those of tokens and of whoever has one, which wait for no stranger's.
    pub(crate) token_patterns: Patterns,
    pub(crate) bookmarks: Bookmarks,
    pub(crate) keep_alive: Option<Duration>,
    /// Those that a stream may be in, the preferred first.
    pub(crate) codings: Vec<Coding>,
    pub(crate) legacy: bool,
    pub(crate) limits: RequestLimits,
    pub(crate) drain: Drain,
    pub(crate) wall_clock: Arc<WallClock>,
    pub(crate) access: Access,
    pub(crate) cors: Origins,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) rate: Option<Buckets>,
    /// None if they are neither announced nor listed.
    pub(crate) subscriptions: Option<Arc<Subscriptions>>,
}

impl Mercure {
    /// Makes an endpoint for `hub` with the settings that the methods below call default.
    ///
    /// # Panics
    /// Never: the default URL is one.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        let hub_url = Url::parse(DEFAULT_HUB_URL).expect("the default is a URL");
        let settings = Settings {
            patterns: Patterns::new(hub_url.clone()),
            token_patterns: Patterns::new(hub_url.clone()),
            hub_url,
            bookmarks: Bookmarks::default(),
            keep_alive: Some(Duration::from_secs(15)),
            codings: Coding::COMPRESSING.to_vec(),
            legacy: true,
            limits: RequestLimits::default(),
            drain: Drain::new(),
            wall_clock: Arc::default(),
            access: Access::default(),
            cors: Origins::none(),
            lifetime: Some(LIFETIME),
            rate: None,
            subscriptions: None,
        };
        Self { hub, settings: Arc::new(settings) }
    }

    /// Says at which URL the world sees this hub. Default: `http://localhost/.well-known/mercure`.
    ///
    /// Its path is where [`router`](Self::router) listens and what publishers may not use as a topic (M-003, M-072);
    /// relative URL Patterns and topics are resolved against it (M-045).
    #[must_use]
    pub fn hub_url(mut self, url: Url) -> Self {
        let settings = Arc::make_mut(&mut self.settings);
        settings.patterns = Patterns::new(url.clone());
        settings.token_patterns = Patterns::new(url.clone());
        settings.subscriptions = settings.subscriptions.is_some().then(|| Subscriptions::new(&url));
        settings.hub_url = url;
        self
    }

    /// Chooses who gets bookmarks. Default: [`Bookmarks::Browsers`].
    #[must_use]
    pub fn bookmarks(mut self, bookmarks: Bookmarks) -> Self {
        Arc::make_mut(&mut self.settings).bookmarks = bookmarks;
        self
    }

    /// Sets after what time without traffic a stream gets a comment line, `None` for never. Default: 15 s.
    ///
    /// Proxies and browsers cut streams that are quiet for 30 s.
    #[must_use]
    pub fn keep_alive(mut self, after: impl Into<Option<Duration>>) -> Self {
        Arc::make_mut(&mut self.settings).keep_alive = after.into();
        self
    }

    /// Says in which codings streams may be, for clients that take them (`Accept-Encoding`); what is named first is preferred among those that
    /// a client likes equally. None of them: streams are never compressed. Default: all that were compiled in, by features `gzip` and
    /// `zstd`.
    ///
    /// An event is compressed once for all who get it so, when the first of them does, by itself, and leaves at once. Those of
    /// fewer than [`compressed_from_bytes`](fanfare_hub::HubBuilder::compressed_from_bytes) are not. What an attacker chose and a
    /// secret, in one event, can be guessed at by its length; between events nothing can. See [`Sse::compress`](fanfare_stream::Sse::compress).
    #[cfg_attr(feature = "zstd", doc = "")]
    #[cfg_attr(
        feature = "zstd",
        doc = "If the hub has a [dictionary](fanfare_hub::HubBuilder::compression_dictionary), streams are first of all in dcz, for clients that take that and"
    )]
    #[cfg_attr(
        feature = "zstd",
        doc = "have it: it is at `…/dictionary` below the path of the [hub's URL](Self::hub_url), for everybody. With no coding at all it is not there."
    )]
    #[must_use]
    pub fn compression(mut self, codings: impl IntoIterator<Item = Coding>) -> Self {
        Arc::make_mut(&mut self.settings).codings = codings.into_iter().collect();
        self
    }

    /// Says whether clients from before Mercure 1.0 are served. Default: yes.
    ///
    /// They ask with `topic` (a text, `*` or a URI Template) and `lastEventID`, and read the header `Last-Event-ID`.
    #[must_use]
    pub fn legacy(mut self, served: bool) -> Self {
        Arc::make_mut(&mut self.settings).legacy = served;
        self
    }

    /// Says whether it is announced and listed who is subscribed to what. Default: no.
    ///
    /// For each matcher of a connection a private event tells that it has come or gone, on a topic below the path of the
    /// [hub's URL](Self::hub_url), and `GET …/subscriptions` lists those who are there, for whoever's
    /// rights to read match that path. These events have a history of their own, a tenth of what is kept
    /// besides; see [`Hub::announce`](fanfare_hub::Hub::announce).
    ///
    /// It costs some 300 bytes for each connection, and 200 more for each matcher. Over a log that several nodes share, each of them
    /// holds that for the connections of all, and lists them.
    ///
    /// Source: sections 13 and 14 of the Mercure protocol.
    #[must_use]
    pub fn subscriptions(mut self, told: bool) -> Self {
        let settings = Arc::make_mut(&mut self.settings);
        settings.subscriptions = told.then(|| Subscriptions::new(&settings.hub_url));
        self
    }

    /// Has a subscription of the application's own announced and listed among the [active ones](Self::subscriptions) until it ends: for a handler
    /// that serves a hub's stream itself, beside those that come to the endpoint.
    ///
    /// It is there with each matcher that it asks for, and what a [handle](fanfare_hub::SubscriptionHandle) changes about that is told
    /// as it happens, wherever the stream is by then: first what it has left is gone, then what it has joined has come, under the one id that it
    /// keeps. What it asks for only for a moment may never be told. `payloads` says what is told besides, as for a
    /// [request](crate::Rights::payloads).
    ///
    /// Without [`subscriptions(true)`](Self::subscriptions) it is given back as it is. The application is trusted to ask for so much: what is
    /// kept of it does not count in what selections may take, and a matcher whose topic would be too long is left out, which the log says.
    ///
    /// ```
    /// use fanfare_http::{Mercure, Payloads};
    /// use fanfare_hub::Hub;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Hub::builder().build()?;
    /// let mercure = Mercure::new(hub.clone()).subscriptions(true);
    ///
    /// let mut subscription = mercure.announce(hub.subscribe("rooms/7"), &Payloads::default());
    /// subscription.handle().select("rooms/8")?;
    /// // Now `rooms/7` is gone, and `rooms/8` has come.
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// Outside of a tokio runtime, with `subscriptions(true)`.
    pub fn announce(&self, subscription: Subscription, payloads: &Payloads) -> Subscription {
        match &self.settings.subscriptions {
            Some(subscriptions) => subscriptions.attend_changing(&self.hub, subscription, payloads),
            None => subscription,
        }
    }

    /// Sets what one request may hold.
    #[must_use]
    pub fn limits(mut self, limits: RequestLimits) -> Self {
        Arc::make_mut(&mut self.settings).limits = limits;
        self
    }

    /// Obeys `drain`: when it begins, the streams end within its window, each with a `retry` of its own.
    #[must_use]
    pub fn drain(mut self, drain: Drain) -> Self {
        Arc::make_mut(&mut self.settings).drain = drain;
        self
    }

    /// Says who may publish and who may read private events. Default: [`Access::read_only`].
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        Arc::make_mut(&mut self.settings).access = access;
        self
    }

    /// Lets pages of these origins read the hub's answers, and send their cookies along unless it is every origin (CORS).
    /// Default: none but the hub's own.
    #[must_use]
    pub fn cors(mut self, origins: Origins) -> Self {
        Arc::make_mut(&mut self.settings).cors = origins;
        self
    }

    /// Sets how long a stream lives at the most, `None` for as long as its token. Default: an hour.
    ///
    /// Each ends at a moment of its own in the last fifth of that time; its client comes back and misses nothing.
    #[must_use]
    pub fn lifetime(mut self, longest: impl Into<Option<Duration>>) -> Self {
        Arc::make_mut(&mut self.settings).lifetime = longest.into();
        self
    }

    /// Sets how often one publisher may publish, as told apart by [`Rights::who`](crate::Rights::who); more is 429.
    /// Default: as often as it likes.
    #[must_use]
    pub fn publish_rate(mut self, rate: impl Into<Option<PublishRate>>) -> Self {
        Arc::make_mut(&mut self.settings).rate = rate.into().map(Buckets::new);
        self
    }

    /// The endpoint at the path of the hub's URL, and what belongs to it, to be merged into an application.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let hub_url = &self.settings.hub_url;
        let mut router = Router::new().route(hub_url.path(), self.endpoint());
        if let Some(subscriptions) = &self.settings.subscriptions {
            // What other nodes have to tell takes some seconds; where there is no runtime yet, the first request begins.
            if tokio::runtime::Handle::try_current().is_ok() {
                subscriptions.begin(&self.hub);
            }
            router = router.merge(subscriptions::routes(self));
        }
        #[cfg(feature = "zstd")]
        {
            router = router.merge(crate::dictionary::route(self));
        }
        if self.settings.access.token_access().is_none() {
            return router;
        }
        router
            .route(&metadata::path(hub_url), get(described).layer(self.cors_layer()).with_state(self.clone()))
    }

    /// Waits until the log has the ends of all [subscriptions](Self::subscriptions) that have ended, and tells the other nodes over the
    /// same log that this one is gone: they would find out within seconds.
    ///
    /// For the end of a process, when its last stream is over. A log that is away may take any time.
    pub async fn leave(&self) {
        if let Some(subscriptions) = &self.settings.subscriptions {
            subscriptions.leave(&self.hub).await;
        }
    }

    /// The endpoint alone, for a route of the application's choice; [`hub_url`](Self::hub_url) should name the same place.
    pub fn endpoint<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        any(answer).layer(self.cors_layer()).with_state(self.clone())
    }

    /// Nothing, unless pages of other origins are let in.
    pub(crate) fn cors_layer(&self) -> Either<CorsLayer, Identity> {
        let origins = &self.settings.cors;
        if origins.is_empty() { Either::Right(Identity::new()) } else { Either::Left(cors::layer(origins)) }
    }

    /// The hub's dictionary, unless its streams are not compressed.
    #[cfg(feature = "zstd")]
    pub(crate) fn dictionary(&self) -> Option<&Dictionary> {
        self.hub.compression_dictionary().filter(|_| !self.settings.codings.is_empty())
    }

    /// The answer to a request that is not served.
    pub(crate) fn refuse(&self, refusal: Refusal) -> Response {
        let settings = &self.settings;
        let metadata = settings.access.token_access().map(|_| metadata::url(&settings.hub_url));
        refusal.respond(metadata.as_ref())
    }
}

async fn answer(State(mercure): State<Mercure>, request: Request) -> Response {
    // By bytes: `QUERY` is none of the methods that have a constant.
    let answered = match request.method().as_str() {
        "GET" | "HEAD" | "QUERY" => subscribed(&mercure, request).await,
        "POST" => published(&mercure, request).await,
        "OPTIONS" => Ok((StatusCode::NO_CONTENT, [(header::ALLOW, METHODS)]).into_response()),
        _ => Err(Refusal::method(METHODS)),
    };
    answered.unwrap_or_else(|refusal| mercure.refuse(refusal))
}

async fn described(State(mercure): State<Mercure>) -> Response {
    match mercure.settings.access.token_access() {
        Some(access) => {
            metadata::answer(access, &mercure.settings.hub_url, mercure.settings.subscriptions.is_some())
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn published(mercure: &Mercure, request: Request) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let Settings { access, rate, limits, .. } = &*mercure.settings;
    let rights = access.rights(mercure, &head, Role::Publisher).await?;
    if let Some(rate) = rate {
        let full = |after| Refusal::too_many("This publisher publishes more often than it may.", after);
        rate.take(rights.who.as_ref(), Instant::now()).map_err(full)?;
    }
    publish::check_media_type(&head.headers)?;
    let key = idempotency::key(&head.headers, rights.who.as_deref())?;
    let form = body::read(&head.headers, body, limits.body_bytes_max, limits.body_timeout).await?;
    rights.check_again()?;
    // Fields come from the body alone, never from the query (M-068).
    let mut publication = publish::publication(&form, &mercure.settings.hub_url, limits, &rights)?;
    if let Some(key) = key {
        publication = publication.idempotency_key(key);
    }
    let publishing = mercure.hub.publish_all(publication);
    let published = timeout(limits.log_timeout, publishing).await.map_err(|_| publish::in_doubt())??;
    // Exactly 200 with the id as the entire body: clients compare (M-081).
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    let id = published.id.as_str().to_owned();
    let mut response = ([(header::CONTENT_TYPE, content_type)], id).into_response();
    if published.duplicate {
        response.headers_mut().insert(idempotency::REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

async fn subscribed(mercure: &Mercure, request: Request) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    match open_stream(mercure, &head, body).await {
        // Whoever would give up for good is asked to come back, whatever cannot be had for now: a stream, or a word about a token.
        Err(refusal) if refusal.is_for_now() => stream::sent_away(&head.headers).ok_or(refusal),
        answer => answer,
    }
}

async fn open_stream(mercure: &Mercure, head: &Parts, body: Body) -> Result<Response, Refusal> {
    let limits = &mercure.settings.limits;
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let rules = Rules { limits, legacy: mercure.settings.legacy };
    let asking = |form: &[u8]| subscribe::asked(query, form, &head.headers, &rules);
    let judging = mercure.settings.access.rights(mercure, head, Role::Subscriber);
    // Only `QUERY` has parameters in its body (M-004); whatever a `GET` carries there means nothing.
    let (asked, rights) = if head.method.as_str() == "QUERY" {
        publish::check_media_type(&head.headers)?;
        // To hold a body is not cheap: nobody's is read who may not subscribe.
        let rights = judging.await?;
        let form = body::read(&head.headers, body, limits.query_bytes_max, limits.body_timeout).await?;
        rights.check_again()?;
        (asking(&form)?, rights)
    } else {
        // What is cheap to judge comes before the token, and patterns come after it (M-036).
        (asking(b"")?, judging.await?)
    };
    // For a `HEAD`, axum takes the body off and with it the subscription; the headers stay those of a `GET` (M-008).
    stream::open(mercure, asked, &rights, head).await
}
