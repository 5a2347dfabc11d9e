//! The handle: starts the workers, deals connections out to them, and asks them things.

use std::collections::HashSet;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use fanfare_hub::{Hub, SubscriptionKey};

use crate::counts::Totals;
use crate::inbox::{Command, Inbox};
use crate::report::{Answers, Subscriber};
use crate::worker::Beginning;
use crate::{Adoption, Counts, Settings};

/// Threads that own connections and write to them what hubs have. Cheap to clone; with the last handle all is cut.
///
/// ```
/// use std::io::Read;
/// use std::net::{TcpListener, TcpStream};
/// use fanfare_fanout::{Adoption, Fanout, Settings, Terms};
/// use fanfare_hub::Hub;
///
/// let hub = Hub::builder().build()?;
/// let fanout = Fanout::start(&Settings::default())?;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = TcpStream::connect(listener.local_addr()?)?;
/// let (socket, _) = listener.accept()?;
/// socket.set_nonblocking(true)?;
/// // Whatever the client asked for was read and found good before.
/// let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n".to_vec();
/// let subscription = hub.subscribe("news");
/// fanout.adopt(Adoption { socket, head, subscription, terms: Terms::default(), client: None }).expect("it runs");
///
/// hub.close();
/// let mut response = String::new();
/// client.read_to_string(&mut response)?;
/// assert!(response.starts_with("HTTP/1.1 200 OK\r\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Fanout(Arc<Shared>);

struct Shared {
    workers: Vec<Arc<Inbox>>,
    uses_io_uring: bool,
    turn: AtomicUsize,
    totals: Arc<Totals>,
}

impl Fanout {
    /// Starts the workers.
    ///
    /// # Errors
    /// The system has no thread, or no file descriptor, for a worker; or [`NoIoUring`](crate::NoIoUring).
    pub fn start(settings: &Settings) -> io::Result<Self> {
        let count = settings.workers.map_or_else(half_of_the_cores, NonZeroUsize::get);
        let totals = Totals::new();
        let mut shared =
            Shared { workers: Vec::new(), uses_io_uring: true, turn: AtomicUsize::new(0), totals };
        let (started, starts) = mpsc::channel();
        let collected_bytes_max = settings.collected_bytes_max / count;
        for number in 0..count {
            let settings = Settings { collected_bytes_max, ..settings.clone() };
            let worker = Beginning::new(settings, shared.totals.clone())?;
            // Should a later one fail, this one is told to end when `shared` is dropped.
            shared.workers.push(worker.inbox());
            let started = started.clone();
            thread::Builder::new().name(format!("fanout-{number}")).spawn(move || worker.run(started))?;
        }
        // Each tells once; with this one gone, the last of theirs ends the list.
        drop(started);
        for uses_io_uring in &starts {
            shared.uses_io_uring &= uses_io_uring?;
        }
        Ok(Self(Arc::new(shared)))
    }

    /// Takes a connection over: writes the head, then what the hub has for the subscription, until one side ends it.
    ///
    /// It ends with a clean FIN when the hub is closed, when its time is over or when it is drained, and with a reset when
    /// the client takes too little or sends too much. A client that closes its side, or half of it, has gone.
    ///
    /// # Errors
    /// The adoption: no worker is left to take it.
    #[allow(clippy::result_large_err)] // It is what the caller had before.
    pub fn adopt(&self, adoption: Adoption) -> Result<(), Adoption> {
        let mut adoption = Box::new(adoption);
        for _ in 0..self.0.workers.len() {
            let turn = self.0.turn.fetch_add(1, Relaxed) % self.0.workers.len();
            self.0.totals.adopt();
            match self.0.workers[turn].put(Command::Adopt(adoption)) {
                Err(Command::Adopt(back)) => {
                    self.0.totals.leave();
                    adoption = back;
                }
                _ => return Ok(()),
            }
        }
        Err(*adoption)
    }

    /// Ends every stream, each at a random moment before `window` has passed, between two events and with a `retry` of its
    /// own; those that are adopted later too. Who has not taken what was begun 5 s later is reset.
    pub fn drain(&self, window: Duration) {
        self.tell_all(|| Command::Drain { window });
    }

    /// Ends the streams of some subscriptions of `hub`, now, as if their time were over: each between two events and with a
    /// `retry` of its own. Whoever has not taken yet what was begun is reset, and nothing is written any more.
    ///
    /// It counts for what was adopted before the call. A subscription that has ended meanwhile may have left its
    /// [key](fanfare_hub::Subscription::key) to another, which then comes back. One call costs each worker a look at all its
    /// connections.
    ///
    /// ```
    /// # use std::io::Read;
    /// # use std::net::{TcpListener, TcpStream};
    /// # use fanfare_fanout::{Adoption, Fanout, Settings, Terms};
    /// # use fanfare_hub::Hub;
    /// # let hub = Hub::builder().build()?;
    /// # let fanout = Fanout::start(&Settings::default())?;
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let mut client = TcpStream::connect(listener.local_addr()?)?;
    /// # let (socket, _) = listener.accept()?;
    /// # socket.set_nonblocking(true)?;
    /// # let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    /// let subscription = hub.subscribe("news").on_end(|| println!("somebody left"));
    /// let key = subscription.key().expect("it has something to do at its end");
    /// fanout.adopt(Adoption { socket, head, subscription, terms: Terms::default(), client: None }).expect("it runs");
    ///
    /// fanout.end(&hub, [key]);
    /// # let mut response = String::new();
    /// # client.read_to_string(&mut response)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn end(&self, hub: &Hub, keys: impl IntoIterator<Item = SubscriptionKey>) {
        let keys: Arc<HashSet<SubscriptionKey>> = Arc::new(keys.into_iter().collect());
        if !keys.is_empty() {
            self.tell_all(|| Command::End { hub: hub.clone(), keys: keys.clone() });
        }
    }

    /// Resets every connection, now.
    pub fn cut_all(&self) {
        self.tell_all(|| Command::CutAll);
    }

    /// Waits until there are no connections.
    pub async fn emptied(&self) {
        poll_fn(|context| self.0.totals.poll_emptied(context.waker())).await;
    }

    /// Whether both are handles of one fan-out.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether all its workers write through `io_uring`.
    #[must_use]
    pub fn uses_io_uring(&self) -> bool {
        self.0.uses_io_uring
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.totals.snapshot()
    }

    /// Lists at most `most` connections, those that are furthest behind first.
    pub async fn subscribers(&self, most: usize) -> Vec<Subscriber> {
        let answers = Arc::new(Answers::default());
        self.tell_all(|| Command::Report(answers.request(most)));
        let mut subscribers = poll_fn(|context| answers.poll(context.waker())).await;
        subscribers.sort_by(Subscriber::worse_first);
        subscribers.truncate(most);
        subscribers
    }

    fn tell_all(&self, command: impl Fn() -> Command) {
        for worker in &self.0.workers {
            // One that has ended has nobody to do it to.
            let _ = worker.put(command());
        }
    }
}

fn half_of_the_cores() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

impl Drop for Shared {
    fn drop(&mut self) {
        for worker in &self.workers {
            let _ = worker.put(Command::Stop);
        }
    }
}

impl fmt::Debug for Fanout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fanout")
            .field("workers", &self.0.workers.len())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
