//! Lets web pages of other origins read the hub's answers.
//!
//! A listed page may send cookies along and read what they open; with `*` every page may read, and none sends any.
//! Rules: M-174 to M-177.

use std::convert::Infallible;

use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, Request, header};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::Origins;
use crate::cursor::LAST_EVENT_ID;
use crate::stream::MERCURE_LAST_EVENT_ID;

/// What a page of another origin may read of an answer's head, besides what all may read.
const EXPOSED: [HeaderName; 7] = [
    header::LINK,
    MERCURE_LAST_EVENT_ID,
    LAST_EVENT_ID,
    header::WWW_AUTHENTICATE,
    header::RETRY_AFTER,
    header::ETAG,
    crate::idempotency::REPLAYED,
];

/// How long a browser may remember what it was told before a request: two hours, the most that Chromium does.
const REMEMBERED: std::time::Duration = std::time::Duration::from_secs(7200);

/// The layer that answers for `origins`. It goes around errors, too: otherwise a page cannot tell 401 from no network (M-122).
pub(crate) fn layer(origins: &Origins) -> CorsLayer {
    let query = Method::from_bytes(b"QUERY").into_iter();
    let methods: Vec<Method> = [Method::GET, Method::HEAD, Method::POST].into_iter().chain(query).collect();
    let headers = [
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONTENT_TYPE,
        header::IF_NONE_MATCH,
        LAST_EVENT_ID,
        crate::idempotency::KEY,
    ];
    let layer = CorsLayer::new()
        .allow_methods(methods)
        .allow_headers(headers)
        .expose_headers(EXPOSED)
        .max_age(REMEMBERED);
    if origins.is_any() {
        return layer.allow_origin(AllowOrigin::any());
    }
    let origins = origins.clone();
    let listed = move |origin: &HeaderValue, _: &http::request::Parts| {
        origin.to_str().is_ok_and(|origin| origins.contains(origin))
    };
    layer.allow_origin(AllowOrigin::predicate(listed)).allow_credentials(true)
}

impl Origins {
    /// Lets pages of these origins read an answer that was made before [`Mercure`](crate::Mercure) saw the request, as if it
    /// were [the hub's own](crate::Mercure::cors).
    ///
    /// ```
    /// # use axum::response::IntoResponse;
    /// # use fanfare_http::Origins;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let request = http::Request::get("/").header("origin", "https://shop.test").body(())?;
    /// let refused = http::StatusCode::MISDIRECTED_REQUEST.into_response();
    /// let refused = Origins::parse(["https://shop.test"])?.let_read(&request, refused).await;
    /// assert_eq!(refused.headers()["access-control-allow-origin"], "https://shop.test");
    /// # Ok(()) }
    /// ```
    pub fn let_read<B>(
        &self,
        request: &Request<B>,
        answer: Response,
    ) -> impl Future<Output = Response> + Send + use<B> {
        let is_asked = !self.is_empty() && request.headers().contains_key(header::ORIGIN);
        let asked = is_asked.then(|| {
            let mut asked = Request::new(());
            *asked.method_mut() = request.method().clone();
            *asked.headers_mut() = request.headers().clone();
            (layer(self), asked)
        });
        async move {
            let Some((layer, asked)) = asked else { return answer };
            let mut answer = Some(answer);
            let answering = service_fn(move |_: Request<()>| {
                // It is called once at the most, and not for a request that only asks whether another may be sent.
                std::future::ready(Ok::<_, Infallible>(answer.take().unwrap_or_default()))
            });
            let Ok(answer) = layer.layer(answering).oneshot(asked).await;
            answer
        }
    }
}
