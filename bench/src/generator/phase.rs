//! One stretch of publishing at one pace, and what was seen in it.
//!
//! A phase ends by itself: after its time or its publications, when everything has arrived; or when nothing arrives
//! any more, with the missing deliveries counted as lost. It judges no figure.

use super::{Generator, TICK};
use anyhow::bail;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// When the next publication goes out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// As soon as fewer than this many lack a delivery. One means: the next when all have it.
    Outstanding(usize),
    /// So many a second, by the clock and not by what the server manages: a late one counts from when it was due.
    Rate(f64),
}

/// A stretch of publishing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) pace: Pace,
    /// Publishes for this long, and not more than `publications_max`.
    pub(crate) time: Duration,
    pub(crate) publications_max: u64,
    /// Ends when nothing has arrived for this long though something should.
    pub(crate) stall: Duration,
}

/// What a phase showed.
pub(crate) struct PhaseFigures {
    pub(crate) publications: u64,
    pub(crate) deliveries: u64,
    /// Reads of subscribers' sockets that brought something.
    pub(crate) reads: u64,
    /// From the first publication to the last delivery or answer.
    pub(crate) took: Duration,
    /// From the sending of a publication (at a rate: when it was due) to each arrival, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// From sending a publication to its answer, in nanoseconds.
    pub(crate) answering: Histogram<u64>,
    /// It ended because nothing arrived any more.
    pub(crate) stalled: bool,
}

/// Whether a phase goes on publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publish {
    GoOn,
    Enough,
}

/// How often something is done beside publishing, at least.
const BESIDE_TICK: Duration = Duration::from_millis(1);

impl Generator {
    /// Publishes as `phase` says and reads until everything has arrived.
    pub(crate) fn run(&mut self, phase: &Phase) -> anyhow::Result<PhaseFigures> {
        self.run_beside(phase, TICK, |_| Ok(Publish::GoOn))
    }

    /// The same, and does `beside` every millisecond or so while publishing.
    pub(crate) fn run_with(
        &mut self,
        phase: &Phase,
        beside: impl FnMut(&mut Self) -> anyhow::Result<Publish>,
    ) -> anyhow::Result<PhaseFigures> {
        self.run_beside(phase, BESIDE_TICK, beside)
    }

    fn run_beside(
        &mut self,
        phase: &Phase,
        tick: Duration,
        mut beside: impl FnMut(&mut Self) -> anyhow::Result<Publish>,
    ) -> anyhow::Result<PhaseFigures> {
        self.book.latency.reset();
        self.book.answering.reset();
        let reads_before = self.book.reads;
        let before = (self.book.deliveries, self.book.answers);
        let begun = Instant::now();
        let mut published = 0_u64;
        let mut progress = (begun, before);
        let mut stalled = false;
        let mut enough = false;
        loop {
            let now = Instant::now();
            let publishing = !enough && published < phase.publications_max && now - begun < phase.time;
            let mut timeout = tick;
            if publishing {
                enough = beside(self)? == Publish::Enough;
                match phase.pace {
                    Pace::Outstanding(most) => {
                        while published < phase.publications_max
                            && self.book.outstanding.open() < most
                            && self.publish(Instant::now())?
                        {
                            published += 1;
                        }
                    }
                    Pace::Rate(rate) => {
                        let due = |count: u64| begun + Duration::from_secs_f64(count as f64 / rate);
                        while published < phase.publications_max && due(published) <= now {
                            if !self.publish(due(published))? {
                                break;
                            }
                            published += 1;
                        }
                        timeout =
                            if self.idle.is_empty() { tick } else { sleep_until(due(published)).min(tick) };
                    }
                }
            } else if self.book.outstanding.open() == 0 && self.idle.len() == self.publishers.len() {
                break;
            }
            self.turn(timeout)?;
            let counts = (self.book.deliveries, self.book.answers);
            if counts != progress.1 {
                progress = (Instant::now(), counts);
            } else if progress.0.elapsed() > phase.stall {
                if self.idle.len() < self.publishers.len() {
                    bail!("a publication was not answered within {:?}", phase.stall);
                }
                if self.book.outstanding.open() > 0 {
                    self.book.outstanding.give_up();
                    stalled = true;
                    break;
                }
            }
        }
        Ok(PhaseFigures {
            publications: published,
            deliveries: self.book.deliveries - before.0,
            reads: self.book.reads - reads_before,
            took: progress.0.max(begun) - begun,
            latency: self.book.latency.clone(),
            answering: self.book.answering.clone(),
            stalled,
        })
    }
}

/// How long the poll may sleep. It wakes up to a millisecond late, so the last one is spent turning.
fn sleep_until(due: Instant) -> Duration {
    due.saturating_duration_since(Instant::now()).saturating_sub(Duration::from_millis(1)).min(TICK)
}
