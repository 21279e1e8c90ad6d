use serde::{Deserialize, Serialize};

use super::{CycleNumber, Entity, EntityRef, Fingerprint, KeyHash, Lease, SourceId, Timestamp, TraceParent};

/// What a conditional request sends back (RFC 9110, sections 8.8 and 13.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// SHA-256 over the request: method, URL, body and the credential's identity. Validators are sent only with the
    /// same request.
    pub request: Option<Fingerprint>,
    /// `ETag`, byte for byte.
    pub etag: Option<String>,
    /// `Last-Modified`, byte for byte.
    pub last_modified: Option<String>,
    /// SHA-256 over the raw response (body, and the headers that determine the next page): an equal response need not
    /// be parsed.
    pub content: Option<Fingerprint>,
}

/// An independently paginated part that a page revealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildPartition {
    /// Unique within the source, at most 400 bytes: `projects/acme`.
    pub key: String,
    /// JSON: what the source needs to read it (values of the parent).
    pub args: serde_json::Value,
}

/// The store's memory of a page from the last time it was read: the page's manifest without its key hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageMemory {
    /// 0, 1, 2 … within its partition.
    pub page: u32,
    /// Over the (reference, fingerprint) pairs in order.
    pub fingerprint: Fingerprint,
    /// How many entities are marked by it.
    pub entities: u32,
    /// Of these, how many are not written from it: malformed items that have a name, and what another place wins
    /// (`lost`).
    pub kept: u32,
    /// Items on it that were malformed and could not be named.
    pub unidentified: u32,
    /// JSON text of the cursor that followed it; none: it was the last one.
    pub next: Option<String>,
    /// The partitions it revealed.
    pub children: Vec<ChildPartition>,
    /// For the next conditional request.
    pub validators: Validators,
    /// When its newest reading began, or a little later (the store keeps one moment for pages that are committed
    /// together).
    pub read_at: Timestamp,
    /// Entities on it that are marked and not written from it, because another place of the source shows the same
    /// reference and wins; as the newest complete cycle found it.
    pub lost: Vec<KeyHash>,
}

impl PageMemory {
    /// Items on it that are malformed and have a name: the catalog keeps what it has of them.
    #[must_use]
    pub fn named_malformed(&self) -> u32 {
        self.kept
            .saturating_sub(u32::try_from(self.lost.len()).unwrap_or(u32::MAX))
    }

    /// The memory of a page with a key that a delta has written since: it must not count as unchanged, so nothing
    /// equals it.
    #[must_use]
    pub fn without_content(self) -> Self {
        Self {
            fingerprint: Fingerprint::default(),
            validators: Validators::default(),
            ..self
        }
    }
}

/// An item that could not be made an entity. Its page goes on without it; if it has a name, what the catalog has stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MalformedItem {
    /// Whose record it is, if that can be told.
    #[serde(rename = "ref")]
    pub reference: Option<EntityRef>,
    /// What is wrong with it.
    pub error: String,
    /// The first bytes of it, redacted, at most 500.
    pub sample: String,
}

/// A malformed item as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MalformedRecord {
    /// Name of the source.
    pub source: String,
    /// When in.
    pub cycle: CycleNumber,
    /// Partition it was on.
    pub partition: String,
    /// Page it was on.
    pub page: u32,
    /// The item.
    #[serde(flatten)]
    pub item: MalformedItem,
    /// When it was seen.
    pub seen_at: Timestamp,
}

/// One page to commit.
#[derive(Clone, Debug)]
pub enum PageWrite {
    /// The page is unchanged: mark what its manifest holds, without look-ups.
    Touched {
        /// Its memory, of which `page`, `entities`, `unidentified`, `next`, `children` and `read_at` are used.
        memory: PageMemory,
        /// New validators, if they (or the next cursor) differ: `memory.next` is then stored with them.
        validators: Option<Validators>,
    },
    /// The page differs from the memory, or there is none.
    Written {
        /// Its new memory.
        memory: PageMemory,
        /// The entities on it, at most one per reference.
        entities: Vec<Entity>,
        /// Key hashes of named malformed items: marked, so that they are not swept.
        kept: Vec<KeyHash>,
        /// The malformed items.
        malformed: Vec<MalformedItem>,
        /// Which item made each of the entities ([`item_hash`](super::item_hash)), in their order; empty if the source
        /// does not tell.
        makers: Vec<KeyHash>,
    },
}

