//! A stream that is pushed: a bounded channel whose one end is a response.
//!
//! It waits instead of dropping when the client is slow, and it never grows beyond its capacity, but for one event.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use fanfare_wire::Frame;
use futures_core::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::closing::{CLOSING, close_frame};
use crate::life::Life;
use crate::{BoxError, Capacity, Closed, Closing, Sse};

/// Makes a response and the sender that feeds it.
///
/// Up to `capacity` events wait for the client, by default within 1 MiB; the next [`send`](Sender::send) waits for it.
///
/// ```
/// use fanfare_stream::{Sse, channel};
/// use fanfare_wire::Event;
///
/// fn handler() -> Sse {
///     let (sender, sse) = channel(16);
///     tokio::spawn(async move {
///         for word in ["To", "be", "or", "not"] {
///             if sender.send(Event::new(word)).await.is_err() {
///                 return; // The client is gone: the work can stop.
///             }
///         }
///         sender.close().await.ok();
///     });
///     sse
/// }
/// ```
#[must_use]
pub fn channel(capacity: impl Into<Capacity>) -> (Sender, Sse) {
    let Capacity { events, bytes } = capacity.into();
    let (queue, receiver) = mpsc::channel(events);
    let sse = Sse::new(Receiver { receiver, closing: false });
    let room = Arc::new(Semaphore::new(bytes));
    (Sender { queue, room, closing: Arc::default(), life: sse.life().clone() }, sse)
}

enum Queued {
    /// With the room that it takes.
    Frame(Frame, OwnedSemaphorePermit),
    /// The last one, whoever else still holds a sender.
    Close(Frame),
    Fail(BoxError),
}

/// Sends events to one client. Clones send to the same client.
///
/// When the last clone is dropped the stream ends after what was sent, without a farewell; a browser then
/// reconnects. [`close`](Self::close) says goodbye first.
#[derive(Clone)]
pub struct Sender {
    queue: mpsc::Sender<Queued>,
    /// A permit for each byte.
    room: Arc<Semaphore>,
    /// Whether the last frame has been queued: what is queued behind it would never be sent.
    closing: Arc<AtomicBool>,
    life: Life,
}

impl Sender {
    /// Sends an event, waiting while the channel is full of events or of bytes.
    ///
    /// `Ok` means that it is queued, not that it has arrived: bytes can be lost with the connection. Give
    /// events an id and let the client come back with the last one it saw.
    ///
    /// Dropping the future before it is done sends nothing.
    ///
    /// # Errors
    ///
    /// [`SendError`] gives the event back if the client is gone or the stream was closed.
    pub async fn send<T: Into<Frame>>(&self, event: T) -> Result<(), SendError<T>> {
        let Ok(place) = self.queue.reserve().await else { return Err(SendError(event)) };
        // Nobody closes the room, and it empties when the client is gone.
        let room = self.room.clone().acquire_owned().await;
        match room {
            Ok(room) if !self.is_closing() && !self.queue.is_closed() => {
                place.send(self.queued(event.into(), room));
                Ok(())
            }
            _ => Err(SendError(event)),
        }
    }

    /// Sends an event if there is room for it now.
    ///
    /// # Errors
    ///
    /// [`TrySendError`] gives the event back and says whether to try again.
    pub fn try_send<T: Into<Frame>>(&self, event: T) -> Result<(), TrySendError<T>> {
        if self.is_closing() || self.queue.is_closed() {
            return Err(TrySendError::Closed(event));
        }
        let room = self.room.clone().try_acquire_owned();
        match (self.queue.try_reserve(), room) {
            (Ok(place), Ok(room)) => {
                place.send(self.queued(event.into(), room));
                Ok(())
            }
            (Err(mpsc::error::TrySendError::Closed(())), _) => Err(TrySendError::Closed(event)),
            _ => Err(TrySendError::Full(event)),
        }
    }

    /// A frame that takes as much of the room as there is, at most as many bytes as it has. So all frames together pass the room
    /// by less than one.
    fn queued(&self, frame: Frame, mut room: OwnedSemaphorePermit) -> Queued {
        loop {
            let wanted = frame.as_bytes().len().saturating_sub(1).min(self.room.available_permits());
            let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
            // It fails if somebody else was faster.
            if let Ok(more) = self.room.clone().try_acquire_many_owned(wanted) {
                room.merge(more);
                return Queued::Frame(frame, room);
            }
        }
    }

