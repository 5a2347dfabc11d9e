//! A response that stays with hyper: what it counts for is told when its last byte has left hyper, and a stream that somebody
//! may read only until some time ends by then.
//!
//! hyper takes more from a body than its client has taken, and forgets the body when that has ended. So each piece of it is
//! followed until hyper lets go of it, and a stream with a deadline ends only when all before the end was written: until then
//! it can be [cut](crate::lease). It never looks at the bytes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio_util::sync::CancellationToken;

use super::handover::Guest;
use super::places::Place;
use super::requests::Open;
use crate::lease::{Leased, Watch};

/// Keeps whatever counts a request until its response has gone, and has `cut` cancelled if it is still there a while after its
/// deadline.
pub(crate) fn kept(
    mut response: Response,
    guest: Guest,
    open: Option<Open>,
    cut: &CancellationToken,
) -> Response {
    let leased = response.extensions_mut().remove::<Leased>();
    let watch = leased.and_then(|leased| leased.watch(cut.clone()));
    if watch.is_none() && guest.place.is_none() && open.is_none() {
        return response;
    }
    let pieces = Arc::new(Pieces { unwritten: Mutex::default(), _place: guest.place, _open: open });
    response.map(|body| Body::new(Kept { body, pieces, watch }))
}

struct Kept {
    body: Body,
    pieces: Arc<Pieces>,
    /// Who ends it, if it has a deadline.
    watch: Option<Watch>,
}

/// What is known of all pieces of a body.
struct Pieces {
    unwritten: Mutex<Unwritten>,
    _place: Option<Place>,
    _open: Option<Open>,
}

#[derive(Default)]
struct Unwritten {
    count: usize,
    /// Who waits until there is none.
    waiting: Option<Waker>,
}

/// One of them, until hyper has written it or thrown it away.
struct Piece {
    bytes: Bytes,
    of: Arc<Pieces>,
}

impl Pieces {
    fn unwritten(&self) -> MutexGuard<'_, Unwritten> {
        // Nothing panics while it is locked.
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        self.unwritten().count += 1;
        Bytes::from_owner(Piece { bytes, of: self.clone() })
    }

    fn poll_written(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut unwritten = self.unwritten();
        if unwritten.count == 0 {
            return Poll::Ready(());
        }
        unwritten.waiting = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut unwritten = self.of.unwritten();
        unwritten.count -= 1;
        let waiting = if unwritten.count == 0 { unwritten.waiting.take() } else { None };
        drop(unwritten);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

impl http_body::Body for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() && self.watch.is_some() {
            ready!(self.pieces.poll_written(cx));
        }
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|bytes| self.pieces.follow(bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        // hyper would end the stream with the last piece.
        self.watch.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
