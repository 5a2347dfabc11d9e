//! What a stream may yield to an [`Sse`](crate::Sse): something that becomes a frame, or a `Result` of it.
//!
//! It encodes nothing itself; whatever becomes a [`Frame`] says so with `From`.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use fanfare_wire::Frame;
use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::BoxError;

/// Becomes a frame, or the error that ends the stream.
///
/// Implemented for everything that is `Into<Frame>` (an `Event`, a `Frame`, a hub's delivery) and for a
/// `Result` of it with any error. For a type of your own write `impl From<Mine> for Frame`.
///
/// `Form` keeps the two cases apart for the compiler, which finds it by itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not become a frame",
    label = "neither an event nor a `Result` of one",
    note = "an `Event`, a `Frame` and a hub's delivery do, and a `Result` of them whose error is an `Error`",
    note = "for a type of your own write `impl From<{Self}> for Frame`"
)]
pub trait IntoFrame<Form> {
    /// Encodes the item, or gives back the error it is.
    fn into_frame(self) -> Result<Frame, BoxError>;
}

/// The [`IntoFrame`] of what always becomes a frame.
#[derive(Debug)]
pub enum Plain {}

/// The [`IntoFrame`] of a `Result`.
#[derive(Debug)]
pub enum Fallible {}

impl<T: Into<Frame>> IntoFrame<Plain> for T {
    fn into_frame(self) -> Result<Frame, BoxError> {
        Ok(self.into())
    }
}

impl<T: Into<Frame>, E: Into<BoxError>> IntoFrame<Fallible> for Result<T, E> {
    fn into_frame(self) -> Result<Frame, BoxError> {
        self.map(Into::into).map_err(Into::into)
    }
}

pin_project! {
    /// A stream of items as a stream of frames.
    pub(crate) struct Frames<S, Form> {
        #[pin]
        items: S,
        form: PhantomData<fn() -> Form>,
    }
}

impl<S, Form> Frames<S, Form> {
    pub(crate) fn of(items: S) -> Self {
        Self { items, form: PhantomData }
    }

    pub(crate) fn into_inner(self) -> S {
        self.items
    }
}

impl<S: Stream<Item: IntoFrame<Form>>, Form> Stream for Frames<S, Form> {
    type Item = Result<Frame, BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().items.poll_next(cx).map(|item| item.map(IntoFrame::into_frame))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}
