//! How a stream ended, and who hears of it: the hook, the guard, the future and the sender.
#![allow(clippy::unwrap_used)]

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fanfare_stream::testing::Reader;
use fanfare_stream::{BoxError, Closed, Sender, Sse, channel, outliving};
use fanfare_wire::Event;
use futures_util::task::{ArcWake, waker};
use futures_util::{FutureExt, StreamExt, stream};
use http_body::Body;
use http_body_util::BodyExt;

/// Says that it was dropped.
struct Guard(mpsc::Sender<&'static str>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send("the guard is gone").ok();
    }
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl ArcWake for Woken {
    fn wake_by_ref(this: &Arc<Self>) {
        this.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn endless() -> Sse {
    Sse::new(stream::pending::<Event>())
}

fn poll(sse: &mut Sse) -> Poll<Option<Result<Vec<u8>, BoxError>>> {
    poll_for(sse, Waker::noop())
}

fn poll_for(sse: &mut Sse, waker: &Waker) -> Poll<Option<Result<Vec<u8>, BoxError>>> {
    let polled = Pin::new(sse).poll_frame(&mut Context::from_waker(waker));
    polled.map(|next| next.map(|frame| frame.map(|frame| frame.into_data().unwrap().to_vec())))
}

fn is_ended(sse: &mut Sse) -> bool {
    matches!(poll(sse), Poll::Ready(None)) && sse.is_end_stream()
}

/// Polls to the end and gives the reason, which all ways to hear of it have to agree on.
fn reason(sse: Sse) -> Closed {
    let (told, heard) = mpsc::channel();
    let mut sse = sse.on_close(move |why| told.send(why).unwrap());
    let closed = sse.closed();
    while let Poll::Ready(Some(_)) = poll(&mut sse) {}
    let why = closed.now_or_never().expect("it is over");
    assert_eq!(heard.try_recv(), Ok(why));
    drop(sse);
    assert_eq!(heard.try_recv(), Err(mpsc::TryRecvError::Disconnected), "once");
    why
}

#[test]
fn a_response_that_is_dropped_before_its_end_was_closed_by_the_client() {
    let (told, heard) = mpsc::channel();
    let (guard, guarded) = mpsc::channel();
    let sse = endless().hold(Guard(guard)).on_close(move |why| told.send(why).unwrap());
    let closed = sse.closed();
    assert!(closed.clone().now_or_never().is_none());
    drop(sse.response().into_body());
    assert_eq!(heard.try_recv(), Ok(Closed::ByClient));
    assert_eq!(guarded.try_recv(), Ok("the guard is gone"));
    assert_eq!(closed.now_or_never(), Some(Closed::ByClient));
}

#[test]
fn a_stream_that_has_no_more_was_closed_by_the_application() {
    assert_eq!(reason(Sse::new(stream::iter([Event::new("a")]))), Closed::ByApplication);
    assert_eq!(reason(Sse::new(stream::empty::<Event>())), Closed::ByApplication);
    assert_eq!(reason(endless().until(std::future::ready(()))), Closed::ByApplication);
}

#[test]
fn a_stream_that_yields_an_error_has_failed_whoever_takes_the_error() {
    let failing = || Sse::new(stream::iter([Ok(Event::new("a")), Err("lost")]));
    assert_eq!(reason(failing()), Closed::Failed);
    assert_eq!(reason(failing().on_error(|_| ())), Closed::Failed);
    assert_eq!(reason(Sse::new(stream::iter([Err::<Event, _>("lost")]))), Closed::Failed);
}

#[test]
fn hooks_are_called_in_order_when_the_source_is_gone() {
    let source = Arc::new(());
    let (order, seen) = mpsc::channel();
    let held = source.clone();
    let mut sse = Sse::new(stream::poll_fn(move |_| {
        assert_eq!(Arc::strong_count(&held), 2);
        Poll::Ready(None::<Event>)
    }));
    for n in 0..3 {
        let (order, source) = (order.clone(), Arc::downgrade(&source));
        sse = sse.on_close(move |_| order.send((n, source.strong_count())).unwrap());
    }
    assert!(is_ended(&mut sse));
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [(0, 1), (1, 1), (2, 1)]);
}

#[test]
fn a_server_that_owns_its_sockets_leaves_a_stream_where_it_is_whose_end_somebody_waits_for() {
    type Pending = stream::Pending<Event>;
    assert!(endless().into_source::<Pending>().is_ok());
    assert!(endless().on_close(|_| ()).into_source::<Pending>().is_err());
    assert!(endless().hold(()).into_source::<Pending>().is_err());
    assert!(endless().lifetime(Duration::from_secs(1)).into_source::<Pending>().is_err());
    let sse = endless();
    let closed = sse.closed();
    let sse = sse.into_source::<Pending>().unwrap_err();
    drop(closed);
    assert!(sse.into_source::<Pending>().is_ok(), "nobody waits any more");
}

#[test]
fn everybody_who_waits_is_woken_once_and_whoever_has_left_is_not() {
    let sse = endless();
    let woken: [Arc<Woken>; 3] = Default::default();
    let mut waiting: Vec<_> = woken.iter().map(|_| sse.closed()).collect();
    for (closed, woken) in waiting.iter_mut().zip(&woken) {
        let waker = waker(woken.clone());
        for _ in 0..2 {
            assert!(closed.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        }
    }
    drop(waiting.remove(1));
    drop(sse);
    assert_eq!(woken.each_ref().map(|woken| woken.0.load(Ordering::Relaxed)), [1, 0, 1]);
    for closed in waiting {
        assert_eq!(closed.now_or_never(), Some(Closed::ByClient));
    }
}

/// Goal: a slow client costs the sender no wait and no memory, although its server asks for nothing.
#[test]
fn a_client_that_is_too_slow_is_cut_by_whoever_sends_and_what_waits_for_it_is_let_go_of() {
    let (sender, mut sse) = channel(1);
    let woken = Arc::new(Woken::default());
    assert!(poll_for(&mut sse, &waker(woken.clone())).is_pending());
    sender.send_or_end(Event::new("a")).unwrap();
    let before = woken.0.load(Ordering::Relaxed);
    assert_eq!(sender.send_or_end(Event::new("b")).unwrap_err().0, Event::new("b"));
    assert!(woken.0.load(Ordering::Relaxed) > before, "the server has to hear that there is no more");
    assert!(sender.is_closed());
    assert_eq!(sender.closed().now_or_never(), Some(Closed::TooSlow));
    assert!(is_ended(&mut sse));
}

#[test]
fn a_source_that_ends_its_own_stream_while_it_is_asked_does_not_wait_for_itself() {
    let sender: Arc<Mutex<Option<Sender>>> = Arc::default();
    let (own, sse) = channel(1);
    own.try_send(Event::new("it is full")).unwrap();
    // The signal is asked while the source is held.
    let mut sse = sse.until({
        let sender = sender.clone();
        std::future::poll_fn(move |_| {
            sender.lock().unwrap().as_ref().unwrap().send_or_end(Event::new("one too many")).ok();
            Poll::Pending
        })
    });
    let closed = sse.closed();
    *sender.lock().unwrap() = Some(own);
    let _what_was_there = poll(&mut sse);
    assert_eq!(closed.now_or_never(), Some(Closed::TooSlow));
    assert!(is_ended(&mut sse));
    assert!(
        sender.lock().unwrap().as_ref().unwrap().try_send(Event::new("late")).is_err(),
        "the source is gone"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_is_over_although_nobody_asks_for_more() {
    let held = Arc::new(());
    let watch = Arc::downgrade(&held);
    let events = stream::once(async { Event::new("a") }).chain(stream::poll_fn(move |_| {
        assert_eq!(Arc::strong_count(&held), 1);
        Poll::Pending
    }));
    let mut sse = Sse::new(events).lifetime(Duration::from_secs(60)).write_deadline(None);
    let closed = sse.closed();
    tokio::time::sleep(Duration::from_secs(100)).await;
    // It begins with the first poll.
    assert_eq!(sse.frame().await.unwrap().unwrap().into_data().unwrap(), b"data: a\n\n"[..]);
    let begun = tokio::time::Instant::now();
    assert_eq!(closed.await, Closed::Expired);
    assert_eq!(begun.elapsed().as_secs(), 60);
    assert!(watch.upgrade().is_none());
    assert!(sse.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_ends_a_stream_first_is_the_reason_and_the_only_one() {
    let (sender, sse) = channel(1);
    let mut sse = sse.lifetime(Duration::from_secs(60)).until(std::future::ready(()));
    assert!(sse.frame().await.is_none());
    tokio::time::sleep(Duration::from_secs(100)).await;
    drop(sse);
    assert_eq!(sender.closed().await, Closed::ByApplication);
}

#[tokio::test]
async fn work_for_a_reader_stops_with_the_reader() {
    let (sender, sse) = channel(1);
    let (guard, guarded) = mpsc::channel();
    let work = async {
        let _guard = Guard(guard);
        std::future::pending::<()>().await;
    };
    let (done, ()) = tokio::join!(sender.while_open(work), async { drop(sse) });
    assert_eq!(done, Err(Closed::ByClient));
    assert_eq!(guarded.try_recv(), Ok("the guard is gone"));
    assert_eq!(
        sender.while_open(async { unreachable!("nobody reads") }).await,
        Err::<(), _>(Closed::ByClient)
    );
}

#[tokio::test]
async fn work_that_is_done_before_its_reader_leaves_gives_its_result() {
    let (sender, sse) = channel(1);
    assert_eq!(sender.while_open(async { 7 }).await, Ok(7));
    // The last thing it does is to end the stream.
    let closing = sender.clone();
    let done = sender.while_open(async {
        drop(sse);
        closing.is_closed()
    });
    assert_eq!(done.await, Ok(true));
}

#[tokio::test]
async fn a_stream_that_outlives_its_reader_goes_on_to_its_end() {
    let (seen, mut yielded) = tokio::sync::mpsc::unbounded_channel();
    let events = stream::iter(0..100).inspect(move |n| seen.send(*n).unwrap());
    let mut reader = Reader::of_body(outliving(events.map(|n| Event::new(n.to_string())), 1));
    assert_eq!(reader.expect_event().await.data, "0");
    reader.cut();
    let mut all = Vec::new();
    while let Some(n) = yielded.recv().await {
        all.push(n);
    }
    assert_eq!(all, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_that_outlives_its_reader_waits_for_it_while_it_is_there() {
    let (seen, yielded) = mpsc::channel();
    let events = stream::iter(0..100).inspect(move |n| seen.send(*n).unwrap());
    let mut reader = Reader::of_body(outliving(events.map(|n| Event::new(n.to_string())), 4));
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(yielded.try_iter().count(), 5, "four wait for the reader, and the fifth for its place");
    for n in 0..100 {
        assert_eq!(reader.expect_event().await.data, n.to_string());
    }
    reader.expect_end().await;
}

#[tokio::test]
async fn a_stream_that_outlives_its_reader_ends_with_its_first_error() {
    let items = [Ok(Event::new("a")), Err("lost"), Ok(Event::new("never"))];
    let sse = outliving(stream::iter(items), 16);
    let closed = sse.closed();
    let mut reader = Reader::of_body(sse);
    assert_eq!(reader.expect_event().await.data, "a");
    assert_eq!(reader.expect_break().await, "lost");
    assert_eq!(closed.await, Closed::Failed);
}
