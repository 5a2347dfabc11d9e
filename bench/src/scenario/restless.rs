//! Subscribers that do not just read: travellers that leave and resume, and some that stall until they are cut.
//!
//! It publishes nothing and judges nothing.

use crate::generator::{Generator, Manner, Standing};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

/// How long a traveller is away: further back than memory reaches, and not as far as the disk does.
const AWAY: Duration = Duration::from_secs(3);
/// Travellers that leave in a second.
const LEAVES_PER_S: f64 = 40.0;
/// How long one reads, and how long it then does not: until its socket is full, it is cut, and some more.
const READS: Duration = Duration::from_secs(5);
const STALLS: Duration = Duration::from_secs(8);
/// What the kernel may hold on the side of one that stalls.
const RECEIVE_BYTES: usize = 4_096;

/// Who there is, by place.
pub(super) struct Crowd {
    /// Those in front.
    pub(super) travellers: usize,
    /// Those at the end.
    pub(super) stallers: Range<usize>,
}

/// What became of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lived {
    pub(super) resumed: usize,
    pub(super) stalled: usize,
    pub(super) cut: usize,
    /// Everybody had everything in the end.
    pub(super) caught_up: bool,
}

/// Them at it.
pub(super) struct Restless {
    stallers: Range<usize>,
    /// Whether those who stall read just now, and since when they do or do not.
    is_reading: bool,
    since: Instant,
    here: VecDeque<usize>,
    away: VecDeque<(Instant, usize)>,
    begun: Instant,
    left: u32,
    pub(super) lived: Lived,
}

impl Crowd {
    /// All come, for the first time or again, without a past.
    pub(super) fn come(&self, generator: &mut Generator) -> anyhow::Result<Restless> {
        let manner = Manner { steady: false, keeps_ids: true, stalled: None };
        let staller = Manner { stalled: Some(RECEIVE_BYTES), ..manner };
        if generator.places() == 0 {
            generator.subscribe(self.stallers.start, manner)?;
            generator.subscribe(self.stallers.len(), staller)?;
        } else {
            for place in 0..self.stallers.end {
                let manner = if self.stallers.contains(&place) { staller } else { manner };
                generator.come_again(place, manner)?;
            }
            generator.settle_coming()?;
        }
        // They have come with their head alone, and read from now on.
        for place in self.stallers.clone() {
            generator.wake(place)?;
        }
        let now = Instant::now();
        Ok(Restless {
            stallers: self.stallers.clone(),
            is_reading: true,
            since: now,
            here: (0..self.travellers).collect(),
            away: VecDeque::new(),
            begun: now,
            left: 0,
            lived: Lived::default(),
        })
    }
}

impl Restless {
    /// From now on they leave and stall.
    pub(super) fn begin(&mut self) {
        (self.begun, self.since) = (Instant::now(), Instant::now());
    }

    /// Does what is due.
    pub(super) fn go_on(&mut self, generator: &mut Generator) -> anyhow::Result<()> {
        while let Some(&(_, place)) = self.away.front().filter(|(since, _)| since.elapsed() >= AWAY) {
            self.away.pop_front();
            generator.come_back(place)?;
            self.here.push_back(place);
            self.lived.resumed += 1;
        }
        let due = self.begun.elapsed().as_secs_f64() * LEAVES_PER_S;
        while f64::from(self.left) < due {
            self.left += 1;
            // One that has not come back yet leaves another time.
            let Some(place) = self.here.pop_front() else { break };
            if generator.standing(place) == Standing::Subscribed {
                generator.cut(place);
                self.away.push_back((Instant::now(), place));
            } else {
                self.here.push_back(place);
            }
        }
        if self.is_reading && self.since.elapsed() >= READS {
            self.stallers.clone().for_each(|place| generator.stall(place));
            self.lived.stalled += self.stallers.len();
            (self.is_reading, self.since) = (false, Instant::now());
        } else if !self.is_reading && self.since.elapsed() >= STALLS {
            self.read_again(generator)?;
        }
        Ok(())
    }

    /// All come back and read.
    pub(super) fn end(&mut self, generator: &mut Generator) -> anyhow::Result<()> {
        for (_, place) in self.away.drain(..) {
            generator.come_back(place)?;
        }
        self.read_again(generator)
    }

    /// Who stalled reads, and who was cut comes back.
    fn read_again(&mut self, generator: &mut Generator) -> anyhow::Result<()> {
        for place in self.stallers.clone() {
            if generator.wake(place)? {
                self.lived.cut += 1;
                generator.come_back_with(place, Some(RECEIVE_BYTES))?;
            }
        }
        (self.is_reading, self.since) = (true, Instant::now());
        Ok(())
    }
}
