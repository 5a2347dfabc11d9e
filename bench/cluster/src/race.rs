//! What every contestant has to do: take publications while somebody follows, at full speed and at a pace, and give all of it back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::{Task, cpu};

/// The data of the last publication, behind which nobody follows any more.
pub(crate) const END: &str = "end";
/// How often something is published at a pace, and how many times.
const PACE: (Duration, usize) = (Duration::from_millis(5), 200);
/// How many publications the log is filled up with at once.
const FILLED: u64 = 4_096;

/// A log, and the way to it that is measured. Its clones are the same log.
pub(crate) trait Log: Clone + Send + Sync + 'static {
    /// Stores an event, and says where: a number that its delivery has, too.
    fn publish(&self, data: &str) -> impl Future<Output = anyhow::Result<u64>> + Send;

    /// Begins to follow: what is stored when this is answered, and everything behind it, is told, up to [`END`].
    fn follow(&self, arrivals: Arrivals) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Reads so many entries from the beginning, and says how long it took.
    fn replay(&self, count: u64) -> impl Future<Output = anyhow::Result<Duration>> + Send;
}

/// Where a delivery is told.
pub(crate) struct Arrivals {
    count: Arc<AtomicU64>,
    each: mpsc::UnboundedSender<(u64, Instant)>,
}

impl Arrivals {
    pub(crate) fn arrived(&self, place: u64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        // Nobody is there to be told only when the race has failed.
        let _ = self.each.send((place, Instant::now()));
    }
}

/// What one of them did.
pub(crate) struct Done {
    pub(crate) published_per_second: f64,
    /// In microseconds of this process, for one publication that was stored and came back.
    pub(crate) cpu: f64,
    /// From the call that publishes to the delivery, in milliseconds, sorted.
    pub(crate) latencies: Vec<f64>,
    pub(crate) replayed_per_second: f64,
}

pub(crate) async fn run(task: &Task, log: &impl Log) -> anyhow::Result<Done> {
    let arrived = Arc::new(AtomicU64::new(0));
    let (each, mut deliveries) = mpsc::unbounded_channel();
    log.follow(Arrivals { count: arrived.clone(), each }).await?;

    let (begin, cpu_before) = (Instant::now(), cpu::used()?);
    let published = Arc::new(AtomicU64::new(0));
    let publishers = (0..task.in_flight).map(|_| {
        let (log, data, time, published) = (log.clone(), task.data.clone(), task.time, published.clone());
        tokio::spawn(async move {
            while begin.elapsed() < time {
                log.publish(&data).await?;
                published.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await??;
    }
    let took = begin.elapsed();
    let published = published.load(Ordering::Relaxed);
    while arrived.load(Ordering::Relaxed) < published {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let cpu = (cpu::used()? - cpu_before).as_secs_f64() * 1e6 / published as f64;

    let mut sent = Vec::new();
    let mut rhythm = tokio::time::interval(PACE.0);
    for _ in 0..PACE.1 {
        rhythm.tick().await;
        let at = Instant::now();
        sent.push((log.publish(&task.data).await?, at));
    }
    log.publish(END).await?;
    let mut came = Vec::new();
    // It ends where whoever follows does.
    while let Some(delivery) = deliveries.recv().await {
        came.push(delivery);
    }
    let all = published + PACE.1 as u64 + 1;
    anyhow::ensure!(came.len() as u64 == all, "{} of {all} came", came.len());
    let mut latencies: Vec<f64> = sent
        .iter()
        .filter_map(|(place, at)| {
            let (_, came) = came.iter().rev().find(|(came, _)| came == place)?;
            Some((*came - *at).as_secs_f64() * 1e3)
        })
        .collect();
    anyhow::ensure!(latencies.len() == PACE.1, "{} of {} were told of", latencies.len(), PACE.1);
    latencies.sort_by(f64::total_cmp);

    let mut left = task.replayed.saturating_sub(all);
    while left > 0 {
        let now = left.min(FILLED);
        let publishing = (0..now).map(|_| log.publish(&task.data));
        futures_util::future::try_join_all(publishing).await?;
        left -= now;
    }
    let replayed = log.replay(task.replayed).await?;
    Ok(Done {
        published_per_second: published as f64 / took.as_secs_f64(),
        cpu,
        latencies,
        replayed_per_second: task.replayed as f64 / replayed.as_secs_f64(),
    })
}
