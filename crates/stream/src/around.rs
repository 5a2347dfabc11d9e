//! What goes around the events of a stream: the opening before them, keep-alives between them, and their end.
//!
//! It never puts anything between the bytes of a frame. What is due at once leaves in one piece: a write costs more than the
//! bytes it carries.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use fanfare_wire::Frame;

use crate::compressed::Compressed;
use crate::source::Source;
#[cfg(feature = "tokio")]
use crate::timer::Timer;
use crate::{BoxError, Closed, KeepAlive};

/// How many bytes go into one piece of the body at the most, before they are compressed, unless a single frame is longer.
const PIECE_BYTES: usize = 64 * 1024;

/// Hears of the error that ends a stream.
pub(crate) type Report = Box<dyn FnOnce(BoxError) + Send>;

#[derive(Default)]
pub(crate) struct Around {
    pub(crate) opening: Option<Frame>,
    pub(crate) keep_alive: KeepAlive,
    pub(crate) on_error: Option<Report>,
    pub(crate) compressed: Compressed,
    pub(crate) until: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    #[cfg(feature = "tokio")]
    timer: Timer,
}

/// There is nothing any more.
pub(crate) struct End {
    pub(crate) why: Closed,
    /// What the client is to notice, behind what has to go first.
    pub(crate) error: Option<BoxError>,
}

impl From<Closed> for End {
    fn from(why: Closed) -> Self {
        Self { why, error: None }
    }
}

impl Around {
    /// All that is due, without waiting for more, and whether it is the last; nothing if that is all. A lone frame is not copied.
    pub(crate) fn poll_piece(
        &mut self,
        source: &mut Source,
        cx: &mut Context<'_>,
    ) -> Poll<(Option<Bytes>, Option<End>)> {
        let first = match ready!(self.poll_next(source, cx)) {
            Ok(frame) => frame,
            Err(end) => return Poll::Ready((None, Some(end))),
        };
        // Of what is compressed that, too, is much work.
        let mut plain_bytes = first.as_bytes().len();
        let first = self.compressed.code(first);
        let (mut piece, mut end) = (BytesMut::new(), None);
        while plain_bytes < PIECE_BYTES {
            match self.poll_next(source, cx) {
                Poll::Ready(Ok(frame)) => {
                    if piece.is_empty() {
                        piece.extend_from_slice(&first);
                    }
                    plain_bytes += frame.as_bytes().len();
                    piece.extend_from_slice(&self.compressed.code(frame));
                }
                Poll::Ready(Err(over)) => {
                    end = Some(over);
                    break;
                }
                Poll::Pending => break,
            }
        }
        Poll::Ready((Some(if piece.is_empty() { first } else { piece.freeze() }), end))
    }

    /// What is to be sent next: the opening, then the source, then a keep-alive if both are silent.
    fn poll_next(&mut self, source: &mut Source, cx: &mut Context<'_>) -> Poll<Result<Frame, End>> {
        if self.until.as_mut().is_some_and(|until| until.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(Closed::ByApplication.into()));
        }
        #[cfg(feature = "tokio")]
        self.timer.start(self.keep_alive.interval());
        if let Some(frame) = self.opening.take() {
            return Poll::Ready(Ok(frame));
        }
        match source.poll_next(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                #[cfg(feature = "tokio")]
                self.timer.traffic();
                Poll::Ready(Ok(frame))
            }
            Poll::Ready(Some(Err(error))) => {
                let error = match self.on_error.take() {
                    Some(report) => {
                        report(error);
                        None
                    }
                    None => Some(error),
                };
                Poll::Ready(Err(End { why: Closed::Failed, error }))
            }
            Poll::Ready(None) => Poll::Ready(Err(Closed::ByApplication.into())),
            #[cfg(feature = "tokio")]
            Poll::Pending => self.timer.poll_due(cx).map(|()| Ok(self.keep_alive.to_frame())),
            #[cfg(not(feature = "tokio"))]
            Poll::Pending => Poll::Pending,
        }
    }
}
