//! A server of Redis of the test's own, on a free port.

use std::net::{SocketAddr, TcpListener};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::Command;

use fanfare_engine::RedisEngine;
use fanfare_engine::redis::{RedisFault, RedisOptions};
use fanfare_hub::engine::EngineFault;

use crate::process::{Process, Says};

#[allow(dead_code)] // The model asks.
/// How many cases the model has time for: a server starts again at once.
pub const CASES: u32 = 24;

pub type Options = RedisOptions;
pub type Engine = RedisEngine;

/// How a hub finds its log on a server.
pub fn options(server: &Server) -> Options {
    RedisEngine::options(server.url())
}

#[allow(clippy::unused_async)] // As for other stores.
pub async fn connect(options: Options) -> Engine {
    options.connect().expect("an engine")
}

/// Whether a publication that was refused for this is taken a moment later, when the server is back.
#[allow(dead_code)] // The model asks.
pub fn is_passing(fault: &EngineFault) -> bool {
    matches!(
        fault.downcast_ref(),
        Some(
            RedisFault::NotConnected(_)
                | RedisFault::NoAnswer(_)
                | RedisFault::Behind
                | RedisFault::BegunAnew
                | RedisFault::Answered(_)
        )
    )
}

/// What it is started by. `scripts/test` installs it.
fn program() -> PathBuf {
    std::env::var_os("FANFARE_REDIS_SERVER").map_or_else(|| "redis-server".into(), PathBuf::from)
}

/// It answers when its disk has what it was told.
pub struct Server {
    process: Process,
    pub address: SocketAddr,
    settings: Vec<String>,
}

impl Server {
    /// Starts one with an empty folder.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with settings of the test's own.
    pub fn start_with(settings: &[&str]) -> Self {
        let settings = settings.iter().map(ToString::to_string).collect();
        let mut server = Self { process: Process::new(), address: ([127, 0, 0, 1], 0).into(), settings };
        server.go_on();
        server
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Starts it again, on the same port and folder.
    pub fn go_on(&mut self) {
        let is_given = self.address.port() != 0;
        for attempt in 0.. {
            if !is_given {
                let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
                self.address = free.local_addr().expect("its address");
            }
            match self.spawn() {
                Ok(()) => return,
                // Somebody else took the port in between.
                Err(said) => assert!(!is_given && attempt < 10, "redis-server ended: {said}"),
            }
        }
    }

    fn spawn(&mut self) -> Result<(), String> {
        let mut command = Command::new(program());
        command
            .args(["--bind", "127.0.0.1", "--port", &self.address.port().to_string()])
            .args(["--dir", &self.store().display().to_string()])
            .args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
            .args(&self.settings);
        let is_ready = |line: &str| line.contains("Ready to accept connections");
        self.process.start(&mut command, Says::Out, is_ready)
    }
}

impl Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
