//! What was sent, answered, delivered and kept, and whether these agree.
//!
//! The checker believes nothing but the answers: what was stored is there with its id, once and in order; what was refused is
//! not; of what nobody knows there is one at most; what was delivered is there.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{HUB, PATIENCE};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 200, with its id.
    Stored(String),
    /// 503, or nobody was there: not stored.
    Refused,
    /// 504, or the connection broke: stored or not.
    Unknown,
}

/// A publication, and when it was sent and answered.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) data: String,
    pub(crate) answer: Answer,
    begun: u64,
    answered: u64,
}

/// An event as a subscriber gets it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) data: String,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, brief(&self.data))
    }
}

/// Data without what pads it.
fn brief(data: &str) -> &str {
    data.split('x').next().unwrap_or_default()
}

/// Order between threads is told by this: what was answered before another was sent stands before it in the log.
static NOW: AtomicU64 = AtomicU64::new(0);

fn now() -> u64 {
    NOW.fetch_add(1, Ordering::SeqCst)
}

/// Publishes to topic `a` and says what came of it.
pub(crate) fn publish(address: &str, data: &str) -> Sent {
    publish_with(address, data, "")
}

/// The same with more headers.
pub(crate) fn publish_with(address: &str, data: &str, headers: &str) -> Sent {
    let begun = now();
    let answer = match answer(address, data, headers) {
        Ok((200, body)) => Answer::Stored(body),
        Ok((503, head)) => {
            assert!(head.contains("retry-after: "), "{head}");
            Answer::Refused
        }
        Ok((504, _)) => Answer::Unknown,
        Ok(other) => panic!("{other:?}"),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Answer::Refused,
        Err(_) => Answer::Unknown,
    };
    Sent { data: data.to_owned(), answer, begun, answered: now() }
}

/// Status and body; of what is not 200, all of it.
fn answer(address: &str, data: &str, headers: &str) -> std::io::Result<(u16, String)> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let body = format!("topic=a&data={data}");
    let length = body.len();
    let form = "Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n";
    let request = format!(
        "POST {HUB} HTTP/1.1\r\nHost: {address}\r\n{form}{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes())?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    let broken = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
    Ok((status, if status == 200 { body.to_owned() } else { text.to_ascii_lowercase() }))
}

/// The status of a GET; `None` if nobody answers.
pub(crate) fn status(address: &str, target: &str) -> Option<u16> {
    let mut socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(socket, "GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut text = String::new();
    socket.read_to_string(&mut text).ok()?;
    text.get(9..12)?.parse().ok()
}

/// A stream of topic `a` that events are taken from.
pub(crate) struct Reader(BufReader<TcpStream>);

impl Reader {
    /// From behind the event with an id, or from `earliest` on; `None` if nobody is there.
    pub(crate) fn open(address: &str, after: Option<&str>) -> Option<Self> {
        let mut socket = TcpStream::connect(address).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        let after = after.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        // As of HTTP/1.0 the body comes without anything between.
        write!(socket, "GET {HUB}?topic=a HTTP/1.0\r\nHost: localhost\r\n{after}\r\n").ok()?;
        let mut reader = Self(BufReader::new(socket));
        while reader.line()? != ":" {}
        Some(reader)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        line.ends_with('\n').then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The next event; `None` when the stream has ended. One that is not whole does not count.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let (mut id, mut data, mut name) = (String::new(), None, None);
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("id", value)) => value.clone_into(&mut id),
                Some(("data", value)) => data = Some(value.to_owned()),
                Some(("event", value)) => name = Some(value.to_owned()),
                _ => {}
            }
            if line.is_empty()
                && let Some(data) = data.take()
            {
                assert_eq!(name, None, "a gap, or what nobody published: {data}");
                return Some(Event { id, data });
            }
        }
    }

    /// Whether a comment comes next; waits for what comes.
    pub(crate) fn peek_is_comment(&mut self) -> bool {
        self.0.fill_buf().is_ok_and(|bytes| bytes.starts_with(b":"))
    }

    /// Waits for a comment, which a stream that is still alive gets; nothing else may come before it.
    pub(crate) fn comment(&mut self) {
        let line = self.line();
        // While the log takes nothing it says so.
        assert!(line.as_deref().is_some_and(|line| line.starts_with(':')), "a comment is due, not {line:?}");
    }

    /// All up to and with the event that has this data.
    pub(crate) fn through(&mut self, data: &str) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.next().unwrap_or_else(|| panic!("the stream ended before {data}"));
            let is_last = event.data == data;
            events.push(event);
            if is_last {
                return events;
            }
        }
    }
}

