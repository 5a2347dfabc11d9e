//! Subscribers that read what they are sent, one of which decodes it.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::{Turn, Way, dictionary, json};

/// Only a broken server is waited for so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Events before it counts.
const WARM: usize = 10;

/// Ends its process however the turn ends.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn turn(way: Way, size: usize, subscribers: usize, events: usize) -> Result<Turn> {
    let program = std::env::current_exe()?;
    let mut served =
        Served(Command::new(program).args(["--serve", way.name()]).stdout(Stdio::piped()).spawn()?);
    let mut line = String::new();
    BufReader::new(served.0.stdout.as_mut().expect("piped")).read_line(&mut line)?;
    let address: SocketAddr =
        line.trim().trim_start_matches("listening on ").parse().map_err(Error::other)?;

    let mut readers = Readers::connect(address, way, subscribers)?;
    let mut publisher = TcpStream::connect(address)?;
    publisher.set_nodelay(true)?;
    for event in 0..WARM {
        readers.deliver(&mut publisher, &json(size, event))?;
    }
    let (cpu, bytes) = (ask(&mut publisher, "GET /cpu", "")?, readers.all_bytes());
    for event in WARM..WARM + events {
        readers.deliver(&mut publisher, &json(size, event))?;
    }
    let cpu_after = ask(&mut publisher, "GET /cpu", "")?;
    let nanoseconds = |text: &str| text.parse::<u64>().map_err(Error::other);
    #[allow(clippy::cast_precision_loss)]
    Ok(Turn {
        bytes: (readers.all_bytes() - bytes) as f64 / (subscribers * events) as f64,
        cpu: Duration::from_nanos(nanoseconds(&cpu_after)? - nanoseconds(&cpu)?),
    })
}

/// Sends a request and reads its answer, whose length is told.
fn ask(socket: &mut TcpStream, what: &str, body: &str) -> Result<String> {
    let head = format!("{what} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    socket.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    let mut answer = Vec::new();
    loop {
        let mut room = [0; 4_096];
        let read = socket.read(&mut room)?;
        answer.extend_from_slice(&room[..read]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Ok(body.to_owned());
            }
        }
        if read == 0 {
            return Err(Error::other("the server closed"));
        }
    }
}

struct Readers {
    poll: Poll,
    sockets: Vec<mio::net::TcpStream>,
    /// How many bytes each has got behind its head.
    bytes: Vec<u64>,
    decoder: Decoder,
}

impl Readers {
    fn connect(address: SocketAddr, way: Way, count: usize) -> Result<Self> {
        let poll = Poll::new()?;
        let mut readers = Self { poll, sockets: Vec::new(), bytes: Vec::new(), decoder: Decoder::of(way)? };
        for number in 0..count {
            let mut socket = TcpStream::connect(address)?;
            let request = format!(
                "GET /stream HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {}\r\n\r\n",
                way.accepts()
            );
            socket.write_all(request.as_bytes())?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte)?;
                head.push(byte[0]);
            }
            socket.set_nonblocking(true)?;
            let mut socket = mio::net::TcpStream::from_std(socket);
            readers.poll.registry().register(&mut socket, Token(number), Interest::READABLE)?;
            readers.sockets.push(socket);
            readers.bytes.push(0);
        }
        Ok(readers)
    }

    fn all_bytes(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// Publishes an event and waits until everybody has it: the first has decoded it, and nobody has got fewer bytes.
    fn deliver(&mut self, publisher: &mut TcpStream, data: &str) -> Result<()> {
        ask(publisher, "POST /publish", data)?;
        let begun = Instant::now();
        let mut events = Events::with_capacity(1_024);
        let mut room = vec![0; 64 * 1024];
        while !self.decoder.has(data) || self.bytes.iter().any(|bytes| *bytes < self.bytes[0]) {
            if begun.elapsed() > PATIENCE {
                return Err(Error::other("an event did not arrive"));
            }
            self.poll.poll(&mut events, Some(Duration::from_secs(1)))?;
            for event in &events {
                let number = event.token().0;
                while let Ok(read) = self.sockets[number].read(&mut room) {
                    if read == 0 {
                        return Err(Error::other("a stream ended"));
                    }
                    self.bytes[number] += read as u64;
                    if number == 0 {
                        self.decoder.take_in(&room[..read])?;
                    }
                }
            }
        }
        self.decoder.said.clear();
        Ok(())
    }
}

/// Takes chunks and coding away.
struct Decoder {
    raw: Vec<u8>,
    coded: Coded,
    said: Vec<u8>,
}

enum Coded {
    Not,
    Gzip { inflate: flate2::Decompress, header: usize },
    Zstd(zstd::stream::raw::Decoder<'static>),
}

impl Decoder {
    fn of(way: Way) -> Result<Self> {
        let coded = match way {
            Way::Plain | Way::AxumPlain => Coded::Not,
            Way::Gzip | Way::AxumGzip => Coded::Gzip { inflate: flate2::Decompress::new(false), header: 10 },
            Way::Zstd => Coded::Zstd(zstd::stream::raw::Decoder::new()?),
            Way::Dcz => Coded::Zstd(zstd::stream::raw::Decoder::with_dictionary(dictionary().content())?),
        };
        Ok(Self { raw: Vec::new(), coded, said: Vec::new() })
    }

    fn has(&self, data: &str) -> bool {
        let needle = format!("data: {data}\n");
        self.said.windows(needle.len()).any(|window| window == needle.as_bytes())
    }

    fn take_in(&mut self, bytes: &[u8]) -> Result<()> {
        self.raw.extend_from_slice(bytes);
        while let Some(line) = self.raw.windows(2).position(|two| two == b"\r\n") {
            let size = std::str::from_utf8(&self.raw[..line])
                .ok()
                .and_then(|text| usize::from_str_radix(text, 16).ok());
            let size = size.ok_or_else(|| Error::other("no chunk"))?;
            let end = line + 2 + size + 2;
            if self.raw.len() < end {
                break;
            }
            let chunk: Vec<u8> = self.raw.drain(..end).skip(line + 2).take(size).collect();
            self.decode(&chunk)?;
        }
        Ok(())
    }

    fn decode(&mut self, mut bytes: &[u8]) -> Result<()> {
        match &mut self.coded {
            Coded::Not => self.said.extend_from_slice(bytes),
            Coded::Gzip { inflate, header } => {
                let skipped = bytes.len().min(*header);
                *header -= skipped;
                bytes = &bytes[skipped..];
                loop {
                    self.said.reserve(16 * 1024);
                    let (read, wrote) = (inflate.total_in(), inflate.total_out());
                    inflate
                        .decompress_vec(bytes, &mut self.said, flate2::FlushDecompress::None)
                        .map_err(Error::other)?;
                    bytes = &bytes[usize::try_from(inflate.total_in() - read).unwrap_or(0)..];
                    if bytes.is_empty() && inflate.total_out() == wrote {
                        break;
                    }
                }
            }
            Coded::Zstd(decoder) => {
                use zstd::stream::raw::Operation;
                let mut room = vec![0; 16 * 1024];
                loop {
                    let status = decoder.run_on_buffers(bytes, &mut room)?;
                    bytes = &bytes[status.bytes_read..];
                    self.said.extend_from_slice(&room[..status.bytes_written]);
                    if bytes.is_empty() && status.bytes_written < room.len() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}
