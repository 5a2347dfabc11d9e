//! The nodes of the hub: each on its address again and again.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::address::free_address;
use crate::common::{fanfare, request};

pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    folder: PathBuf,
    engine: String,
    process: Child,
    /// Says that the address is taken.
    _flag: UdpSocket,
}

impl Node {
    /// Starts a node with its log on these servers.
    pub(crate) fn start(number: usize, servers: &[SocketAddr], folder: &Path) -> io::Result<Self> {
        let folder = folder.join(format!("node-{number}"));
        fs::create_dir_all(&folder)?;
        let (address, flag) = free_address();
        let urls: Vec<_> = servers.iter().map(|server| format!("nats://{server}")).collect();
        let engine = urls.join(",");
        let process = spawn(&engine, address, &folder)?;
        Ok(Self { address, folder, engine, process, _flag: flag })
    }

    /// Kills it. Says how it had ended, if it was dead already.
    pub(crate) fn kill(&mut self) -> io::Result<Option<String>> {
        let ended = self.process.try_wait()?;
        if ended.is_none() {
            self.process.kill()?;
            self.process.wait()?;
        }
        Ok(ended.map(|status| format!("{status}, see {}", self.folder.join("hub.log").display())))
    }

    pub(crate) fn start_again(&mut self) -> io::Result<()> {
        self.process = spawn(&self.engine, self.address, &self.folder)?;
        Ok(())
    }

    /// Whether it says that it can do its work.
    pub(crate) fn is_ready(&self) -> bool {
        // It may not listen yet.
        TcpStream::connect(self.address).is_ok()
            && request(&self.address.to_string(), "GET", "/readyz", "", "").0 == 200
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(&mut self) -> io::Result<ExitStatus> {
        signal(self.id(), "TERM")?;
        self.process.wait()
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a signal to one process.
pub(crate) fn signal(id: u32, name: &str) -> io::Result<()> {
    Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status().map(drop)
}

fn spawn(engine: &str, address: SocketAddr, folder: &Path) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(folder.join("hub.log"))?;
    let mut command = fanfare(&["serve", "--dev", "--shutdown-window", "0", "--engine", engine]);
    command.args(["--listen", &address.to_string()]);
    // So little memory that whoever comes back after a while is served from the stream. Retention is no part of this test.
    command.args(["--memory-bytes", "16KiB", "--history-bytes", "1GiB"]);
    command.env("NO_COLOR", "1").stdout(Stdio::null()).stderr(log).spawn()
}
