//! The doorbells of a worker: what wakes it from its poll.
//!
//! A worker that is awake is told by a flag; only one that sleeps costs its visitors a call of the kernel.

use std::io;
use std::sync::Arc;
use std::task::{Wake, Waker};

use mio::{Registry, Token};

use crate::inbox::{Command, Inbox};
use crate::sync::{
    AtomicBool,
    Ordering::{AcqRel, Acquire},
};

/// Tells the worker that a hub has news, or that its inbox has something in it.
pub(crate) struct Bell {
    alarm: Alarm,
    poll: mio::Waker,
}

/// Whether something has happened, and whether somebody has to be woken for it.
///
/// Each side changes its own flag before it looks at the other's: at least one of them sees the other. All changes are
/// swaps, so that whoever comes later in the order of one flag has seen everything that those before it had done.
struct Alarm {
    rung: AtomicBool,
    asleep: AtomicBool,
}

impl Alarm {
    fn new() -> Self {
        Self { rung: AtomicBool::new(false), asleep: AtomicBool::new(false) }
    }

    /// Says that something has happened; gives whether the sleeper has to be woken, which is so for one visitor alone.
    fn ring(&self) -> bool {
        self.rung.swap(true, AcqRel);
        self.asleep.swap(false, AcqRel)
    }

    fn is_rung(&self) -> bool {
        self.rung.load(Acquire)
    }

    /// Whether nothing has happened since the last [`wake_up`](Self::wake_up), so that one may sleep until one is woken.
    fn fall_asleep(&self) -> bool {
        self.asleep.swap(true, AcqRel);
        !self.is_rung()
    }

    /// To be called before one looks at what has happened.
    fn wake_up(&self) {
        self.asleep.swap(false, AcqRel);
        self.rung.swap(false, AcqRel);
    }
}

impl Bell {
    /// Wakes the poll of `registry` with an event of `token`.
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self { alarm: Alarm::new(), poll: mio::Waker::new(registry, token)? })
    }

    pub(crate) fn ring(&self) {
        if self.alarm.ring() {
            // It fails only when the poll is gone, and with it whoever would listen.
            let _ = self.poll.wake();
        }
    }

    pub(crate) fn is_rung(&self) -> bool {
        self.alarm.is_rung()
    }

    /// Whether its worker may wait in its poll.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.alarm.fall_asleep()
    }

    /// To be called before its worker looks at what has happened.
    pub(crate) fn wake_up(&self) {
        self.alarm.wake_up();
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

/// Wakes the worker because one connection's subscription can be asked again.
struct SubscriptionBell {
    inbox: Arc<Inbox>,
    key: usize,
}

impl Wake for SubscriptionBell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // A connection that has gone meanwhile, or another one in its place, is looked at for nothing.
        let _ = self.inbox.put(Command::Tend { key: self.key });
    }
}

pub(crate) fn of_subscription(inbox: &Arc<Inbox>, key: usize) -> Waker {
    Arc::new(SubscriptionBell { inbox: inbox.clone(), key }).into()
}

#[cfg(all(test, loom))]
mod explored {
    use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use loom::sync::{Condvar, Mutex};
    use loom::thread;

    use super::*;

    /// A poll that remembers that it was woken, as the system's does.
    struct Poll {
        woken: Mutex<bool>,
        changed: Condvar,
    }

    impl Poll {
        fn wake(&self) {
            *self.woken.lock().expect("no panic") = true;
            self.changed.notify_one();
        }

        fn wait(&self) {
            let mut woken = self.woken.lock().expect("no panic");
            while !*woken {
                woken = self.changed.wait(woken).expect("no panic");
            }
            *woken = false;
        }
    }

    #[test]
    fn nobody_sleeps_while_there_is_news() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let poll = Poll { woken: Mutex::new(false), changed: Condvar::new() };
            let shared = Arc::new((Alarm::new(), AtomicUsize::new(0), poll));
            let publishers = [(); 2].map(|()| {
                let shared = shared.clone();
                thread::spawn(move || {
                    let (alarm, news, poll) = &*shared;
                    news.fetch_add(1, Relaxed);
                    if alarm.ring() {
                        poll.wake();
                    }
                })
            });
            let (alarm, news, poll) = &*shared;
            loop {
                alarm.wake_up();
                if news.load(Relaxed) == publishers.len() {
                    break;
                }
                // A lost wake-up is a deadlock here, which loom reports.
                if alarm.fall_asleep() {
                    poll.wait();
                }
            }
            for publisher in publishers {
                publisher.join().expect("it ends");
            }
        });
    }
}
