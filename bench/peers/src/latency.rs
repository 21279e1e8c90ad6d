//! Enqueue one job, wait for its handler to start, rest, again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::command::LatencyArgs;

/// Jobs that go first and are not counted: connections, plans and caches become warm.
const WARM_UP: u32 = 20;
/// Longest that one job may take to start.
const LIMIT: Duration = Duration::from_secs(10);

/// The median and the 99th percentile, in milliseconds.
#[derive(Debug)]
pub(crate) struct Percentiles {
    pub(crate) samples: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Times single jobs to an idle worker whose handler reports its start to `starts`.
///
/// # Errors
/// When enqueueing fails, or a job does not start within ten seconds.
pub(crate) async fn measure(
    given: &LatencyArgs,
    starts: &mut UnboundedReceiver<Instant>,
    enqueue: impl AsyncFn(u32) -> Result<()>,
) -> Result<Percentiles> {
    let mut times = Vec::new();
    for index in 0..WARM_UP + given.samples {
        tokio::time::sleep(given.pause).await;
        let before = Instant::now();
        enqueue(index).await?;
        let Ok(started) = tokio::time::timeout(LIMIT, starts.recv()).await else {
            bail!("job {index} did not start within {LIMIT:?}");
        };
        let started = started.context("the worker ended")?;
        if index >= WARM_UP {
            times.push(started.duration_since(before));
        }
    }
    times.sort_unstable();
    Ok(Percentiles {
        samples: times.len(),
        p50_ms: percentile(&times, 50),
        p99_ms: percentile(&times, 99),
    })
}

/// The nearest-rank percentile of sorted times, in milliseconds; 0 of none.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_smallest_time_that_so_many_do_not_exceed() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), 100.0);
        assert_eq!(percentile(&times, 99), 198.0);
        assert_eq!(percentile(&times[..1], 99), 1.0);
        assert_eq!(percentile(&[], 50), 0.0);
    }
}
