//! Rules for jobs, shared by all stores.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::StoreError;
use tideline_core::words::{ChildPartition, NewJob};

/// Maximum number of jobs in one batch.
const MAX_JOBS: usize = 1_000;
/// Maximum length of a job's key.
const MAX_KEY_BYTES: usize = 512;

/// Refuses jobs that cannot be enqueued together.
pub(super) fn check_jobs(jobs: &[NewJob]) -> Result<(), StoreError> {
    if jobs.len() > MAX_JOBS {
        let count = jobs.len();
        return Err(StoreError::Refused(format!(
            "a batch has at most {MAX_JOBS} jobs, not {count}"
        )));
    }
    let mut seen = HashSet::with_capacity(jobs.len());
    for job in jobs {
        let why = if job.kind == "ingest" {
            "partitions are made by cycles only"
        } else if job.kind.is_empty() {
            "its kind is empty"
        } else if job.key.len() > MAX_KEY_BYTES {
            "its key is longer than 512 bytes"
        } else if !seen.insert((job.kind.as_str(), job.key.as_str())) {
            "it is in the batch twice"
        } else {
            continue;
        };
        let key: String = job.key.chars().take(100).collect();
        return Err(StoreError::Refused(format!(
            "job {} {key} cannot be enqueued: {why}",
            job.kind
        )));
    }
    Ok(())
}

/// The inverse of [`partition_args`], with the partition's key. None: another release wrote it.
pub(super) fn read_partition(key: String, args: &str) -> Option<ChildPartition> {
    let mut args: Value = serde_json::from_str(args).ok()?;
    Some(ChildPartition {
        key,
        args: args.get_mut("args")?.take(),
    })
}

/// The args of a partition's job, JSON text.
pub(super) fn partition_args(partition: &str, args: &Value) -> String {
    json!({ "partition": partition, "args": args }).to_string()
}
