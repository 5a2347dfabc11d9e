//! What a compressed delivery costs: bytes on the wire and processor time of the server, for JSON events of three sizes.
//!
//! Contestants take turns in rounds, each a process of its own: a hub's streams plain, in gzip, in zstd and in zstd with a dictionary, each event compressed once for all, and
//! beside them axum with a broadcast, plain and with tower-http's compression, which compresses for each connection. One event is
//! published when everybody has the one before. One subscriber of each contestant decodes what it gets, and every other has to
//! get as many bytes. It ends by itself, and with an error when an event does not arrive.

mod client;
mod served;

use std::process::ExitCode;
use std::time::Duration;

use fanfare::Dictionary;

/// How a stream is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    Gzip,
    Zstd,
    Dcz,
    AxumPlain,
    AxumGzip,
}

impl Way {
    const ALL: [Self; 6] = [Self::Plain, Self::Gzip, Self::Zstd, Self::Dcz, Self::AxumPlain, Self::AxumGzip];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name)
    }

    /// The one that it is held against.
    fn plain(self) -> Self {
        match self {
            Self::Plain | Self::Gzip | Self::Zstd | Self::Dcz => Self::Plain,
            Self::AxumPlain | Self::AxumGzip => Self::AxumPlain,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "none",
            Self::Gzip => "shared-gzip",
            Self::Zstd => "shared-zstd",
            Self::Dcz => "shared-dcz",
            Self::AxumPlain => "axum-none",
            Self::AxumGzip => "axum-gzip-each",
        }
    }

    pub(crate) fn accepts(self) -> &'static str {
        match self {
            Self::Plain | Self::AxumPlain => "identity",
            Self::Gzip | Self::AxumGzip => "gzip",
            Self::Zstd => "zstd",
            Self::Dcz => "dcz",
        }
    }
}

/// What one contestant did with one size in one round.
pub(crate) struct Turn {
    /// On the wire, for each event and subscriber, heads not counted.
    pub(crate) bytes: f64,
    pub(crate) cpu: Duration,
}

struct Options {
    subscribers: usize,
    events: usize,
    rounds: usize,
    /// In the order in which they take turns, each with the plain one that it is held against.
    ways: Vec<Way>,
}

const SIZES: [usize; 3] = [200, 1_024, 8_192];
const USAGE: &str =
    "fanfare-bench-compression [--subscribers N] [--events N] [--rounds N] [--only NAME,NAME]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name] = &arguments[..]
        && flag == "--serve"
    {
        served::run(Way::named(name).expect("a way"));
        return ExitCode::SUCCESS;
    }
    let Some(options) = options(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    for size in SIZES {
        let mut turns: Vec<Vec<Turn>> = options.ways.iter().map(|_| Vec::new()).collect();
        for _ in 0..options.rounds {
            for (way, turns) in options.ways.iter().zip(&mut turns) {
                match client::turn(*way, size, options.subscribers, options.events) {
                    Ok(turn) => turns.push(turn),
                    Err(error) => {
                        eprintln!("{} with {size} bytes: {error}", way.name());
                        return ExitCode::FAILURE;
                    }
                }
            }
        }
        show(size, &options, &turns);
    }
    ExitCode::SUCCESS
}

fn options(arguments: &[String]) -> Option<Options> {
    let mut options = Options { subscribers: 1_000, events: 100, rounds: 5, ways: Way::ALL.to_vec() };
    for pair in arguments.chunks(2) {
        let [flag, value] = pair else { return None };
        match flag.as_str() {
            "--subscribers" => options.subscribers = value.parse().ok()?,
            "--events" => options.events = value.parse().ok()?,
            "--rounds" => options.rounds = value.parse().ok()?,
            "--only" => {
                let chosen: Vec<Way> = value.split(',').map(Way::named).collect::<Option<_>>()?;
                options.ways.retain(|way| chosen.iter().any(|one| *way == *one || *way == one.plain()));
            }
            _ => return None,
        }
    }
    Some(options)
}

/// Ratios are taken between turns of the same round, each contestant beside its own plain one.
fn show(size: usize, options: &Options, turns: &[Vec<Turn>]) {
    let Options { subscribers, events, rounds, ways } = options;
    println!("\nJSON of {size} bytes, {subscribers} subscribers, {events} events, {rounds} rounds");
    println!(
        "{:<16} {:>12} {:>14} {:>12} {:>12}",
        "", "bytes/event", "µs/delivery", "bytes ratio", "CPU ratio"
    );
    for (way, own) in ways.iter().zip(turns) {
        let Some((_, plain)) = ways.iter().zip(turns).find(|(other, _)| **other == way.plain()) else {
            continue;
        };
        #[allow(clippy::cast_precision_loss)]
        let deliveries = (subscribers * events) as f64;
        let each = own.iter().zip(plain);
        println!(
            "{:<16} {:>12.0} {:>14.2} {:>12.2} {:>12.2}",
            way.name(),
            median(own.iter().map(|turn| turn.bytes)),
            median(own.iter().map(|turn| turn.cpu.as_secs_f64() * 1e6 / deliveries)),
            median(each.clone().map(|(own, plain)| plain.bytes / own.bytes)),
            median(each.map(|(own, plain)| own.cpu.as_secs_f64() / plain.cpu.as_secs_f64())),
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// 8 KiB of small events like those that are sent, and none of them, as they stand in a stream: a recording of it.
pub(crate) fn dictionary() -> Dictionary {
    let mut sample = String::new();
    for event in 1_000.. {
        if sample.len() >= 8_192 {
            break;
        }
        sample += &format!("id: #1{:022x}\ndata: {}\n\n", event * 7_919, json(SIZES[0], event));
    }
    Dictionary::new(sample).expect("a dictionary")
}

/// A list of records as an application would send it, of about `bytes`; each event is another one.
pub(crate) fn json(bytes: usize, event: usize) -> String {
    let mut state = (event as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut draw = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut text = format!("{{\"event\":{event},\"items\":[");
    while text.len() < bytes {
        let status = ["open", "paid", "sent", "returned"][draw(4) as usize];
        text += &format!(
            "{{\"id\":\"{:08x}\",\"status\":\"{status}\",\"price\":{}.{:02},\"quantity\":{},\"updated\":\"2026-11-{:02}T{:02}:{:02}:00Z\"}},",
            draw(1 << 32),
            draw(500),
            draw(100),
            draw(20),
            draw(30) + 1,
            draw(24),
            draw(60),
        );
    }
    text.pop();
    text + "]}"
}
