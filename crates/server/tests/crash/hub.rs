//! The program under test: started on one port again and again, killed at any moment, and ended in order at last.
//!
//! It knows nothing of what is published.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::common::fanfare;
use crate::dice::Dice;
use crate::history::LogAfterAKill;
use crate::publisher::Retry;

/// Where the hub keeps its log, and what that means for a run.
#[derive(Clone, Copy)]
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    /// For the command line.
    flags: fn(folder: &Path) -> Vec<String>,
    pub(crate) log_after_a_kill: LogAfterAKill,
    pub(crate) retry: Retry,
}

/// In the process. Every kill takes the log with it, and everybody has to be told so.
pub(crate) const MEMORY: Engine = Engine {
    name: "memory",
    flags: |_| vec!["--engine".into(), "memory".into()],
    log_after_a_kill: LogAfterAKill::IsNew,
    // The keys go with the log.
    retry: Retry::Never,
};

pub(crate) struct Hub {
    engine: Engine,
    pub(crate) address: SocketAddr,
    folder: PathBuf,
    process: Child,
}

impl Hub {
    /// Starts the hub for the first time, with an empty folder of its own.
    pub(crate) fn start(engine: Engine, folder: PathBuf) -> io::Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let address = free_address();
        let process = spawn(engine, &folder, address)?;
        Ok(Self { engine, address, folder, process })
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

/// An address that nobody listens on.
///
/// Not one that the system would choose: while the hub is down, that port could be given to a connection, and a client of
/// this very address could even be connected with itself.
fn free_address() -> SocketAddr {
    let mut dice = Dice::new(u64::from(std::process::id()));
    loop {
        let port = 10_000 + u16::try_from(dice.below(20_000)).expect("a port");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
