//! The seam to many small partitions: a worker that has read its partition to the end reads siblings in the same place,
//! and commits many of them together. A partition that is one page, as most children of a large source are, then costs
//! a share of a statement instead of a dozen statements.

use async_trait::async_trait;

use super::StoreError;
use tideline_core::words::{ClaimedJob, Lease, PageBatch, PageMemory, Progress, Timestamp};

/// A partition that is read in the place of another one, its lead.
#[derive(Clone, Debug)]
pub struct Sibling {
    /// The partition, of which nothing was read in this cycle.
    pub job: ClaimedJob,
    /// What the store remembers of its first page.
    pub memory: Option<PageMemory>,
}

/// What a commit of siblings did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiblingsCommitted {
    /// For each batch, the partition's progress as stored, now that it is done. A batch without one was not committed:
    /// it has to be read and committed separately ([`IngestStore`](super::IngestStore)), which also shows why.
    pub done: Vec<Option<Progress>>,
    /// Whether requests to the source may continue.
    pub go_on: bool,
}

/// Partitions that are read one after the other in one place.
#[async_trait]
pub trait SiblingStore: Send + Sync {
    /// Leases waiting partitions of the lead's cycle to the lead's worker, in the order in which they would get a
    /// place. Partitions that were begun before, or that killed a worker, are left out. At most `limit` (1 to 1,000),
    /// and no more than half of what each place would get if all waiting partitions were shared out. They take no place
    /// of their own: the lead's worker reads one at a time, as long as it holds the lead. Empty: no partition is
    /// waiting, the lead's lease is lost, its cycle is not bursting, or its source is paused, blocked or held back.
    ///
    /// A sibling that ends without being done (handed back, failed, its worker died) waits for a place again.
    async fn claim_siblings(&self, lead: Lease, limit: u32, now: Timestamp) -> Result<Vec<Sibling>, StoreError>;

    /// Commits the only page of each of these siblings of one source, and ends them, in one transaction, conditional on
    /// each one's lease. A page that reveals partitions or has a next page does not belong here: it is not committed.
    async fn commit_siblings(&self, batches: &[PageBatch], now: Timestamp) -> Result<SiblingsCommitted, StoreError>;
}

/// Whether the batch is the whole of its partition, which was not read before in this cycle.
pub(super) fn is_whole(batch: &PageBatch) -> bool {
    let fresh = Progress {
        trace: batch.progress.trace,
        ..Progress::default()
    };
    batch.next.is_none()
        && batch.progress == fresh
        && matches!(&batch.pages[..], [page] if page.memory().children.is_empty())
}
