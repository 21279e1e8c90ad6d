//! The seam to what is read: write one of these for a source that no configuration can describe.

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

/// Something paginated to read.
#[async_trait]
pub trait Source: Send + Sync {
    /// Reads one page. The caller limits the time and repeats a failed read on the ladder, with the same request.
    async fn read_page(&self, request: PageRequest<'_>) -> Result<Page, SourceError>;

    /// Reads one item again, because an event named it. The caller limits the time.
    async fn read_item(&self, _: ItemRequest<'_>) -> Result<ItemContent, SourceError> {
        Err(SourceError::new(
            ErrorClass::Permanent,
            "this source cannot read a single item; refresh a partition or the source",
        ))
    }

    /// Asks for what an event lacks, as a rule of the source's `on` says, and makes the body of another event of it. The event is
    /// JSON with the members that rules see. The caller limits the time.
    async fn complete_event(&self, _rule: usize, _: &Map<String, Value>, _event: &str) -> Result<Value, SourceError> {
        Err(SourceError::new(
            ErrorClass::Permanent,
            "this source cannot fetch what an event lacks",
        ))
    }

    /// Reads a document that lies where the source's entities lie, such as one beside the file of an entity. The caller limits the
    /// time.
    async fn read_document(&self, _: &DocumentPlace, _max_bytes: u64) -> Result<Document, SourceError> {
        Ok(Document::Elsewhere)
    }

    /// Partitions that are read beside the root partition, whether or not its first page can be read. That page reveals them too.
    fn roots(&self) -> Vec<ChildPartition> {
        Vec::new()
    }

    /// The partition of a resource (none: the root) with these values of its parents, as the page that reveals it names it.
    fn partition(&self, _resource: Option<&str>, _values: &Map<String, Value>) -> Option<ChildPartition> {
        None
    }

    /// What the keys of all partitions of a resource begin with that have these values, which need not be complete.
    fn partition_prefix(&self, _resource: Option<&str>, _values: &Map<String, Value>) -> Option<String> {
        None
    }

    /// The item of a request as pages name it ([`Item::MadeBy`]); none: it cannot be told.
    fn item(&self, _: ItemRequest<'_>) -> Option<KeyHash> {
        None
    }

    /// Whether a limit of its requests is divided by the workers that read it.
    fn has_shared_limit(&self) -> bool {
        false
    }

    /// The number of workers that read the source.
    fn share(&self, _workers: u32) {}

    /// Hands over what the catalog has, before the first reading, for a source that compares what it reads with it. A source
    /// that is only tried has none.
    fn attach(&self, _catalog: Arc<dyn CatalogStore>) {}
}

/// Where a document is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DocumentPlace {
    /// At this URL.
    Url(Url),
    /// In the source's folder, at this path.
    File(String),
}

/// What there is at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// These bytes.
    Found(Vec<u8>),
    /// Nothing, or nothing that is shown.
    Missing,
    /// More bytes than allowed.
    TooLong,
    /// The place is not one of this source's.
    Elsewhere,
}

/// Which item.
#[derive(Clone, Copy, Debug)]
pub struct ItemRequest<'a> {
    /// Its resource; none: the first one.
    pub resource: Option<&'a str>,
    /// What the event said of it.
    pub values: &'a Map<String, Value>,
}

/// What the source has of an item.
#[derive(Debug)]
pub enum ItemContent {
    /// The entities it makes, and what is malformed.
    Found(Vec<Item>),
    /// It has no such item, or does not show it (lost rights look the same).
    Missing {
        /// Whose entity it was, if the values tell.
        reference: Option<EntityRef>,
    },
}

/// Which page.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest<'a> {
    /// The partition's key: the source's name for the root partition.
    pub partition: &'a str,
    /// What its parent handed to it; `{}` for the root partition.
    pub args: &'a Value,
    /// Where the page starts; none: the partition's first page. Never null.
    pub cursor: Option<&'a Value>,
    /// What is remembered of the page with this number from last time. Its validators are for the same request only.
    pub memory: Option<&'a PageMemory>,
    /// In which pass over the partition.
    pub pass: Pass,
}

/// A pass over the pages of a partition, by whichever workers: what a source keeps from page to page is of one pass only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pass {
    /// A trial, of which nothing is written.
    #[default]
    Trial,
    /// The one of this cycle.
    Cycle(CycleNumber),
    /// A refresh that began then.
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
    /// What `memory` says, byte for byte: 304, or the same content again. `next` and `children` are the remembered ones.
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
    /// Nothing of the source can work until its configuration is mended: the source is blocked.
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
