//! Takes connections from listening sockets, and survives when it cannot.
//!
//! It never gives up and never spins: when accepting fails for a reason that will not go away by itself at once, such as
//! too few file descriptors, it waits a little, says so now and then, and leaves the connections it has alone.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::ServeCounts;

const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_LONGEST: Duration = Duration::from_secs(1);
const WARN_EVERY: Duration = Duration::from_secs(10);
/// After what silence the kernel asks a peer whether it is still there, and how often; a peer that does not answer is given up after
/// the write timeout.
const PROBED_AFTER: Duration = Duration::from_secs(60);
const PROBED_EVERY: Duration = Duration::from_secs(15);

/// Several listening sockets as one.
pub(crate) struct Acceptor {
    listeners: Vec<TcpListener>,
    /// Which listener is asked first, so that a busy one cannot starve the others.
    turn: usize,
    failures: Failures,
    write_timeout: Duration,
    counts: ServeCounts,
}

impl Acceptor {
    /// `write_timeout` is how long a peer may leave what it was sent unacknowledged.
    pub(crate) fn new(listeners: Vec<TcpListener>, write_timeout: Duration, counts: ServeCounts) -> Self {
        Self { listeners, turn: 0, failures: Failures::default(), write_timeout, counts }
    }

    /// Waits for the next connection, and says who is at its other end. Safe to drop in between: no connection is lost.
    pub(crate) async fn next(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            self.failures.wait().await;
            let accepted = poll_fn(|cx| {
                for offset in 0..self.listeners.len() {
                    let at = (self.turn + offset) % self.listeners.len();
                    if let Poll::Ready(accepted) = self.listeners[at].poll_accept(cx) {
                        self.turn = at + 1;
                        return Poll::Ready(accepted);
                    }
                }
                Poll::Pending
            });
            match accepted.await {
                Ok((socket, peer)) => {
                    self.failures.over();
                    set_up(&socket, self.write_timeout);
                    return (socket, peer);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    self.counts.accept_failed();
                    self.failures.note(&error);
                }
            }
        }
    }
}

/// Tells the kernel what the socket is for. One that refuses is a dead one, which shows soon enough.
fn set_up(socket: &TcpStream, write_timeout: Duration) {
    // An event is one small write that should leave at once.
    let _ = socket.set_nodelay(true);
    // Whoever has vanished while nothing was sent is found by asking. A stream with keep-alives of its own is never quiet for so long.
    let probes = TcpKeepalive::new().with_time(PROBED_AFTER).with_interval(PROBED_EVERY);
    let _ = SockRef::from(socket).set_tcp_keepalive(&probes);
    // A peer that has vanished without a word acknowledges nothing. A quiet stream never fills the buffers that our own
    // limit goes by, and left alone the kernel would try for a quarter of an hour.
    #[cfg(target_os = "linux")]
    {
        // It counts milliseconds in 31 bits.
        let write_timeout = write_timeout.min(Duration::from_millis(i32::MAX as u64));
        let _ = SockRef::from(socket).set_tcp_user_timeout(Some(write_timeout));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = write_timeout;
}

/// Whether the error is about a connection that broke before we took it, and says nothing about the next.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// How long to wait after failures in a row, and when to speak of them.
#[derive(Default)]
struct Failures {
    pause: Option<Duration>,
    until: Option<Instant>,
    warned: Option<Instant>,
}

impl Failures {
    fn note(&mut self, error: &io::Error) {
        let now = Instant::now();
        let pause = self.pause.map_or(PAUSE_FIRST, |pause| (pause * 2).min(PAUSE_LONGEST));
        self.pause = Some(pause);
        self.until = Some(now + pause);
        if self.warned.is_none_or(|warned| now - warned >= WARN_EVERY) {
            self.warned = Some(now);
            tracing::warn!(%error, "cannot accept connections; trying again");
        }
    }

    fn over(&mut self) {
        self.pause = None;
    }

    /// Waits out the pause. Dropped in between, it goes on where it was.
    async fn wait(&mut self) {
        if let Some(until) = self.until {
            tokio::time::sleep_until(until).await;
            self.until = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_make_the_pauses_longer_up_to_a_second() {
        let mut failures = Failures::default();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            failures.note(&io::Error::other("too many open files"));
            let begun = Instant::now();
            failures.wait().await;
            pauses.push(begun.elapsed().as_millis());
        }
        assert_eq!(pauses, [20, 40, 80, 160, 320, 640, 1_000, 1_000]);
        failures.over();
        failures.note(&io::Error::other("too many open files"));
        let begun = Instant::now();
        failures.wait().await;
        assert_eq!(begun.elapsed().as_millis(), 20);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_nobody_acknowledges_ends_the_connection_after_the_write_timeout_and_the_quiet_are_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut acceptor = Acceptor::new(vec![listener], Duration::from_secs(7), ServeCounts::default());
        let ((socket, _), client) = tokio::join!(acceptor.next(), TcpStream::connect(address));
        client.expect("a connection");
        let socket = SockRef::from(&socket);
        let timeout = socket.tcp_user_timeout().expect("an option");
        assert_eq!(timeout, Some(Duration::from_secs(7)));
        assert!(socket.tcp_nodelay().expect("an option"));
        assert!(socket.keepalive().expect("an option"));
        assert_eq!(socket.tcp_keepalive_time().expect("an option"), PROBED_AFTER);
    }

    #[test]
    fn a_connection_that_broke_early_is_no_reason_to_pause() {
        assert!(is_of_one_connection(&io::ErrorKind::ConnectionAborted.into()));
        assert!(!is_of_one_connection(&io::Error::from_raw_os_error(24)));
    }
}
