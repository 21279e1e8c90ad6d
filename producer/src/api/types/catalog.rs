use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tideline_core::words::{Change as ChangeRecord, ChangeKind, FeedPosition};
use tideline_store::EntityRecord;
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::{Time, raw, words};

/// A live entity of the catalog.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Entity {
    /// The source that owns it.
    pub source: String,
    /// `kind:namespace/name`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Hex SHA-256 of the canonical body without the volatile annotations.
    pub fingerprint: String,
    /// The number of its newest change.
    pub sequence: i64,
    /// When that was.
    pub changed_at: Time,
    /// The entity itself.
    #[schema(value_type = Object)]
    pub body: Box<RawValue>,
}

impl TryFrom<EntityRecord> for Entity {
    type Error = Problem;

    fn try_from(entity: EntityRecord) -> Result<Self, Problem> {
        Ok(Self {
            source: entity.source,
            reference: entity.reference.to_string(),
            fingerprint: entity.fingerprint,
            sequence: entity.sequence.0,
            changed_at: Time(entity.changed_at),
            body: raw(entity.body)?,
        })
    }
}

/// One change of the catalog.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// Its place in the feed.
    pub sequence: i64,
    /// What happened.
    #[schema(value_type = words::ChangeKind)]
    pub change: ChangeKind,
    /// The source that owns, or owned, the entity.
    pub source: String,
    /// `kind:namespace/name`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// When.
    pub changed_at: Time,
    /// The entity as it is now; absent if it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub body: Option<Box<RawValue>>,
    /// `after` of a reader that has taken this change and none after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub next: Option<FeedPosition>,
}

impl TryFrom<ChangeRecord> for Change {
    type Error = Problem;

    fn try_from(change: ChangeRecord) -> Result<Self, Problem> {
        Ok(Self {
            sequence: change.sequence.0,
            change: change.change,
            source: change.source,
            reference: change.reference.to_string(),
            changed_at: Time(change.changed_at),
            body: change.body.map(raw).transpose()?,
            next: None,
        })
    }
}

/// A part of the change feed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Changes {
    /// In commit order.
    pub changes: Vec<Change>,
    /// `after` of the next request.
    #[schema(value_type = String)]
    pub next: FeedPosition,
}
