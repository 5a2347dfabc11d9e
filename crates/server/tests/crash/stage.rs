//! What all players of a run share: where the hub's nodes are, which life of it this is, and the order in which things happen.
//!
//! It decides nothing about what they do.

use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::dice::Dice;
use crate::history::Tick;

pub(crate) struct Stage {
    /// A node each.
    addresses: Vec<SocketAddr>,
    /// Counted up after a process has ended and before the next one is started.
    pub(crate) life: AtomicUsize,
    clock: AtomicU64,
    attempts: AtomicUsize,
    /// Publishers stop, and subscribers hurry.
    pub(crate) is_ending: AtomicBool,
    /// Publishers wait, and how many of them do.
    is_held: AtomicBool,
    waiting: AtomicUsize,
    began: Instant,
    /// When each node was killed last.
    killed: Mutex<Vec<Option<Instant>>>,
    /// When a publication was acknowledged last, and the longest time in which none was.
    acknowledged: Mutex<(Instant, Duration)>,
    /// Nobody will get what it still waits for. It only makes a broken hub a failure instead of a hang.
    deadline: Mutex<Instant>,
}

/// A connection, and the life of the hub that took it.
pub(crate) struct Connected {
    pub(crate) socket: TcpStream,
    pub(crate) life: usize,
    pub(crate) node: usize,
}

/// How often who waits for bytes looks whether there is still a point in it.
const LOOK_UP_EVERY: Duration = Duration::from_millis(200);

/// How long to wait for a node that does not even refuse.
const CONNECTED_WITHIN: Duration = Duration::from_secs(2);

/// How often who is held looks whether it goes on.
const HELD_FOR: Duration = Duration::from_millis(10);

/// What a slow reader's window is: less than what waits for it, so that the hub's own cursor falls behind.
const SMALL_WINDOW_BYTES: usize = 2_048;

impl Stage {
    pub(crate) fn new(addresses: Vec<SocketAddr>, patience: Duration) -> Self {
        Self {
            is_held: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            began: Instant::now(),
            killed: Mutex::new(vec![None; addresses.len()]),
            acknowledged: Mutex::new((Instant::now(), Duration::ZERO)),
            addresses,
            attempts: AtomicUsize::new(0),
            life: AtomicUsize::new(0),
            clock: AtomicU64::new(0),
            is_ending: AtomicBool::new(false),
            deadline: Mutex::new(Instant::now() + patience),
        }
    }

    /// A moment later than all that were taken.
    pub(crate) fn tick(&self) -> Tick {
        self.clock.fetch_add(1, SeqCst) + 1
    }

    /// The time since the run began.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn life(&self) -> usize {
        self.life.load(SeqCst)
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending.load(SeqCst)
    }

    pub(crate) fn is_out_of_patience(&self) -> bool {
        Instant::now() > *self.deadline.lock().expect("nobody panics with it")
    }

    /// Waits once more, from now on.
    pub(crate) fn be_patient_for(&self, patience: Duration) {
        *self.deadline.lock().expect("nobody panics with it") = Instant::now() + patience;
    }

    /// Lets publishers send nothing more, and waits until so many of them have all their answers.
    pub(crate) fn hold(&self, publishers: usize) {
        self.is_held.store(true, SeqCst);
        while self.waiting.load(SeqCst) < publishers && !self.is_out_of_patience() {
            thread::sleep(HELD_FOR);
        }
    }

    pub(crate) fn release(&self) {
        self.acknowledged.lock().expect("nobody panics with it").0 = Instant::now();
        self.is_held.store(false, SeqCst);
    }

    /// Waits while publishers are held. Says whether they were.
    pub(crate) fn wait_while_held(&self) -> bool {
        if !self.is_held.load(SeqCst) {
            return false;
        }
        self.waiting.fetch_add(1, SeqCst);
        while self.is_held.load(SeqCst) && !self.is_out_of_patience() {
            thread::sleep(HELD_FOR);
        }
        self.waiting.fetch_sub(1, SeqCst);
        true
    }

    /// A node is being killed.
    pub(crate) fn kills(&self, node: usize) {
        self.killed.lock().expect("nobody panics with it")[node] = Some(Instant::now());
    }

    /// Whether a node was killed since then.
    pub(crate) fn has_killed(&self, node: usize, since: Instant) -> bool {
        self.killed.lock().expect("nobody panics with it")[node].is_some_and(|at| at >= since)
    }

    /// A publication was acknowledged.
    pub(crate) fn acknowledged(&self) {
        let mut acknowledged = self.acknowledged.lock().expect("nobody panics with it");
        let (last, longest) = *acknowledged;
        *acknowledged = (Instant::now(), longest.max(last.elapsed()));
    }

    /// The longest time in which no publication was acknowledged.
    pub(crate) fn longest_stall(&self) -> Duration {
        self.acknowledged.lock().expect("nobody panics with it").1
    }

    /// Connects to the hub, to any one of its nodes, if that listens.
    pub(crate) fn connect(&self, small_window: bool) -> Option<Connected> {
        let life = self.life();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        if small_window {
            socket.set_recv_buffer_size(SMALL_WINDOW_BYTES).expect("a window");
        }
        let attempt = Dice::new(self.attempts.fetch_add(1, SeqCst) as u64).next();
        let node = usize::try_from(attempt % self.addresses.len() as u64).expect("small");
        socket.connect_timeout(&self.addresses[node].into(), CONNECTED_WITHIN).ok()?;
        // Taken at both ends: no process of another life existed in between, so it was this one's.
        if self.life() != life {
            return None;
        }
        let socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(LOOK_UP_EVERY)).expect("a timeout");
        socket.set_write_timeout(Some(LOOK_UP_EVERY)).expect("a timeout");
        socket.set_nodelay(true).expect("no delay");
        Some(Connected { socket, life, node })
    }
}
