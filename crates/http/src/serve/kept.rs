//! A response that stays with hyper: what it counts for is told when its last byte has left hyper, and a stream that somebody
//! may read only until some time ends by then.
//!
//! hyper takes more from a body than its client has taken, and forgets the body when that has ended. So each piece of it is
//! followed until hyper lets go of it, and where there is a deadline the body ends only when all before the end was written:
//! until then it can be [cut](crate::lease). Over HTTP/2 what is no event stream has a deadline that begins anew whenever
//! the client takes some of it: there nothing else would ever end an answer that waits for its client's window. It never looks at
//! the bytes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::{Buf, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use tokio_util::sync::CancellationToken;

use super::handover::{Guest, is_event_stream};
use super::places::Place;
use super::requests::Open;
use crate::lease::{Leased, Watch};

/// An answer of so many bytes a client's window takes whole, or it is shut: it has 64 KiB unless its client says otherwise. So the
/// end of a small answer goes with its last piece; by itself it would be a frame, and a write, more for each.
const SMALL: u64 = 16 * 1024;

/// Keeps whatever counts a request until its response has gone, and has `cut` cancelled if it is still there a while after its
/// deadline.
pub(crate) fn kept(
    mut response: Response,
    guest: Guest,
    open: Option<Open>,
    cut: &CancellationToken,
) -> http::Response<Kept> {
    let leased = response.extensions_mut().remove::<Leased>();
    let watch = leased.and_then(|leased| leased.watch(cut.clone()));
    let size = response.body().size_hint();
    // An event stream may be quiet, and it has a deadline of its own.
    let is_to_be_taken = open.is_some() && (size.exact().is_some() || !is_event_stream(response.headers()));
    if let Some(open) = open.as_ref().filter(|_| is_to_be_taken) {
        open.is_to_be_taken(cut.clone());
    }
    let is_large = size.upper().is_none_or(|bytes| bytes > SMALL);
    let ends_last = watch.is_some() || is_to_be_taken && is_large;
    let is_followed = watch.is_some() || guest.place.is_some() || open.is_some();
    let pieces = is_followed.then(|| {
        let unwritten = Mutex::default();
        Arc::new(Pieces { unwritten, is_to_be_taken, open, _place: guest.place })
    });
    response.map(|body| Kept { body, has_ended: false, pieces, ends_last, _watch: watch })
}

/// A body that is followed.
pub(crate) struct Kept {
    body: Body,
    has_ended: bool,
    /// `None` if nobody asks what becomes of it.
    pieces: Option<Arc<Pieces>>,
    /// Whether its end waits until all before it was written.
    ends_last: bool,
    /// Who ends it, if it has a deadline.
    _watch: Option<Watch>,
}

/// What is known of all pieces of a body.
struct Pieces {
    unwritten: Mutex<Unwritten>,
    /// Whether `open` is told what the client takes.
    is_to_be_taken: bool,
    open: Option<Open>,
    _place: Option<Place>,
}

#[derive(Default)]
struct Unwritten {
    count: usize,
    /// Who waits until there is none.
    waiting: Option<Waker>,
}

/// One of them, until hyper has written it or thrown it away.
pub(crate) struct Piece {
    bytes: Bytes,
    of: Option<Arc<Pieces>>,
}

impl Pieces {
    fn unwritten(&self) -> MutexGuard<'_, Unwritten> {
        // Nothing panics while it is locked.
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request, if it is to hear what its client takes.
    fn hears(&self) -> Option<&Open> {
        self.open.as_ref().filter(|_| self.is_to_be_taken)
    }

    fn add(&self) {
        let mut unwritten = self.unwritten();
        unwritten.count += 1;
        let is_first = unwritten.count == 1;
        if let Some(open) = self.hears().filter(|_| is_first) {
            open.waits();
        }
    }

