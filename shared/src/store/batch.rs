//! What is true of a batch whatever store it goes to.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::StoreError;
use crate::rules::keep_cursor;
use crate::words::{Entity, NewJob, PageBatch, PageWrite, Progress};

/// Most jobs in one batch.
const MAX_JOBS: usize = 1_000;
/// Longest key of a job.
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

/// The args of a partition's job, JSON text.
pub(super) fn partition_args(partition: &str, args: &Value) -> String {
    json!({ "partition": partition, "args": args }).to_string()
}

impl PageBatch {
    /// The number of the page that comes after these.
    pub(super) fn pages_after(&self) -> u32 {
        let pages = u32::try_from(self.pages.len()).unwrap_or(u32::MAX);
        self.progress.next_page.saturating_add(pages)
    }

    /// Whether a partition that stands there has these pages already: their commit was done, and its answer lost.
    pub(super) fn is_committed(&self, progress: &Progress, cursor: Option<&str>) -> bool {
        !self.pages.is_empty()
            && progress.next_page == self.pages_after()
            && progress.restarts == self.progress.restarts
            && cursor == self.next.as_deref()
    }

    /// Progress after these pages, if they added and modified so many entities.
    pub(super) fn progress_after(&self, added: u64, modified: u64) -> Progress {
        let mut progress = Progress {
            next_page: self.pages_after(),
            finished: self.next.is_none(),
            ..self.progress
        };
        progress.pages += self.pages.len() as u64;
        let mut marked = 0;
        for (number, page) in (self.progress.next_page.saturating_add(1)..).zip(&self.pages) {
            let memory = page.memory();
            if let Some(next) = &memory.next {
                progress.kept_cursor = keep_cursor(progress.kept_cursor, number, next);
            }
            marked += u64::from(memory.entities);
            progress.unidentified += u64::from(memory.unidentified);
            match page {
                PageWrite::Touched { .. } => {
                    progress.pages_unchanged += 1;
                    progress.malformed += u64::from(memory.unidentified);
                }
                PageWrite::Written { malformed, .. } => progress.malformed += malformed.len() as u64,
            }
        }
        progress.entities += marked;
        progress.added += added;
        progress.modified += modified;
        progress.unchanged += marked.saturating_sub(added + modified);
        progress
    }

    /// The entities of the written pages, each reference once, as the last page has it: what it was on the way there is no
    /// change.
    pub(super) fn newest_entities(&self) -> Vec<&Entity> {
        let mut pages = self.pages.iter().filter_map(|page| match page {
            PageWrite::Written { entities, .. } => Some(entities),
            PageWrite::Touched { .. } => None,
        });
        let mut newest: Vec<&Entity> = pages.next().into_iter().flatten().collect();
        let mut places: Option<HashMap<&str, usize>> = None;
        for entities in pages {
            let places = places.get_or_insert_with(|| {
                let placed = newest.iter().copied().enumerate();
                placed
                    .map(|(place, entity)| (entity.reference.as_str(), place))
                    .collect()
            });
            for entity in entities {
                match places.get(entity.reference.as_str()) {
                    Some(&place) => newest[place] = entity,
                    None => {
                        places.insert(entity.reference.as_str(), newest.len());
                        newest.push(entity);
                    }
                }
            }
        }
        newest
    }
}
