//! A stream's source, and what is to be done at its end: shared by whoever may end it.
//!
//! A body is asked for more only while its client takes bytes, so who ends a stream must not have to wait for that. It frames
//! nothing and looks at no clock.

use std::any::Any;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::Closed;
use crate::source::Source;
use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, lock, try_lock};

/// Hears why a stream is over.
pub(crate) type Hook = Box<dyn FnOnce(Closed) + Send>;

/// Clones are the same life.
#[derive(Clone)]
pub(crate) struct Life(Arc<Inner>);

struct Inner {
    /// Locked while it is polled; whoever ends the stream meanwhile leaves it to the one who polls.
    source: Mutex<Source>,
    /// Whether `End::why` is known, for those who only look.
    is_over: AtomicBool,
    /// Never locked before `source` is asked for: it may be locked under it, and nothing is called while it is.
    end: Mutex<End>,
}

#[derive(Default)]
struct End {
    why: Option<Closed>,
    last_acts: LastActs,
    /// The task that asks for more.
    server: Option<Waker>,
    waiting: Vec<(u64, Waker)>,
    seats: u64,
}

/// What is to be done when a stream is over.
#[derive(Default)]
pub(crate) struct LastActs {
    hooks: Vec<Hook>,
    /// Dropped then.
    held: Vec<Box<dyn Any + Send>>,
}

impl LastActs {
    pub(crate) fn call(&mut self, hook: Hook) {
        self.hooks.push(hook);
    }

    pub(crate) fn hold(&mut self, held: Box<dyn Any + Send>) {
        self.held.push(held);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hooks.is_empty() && self.held.is_empty()
    }

    /// Does all of it; a second time there is nothing left.
    pub(crate) fn perform(&mut self, why: Closed) {
        self.held.clear();
        for hook in std::mem::take(&mut self.hooks) {
            hook(why);
        }
    }
}

/// A life that ends, if it has not before, when its owner lets go.
pub(crate) struct Owned(pub(crate) Life);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.end_because(Closed::ByClient);
    }
}

impl Life {
    pub(crate) fn of(source: Source) -> Self {
        Self(Arc::new(Inner {
            source: Mutex::new(source),
            is_over: AtomicBool::new(false),
            end: Mutex::new(End::default()),
        }))
    }

    /// The source, for whoever asks it for more. Nobody may end the stream while it is held.
    pub(crate) fn source(&self) -> MutexGuard<'_, Source> {
        lock(&self.0.source)
    }

    /// Gives it back, and drops it if the stream was ended while it was held.
    pub(crate) fn release(&self, source: MutexGuard<'_, Source>) {
        drop(source);
        // Under its lock: either this finds the end, or whoever ends the stream finds the source unlocked.
        if self.why().is_some() {
            self.drop_source();
        }
    }

    /// Changes what is to be done at the end.
    pub(crate) fn at_the_end(&self, change: impl FnOnce(&mut LastActs)) {
        change(&mut self.end().last_acts);
    }

    /// Whether somebody wants to hear of the end.
    pub(crate) fn is_watched(&self) -> bool {
        Arc::strong_count(&self.0) > 1 || !self.end().last_acts.is_empty()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::Acquire)
    }

    pub(crate) fn why(&self) -> Option<Closed> {
        self.end().why
    }

    /// Ends the stream, unless it is over: the source is dropped, and everybody hears of it.
    pub(crate) fn end_because(&self, why: Closed) {
        let mut end = self.end();
        if end.why.is_some() {
            return;
        }
        end.why = Some(why);
        self.0.is_over.store(true, Ordering::Release);
        let mut last_acts = std::mem::take(&mut end.last_acts);
        let (server, waiting) = (end.server.take(), std::mem::take(&mut end.waiting));
        drop(end);
        self.drop_source();
        last_acts.perform(why);
        for waker in server.into_iter().chain(waiting.into_iter().map(|(_, waker)| waker)) {
            waker.wake();
        }
    }

    /// Notes whom to wake at the end; false if that is over.
    pub(crate) fn serve(&self, cx: &Context<'_>) -> bool {
        let mut end = self.end();
        if end.why.is_none() && !end.server.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            end.server = Some(cx.waker().clone());
        }
        end.why.is_none()
    }

    /// Waits for the end, at a seat of one's own.
    pub(crate) fn poll_over(&self, seat: &mut Option<u64>, cx: &Context<'_>) -> Poll<Closed> {
        let mut end = self.end();
        if let Some(why) = end.why {
            return Poll::Ready(why);
        }
        let seat = *seat.get_or_insert_with(|| {
            end.seats += 1;
            end.seats
        });
        match end.waiting.iter_mut().find(|(taken, _)| *taken == seat) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => end.waiting.push((seat, cx.waker().clone())),
        }
        Poll::Pending
    }

    pub(crate) fn leave(&self, seat: u64) {
        self.end().waiting.retain(|(taken, _)| *taken != seat);
    }

    fn drop_source(&self) {
        // Whoever has it locked looks at the end when done.
        let source =
            try_lock(&self.0.source).map(|mut source| std::mem::replace(&mut *source, Source::Ended));
        drop(source);
    }

    fn end(&self) -> MutexGuard<'_, End> {
        lock(&self.0.end)
    }
}

/// Every interleaving of who polls, who ends and who waits.
#[cfg(all(test, loom))]
mod explored {
    use super::*;
    use crate::Closing;
    use fanfare_wire::Event;
    use futures_util::stream;
    use loom::future::block_on;
    use loom::thread;

    /// A life whose source holds a token, and the token.
    fn held() -> (Life, Arc<()>) {
        let token = Arc::new(());
        let held = token.clone();
        let source = stream::poll_fn(move |_| {
            assert_eq!(Arc::strong_count(&held), 2);
            // Loom does not know that whoever only tries to lock depends on who has it locked.
            thread::yield_now();
            Poll::<Option<Event>>::Pending
        });
        (Life::of(Source::of(source)), token)
    }

    #[test]
    fn a_source_that_is_polled_while_its_stream_ends_is_dropped_by_one_of_the_two() {
        loom::model(|| {
            let (life, token) = held();
            let ending = life.clone();
            let ends = thread::spawn(move || ending.end_because(Closed::TooSlow));
            if life.serve(&Context::from_waker(Waker::noop())) {
                let mut source = life.source();
                let _ = source.poll_next(&mut Context::from_waker(Waker::noop()));
                life.release(source);
            }
            ends.join().expect("no panic");
            assert_eq!(Arc::strong_count(&token), 1);
        });
    }

    #[test]
    fn whoever_waits_for_the_end_is_woken_whenever_it_comes() {
        loom::model(|| {
            let (life, _token) = held();
            let closed = Closing::of(&life);
            let ends = thread::spawn(move || life.end_because(Closed::Expired));
            assert_eq!(block_on(closed), Closed::Expired);
            ends.join().expect("no panic");
        });
    }

    #[test]
    fn of_two_who_end_a_stream_one_is_told() {
        loom::model(|| {
            let (life, _token) = held();
            let told = Arc::new(std::sync::Mutex::new(Vec::new()));
            let heard = told.clone();
            life.at_the_end(|last_acts| {
                last_acts.call(Box::new(move |why| heard.lock().expect("whole").push(why)))
            });
            let other = life.clone();
            let ends = thread::spawn(move || other.end_because(Closed::TooSlow));
            life.end_because(Closed::Expired);
            ends.join().expect("no panic");
            assert_eq!(*told.lock().expect("whole"), [life.why().expect("over")]);
        });
    }
}