    /// Sends an event if there is room for it now, and else ends the stream ([`Closed::TooSlow`]), with what waits in it.
    ///
    /// Better a client that comes back and resumes than one that keeps others waiting, or misses events without knowing. It never
    /// waits, so one thread can send to very many.
    ///
    /// # Errors
    ///
    /// [`SendError`] gives the event back if it is not sent; the stream is over then, or will be once what was sent before
    /// [`close`](Self::close) has gone.
    pub fn send_or_end<T: Into<Frame>>(&self, event: T) -> Result<(), SendError<T>> {
        self.try_send(event).map_err(|error| {
            if let TrySendError::Full(_) = error {
                self.life.end_because(Closed::TooSlow);
            }
            SendError(error.into_inner())
        })
    }

    /// Waits until the client is gone or the stream has ended, and says why.
    ///
    /// ```
    /// # use fanfare_stream::{Closed, channel};
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let (sender, sse) = channel(16);
    /// drop(sse); // As a server does when the client is gone.
    /// assert_eq!(sender.closed().await, Closed::ByClient);
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub async fn closed(&self) -> Closed {
        Closing::of(&self.life).await
    }

    /// Whether the client is gone or the stream has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.life.is_over()
    }

    /// Does `work` for the client: it is dropped unfinished as soon as the stream is over.
    ///
    /// So whatever takes long, and is for nobody else, stops with its reader. Work that has to be finished whoever reads it ignores
    /// the error of [`send`](Self::send) and goes on; for a stream there is [`outliving`](crate::outliving).
    ///
    /// ```
    /// # use fanfare_stream::{Closed, Sender, channel};
    /// # use fanfare_wire::Event;
    /// # async fn ask_the_model() -> String { std::future::pending().await }
    /// async fn answer(sender: Sender) {
    ///     match sender.while_open(ask_the_model()).await {
    ///         Ok(answer) => _ = sender.send(Event::new(answer)).await,
    ///         Err(why) => println!("nobody waits for the answer: {why}"),
    ///     }
    /// }
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let (sender, sse) = channel(1);
    /// # tokio::join!(answer(sender), async { drop(sse) });
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Why the stream was over before the work.
    pub async fn while_open<W: Future>(&self, work: W) -> Result<W::Output, Closed> {
        if let Some(why) = self.life.why() {
            return Err(why);
        }
        let (mut work, mut closed) = (pin!(work), pin!(Closing::of(&self.life)));
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => closed.as_mut().poll(cx).map(Err),
        })
        .await
    }

    /// Ends the stream after what was sent, with an event `close` whose data is `Closing the connection`.
    ///
    /// The page has to listen for it and call `EventSource.close()`, else the browser reconnects. Clones of
    /// this sender fail from then on.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the client was gone already, or another clone has closed the stream.
    pub async fn close(self) -> Result<(), SendError<()>> {
        self.close_with(CLOSING).await
    }

    /// Like [`close`](Self::close), with data of your own.
    pub async fn close_with(self, data: impl Into<Cow<'static, str>>) -> Result<(), SendError<()>> {
        let permit = self.queue.reserve().await.map_err(|_| SendError(()))?;
        if self.closing.swap(true, Ordering::Relaxed) {
            return Err(SendError(()));
        }
        permit.send(Queued::Close(close_frame(data)));
        Ok(())
    }

    /// Ends the stream with an error after what was sent.
    pub(crate) async fn fail(self, error: BoxError) {
        if let Ok(place) = self.queue.reserve().await {
            place.send(Queued::Fail(error));
        }
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("over", &self.life.why()).finish_non_exhaustive()
    }
}

struct Receiver {
    receiver: mpsc::Receiver<Queued>,
    closing: bool,
}

impl Stream for Receiver {
    type Item = Result<Frame, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.closing {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.receiver.poll_recv(cx)) {
            Some(Queued::Frame(frame, _room)) => Some(Ok(frame)),
            Some(Queued::Close(frame)) => {
                self.closing = true;
                self.receiver.close();
                Some(Ok(frame))
            }
            Some(Queued::Fail(error)) => Some(Err(error)),
            None => None,
        })
    }
}

/// The client is gone, or the stream was closed. Holds the event that was not sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// Why an event was not sent at once. Holds the event.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError<T> {
    /// As many events wait as the channel holds.
    Full(T),
    /// The client is gone, or the stream was closed.
    Closed(T),
}

impl<T> TrySendError<T> {
    /// The event that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(event) | Self::Closed(event) => event,
        }
    }
}

const GONE: &str = "the client is gone or the stream was closed";

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(GONE)
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the client has not yet taken the events before this one",
            Self::Closed(_) => GONE,
        })
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> std::error::Error for SendError<T> {}
impl<T> std::error::Error for TrySendError<T> {}
