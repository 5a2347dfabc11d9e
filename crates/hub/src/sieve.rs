//! What one subscriber leaves out of what it asks for: by a filter, or because something newer is there.
//!
//! It decides whether a shared frame is handed out and never changes one. What the application brought is called with no lock held,
//! so a subscription with a sieve is always read for itself and never by a crowd.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::log::Entry;
use crate::{SubscribeError, Subscription};

/// Whether an entry is handed out.
type Filter = Box<dyn Fn(&Entry) -> bool + Send>;

/// Those that may stand for an entry, the newest first.
pub(crate) type Newer = SmallVec<[Arc<Entry>; 1]>;

/// How many of them are looked for where a filter may refuse some.
const NEWER_MAX: usize = 8;

/// What a subscriber leaves out.
#[derive(Default)]
pub(crate) struct Sieve {
    filters: Vec<Filter>,
    conflates: bool,
}

impl Sieve {
    /// How many newer entries have to be known before it is asked about one: filters are not asked where those are found.
    pub(crate) fn newer_wanted(&self) -> usize {
        match (self.conflates, self.filters.is_empty()) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => NEWER_MAX,
        }
    }

    /// Whether an entry is handed out, of which `newer` are the newest with the same topic in front that are for this subscriber.
    ///
    /// # Errors
    /// A filter panicked. Its subscription ends, and nobody else's who is served by the same thread.
    pub(crate) fn lets_through(&self, entry: &Entry, newer: &[Arc<Entry>]) -> Result<bool, SubscribeError> {
        let stands = |newer: &Arc<Entry>| self.passes(newer);
        // The end of a topic's stream is no value of that topic, and is always told.
        let asked = || entry.is_end() || self.passes(entry) && !newer.iter().any(stands);
        catch_unwind(AssertUnwindSafe(asked)).map_err(|_| SubscribeError::FilterPanicked)
    }

    fn passes(&self, entry: &Entry) -> bool {
        self.filters.iter().all(|filter| filter(entry))
    }
}

impl fmt::Debug for Sieve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sieve")
            .field("filters", &self.filters.len())
            .field("conflates", &self.conflates)
            .finish()
    }
}

impl Subscription {
    /// Leaves out every event for which `passes` says no, live and when it is resumed. With several, all have to say yes.
    ///
    /// It is for what topics cannot say, such as what an application knows of its subscriber. It is asked about each event that the
    /// subscriber asks for and may read, whenever that subscriber gets to it, perhaps more than once and always with no lock held;
    /// it should be quick and say the same each time, or what arrives is what it makes of it. One that panics ends the subscription.
    /// It decides whether the shared bytes are written and cannot change them. What it leaves out is no gap.
    ///
    /// A filtered subscription costs the hub what one does that is polled, also in a fan-out: it is not read for together with others.
    /// Where topics can say it, they are cheaper.
    ///
    /// ```
    /// # use fanfare_hub::{Delivery, Hub, Matcher};
    /// # use fanfare_wire::Event;
    /// # use futures_util::StreamExt;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Hub::builder().build()?;
    /// let muted = vec!["news/sports"];
    /// let mut subscription = hub
    ///     .subscribe(Matcher::any())
    ///     .bookmarks(false)
    ///     .filter(move |entry| !entry.topics().iter().any(|topic| muted.contains(&topic.as_str())));
    /// hub.publish("news/sports", Event::new("2:1")).await?;
    /// hub.publish("news/weather", Event::new("rain")).await?;
    ///
    /// let Some(Ok(Delivery::Event(entry))) = subscription.next().await else { panic!("no event") };
    /// assert!(entry.frame().as_bytes().ends_with(b"data: rain\n\n"));
    /// # Ok(()) }
    /// ```
    pub fn filter(mut self, passes: impl Fn(&Entry) -> bool + Send + 'static) -> Self {
        if let Some(sieve) = self.sieve() {
            sieve.filters.push(Box::new(passes));
        }
        self
    }

    /// Hands out only the newest event of each topic to a reader that is behind, for values of which none but the last matters.
    ///
    /// An event is left out when one with the same canonical topic (the first that it is published to) stands behind it in memory, or
    /// in what was read with it from the engine, and is for this subscriber, too. So whoever keeps up gets all, and whoever is behind,
    /// slow or returning, gets the newest of each topic, in the hub's order: the last event of each topic always arrives. It keeps
    /// nothing for that but its place. It may get several of a topic far behind what is in memory, one for each part that is read, and
    /// where the eight newest are all for others or refused by a [`filter`](Self::filter). The end of a topic's
    /// [stream](crate::Hub::produce) stands for nothing and always arrives.
    ///
    /// What is left out for something newer is no gap: that is what was asked for. What retention took is one, as always.
    ///
    /// It costs what [`filter`](Self::filter) does.
    ///
    /// ```
    /// # use fanfare_hub::{Delivery, Hub};
    /// # use fanfare_wire::Event;
    /// # use futures_util::StreamExt;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Hub::builder().build()?;
    /// let mut subscription = hub.subscribe("prices/AAPL").bookmarks(false).conflate();
    /// for price in ["231", "232", "229"] {
    ///     hub.publish("prices/AAPL", Event::new(price)).await?;
    /// }
    /// let Some(Ok(Delivery::Event(entry))) = subscription.next().await else { panic!("no event") };
    /// assert!(entry.frame().as_bytes().ends_with(b"data: 229\n\n"));
    /// # Ok(()) }
    /// ```
    pub fn conflate(mut self) -> Self {
        if let Some(sieve) = self.sieve() {
            sieve.conflates = true;
        }
        self
    }

    fn sieve(&mut self) -> Option<&mut Sieve> {
        Some(self.place.as_mut()?.sieve.get_or_insert_default())
    }
}
