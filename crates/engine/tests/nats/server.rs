//! A server of NATS of the test's own: started on a free port, stopped by its process id.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fanfare_engine::NatsEngine;
use fanfare_engine::nats::{NatsFault, NatsOptions};
use fanfare_hub::engine::EngineFault;

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

/// A server that runs, or did.
pub struct Server {
    child: Option<Child>,
    pub address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts one with JetStream and an empty folder.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Self { child: None, address: ([127, 0, 0, 1], 0).into(), folder };
        server.go_on();
        server
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Starts it again, on the same port and folder.
    pub fn go_on(&mut self) {
        let port = self.address.port();
        let config = self.folder.path().join("server.conf");
        let mut file = fs::File::create(&config).expect("a file");
        let port = if port == 0 { "-1".to_owned() } else { port.to_string() };
        write!(
            file,
            "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: {:?}, sync_interval: always }}\n",
            self.store().display().to_string()
        )
        .expect("written");
        let mut child = Command::new(program())
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("nats-server cannot be started ({error}); `scripts/test nats` installs it")
            });
        let stderr = BufReader::new(child.stderr.take().expect("its errors"));
        self.child = Some(child);
        let mut lines = stderr.lines().map_while(Result::ok);
        let mut said = String::new();
        loop {
            let Some(line) = lines.next() else { panic!("nats-server ended: {said}") };
            if let Some((_, address)) = line.split_once("Listening for client connections on ") {
                self.address = address.trim().parse().expect("an address");
            }
            if line.contains("Server is ready") {
                break;
            }
            said.push_str(&line);
            said.push('\n');
        }
        // What it says from now on is read so that it can go on.
        std::thread::spawn(move || lines.for_each(drop));
    }

    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Ends it as a loss of power would, but for the disk.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
    }

    /// Stops it without ending it, as a machine that hangs.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        let status = Command::new("kill").args(["-s", signal, &id]).status().expect("kill runs");
        assert!(status.success());
    }

    /// A copy of everything it has stored; it does not run.
    pub fn back_up(&self) -> tempfile::TempDir {
        assert!(self.child.is_none(), "it writes while it runs");
        let copy = tempfile::tempdir().expect("a folder");
        copy_all(&self.store(), copy.path());
        copy
    }

    /// Puts a copy in the place of what it has stored; it does not run.
    pub fn go_back(&self, copy: &Path) {
        assert!(self.child.is_none(), "it reads while it runs");
        fs::remove_dir_all(self.store()).expect("removed");
        copy_all(copy, &self.store());
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_all(&path, &to);
        } else {
            fs::copy(&path, &to).expect("copied");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
