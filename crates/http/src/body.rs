//! Reads a form from a request's body, within a size and a time.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;

use crate::refusal::Refusal;

const FORM: &str = "application/x-www-form-urlencoded";

/// How much of a body that is too large we read on, for nothing but that its sender comes to read our answer: closing a
/// socket with unread bytes resets it, and the answer is lost.
const DISCARDED_BYTES_MAX: usize = 4 * 1024 * 1024;
const DISCARD_FOR: Duration = Duration::from_secs(2);

/// Whether the body says of itself that it is a form; parameters such as a charset are tolerated (M-067).
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    content_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(FORM))
}

/// Reads the whole body, of at most `limit` bytes, within `patience`.
///
/// # Errors
/// 413 when it is too large; 408 when it is too slow; 400 when it breaks off.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
    patience: Duration,
) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::too_large(format!("The body is larger than {limit} bytes."));
    if body.size_hint().lower() > limit as u64 {
        // Whoever asked first has not sent anything yet, and will not after this answer.
        if !headers.contains_key(header::EXPECT) {
            discard(body).await;
        }
        return Err(too_large());
    }
    let whole = async {
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::bad("The body broke off before its end."))?;
            if let Some(data) = frame.data_ref() {
                if bytes.len() + data.len() > limit {
                    return Err(too_large());
                }
                bytes.extend_from_slice(data);
            }
        }
        Ok(bytes.freeze())
    };
    let read = tokio::time::timeout(patience, whole).await;
    match read {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(refusal)) => {
            discard(body).await;
            Err(refusal)
        }
        Err(_) => Err(Refusal::too_slow(format!(
            "The body did not arrive within {} seconds.",
            patience.as_secs_f32()
        ))),
    }
}

async fn discard(mut body: Body) {
    let mut left = DISCARDED_BYTES_MAX;
    let discarding = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // Whoever has not stopped sending by now may miss the answer.
    let _ = tokio::time::timeout(DISCARD_FOR, discarding).await;
}
