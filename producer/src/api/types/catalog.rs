use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tideline_core::rules::written_ref;
use tideline_core::words::{Change as ChangeRecord, ChangeKind, CycleNumber, FeedPosition, JobId};
use tideline_store::EntityRecord;
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::{Difference, Time, raw, words};

/// A live entity of the catalog.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Entity {
    /// The source that owns it.
    pub source: String,
    /// `kind:namespace/name`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The reference with namespace and name as the body has them, if they have upper case. References are compared without case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_ref: Option<String>,
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

impl Entity {
    /// The reference for people.
    #[must_use]
    pub fn shown_ref(&self) -> &str {
        self.written_ref.as_deref().unwrap_or(&self.reference)
    }
}

impl TryFrom<EntityRecord> for Entity {
    type Error = Problem;

    fn try_from(entity: EntityRecord) -> Result<Self, Problem> {
        Ok(Self {
            written_ref: written_ref(&entity.reference, &entity.body),
            source: entity.source,
            reference: entity.reference.to_string(),
            fingerprint: entity.fingerprint,
            sequence: entity.sequence.0,
            changed_at: Time(entity.changed_at),
            body: raw(entity.body)?,
        })
    }
}

/// Where an entity was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Origin {
    /// Pages of the source that show it, at most five.
    pub pages: Vec<OriginPage>,
    /// When the reading began that an event asked for, or that a program pushed, and that no complete cycle has confirmed yet.
    pub event_read_at: Option<Time>,
}

/// One state of an entity, and how it differs from the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revision {
    /// The number of the change that led to this state.
    pub sequence: i64,
    /// When that was.
    pub changed_at: Time,
    /// Every difference from the previous state; absent if that state is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differences: Option<Vec<Difference>>,
}

/// A page that shows an entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OriginPage {
    /// The job that reads its partition.
    #[schema(value_type = i64)]
    pub job: JobId,
    /// The partition.
    pub partition: String,
    /// The page, from 0.
    pub page: u32,
    /// The newest cycle that read it.
    #[schema(value_type = i64)]
    pub cycle: CycleNumber,
    /// When that reading began.
    pub read_at: Option<Time>,
}

impl From<tideline_store::Origin> for Origin {
    fn from(origin: tideline_store::Origin) -> Self {
        let page = |page: tideline_store::OriginPage| OriginPage {
            job: page.job,
            partition: page.partition,
            page: page.page,
            cycle: page.cycle,
            read_at: page.read_at.map(Time),
        };
        Self {
            pages: origin.pages.into_iter().map(page).collect(),
            event_read_at: origin.delta_read_at.map(Time),
        }
    }
}

/// One change of the catalog.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// Its position in the feed.
    pub sequence: i64,
    /// What happened.
    #[schema(value_type = words::ChangeKind)]
    pub change: ChangeKind,
    /// The source that owns, or owned, the entity.
    pub source: String,
    /// `kind:namespace/name`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The reference with namespace and name as the body has them, if they have upper case. References are compared without case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_ref: Option<String>,
    /// When.
    pub changed_at: Time,
    /// The entity as it is now; absent if it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub body: Option<Box<RawValue>>,
    /// `after` for a reader that has processed the feed up to this change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub next: Option<FeedPosition>,
}

impl Change {
    /// The reference for people.
    #[must_use]
    pub fn shown_ref(&self) -> &str {
        self.written_ref.as_deref().unwrap_or(&self.reference)
    }
}

impl TryFrom<ChangeRecord> for Change {
    type Error = Problem;

    fn try_from(change: ChangeRecord) -> Result<Self, Problem> {
        Ok(Self {
            sequence: change.sequence.0,
            change: change.change,
            source: change.source,
            written_ref: change
                .body
                .as_deref()
                .and_then(|body| written_ref(&change.reference, body)),
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
