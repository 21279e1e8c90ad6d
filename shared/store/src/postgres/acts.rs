//! Acts of operators, each with its record in the audit log, in one transaction.

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::act::Act;
use super::conflicts::Tries;
use super::error::{broken, conflict};
use super::rows::{column, fingerprint, job_state_of, source_state_of, storable, trigger_of};
use super::sources::no_source;
use super::{PostgresStore, commands, jobs, operators, subscription_acts, targets, tokens};
use crate::{AuditFilter, AuditRecord, AuditStore, Deed, OperatorAct, Outcome, Performed, StoreError};
use tideline_core::rules::{JobVersion, SourceVersion};
use tideline_core::words::{ActorKind, CycleNumber, JobId, JobState, Timestamp, Token};

const ACT: &str = "perform an act";

#[async_trait]
impl AuditStore for PostgresStore {
    async fn perform(&self, request: &OperatorAct, now: Timestamp) -> Result<Performed, StoreError> {
        let mut tries = Tries::default();
        loop {
            let mut act = self.writing(ACT).await?;
            act.begin().await?;
            match perform_once(&mut act, request, now).await {
                Ok(performed) => {
                    act.commit().await?;
                    return Ok(performed);
                }
                Err(error @ StoreError::Conflict { .. }) => {
                    // Its locks must not be held through the pause.
                    drop(act);
                    tries.again(error).await?;
                }
                Err(error) => {
                    if let Some(why) = error.refusal() {
                        act.rollback().await?;
                        let mut act = self.writing(ACT).await?;
                        write_down(&mut act, request, Some(&why), now).await?;
                    }
                    return Err(error);
                }
            }
        }
    }

    async fn list_audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        let mut act = self.reading("list the audit log").await?;
        let statement = match filter.source {
            Some(_) => include_str!("sql/list_audit_of_source.sql"),
            None => include_str!("sql/list_audit.sql"),
        };
        let statement = sqlx::query(statement)
            .bind(filter.actor.as_deref())
            .bind(filter.act.as_deref())
            .bind(filter.source.as_deref())
            .bind(filter.since.map(|since| since.0))
            .bind(filter.before)
            .bind(i64::from(filter.limit.clamp(1, 1_000)));
        act.rows(statement).await?.iter().map(audit_record).collect()
    }

    async fn prune_audit(&self, acts: Timestamp, keys: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut act = self.writing("prune the audit log").await?;
        let mut pruned = 0;
        for (statement, before) in [
            (include_str!("sql/delete_old_audit.sql"), acts),
            (include_str!("sql/delete_old_idempotency.sql"), keys),
        ] {
            let statement = sqlx::query(statement).bind(before.0).bind(i64::from(limit));
            pruned += act.run(statement).await?;
        }
        Ok(pruned)
    }
}

async fn perform_once(act: &mut Act, request: &OperatorAct, now: Timestamp) -> Result<Performed, StoreError> {
    if let Some(performed) = take_key(act, request, now).await? {
        return Ok(performed);
    }
    let outcome = attempt(act, request, now).await?;
    write_down(act, request, None, now).await?;
    if let Some(idempotency) = &request.idempotency {
        let kept = serde_json::to_string(&outcome).map_err(|error| broken(ACT, error.to_string()))?;
        let statement = sqlx::query(include_str!("sql/note_idempotency.sql")).bind(request.key_owner());
        act.run(statement.bind(&idempotency.key).bind(kept)).await?;
    }
    Ok(Performed {
        outcome,
        repeated: false,
    })
}

/// The outcome of the act if it was done before under its key; otherwise reserves the key.
async fn take_key(act: &mut Act, request: &OperatorAct, now: Timestamp) -> Result<Option<Performed>, StoreError> {
    let Some(idempotency) = &request.idempotency else {
        return Ok(None);
    };
    let statement = sqlx::query(include_str!("sql/insert_idempotency.sql"))
        .bind(request.key_owner())
        .bind(&idempotency.key)
        .bind(&idempotency.fingerprint.0[..])
        .bind(now.0);
    if act.run(statement).await? > 0 {
        return Ok(None);
    }
    let statement = sqlx::query(include_str!("sql/find_idempotency.sql")).bind(request.key_owner());
    let row = act.row(statement.bind(&idempotency.key)).await?;
    let row = row.ok_or_else(|| conflict(ACT, "the key was pruned in this moment"))?;
    idempotency
        .repeat(fingerprint(column(&row, "fingerprint")?)?, column(&row, "outcome")?)
        .map(Some)
}

async fn write_down(
    act: &mut Act,
    request: &OperatorAct,
    refused: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let kind = match request.actor.kind {
        ActorKind::Token => "token",
        ActorKind::Local => "local",
        ActorKind::System => "system",
        ActorKind::Person => "person",
    };
    let statement = sqlx::query(include_str!("sql/insert_audit.sql"))
        .bind(now.0)
        .bind(kind)
        .bind(storable(&request.actor.name))
        .bind(request.actor.address.as_deref())
        .bind(request.actor.request.as_deref())
        .bind(request.deed.name())
        .bind(storable(&request.deed.target()).into_owned())
        .bind(request.deed.source().map(|source| storable(source).into_owned()))
        .bind(storable(&request.arguments()).into_owned())
        .bind(refused.map(storable));
    act.run(statement).await.map(drop)
}

