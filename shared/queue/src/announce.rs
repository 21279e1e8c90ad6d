//! What follows an enqueueing: the store takes the jobs for hinted at, so that without a hint they would wait to be
//! noticed.

use tideline_core::full_text;
use tideline_core::words::{Enqueued, JobId, NewJob, Timestamp, Token};

use super::{Hint, Queue};

/// Hints at those of these jobs of one kind that are due, and wakes the schedulers if others become due later. A hint
/// that cannot be sent is logged; its jobs run all the same, later. `trace` is what their attempts are linked to.
pub async fn announce(queue: &dyn Queue, jobs: &[NewJob], enqueued: &[Enqueued], trace: Option<&str>, now: Timestamp) {
    let Some(first) = jobs.first() else { return };
    let due: Vec<(JobId, Token)> = (jobs.iter().zip(enqueued))
        .filter(|(job, answer)| answer.claimable && job.due_at <= now)
        .map(|(_, answer)| (answer.job, answer.token))
        .collect();
    if let Err(error) = queue.publish(&Hint::spread(&first.kind, &due, trace)).await {
        let error = full_text(&error);
        tracing::debug!(error, "hints not sent; workers claim from the store");
    }
    if jobs.iter().any(|job| job.due_at > now) {
        queue.wake().await;
    }
}
