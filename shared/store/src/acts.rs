//! Operators' acts, each as one request: the deed, the actor, and the conditions. The store performs and records it in
//! one transaction ([`AuditStore::perform`](super::AuditStore::perform)).

use serde::{Deserialize, Serialize};
use serde_json::json;
use tideline_core::rules::fingerprint;
use tideline_core::words::{
    Actor, ActorKind, EnqueueOutcome, Enqueued, EventSequence, Fingerprint, JobId, NewJob, Role, Timestamp, Token,
};

use super::{SourceCommand, StoreError, SubscriptionAct, TargetCommand};

/// A deed with its actor.
#[derive(Clone, Debug)]
pub struct OperatorAct {
    /// What is done.
    pub deed: Deed,
    /// Who does it.
    pub actor: Actor,
    /// Only if the record has one of these versions ([`SourceVersion`](tideline_core::rules::SourceVersion),
    /// [`JobVersion`](tideline_core::rules::JobVersion)).
    pub expected: Option<Vec<String>>,
    /// Only once for this key of this actor.
    pub idempotency: Option<Idempotency>,
    /// The actor's reason; kept in the audit log.
    pub reason: Option<String>,
}

impl OperatorAct {
    /// Without conditions.
    #[must_use]
    pub fn new(deed: Deed, actor: Actor) -> Self {
        Self {
            deed,
            actor,
            expected: None,
            idempotency: None,
            reason: None,
        }
    }
}

impl OperatorAct {
    /// Further details that are recorded besides deed and target, as JSON text.
    pub(super) fn arguments(&self) -> String {
        let arguments = self.deed.arguments();
        let Some(reason) = &self.reason else { return arguments };
        let mut fields: serde_json::Map<_, _> = serde_json::from_str(&arguments).unwrap_or_default();
        fields.insert("reason".to_owned(), json!(reason));
        serde_json::Value::Object(fields).to_string()
    }

    /// Whose key it is: two actors may choose the same one.
    pub(super) fn key_owner(&self) -> String {
        format!("{:?} {}", self.actor.kind, self.actor.name).to_lowercase()
    }
}

/// A key under which an act is done once.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// Chosen by the client.
    pub key: String,
    /// Digest of the request: a different request under the same key is a mistake.
    pub fingerprint: Fingerprint,
}

impl Idempotency {
    /// The outcome of the earlier act under this key.
    pub(super) fn repeat(&self, kept: Fingerprint, outcome: &str) -> Result<Performed, StoreError> {
        if kept != self.fingerprint {
            return Err(StoreError::KeyReused);
        }
        let outcome = serde_json::from_str(outcome).map_err(|error| StoreError::Broken {
            act: "repeat an act",
            source: Box::new(error),
        })?;
        Ok(Performed {
            outcome,
            repeated: true,
        })
    }
}

/// An operator's deed.
#[derive(Clone, Debug)]
pub enum Deed {
    /// A command on a source.
    CommandSource {
        /// Its name.
        source: String,
        /// What.
        command: SourceCommand,
    },
    /// A command on a target.
    CommandTarget {
        /// Its name.
        target: String,
        /// What.
        command: TargetCommand,
    },
    /// A command on a subscription, or on its dead letters.
    ActOnSubscription {
        /// Its name.
        subscription: String,
        /// What.
        act: SubscriptionAct,
    },
    /// Appends an event to the log once more, as if it had been received again.
    ReplayEvent(EventSequence),
    /// Puts events of a program of Backstage's event bus into the log. Recorded only, and not for each event.
    PublishEvents {
        /// The topic of the event that is noted.
        topic: String,
    },
    /// Writes entities of a push source. Recorded only: the entities are written by
    /// [`DeltaStore::write_deltas`](super::DeltaStore::write_deltas), because one record for each of them would be a
    /// second log.
    PushEntities {
        /// Its name.
        source: String,
        /// Upserts of the request that is noted.
        upserts: usize,
        /// Its removals.
        removals: usize,
    },
    /// A parked, cancelled or waiting job becomes due now, on rung 0.
    RetryJob {
        /// The row.
        job: JobId,
        /// The source whose partition it is.
        source: Option<String>,
    },
    /// Cancels a job that is not a partition; a worker that is running it writes nothing more.
    CancelJob {
        /// The row.
        job: JobId,
    },
    /// Inserts or supersedes jobs, as [`JobStore::enqueue`](super::JobStore::enqueue).
    Enqueue(Vec<NewJob>),
    /// A new API token.
    CreateToken(NewToken),
    /// Revokes the token of this id.
    RevokeToken(String),
    /// A new secret for a hook, sealed; the previous one still verifies.
    SaveHookSecret {
        /// The hook's name.
        hook: String,
        /// The secret.
        sealed: String,
    },
    /// Has a provider send tests to the webhooks of a hook. Recorded only.
    VerifyHook {
        /// The hook's name.
        hook: String,
    },
    /// Makes or updates the webhooks of a hook at their provider. Recorded only.
    RegisterHook {
        /// The hook's name.
        hook: String,
    },
    /// A person signed in at the OpenID provider. Recorded only: the audit log shows who had which name at the time.
    SignIn {
        /// The provider.
        issuer: String,
        /// Who they are there, whatever they are called.
        subject: String,
        /// What they may do.
        role: Role,
        /// Why: those of their groups that have a role.
        groups: Vec<String>,
    },
    /// An act that was refused before it reached the store. Recorded only, as refused.
    Refused {
        /// Its name.
        act: String,
        /// Its intended target.
        target: String,
        /// The source it concerns.
        source: Option<String>,
        /// Why.
        why: String,
    },
    /// A person is shown the secret of a hook once more. Recorded only.
    RevealHookSecret {
        /// The hook's name.
        hook: String,
    },
}

