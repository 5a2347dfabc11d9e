//! Measures one running server once: connecting, memory when idle, one event at a time, saturated.
//!
//! It starts and ends no server and compares nothing; figures of one measurement mean little, ratios of the same round do.

use crate::generator::{Faults, Generator, Manner, Pace, Phase, PhaseFigures};
use crate::metrics;
use crate::process::{self, Cpu, Memory};
use crate::stop::Stop;
use crate::target::{Ids, Target};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Publications before anybody listens and before each phase, so that nothing is measured for the first time.
const WARM_UP: u64 = 64;
/// The longest that warming up may take.
const WARM_UP_TIME: Duration = Duration::from_millis(300);
/// How long a server may settle before its memory is read.
pub(crate) const SETTLE: Duration = Duration::from_millis(300);
/// A phase in which nothing arrives for this long is over.
pub(crate) const STALL: Duration = Duration::from_secs(5);

/// What is done to every server.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) subscribers: usize,
    pub(crate) publishers: u16,
    pub(crate) data_bytes: usize,
    pub(crate) ids: Ids,
    /// Of each phase.
    pub(crate) time: Duration,
    /// Of each phase; `u64::MAX` if time alone ends it.
    pub(crate) publications_max: u64,
    pub(crate) phases: Vec<(PhaseName, Pace)>,
    /// Name of the server's gauge of live heap bytes.
    pub(crate) heap_metric: String,
}

/// Under which name a phase is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PhaseName {
    /// The next event when all have the one before.
    OneAtATime,
    /// So many outstanding that the server always has something to do.
    Saturated,
    /// At a fixed rate.
    Rate,
}

/// Everything seen of one server in one measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measurement {
    pub(crate) subscribers: usize,
    pub(crate) connects_per_s: f64,
    /// For each subscriber, in bytes: what the process grew by.
    pub(crate) idle_rss_bytes: Option<f64>,
    pub(crate) idle_pss_bytes: Option<f64>,
    pub(crate) idle_heap_bytes: Option<f64>,
    /// Of the whole process before the first subscriber.
    pub(crate) empty: Option<Memory>,
    pub(crate) phases: Vec<PhaseMeasurement>,
    pub(crate) faults: Faults,
}

/// What one phase showed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PhaseMeasurement {
    pub(crate) phase: PhaseName,
    /// How many publications might lack a delivery; none at a rate.
    pub(crate) outstanding: Option<usize>,
    pub(crate) publications: u64,
    pub(crate) deliveries: u64,
    pub(crate) seconds: f64,
    pub(crate) publications_per_s: f64,
    pub(crate) deliveries_per_s: f64,
    /// The server's CPU time, publishing included, divided by the deliveries.
    pub(crate) cpu_us_per_delivery: Option<f64>,
    pub(crate) cpu_seconds: Option<f64>,
    /// Coarse: clock ticks.
    pub(crate) cpu_user_seconds: Option<f64>,
    pub(crate) cpu_system_seconds: Option<f64>,
    /// Deliveries that one read of a subscriber brought, on average: how far the server batched.
    pub(crate) deliveries_per_read: f64,
    /// Share of one core that the generator itself used: near 1, it and not the server may be the limit.
    pub(crate) generator_busy: f64,
    pub(crate) latency_us: Latency,
    /// From sending a publication to its answer. Older reports have none.
    #[serde(default)]
    pub(crate) answering_us: Option<Latency>,
    /// It ended because nothing arrived any more.
    pub(crate) stalled: bool,
}

/// Times in microseconds; of deliveries from sending to arrival.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p99_9: f64,
    pub(crate) max: f64,
}

impl Latency {
    /// Of times in nanoseconds.
    fn of(times: &Histogram<u64>) -> Self {
        let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1e3;
        let quantile = |quantile| microseconds(times.value_at_quantile(quantile));
        Self {
            p50: quantile(0.5),
            p99: quantile(0.99),
            p99_9: quantile(0.999),
            max: microseconds(times.max()),
        }
    }
}

