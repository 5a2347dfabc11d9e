//! A server under test as a child process: started, asked for its address, ended.
//!
//! It ends its child by process id in every case it can see (the end of the run, an error, a panic), and where it
//! cannot (this process is killed) the kernel does: the child runs behind [`become_child`].

use crate::target::Dialect;
use anyhow::{Context, bail};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to say where it listens.
const START: Duration = Duration::from_secs(20);
/// How long it may take to end by itself.
const END: Duration = Duration::from_secs(3);
/// What every server prints before its address.
const READY: &str = "listening on ";

/// A server that can be started: its name in the tables and its command line.
#[derive(Clone, Debug)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    pub(crate) dialect: Dialect,
}

impl Contestant {
    /// One that this program is itself.
    pub(crate) fn own(name: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let program = own_program()?;
        let command = std::iter::once(program)
            .chain(arguments.iter().chain(&["--listen", "127.0.0.1:0"]).map(ToString::to_string))
            .collect();
        Ok(Self { name: name.to_owned(), command, dialect: Dialect::mercure() })
    }

    /// One that this program is itself and that chooses its address.
    pub(crate) fn own_without_address(name: &str, command: &str) -> anyhow::Result<Self> {
        let command = vec![own_program()?, command.to_owned()];
        Ok(Self { name: name.to_owned(), command, dialect: Dialect::mercure() })
    }

    /// The same at this address instead of a free port.
    pub(crate) fn at(&self, address: &str) -> Self {
        let mut again = self.clone();
        for word in &mut again.command {
            if word == "127.0.0.1:0" {
                address.clone_into(word);
            }
        }
        again
    }

    /// `NAME=COMMAND ARGUMENTS…`, split at spaces.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, command) = text.split_once('=').ok_or("expected NAME=COMMAND")?;
        let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if name.is_empty() || command.is_empty() {
            return Err("expected NAME=COMMAND".to_owned());
        }
        Ok(Self { name: name.to_owned(), command, dialect: Dialect::mercure() })
    }

    /// Starts it and waits until it says where it listens.
    pub(crate) fn start(&self) -> anyhow::Result<Server> {
        let mut child = Command::new(own_program()?)
            .args(["become-child", "--parent", &std::process::id().to_string(), "--"])
            .args(&self.command)
            // Log lines of servers are not what standard error is for here, warnings and errors excepted.
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", self.name))?;
        let stdout = child.stdout.take();
        let mut server = Server { name: self.name.clone(), child, base: String::new() };
        let (sender, receiver) = mpsc::channel();
        // Reads on after the address, so that a server that prints more never waits for a full pipe.
        thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
                let Ok(line) = line else { break };
                if let Some(base) = line.strip_prefix(READY) {
                    // Nobody listens any more once the first address is known.
                    let _ = sender.send(base.trim().to_owned());
                }
            }
        });
        server.base = receiver
            .recv_timeout(START)
            .with_context(|| format!("{} did not print \"{READY}http://…\" within {START:?}", self.name))?;
        server.wait_until_it_listens()?;
        Ok(server)
    }
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    child: Child,
    /// `http://127.0.0.1:port`.
    pub(crate) base: String,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, without a chance to do anything about it.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Some say where they will listen.
    fn wait_until_it_listens(&mut self) -> anyhow::Result<()> {
        let Some(address) = self.base.strip_prefix("http://") else { return Ok(()) };
        let begun = Instant::now();
        while let Err(error) = TcpStream::connect(address) {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} instead of listening", self.name);
            }
            if begun.elapsed() > START {
                return Err(error).with_context(|| format!("{} does not listen on {address}", self.name));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Asks it to end, then makes it.
    fn end(&mut self) -> anyhow::Result<()> {
        // A child that was not waited for keeps its id, so the signal cannot reach a stranger.
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let asked = Instant::now();
        while asked.elapsed() < END {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.child.kill()?;
        self.child.wait()?;
        bail!("it did not end within {END:?} after SIGTERM and was killed");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{}: {error:#}", self.name);
        }
    }
}

/// Turns this process into `command`, which the kernel kills when `parent` ends.
///
/// Returns only with an error.
pub(crate) fn become_child(parent: i32, command: &[String]) -> anyhow::Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("no death signal can be set")?;
    if getppid() != Pid::from_raw(parent) {
        bail!("the parent is gone already");
    }
    let Some((program, arguments)) = command.split_first() else { bail!("no command is given") };
    Err(Command::new(program).args(arguments).exec()).with_context(|| format!("{program} cannot be run"))
}

fn own_program() -> anyhow::Result<String> {
    let program = std::env::current_exe().context("this program cannot find itself")?;
    program.into_os_string().into_string().ok().context("this program's path is not UTF-8")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_contestant_is_a_name_and_a_command() {
        let contestant = Contestant::parse("fanfare=./fanfare serve --dev --topics=a").unwrap();
        assert_eq!(contestant.name, "fanfare");
        assert_eq!(contestant.command, ["./fanfare", "serve", "--dev", "--topics=a"]);
        for wrong in ["fanfare", "=x", "x=", "x= "] {
            assert!(Contestant::parse(wrong).is_err(), "{wrong}");
        }
    }
}
