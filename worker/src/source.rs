//! The seam to sources: implement it for a source that no configuration can describe.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use tideline_core::words::{
    ChildPartition, CycleNumber, EntityRef, KeyHash, MalformedItem, PageMemory, Timestamp, Validators,
};
use tideline_store::CatalogStore;
use url::Url;

/// A paginated source.
#[async_trait]
pub trait Source: Send + Sync {
    /// Reads one page. The caller limits the time and retries a failed read on the ladder, with the same request.
    async fn read_page(&self, request: PageRequest<'_>) -> Result<Page, SourceError>;

    /// Rereads one item, because an event named it. The caller limits the time.
    async fn read_item(&self, _: ItemRequest<'_>) -> Result<ItemContent, SourceError> {
        Err(SourceError::new(
            ErrorClass::Permanent,
            "this source cannot read a single item; refresh a partition or the source",
        ))
    }

    /// Requests the data that an event lacks, according to a rule of the source's `on`, and makes the body of another
    /// event of it. The event is JSON with the members that rules see. The caller limits the time.
    async fn complete_event(&self, _rule: usize, _: &Map<String, Value>, _event: &str) -> Result<Value, SourceError> {
        Err(SourceError::new(
            ErrorClass::Permanent,
            "this source cannot fetch what an event lacks",
        ))
    }

    /// Reads a document from the same location as the source's entities, such as one beside the file of an entity. The
    /// caller limits the time.
    async fn read_document(&self, _: &DocumentPlace, _max_bytes: u64) -> Result<Document, SourceError> {
        Ok(Document::Elsewhere)
    }

    /// Partitions that are read beside the root partition, whether or not its first page can be read. That page reveals
    /// them too.
    fn roots(&self) -> Vec<ChildPartition> {
        Vec::new()
    }

    /// The partition of a resource (none: the root) with these values of its parents, as the page that reveals it names
    /// it.
    fn partition(&self, _resource: Option<&str>, _values: &Map<String, Value>) -> Option<ChildPartition> {
        None
    }

    /// The common prefix of the keys of all partitions of a resource with these values, which need not be complete.
    fn partition_prefix(&self, _resource: Option<&str>, _values: &Map<String, Value>) -> Option<String> {
        None
    }

    /// The item of a request as pages name it ([`Item::MadeBy`]); none: unknown.
    fn item(&self, _: ItemRequest<'_>) -> Option<KeyHash> {
        None
    }

    /// Whether its request limit is divided among the workers that read it.
    fn has_shared_limit(&self) -> bool {
        false
    }

    /// The number of workers that read the source.
    fn share(&self, _workers: u32) {}

    /// Provides access to the catalog before the first reading, for a source that compares its readings with it. A
    /// source that is only tried gets none.
    fn attach(&self, _catalog: Arc<dyn CatalogStore>) {}
}

/// The location of a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DocumentPlace {
    /// At this URL.
    Url(Url),
    /// In the source's folder, at this path.
    File(String),
}

/// The content at a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// These bytes.
    Found(Vec<u8>),
    /// Nothing, or nothing visible.
    Missing,
    /// More bytes than allowed.
    TooLong,
    /// The location does not belong to this source.
    Elsewhere,
}

/// Which item.
#[derive(Clone, Copy, Debug)]
pub struct ItemRequest<'a> {
    /// Its resource; none: the first one.
    pub resource: Option<&'a str>,
    /// The event's data about it.
    pub values: &'a Map<String, Value>,
}

/// The source's state of an item.
#[derive(Debug)]
pub enum ItemContent {
    /// The entities it makes, and what is malformed.
    Found(Vec<Item>),
    /// The source has no such item, or does not show it (lost access looks the same).
    Missing {
        /// The reference of its entity, if the values determine it.
        reference: Option<EntityRef>,
    },
}

/// Which page.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest<'a> {
    /// The partition's key: the source's name for the root partition.
    pub partition: &'a str,
    /// The values passed on by its parent; `{}` for the root partition.
    pub args: &'a Value,
    /// Where the page starts; none: the partition's first page. Never null.
    pub cursor: Option<&'a Value>,
    /// The memory of the page with this number from last time. Its validators apply only to the same request.
    pub memory: Option<&'a PageMemory>,
    /// The pass over the partition.
    pub pass: Pass,
}

/// A pass over the pages of a partition, possibly by several workers: a source keeps state from page to page only
/// within one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pass {
    /// A trial, which writes nothing.
    #[default]
    Trial,
    /// The pass of this cycle.
    Cycle(CycleNumber),
    /// The pass of a refresh that began at this time.
    Refresh(Timestamp),
}

/// One page.
#[derive(Debug)]
pub struct Page {
    /// What is on it.
    pub content: PageContent,
    /// Where the next page starts; none: the partition is finished. Ignored if the page is unchanged.
    pub next: Option<Value>,
    /// Partitions it reveals. Ignored if the page is unchanged.
    pub children: Vec<ChildPartition>,
    /// For the next conditional request.
    pub validators: Validators,
    /// How long no further requests may be sent to this source (its own limits).
    pub hold: Option<Duration>,
    /// Why the next page cannot be determined, although this is not the last one. The page is stored first; `next` is
    /// ignored then.
    pub failure: Option<SourceError>,
}

/// What is on a page.
#[derive(Debug)]
pub enum PageContent {
    /// These items.
    Items(Vec<Item>),
    /// Unchanged since `memory`, byte for byte: 304, or the same content. `next` and `children` are the remembered
    /// ones.
    Unchanged,
}

/// One item of a page.
#[derive(Debug)]
pub enum Item {
    /// An entity: its reference, and its body as JSON text (in any form; it is made canonical later).
    Entity {
        /// The reference.
        reference: EntityRef,
        /// JSON text.
        body: String,
    },
    /// Not an entity; reported, the page goes on.
    Malformed(MalformedItem),
    /// The entities that follow, up to the next marker, were made by this item (none: unknown). Set by sources that can
    /// reread an item, so that such a reading knows what the item no longer makes.
    MadeBy(Option<KeyHash>),
}

/// The class of a failed read, which decides what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// May work later: climbs the ladder. Waits at least `retry_after`, if the source gave one; then the whole source
    /// is held back.
    Transient {
        /// From `Retry-After` or rate-limit headers.
        retry_after: Option<Duration>,
    },
    /// Will not work later: the partition is parked.
    Permanent,
    /// Nothing of the source can work until its configuration is fixed: the source is blocked.
    Config,
    /// The cursor is no longer known: the partition starts over, a bounded number of times per cycle.
    CursorExpired,
}

/// Why a page could not be read. The text has no secrets: no query values, no headers, no user names in URLs.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// What happens next.
    pub class: ErrorClass,
    /// What, where, what to do.
    pub message: String,
    /// What caused it.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl SourceError {
    /// An error without a cause of its own.
    #[must_use]
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            source: None,
        }
    }
}
