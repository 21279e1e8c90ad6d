use serde::{Deserialize, Serialize};
use tideline_core::words::{EntityRef, TargetCounts, TargetEntity, TargetObject, TargetRecord, TargetState};
use utoipa::ToSchema;

use super::{Time, words};

/// A system that is kept in step with the catalog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Target {
    /// Its unique name.
    pub name: String,
    /// Its type, as in the configuration.
    #[serde(rename = "type")]
    pub target_type: String,
    /// Whether its jobs may run.
    #[schema(value_type = words::TargetState)]
    pub state: TargetState,
    /// It is in the configuration of the fleet.
    pub configured: bool,
    /// Up to where it has followed the change feed.
    pub position: String,
    /// It is looking at everything that it knows.
    pub looking: bool,
    /// When the newest such look began.
    pub looked_at: Option<Time>,
    /// It cannot be reached: nothing is sent before then.
    pub hold_until: Option<Time>,
    /// Why.
    pub hold_reason: Option<String>,
    /// Entities that it knows, counted up to 100,000.
    pub entities: u64,
    /// Those with an error, counted up to 100,000.
    pub failing: u64,
    /// Objects that Tideline owns there, counted up to 100,000.
    pub objects: u64,
    /// Changes of the catalog processed within about the last hour.
    #[serde(default)]
    pub last_hour: u64,
}

impl Target {
    /// A target with its counts, and what it passed within the last hour.
    pub(crate) fn new(record: TargetRecord, counts: Option<&TargetCounts>, last_hour: u64) -> Self {
        let (until, reason) = record.hold.map(|hold| (Time(hold.until), hold.reason)).unzip();
        Self {
            name: record.name,
            target_type: record.target_type,
            state: record.state,
            configured: record.configured,
            position: record.place.position.to_string(),
            looking: record.place.look.is_some(),
            looked_at: record.place.looked_at.map(Time),
            hold_until: until,
            hold_reason: reason,
            entities: counts.map_or(0, |counts| counts.entities),
            failing: counts.map_or(0, |counts| counts.failing),
            objects: counts.map_or(0, |counts| counts.objects),
            last_hour,
        }
    }
}

/// An entity that a target knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EntityOfTarget {
    /// Its reference.
    #[serde(rename = "ref")]
    #[schema(value_type = String)]
    pub reference: EntityRef,
    /// What went wrong in the latest attempt.
    pub error: Option<String>,
    /// When the target was last found to be in step.
    pub synced_at: Option<Time>,
}

impl From<TargetEntity> for EntityOfTarget {
    fn from(entity: TargetEntity) -> Self {
        Self {
            reference: entity.reference,
            error: entity.error,
            synced_at: entity.synced_at.map(Time),
        }
    }
}

/// Something that Tideline owns in a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ObjectOfTarget {
    /// Its full name there: `name:version` of a mock.
    pub object: String,
    /// Whose it is.
    #[serde(rename = "ref")]
    #[schema(value_type = String)]
    pub reference: EntityRef,
    /// Which part of the entity's wishes it is: the `mockId`.
    pub part: String,
    /// Its technical id there.
    pub remote_id: Option<String>,
    /// Whether it is in the wanted state.
    pub whole: bool,
    /// What went wrong with it in the latest attempt.
    pub error: Option<String>,
    /// When its record last changed.
    pub updated_at: Time,
}

impl From<TargetObject> for ObjectOfTarget {
    fn from(object: TargetObject) -> Self {
        Self {
            object: object.object,
            reference: object.reference,
            part: object.part,
            remote_id: object.remote_id,
            whole: object.fingerprint.is_some(),
            error: object.error,
            updated_at: Time(object.updated_at),
        }
    }
}

/// An act on a target was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TargetAct {
    /// The target.
    pub target: String,
    /// What was asked of it.
    pub act: String,
}