impl Deed {
    /// Its name in the audit log.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::CommandSource { command, .. } => match command {
                SourceCommand::Refresh(_) => "sources.refresh",
                SourceCommand::Pause => "sources.pause",
                SourceCommand::Resume => "sources.resume",
                SourceCommand::Cancel => "sources.cancel",
                SourceCommand::Reset => "sources.reset",
                SourceCommand::ResetAndDelete => "sources.reset_and_delete",
                SourceCommand::ApproveSweep { .. } => "sources.approve",
                SourceCommand::RejectSweep => "sources.reject",
            },
            Self::CommandTarget { command, .. } => command.name(),
            Self::ActOnSubscription { act, .. } => act.name(),
            Self::ReplayEvent(_) => "events.replay",
            Self::PublishEvents { .. } => "events.publish",
            Self::PushEntities { .. } => "entities.push",
            Self::RetryJob { .. } => "jobs.retry",
            Self::CancelJob { .. } => "jobs.cancel",
            Self::Enqueue(_) => "jobs.enqueue",
            Self::CreateToken(_) => "tokens.create",
            Self::RevokeToken(_) => "tokens.revoke",
            Self::SaveHookSecret { .. } => "hooks.save_secret",
            Self::VerifyHook { .. } => "hooks.verify",
            Self::RegisterHook { .. } => "hooks.register",
            Self::SignIn { .. } => "sessions.sign_in",
            Self::RevealHookSecret { .. } => "hooks.reveal_secret",
            Self::Refused { act, .. } => act,
        }
    }

    /// Its target.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::CommandSource { source, .. } => source.clone(),
            Self::CommandTarget { target, .. } => target.clone(),
            Self::ActOnSubscription { subscription, .. } => subscription.clone(),
            Self::ReplayEvent(event) => event.to_string(),
            Self::PublishEvents { topic } => topic.clone(),
            Self::PushEntities { source, .. } => source.clone(),
            Self::RetryJob { job, .. } | Self::CancelJob { job } => job.to_string(),
            Self::Enqueue(jobs) => match jobs.as_slice() {
                [job] => format!("{} {}", job.kind, job.key),
                jobs => format!("{} jobs", jobs.len()),
            },
            Self::CreateToken(token) => token.id.clone(),
            Self::RevokeToken(id) => id.clone(),
            Self::SaveHookSecret { hook, .. }
            | Self::RevealHookSecret { hook }
            | Self::VerifyHook { hook }
            | Self::RegisterHook { hook } => hook.clone(),
            Self::SignIn { subject, .. } => subject.clone(),
            Self::Refused { target, .. } => target.clone(),
        }
    }

    /// The source it concerns.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        match self {
            Self::CommandSource { source, .. } | Self::PushEntities { source, .. } => Some(source),
            Self::RetryJob { source, .. } | Self::Refused { source, .. } => source.as_deref(),
            _ => None,
        }
    }

    /// Whether its target is a record with a version, so that [`OperatorAct::expected`] can be checked.
    #[must_use]
    pub fn has_version(&self) -> bool {
        matches!(
            self,
            Self::CommandSource { .. }
                | Self::CommandTarget { .. }
                | Self::ActOnSubscription { .. }
                | Self::RetryJob { .. }
                | Self::CancelJob { .. }
        )
    }

    /// Digest of the request, for idempotency keys: without what differs when the same request is repeated.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut text = format!("{} {}", self.name(), self.arguments());
        match self {
            Self::Enqueue(jobs) => {
                for job in jobs {
                    text.push_str(&format!("\n{} {} {}", job.kind, job.key, job.fingerprint));
                }
            }
            // Its id is random.
            Self::CreateToken(token) => {
                text = format!("{} {} {} {:?}", self.name(), token.name, token.role, token.sources)
            }
            _ => text.push_str(&self.target()),
        }
        fingerprint(text.as_bytes())
    }

    /// Further arguments, as JSON text. Args of jobs may hold anything, so they are left out.
    #[must_use]
    pub fn arguments(&self) -> String {
        let arguments = match self {
            Self::CommandSource {
                command: SourceCommand::ApproveSweep { cycle, removals },
                ..
            } => json!({"cycle": cycle, "removals": removals}),
            Self::ActOnSubscription { act, .. } => act.arguments(),
            Self::PushEntities { upserts, removals, .. } => json!({"upserts": upserts, "removals": removals}),
            Self::SignIn {
                issuer, role, groups, ..
            } => json!({"issuer": issuer, "role": role, "groups": groups}),
            Self::Enqueue(jobs) => {
                let first = jobs.iter().take(10);
                let named: Vec<_> = first.map(|job| json!({"kind": job.kind, "key": job.key})).collect();
                json!({"jobs": named})
            }
            Self::CreateToken(token) => json!({
                "name": token.name, "role": token.role, "sources": token.sources, "expires_at": token.expires_at,
            }),
            _ => json!({}),
        };
        arguments.to_string()
    }
}

