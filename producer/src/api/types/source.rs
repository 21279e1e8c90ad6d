use serde::{Deserialize, Serialize};
use tideline_core::words::{
    self as core_words, CycleNumber, CycleRecord, CycleState, CycleTotals, HeldSweep, SourceRecord, SourceState,
    Trigger, UnseenEntity, grouped,
};
use utoipa::ToSchema;

use super::{Time, words};

/// A source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// Its unique name.
    pub name: String,
    /// Its type, as in the configuration.
    #[serde(rename = "type")]
    pub source_type: String,
    /// Where it stands, apart from its cycle.
    #[schema(value_type = words::SourceState)]
    pub state: SourceState,
    /// Why it is blocked.
    pub blocked_reason: Option<String>,
    /// Its newest cycle; 0 before the first.
    #[schema(value_type = i64)]
    pub cycle: CycleNumber,
    /// When that cycle ended; null while it runs.
    pub cycle_ended_at: Option<Time>,
    /// When the next cycle starts, if none is running.
    pub next_cycle_at: Option<Time>,
    /// A cycle was requested and starts as soon as none is running.
    #[schema(value_type = Option<words::Trigger>)]
    pub requested: Option<Trigger>,
    /// No request to the source before this moment.
    pub hold_until: Option<Time>,
    /// Live entities it owns.
    pub entities: u64,
    /// The sweep that is waiting for a decision.
    pub held: Option<Held>,
}

impl From<SourceRecord> for Source {
    fn from(source: SourceRecord) -> Self {
        Self {
            name: source.name,
            source_type: source.source_type,
            state: source.state,
            blocked_reason: source.blocked_reason,
            cycle: source.cycle,
            cycle_ended_at: source.cycle_ended_at.map(Time),
            next_cycle_at: source.next_cycle_at.map(Time),
            requested: source.requested,
            hold_until: source.hold_until.map(Time),
            entities: source.entities,
            held: source.held.map(Held::from),
        }
    }
}

/// A sweep that is waiting for a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Held {
    /// The cycle whose sweep is held.
    #[schema(value_type = i64)]
    pub cycle: CycleNumber,
    /// Why.
    pub reason: String,
    /// Entities it would delete.
    pub would_remove: u64,
    /// Entities the source owned when these were last seen.
    pub owned: u64,
    /// Since when. Kept while later cycles find the same.
    pub held_at: Time,
    /// The cycle whose sweep was held first; null if that is no longer known.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub since_cycle: Option<CycleNumber>,
    /// It was approved and will be done at the end of the running cycle.
    pub approved: bool,
}

impl From<HeldSweep> for Held {
    fn from(held: HeldSweep) -> Self {
        Self {
            cycle: held.cycle,
            reason: held.reason,
            would_remove: held.would_remove,
            owned: held.owned,
            held_at: Time(held.held_at),
            since_cycle: held.since_cycle,
            approved: held.approved,
        }
    }
}

/// One complete pass over a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cycle {
    /// Its number within its source.
    #[schema(value_type = i64)]
    pub number: CycleNumber,
    /// Where it stands.
    #[schema(value_type = words::CycleState)]
    pub state: CycleState,
    /// Why it started.
    #[schema(value_type = words::Trigger)]
    pub trigger: Trigger,
    /// When it started.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// Why it ended as it did, if not well.
    pub reason: Option<String>,
    /// Sums over its partitions, live while it bursts.
    pub totals: Totals,
}

impl Cycle {
    /// Returns true if it failed: its source could not be read, and no person cancelled it.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.state.is_failure(self.reason.as_deref())
    }
}

impl From<CycleRecord> for Cycle {
    fn from(cycle: CycleRecord) -> Self {
        Self {
            number: cycle.number,
            state: cycle.state,
            trigger: cycle.trigger,
            started_at: Time(cycle.started_at),
            ended_at: cycle.ended_at.map(Time),
            reason: cycle.reason,
            totals: Totals::from(cycle.totals),
        }
    }
}

/// Sums over the partitions of a cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Partitions revealed so far.
    pub partitions: u64,
    /// Of these, finished.
    pub partitions_done: u64,
    /// Of these, parked.
    pub partitions_parked: u64,
    /// Of these, given up.
    pub partitions_cancelled: u64,
    /// Pages committed.
    pub pages: u64,
    /// Pages that were as remembered.
    pub pages_unchanged: u64,
    /// Entities marked, besides those that only a malformed item names.
    pub entities: u64,
    /// New ones.
    pub added: u64,
    /// Changed ones.
    pub modified: u64,
    /// The rest.
    pub unchanged: u64,
    /// Deleted by the sweep.
    pub removed: u64,
    /// Malformed items.
    pub malformed: u64,
    /// Malformed items without a name.
    pub unidentified: u64,
    /// Entities that the cycle did not see and the sweep kept, because something that could not be read may own them. An upper
    /// bound.
    #[serde(default)]
    pub kept: u64,
    /// Entities that the cycle did not see, and that go if another complete cycle does not see them either.
    #[serde(default)]
    pub unconfirmed: u64,
    /// References that more than one page shows.
    #[serde(default)]
    pub collisions: u64,
}

