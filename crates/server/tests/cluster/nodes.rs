//! The nodes of the hub: each on its machine again and again.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::common::forget_variables;
use crate::ground::Machine;
use crate::subscriber::{AUDIENCE, ISSUER, REVOKED, TOKEN_SECRET};

/// What operators show.
const ADMIN_TOKEN: &str = "a token of more than thirty-two characters";

/// How long a node may take for an answer that it has at hand.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    folder: PathBuf,
    setup: Setup,
    process: Child,
}

/// What the nodes of a run have in common.
#[derive(Clone)]
pub(crate) struct Setup {
    engine: String,
    /// How many entries are kept, if not all.
    kept: Option<usize>,
    /// What bends the wall clock, by a file.
    clock: Option<PathBuf>,
}

impl Setup {
    pub(crate) fn of(engine: String, kept: Option<usize>) -> Self {
        Self { engine, kept, clock: None }
    }

    pub(crate) fn with_clock(self, library: Option<PathBuf>) -> Self {
        Self { clock: library, ..self }
    }
}

impl Node {
    /// Starts a node on its machine.
    pub(crate) fn start(machine: &Machine, number: usize, setup: Setup, folder: &Path) -> io::Result<Self> {
        let folder = folder.join(format!("node-{number}"));
        fs::create_dir_all(&folder)?;
        set_clock(&folder, 0)?;
        let process = spawn(machine, &setup, &folder)?;
        Ok(Self { address: machine.hub, admin: machine.admin, folder, setup, process })
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

    pub(crate) fn start_again(&mut self, machine: &Machine) -> io::Result<()> {
        self.process = spawn(machine, &self.setup, &self.folder)?;
        Ok(())
    }

    /// Whether it says that it can do its work.
    pub(crate) fn is_ready(&self) -> bool {
        self.ask("GET", "/readyz", "") == Some(200)
    }

    /// Takes back the tokens of one subject. Says whether it has.
    pub(crate) fn revokes(&self) -> bool {
        let body = format!(r#"{{"subject":"{REVOKED}","issuer":"{ISSUER}"}}"#);
        self.ask("POST", "/admin/revocations", &body) == Some(200)
    }

    /// The status of an answer, if there is one.
    fn ask(&self, method: &str, target: &str, body: &str) -> Option<u16> {
        let (address, length) = (self.admin, body.len());
        let mut socket = TcpStream::connect_timeout(&address, ANSWERED_WITHIN).ok()?;
        socket.set_read_timeout(Some(ANSWERED_WITHIN)).ok()?;
        write!(
            socket,
            "{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Authorization: Bearer {ADMIN_TOKEN}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        answer.get(9..12)?.parse().ok()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(&mut self) -> io::Result<ExitStatus> {
        signal(self.id(), "TERM")?;
        self.process.wait()
    }

    /// Sets its wall clock wrong by so many seconds.
    pub(crate) fn set_clock(&self, seconds: i64) -> io::Result<()> {
        set_clock(&self.folder, seconds)
    }

    /// The most memory that it has taken in this life, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok()).unwrap_or(0)
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

/// What bends the clock of programs, as Debian installs it, if it is there.
pub(crate) fn clock_library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    let mut places = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    places.find(|place| place.exists())
}

/// The hub. `FANFARE_CLUSTER_FANFARE` names another one than that which was built for this test.
fn program() -> PathBuf {
    std::env::var_os("FANFARE_CLUSTER_FANFARE")
        .map_or_else(|| env!("CARGO_BIN_EXE_fanfare").into(), PathBuf::from)
}

fn clock_file(folder: &Path) -> PathBuf {
    folder.join("clock")
}

fn set_clock(folder: &Path, seconds: i64) -> io::Result<()> {
    // It is read again and again, and never found half written.
    let new = folder.join("clock.new");
    fs::write(&new, format!("{seconds:+}\n"))?;
    fs::rename(new, clock_file(folder))
}

fn spawn(machine: &Machine, setup: &Setup, folder: &Path) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(folder.join("hub.log"))?;
    let mut command = match &setup.clock {
        None => machine.within(&program()),
        Some(library) => {
            let mut command = machine.within("env".as_ref());
            command.arg(format!("LD_PRELOAD={}", library.display()));
            command.arg(format!("FAKETIME_TIMESTAMP_FILE={}", clock_file(folder).display()));
            command.args(["FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1"]);
            command.arg(program());
            command
        }
    };
    forget_variables(&mut command);
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command.args(["serve", "--dev", "--dev-on-network", "--shutdown-window", "0", "--engine", &setup.engine]);
    command.args(["--listen", &machine.hub.to_string()]);
    command.args(["--admin-listen", &machine.admin.to_string(), "--admin-token", ADMIN_TOKEN]);
    command.args(["--trusted-issuers", ISSUER, "--resource-identifier", AUDIENCE]);
    command.args(["--publisher-jwt-key", TOKEN_SECRET, "--subscriber-jwt-key", TOKEN_SECRET]);
    // So little memory that whoever comes back after a while is served from the stream.
    command.args(["--memory-bytes", "16KiB", "--history-bytes", "64MiB"]);
    if let Some(kept) = setup.kept {
        command.args(["--history-events", &kept.to_string()]);
    }
    command.env("NO_COLOR", "1").stdout(Stdio::null()).stderr(log).spawn()
}
