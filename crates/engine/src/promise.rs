//! One answer that one thread gives and one future waits for.
//!
//! It needs no runtime. A promise that is dropped without an answer is noticed by whoever waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The side that answers.
pub(crate) struct Promise<T>(Arc<Mutex<State<T>>>);

/// The side that waits. Yields `None` if the promise was dropped.
pub(crate) struct Promised<T>(Arc<Mutex<State<T>>>);

enum State<T> {
    Waiting(Option<Waker>),
    Kept(Option<T>),
}

pub(crate) fn promise<T>() -> (Promise<T>, Promised<T>) {
    let state = Arc::new(Mutex::new(State::Waiting(None)));
    (Promise(state.clone()), Promised(state))
}

impl<T> Promise<T> {
    /// Gives the answer. Nobody may be left who waits for it.
    pub(crate) fn keep(self, answer: T) {
        self.settle(Some(answer));
    }

    fn settle(&self, answer: Option<T>) {
        let state = std::mem::replace(&mut *lock(&self.0), State::Kept(answer));
        if let State::Waiting(Some(waker)) = state {
            waker.wake();
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let is_open = matches!(*lock(&self.0), State::Waiting(_));
        if is_open {
            self.settle(None);
        }
    }
}

impl<T> Future for Promised<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        match &mut *lock(&self.0) {
            State::Kept(answer) => Poll::Ready(answer.take()),
            State::Waiting(waker) => {
                match waker {
                    Some(waker) => waker.clone_from(context.waker()),
                    None => *waker = Some(context.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under this lock.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::promise;

    #[test]
    fn an_answer_arrives_once_it_is_given() {
        let (promise, promised) = promise();
        let mut promised = pin!(promised);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(promised.as_mut().poll(&mut context), Poll::Pending);
        promise.keep(7);
        assert_eq!(promised.as_mut().poll(&mut context), Poll::Ready(Some(7)));
    }

    #[test]
    fn a_promise_that_is_dropped_is_not_waited_for() {
        let (promise, promised) = promise::<()>();
        drop(promise);
        assert_eq!(pin!(promised).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(None));
    }
}
