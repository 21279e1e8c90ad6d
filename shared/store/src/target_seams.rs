//! The seam to the state of targets.

use async_trait::async_trait;

use super::StoreError;
use tideline_core::words::{
    EntityRef, Fingerprint, TargetCounts, TargetEntity, TargetHold, TargetLook, TargetObject, TargetPlace,
    TargetRecord, TargetSpec, TargetState, Timestamp, Trigger,
};

type Answer<T> = Result<T, StoreError>;

/// An operator's command on a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetCommand {
    /// Send it nothing.
    Pause,
    /// Go on.
    Resume,
    /// Check everything again, including what was refused, and follow the feed from its start.
    Resync,
}

impl TargetCommand {
    /// Applies it to a target. `Refused` if the target's state does not allow it.
    pub(super) fn apply(self, record: &mut TargetRecord, now: Timestamp) -> Answer<()> {
        let name = &record.name;
        match (self, record.state) {
            (Self::Pause, _) => record.state = TargetState::Paused,
            (Self::Resume, TargetState::Active) => {
                return Err(StoreError::Refused(format!("target {name} is not paused")));
            }
            (Self::Resume, TargetState::Paused) => record.state = TargetState::Active,
            (Self::Resync, _) if !record.configured => {
                return Err(StoreError::Refused(format!(
                    "target {name}: it is not in the configuration"
                )));
            }
            (Self::Resync, _) => {
                let place = &mut record.place;
                *place = TargetPlace {
                    look: Some(TargetLook {
                        began_at: now,
                        after: None,
                        trigger: Trigger::Manual,
                    }),
                    looked_at: Some(now),
                    starts: place.starts + 1,
                    ..TargetPlace::default()
                };
            }
        }
        Ok(())
    }

    /// Its name in the audit log.
    #[must_use]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pause => "targets.pause",
            Self::Resume => "targets.resume",
            Self::Resync => "targets.resync",
        }
    }
}

/// The keys of a target's jobs, its name, a slash, and the entity: from the first of these on, and before the other.
pub(super) fn keys_of(target: &str) -> (String, String) {
    // `0` is what follows `/`.
    (format!("{target}/"), format!("{target}0"))
}

/// A fingerprint as its column has it.
pub(super) fn print_text(print: Option<Fingerprint>) -> Option<String> {
    print.map(|print| print.to_string())
}

pub(super) fn no_target(name: &str) -> StoreError {
    StoreError::NotFound {
        what: "target",
        name: name.to_owned(),
    }
}

/// The outcome of an attempt for an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSettled {
    /// Which entity.
    pub reference: EntityRef,
    /// Why it is out of sync; none: it is in sync.
    pub error: Option<String>,
    /// Digest of what the target has now, if changes are compared with it.
    pub sent: Option<Fingerprint>,
}

/// What a follower saw of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetNote {
    /// The entity.
    pub reference: EntityRef,
    /// Of what concerns the target; none: the entity is gone, or no longer concerns it.
    pub fingerprint: Option<Fingerprint>,
}

/// Which entities of a target to list, by reference.
#[derive(Clone, Debug, Default)]
pub struct TargetEntityFilter {
    /// Its name.
    pub target: String,
    /// After this one.
    pub after: Option<EntityRef>,
    /// Only entities with an error.
    pub failing: bool,
    /// At most this many, 1 to 1,000.
    pub limit: u32,
}

/// Which objects of a target to list, by name.
#[derive(Clone, Debug, Default)]
pub struct TargetObjectFilter {
    /// Its name.
    pub target: String,
    /// Of this entity.
    pub reference: Option<EntityRef>,
    /// After this one.
    pub after: Option<String>,
    /// At most this many, 1 to 1,000.
    pub limit: u32,
}

/// Targets: the position of each in the feed, what it knows, and what it owns. They are paused, resumed and resynced by
/// [`AuditStore::perform`](super::AuditStore::perform).
#[async_trait]
pub trait TargetStore: Send + Sync {
    /// Syncs the targets with the configuration. A target that is no longer configured keeps what it owns.
    async fn sync_targets(&self, specs: &[TargetSpec], now: Timestamp) -> Answer<()>;

    /// All targets, by name.
    async fn list_targets(&self) -> Answer<Vec<TargetRecord>>;

    /// The target of this name.
    async fn find_target(&self, name: &str) -> Answer<Option<TargetRecord>>;

    /// What each target has, by name.
    async fn count_targets(&self) -> Answer<Vec<TargetCounts>>;

    /// Moves a target on from its position. `false`: it is no longer there (another process moved it), or is paused.
    async fn move_target(&self, name: &str, from: &TargetPlace, to: &TargetPlace) -> Answer<bool>;

    /// Holds a target back that was held `hold.count - 1` times in a row before. `false`: another process did so.
    async fn hold_target(&self, name: &str, hold: &TargetHold) -> Answer<bool>;

    /// Ends a hold; the target's jobs (of this kind) that waited for that are due now.
    async fn release_target(&self, name: &str, kind: &str, now: Timestamp) -> Answer<()>;

    /// Makes postponed jobs of a target, due by `until`, that have not failed due now: the next ones, at most `count`.
    /// Returns how many.
    async fn hasten_target_jobs(
        &self,
        name: &str,
        kind: &str,
        count: u32,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<u64>;

    /// Records what a follower saw of entities; at most 1,000, each once.
    async fn note_target_entities(&self, target: &str, notes: &[TargetNote]) -> Answer<()>;

    /// Those of these entities (at most 1,000) that the target knows, in no order.
    async fn find_target_entities(&self, target: &str, references: &[EntityRef]) -> Answer<Vec<TargetEntity>>;

    /// Entities that a target knows.
    async fn list_target_entities(&self, filter: &TargetEntityFilter) -> Answer<Vec<TargetEntity>>;

    /// Records the outcomes of the newest attempts for entities; at most 1,000, of one entity the last. Returns those
    /// for which the target had something else before: a follower may have skipped a change back to that while this was
    /// sent.
    async fn settle_target_entities(
        &self,
        target: &str,
        settled: &[TargetSettled],
        now: Timestamp,
    ) -> Answer<Vec<EntityRef>>;

    /// Records those of these entities (at most 1,000) that had no error as in sync.
    async fn confirm_target_entities(&self, target: &str, references: &[EntityRef], now: Timestamp) -> Answer<()>;

    /// Deletes the record of an entity, unless the target owns something for it.
    async fn forget_target_entity(&self, target: &str, reference: &EntityRef) -> Answer<()>;

    /// Records objects, or updates their records, one after the other; at most 1,000. Returns for each whether it was
    /// recorded: one that belongs to another entity is not.
    async fn put_target_objects(&self, target: &str, objects: &[TargetObject]) -> Answer<Vec<bool>>;

    /// What a target owns.
    async fn list_target_objects(&self, filter: &TargetObjectFilter) -> Answer<Vec<TargetObject>>;

    /// Objects that a target owns for these entities (at most 1,000), by name.
    async fn find_target_objects(&self, target: &str, references: &[EntityRef]) -> Answer<Vec<TargetObject>>;

    /// Deletes the record of an object.
    async fn forget_target_object(&self, target: &str, object: &str) -> Answer<()>;
}
