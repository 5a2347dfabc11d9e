//! A batch of writes as one call of the kernel: `io_uring`, with the sockets in its table of files.
//!
//! The one file with `unsafe`. Nothing is ever in flight outside [`Ring::send`]: it returns when the kernel has answered
//! every send that it took, so bytes are lent for the length of one call and nothing is ever cancelled.
//! Source: `io_uring_setup(2)`, `io_uring_enter(2)`, `io_uring_register(2)`.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::{IoUring, opcode, squeue, types};

use crate::sending::Parcel;
use crate::socket::{Wrote, judge};

/// How many sends one call takes.
const SENDS: u32 = 256;
/// How many sockets the kernel keeps in its table, at most; those beyond it are sent to by their descriptors.
const FILES_MAX: u64 = 32_768;
/// An empty place in the table.
const NO_FILE: RawFd = -1;

pub(crate) struct Ring {
    ring: IoUring,
    /// For each place in the kernel's table, whether the socket of the connection with that key is there.
    known: Vec<bool>,
}

impl Ring {
    /// Asks the kernel for a ring. It is of no use before it was [started](Self::start).
    ///
    /// # Errors
    /// The kernel has none, is too old to let go of a socket when it is told to (before Linux 6.10), does not allow it, as
    /// in most containers, or has no memory for it.
    pub(crate) fn new() -> io::Result<Self> {
        // It is made in one thread and used in another, which becomes its only submitter when it enables it. Completions
        // run when that thread asks for them, which spares interrupts: Linux 6.1. Older ones do without.
        let ring = IoUring::builder()
            .setup_r_disabled()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(SENDS)
            .or_else(|_| IoUring::builder().setup_r_disabled().build(SENDS))?;
        // Older ones take a socket out of their table when they please, up to a second later, and its end with it. This is
        // the feature by which those that do it at once are known.
        if !ring.params().is_feature_recvsend_bundle() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "it needs Linux 6.10"));
        }
        let files = rlimit_of_files().min(FILES_MAX);
        let files = u32::try_from(files).unwrap_or(u32::MAX);
        ring.submitter().register_files_sparse(files)?;
        Ok(Self { ring, known: vec![false; files as usize] })
    }

    /// Makes the calling thread the one that sends, and tries the ring out.
    ///
    /// # Errors
    /// It was granted and may not be used: some filters of system calls let one through and not the other.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        self.ring.submitter().register_enable_rings()?;
        // SAFETY: an operation that does nothing points to no memory.
        let pushed = unsafe { self.ring.submission().push(&opcode::Nop::new().build()) };
        pushed.map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.ring.submit_and_wait(1)?;
        let answered = self.ring.completion().next().map(|completion| completion.result());
        if answered == Some(0) { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
    }

    /// Asks the kernel once for each parcel to take its bytes, and says how it went in `wrote`, in their order.
    pub(crate) fn send(&mut self, parcels: &[Parcel<'_>], wrote: &mut Vec<Wrote>) {
        for parcels in parcels.chunks(SENDS as usize) {
            let first = wrote.len();
            // What the kernel never saw is to be tried again.
            wrote.resize(first + parcels.len(), Wrote::Again);
            let sends: Vec<squeue::Entry> =
                (0_u64..).zip(parcels).map(|(number, parcel)| self.entry(parcel).user_data(number)).collect();
            self.submit(&sends, &mut wrote[first..]);
        }
    }

    /// Empties the place of a connection that ends. The table's own reference would keep the socket open.
    pub(crate) fn forget(&mut self, key: usize) {
        if self.known.get(key) == Some(&true) {
            self.known[key] = false;
            let _ = self.put(key, NO_FILE);
        }
    }

    fn entry(&mut self, Parcel { key, socket, bytes }: &Parcel<'_>) -> squeue::Entry {
        let descriptor = socket.as_raw_fd();
        // A longer one goes in parts, as it does where the socket is full.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        if self.knows(*key, descriptor) {
            let place = u32::try_from(*key).unwrap_or(u32::MAX);
            opcode::Send::new(types::Fixed(place), bytes.as_ptr(), length).flags(flags).build()
        } else {
            opcode::Send::new(types::Fd(descriptor), bytes.as_ptr(), length).flags(flags).build()
        }
    }

    /// Whether a socket stands in the table; it is put there if there is a place for it.
    fn knows(&mut self, key: usize, descriptor: RawFd) -> bool {
        match self.known.get(key) {
            None => false,
            Some(true) => true,
            Some(false) => {
                self.known[key] = self.put(key, descriptor).is_ok();
                self.known[key]
            }
        }
    }

    fn put(&self, key: usize, descriptor: RawFd) -> io::Result<()> {
        let place = u32::try_from(key).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.ring.submitter().register_files_update(place, &[descriptor]).map(drop)
    }

    /// Submits `sends`, each with its place in `wrote` as user data, and waits for all answers.
    fn submit(&mut self, sends: &[squeue::Entry], wrote: &mut [Wrote]) {
        // SAFETY: the kernel reads through the pointer of an entry from when it is submitted until its completion has been
        // reaped. Each was made by `entry` in `send`, which is the only caller, of bytes that are borrowed by the parcels
        // until `send` returns: they are neither changed, moved nor freed before that. This function returns only when
        // `outstanding` is 0, so when as many completions were reaped as entries were pushed; between the push and that
        // nothing can unwind or return early: the loop indexes with `get_mut` and calls nobody's code but the ring's, and where
        // the kernel cannot say what it still reads the process ends. The ring is used by this thread alone and lives in
        // its worker, so nobody else reaps.
        //
        // If the queue has no room, no entry was pushed: it has room for SENDS, and is empty between two calls.
        let pushed = unsafe { self.ring.submission().push_multiple(sends) };
        let mut outstanding = if pushed.is_ok() { sends.len() } else { 0 };
        while outstanding > 0 {
            // It submits what is left of the queue, and waits for the answers only if it could submit all.
            if let Err(error) = self.ring.submit_and_wait(outstanding) {
                if !is_passing(&error) {
                    // The ring has worked before, and no other error can follow from what was submitted. So the kernel's
                    // promise about when it is done with the bytes is worth nothing any more: they must not be freed, and
                    // nobody can tell for how long.
                    std::process::abort();
                }
                // Whoever holds what the kernel is short of may let go of it.
                std::thread::yield_now();
            }
            for completion in self.ring.completion() {
                outstanding -= 1;
                let place = usize::try_from(completion.user_data()).unwrap_or(usize::MAX);
                if let Some(wrote) = wrote.get_mut(place) {
                    *wrote = answer(completion.result());
                }
            }
        }
    }
}

/// What the result of a send means: a number of bytes, which may be fewer than offered, or an error of the system.
fn answer(result: i32) -> Wrote {
    judge(usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result)))
}

/// Whether the same call can be made again: a signal came, or the kernel is short of memory or of room for answers.
fn is_passing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
        || matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EBUSY | libc::ENOMEM))
}

/// How many files this process may have open; the table may not be larger.
fn rlimit_of_files() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a `rlimit` of our own, which the call fills in and does not keep.
    let asked = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if asked == 0 { limit.rlim_cur } else { 1_024 }
}
