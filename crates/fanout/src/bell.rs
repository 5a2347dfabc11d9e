//! The doorbells of a worker: what wakes it from its poll.

use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::inbox::{Command, Inbox};

/// Wakes the worker because a hub has news.
pub(crate) struct Bell(pub(crate) mio::Waker);

impl Bell {
    pub(crate) fn ring(&self) {
        // It fails only when the poll is gone, and with it whoever would listen.
        let _ = self.0.wake();
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
