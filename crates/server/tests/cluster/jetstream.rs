//! As much of NATS as it takes to ask JetStream something.
//!
//! A connection and a server for each question, one after the other until one answers: any of them may be dead or stopped.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fanfare_hub::{IdKey, Position};
use serde_json::{Value, json};

use crate::store::{Ask, Said, Stands};

/// The stream of the hub.
const STREAM: &str = "FANFARE_default";

/// What JetStream says of a stream, and of an entry, that is not there.
const NO_STREAM: u64 = 10_059;
const NO_MESSAGE: u64 = 10_037;

/// How long one server may take: it has what is asked for at hand, and there are others.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// Asks, and gives the answer, of whatever kind.
pub(crate) struct JetStream {
    servers: Vec<SocketAddr>,
    /// The connection that answered last.
    open: Option<BufReader<TcpStream>>,
    asked: u64,
    /// Where answers to this one go, and to nobody else.
    inbox: String,
}

/// How many there are in this process.
static ASKERS: AtomicU64 = AtomicU64::new(0);

impl JetStream {
    pub(crate) fn new(servers: Vec<SocketAddr>) -> Self {
        let inbox = format!("answers{}", ASKERS.fetch_add(1, Relaxed));
        Self { servers, open: None, asked: 0, inbox }
    }

    /// What JetStream says to a request about the hub's stream. `None` if nobody says anything.
    fn ask(&mut self, what: &str, with: &Value) -> Option<Value> {
        for _ in 0..=self.servers.len() {
            match self.ask_one(what, with) {
                Ok(answer) => return Some(answer),
                Err(_) => self.open = None,
            }
        }
        None
    }

    fn ask_one(&mut self, what: &str, with: &Value) -> io::Result<Value> {
        self.asked += 1;
        let mut connection = match self.open.take() {
            Some(open) => open,
            None => self.connect()?,
        };
        let (inbox, number, body) = (&self.inbox, self.asked, with.to_string());
        let length = body.len();
        write!(connection.get_mut(), "PUB $JS.API.{what}.{STREAM} {inbox}.{number} {length}\r\n{body}\r\n")?;
        let subject = format!("MSG {inbox}.{number} ");
        let mut line = String::new();
        loop {
            line.clear();
            if connection.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.starts_with("PING") {
                connection.get_mut().write_all(b"PONG\r\n")?;
            }
            if !line.starts_with("MSG ") {
                continue;
            }
            let length = line.trim().rsplit(' ').next().and_then(|length| length.parse::<usize>().ok());
            let mut body = vec![0; length.ok_or(io::ErrorKind::InvalidData)? + 2];
            connection.read_exact(&mut body)?;
            if line.starts_with(&subject) {
                self.open = Some(connection);
                return Ok(serde_json::from_slice(body.trim_ascii())?);
            }
        }
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let which = usize::try_from(self.asked).expect("few") % self.servers.len();
        let mut socket = TcpStream::connect_timeout(&self.servers[which], ANSWERED_WITHIN)?;
        socket.set_read_timeout(Some(ANSWERED_WITHIN))?;
        let inbox = &self.inbox;
        write!(socket, "CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB {inbox}.* 1\r\n")?;
        Ok(BufReader::new(socket))
    }

    /// What the stream says of itself; `None` if nobody does.
    fn info(&mut self) -> Option<Value> {
        self.ask("STREAM.INFO", &json!({})).filter(|answer| answer["error"].is_null())
    }
}

impl Ask for JetStream {
    fn log(&mut self) -> Option<Said> {
        let info = self.info()?;
        let (metadata, state) = (&info["config"]["metadata"], &info["state"]);
        let key = u128::from_str_radix(metadata["fanfare.id_key"].as_str()?, 16).ok()?;
        let epoch = u32::from_str_radix(metadata["fanfare.epoch"].as_str()?, 16).ok()?;
        let (first, last) = (state["first_seq"].as_u64()?, state["last_seq"].as_u64()?);
        Some(Said { key: IdKey::new(key.to_be_bytes()), epoch, first, next: last + 1 })
    }

    /// It asks for each place by its number, any server that answers, so it depends on no consumer and on no single server.
    fn entry(&mut self, position: Position) -> Stands {
        let Some(answer) = self.ask("STREAM.MSG.GET", &json!({ "seq": position })) else {
            return Stands::Unknown;
        };
        match answer["message"]["data"].as_str() {
            Some(message) => Stands::Entry(BASE64_STANDARD.decode(message).unwrap_or_default()),
            None if answer["error"]["err_code"] == NO_MESSAGE => Stands::Nothing,
            None => Stands::Unknown,
        }
    }

    fn leader(&mut self) -> Option<usize> {
        self.info()?["cluster"]["leader"].as_str()?.strip_prefix('n')?.parse().ok()
    }

    fn remove(&mut self) -> bool {
        let answer = self.ask("STREAM.DELETE", &json!({}));
        answer.is_some_and(|answer| answer["success"] == true || answer["error"]["err_code"] == NO_STREAM)
    }

    /// If nobody leads, nobody can step down.
    fn unseat(&mut self) {
        self.ask("STREAM.LEADER.STEPDOWN", &json!({}));
    }
}
