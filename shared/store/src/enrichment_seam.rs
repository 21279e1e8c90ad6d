//! The seam to what targets add to entities for their readers.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreError;
use tideline_core::words::{EntityRef, Sequence, Timestamp};

/// What each target (by its name) adds to an entity: for a mock, the addresses of servers.
pub type Additions = BTreeMap<String, Vec<String>>;

/// An entity as one of its sources gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalEntity {
    /// Name of the owning source.
    pub source: String,
    /// Its reference.
    pub reference: EntityRef,
    /// Its newest change.
    pub sequence: Sequence,
    /// Canonical JSON text, without what was added.
    pub body: String,
    /// What readers see besides.
    pub additions: Additions,
}

/// What readers of an entity are to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrichment {
    /// Name of the owning source.
    pub source: String,
    /// Whose.
    pub reference: EntityRef,
    /// The change that this was made of.
    pub sequence: Sequence,
    /// All that is added.
    pub additions: Additions,
    /// Canonical JSON text of the entity with it; none: as its source gave it.
    pub body: Option<String>,
}

/// What targets add to entities. The catalog and its feed show it; the fingerprint of an entity stays that of its
/// source's body, so an enrichment never makes a source look different. The source's next write replaces it.
#[async_trait]
pub trait EnrichmentStore: Send + Sync {
    /// The live entities of these references (at most 1,000) as each of their sources gave them, by source and
    /// reference.
    async fn list_originals(&self, references: &[EntityRef]) -> Result<Vec<OriginalEntity>, StoreError>;

    /// Of the changes with these sequences (at most 10,000), the bodies as their sources gave them, where the feed
    /// shows more.
    async fn find_originals(&self, sequences: &[Sequence]) -> Result<Vec<(Sequence, String)>, StoreError>;

    /// Shows this to readers from now on, as a change in the feed. `false`: the entity is gone, or was changed since.
    async fn enrich_entity(&self, enrichment: &Enrichment, now: Timestamp) -> Result<bool, StoreError>;
}
