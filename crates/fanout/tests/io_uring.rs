//! What a fan-out promises, with one call of the kernel for a batch of writes.
//!
//! Where the kernel grants no ring, all this runs over the other way once more; the last test says which it was.

use fanfare_fanout::{Fanout, IoUring, Settings};

mod sockets;

const IO_URING: IoUring = IoUring::Auto;

#[test]
fn a_ring_is_used_where_the_kernel_grants_one_and_said_to_be_missing_where_not() {
    let wanting = |io_uring| Fanout::start(&Settings { io_uring, ..Settings::default() });
    let chosen = wanting(IoUring::Auto).expect("it starts either way").uses_io_uring();
    match wanting(IoUring::On) {
        Ok(fanout) => assert!(fanout.uses_io_uring() && chosen),
        Err(error) => {
            assert!(error.to_string().starts_with("io_uring is asked for"), "{error}");
            assert!(!chosen);
            eprintln!("the tests over io_uring ran without it: {error}");
        }
    }
    assert!(!wanting(IoUring::Off).expect("it starts").uses_io_uring());
}
