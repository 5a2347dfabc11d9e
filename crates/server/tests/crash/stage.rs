//! What all players of a run share: where the hub's nodes are, which life of it this is, and the order in which things happen.
//!
//! It decides nothing about what they do.

use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

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
    /// Nobody will get what it still waits for. It only makes a broken hub a failure instead of a hang.
    deadline: Mutex<Instant>,
}

/// A connection, and the life of the hub that took it.
pub(crate) struct Connected {
    pub(crate) socket: TcpStream,
    pub(crate) life: usize,
}

/// How often who waits for bytes looks whether there is still a point in it.
const LOOK_UP_EVERY: Duration = Duration::from_millis(200);

/// What a slow reader's window is: less than what waits for it, so that the hub's own cursor falls behind.
const SMALL_WINDOW_BYTES: usize = 2_048;

impl Stage {
    pub(crate) fn new(addresses: Vec<SocketAddr>, patience: Duration) -> Self {
        Self {
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

    /// Connects to the hub, to one of its nodes after the other, if that listens.
    pub(crate) fn connect(&self, small_window: bool) -> Option<Connected> {
        let life = self.life();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        if small_window {
            socket.set_recv_buffer_size(SMALL_WINDOW_BYTES).expect("a window");
        }
        let attempt = self.attempts.fetch_add(1, SeqCst);
        socket.connect(&self.addresses[attempt % self.addresses.len()].into()).ok()?;
        // Taken at both ends: no process of another life existed in between, so it was this one's.
        if self.life() != life {
            return None;
        }
        let socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(LOOK_UP_EVERY)).expect("a timeout");
        socket.set_write_timeout(Some(LOOK_UP_EVERY)).expect("a timeout");
        socket.set_nodelay(true).expect("no delay");
        Some(Connected { socket, life })
    }
}
