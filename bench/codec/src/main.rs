//! Measures the encoder and decoder of `fanfare-wire` beside those that people use today.
//!
//! `cargo run --release -- [--rounds N] [--json FILE]`. Every contender gets the same input in each round, in turn, beginning
//! with another one each time; what is compared are ratios within a round, so that a busy machine harms all alike.
//! Before anything is timed, all must agree on what the input says. It measures CPU time of one thread on memory: no
//! socket, no runtime; asynchronous parsers are polled over a stream that is always ready.

mod decoders;
mod encoders;
mod inputs;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use report::{Case, Report};
use rustix::time::{ClockId, clock_gettime};

/// How long one contender runs in one round, at least.
const TURN: Duration = Duration::from_millis(25);

/// Reads `bytes` or encodes texts once, `events` of them, and returns what came out, so that nobody can skip work.
pub struct Contender<'a> {
    pub name: &'static str,
    pub run: Box<dyn FnMut() -> Run + 'a>,
}

/// What one run of a contender took and made.
#[derive(Clone, Copy)]
pub struct Run {
    pub time: Duration,
    pub tally: Tally,
}

/// Proof of work: all contenders of a case make the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub events: usize,
    pub bytes: usize,
}

/// Measures what `work` costs the processor.
pub fn timed(work: impl FnOnce() -> Tally) -> Run {
    let start = cpu_time();
    let tally = work();
    Run { time: cpu_time() - start, tally }
}

/// The processor time that this thread has used. Unlike the clock on the wall it stands still while others run.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn main() -> ExitCode {
    let mut rounds = 15;
    let mut json = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next();
        match (arg.as_str(), value.as_deref().map(str::parse::<usize>), &value) {
            ("--rounds", Some(Ok(number)), _) if number > 0 => rounds = number,
            ("--json", _, Some(file)) => json = Some(file.clone()),
            _ => {
                eprintln!("usage: fanfare-bench-codec [--rounds N] [--json FILE]");
                return ExitCode::from(2);
            }
        }
    }

    let mut report = Report::new(rounds);
    for input in inputs::all() {
        for (what, mut contenders) in
            [("encode", encoders::all(&input.texts)), ("decode", decoders::all(&input.reads))]
        {
            if what == "encode" && !input.encoded {
                continue;
            }
            report.add(measure(what, input.name, input.texts.len(), rounds, &mut contenders));
        }
    }
    print!("{report}");
    if let Some(file) = json
        && let Err(error) = std::fs::write(&file, report.to_json())
    {
        eprintln!("cannot write {file}: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn measure(
    what: &'static str,
    input: &'static str,
    events: usize,
    rounds: usize,
    contenders: &mut [Contender<'_>],
) -> Case {
    let expected = (contenders[0].run)().tally;
    assert_eq!(expected.events, events, "{what} {input}");
    let mut case = Case::new(what, input, contenders.iter().map(|contender| contender.name));
    for contender in &mut *contenders {
        // Warms up, too.
        assert_eq!((contender.run)().tally, expected, "{what} {input}: {}", contender.name);
    }
    let count = contenders.len();
    for round in 0..rounds {
        for turn in 0..count {
            let index = (round + turn) % count;
            let mut time = Duration::ZERO;
            let mut done = 0_usize;
            while time < TURN {
                let run = (contenders[index].run)();
                time += run.time;
                done += run.tally.events;
            }
            case.record(index, time.as_secs_f64() * 1e9 / done as f64);
        }
    }
    case
}
