//! A server of Redis of the test's own: started on a free port with its own folder, stopped by its process id.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fanfare_engine::RedisEngine;
use fanfare_engine::redis::{RedisFault, RedisOptions};
use fanfare_hub::engine::EngineFault;

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

/// A server that runs, or did. It answers when its disk has what it was told.
pub struct Server {
    child: Option<Child>,
    pub address: SocketAddr,
    folder: tempfile::TempDir,
    settings: Vec<String>,
}

impl Server {
    /// Starts one with an empty folder.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with settings of the test's own.
    pub fn start_with(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings.iter().map(ToString::to_string).collect();
        let mut server = Self { child: None, address: ([127, 0, 0, 1], 0).into(), folder, settings };
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
        let mut child = Command::new(program())
            .args(["--bind", "127.0.0.1", "--port", &self.address.port().to_string()])
            .args(["--dir", &self.folder.path().display().to_string()])
            .args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
            .args(&self.settings)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("redis-server cannot be started ({error}); `scripts/test test-all` installs it")
            });
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        let mut lines = stdout.lines().map_while(Result::ok);
        let mut said = String::new();
        loop {
            let Some(line) = lines.next() else {
                child.wait().expect("ended");
                return Err(said);
            };
            if line.contains("Ready to accept connections") {
                break;
            }
            said.push_str(&line);
            said.push('\n');
        }
        self.child = Some(child);
        // What it says from now on is read so that it can go on.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(())
    }

    /// Ends it at once.
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
        copy_all(self.folder.path(), copy.path());
        copy
    }

    /// Puts a copy in the place of what it has stored; it does not run.
    pub fn go_back(&self, copy: &Path) {
        assert!(self.child.is_none(), "it reads while it runs");
        fs::remove_dir_all(self.folder.path()).expect("removed");
        copy_all(copy, self.folder.path());
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