impl Totals {
    /// Whether something of the source could not be read: the sweep then keeps what that may own.
    #[must_use]
    pub fn has_gaps(&self) -> bool {
        self.partitions_parked > 0 || self.unidentified > 0
    }
}

impl From<CycleTotals> for Totals {
    fn from(totals: CycleTotals) -> Self {
        Self {
            partitions: totals.partitions,
            partitions_done: totals.partitions_done,
            partitions_parked: totals.partitions_parked,
            partitions_cancelled: totals.partitions_cancelled,
            pages: totals.pages,
            pages_unchanged: totals.pages_unchanged,
            entities: totals.entities,
            added: totals.added,
            modified: totals.modified,
            unchanged: totals.unchanged,
            removed: totals.removed,
            malformed: totals.malformed,
            unidentified: totals.unidentified,
            kept: totals.kept,
            unconfirmed: totals.unconfirmed,
            collisions: totals.collisions,
        }
    }
}

/// What the latest complete cycle of a source left for review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Left {
    /// The cycle.
    #[schema(value_type = i64)]
    pub cycle: CycleNumber,
    /// Entities that it did not see and kept, because something that could not be read may own them.
    pub kept: u64,
    /// Entities that it did not see, and that wait for another complete cycle without them.
    pub unconfirmed: u64,
    /// References that more than one page shows.
    pub collisions: u64,
}

impl Left {
    /// By the newest complete one of these cycles, newest first.
    #[must_use]
    pub fn of(cycles: &[CycleRecord]) -> Option<Self> {
        let complete = |cycle: &&CycleRecord| matches!(cycle.state, CycleState::Complete | CycleState::Held);
        let newest = cycles.iter().find(complete)?;
        Some(Self {
            cycle: newest.number,
            kept: newest.totals.kept,
            unconfirmed: newest.totals.unconfirmed,
            collisions: newest.totals.collisions,
        })
    }

    /// A sentence for each thing that is left.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.kept > 0 {
            sentences.push(format!(
                "up to {} entities that cycle {} did not see are kept, because something that could not be read may \
                 own them",
                grouped(self.kept),
                self.cycle
            ));
        }
        if self.unconfirmed > 0 {
            sentences.push(format!(
                "{} entities that cycle {} did not see are deleted if the next complete cycle does not see them either",
                grouped(self.unconfirmed),
                self.cycle
            ));
        }
        if self.collisions > 0 {
            sentences.push(format!(
                "{} references are on more than one page; the first page counts",
                grouped(self.collisions)
            ));
        }
        sentences
    }
}

/// A reference of items on more than one page of a source: only one of them can be in the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Collision {
    /// `kind:namespace/name`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// How many pages show it.
    pub places: u64,
    /// The partition whose item is in the catalog: the lowest one.
    pub partition: String,
    /// Its page: the lowest one of that partition that has it, from 0.
    pub page: u32,
}

impl From<core_words::Collision> for Collision {
    fn from(collision: core_words::Collision) -> Self {
        Self {
            reference: collision.reference.to_string(),
            places: collision.places,
            partition: collision.partition,
            page: collision.page,
        }
    }
}

/// An entity that the newest cycles did not see, and that was not removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unseen {
    /// `kind:namespace/name`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Complete cycles in a row that did not see it. 0: kept, because what dropped it could not be read as a whole.
    pub cycles: u32,
    /// A person rejected its removal: it stays until the source shows it again.
    pub rejected: bool,
}

impl From<UnseenEntity> for Unseen {
    fn from(entity: UnseenEntity) -> Self {
        Self {
            reference: entity.reference.to_string(),
            cycles: entity.cycles,
            rejected: entity.rejected,
        }
    }
}

/// The response to an act: it is stored; its effects may take time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// The source.
    pub source: String,
    /// What was asked of it.
    pub act: String,
    /// Entities that were deleted, by a reset with `delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<u64>,
    /// Entities that remain to be deleted: repeat the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
}

impl Accepted {
    /// Of an act on a source.
    #[must_use]
    pub fn new(source: String, act: String) -> Self {
        Self {
            source,
            act,
            deleted: None,
            remaining: None,
        }
    }
}

/// How to reset a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// Also delete every entity it owns. A source that is no longer configured is deleted with its last entity.
    #[serde(default)]
    pub delete: bool,
}

/// The held sweep that a person saw and approves: `held` of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Its cycle.
    #[schema(value_type = i64)]
    pub cycle: CycleNumber,
    /// How many entities it would delete.
    pub would_remove: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_complete_cycle_left_is_said_in_full() {
        let nothing = Left {
            cycle: CycleNumber(7),
            kept: 0,
            unconfirmed: 0,
            collisions: 0,
        };
        assert!(nothing.sentences().is_empty());
        let all = Left {
            kept: 1_200,
            unconfirmed: 12,
            collisions: 3,
            ..nothing
        };
        let text = all.sentences().join("; ");
        for part in ["cycle 7 did not see are kept", "12 entities", "3 references"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