/// Measures the server at `target`; with its `pid`, its CPU and memory too.
pub(crate) fn measure(
    target: &Target,
    pid: Option<u32>,
    plan: &Plan,
    stop: &Stop,
) -> anyhow::Result<Measurement> {
    let mut generator = Generator::connect(target, plan.publishers, plan.subscribers, plan.data_bytes, stop)?;
    // With many subscribers fewer: the server has had as many deliveries to warm up with, and a round stays short.
    let publications_max = (WARM_UP * 1_000 / plan.subscribers.max(1) as u64).clamp(8, WARM_UP);
    let warm_up = |pace| Phase { pace, time: WARM_UP_TIME, publications_max, stall: STALL };
    generator.run(&warm_up(Pace::Outstanding(1)))?;
    generator.listen(SETTLE)?;
    let memory = || pid.map(process::memory).transpose();
    let heap = || metrics::gauge(target.address, &plan.heap_metric);
    let (empty, empty_heap) = (memory()?, heap());

    let connected = generator.subscribe(plan.subscribers, Manner::STEADY)?;
    generator.listen(SETTLE)?;
    let (idle, idle_heap) = (memory()?, heap());

    let mut phases = Vec::new();
    for &(name, pace) in &plan.phases {
        generator.run(&warm_up(pace))?;
        let phase = Phase { pace, time: plan.time, publications_max: plan.publications_max, stall: STALL };
        phases.push(run(&mut generator, name, &phase, pid)?);
    }
    generator.gaps_are_faults();
    let faults = generator.faults();

    let each = |before: Option<f64>, after: Option<f64>| {
        (plan.subscribers > 0).then_some((after? - before?) / plan.subscribers as f64)
    };
    let bytes = |memory: Option<Memory>, of: fn(Memory) -> u64| memory.map(|memory| of(memory) as f64);
    Ok(Measurement {
        subscribers: plan.subscribers,
        connects_per_s: plan.subscribers as f64 / connected.took.as_secs_f64(),
        idle_rss_bytes: each(bytes(empty, |memory| memory.rss), bytes(idle, |memory| memory.rss)),
        idle_pss_bytes: each(bytes(empty, |memory| memory.pss), bytes(idle, |memory| memory.pss)),
        idle_heap_bytes: each(empty_heap, idle_heap),
        empty,
        phases,
        faults,
    })
}

fn run(
    generator: &mut Generator,
    name: PhaseName,
    phase: &Phase,
    pid: Option<u32>,
) -> anyhow::Result<PhaseMeasurement> {
    let cpu = || pid.map(process::cpu).transpose();
    let (begun, own_before, before) = (Instant::now(), process::own_cpu()?, cpu()?);
    let figures = generator.run(phase)?;
    let (after, own_after, took) = (cpu()?, process::own_cpu()?, begun.elapsed());
    let used: Option<Cpu> = after.zip(before).map(|(after, before)| after.since(&before));
    let PhaseFigures { publications, deliveries, .. } = figures;
    let seconds = figures.took.as_secs_f64();
    Ok(PhaseMeasurement {
        phase: name,
        outstanding: match phase.pace {
            Pace::Outstanding(most) => Some(most),
            Pace::Rate(_) => None,
        },
        publications,
        deliveries,
        seconds,
        publications_per_s: publications as f64 / seconds,
        deliveries_per_s: deliveries as f64 / seconds,
        cpu_us_per_delivery: used
            .filter(|_| deliveries > 0)
            .map(|used| used.total.as_secs_f64() * 1e6 / deliveries as f64),
        cpu_seconds: used.map(|used| used.total.as_secs_f64()),
        cpu_user_seconds: used.map(|used| used.user.as_secs_f64()),
        cpu_system_seconds: used.map(|used| used.system.as_secs_f64()),
        deliveries_per_read: deliveries as f64 / figures.reads.max(1) as f64,
        generator_busy: own_after.saturating_sub(own_before).as_secs_f64() / took.as_secs_f64(),
        latency_us: Latency::of(&figures.latency),
        answering_us: Some(Latency::of(&figures.answering)),
        stalled: figures.stalled,
    })
}
