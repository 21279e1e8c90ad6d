//! Acts of operators, each with its record in the audit log, in one transaction.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, query};

use super::failure::failed;
use super::rows::{fingerprint, moment, optional_count, optional_word, to_json, word, word_of};
use super::sources::no_source;
use super::{
    SqliteStore, begin, commands, commit, hook_secrets, jobs, operators, sql, subscription_acts, targets, tokens,
};
use crate::{AuditFilter, AuditRecord, AuditStore, Deed, OperatorAct, Outcome, Performed, StoreError};
use tideline_core::rules::{JobVersion, SourceVersion};
use tideline_core::words::{CycleNumber, JobId, JobState, Timestamp, Token};

const ACT: &str = "perform an act";

/// Maximum number of records per response.
const MAX_ROWS: u32 = 1_000;

#[async_trait]
impl AuditStore for SqliteStore {
    async fn perform(&self, act: &OperatorAct, now: Timestamp) -> Result<Performed, StoreError> {
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        match perform_in(&mut tx, act, now).await {
            Ok(performed) => {
                commit(tx, ACT).await?;
                Ok(performed)
            }
            Err(error) => {
                tx.rollback().await.map_err(failed(ACT))?;
                if let Some(why) = error.refusal() {
                    write_down(&mut writer, act, Some(&why), now).await?;
                }
                Err(error)
            }
        }
    }

    async fn list_audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        const ACT: &str = "list the audit log";
        let statement = match filter.source {
            Some(_) => sql!("list_audit_of_source"),
            None => sql!("list_audit"),
        };
        let rows = query(statement)
            .bind(filter.actor.as_deref())
            .bind(filter.act.as_deref())
            .bind(filter.source.as_deref())
            .bind(filter.since.map(|since| since.0))
            .bind(filter.before)
            .bind(filter.limit.clamp(1, MAX_ROWS))
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        (rows.iter().map(audit_record))
            .collect::<Result<_, _>>()
            .map_err(failed(ACT))
    }

    async fn prune_audit(&self, acts: Timestamp, keys: Timestamp, limit: u32) -> Result<u64, StoreError> {
        const ACT: &str = "prune the audit log";
        let mut writer = self.writer().await;
        let mut pruned = 0;
        for (statement, before) in [(sql!("delete_old_audit"), acts), (sql!("delete_old_idempotency"), keys)] {
            let done = query(statement).bind(before.0).bind(limit).execute(&mut *writer).await;
            pruned += done.map_err(failed(ACT))?.rows_affected();
        }
        Ok(pruned)
    }
}

async fn perform_in(tx: &mut SqliteConnection, act: &OperatorAct, now: Timestamp) -> Result<Performed, StoreError> {
    if let Some(performed) = take_key(tx, act, now).await? {
        return Ok(performed);
    }
    let outcome = attempt(tx, act, now).await?;
    write_down(tx, act, None, now).await?;
    keep_outcome(tx, act, &outcome).await?;
    Ok(Performed {
        outcome,
        repeated: false,
    })
}

/// The outcome of the act if it was done before under its key; otherwise reserves the key.
async fn take_key(
    tx: &mut SqliteConnection,
    act: &OperatorAct,
    now: Timestamp,
) -> Result<Option<Performed>, StoreError> {
    let Some(idempotency) = &act.idempotency else {
        return Ok(None);
    };
    let taken = query(sql!("insert_idempotency"))
        .bind(act.key_owner())
        .bind(&idempotency.key)
        .bind(&idempotency.fingerprint.0[..])
        .bind(now.0)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACT))?;
    if taken.rows_affected() > 0 {
        return Ok(None);
    }
    let row = query(sql!("find_idempotency"))
        .bind(act.key_owner())
        .bind(&idempotency.key)
        .fetch_one(&mut *tx)
        .await
        .map_err(failed(ACT))?;
    let (kept, outcome): (_, &str) = (
        fingerprint(&row, 0).map_err(failed(ACT))?,
        row.try_get(1).map_err(failed(ACT))?,
    );
    idempotency.repeat(kept, outcome).map(Some)
}

async fn keep_outcome(tx: &mut SqliteConnection, act: &OperatorAct, outcome: &Outcome) -> Result<(), StoreError> {
    let Some(idempotency) = &act.idempotency else {
        return Ok(());
    };
    query(sql!("note_idempotency"))
        .bind(act.key_owner())
        .bind(&idempotency.key)
        .bind(to_json(outcome).map_err(failed(ACT))?)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACT))?;
    Ok(())
}

async fn write_down(
    connection: &mut SqliteConnection,
    act: &OperatorAct,
    refused: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(sql!("insert_audit"))
        .bind(now.0)
        .bind(word_of(act.actor.kind).map_err(failed(ACT))?)
        .bind(&act.actor.name)
        .bind(act.actor.address.as_deref())
        .bind(act.actor.request.as_deref())
        .bind(act.deed.name())
        .bind(act.deed.target())
        .bind(act.deed.source())
        .bind(act.arguments())
        .bind(refused)
        .execute(connection)
        .await
        .map_err(failed(ACT))?;
    Ok(())
}

