//! What a fan-out promises, with one call of the kernel for each write.

use fanfare_fanout::IoUring;

mod sockets;

const IO_URING: IoUring = IoUring::Off;
