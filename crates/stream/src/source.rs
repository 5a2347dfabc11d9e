//! What an [`Sse`](crate::Sse) streams: its type is forgotten, but not lost.
//!
//! Until it is polled for the first time it can be taken out again as what it was. It frames and reports nothing itself.

use std::any::{Any, TypeId};
use std::pin::Pin;
use std::task::{Context, Poll};

use fanfare_wire::Frame;
use futures_core::Stream;

use crate::item::Frames;
use crate::{BoxError, IntoFrame};

/// A stream of frames that remembers what it was made of.
pub(crate) trait Erased: Stream<Item = Result<Frame, BoxError>> + Send {
    /// The type of what [`into_items`](Self::into_items) gives.
    fn items_type(&self) -> TypeId;

    fn into_items(self: Box<Self>) -> Box<dyn Any>;
}

impl<S, Form> Erased for Frames<S, Form>
where
    S: Stream<Item: IntoFrame<Form>> + Send + 'static,
    Form: 'static,
{
    fn items_type(&self) -> TypeId {
        TypeId::of::<S>()
    }

    fn into_items(self: Box<Self>) -> Box<dyn Any> {
        Box::new(self.into_inner())
    }
}

pub(crate) enum Source {
    /// Nobody has polled it, so it may still be moved.
    New(Box<dyn Erased>),
    Begun(Pin<Box<dyn Erased>>),
    Ended,
}

impl Source {
    pub(crate) fn of<S, Form>(stream: S) -> Self
    where
        S: Stream<Item: IntoFrame<Form>> + Send + 'static,
        Form: 'static,
    {
        Self::New(Box::new(Frames::of(stream)))
    }

    /// Whether it is an `S` that nobody has polled.
    pub(crate) fn is_new<S: 'static>(&self) -> bool {
        matches!(self, Self::New(frames) if frames.items_type() == TypeId::of::<S>())
    }

    /// Gives the stream as what it was; the source has ended then. `None`, and nothing changes, unless [`is_new`](Self::is_new).
    pub(crate) fn take<S: 'static>(&mut self) -> Option<S> {
        if !self.is_new::<S>() {
            return None;
        }
        match std::mem::replace(self, Self::Ended) {
            Self::New(frames) => frames.into_items().downcast().ok().map(|items| *items),
            _ => None,
        }
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BoxError>>> {
        *self = match std::mem::replace(self, Self::Ended) {
            Self::New(frames) => Self::Begun(Box::into_pin(frames)),
            begun => begun,
        };
        match self {
            Self::Begun(frames) => frames.as_mut().poll_next(cx),
            _ => Poll::Ready(None),
        }
    }
}