async fn attempt(act: &mut Act, request: &OperatorAct, now: Timestamp) -> Result<Outcome, StoreError> {
    let expected = request.expected.as_deref();
    match &request.deed {
        Deed::CommandSource { source, command } => {
            check_source(act, source, expected).await?;
            commands::command_in(act, source, *command, now).await?;
        }
        Deed::CommandTarget { target, command } => {
            targets::command_in(act, target, *command, expected, now).await?;
        }
        Deed::ActOnSubscription {
            subscription,
            act: wanted,
        } => {
            return subscription_acts::act_in(act, subscription, wanted, expected, now).await;
        }
        Deed::ReplayEvent(event) => return subscription_acts::replay_in(act, *event, now).await,
        Deed::PushEntities { .. }
        | Deed::PublishEvents { .. }
        | Deed::RevealHookSecret { .. }
        | Deed::VerifyHook { .. }
        | Deed::RegisterHook { .. }
        | Deed::SignIn { .. } => {}
        Deed::Refused { why, .. } => return Err(StoreError::Refused(why.clone())),
        Deed::RetryJob { job, .. } => {
            check_job(act, *job, expected).await?;
            operators::retry_in(act, *job, now).await?;
        }
        Deed::CancelJob { job } => {
            let (state, partition) = check_job(act, *job, expected).await?;
            crate::standing::check_cancel(*job, state, partition)?;
            let statement = sqlx::query(include_str!("sql/cancel_job.sql")).bind(job.0);
            act.run(statement.bind(now.0)).await?;
        }
        Deed::Enqueue(new) => {
            let jobs = jobs::enqueue_in(act, new, now).await?;
            return Ok(Outcome::Enqueued {
                jobs: jobs.into_iter().map(Into::into).collect(),
            });
        }
        Deed::CreateToken(token) => tokens::insert(act, token, &request.actor.name, now).await?,
        Deed::RevokeToken(id) => tokens::revoke(act, id, now).await?,
        Deed::SaveHookSecret { hook, sealed } => act.save_hook_secret(hook, sealed, now).await?,
    }
    Ok(Outcome::Done)
}

async fn check_source(act: &mut Act, source: &str, expected: Option<&[String]>) -> Result<(), StoreError> {
    let Some(expected) = expected else { return Ok(()) };
    let statement = sqlx::query(include_str!("sql/find_source_version.sql")).bind(source);
    let row = act.row(statement).await?.ok_or_else(|| no_source(source))?;
    let held = match column::<Option<i64>>(&row, "held_cycle")? {
        Some(cycle) => {
            let removals = column::<Option<i64>>(&row, "held_removals")?.unwrap_or(0);
            let removals = u64::try_from(removals).unwrap_or(0);
            Some((CycleNumber(cycle), removals, column(&row, "approved")?))
        }
        None => None,
    };
    let version = SourceVersion {
        state: source_state_of(column(&row, "state")?)?,
        cycle: CycleNumber(column(&row, "cycle")?),
        requested: column::<Option<&str>>(&row, "requested")?.map(trigger_of).transpose()?,
        held,
    };
    StoreError::expect("source", source, &version.tag(), Some(expected))
}

/// The state of the job, and whether it is a partition.
async fn check_job(act: &mut Act, job: JobId, expected: Option<&[String]>) -> Result<(JobState, bool), StoreError> {
    let statement = sqlx::query(include_str!("sql/find_job_version.sql")).bind(job.0);
    let row = act.row(statement).await?.ok_or_else(|| StoreError::NotFound {
        what: "job",
        name: job.to_string(),
    })?;
    let version = JobVersion {
        state: job_state_of(column(&row, "state")?)?,
        token: Token(column(&row, "token")?),
        updated_at: Timestamp(column(&row, "updated_at")?),
    };
    StoreError::expect("job", &job.to_string(), &version.tag(), expected)?;
    Ok((version.state, column(&row, "partition")?))
}

fn audit_record(row: &PgRow) -> Result<AuditRecord, StoreError> {
    let kind = match column(row, "actor_kind")? {
        "token" => ActorKind::Token,
        "local" => ActorKind::Local,
        "system" => ActorKind::System,
        "person" => ActorKind::Person,
        other => return Err(broken("read the audit log", format!("unknown: {other}"))),
    };
    Ok(AuditRecord {
        id: column(row, "id")?,
        at: Timestamp(column(row, "at")?),
        actor: AuditRecord::actor(
            kind,
            column(row, "actor")?,
            column(row, "address")?,
            column(row, "request")?,
        ),
        act: column(row, "act")?,
        target: column(row, "target")?,
        source: column(row, "source")?,
        arguments: column(row, "arguments")?,
        refused: column(row, "refused")?,
    })
}
