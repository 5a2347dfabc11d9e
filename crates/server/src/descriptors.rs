//! How many connections the operating system leaves room for: each needs a file descriptor, and so does what is not a connection.
//!
//! It reads the limit and changes nothing: whoever starts the program says how many files it may open.

use std::fs;
use std::num::NonZeroUsize;
use std::thread;

/// What is open besides connections to the hub: standard streams, listening sockets, what operators ask, the files of the log and of keys.
const FILES: usize = 64;
/// What each core has besides: what the threads of runtime and fan-out wait by.
const FILES_PER_CORE: usize = 4;

/// The limit on open files of this process; `None` where there is none or it cannot be read, which is everywhere but on Linux.
pub(crate) fn limit() -> Option<usize> {
    soft_limit(&fs::read_to_string("/proc/self/limits").ok()?)
}

/// How many connections there may be if nobody says otherwise.
pub(crate) fn connections() -> Option<NonZeroUsize> {
    limit().map(|limit| fitting(limit, thread::available_parallelism().map_or(1, NonZeroUsize::get)))
}

fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// How many connections fit below a limit on open files, with those that are above their number and told so: a sixteenth, and 16 at least.
fn fitting(limit: usize, cores: usize) -> NonZeroUsize {
    // Where there are very few, the half.
    let left = limit - (FILES + FILES_PER_CORE.saturating_mul(cores)).min(limit / 2);
    let most = (left / 17).saturating_mul(16).min(left.saturating_sub(16));
    NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units     
Max processes             15000                15000                processes 
Max open files            1024                 524288               files     
Max locked memory         unlimited            unlimited            bytes     
";

    #[test]
    fn the_limit_is_the_one_that_holds_now() {
        assert_eq!(soft_limit(LIMITS), Some(1_024));
        assert_eq!(soft_limit(&LIMITS.replace("1024  ", "unlimited")), None);
        assert_eq!(soft_limit(""), None);
    }

    #[test]
    fn what_is_refused_and_everything_else_fits_below_the_limit_too() {
        for cores in [1, 8, 128] {
            for limit in (0..100_000).step_by(7) {
                let most = fitting(limit, cores).get();
                let others = (FILES + FILES_PER_CORE * cores).min(limit / 2);
                assert!(most == 1 || most + (most / 16).max(16) + others <= limit, "{most} of {limit}");
            }
        }
        assert_eq!(fitting(1_024, 2).get(), 896);
        assert_eq!(fitting(0, 2).get(), 1);
    }
}
