//! As much of Redis as it takes to ask it something: commands of texts, and answers of all kinds.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use fanfare_hub::{IdKey, Position};

use crate::store::{Ask, Said, Stands};

/// The hub's keys, but for what it is.
const KEYS: &str = "fanfare:{default}:";

/// How long it may take for what it has at hand.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

pub(crate) struct Redis {
    server: SocketAddr,
    /// The connection that answered last.
    open: Option<BufReader<TcpStream>>,
}

#[derive(Debug)]
enum Answer {
    Text(Vec<u8>),
    Number(i64),
    Many(Vec<Answer>),
    Error,
}

impl Redis {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self { server, open: None }
    }

    /// What it says; `None` if it says nothing, or that it does not do it.
    fn ask(&mut self, words: &[&str]) -> Option<Answer> {
        // The first time on a connection that may have been closed.
        for _ in 0..2 {
            match self.ask_once(words) {
                Ok((_, Answer::Error)) => return None,
                Ok((connection, answer)) => {
                    self.open = Some(connection);
                    return Some(answer);
                }
                Err(_) => {}
            }
        }
        None
    }

    fn ask_once(&mut self, words: &[&str]) -> io::Result<(BufReader<TcpStream>, Answer)> {
        let mut connection = match self.open.take() {
            Some(open) => open,
            None => {
                let socket = TcpStream::connect_timeout(&self.server, ANSWERED_WITHIN)?;
                socket.set_read_timeout(Some(ANSWERED_WITHIN))?;
                BufReader::new(socket)
            }
        };
        let socket = connection.get_mut();
        write!(socket, "*{}\r\n", words.len())?;
        for word in words {
            write!(socket, "${}\r\n{word}\r\n", word.len())?;
        }
        let answer = read(&mut connection)?;
        Ok((connection, answer))
    }

    fn range(&mut self, from: &str, to: &str) -> Option<Vec<(Position, Vec<u8>)>> {
        let Answer::Many(entries) = self.ask(&["XRANGE", &key("log"), from, to, "COUNT", "1"])? else {
            return None;
        };
        entries.into_iter().map(entry).collect()
    }
}

impl Ask for Redis {
    fn log(&mut self) -> Option<Said> {
        let meta = self.ask(&["HMGET", &key("meta"), "fanfare.id_key", "fanfare.epoch", "seq"])?;
        let Answer::Many(meta) = meta else { return None };
        let [id_key, epoch, newest] = <[Answer; 3]>::try_from(meta).ok()?;
        let id_key = u128::from_str_radix(&id_key.text()?, 16).ok()?;
        let epoch = u32::from_str_radix(&epoch.text()?, 16).ok()?;
        let next = newest.text()?.parse::<Position>().ok()? + 1;
        let first = self.range("-", "+")?.first().map_or(next, |(position, _)| *position);
        Some(Said { key: IdKey::new(id_key.to_be_bytes()), epoch, first, next })
    }

    fn entry(&mut self, position: Position) -> Stands {
        let place = format!("{position}-0");
        match self.range(&place, &place) {
            Some(mut entries) => entries.pop().map_or(Stands::Nothing, |(_, bytes)| Stands::Entry(bytes)),
            None => Stands::Unknown,
        }
    }

    fn leader(&mut self) -> Option<usize> {
        self.ask(&["PING"]).map(|_| 0)
    }

    fn remove(&mut self) -> bool {
        let keys = ["meta", "log", "ids", "keys", "order", "presence-keys", "presence-order"].map(key);
        let mut words = vec!["DEL"];
        words.extend(keys.iter().map(String::as_str));
        matches!(self.ask(&words), Some(Answer::Number(_)))
    }

    /// Everybody has to connect again, and no script is known.
    fn unseat(&mut self) {
        for words in [
            &["SCRIPT", "FLUSH"][..],
            &["CLIENT", "KILL", "TYPE", "normal"],
            &["CLIENT", "KILL", "TYPE", "pubsub"],
        ] {
            self.ask(words);
        }
    }
}

impl Answer {
    fn text(self) -> Option<String> {
        match self {
            Self::Text(bytes) => String::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

fn key(kind: &str) -> String {
    format!("{KEYS}{kind}")
}

/// Where an entry stands, and what its hub wrote.
fn entry(answer: Answer) -> Option<(Position, Vec<u8>)> {
    let Answer::Many(parts) = answer else { return None };
    let [id, fields] = <[Answer; 2]>::try_from(parts).ok()?;
    let position = id.text()?.strip_suffix("-0")?.parse().ok()?;
    let Answer::Many(fields) = fields else { return None };
    let mut fields = fields.into_iter();
    while let (Some(Answer::Text(name)), Some(Answer::Text(value))) = (fields.next(), fields.next()) {
        if name == b"e" {
            return Some((position, value));
        }
    }
    None
}

fn read(from: &mut impl BufRead) -> io::Result<Answer> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let line = line.trim_end();
    let rest = line.get(1..).ok_or(io::ErrorKind::UnexpectedEof)?;
    let number = || rest.parse::<i64>().map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
    match line.as_bytes()[0] {
        b'+' => Ok(Answer::Text(rest.as_bytes().to_vec())),
        b':' => Ok(Answer::Number(number()?)),
        b'-' => Ok(Answer::Error),
        b'$' => {
            // -1: there is none.
            let Ok(length) = usize::try_from(number()?) else { return Ok(Answer::Error) };
            let mut bytes = vec![0; length + 2];
            from.read_exact(&mut bytes)?;
            bytes.truncate(length);
            Ok(Answer::Text(bytes))
        }
        b'*' => (0..number()?).map(|_| read(from)).collect::<io::Result<_>>().map(Answer::Many),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
