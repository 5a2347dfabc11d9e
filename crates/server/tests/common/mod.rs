//! Starts the program itself, on ports of its own, and stops it by its process id.
#![allow(dead_code)] // Each file uses its own part.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, SystemTime};

use fanfare_http::token::{Algorithm, Language, Mint, SigningKey, TopicMatcher};

pub(crate) const HUB: &str = "/.well-known/mercure";
/// What tokens are signed with, for whom, and by whom.
pub(crate) const SECRET: &str = "a secret of more than thirty-two bytes";
pub(crate) const AUDIENCE: &str = "https://push.test/.well-known/mercure";
pub(crate) const ISSUER: &str = "https://shop.test";

/// Only so that a broken test ends; nothing is measured with it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program with `arguments`, and an environment without the variables that it obeys.
pub(crate) fn fanfare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    forget_variables(&mut command);
    command.env_remove("RUST_LOG");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Keeps the variables that the program obeys from it.
pub(crate) fn forget_variables(command: &mut Command) {
    let is_obeyed = |name: &str| ["FANFARE_", "MERCURE_"].iter().any(|prefix| name.starts_with(prefix));
    for (name, _) in std::env::vars().filter(|(name, _)| is_obeyed(name)) {
        command.env_remove(name);
    }
    command.env_remove("SERVER_NAME");
}

/// What makes a hub honour those of [`token`].
pub(crate) const HONOURS_TOKENS: [&str; 8] = [
    "--trusted-issuers",
    ISSUER,
    "--resource-identifier",
    AUDIENCE,
    "--publisher-jwt-key",
    SECRET,
    "--subscriber-jwt-key",
    SECRET,
];

/// A token of a subject that may publish and read everything.
pub(crate) fn token(subject: &str) -> String {
    let all = || [TopicMatcher::new(Language::UrlPattern, "*").expect("a matcher")];
    let key = SigningKey::secret(Algorithm::Hs256, SECRET).expect("a key");
    let mint = Mint::modern(ISSUER, AUDIENCE).publish(all()).subscribe(all()).subject(subject);
    mint.sign(&key, SystemTime::now() - Duration::from_secs(5)).expect("a token")
}

/// What the program says that does not start.
pub(crate) fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = fanfare(arguments).output().expect("it runs");
    assert!(stdout.is_empty(), "{}", String::from_utf8_lossy(&stdout));
    (status.code(), String::from_utf8(stderr).expect("text"))
}

/// A running hub. Dropped, it is killed.
pub(crate) struct Hub {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// `127.0.0.1:port`, one for each `listening on` line.
    pub(crate) addresses: Vec<String>,
}

impl Hub {
    /// Starts `fanfare serve --dev` on a free port, with more arguments.
    pub(crate) fn start(more: &[&str]) -> Self {
        Self::of(fanfare(&[&["serve", "--dev", "--listen", "127.0.0.1:0"], more].concat()), 1)
    }

    /// Starts `command` and reads as many addresses as it has to say.
    pub(crate) fn of(mut command: Command, addresses: usize) -> Self {
        let mut child = command.stderr(Stdio::inherit()).spawn().expect("it starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut hub = Self { child, stdout, addresses: Vec::new() };
        for _ in 0..addresses {
            let line = hub.line();
            let address = ["http://", "https://"]
                .iter()
                .find_map(|scheme| line.strip_prefix("listening on ")?.strip_prefix(scheme));
            let address = address.unwrap_or_else(|| panic!("{line:?}"));
            hub.addresses.push(address.to_owned());
        }
        hub
    }

    /// The next line of standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("text");
        line.trim_end().to_owned()
    }

    pub(crate) fn address(&self) -> &str {
        &self.addresses[0]
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address()).expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket
    }

    /// Sends a request on a connection of its own; gives status, head and body.
    pub(crate) fn request(
        &self,
        method: &str,
        target: &str,
        headers: &str,
        body: &str,
    ) -> (u16, String, String) {
        request(self.address(), method, target, headers, body)
    }

    pub(crate) fn get(&self, target: &str) -> (u16, String, String) {
        self.request("GET", target, "", "")
    }

    pub(crate) fn publish(&self, form: &str) -> (u16, String, String) {
        self.request("POST", HUB, "Content-Type: application/x-www-form-urlencoded\r\n", form)
    }

    /// Opens a stream and reads the first comment line.
    pub(crate) fn subscribe(&self, query: &str) -> TcpStream {
        let mut socket = self.connect();
        let address = self.address();
        write!(socket, "GET {HUB}?{query} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("a request");
        read_until(&mut socket, ":\n");
        socket
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("an end")
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn request(
    address: &str,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
) -> (u16, String, String) {
    let host = if headers.to_ascii_lowercase().contains("host:") {
        String::new()
    } else {
        format!("Host: {address}\r\n")
    };
    let mut socket = TcpStream::connect(address).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let length = body.len();
    write!(socket, "{method} {target} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
        .expect("a request");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head[9..12].parse().expect("a status"), head.to_ascii_lowercase(), body.to_owned())
}

/// Reads until `needle` has come, byte by byte, so that nothing behind it is lost.
pub(crate) fn read_until(socket: &mut TcpStream, needle: &str) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(needle.as_bytes()) {
        let so_far = || String::from_utf8_lossy(&read).into_owned();
        let count = socket.read(&mut byte).unwrap_or_else(|error| panic!("{error} after {:?}", so_far()));
        assert!(count == 1, "closed after {:?}", so_far());
        read.push(byte[0]);
    }
    String::from_utf8(read).expect("text")
}
