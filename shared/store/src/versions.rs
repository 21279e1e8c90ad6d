//! The seam to earlier states of modified entities: for people who want to see what changed. The feed and its readers
//! do not use it.

use std::time::Duration;

use async_trait::async_trait;
use tideline_core::words::{EntityRef, Sequence, SourceId, Timestamp};

use super::StoreError;

/// An earlier state of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The number of the change that led to this state.
    pub sequence: Sequence,
    /// When that was.
    pub changed_at: Timestamp,
    /// Its body, canonical JSON.
    pub body: String,
}

impl Version {
    /// How long versions are kept after they were replaced.
    pub const KEPT: Duration = Duration::from_secs(7 * 86_400);
    /// Maximum number of versions kept for all entities together.
    pub const MAX_KEPT: u32 = 200_000;
    /// Longer bodies are not kept, in bytes.
    pub const MAX_BYTES: u32 = 64 * 1024;
    /// A commit that modifies more entities keeps none: that is not an edit that a person would review, and keeping
    /// them all would double what it writes.
    pub const MAX_TOGETHER: usize = 1_000;
}

/// Earlier states of entities.
#[async_trait]
pub trait VersionStore: Send + Sync {
    /// The earlier states of an entity, newest first. At most `limit` (1 to 100).
    async fn list_versions(
        &self,
        source: SourceId,
        reference: &EntityRef,
        limit: u32,
    ) -> Result<Vec<Version>, StoreError>;

    /// Deletes up to `limit` versions: those replaced before `before`, and those beyond [`Version::MAX_KEPT`]; returns
    /// how many.
    async fn prune_versions(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}
