use super::{Entity, EntityRef, Timestamp};

/// One entity written outside a cycle's pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The change of the entity.
    pub change: DeltaChange,
    /// The basis of the change, which decides whether it still applies.
    pub basis: DeltaBasis,
}

/// What a delta does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeltaChange {
    /// The entity is this.
    Upsert(Entity),
    /// The entity no longer exists.
    Remove(EntityRef),
}

impl DeltaChange {
    /// Whose change it is.
    #[must_use]
    pub fn reference(&self) -> &EntityRef {
        match self {
            Self::Upsert(entity) => &entity.reference,
            Self::Remove(reference) => reference,
        }
    }
}

/// The basis of a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaBasis {
    /// A reading of the source that began at this time. The later reading wins, whether delta or page.
    Read(Timestamp),
    /// The payload of a source that cannot be read, with its version, if it has one. The version may not go back.
    Pushed(Option<i64>),
}

/// The outcome of a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeltaOutcome {
    /// The entity is new.
    Added,
    /// It has another fingerprint.
    Modified,
    /// It is gone.
    Removed,
    /// The catalog already had this state.
    Unchanged,
    /// Nothing was written: a reading that began later has written the entity. Read again to be sure.
    Overtaken,
    /// Nothing was written: the catalog has a newer version.
    Outdated,
}

impl DeltaOutcome {
    /// Whether it added a change to the feed.
    #[must_use]
    pub fn is_change(self) -> bool {
        matches!(self, Self::Added | Self::Modified | Self::Removed)
    }
}
