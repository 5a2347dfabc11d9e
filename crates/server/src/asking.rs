//! One request to an address for operators, of a hub or of a server of NATS, and its answer.
//!
//! Plain HTTP, for that is what these speak; version 1.0, so that the answer ends with the connection. It follows no redirect and
//! knows nothing of what is asked.

use std::fmt::{self, Write as _};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use url::Url;

use crate::secret::Secret;

/// How long to wait for a connection.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);
/// How long to wait for each piece of the answer; revoking waits for the disk.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// More than the longest list.
const ANSWER_BYTES_MAX: u64 = 2 << 30;

/// Whoever asks.
pub(crate) struct Operator {
    url: Url,
    token: Option<Secret>,
    patience: Duration,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// Nobody was asked.
    Unreached { url: String, error: io::Error },
    /// The request went out, perhaps.
    Lost { url: String, error: io::Error },
    /// Something answered that does not speak HTTP.
    NoHttp { url: String },
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreached { url, error } => write!(f, "{url} cannot be reached: {error}"),
            Self::Lost { url, error } => write!(f, "the answer of {url} did not come: {error}"),
            Self::NoHttp { url } => write!(f, "what answers at {url} does not speak HTTP"),
        }
    }
}

impl Operator {
    /// Asks at `address`, a host and a port with or without `http://`.
    pub(crate) fn new(address: &str, token: Option<Secret>) -> Result<Self, String> {
        let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let url = Url::parse(&url).map_err(|error| format!("{address:?} is no address: {error}"))?;
        if url.scheme() != "http" {
            return Err(
                "operators are answered over plain HTTP; write an address such as 127.0.0.1:9090".to_owned()
            );
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a name and a password mean nothing to a hub; --admin-token does".to_owned());
        }
        if token.as_ref().is_some_and(|token| !token.expose().bytes().all(|byte| matches!(byte, b' '..=b'~')))
        {
            return Err("the token holds what no header can".to_owned());
        }
        Ok(Self { url, token, patience: ANSWERED_WITHIN })
    }

    /// Waits no longer than this for a connection, and for each piece of the answer.
    #[cfg(feature = "nats")]
    pub(crate) fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Sends a request, with a body of JSON if there is one, and reads all of the answer.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Result<Answer, Unanswered> {
        let unreached = |error| Unanswered::Unreached { url: self.to_string(), error };
        let lost = |error| Unanswered::Lost { url: self.to_string(), error };
        let mut socket = self.connect().map_err(unreached)?;
        socket.set_read_timeout(Some(self.patience)).map_err(unreached)?;
        socket.set_write_timeout(Some(self.patience)).map_err(unreached)?;
        socket.write_all(self.request(method, path, body).as_bytes()).map_err(lost)?;
        let mut answer = Vec::new();
        let read = socket.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
        let parsed = parse(&answer);
        match (read, parsed) {
            (_, Some(answer)) => Ok(answer),
            (Err(error), None) => Err(lost(error)),
            (Ok(_), None) if answer.is_empty() || answer.starts_with(b"HTTP/1.") => {
                Err(lost(io::ErrorKind::UnexpectedEof.into()))
            }
            (Ok(_), None) => Err(Unanswered::NoHttp { url: self.to_string() }),
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in self.url.socket_addrs(|| Some(80))? {
            match TcpStream::connect_timeout(&address, CONNECTED_WITHIN.min(self.patience)) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn request(&self, method: &str, path: &str, body: Option<&str>) -> String {
        let host = &self.url[url::Position::BeforeHost..url::Position::AfterPort];
        let base = self.url.path().trim_end_matches('/');
        let mut request = format!("{method} {base}{path} HTTP/1.0\r\nHost: {host}\r\n");
        // Writing to a string cannot fail.
        if let Some(token) = &self.token {
            let _ = write!(request, "Authorization: Bearer {}\r\n", token.expose());
        }
        if let Some(body) = body {
            let length = body.len();
            let _ = write!(request, "Content-Type: application/json\r\nContent-Length: {length}\r\n");
        }
        request.push_str("\r\n");
        request.push_str(body.unwrap_or_default());
        request
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

/// An answer that is whole.
fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let body = &answer[end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let fields = lines.filter_map(|line| line.split_once(':'));
    let length =
        fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, value)| value.trim());
    if length.last().is_some_and(|length| length.parse() != Ok(body.len())) {
        return None;
    }
    Some(Answer { status, body: String::from_utf8_lossy(body).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(address: &str, token: Option<&str>) -> Result<String, String> {
        let token = token.map(|token| Secret::from(token.to_owned()));
        Operator::new(address, token).map(|operator| operator.request("GET", "/x", None))
    }

    #[test]
    fn an_address_is_a_host_and_a_port_or_a_url() {
        let expected = "GET /x HTTP/1.0\r\nHost: [::1]:9090\r\n\r\n".to_owned();
        assert_eq!(asked("[::1]:9090", None), Ok(expected.clone()));
        assert_eq!(asked("http://[::1]:9090/", None), Ok(expected));
        let below = asked("http://hub.test/ops/", Some("s3cret"));
        assert_eq!(
            below,
            Ok("GET /ops/x HTTP/1.0\r\nHost: hub.test\r\nAuthorization: Bearer s3cret\r\n\r\n".to_owned())
        );
        for wrong in ["https://hub.test", "http://me:pass@hub.test", "http://", "a b"] {
            assert!(asked(wrong, None).is_err(), "{wrong}");
        }
        assert!(asked("hub.test", Some("two\r\nlines")).is_err());
    }

    #[test]
    fn half_an_answer_is_none() {
        let whole = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert!(parse(whole).is_some_and(|answer| answer.status == 200 && answer.body == "ok"));
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_none(), "{end}");
        }
    }
}
