use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{EntityRef, FeedPosition, Fingerprint, REFRESH_KIND, Sequence, Timestamp, Trigger};

/// The kind of jobs that keep the mocks of one entity.
pub const MICROCKS_KIND: &str = "microcks";

/// The kind of jobs that send one entity to an endpoint.
pub const HTTP_TARGET_KIND: &str = "http-target";

/// Kinds of the jobs that Tideline makes itself, of what a source, an event or a change says, and that every worker
/// runs.
pub const OWN_KINDS: [&str; 4] = ["ingest", REFRESH_KIND, MICROCKS_KIND, HTTP_TARGET_KIND];

/// A target as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSpec {
    /// Unique name.
    pub name: String,
    /// `microcks`, `http`.
    pub target_type: String,
}

/// Whether the jobs of a target may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetState {
    /// They may.
    Active,
    /// A person paused it.
    Paused,
}

/// Up to where a target has followed the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetPlace {
    /// In the change feed.
    pub position: FeedPosition,
    /// A look at everything that the target knows, if one is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<TargetLook>,
    /// When the newest look began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<Timestamp>,
    /// How often the feed started over.
    #[serde(default)]
    pub starts: u32,
    /// How often the target began at the start of the feed again, because the feed did or since it is to follow
    /// something else.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rounds: u32,
    /// What the target follows, and to where, as a fingerprint of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// A walk through all entities that a target knows, each of which gets a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetLook {
    /// When it began; tells its jobs from those of other looks.
    pub began_at: Timestamp,
    /// The last entity that got its job.
    pub after: Option<EntityRef>,
    /// Why.
    pub trigger: Trigger,
}

/// Why nothing is sent to a target for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetHold {
    /// Until then.
    pub until: Timestamp,
    /// How often in a row.
    pub count: u32,
    /// For people.
    pub reason: String,
}

/// A target as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRecord {
    /// Unique name.
    pub name: String,
    /// `microcks`, `http`.
    pub target_type: String,
    /// Whether its jobs may run.
    pub state: TargetState,
    /// It is in the configuration.
    pub configured: bool,
    /// Up to where it has followed.
    pub place: TargetPlace,
    /// It cannot be reached.
    pub hold: Option<TargetHold>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl TargetRecord {
    /// The number of the last change that it has followed.
    #[must_use]
    pub fn looked_up_to(&self) -> i64 {
        self.place.position.sequence().0
    }

    /// Changes that it has not followed, of a feed that ends with this one.
    #[must_use]
    pub fn behind(&self, last: Sequence) -> u64 {
        u64::try_from(last.0.saturating_sub(self.looked_up_to())).unwrap_or(0)
    }
}

/// How much a target has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetCounts {
    /// Its name.
    pub name: String,
    /// Entities it knows.
    pub entities: u64,
    /// Those with an error.
    pub failing: u64,
    /// Objects that it owns there.
    pub objects: u64,
}

/// An entity that a target knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetEntity {
    /// Whose.
    #[serde(rename = "ref")]
    pub reference: EntityRef,
    /// Of what the follower saw of it last; none: it is gone.
    #[serde(serialize_with = "Fingerprint::as_hex", deserialize_with = "Fingerprint::of_hex")]
    pub fingerprint: Option<Fingerprint>,
    /// What was wrong in the last attempt.
    pub error: Option<String>,
    /// When the target was last found to be in step.
    pub synced_at: Option<Timestamp>,
}

/// Something that a target owns in the external system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetObject {
    /// Its full name there, which nothing else has.
    pub object: String,
    /// Whose.
    #[serde(rename = "ref")]
    pub reference: EntityRef,
    /// Which part of the entity's wishes it is (of a mock: its `mockId`).
    pub part: String,
    /// Its technical id there; none: it is not known whether it was made.
    pub remote_id: Option<String>,
    /// Over all that decides what it is; none: it is not whole yet.
    #[serde(serialize_with = "Fingerprint::as_hex", deserialize_with = "Fingerprint::of_hex")]
    pub fingerprint: Option<Fingerprint>,
    /// What the target remembers of it, JSON text.
    pub detail: String,
    /// What was wrong with it in the last attempt.
    pub error: Option<String>,
    /// When the record last changed.
    pub updated_at: Timestamp,
}

/// The args of a target's job: which entity, and why now. What is to be done the job finds out when it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRequest {
    /// Name of the target.
    pub target: String,
    /// The entity.
    #[serde(rename = "ref")]
    pub reference: EntityRef,
    /// The change, or the look, that asked for it last. Another one is another request, so that the last run comes
    /// after it.
    pub cause: i64,
    /// [`TargetPlace::rounds`] at that time: the same change may ask for something else than before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub round: u32,
    /// A person asked for it: what was refused before is tried again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// Entities that are compared together with this one. Those out of sync get jobs of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<EntityRef>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl TargetRequest {
    /// Longer keys end in a hash of the rest.
    const MAX_KEY_BYTES: usize = 400;

    /// The key of its job: one per target and entity, so that no two workers reconcile the same entity at once. A job
    /// that compares many entities changes none of them.
    #[must_use]
    pub fn key(&self) -> String {
        let target = match self.others.is_empty() {
            true => self.target.clone(),
            false => format!("{}/look", self.target),
        };
        let key = format!("{target}/{}", self.reference);
        if key.len() <= Self::MAX_KEY_BYTES {
            return key;
        }
        let digest = Sha256::digest(self.reference.as_str().as_bytes());
        format!("{target}/~{}", hex::encode(digest))
    }

    /// The target in a job's key.
    #[must_use]
    pub fn target_of(key: &str) -> &str {
        key.split('/').next().unwrap_or_default()
    }
}
