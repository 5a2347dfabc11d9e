//! Subscribers come and go, a thousand a second, while others are served: nobody loses anything, and what it costs those
//! who stay is their latency with against without.

use super::{Name, Outcome, Stage, phase};
use crate::contestant::Contestant;
use crate::generator::{Generator, Manner, Pace, Publish, Standing};
use crate::process;
use anyhow::bail;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Publications a second.
const RATE: f64 = 50.0;
/// Connects, and as many disconnects, a second.
const CONNECTS_PER_S: f64 = 1_000.0;
/// How long a guest stays.
const STAY: Duration = Duration::from_millis(200);
/// Guests that may be there or coming at once; more, and the server does not keep up.
const GUESTS_MAX: usize = 2_000;

/// Those who come and go.
#[derive(Default)]
struct Guests {
    coming: VecDeque<usize>,
    /// With the time at which they were there.
    there: VecDeque<(Instant, usize)>,
    /// Places of those who have left.
    free: Vec<usize>,
    came: usize,
    held_up: bool,
}

pub(super) fn churn(stage: &Stage, hub: &Contestant) -> anyhow::Result<Outcome> {
    let subscribers = stage.subscribers.unwrap_or(1_000);
    let mut outcome = Outcome::new(Name::Churn, &hub.name, subscribers);
    let server = hub.start()?;
    let mut generator = stage.generator(hub, &server, subscribers + GUESTS_MAX)?;
    generator.subscribe(subscribers, Manner::STEADY)?;
    generator.run(&phase(Pace::Rate(RATE), stage.time / 4, u64::MAX))?;
    let quiet = generator.run(&phase(Pace::Rate(RATE), stage.time, u64::MAX))?;
    let before = process::memory(server.pid())?;
    let mut guests = Guests::default();
    let begun = Instant::now();
    let churned = generator.run_with(&phase(Pace::Rate(RATE), stage.time, u64::MAX), |generator| {
        guests.turn(generator, begun)?;
        Ok(Publish::GoOn)
    })?;
    let took = begun.elapsed();
    guests.all_leave(&mut generator)?;
    let after = process::memory(server.pid())?;
    generator.gaps_are_faults();
    outcome.faults = generator.faults();
    outcome.times("latency_without", &quiet.latency);
    outcome.times("latency_with", &churned.latency);
    outcome.times("answering_with", &churned.answering);
    outcome.figure("connects_per_s", guests.came as f64 / took.as_secs_f64());
    outcome.figure("rss_growth_mib", (after.rss as f64 - before.rss as f64) / f64::from(1 << 20));
    outcome.promise(!guests.held_up, || {
        format!("the server did not keep up with {CONNECTS_PER_S:.0} connects a second")
    });
    Ok(outcome)
}

impl Guests {
    /// Lets in who is due, and sees off whose time is over.
    fn turn(&mut self, generator: &mut Generator, begun: Instant) -> anyhow::Result<()> {
        let now = Instant::now();
        for _ in 0..self.coming.len() {
            let Some(place) = self.coming.pop_front() else { break };
            match generator.standing(place) {
                Standing::Coming => self.coming.push_back(place),
                Standing::Subscribed => self.there.push_back((now, place)),
                Standing::Ended => bail!("a guest was turned away"),
            }
        }
        while let Some(&(since, place)) = self.there.front()
            && now - since >= STAY
        {
            self.there.pop_front();
            generator.leave(place);
            self.free.push(place);
        }
        let due = (begun.elapsed().as_secs_f64() * CONNECTS_PER_S).floor();
        while (self.came as f64) < due {
            if self.coming.len() + self.there.len() >= GUESTS_MAX {
                self.held_up = true;
                break;
            }
            self.came += 1;
            let place = if let Some(place) = self.free.pop() {
                generator.come_again(place, Manner::default())?;
                place
            } else {
                generator.come(Manner::default())?
            };
            self.coming.push_back(place);
        }
        Ok(())
    }

    fn all_leave(&mut self, generator: &mut Generator) -> anyhow::Result<()> {
        generator.settle_coming()?;
        let coming = self.coming.drain(..);
        for place in coming.chain(self.there.drain(..).map(|(_, place)| place)) {
            generator.leave(place);
        }
        generator.listen(crate::measure::SETTLE)
    }
}
