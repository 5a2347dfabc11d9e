//! Who is connected, and how far behind: for operators.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::sync::{Mutex, lock};

/// One connection, as it was when its worker was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscriber {
    /// The other end, if it still has one.
    pub address: Option<SocketAddr>,
    /// The client's own address, if that is a proxy.
    pub client: Option<IpAddr>,
    /// For how long it has been connected.
    pub connected: Duration,
    /// How many positions of the log it has not been looked at for; what of it is for this subscriber, nobody has counted.
    pub behind: u64,
    /// For how long its socket has taken nothing while bytes wait; `None` if it takes them.
    pub full: Option<Duration>,
}

impl Subscriber {
    /// Who is worst off comes first.
    pub(crate) fn worse_first(&self, other: &Self) -> std::cmp::Ordering {
        (other.behind, other.full, other.connected).cmp(&(self.behind, self.full, self.connected))
    }
}

/// Asks one worker for its connections; answered when it is dropped, however that comes about.
pub(crate) struct Request {
    pub(crate) most: usize,
    pub(crate) answers: Arc<Answers>,
}

/// What the workers have answered so far.
#[derive(Default)]
pub(crate) struct Answers(Mutex<Collected>);

#[derive(Default)]
struct Collected {
    subscribers: Vec<Subscriber>,
    missing: usize,
    waker: Option<Waker>,
}

impl Answers {
    pub(crate) fn request(self: &Arc<Self>, most: usize) -> Request {
        lock(&self.0).missing += 1;
        Request { most, answers: self.clone() }
    }

    pub(crate) fn add(&self, subscribers: Vec<Subscriber>) {
        lock(&self.0).subscribers.extend(subscribers);
    }

    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Vec<Subscriber>> {
        let mut collected = lock(&self.0);
        if collected.missing > 0 {
            collected.waker = Some(waker.clone());
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut collected.subscribers))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let waker = {
            let mut collected = lock(&self.answers.0);
            collected.missing -= 1;
            if collected.missing == 0 { collected.waker.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