    fn remove(&self) {
        let mut unwritten = self.unwritten();
        unwritten.count -= 1;
        let is_last = unwritten.count == 0;
        if let Some(open) = self.hears() {
            if is_last { open.was_taken() } else { open.waits() }
        }
        let waiting = if is_last { unwritten.waiting.take() } else { None };
        drop(unwritten);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
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

impl Piece {
    fn new(bytes: Bytes, of: Option<Arc<Pieces>>) -> Self {
        if let Some(pieces) = &of {
            pieces.add();
        }
        Self { bytes, of }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(open) = self.of.as_ref().and_then(|pieces| pieces.hears()) {
            open.waits();
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(pieces) = &self.of {
            pieces.remove();
        }
    }
}

impl http_body::Body for Kept {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        // Not every body may be asked once more when it has ended.
        if !self.has_ended {
            if let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                let piece = |bytes| Piece::new(bytes, self.pieces.clone());
                return Poll::Ready(Some(frame.map(|frame| frame.map_data(piece))));
            }
            self.has_ended = true;
        }
        if let Some(pieces) = self.pieces.as_ref().filter(|_| self.ends_last) {
            ready!(pieces.poll_written(cx));
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        // hyper would end the stream with the last piece.
        !self.ends_last && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use futures_util::{FutureExt, StreamExt, stream};
    use http::header;
    use http_body_util::BodyExt;
    use tokio::time::sleep;

    use crate::serve::requests::Requests;

    const PATIENCE: Duration = Duration::from_secs(30);

    enum Asked {
        Piece(Piece),
        Waits,
        Ended,
    }

    impl Asked {
        fn piece(self) -> Piece {
            match self {
                Self::Piece(piece) => piece,
                Self::Waits | Self::Ended => panic!("no piece"),
            }
        }
    }

    /// An answer over HTTP/2 whose client has to take it in time.
    struct Answer {
        kept: Kept,
        requests: Arc<Requests>,
        cut: CancellationToken,
    }

    impl Answer {
        fn new(response: Response) -> Self {
            let (requests, cut) = (Requests::new(), CancellationToken::new());
            let kept = kept(response, Guest::default(), Some(requests.begin()), &cut).into_body();
            let hurried = requests.clone();
            tokio::spawn(async move { hurried.hurry(PATIENCE).await });
            Self { kept, requests, cut }
        }

        /// What hyper asks for, if it is there.
        fn ask(&mut self) -> Asked {
            match self.kept.frame().now_or_never() {
                None => Asked::Waits,
                Some(None) => Asked::Ended,
                Some(Some(frame)) => Asked::Piece(frame.expect("no error").into_data().ok().expect("data")),
            }
        }
    }

    fn stream_of(pieces: &[&'static str]) -> Body {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok::<_, axum::Error>(*piece)).collect();
        Body::from_stream(stream::iter(pieces))
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_some_of_an_answer_now_and_then_is_left_alone_and_then_given_up_p5() {
        let mut answer = Answer::new(Response::new(Body::from("x".repeat(100))));
        let mut piece = answer.ask().piece();
        for _ in 0..20 {
            sleep(PATIENCE * 9 / 10).await;
            piece.advance(1);
        }
        assert!(!answer.cut.is_cancelled() && answer.requests.idle_since().is_none());
        sleep(PATIENCE * 11 / 10).await;
        assert!(answer.cut.is_cancelled());
        assert!(answer.requests.idle_since().is_some(), "it does not keep its connection");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_was_taken_may_be_long_in_coming() {
        let body = stream::once(async { Ok::<_, axum::Error>("x") }).chain(stream::pending());
        let mut answer = Answer::new(Response::new(Body::from_stream(body)));
        drop(answer.ask().piece());
        assert!(matches!(answer.ask(), Asked::Waits));
        sleep(10 * PATIENCE).await;
        assert!(!answer.cut.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_stream_may_wait_for_its_client_unless_it_is_all_there() {
        for (body, is_cut) in [(stream_of(&["retry: 5\n\n"]), false), (Body::from("retry: 5\n\n"), true)] {
            let mut response = Response::new(body);
            let kind = header::HeaderValue::from_static("text/event-stream");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            let mut answer = Answer::new(response);
            let _piece = answer.ask().piece();
            sleep(2 * PATIENCE).await;
            assert_eq!(answer.cut.is_cancelled(), is_cut);
        }
    }

    /// Goal: as long as hyper has not been told the end, its stream can be reset.
    #[tokio::test]
    async fn a_large_answer_ends_when_all_of_it_was_written() {
        let mut answer = Answer::new(Response::new(stream_of(&["a", "b"])));
        let pieces = [answer.ask().piece(), answer.ask().piece()];
        assert!(matches!(answer.ask(), Asked::Waits) && !answer.kept.is_end_stream());
        drop(pieces);
        assert!(matches!(answer.ask(), Asked::Ended));

        let mut answer = Answer::new(Response::new(Body::from("small")));
        let _piece = answer.ask().piece();
        assert!(answer.kept.is_end_stream());
    }
}
