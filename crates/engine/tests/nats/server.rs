//! A server of NATS of the test's own, on a free port.

use std::fs;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::Command;

use fanfare_engine::NatsEngine;
use fanfare_engine::nats::{NatsFault, NatsOptions};
use fanfare_hub::engine::EngineFault;

use crate::process::{Process, Says};

#[allow(dead_code)] // The model asks.
/// How many cases the model has time for: a server takes seconds to start again.
pub const CASES: u32 = 3;

pub type Options = NatsOptions;
pub type Engine = NatsEngine;

/// How a hub finds its log on a server.
pub fn options(server: &Server) -> Options {
    NatsEngine::options([server.url()]).replicas(1)
}

pub async fn connect(options: Options) -> Engine {
    options.connect().await.expect("an engine")
}

/// Whether a publication that was refused for this is taken a moment later, when the server is back.
#[allow(dead_code)] // The model asks.
pub fn is_passing(fault: &EngineFault) -> bool {
    matches!(fault.downcast_ref(), Some(NatsFault::NotConnected | NatsFault::Behind | NatsFault::NoAnswer(_)))
}

/// What it is started by. `scripts/test` installs it and puts it on the path.
fn program() -> PathBuf {
    std::env::var_os("FANFARE_NATS_SERVER").map_or_else(|| "nats-server".into(), PathBuf::from)
}

pub struct Server {
    process: Process,
    pub address: SocketAddr,
}

impl Server {
    /// Starts one with JetStream and an empty folder.
    pub fn start() -> Self {
        let mut server = Self { process: Process::new(), address: ([127, 0, 0, 1], 0).into() };
        server.go_on();
        server
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Starts it again, on the same port and folder.
    pub fn go_on(&mut self) {
        let config = self.folder.path().join("server.conf");
        let port = if self.address.port() == 0 { "-1".to_owned() } else { self.address.port().to_string() };
        let store = self.store().display().to_string();
        fs::write(
            &config,
            format!(
                "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: {store:?}, sync_interval: always }}\n"
            ),
        )
        .expect("written");
        let address = &mut self.address;
        let is_ready = |line: &str| {
            if let Some((_, said)) = line.split_once("Listening for client connections on ") {
                *address = said.trim().parse().expect("an address");
            }
            line.contains("Server is ready")
        };
        let started = self.process.start(Command::new(program()).arg("-c").arg(&config), Says::Err, is_ready);
        started.unwrap_or_else(|said| panic!("nats-server ended: {said}"));
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
