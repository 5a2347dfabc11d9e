//! Reads the rest of a request's body that nobody has read, so that its client gets to see the answer.
//!
//! A request may be refused before its body has come. Over HTTP/2 a body that is dropped then resets its stream behind the
//! answer, and some clients, curl among them, take that for an error and throw the answer away. What is read here is thrown
//! away, and there is a bound to it; whoever sends more has to live with the reset.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// How many bytes are read for a client that was answered already.
const BYTES_MAX: usize = 1024 * 1024;
/// How long it may take to send them.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request's body that is read to its end, if not by a handler.
pub(crate) struct Unread(Option<Incoming>);

impl Unread {
    pub(crate) fn of(body: Incoming) -> Self {
        Self(Some(body))
    }
}

impl Body for Unread {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let Some(mut body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        // Outside a runtime nothing is served any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(tokio::time::timeout(PATIENCE, async move {
            let mut left = BYTES_MAX;
            while let Some(Ok(frame)) = body.frame().await {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let Some(less) = left.checked_sub(bytes) else { return };
                left = less;
            }
        }));
    }
}