/// What is kept behind `after`: publishes a mark and reads up to it. The mark is the last.
pub(crate) fn kept(address: &str, after: &str, mark: &str) -> Vec<Event> {
    let Answer::Stored(id) = publish(address, mark).answer else { panic!("the mark {mark} was not stored") };
    let events = Reader::open(address, Some(after)).expect("a stream").through(mark);
    assert_eq!(events.last().map(|event| &event.id), Some(&id));
    events
}

/// Holds what is `kept` against what was `sent` and what was `delivered` before.
///
/// # Errors
/// What is wrong, in a sentence.
pub(crate) fn check(sent: &[Sent], delivered: &[Event], kept: &[Event]) -> Result<(), String> {
    let by_data: HashMap<&str, &Sent> = sent.iter().map(|sent| (sent.data.as_str(), sent)).collect();
    let mut seen = HashSet::new();
    let mut latest = 0;
    for event in kept {
        let Some(sent) = by_data.get(event.data.as_str()) else { return Err(format!("invented: {event:?}")) };
        if !seen.insert(event.data.as_str()) {
            return Err(format!("twice: {event:?}"));
        }
        match &sent.answer {
            Answer::Refused => return Err(format!("refused and stored: {event:?}")),
            Answer::Stored(id) if *id != event.id => return Err(format!("{id} has become {event:?}")),
            Answer::Stored(_) | Answer::Unknown => {}
        }
        if sent.answered < latest {
            return Err(format!("behind what was sent after it was answered: {event:?}"));
        }
        latest = latest.max(sent.begun);
    }
    let is_lost =
        |sent: &&Sent| matches!(sent.answer, Answer::Stored(_)) && !seen.contains(sent.data.as_str());
    if let Some(lost) = sent.iter().find(is_lost) {
        return Err(format!("lost: {} ({:?})", brief(&lost.data), lost.answer));
    }
    // Subscribers saw the beginning of what is kept and nothing else.
    match delivered.iter().zip(kept).find(|(delivered, kept)| delivered != kept) {
        Some((delivered, kept)) => Err(format!("{delivered:?} was delivered, {kept:?} is kept")),
        None if delivered.len() > kept.len() => Err(format!("delivered and lost: {:?}", delivered.last())),
        None => Ok(()),
    }
}

/// Numbers that look random and are the same for the same seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap_or_default()]
    }
}

/// Goal: the checker finds what it is for.
#[test]
#[allow(clippy::many_single_char_names)] // They are the data of five events.
fn planted_faults_are_found() {
    let sent = |data: &str, answer, begun, answered| Sent { data: data.to_owned(), answer, begun, answered };
    let event = |data: &str| Event { id: format!("#{data}"), data: data.to_owned() };
    let stored = |data: &str| Answer::Stored(format!("#{data}"));
    let all = [
        sent("a", stored("a"), 0, 1),
        sent("b", stored("b"), 2, 5),
        sent("c", stored("c"), 3, 4),
        sent("d", Answer::Unknown, 6, 7),
        sent("e", Answer::Refused, 8, 9),
    ];
    let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(event);
    let check = |delivered: &[&Event], kept: &[&Event]| {
        let of = |events: &[&Event]| events.iter().map(|&event| event.clone()).collect::<Vec<_>>();
        check(&all, &of(delivered), &of(kept)).err().unwrap_or_default()
    };
    for good in [&[&a, &b, &c][..], &[&a, &c, &b], &[&a, &b, &c, &d]] {
        assert_eq!(check(&good[..2], good), "");
    }
    assert!(check(&[], &[&a, &c]).starts_with("lost: b"));
    assert!(check(&[], &[&b, &a, &c]).starts_with("behind"));
    assert!(check(&[], &[&a, &b, &c, &c]).starts_with("twice"));
    assert!(check(&[], &[&a, &b, &c, &e]).starts_with("refused"));
    assert!(check(&[], &[&a, &b, &c, &event("f")]).starts_with("invented"));
    assert!(check(&[], &[&a, &b, &Event { id: "#x".to_owned(), ..c.clone() }]).starts_with("#c has become"));
    assert!(check(&[&a, &b, &c, &d], &[&a, &b, &c]).starts_with("delivered and lost"));
    assert!(check(&[&a, &c], &[&a, &b, &c]).contains("was delivered"));
}
