//! Sends hints for jobs that became due, and resends them for jobs that no worker claimed. A lost hint costs only time.

use std::sync::Arc;

use async_trait::async_trait;
use tideline_config::settings::SchedulerSettings;
use tideline_core::clock::Clock;
use tideline_queue::{Hint, Queue};
use tideline_runtime::Pace;
use tideline_runtime::telemetry::metrics;
use tideline_store::{DueJob, JobStore, StoreError};

use crate::scheduler::Task;

/// Due jobs taken with one statement.
const BATCH: u32 = 5_000;

/// See the module.
pub struct Dispatch {
    /// Knows what is due.
    pub store: Arc<dyn JobStore>,
    /// Carries the hints.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// `resend_after`.
    pub settings: SchedulerSettings,
}

#[async_trait]
impl Task for Dispatch {
    /// Sends hints for everything that is due now, then waits for the next due time, or until these hints should have
    /// been answered. A queue failure is not an error: the hints are resent after `scheduler.resend_after`, and workers
    /// poll the store meanwhile.
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let now = self.clock.now();
        let resend_after = i64::try_from(self.settings.resend_after.as_millis()).unwrap_or(i64::MAX);
        let due = self.store.take_due(BATCH, resend_after, now).await?;
        let full = due.len() >= BATCH as usize;
        let answered_by = (!due.is_empty()).then(|| now.plus(self.settings.resend_after));
        if !due.is_empty() {
            for job in due.iter().filter(|job| job.resent) {
                metrics::hints_resent(&job.kind, 1);
            }
            let hints = hints(due);
            let sent = self.queue.publish(&hints).await;
            for hint in &hints {
                let count = if sent.is_ok() {
                    metrics::hints_sent
                } else {
                    metrics::hints_failed
                };
                count(&hint.kind, hint.jobs.len() as u64);
            }
            if let Err(error) = sent {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "hints not sent; workers claim from the store"
                );
            }
        }
        if full {
            return Ok(Pace::Again);
        }
        let next = [self.store.next_due(now).await?, answered_by];
        Ok(next.into_iter().flatten().min().map_or(Pace::Idle, Pace::Until))
    }
}

/// Hints for these jobs, in as few messages as possible.
fn hints(mut due: Vec<DueJob>) -> Vec<Hint> {
    due.sort_by(|a, b| a.kind.cmp(&b.kind));
    due.chunk_by(|a, b| a.kind == b.kind)
        .flat_map(|of_kind| {
            let jobs: Vec<_> = of_kind.iter().map(|job| (job.job, job.token)).collect();
            Hint::spread(&of_kind[0].kind, &jobs, None)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tideline_core::words::{JobId, Timestamp, Token};

    use super::*;

    #[test]
    fn a_hint_has_jobs_of_one_kind_and_every_due_job_has_one() {
        let due = (0..1_201)
            .map(|number| DueJob {
                kind: if number % 3 == 0 { "a" } else { "b" }.to_owned(),
                job: JobId(number),
                token: Token(1),
                due_at: Timestamp(0),
                resent: false,
            })
            .collect();
        let mut jobs = [0, 0];
        for hint in hints(due) {
            for (job, _) in hint.jobs {
                assert_eq!(hint.kind, if job.0 % 3 == 0 { "a" } else { "b" });
                jobs[usize::from(hint.kind == "b")] += 1;
            }
        }
        assert_eq!(jobs, [401, 800]);
    }
}
