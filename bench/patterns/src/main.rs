//! Measures what patterns and topics cost the hub: very many of them beside ten.
//!
//! `cargo run --release -- [--patterns N] [--topics N] [--rounds N] [--json FILE]`. Both hubs of a kind live in this process and publish
//! in turn, so that what is compared are ratios of the same moment. Every publication is matched by one subscriber, which is
//! checked. It measures CPU time of one thread on memory: no socket, no runtime.

mod kinds;
mod report;

use std::alloc::System;
use std::pin::pin;
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cap::Cap;
use fanfare_hub::{Crowd, Framing, Hub, Matcher, Member, Topic};
use fanfare_wire::Event;
use kinds::{KINDS, Kind};
use report::{Report, Row};
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// How many there are beside very many.
const FEW: usize = 10;

/// How many publications one turn has.
const TURN: usize = 500;

struct Arguments {
    patterns: usize,
    topics: usize,
    rounds: usize,
    json: Option<String>,
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("usage: fanfare-bench-patterns [--patterns N] [--topics N] [--rounds N] [--json FILE]");
        return ExitCode::from(2);
    };
    let mut report = Report::default();
    for kind in &KINDS {
        let count = if kind.is_exact { arguments.topics } else { arguments.patterns }.min(kind.most);
        eprintln!("{}: {count}", kind.name);
        report.add(measure(kind, count, arguments.rounds));
    }
    print!("{report}");
    if let Some(file) = arguments.json
        && let Err(error) = std::fs::write(&file, report.to_json())
    {
        eprintln!("cannot write {file}: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn arguments() -> Option<Arguments> {
    let mut arguments = Arguments { patterns: 100_000, topics: 1_000_000, rounds: 9, json: None };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next()?;
        let number = value.parse().ok().filter(|&number| number > 0);
        match arg.as_str() {
            "--patterns" => arguments.patterns = number?,
            "--topics" => arguments.topics = number?,
            "--rounds" => arguments.rounds = number?,
            "--json" => arguments.json = Some(value),
            _ => return None,
        }
    }
    Some(arguments)
}

fn measure(kind: &Kind, count: usize, rounds: usize) -> Row {
    let few = Population::settle(kind, FEW);
    let many = Population::settle(kind, count);
    let mut populations = [few, many];
    for population in &mut populations {
        // Warms up, too.
        population.publish();
    }
    let mut figures = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for turn in 0..2 {
            let index = (round + turn) % 2;
            figures[index].push(populations[index].publish());
        }
    }
    let [few, many] = figures;
    let row = Row {
        kind: kind.name,
        count,
        compile_us: populations[1].compile_us,
        compiled_bytes: populations[1].compiled_bytes,
        subscriber_bytes: populations[1].subscriber_bytes,
        few_us: few,
        many_us: many,
    };
    populations.into_iter().for_each(Population::leave);
    row
}

/// A hub with one subscriber for each of many patterns or topics.
struct Population<'a> {
    kind: &'a Kind,
    hub: Hub,
    crowd: Crowd,
    members: Vec<Member>,
    published: usize,
    compile_us: f64,
    compiled_bytes: f64,
    subscriber_bytes: f64,
}

impl<'a> Population<'a> {
    fn settle(kind: &'a Kind, count: usize) -> Self {
        // Who has no grant gets no more than three quarters of the room.
        let builder =
            Hub::builder().history_events(1_000).patterns_max(2 * count).patterns_bytes_max(usize::MAX);
        let builder = builder.patterns_alike_max(2 * count);
        let hub = builder.build().expect("a hub");
        let crowd = hub.crowd(Waker::noop().clone());
        let mut members = Vec::with_capacity(count);
        let mut matchers: Vec<Matcher> = Vec::with_capacity(count);
        let (before, start) = (HEAP.allocated(), cpu_time());
        matchers.extend((0..count).map(kind.matcher));
        let compile_us = micros(cpu_time() - start) / count as f64;
        let compiled_bytes = (HEAP.allocated() - before) as f64 / count as f64;
        let mut this = Self {
            kind,
            hub,
            crowd,
            members: Vec::new(),
            published: 0,
            compile_us,
            compiled_bytes,
            subscriber_bytes: 0.0,
        };
        for matcher in matchers {
            let subscription = this.hub.subscribe(matcher).bookmarks(false);
            members.push(
                this.crowd
                    .admit_as(subscription, Framing::Bare, 0)
                    .unwrap_or_else(|_| panic!("{} was refused", kind.name)),
            );
        }
        this.members = members;
        this.subscriber_bytes = (HEAP.allocated() - before) as f64 / count as f64;
        this
    }

    /// Publishes one turn's events to topics from all over the population; microseconds for each.
    fn publish(&mut self) -> f64 {
        let count = self.members.len();
        // Steps that no cache foresees.
        let topics: Vec<Topic> = (0..TURN)
            .map(|n| (self.published + n).wrapping_mul(7_919) % count)
            .map(|n| Topic::parse((self.kind.topic)(n)).expect("a topic"))
            .collect();
        self.published += TURN;
        let mut news = Vec::new();
        let mut spent = Duration::ZERO;
        for topic in topics {
            let start = cpu_time();
            let mut publishing = pin!(self.hub.publish(topic, Event::new("news")));
            let Poll::Ready(Ok(_)) = publishing.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
                panic!("not published");
            };
            spent += cpu_time() - start;
            self.crowd.news(&mut news);
            assert_eq!(news.len(), 1, "{} subscribers are told", news.len());
        }
        micros(spent) / TURN as f64
    }

    fn leave(mut self) {
        for member in self.members {
            self.crowd.leave(member);
        }
    }
}

/// The processor time that this thread has used. Unlike the clock on the wall it stands still while others run.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
