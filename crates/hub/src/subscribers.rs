//! Who is connected, with what an application knows of each.
//!
//! It is told of ends as anybody is, by [`Subscription::on_end`], and needs nothing else of the hub.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Subscription, SubscriptionHandle};

/// The subscriptions that an application has put in here and that have not ended, each with a state of the application's own: a
/// user's id, a name, what was agreed. Cheap to clone; all clones are the same.
///
/// A subscription is in it wherever it is, and out of it before anybody else is told that it ended. It is one node's: who is connected
/// to other nodes is not in it.
///
/// ```
/// use fanfare_hub::{Hub, Subscribers};
///
/// struct User {
///     name: String,
/// }
///
/// let hub = Hub::builder().build()?;
/// let subscribers = Subscribers::<User>::new();
/// let subscription = subscribers.add(hub.subscribe("rooms/7"), User { name: "ada".to_owned() });
///
/// for subscriber in subscribers.list().iter().filter(|each| each.state.name == "ada") {
///     subscriber.handle.join("rooms/8")?;
/// }
/// drop(subscription);
/// assert!(subscribers.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Subscribers<S>(Arc<Mutex<Table<S>>>);

/// One subscription that has not ended, or had not when it was listed.
pub struct Subscriber<S> {
    /// What the application knows of it.
    pub state: Arc<S>,
    /// By which what it reads is changed, and it is ended.
    pub handle: SubscriptionHandle,
}

struct Table<S> {
    came: u64,
    here: BTreeMap<u64, Subscriber<S>>,
}

impl<S: Send + Sync + 'static> Subscribers<S> {
    /// Makes an empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a subscription in, until it ends. One that was refused is out again at once.
    pub fn add(&self, mut subscription: Subscription, state: impl Into<Arc<S>>) -> Subscription {
        let subscriber = Subscriber { state: state.into(), handle: subscription.handle() };
        let number = {
            let mut table = self.lock();
            table.came += 1;
            let number = table.came;
            table.here.insert(number, subscriber);
            number
        };
        let table = Arc::downgrade(&self.0);
        subscription.on_end(move || {
            let Some(table) = table.upgrade() else { return };
            let gone = lock(&table).here.remove(&number);
            // The application's own, and not under the lock.
            drop(gone);
        })
    }
}

impl<S> Subscribers<S> {
    /// All of them, in the order in which they came.
    #[must_use]
    pub fn list(&self) -> Vec<Subscriber<S>> {
        self.lock().here.values().cloned().collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().here.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Table<S>> {
        lock(&self.0)
    }
}

fn lock<S>(table: &Mutex<Table<S>>) -> MutexGuard<'_, Table<S>> {
    // Nothing of the application's runs under it, so nothing panics there.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S> Default for Subscribers<S> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Table { came: 0, here: BTreeMap::new() })))
    }
}

impl<S> Clone for Subscribers<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> Clone for Subscriber<S> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), handle: self.handle.clone() }
    }
}

impl<S> fmt::Debug for Subscribers<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribers").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for Subscriber<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").field("state", &self.state).field("handle", &self.handle).finish()
    }
}
