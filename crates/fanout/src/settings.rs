//! What a fan-out may use, and for how long it is patient.

use std::num::NonZeroUsize;
use std::time::Duration;

/// How many threads write, and when a connection is given up.
///
/// ```
/// use std::time::Duration;
/// use fanfare_fanout::Settings;
///
/// let settings = Settings { write_timeout: Duration::from_secs(10), ..Settings::default() };
/// # let _ = settings;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many threads write. Default, `None`: one for every two cores that this process may use.
    ///
    /// The other cores are for HTTP, for publishers and for the kernel's side of the network. More threads take in a
    /// burst sooner, in smaller parts, which makes more writes of it.
    pub workers: Option<NonZeroUsize>,
    /// How long a client may take none of the bytes that wait for it, or on Linux leave them unacknowledged.
    /// Default: 30 s. Longer: reset; it can resume.
    pub write_timeout: Duration,
    /// How many bytes a client may send after its request. They are discarded. Default: 64 KiB. More: reset.
    pub input_bytes_max: u32,
    /// How many bytes the kernel may hold for a client that have not been sent. Default: 128 KiB.
    ///
    /// What does not fit stays in the hub's log, where it is shared and can still be put together with what comes after
    /// it. Larger helps one fast client on a long way; smaller keeps more clients that stall within memory. Linux alone.
    pub unsent_bytes_max: u32,
    /// How many bytes may be collected for clients that read what has left the hub's memory, until they take them, all
    /// together. Default: 32 MiB, divided among the workers.
    ///
    /// Some 64 KiB are written to such a client at once. While the budget is spent, others wait for their turn, and who
    /// has not taken all of it within `write_timeout` is reset; it can resume. One event at a time is collected whatever its size.
    pub collected_bytes_max: usize,
    /// Whether a batch of writes is one call of the kernel instead of one for each socket. Default: where it can be.
    pub io_uring: IoUring,
}

/// Whether `io_uring` carries the writes: up to 256 for one call of the kernel, to sockets that it has at hand. It needs
/// feature `io-uring`, Linux 6.10, and leave, which most containers do not give.
///
/// It saves most where events come singly; events that go out together are few writes either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IoUring {
    /// Where the build and the kernel have it; one call for each write elsewhere.
    #[default]
    Auto,
    /// At any rate: the fan-out does not start without it.
    On,
    /// Never.
    Off,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: None,
            write_timeout: Duration::from_secs(30),
            input_bytes_max: 64 * 1024,
            unsent_bytes_max: 128 * 1024,
            collected_bytes_max: 32 * 1024 * 1024,
            io_uring: IoUring::Auto,
        }
    }
}
