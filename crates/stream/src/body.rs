//! An [`Sse`] as a body: what a server is told when it asks for more, and how the stream ends for it.
//!
//! It decides nothing about an end but what the server is to make of it: an end in order, or an error, on which it cuts the
//! connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::around::End;
use crate::{BoxError, Closed, Sse};

/// How far the server has been told of the end.
#[derive(Default)]
pub(crate) struct Ending {
    /// An error behind what had to go first.
    failed: Option<BoxError>,
    /// Whether it was told to cut the connection, or need not be.
    is_told: bool,
}

impl Sse {
    /// Why the server has yet to be told to cut the connection, if it has.
    fn cut(&self) -> Option<Closed> {
        self.life.0.why().filter(|why| !self.ending.is_told && why.cuts())
    }
}

impl Body for Sse {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some(error) = this.ending.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let life = &this.life.0;
        // Before it is asked for anything: an end meanwhile has somebody to wake.
        if !life.serve(cx) {
            let cut = this.cut();
            this.ending.is_told = true;
            return Poll::Ready(match cut {
                Some(why) => {
                    this.around.compressed.break_off();
                    Some(Err(why.into()))
                }
                None => this.around.compressed.end(None).map(|end| Ok(Frame::data(end))),
            });
        }
        #[cfg(feature = "tokio")]
        if let Some(farewell) = this.limits.asked(life) {
            life.end_because(Closed::Shutdown);
            this.ending.is_told = true; // It ends in order.
            let compressed = &mut this.around.compressed;
            let frames: Vec<Bytes> =
                farewell.into_iter().flatten().map(|frame| compressed.code(frame)).collect();
            return Poll::Ready(
                compressed.end(Some(frames.concat().into())).map(|last| Ok(Frame::data(last))),
            );
        }
        let mut source = life.source();
        let (polled, end) = match this.around.poll_piece(&mut source, cx) {
            Poll::Pending => (Poll::Pending, None),
            Poll::Ready((piece, end)) => (Poll::Ready(piece), end),
        };
        life.release(source);
        #[cfg(feature = "tokio")]
        if polled.is_ready() {
            this.limits.handed_out();
        }
        let polled = match &end {
            Some(End { error: None, .. }) => polled.map(|piece| this.around.compressed.end(piece)),
            Some(_) => {
                this.around.compressed.break_off();
                polled
            }
            None => polled,
        };
        let polled = polled.map(|piece| piece.map(|piece| Ok(Frame::data(piece))));
        let Some(end) = end else { return polled };
        life.end_because(end.why);
        this.around.until = None;
        match (polled, end.error) {
            // Nothing has to go first.
            (Poll::Ready(None), Some(error)) => Poll::Ready(Some(Err(error))),
            (polled, error) => {
                this.ending.failed = error;
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.life.0.is_over()
            && self.ending.failed.is_none()
            && self.cut().is_none()
            && !self.around.compressed.owes_end()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}