impl PageWrite {
    /// What is remembered of the page.
    #[must_use]
    pub fn memory(&self) -> &PageMemory {
        match self {
            Self::Touched { memory, .. } | Self::Written { memory, .. } => memory,
        }
    }

    /// The entities that are written from it; none if it is unchanged.
    #[must_use]
    pub fn entities(&self) -> &[Entity] {
        match self {
            Self::Touched { .. } => &[],
            Self::Written { entities, .. } => entities,
        }
    }
}

/// Consecutive pages of one partition, committed together or not at all.
#[derive(Clone, Debug)]
pub struct PageBatch {
    /// The fence.
    pub lease: Lease,
    /// The owning source.
    pub source: SourceId,
    /// The cycle that marks.
    pub cycle: CycleNumber,
    /// Key of the partition (for reports).
    pub partition: String,
    /// In order of reading; the first is `progress.next_page`.
    pub pages: Vec<PageWrite>,
    /// JSON text of the cursor after the last of them; none if the partition is finished.
    pub next: Option<String>,
    /// Progress before these pages.
    pub progress: Progress,
    /// Malformed items kept per source; older ones go first (`malformed.keep`).
    pub malformed_keep: u32,
}

/// What a commit did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// All of it.
    Committed {
        /// Progress after these pages, as stored.
        progress: Progress,
        /// No request to this source before this moment (another worker may have been told so).
        hold_until: Option<Timestamp>,
        /// The source was paused: stop after this page.
        paused: bool,
    },
    /// Nothing: the lease was taken over, or its cycle was cancelled. Stop at once.
    LeaseLost,
    /// Nothing: a page reported as unchanged has a key that a delta wrote before its reading began. List the memories
    /// and read again from the partition's cursor.
    ReadAgain,
}

/// The progress of a partition within its cycle: kept in the job's row as JSON text, written by page commits only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Number of the next page. Goes on counting when an expired cursor restarts the partition.
    pub next_page: u32,
    /// The last page was committed.
    pub finished: bool,
    /// Restarts after an expired cursor in this cycle.
    pub restarts: u32,
    /// SHA-256 of the cursor of the newest page whose number is a power of two: if it recurs, the cursors form a cycle,
    /// no matter how many bursts that takes. None after a restart, which meets the same cursors again.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "Fingerprint::as_hex",
        deserialize_with = "Fingerprint::of_hex"
    )]
    pub kept_cursor: Option<Fingerprint>,
    /// Pages committed, and those of them that were touched only.
    pub pages: u64,
    /// Unchanged pages.
    pub pages_unchanged: u64,
    /// Entities marked, besides those that only a malformed item names.
    pub entities: u64,
    /// Of these, new ones.
    pub added: u64,
    /// Of these, ones with another fingerprint.
    pub modified: u64,
    /// Of these, the rest.
    pub unchanged: u64,
    /// Malformed items.
    pub malformed: u64,
    /// Malformed items without a name: a cycle with any of them does not sweep.
    pub unidentified: u64,
    /// The burst that committed the newest of these pages, for the link of the next one.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "TraceParent::lenient")]
    pub trace: Option<TraceParent>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_keeps_a_cursors_hash_and_what_an_older_release_wrote_has_none() {
        let progress = Progress {
            kept_cursor: Some(Fingerprint([7; 32])),
            ..Progress::default()
        };
        let text = serde_json::to_string(&progress).unwrap();
        assert!(text.contains(&"07".repeat(32)), "{text}");
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
        let older = serde_json::to_string(&Progress::default()).unwrap();
        assert!(!older.contains("kept_cursor"), "{older}");
        assert_eq!(serde_json::from_str::<Progress>(&older).unwrap(), Progress::default());
    }
}
