//! What the jobs of a target are traced back to: the bursts that wrote the changes.

use std::collections::BTreeMap;

use tideline_core::words::{Change, Progress, Timestamp, TraceParent};
use tideline_store::{JobFilter, Store, StoreError};

/// Maximum number of sources whose bursts are searched, and of partitions of each.
const SOURCES: usize = 5;
const PARTITIONS: u32 = 100;
/// Maximum number of bursts that one span is linked to.
const LINKS: usize = 20;

/// The `traceparent`s of the newest bursts of the partitions that were written to since these changes. A change does
/// not say which partition it came from, so there may be more than one for it.
pub(crate) async fn bursts(store: &dyn Store, changes: &[&Change]) -> Result<Vec<String>, StoreError> {
    let mut since: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for change in changes {
        let since = since.entry(&change.source).or_insert(change.changed_at);
        *since = change.changed_at.min(*since);
    }
    let mut found = Vec::new();
    for (source, since) in since.into_iter().take(SOURCES) {
        let filter = JobFilter {
            source: Some(source.to_owned()),
            limit: PARTITIONS,
            ..JobFilter::default()
        };
        let partitions = store.list_jobs(&filter).await?;
        let written = partitions.iter().filter(|partition| partition.updated_at >= since);
        let traces = written.filter_map(|partition| {
            let progress: Progress = serde_json::from_str(partition.progress.as_deref()?).ok()?;
            progress.trace.as_ref().map(TraceParent::as_str).map(str::to_owned)
        });
        found.extend(traces);
    }
    found.truncate(LINKS);
    Ok(found)
}
