//! What a server process has used: CPU by the kernel's clock for the process and by `/proc`, memory from
//! `smaps_rollup`. Children of the server count with it (a server of several workers is one server).
//!
//! It only reads. Linux alone; source: `proc(5)`, `clock_getcpuclockid(3)`.

use anyhow::Context;
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};
use serde::{Deserialize, Serialize};
use std::fs;
use std::time::Duration;

/// CPU time used since the process began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    /// All of it, in the scheduler's nanoseconds.
    pub(crate) total: Duration,
    /// The part in user space and the part in the kernel; these come in clock ticks, mostly of 10 ms.
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Cpu {
    /// What was used between `earlier` and this.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            total: self.total.saturating_sub(earlier.total),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// Memory of the process, in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Resident pages.
    pub(crate) rss: u64,
    /// The same, with pages shared between processes counted in parts.
    pub(crate) pss: u64,
}

/// CPU time of this process alone, without its children.
pub(crate) fn own_cpu() -> anyhow::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

/// CPU time of `pid` and its children.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Cpu> {
    let mut sum = Cpu::default();
    for pid in family(pid) {
        let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid)?))
            .with_context(|| format!("process {pid} has no CPU clock: is it alive?"))?;
        sum.total += Duration::from(clock_gettime(clock)?);
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (user, system) = ticks(&stat).context("/proc/PID/stat is not as expected")?;
        let ticks_per_second = sysconf(SysconfVar::CLK_TCK)?.and_then(|ticks| u32::try_from(ticks).ok());
        let tick = Duration::from_secs(1) / ticks_per_second.unwrap_or(100);
        sum.user += tick * user;
        sum.system += tick * system;
    }
    Ok(sum)
}

/// Memory of `pid` and its children.
pub(crate) fn memory(pid: u32) -> anyhow::Result<Memory> {
    let mut sum = Memory::default();
    for pid in family(pid) {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
            .with_context(|| format!("the memory of process {pid} cannot be read"))?;
        sum.rss += kilobytes(&rollup, "Rss:").context("smaps_rollup has no Rss")? * 1024;
        sum.pss += kilobytes(&rollup, "Pss:").context("smaps_rollup has no Pss")? * 1024;
    }
    Ok(sum)
}

/// How many file descriptors `pid` has open.
pub(crate) fn descriptors(pid: u32) -> anyhow::Result<u64> {
    count(&format!("/proc/{pid}/fd"))
}

/// How many threads `pid` has.
pub(crate) fn threads(pid: u32) -> anyhow::Result<u64> {
    count(&format!("/proc/{pid}/task"))
}

fn count(folder: &str) -> anyhow::Result<u64> {
    Ok(fs::read_dir(folder).with_context(|| format!("{folder} cannot be read"))?.count() as u64)
}

/// `pid`, its children, and theirs.
fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        next += 1;
        let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    family
}

/// `utime` and `stime`: fields 14 and 15, counted behind the command's name, which may hold anything.
fn ticks(stat: &str) -> Option<(u32, u32)> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn kilobytes(rollup: &str, name: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194560 176 0 0 0 25 13 0 0 20 0 1 0 5";
        assert_eq!(ticks(stat), Some((25, 13)));
    }

    #[test]
    fn kilobytes_are_found_by_their_whole_name() {
        let rollup = "0-f ---p 0 00:00 0 [rollup]\nRss:    1704 kB\nPss:   258 kB\nPss_Dirty:  112 kB\n";
        assert_eq!(kilobytes(rollup, "Pss:"), Some(258));
        assert_eq!(kilobytes(rollup, "Swap:"), None);
    }

    #[test]
    fn this_process_uses_memory_and_time() {
        let pid = std::process::id();
        assert!(memory(pid).unwrap().rss >= memory(pid).unwrap().pss);
        assert!(cpu(pid).unwrap().total > Duration::ZERO);
    }
}