/// The outcome of a deed. Kept with its idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// It was done.
    Done,
    /// These jobs were written, in the order of the deed.
    Enqueued {
        /// What happened to each.
        jobs: Vec<EnqueuedJob>,
    },
    /// The number of dead letters that were taken.
    DeadLetters {
        /// How many.
        count: u64,
    },
    /// The copy of an event is in the log.
    Appended {
        /// Where.
        event: EventSequence,
    },
}

/// What enqueueing one job did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnqueuedJob {
    /// The job's row.
    pub job: JobId,
    /// Its token, for the hint.
    pub token: Token,
    /// What happened.
    pub outcome: EnqueueOutcome,
    /// Whether it can be claimed as soon as it is due.
    pub claimable: bool,
}

impl From<Enqueued> for EnqueuedJob {
    fn from(enqueued: Enqueued) -> Self {
        Self {
            job: enqueued.job,
            token: enqueued.token,
            outcome: enqueued.outcome,
            claimable: enqueued.claimable,
        }
    }
}

impl From<EnqueuedJob> for Enqueued {
    fn from(enqueued: EnqueuedJob) -> Self {
        Self {
            job: enqueued.job,
            token: enqueued.token,
            outcome: enqueued.outcome,
            claimable: enqueued.claimable,
        }
    }
}

/// An act that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Performed {
    /// The outcome.
    pub outcome: Outcome,
    /// It was done before, under the same idempotency key; nothing was done now.
    pub repeated: bool,
}

/// A token to create. The secret itself never reaches the store.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Public, a part of the token: finds the row.
    pub id: String,
    /// SHA-256 of the whole token.
    pub hash: Fingerprint,
    /// For people; unique among the tokens that are not revoked.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// Globs of the sources it is limited to; none: all sources.
    pub sources: Vec<String>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

impl NewToken {
    pub(super) fn name_is_taken(&self) -> StoreError {
        StoreError::Refused(format!(
            "there is already a token called {}; revoke it first, or choose another name",
            self.name
        ))
    }
}

/// A token as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Public part.
    pub id: String,
    /// SHA-256 of the whole token.
    pub hash: Fingerprint,
    /// For people.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// Globs of the sources it is limited to; none: all sources.
    pub sources: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Which audit records to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// By the actor of this name.
    pub actor: Option<String>,
    /// Of this act, for example `sources.pause`.
    pub act: Option<String>,
    /// That concern the source of this name.
    pub source: Option<String>,
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Older than this record.
    pub before: Option<i64>,
    /// At most this many, 1 to 1,000.
    pub limit: u32,
}

/// One act, as recorded in the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Rises with time.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What: [`Deed::name`].
    pub act: String,
    /// To what.
    pub target: String,
    /// The source it concerns.
    pub source: Option<String>,
    /// What else was asked, JSON text.
    pub arguments: String,
    /// Why it was refused; none: it was done.
    pub refused: Option<String>,
}

impl AuditRecord {
    /// The actor from its columns.
    pub(super) fn actor(kind: ActorKind, name: String, address: Option<String>, request: Option<String>) -> Actor {
        Actor {
            kind,
            name,
            address,
            request,
        }
    }
}
