//! The program under test: started on one port again and again, killed at any moment, and ended in order at last.
//!
//! It knows nothing of what is published.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::address::free_address;
use crate::common::fanfare;
use crate::history::LogAfterAKill;
use crate::publisher::Retry;

/// Where the hub keeps its log, and what that means for a run.
#[derive(Clone, Copy)]
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    /// The name of its test.
    pub(crate) test: &'static str,
    /// For the command line.
    flags: fn(folder: &Path) -> Vec<String>,
    pub(crate) log_after_a_kill: LogAfterAKill,
    pub(crate) retry: Retry,
}

/// In the process. Every kill takes the log with it, and everybody has to be told so.
pub(crate) const MEMORY: Engine = Engine {
    name: "memory",
    test: "kills_of_a_hub_in_memory",
    flags: |_| vec!["--engine".into(), "memory".into()],
    log_after_a_kill: LogAfterAKill::IsNew,
    // The keys go with the log.
    retry: Retry::Never,
};

/// In a folder, synced before each answer. Nothing that was acknowledged goes, and nobody is told a gap.
pub(crate) const DISK: Engine = Engine {
    name: "disk",
    test: "kills_of_a_hub_on_disk",
    flags: |folder| on_disk(folder, "fsync"),
    log_after_a_kill: LogAfterAKill::Survives,
    retry: Retry::WithKey,
};

/// In a folder, left to the operating system, which is not killed: the same is promised.
pub(crate) const DISK_UNSYNCED: Engine = Engine {
    name: "unsynced",
    test: "kills_of_an_unsynced_hub",
    flags: |folder| on_disk(folder, "os"),
    ..DISK
};

fn on_disk(folder: &Path, durability: &str) -> Vec<String> {
    let log = folder.join("log").display().to_string();
    let mut flags = vec!["--engine", "disk", "--data-dir", &log, "--durability", durability];
    // So little memory that whoever comes back after a while is served from the disk, and such small files that kills hit the
    // moment when one is followed by another and its index is written.
    flags.extend(["--memory-bytes", "16KiB", "--segment-bytes", "4KiB"]);
    flags.into_iter().map(str::to_owned).collect()
}

pub(crate) struct Hub {
    engine: Engine,
    pub(crate) address: SocketAddr,
    folder: PathBuf,
    process: Child,
    /// Says that the address is taken.
    _flag: UdpSocket,
}

impl Hub {
    /// Starts the hub for the first time, with an empty folder of its own.
    pub(crate) fn start(engine: Engine, folder: PathBuf) -> io::Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let (address, flag) = free_address();
        let process = spawn(engine, &folder, address)?;
        Ok(Self { engine, address, folder, process, _flag: flag })
    }

    /// Kills it, as a crash would. Says how it had ended, if it was dead already.
    pub(crate) fn kill(&mut self) -> io::Result<Option<String>> {
        let ended = self.process.try_wait()?;
        if ended.is_none() {
            // SIGKILL, to this process alone.
            self.process.kill()?;
            self.process.wait()?;
        }
        Ok(ended.map(|status| format!("{status}, see {}", log_file(&self.folder).display())))
    }

    /// Starts it again with what it left.
    pub(crate) fn start_again(&mut self) -> io::Result<()> {
        self.process = spawn(self.engine, &self.folder, self.address)?;
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(&mut self) -> io::Result<ExitStatus> {
        Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status()?;
        self.process.wait()
    }

    /// How many files of entries its log has, if that outlives it.
    pub(crate) fn segments(&self) -> Option<usize> {
        let log = fs::read_dir(self.folder.join("log/default")).ok()?;
        let names = log.filter_map(|file| Some(file.ok()?.path()));
        Some(names.filter(|path| path.extension().is_some_and(|ending| ending == "seg")).count())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(engine: Engine, folder: &Path, address: SocketAddr) -> io::Result<Child> {
    let mut command = fanfare(&["serve", "--dev", "--shutdown-window", "0"]);
    command.args(["--listen", &address.to_string()]).args((engine.flags)(folder));
    // Retention is no part of this test, and its gaps would hide others: everything is kept.
    command.args(["--history-events", "100000000", "--history-bytes", "1GiB"]);
    command.env("NO_COLOR", "1");
    command.stdout(Stdio::null()).stderr(log(folder)?).spawn()
}

fn log(folder: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(log_file(folder))
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("hub.log")
}
