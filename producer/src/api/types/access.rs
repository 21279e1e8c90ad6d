use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tideline_core::words::{ActorKind, Role};
use tideline_store::{AuditRecord, TokenRecord};
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::{Time, raw, words};

/// An API token, without its secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// The part of the token after `tdl_`, up to the next `_`.
    pub id: String,
    /// For people.
    pub name: String,
    /// What its holder may do.
    #[schema(value_type = words::Role)]
    pub role: Role,
    /// Globs of the sources it is limited to; empty: all sources.
    pub sources: Vec<String>,
    /// When it was made.
    pub created_at: Time,
    /// Who made it.
    pub created_by: String,
    /// When it expires.
    pub expires_at: Option<Time>,
    /// When it was last used, to a minute.
    pub last_used_at: Option<Time>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
}

impl From<TokenRecord> for Token {
    fn from(token: TokenRecord) -> Self {
        Self {
            id: token.id,
            name: token.name,
            role: token.role,
            sources: token.sources,
            created_at: Time(token.created_at),
            created_by: token.created_by,
            expires_at: token.expires_at.map(Time),
            last_used_at: token.last_used_at.map(Time),
            revoked_at: token.revoked_at.map(Time),
        }
    }
}

/// A token to create.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// For people, 1 to 100 characters; unique among the tokens that are not revoked.
    pub name: String,
    /// What its holder may do.
    #[schema(value_type = words::Role)]
    pub role: Role,
    /// Globs of the sources it is limited to; empty: all sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// For how long it is valid, in seconds; absent: until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

impl NewToken {
    /// For how long it is valid.
    #[must_use]
    pub fn expires_in(&self) -> Option<Duration> {
        self.expires_in_seconds.map(Duration::from_secs)
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Identity {
    /// The name of the token, or of the local user.
    pub name: String,
    /// What the name is of.
    #[schema(value_type = words::ActorKind)]
    pub kind: ActorKind,
    /// What it may do.
    #[schema(value_type = words::Role)]
    pub role: Role,
    /// Globs of the sources it is limited to; empty: all sources.
    pub sources: Vec<String>,
}

/// A token that was just created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// The token as it is listed.
    #[serde(flatten)]
    pub token: Token,
    /// The token itself, shown only once: `tdl_…`. Absent when the request was repeated with its `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// One act, as recorded in the audit log.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Rises with time.
    pub id: i64,
    /// When.
    pub at: Time,
    /// The actor: the name of the token or of the local user.
    pub actor: String,
    /// What the actor is.
    #[schema(value_type = words::ActorKind)]
    pub actor_kind: ActorKind,
    /// Where the request came from.
    pub address: Option<String>,
    /// `x-request-id` of the request.
    pub request_id: Option<String>,
    /// The act: a noun and a verb, such as `sources.pause`.
    pub act: String,
    /// To what.
    pub target: String,
    /// The source it concerns.
    pub source: Option<String>,
    /// What else was asked.
    #[schema(value_type = Object)]
    pub arguments: Box<RawValue>,
    /// Whether it was done; if not, `detail` says why it was refused.
    pub done: bool,
    /// Why it was refused.
    pub detail: Option<String>,
}

impl TryFrom<AuditRecord> for AuditEntry {
    type Error = Problem;

    fn try_from(record: AuditRecord) -> Result<Self, Problem> {
        Ok(Self {
            id: record.id,
            at: Time(record.at),
            actor: record.actor.name,
            actor_kind: record.actor.kind,
            address: record.actor.address,
            request_id: record.actor.request,
            act: record.act,
            target: record.target,
            source: record.source,
            arguments: raw(record.arguments)?,
            done: record.refused.is_none(),
            detail: record.refused,
        })
    }
}