async fn attempt(tx: &mut SqliteConnection, act: &OperatorAct, now: Timestamp) -> Result<Outcome, StoreError> {
    match &act.deed {
        Deed::CommandSource { source, command } => {
            check_source(tx, source, act.expected.as_deref()).await?;
            commands::command_in(tx, source, *command, now).await?;
        }
        Deed::CommandTarget { target, command } => {
            targets::command_in(tx, target, *command, act.expected.as_deref(), now).await?;
        }
        Deed::ActOnSubscription {
            subscription,
            act: wanted,
        } => {
            let expected = act.expected.as_deref();
            return subscription_acts::act_in(tx, subscription, wanted, expected, now).await;
        }
        Deed::ReplayEvent(event) => return subscription_acts::replay_in(tx, *event, now).await,
        Deed::PushEntities { .. }
        | Deed::PublishEvents { .. }
        | Deed::RevealHookSecret { .. }
        | Deed::VerifyHook { .. }
        | Deed::RegisterHook { .. }
        | Deed::SignIn { .. } => {}
        Deed::Refused { why, .. } => return Err(StoreError::Refused(why.clone())),
        Deed::RetryJob { job, .. } => {
            check_job(tx, *job, act.expected.as_deref()).await?;
            operators::retry_in(tx, *job, now).await?;
        }
        Deed::CancelJob { job } => {
            let (state, partition) = check_job(tx, *job, act.expected.as_deref()).await?;
            crate::standing::check_cancel(*job, state, partition)?;
            query(sql!("cancel_job"))
                .bind(job.0)
                .bind(now.0)
                .execute(&mut *tx)
                .await
                .map_err(failed(ACT))?;
        }
        Deed::Enqueue(new) => {
            let jobs = jobs::enqueue_in(tx, new, now).await?;
            return Ok(Outcome::Enqueued {
                jobs: jobs.into_iter().map(Into::into).collect(),
            });
        }
        Deed::CreateToken(token) => tokens::insert(tx, token, &act.actor.name, now).await?,
        Deed::RevokeToken(id) => tokens::revoke(tx, id, now).await?,
        Deed::SaveHookSecret { hook, sealed } => hook_secrets::save_in(tx, hook, sealed, now).await?,
    }
    Ok(Outcome::Done)
}

async fn check_source(tx: &mut SqliteConnection, source: &str, expected: Option<&[String]>) -> Result<(), StoreError> {
    let Some(expected) = expected else { return Ok(()) };
    let row = query(sql!("find_source_version"))
        .bind(source)
        .fetch_optional(tx)
        .await
        .map_err(failed(ACT))?
        .ok_or_else(|| no_source(source))?;
    let version = source_version(&row).map_err(failed(ACT))?;
    StoreError::expect("source", source, &version.tag(), Some(expected))
}

fn source_version(row: &SqliteRow) -> Result<SourceVersion, sqlx::Error> {
    let cycle: Option<i64> = row.try_get(3)?;
    let removals: Option<u64> = optional_count(row, 4)?;
    let approved: bool = row.try_get(5)?;
    Ok(SourceVersion {
        state: word(row, 0)?,
        cycle: CycleNumber(row.try_get(1)?),
        requested: optional_word(row, 2)?,
        held: cycle.map(|cycle| (CycleNumber(cycle), removals.unwrap_or(0), approved)),
    })
}

/// The state of the job, and whether it is a partition.
async fn check_job(
    tx: &mut SqliteConnection,
    job: JobId,
    expected: Option<&[String]>,
) -> Result<(JobState, bool), StoreError> {
    let row = query(sql!("find_job_version"))
        .bind(job.0)
        .fetch_optional(tx)
        .await
        .map_err(failed(ACT))?
        .ok_or_else(|| StoreError::NotFound {
            what: "job",
            name: job.to_string(),
        })?;
    let read = || -> Result<(JobVersion, bool), sqlx::Error> {
        let version = JobVersion {
            state: word(&row, 0)?,
            token: Token(row.try_get(1)?),
            updated_at: moment(&row, 2)?,
        };
        Ok((version, row.try_get(3)?))
    };
    let (version, partition) = read().map_err(failed(ACT))?;
    StoreError::expect("job", &job.to_string(), &version.tag(), expected)?;
    Ok((version.state, partition))
}

fn audit_record(row: &SqliteRow) -> Result<AuditRecord, sqlx::Error> {
    Ok(AuditRecord {
        id: row.try_get(0)?,
        at: moment(row, 1)?,
        actor: AuditRecord::actor(word(row, 2)?, row.try_get(3)?, row.try_get(4)?, row.try_get(5)?),
        act: row.try_get(6)?,
        target: row.try_get(7)?,
        source: row.try_get(8)?,
        arguments: row.try_get(9)?,
        refused: row.try_get(10)?,
    })
}
