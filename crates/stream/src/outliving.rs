//! A stream that goes on to its end whether somebody reads it or not.
//!
//! It keeps nothing for those who come later: that is a hub's history.

use std::future::poll_fn;
use std::pin::pin;

use futures_core::Stream;

use crate::item::Frames;
use crate::{Capacity, IntoFrame, Sse, channel};

/// Makes a response of a stream that outlives its reader: a task of its own asks it for more, to its end or its first error.
///
/// [`Sse::new`] drops a stream with its reader, which is right for one that is for the reader alone. This one is for work that has
/// effects besides: an answer that is stored as it is made, a job that others wait for. Up to `capacity` events wait for the reader, and
/// then so does the stream; when the reader is gone it goes on at its own pace, and what it yields is dropped.
///
/// ```
/// use fanfare_stream::{Sse, outliving};
/// use fanfare_wire::Event;
/// use futures_util::{StreamExt, stream};
///
/// # fn store(_: &str) {}
/// async fn handler() -> Sse {
///     let words = stream::iter(["To", "be"]).inspect(|word| store(word));
///     outliving(words.map(Event::new), 16)
/// }
/// ```
///
/// # Panics
///
/// Outside a tokio runtime.
#[must_use = "the stream goes on, but nobody gets it"]
pub fn outliving<S, Form>(stream: S, capacity: impl Into<Capacity>) -> Sse
where
    S: Stream<Item: IntoFrame<Form>> + Send + 'static,
    Form: 'static,
{
    let (sender, sse) = channel(capacity);
    tokio::spawn(async move {
        let mut frames = pin!(Frames::of(stream));
        while let Some(frame) = poll_fn(|cx| frames.as_mut().poll_next(cx)).await {
            match frame {
                // An error here means that the reader is gone, which changes nothing.
                Ok(frame) => _ = sender.send(frame).await,
                Err(error) => return sender.fail(error).await,
            }
        }
    });
    sse
}
